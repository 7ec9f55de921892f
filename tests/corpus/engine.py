"""engine - the one place that knows how labrelay is configured, started and asked.

Everything that a change of the config grammar or of a verb's JSON could touch stands here: CONF, Engine, read_*.
Nothing here reads HL7.
"""
import json
import os
import re
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.normpath(os.path.join(HERE, '..', '..'))
sys.path.insert(0, os.path.join(HERE, '..', 'lib'))
import mllp  # noqa: E402

# {dir} {port} {tables} {dead_port}: filled in by Engine. Nobody listens on dead_port: what is to be sent waits.
CONF = '''\
node   "corpus"
store  "{dir}/store.db"

table tests      csv "{tables}/tests.csv"      key system code   value test_type tested_for
table results    csv "{tables}/results.csv"    key system code   value outcome
table results_text csv "{tables}/results_text.csv" key text        value outcome
table specimens  csv "{tables}/specimens.csv"  key system code   value sample_type

listen mllp "corpus" {{
    address   127.0.0.1:{port}
    allow     127.0.0.1/32
    parse     hl7v2 {{ assume-charset latin1   timezone "UTC"   enable "ORU^R30" }}
    max-size  16MB
}}
write godata "godata" {{
    url       "http://127.0.0.1:{dead_port}/api"
    login     "corpus@example.org"  password credential "godata-password"
    outbreak  "Corpus"
}}
route "in-the-table" {{
    from  "corpus"
    when  observation.code in tests
    send  lab to "godata"
}}
route "everything-else" {{ hold "no route" }}
'''

SANITIZER = re.compile(rb'ERROR: (?:Address|Leak|Undefined|Thread)\w*Sanitizer|runtime error:|Sanitizer: DEADLYSIGNAL')


class Shape(Exception):
    """An answer of labrelay does not look as read_*() expects."""


class Engine:
    """One labrelay process with a store of its own in a folder of the caller's."""

    def __init__(self, folder, binary=None):
        self.folder = folder
        self.binary = binary or os.environ.get('LABRELAY') or 'labrelay'
        self.port = mllp.free_port()
        self.conf = os.path.join(folder, 'corpus.conf')
        self.log = os.path.join(folder, 'labrelay.log')
        self.process = None
        self.env = dict(os.environ, CREDENTIALS_DIRECTORY=os.path.join(folder, 'credentials'))
        os.makedirs(self.env['CREDENTIALS_DIRECTORY'], mode=0o700, exist_ok=True)
        secret = os.path.join(self.env['CREDENTIALS_DIRECTORY'], 'godata-password')
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o600), 'w') as f:
            f.write('corpus-only\n')
        tables = os.environ.get('LABRELAY_TABLES') or os.path.join(REPO, 'conf', 'tables')
        with open(os.open(self.conf, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w') as f:
            f.write(CONF.format(dir=folder, port=self.port, tables=tables, dead_port=mllp.free_port()))

    def start(self, seconds=20):
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen([self.binary, 'run', '-c', self.conf], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=subprocess.STDOUT, env=self.env)
        if not mllp.wait_port(self.port, seconds, self.is_alive):
            raise RuntimeError('labrelay does not listen:\n' + self.log_tail())

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, seconds=60):
        """SIGTERM and wait; the exit code, negative for a signal, None when it had to be killed."""
        if self.is_alive():
            self.process.send_signal(signal.SIGTERM)
            end = time.monotonic() + seconds
            while self.is_alive() and time.monotonic() < end:
                time.sleep(0.05)
        if self.is_alive():
            self.process.kill()
            self.process.wait()
            return None
        return self.process.returncode

    def log_tail(self, lines=15):
        with open(self.log, 'rb') as f:
            return b'\n'.join(f.read().splitlines()[-lines:]).decode('utf-8', 'replace')

    def sanitizer_report(self):
        with open(self.log, 'rb') as f:
            m = SANITIZER.search(f.read())
        return m.group(0).decode() if m else ''

    def ask(self, *words, seconds=300):
        """Run a verb with --json; (exit code, parsed answer or None, what it said)."""
        run = subprocess.run([self.binary, *words, '--json', '-c', self.conf], stdin=subprocess.DEVNULL,
                             capture_output=True, env=self.env, timeout=seconds)
        try:
            answer = json.loads(run.stdout)
        except ValueError:
            answer = None
        said = (run.stderr or run.stdout).decode('utf-8', 'replace').strip()
        return run.returncode, answer, said[-400:]

    def verify(self):
        """(True when both sums balance, one line to print)."""
        code, answer, said = self.ask('verify')
        if answer is None:
            return False, 'exit %d, no JSON: %s' % (code, said)
        return code == 0, 'exit %d: %s' % (code, json.dumps(answer, sort_keys=True)[:600])

    def status(self):
        code, answer, said = self.ask('status')
        return json.dumps(answer, sort_keys=True)[:600] if answer is not None else 'exit %d: %s' % (code, said)

    def held_reasons(self):
        """{reason class: count} over the whole store."""
        _, answer, said = self.ask('held', 'list')
        return read_held(answer, said)

    def explain(self, path):
        """What the engine would make of a file; see read_explain()."""
        _, answer, said = self.ask('explain', path)
        return read_explain(answer, said)


def pick(obj, *names):
    for name in names:
        if isinstance(obj, dict) and name in obj:
            return obj[name]
    raise Shape('no %s in %s' % (' or '.join(names), sorted(obj) if isinstance(obj, dict) else type(obj).__name__))


def reason_class(reason):
    """The class of a hold: its leading word in capitals; the last route's own words are NO_ROUTE."""
    word = re.split(r'[ :]', reason.strip())[0] if reason else ''
    if 'no route' in reason.lower():
        return 'NO_ROUTE'
    word = word.upper().replace('-', '_')
    return {'UNMAPPED_TEST': 'NO_ROUTE', '': 'UNNAMED'}.get(word, word)     # the engine also says that a table row is missing


def read_held(answer, said=''):
    if answer is None:
        raise Shape('held list gave no JSON: ' + said)
    out = {}
    for item in answer if isinstance(answer, list) else pick(answer, 'held', 'items'):
        key = reason_class(str(pick(item, 'reason', 'class')))
        out[key] = out.get(key, 0) + 1
    return out


def read_explain(answer, said=''):
    """{'records', 'obx', 'results', 'aside', 'held': {class: n}} summed over the accepted messages of a file."""
    if answer is None:
        raise Shape('explain gave no JSON: ' + said)
    total = {'records': 0, 'obx': 0, 'results': 0, 'aside': 0, 'held': {}}
    for message in answer:
        for record in message.get('records', []):
            total['records'] += 1
            for observation in pick(record, 'results'):
                count_observation(total, observation)
    return total


def count_observation(total, observation):
    """An observation stands for `parts` OBX: itself, and those that only continue it."""
    parts = pick(observation, 'parts')
    total['obx'] += parts
    total['aside'] += parts - 1
    action = 'aside' if pick(observation, 'role') != 'result' else pick(observation, 'action')
    if action in ('send', 'withdraw'):
        total['results'] += 1
    elif action == 'held':
        key = reason_class(str(pick(observation, 'reason')))
        total['held'][key] = total['held'].get(key, 0) + 1
    elif action in ('dropped', 'aside'):
        total['aside'] += 1
    else:
        raise Shape('unknown action: ' + str(action))
