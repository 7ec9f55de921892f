#!/usr/bin/env python3
"""newcomer - does what the README tells a newcomer to do, word by word, and looks whether it comes out as the README says.

    newcomer.py          LABRELAY names the program of the build folder to install from (default build/plain/labrelay)

The section "Ten minutes to your own first message" is read for its fences: every `sh` line is run by a shell, in order, the `conf` one is
my.conf. Changed for the test: /usr/local stands in a temporary folder, ~ too, and the two ports are free ones. What ends by Ctrl-C
(sandbox, run) runs beside the rest. Then: the unit file, the man pages, and that an installed configuration which was edited stays.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.normpath(os.path.join(HERE, '..', '..'))
BUILD = os.path.dirname(os.path.abspath(os.environ.get('LABRELAY') or os.path.join(REPO, 'build', 'plain', 'labrelay')))
SECTION = 'Ten minutes to your own first message'
STAYS = re.compile(r'\blabrelay (sandbox|run) ')

failed = []


def expect(is_true, text):
    print(('ok ' if is_true else 'NOT OK ') + text, flush=True)
    if not is_true:
        failed.append(text)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def fences(text, title):
    """[(language, text)] of the fenced blocks of one section, without their indentation."""
    section = re.search(r'(?ms)^## ' + re.escape(title) + r'\n(.*?)(?=^## |\Z)', text).group(1)
    found = []
    for indent, language, body in re.findall(r'(?ms)^( *)```(\w+)\n(.*?)^ *```$', section):
        found.append((language, ''.join(line[len(indent):] if line.startswith(indent) else line for line in body.splitlines(True))))
    return found


class Newcomer:
    def __init__(self, root):
        self.root, self.beside = root, []
        self.home, self.usr = os.path.join(root, 'home'), os.path.join(root, 'usr', 'local')
        self.cwd = REPO
        self.ports = {'3000': str(free_port()), '2575': str(free_port())}
        os.makedirs(self.home)
        self.env = {'HOME': self.home, 'PATH': os.path.join(self.usr, 'bin') + ':/usr/bin:/bin:/usr/sbin:/sbin', 'LANG': 'C.UTF-8'}
        for name in ('ASAN_OPTIONS', 'TSAN_OPTIONS', 'TMPDIR'):
            if name in os.environ:
                self.env[name] = os.environ[name]

    def mine(self, text):
        """What the README says, on ports and in folders of our own."""
        for said, ours in self.ports.items():
            text = re.sub(r'\b%s\b' % said, ours, text)
        text = text.replace('make -C build/plain install', 'make -s -C "%s" install DESTDIR="%s"' % (BUILD, self.root))
        return text.replace('/usr/local/', self.usr + '/')

    def stay(self, line):
        """Starts what a terminal of its own is for, and waits until it answers."""
        log = open(os.path.join(self.root, '%d.log' % len(self.beside)), 'wb')
        p = subprocess.Popen(['/bin/sh', '-c', re.sub(r'\blabrelay ', 'exec labrelay ', self.mine(line), count=1)], cwd=self.cwd, env=self.env, stdin=subprocess.DEVNULL,
                             stdout=log, stderr=log)
        self.beside.append((p, log.name))
        port = int(self.ports['3000' if ' sandbox ' in line else '2575'])
        end = time.monotonic() + 30
        while time.monotonic() < end and p.poll() is None:
            with socket.socket() as s:
                if s.connect_ex(('127.0.0.1', port)) == 0:
                    return True
            time.sleep(0.05)
        print(open(log.name, errors='replace').read())
        return False

    def run(self, line):
        """(exit status, output); a cd lasts, as in a terminal."""
        marker = '@where-i-am@'
        p = subprocess.run(['/bin/sh', '-c', '%s\nrc=$?; echo "%s$PWD"; exit $rc' % (self.mine(line), marker)], cwd=self.cwd, env=self.env, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
        out, _, where = p.stdout.decode(errors='replace').rpartition(marker)
        if where.strip():
            self.cwd = where.strip()
        return p.returncode, out

    def stop(self):
        for p, _ in reversed(self.beside):
            if p.poll() is None:
                p.send_signal(signal.SIGINT)
        for p, log in reversed(self.beside):
            try:
                rc = p.wait(30)
            except subprocess.TimeoutExpired:
                p.kill()
                rc = p.wait()
            if rc != 0:
                print(open(log, errors='replace').read()[-2000:])
            expect(rc == 0, 'Ctrl-C ends %s well (exit %s)' % (' '.join(p.args[-1].split('exec ')[-1].split()[:2]), rc))


def settle(n, seconds=30):
    """The README gives a person's pace; a test waits until nothing is on its way."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        states = ''.join(n.run('labrelay queue -c my.conf --state ' + s)[1] for s in ('ready', 'claimed', 'waiting'))
        if states.split() == ['nothing'] * 3:
            return
        time.sleep(0.1)
    print('still on its way: ' + states)


def walk(n):
    """The section, step by step; {command: output}."""
    said = {}
    for language, text in fences(open(os.path.join(REPO, 'README.md'), encoding='utf-8').read(), SECTION):
        if language == 'conf':
            with open(os.path.join(n.cwd, 'my.conf'), 'w') as f:
                f.write(n.mine(text))
            continue
        for line in text.splitlines():
            if STAYS.search(line):
                expect(n.stay(line), line)
                continue
            if 'labrelay status' in line:
                settle(n)
            rc, out = n.run(line)
            said[line] = out
            expect(rc == 0, line)
            if rc != 0:
                print(out)
    return said


