"""rig - starts a sandbox and an engine on loopback for a test, and asks the verbs. Everything is stopped by pid at the end.

    with Rig(listeners=..., writer=...) as rig:
        rig.send(open('x.hl7','rb').read())
        rig.verb('held', 'list', '--json')
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.normpath(os.path.join(HERE, '..', '..'))
sys.path.insert(0, HERE)
import mllp  # noqa: E402

LABRELAY = os.environ.get('LABRELAY') or os.path.join(REPO, 'build', 'plain', 'labrelay')
SHARED = os.environ.get('LABRELAY_SHARED') or os.path.normpath(os.path.join(REPO, '..', 'shared'))
USER, PASSWORD, OUTBREAK = 'labrelay@sandbox.example', 'practise-makes-perfect', 'Ebola 2026'

HEAD = '''node   "test-gateway"
store  "{dir}/store.db"
table tests         csv "{repo}/conf/tables/tests.csv"         key system code  value test_type tested_for
table results       csv "{repo}/conf/tables/results.csv"       key system code  value outcome
table results_text  csv "{repo}/conf/tables/results_text.csv"  key text         value outcome
table specimens     csv "{repo}/conf/tables/specimens.csv"     key system code  value sample_type
'''
LISTENER = '''
listen mllp "lab" {{
    address  127.0.0.1:{mllp}
    parse    hl7v2 {{ timezone "Africa/Kampala" }}
}}
'''
WRITER = '''
write godata "godata" {{
    url       "{api}"
    login     "{user}"  password credential "godata-password"
    outbreak  "{outbreak}"
    id        "GODATA" "PI" is visual-id
    match     by godata-id, then visual-id, then document NATIONAL_ID_CARD
    {writer_options}
}}
'''
ROUTES = '''
route "results" {{
    when  observation.code in tests
    send  lab to "godata"
}}
route "everything-else" {{ hold "no route" }}
'''


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Failed(Exception):
    """The thing under test did not do what it must."""


class Sandbox:
    def __init__(self, folder, *flags, seed=None):
        self.folder, self.flags, self.seed, self.process = folder, list(flags), seed, None

    def start(self):
        port_file = os.path.join(self.folder, 'sandbox.port')
        args = [LABRELAY, 'sandbox', '--port', '0', '--port-file', port_file, '--user', USER, '--password', PASSWORD] + self.flags
        if not (self.seed or {}).get('outbreaks'):      # a seed may bring its own, with its lab result form
            args += ['--outbreak', OUTBREAK]
        if self.seed is not None:
            path = os.path.join(self.folder, 'seed.json')
            with open(path, 'w') as f:
                json.dump(self.seed, f)
            args += ['--seed', path]
        self.log = open(os.path.join(self.folder, 'sandbox.log'), 'ab')
        self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        end = time.monotonic() + 30
        while time.monotonic() < end and self.process.poll() is None:
            if os.path.exists(port_file) and os.path.getsize(port_file):
                self.base = 'http://127.0.0.1:%s' % open(port_file).read().strip()
                self.api = self.base + '/api'
                return self
            time.sleep(0.02)
        raise Failed('the sandbox did not start: ' + open(self.log.name).read())

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)
        self.log.close()

    def call(self, method, path, body=None, token=None):
        data = None if body is None else json.dumps(body).encode()
        q = urllib.request.Request((self.base if path.startswith('/sandbox') else self.api) + path, data, method=method, headers={'Content-Type': 'application/json', 'Accept': 'application/json'})
        if token:
            q.add_header('Authorization', token)
        with urllib.request.urlopen(q, timeout=60) as r:
            text = r.read()
            return json.loads(text) if text else None

    def login(self):
        """Logs in as the service user: the engine's token dies, it has to log in again."""
        self.token = self.call('POST', '/users/login', {'email': USER, 'password': PASSWORD})['id']
        self.outbreak = self.call('GET', '/outbreaks', token=self.token)[0]['id']
        return self.token

    def api_call(self, method, path, body=None):
        """In the outbreak, as somebody in Go.Data. Engine and test share the account, so either's token may die in between."""
        for left in range(19, -1, -1):
            try:
                self.login()
                return self.call(method, '/outbreaks/%s%s' % (self.outbreak, path), body, self.token)
            except urllib.error.HTTPError as e:
                if e.code != 401 or not left:
                    raise
                time.sleep(0.02)

    def lab_results(self):
        return self.api_call('GET', '/lab-results/aggregate')


def keep_log(path):
    """A copy of an engine's log for tests/e2e/suite_canary.py, which looks through those of a whole run."""
    folder = os.environ.get('LABRELAY_LOG_KEEP')
    if folder and os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        name = '%s-%d-%s.log' % (os.path.splitext(os.path.basename(sys.argv[0]))[0], os.getpid(), os.path.basename(os.path.dirname(path)).split('.')[-1])
        shutil.copyfile(path, os.path.join(folder, name))


