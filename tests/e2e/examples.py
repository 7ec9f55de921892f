#!/usr/bin/env python3
"""examples - every configuration that we show to people is right: conf/labrelay.conf, conf/examples/*, and the snippets of README and manuals.

An example passes `check` without a warning and its own tests, of which it has some. A snippet passes `check` after what it leaves out
(store, tables, listener, writer, last route) was added around it.
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

REPO = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
LABRELAY = os.environ.get('LABRELAY') or os.path.join(REPO, 'build', 'plain', 'labrelay')
EXAMPLES_MIN, SNIPPETS_MIN = 8, 30
NOUNS = ('node', 'store', 'table', 'listen', 'write', 'route', 'result-of', 'test', 'include', 'alarm')
# Literal blocks that are no configuration: commands, log lines, JSON, drawings, what programs print
OTHER = re.compile(r'labrelay |systemctl |journalctl |[{\[]|level=|outbreak_view |labrelay\.conf:[0-9]+:|[^ -~]|[a-z ]+ ──')
failed = []


def fail(what, text=''):
    failed.append(what)
    print('FAIL ' + what + ('\n' + text if text else ''))


def run(*args, env=None):
    p = subprocess.run([LABRELAY] + list(args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, timeout=60)
    return p.returncode, p.stdout.decode(errors='replace')


def credentials(folder, text):
    """A file of its own for every credential that the text names."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    for name in set(re.findall(r'credential\s+"([^"]+)"', text)):
        with open(os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w') as f:
            f.write('practise-makes-perfect-0123456789\n')
    return dict(os.environ, CREDENTIALS_DIRECTORY=folder)


def example(path, folder, is_tested):
    name = os.path.relpath(path, REPO)
    with open(path) as f:
        env = credentials(os.path.join(folder, 'credentials'), f.read())
    rc, out = run('check', '-c', path, env=env)
    if rc != 0 or 'warning' in out:
        return fail(name + ': check', out)
    if not is_tested:
        return print('ok   ' + name)
    rc, out = run('test', '-c', path, '--json', env=env)
    tests = json.loads(out)
    if rc != 0 or not tests:
        return fail(name + ': test', run('test', '-c', path, env=env)[1])
    used = {m for m in re.findall(r'message\s+"([^"]+)"', open(path).read())}
    beside = {os.path.basename(p) for p in glob.glob(os.path.join(os.path.dirname(path), '*')) if not p.endswith(('.conf', '.csv', '.pem'))}
    if not beside <= used:
        return fail(name + ': messages that no test reads: ' + ' '.join(sorted(beside - used)))
    print('ok   %s: %d tests' % (name, len(tests)))


def blocks():
    """(place, text) of every literal block that is configuration."""
    for path in [os.path.join(REPO, 'README.md')] + sorted(glob.glob(os.path.join(REPO, 'man', '*.[1-9]'))):
        with open(path) as f:
            text = f.read()
        if path.endswith('.md'):
            text = re.sub(r'(?ms)^ *```(?:sh|json)\n.*?^ *```$', lambda m: '\n' * m.group(0).count('\n'), text)
            found = re.finditer(r'^ *```(?:conf)?\n(.*?)^ *```$', text, re.M | re.S)
        else:
            found = re.finditer(r'^\.Bd -literal.*?\n(.*?)^\.Ed$', text, re.M | re.S)
        if path.endswith('labrelay-rules.7'):           # what is displayed by itself there is a condition each
            for m in re.finditer(r'^\.Dl (.*)$', text, re.M):
                condition = m.group(1).replace('\\(dq', '"').replace('\\e', '\\').replace('\\&', '')
                yield '%s:%d' % (os.path.relpath(path, REPO), text.count('\n', 0, m.start()) + 1), 'route "displayed" {\n    when  %s\n    hold  "x"\n}\n' % condition
        for m in found:
            body = m.group(1).replace('\\(dq', '"').replace('\\e', '\\').replace('\\&', '')
            words = body.split()
            where = '%s:%d' % (os.path.relpath(path, REPO), text.count('\n', 0, m.start()) + 1)
            if words and words[0] not in NOUNS + ('parse',) and not OTHER.match(body.strip()):
                fail(where + ': is this configuration, or what? (OTHER in tests/e2e/examples.py)')
            if words and words[0] == 'parse':       # options of a parser: in a listener that takes any
                body = 'listen files "lab" {\n    inbox "in"\n' + body + '}\n'
            if words and words[0] in NOUNS + ('parse',):
                yield where, body


def around(body):
    """The snippet with what it leaves out."""
    has = {w for w in NOUNS if re.search(r'(?m)^\s*%s\b' % w, body)}
    before, after = [], []
    if 'store' not in has:
        before.append('store "store.db"')
    have = set(re.findall(r'(?m)^\s*table\s+(\w+)', body))
    for name, keys in (('tests', 'system code'), ('results', 'system code'), ('results_text', 'text'), ('specimens', 'system code')):
        if name not in have:
            before.append('table %s csv "tables/%s.csv" key %s' % (name, name, keys))
    if re.search(r'\bin labs\b', body) and 'labs' not in have:
        before.append('table labs csv "labs.csv" key id value lab_name')
    listeners = set(re.findall(r'listen\s+\w+\s+"([^"]+)"', body))
    wanted = set(' '.join(re.findall(r'(?m)(?:^|\{)\s*from((?:\s+"[^"]+")+)', body) + re.findall(r'channel\s+("[^"]+")', body)).replace('"', ' ').split()) or {'lab'}
    for i, name in enumerate(sorted(wanted - listeners) if listeners != wanted else []):
        if name != 'lab' or not listeners:
            before.append('listen mllp "%s" { address 127.0.0.1:%d  parse hl7v2 { timezone "Africa/Kampala" } }' % (name, 2600 + i))
    writers = set(re.findall(r'write\s+\w+\s+"([^"]+)"', body))
    for name in sorted((set(re.findall(r'send\s+lab\s+to\s+"([^"]+)"', body)) or {'godata'}) - writers) if 'write' not in has else []:
        before.append('write godata "%s" { url "https://godata.example/api"  login "a@b.example"  password credential "godata-password"  outbreak "Ebola 2026" }' % name)
    if not re.search(r'send\s+lab\s+to', body):
        name = sorted(writers)[0] if writers else 'godata'
        after.append('route "added" { when observation.code in tests  send lab to "%s" }' % name)
    if not re.search(r'(?m)^\s*route\s+"[^"]+"\s*\{\s*hold\b', body):
        after.append('route "the-rest" { hold "no route" }')
    return '\n'.join(before) + '\n' + body + '\n' + '\n'.join(after) + '\n'


def snippets(folder):
    n = 0
    os.symlink(os.path.join(REPO, 'conf', 'tables'), os.path.join(folder, 'tables'))
    with open(os.path.join(folder, 'labs.csv'), 'w') as f:
        f.write('id,lab_name\nLAB-7,OTHER\n')
    with open(os.path.join(folder, 'places.csv'), 'w') as f:
        f.write('place,location_id\nWestern/Kisoro,00000000-0000-4000-8000-00000000000a\n')
    for place, body in blocks():
        text = around(body).replace('/usr/local/etc/labrelay/tables', 'tables')
        env = credentials(os.path.join(folder, 'credentials'), text)
        path = os.path.join(folder, 'snippet.conf')
        with open(path, 'w') as f:
            f.write(text)
        rc, out = run('check', '-c', path, env=env)
        n += 1
        if rc != 0:
            fail(place, out + text)
        else:
            print('ok   ' + place)
    return n


def main():
    folder = tempfile.mkdtemp(prefix='labrelay-examples.')
    try:
        paths = sorted(glob.glob(os.path.join(REPO, 'conf', 'examples', '*', 'labrelay.conf')))
        example(os.path.join(REPO, 'conf', 'labrelay.conf'), folder, False)
        for path in paths:
            example(path, folder, True)
        n = snippets(folder)
        if len(paths) < EXAMPLES_MIN:
            fail('only %d examples were found' % len(paths))
        if n < SNIPPETS_MIN:
            fail('only %d snippets were found' % n)
        print('%d examples, %d snippets, %d failed' % (len(paths) + 1, n, len(failed)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