def check_claims(said):
    """What the text between the fences says."""
    def out(*words):
        return next((o for c, o in said.items() if all(w in c for w in words)), '')
    expect('fine' in out('labrelay check'), 'check finds nothing wrong')
    expect('AA' in out('send', '1-pcr-positive'), 'the first message is accepted')
    expect('delivered' in out('show', 'm1') and 'lab result' in out('show', 'm1'), 'the first result stands in the sandbox')
    expect('NO_MATCH' in out('held list'), 'the second one is held: NO_MATCH')
    expect('sends     {"sampleIdentifier"' in out('explain'), 'explain shows the request')
    expect('everything balances' in out('verify'), 'the sums balance')


def check_installed(n):
    bin_ = os.path.join(n.usr, 'bin', 'labrelay')
    help_text = subprocess.run([bin_, '--help'], stdout=subprocess.PIPE, check=True).stdout.decode()
    verbs = re.findall(r'(?m)^  ([a-z][a-z-]*)  ', help_text)
    expect(len(verbs) >= 12, '--help lists %d verbs' % len(verbs))
    page = open(os.path.join(n.usr, 'share', 'man', 'man1', 'labrelay.1')).read()
    for verb in verbs:
        p = subprocess.run([bin_, verb, '--help'], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        expect(p.returncode == 0 and p.stdout.startswith(b'usage: labrelay ' + verb.encode()) and not p.stderr, verb + ' --help')
        expect(re.search(r'(?m)^\.(It )?.*Cm .*\b%s\b' % verb, page) is not None, verb + ' is in labrelay(1)')
    shipped = sorted(os.path.basename(f) for f in os.listdir(os.path.join(REPO, 'man')) if f[-1].isdigit())
    there = sorted(f for s in ('1', '5', '7') for f in os.listdir(os.path.join(n.usr, 'share', 'man', 'man' + s)))
    expect(shipped == there, 'man pages: ' + ' '.join(there))

    ops = open(os.path.join(n.usr, 'share', 'man', 'man7', 'labrelay-ops.7')).read()
    reasons = re.findall(r'(?m)^    \{"([A-Z_]+)", "', open(os.path.join(REPO, 'src', 'model', 'delivery.c')).read())
    unsaid = [r for r in reasons if not re.search(r'\b%s\b' % r, ops)]
    expect(len(reasons) > 40 and not unsaid, 'labrelay-ops(7) says what to do about each reason; missing: ' + ' '.join(unsaid))

    # The shipped configuration: read as it is; the one thing that is missing is said, with its place.
    conf = os.path.join(n.usr, 'etc', 'labrelay', 'labrelay.conf')
    p = subprocess.run([bin_, 'check', '-c', conf], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text = p.stdout.decode()
    expect(p.returncode == 1 and text.count('error:') == 1 and 'godata-password' in text, 'the shipped configuration lacks nothing but the password')
    os.makedirs(os.path.join(os.path.dirname(conf), 'credentials'))
    with open(os.open(os.path.join(os.path.dirname(conf), 'credentials', 'godata-password'), os.O_WRONLY | os.O_CREAT, 0o600), 'w') as f:
        f.write('x\n')
    p = subprocess.run([bin_, 'check', '-c', conf], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    expect(p.returncode == 0, 'with a password it is fine: ' + p.stdout.decode().strip())

    # Installed again over an edited one: the edit stays, ours comes beside it.
    with open(conf, 'a') as f:
        f.write('# edited\n')
    rc, _ = n.run('make -C build/plain install')
    expect(rc == 0 and open(conf).read().endswith('# edited\n') and os.path.exists(conf + '.new'), 'installing again keeps an edited configuration')

    unit = open(os.path.join(BUILD, 'labrelay.service')).read()
    expect('@' not in re.sub(r'(?m)^#.*|@[a-z-]+(?= |$)', '', unit) and re.search(r'(?m)^ExecStart=/\S+/labrelay run -c /\S+/labrelay.conf$', unit) is not None, 'the unit file names whole paths')
    if shutil.which('systemd-analyze'):
        tried = os.path.join(n.root, 'labrelay.service')
        with open(tried, 'w') as f:
            f.write(re.sub(r'(?m)^ExecStart=\S+', 'ExecStart=' + bin_, unit))
        p = subprocess.run(['systemd-analyze', 'verify', '--man=no', tried], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        about = [line for line in p.stdout.decode().splitlines() if 'labrelay.service' in line]
        expect(not about, 'systemd-analyze verify ' + ' '.join(about))


def main():
    root = tempfile.mkdtemp(prefix='labrelay-newcomer.')
    n = Newcomer(root)
    try:
        try:
            check_claims(walk(n))
        finally:
            n.stop()
        n.cwd = REPO
        check_installed(n)
    finally:
        if not os.environ.get('LABRELAY_KEEP'):
            shutil.rmtree(root, ignore_errors=True)
    print('newcomer: ' + ('%d things are not as the README says' % len(failed) if failed else 'the README holds'))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
