# shared by tools/demo and tools/check: where things are, and what a bare Debian 12 still needs.
set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
BUILD=${LABRELAY_BUILD:-$ROOT/build}
JOBS=$(nproc 2>/dev/null || echo 2)

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null 2>&1; then sudo "$@"; else
        echo "these packages are missing and need root to install: $*" >&2; return 1; fi
}

# need PACKAGE...: installs what dpkg does not know as installed
need() {
    missing=
    for p in "$@"; do
        dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
    done
    [ -z "$missing" ] && return 0
    echo "installing:$missing"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    { as_root apt-get update -qq && as_root apt-get install -y -qq --no-install-recommends $missing; } >/dev/null 2>"${TMPDIR:-/tmp}/labrelay-apt.$$" ||
        { cat "${TMPDIR:-/tmp}/labrelay-apt.$$" >&2; return 1; }
    rm -f "${TMPDIR:-/tmp}/labrelay-apt.$$"
}

BUILD_PACKAGES="build-essential autoconf automake pkg-config libevent-dev libssl-dev libcurl4-openssl-dev libjansson-dev libxml2-dev libsqlite3-dev libpcre2-dev libicu-dev tzdata ca-certificates"
DEMO_PACKAGES="curl python3"
CHECK_PACKAGES="libcmocka-dev clang libclang-rt-dev python3 curl mandoc openssl strace xz-utils git procps"

bootstrap() {
    [ -x "$ROOT/configure" ] && [ "$ROOT/configure" -nt "$ROOT/configure.ac" ] && [ "$ROOT/Makefile.in" -nt "$ROOT/Makefile.am" ] ||
        (cd "$ROOT" && autoreconf -fi >/dev/null)
}

# build DIR [configure flags...]: an out-of-tree build; quiet unless it fails. Configured again when the flags or the libraries for the tests changed
# (tools/demo builds without cmocka; tools/check then needs it).
build() {
    dir=$1; shift
    mkdir -p "$dir"
    bootstrap
    wants="$* cmocka=$(pkg-config --modversion cmocka 2>/dev/null || echo none)"
    [ -f "$dir/config.status" ] && [ "$dir/config.status" -nt "$ROOT/configure" ] && [ "$(cat "$dir/configured-for" 2>/dev/null)" = "$wants" ] || {
        rm -f "$dir/configured-for"
        (cd "$dir" && "$ROOT/configure" -q "$@") >"$dir/configure.out" 2>&1 || { tail -n 40 "$dir/configure.out" >&2; return 1; }
        echo "$wants" >"$dir/configured-for"
    }
    make -C "$dir" -s -j"$JOBS" >"$dir/make.out" 2>&1 || { tail -n 60 "$dir/make.out" >&2; return 1; }
}