class Rig:
    """A sandbox (unless sandbox=None is asked for) and an engine with one configuration."""

    def __init__(self, seed=None, sandbox_flags=(), listeners=LISTENER, writer_options='', routes=ROUTES, head='', api=None, binary=None):
        self.folder = tempfile.mkdtemp(prefix='labrelay-test.')
        self.binary = binary or LABRELAY
        self.sandbox = None if api else Sandbox(self.folder, *sandbox_flags, seed=seed)
        self.mllp = free_port()
        self.conf = os.path.join(self.folder, 'labrelay.conf')
        self.log_path = os.path.join(self.folder, 'engine.log')
        self.parts = (head, listeners, writer_options, routes)
        self.api = api
        self.process = None
        self.verifies = True        # at the end; a test that breaks the store on purpose says no

    def write_conf(self):
        head, listeners, writer_options, routes = self.parts
        os.makedirs(os.path.join(self.folder, 'credentials'), mode=0o700, exist_ok=True)
        secret = os.path.join(self.folder, 'credentials', 'godata-password')
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w') as f:
            f.write(PASSWORD + '\n')
        api = self.api or self.sandbox.api
        text = (HEAD + head + listeners + WRITER + routes).format(dir=self.folder, repo=REPO, mllp=self.mllp, api=api, user=USER, outbreak=OUTBREAK,
                                                                  writer_options=writer_options)
        with open(self.conf, 'w') as f:
            f.write(text)

    def __enter__(self):
        try:
            if self.sandbox:
                self.sandbox.start()
            self.write_conf()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        self.log = open(self.log_path, 'ab')
        self.process = subprocess.Popen([self.binary, 'run', '-c', self.conf], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Failed('the engine ended: ' + self.log_tail())
            rc, out, _ = self.verb('status', check=False)
            if rc in (0, 1) and out:       # 1: it runs, and something is not as it should be
                return
            time.sleep(0.02)
        raise Failed('the engine does not answer: ' + self.log_tail())

    def stop(self, sig=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
            self.process.wait(60)
        rc = self.process.returncode if self.process else 0
        self.process = None
        return rc

    def balance(self):
        """[item 138] Whatever a test did, in the end both sums hold. None: they do, or this store cannot be asked."""
        # [item 138]
        if self.process is None or self.process.poll() is not None or not self.verifies:
            return None
        rc, out, err = self.verb('verify', check=False)
        return None if rc == 0 else 'verify says %d: %s%s' % (rc, out, err)

    def __exit__(self, *_):
        rc, sums = 0, None
        try:
            if _ and not _[0]:
                sums = self.balance()
            rc = self.stop()
        finally:
            if self.sandbox and self.sandbox.process:
                self.sandbox.stop()
            keep_log(self.log_path)
            if os.environ.get('LABRELAY_KEEP'):
                print('kept: ' + self.folder)
            else:
                tail = self.log_tail(40) if os.path.exists(self.log_path) else ''
                shutil.rmtree(self.folder, ignore_errors=True)
        if sums:
            raise Failed(sums)
        if rc not in (0, -9) and _ and not _[0]:
            raise Failed('the engine ended with %s: %s' % (rc, tail if not os.environ.get('LABRELAY_KEEP') else ''))

    def log_tail(self, n=30):
        with open(self.log_path, errors='replace') as f:
            return ''.join(f.readlines()[-n:])

    def verb(self, *args, check=True, stdin=None, conf=True):
        """(exit status, stdout, stderr); with check: raises on a status that is not 0."""
        words = [self.binary, args[0]] + (['-c', self.conf] if conf else []) + list(args[1:])
        p = subprocess.run(words, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
        if check and p.returncode != 0:
            raise Failed('%s: exit %s: %s%s' % (' '.join(args), p.returncode, p.stdout.decode(errors='replace'), p.stderr.decode(errors='replace')))
        return p.returncode, p.stdout.decode(errors='replace'), p.stderr.decode(errors='replace')

    def json(self, *args, ok=(0,)):
        rc, out, err = self.verb(*args, '--json', check=False)
        if rc not in ok and not (args[0] == 'status' and rc == 1 and out):
            raise Failed('%s: exit %s: %s%s' % (' '.join(args), rc, out, err))
        return json.loads(out)

    def send(self, payload, timeout=20.0):
        with mllp.Client('127.0.0.1', self.mllp) as c:
            c.send(payload)
            return c.read(timeout)

    def mirror(self, seconds=30.0):
        """Waits until all that Go.Data has now is in the mirror: a round of polls that began after this call is complete."""
        began, end = time.time(), time.monotonic() + seconds
        while time.monotonic() < end:
            self.verb('mirror', 'refresh')
            state = self.json('mirror', 'status')['mirrors']
            if all(m['loaded'] and m['seen_us'] > began * 1e6 for m in state):
                return state
            time.sleep(0.1)
        raise Failed('the mirror does not keep up: ' + json.dumps(state))

    def settle(self, seconds=30.0):
        """Waits until nothing is ready, claimed or waiting."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not [d for d in self.json('queue') if d['state'] != 'held']:
                return
            time.sleep(0.05)
        raise Failed('deliveries did not settle: ' + json.dumps([(d['state'], d['reason']) for d in self.json('queue')][:5]))


def hl7(text):
    """A message written with line ends as HL7 wants it."""
    return text.strip('\n').replace('\n', '\r').encode() + b'\r'
