#!/usr/bin/env python3
"""admin - the administrator's verbs: init, explain a stored message, trace, test, functions, tables todo, completion.

Each function is one test; `labrelay sandbox` stands for Go.Data where an engine is needed.
"""
import json
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rig  # noqa: E402
from rig import hl7  # noqa: E402

CASES = {'cases': [
    {'id': 'c0000000-0000-4000-8000-000000000001', 'visualId': 'CA-0000000001', 'firstName': 'Amina', 'lastName': 'Okello', 'dob': '1988-03-14',
     'gender': 'LNG_REFERENCE_DATA_CATEGORY_GENDER_FEMALE'}]}
OTHER = '''
listen mllp "other" {{
    address  127.0.0.1:%d
    parse    hl7v2 {{ timezone "Africa/Kampala" }}
}}
'''


def oru(control='C1', test='41636-2^Ebola virus RNA^LN', value='260373001^Detected^SCT', flag='POS', sample='S-1', person='CA-0000000001'):
    return hl7('''MSH|^~\\&|DEV|LAB|LABRELAY|MOH|20261105101500+0300||ORU^R01^ORU_R01|%s|P|2.5.1||||||UNICODE UTF-8
PID|1||%s^^^GODATA^PI||Okello^Amina^^^^^L||19880314|F
OBR|1||F-%s|%s|||20261104083000+0300|||||||||||||||20261105101000+0300||MB|F
OBX|1|CWE|%s|1|%s||Not detected|%s|||F|||20261104083000+0300
SPM|1|^%s||119297000^Blood^SCT|||||||P||||||20261104083000+0300''' % (control, person, sample, test, test, value, flag, sample))


def expect(condition, text, *more):
    if not condition:
        raise rig.Failed(text + ''.join(' ' + (m if isinstance(m, str) else json.dumps(m, default=str)) for m in more))


def only(d, **fields):
    for k, v in fields.items():
        expect(d.get(k) == v, 'expected %s=%r in' % (k, v), d)


class Folder:
    """A configuration that no engine runs, with messages beside it."""

    def __init__(self, tests='', writer_options='', routes=rig.ROUTES):
        self.rig = rig.Rig(api='http://127.0.0.1:1/api', listeners=rig.LISTENER + OTHER % rig.free_port(), writer_options=writer_options,
                           routes=routes + tests.replace('{', '{{').replace('}', '}}'))

    def __enter__(self):
        self.rig.write_conf()
        return self

    def __exit__(self, *_):
        subprocess.run(['rm', '-rf', self.rig.folder], check=True)

    def put(self, name, content):
        with open(os.path.join(self.rig.folder, name), 'wb') as f:
            f.write(content)

    def verb(self, *args):
        return self.rig.verb(*args, check=False)


def test_explain_a_stored_message():
    with rig.Rig(seed=CASES, listeners=rig.LISTENER + OTHER % rig.free_port(), routes=rig.ROUTES.replace('when  ', 'from "lab"  when  ')) as r:
        r.send(oru('E1'))
        r.settle()
        r.stop()                # its chores ask; nobody else must
        before = r.sandbox.call('GET', '/sandbox/stats')
        x = r.json('explain', 'm1')
        only(x[0], control_id='E1', fate='accepted')
        only(x[0]['records'][0]['results'][0], action='send', route='results', outcome='POSITIVE')
        path = os.path.join(r.folder, 'm1.hl7')
        with open(path, 'wb') as f:
            f.write(oru('E1'))
        expect(r.json('explain', path, '--channel', 'lab') == x, 'a stored message and its file are explained alike')
        only(r.json('explain', 'm1', '--channel', 'other')[0]['records'][0]['results'][0], action='held', route='everything-else')
        expect(r.verb('explain', 'm99', check=False)[0] == 3, 'an id that is not there')
        expect(r.sandbox.call('GET', '/sandbox/stats')['requests'] == before['requests'] + 1, 'something was asked')    # + 1: this one
        expect(r.json('verify')['frames'][0]['received'] == 1, 'something was stored')


def test_explain_says_when_the_channel_is_gone():
    with rig.Rig(seed=CASES) as r:
        r.send(oru('E1'))
        r.settle()
        text = open(r.conf).read()
        with open(r.conf, 'w') as f:
            f.write(text.replace('listen mllp "lab"', 'listen mllp "renamed"'))
        rc, _, err = r.verb('explain', 'm1', check=False)
        expect(rc == 3 and '"lab", which is not in the configuration' in err, 'the channel is named', err)
        expect(r.verb('explain', 'm1', '--channel', 'renamed')[0] == 0, 'with --channel')
        with open(r.conf, 'w') as f:
            f.write(text)


def test_fields_name_what_set_writes():
    _, out, _ = Folder().rig.verb('fields', '--json', 'lab', conf=False)
    names = [f['name'] for f in json.loads(out)]
    expect('lab.lab_name' in names and 'lab.sequence.lab_id' in names and 'lab.questionnaire.VARIABLE' in names, 'fields lab', names)
    manual = open(os.path.join(rig.REPO, 'man', 'labrelay-fields.7')).read()
    for name in names[:-1]:
        expect('.It Li %s ' % name in manual, 'labrelay-fields.7 does not tell of', name)


def test_functions_are_those_of_the_compiler_and_the_manual():
    _, out, _ = Folder().rig.verb('functions', '--json', conf=False)
    names = [f['name'] for f in json.loads(out)]
    expect('substr' in names and len(names) >= 9, 'names', names)
    manual = open(os.path.join(rig.REPO, 'man', 'labrelay-rules.7')).read()
    for f in json.loads(out):
        expect(re.search(r'\.It Fn .*\b%s\b' % f['name'], manual), 'labrelay-rules.7 does not tell of', f['name'])
        expect(f['doc'] and f['usage'].startswith(f['name'] + '('), 'doc', f)
        example = f['example'].replace('\\', '\\e').replace('"', '\\(dq')
        expect('.Dl ' + example + '\n' in manual, 'labrelay-rules.7 has another example of', f)
        routes = 'route "a" { when %s\n drop "x" }\nroute "z" { hold "no route" }\n' % f['example']
        with Folder(routes=routes.replace('{', '{{').replace('}', '}}')) as folder:
            rc, out2, err = folder.verb('check')
            expect(rc == 0, 'does not compile: ' + f['example'], out2 + err)


def test_tables_todo_counts_what_is_missing():
    with rig.Rig(seed=CASES) as r:
        expect('no held result waits' in r.verb('tables', 'todo')[1], 'nothing yet')
        for n in range(3):
            r.send(oru('T%d' % n, test='99999-9^Unheard of^LN', sample='S-%d' % n))
        r.send(oru('V1', value='111111111^Odd^SCT', flag='', sample='S-8'))
        r.send(oru('OK', sample='S-9'))
        r.settle()
        todo = r.json('tables', 'todo')
        expect(len(todo) == 2, 'two rows are missing', todo)
        only(todo[0], table='tests', file='tests.csv', held=3, message=1, last_message=3, key={'system': 'http://loinc.org', 'code': '99999-9'})
        only(todo[1], table='results', held=1, message=4, key={'system': 'http://snomed.info/sct', 'code': '111111111'})
        text = r.verb('tables', 'todo')[1]
        expect('tests.csv: system "http://loinc.org" code "99999-9"' in text and '3 held, for instance m1' in text, 'text', text)
        r.verb('held', 'dismiss', 'd%d' % todo[1]['delivery'], '--by', 'epi')
        expect(len(r.json('tables', 'todo')) == 1, 'what was dismissed does not wait')
        expect(r.verb('tables', 'tood', check=False)[0] == 2, 'usage')


TESTS = '''
test "positive" {
    message  "pos.hl7"
    expect   message accepted  expect results 1
    expect   lab.result "POSITIVE"  expect lab.status COMPLETED
    expect   lab.date_sample_taken 2026-11-04
    expect   route "results"  expect send to "godata"
    expect   specimen.id = "S-1" and observation.code in tests
}
test "unheard of" { message "other.hl7"  channel "other"  expect hold UNMAPPED_TEST }
test "not HL7" { message "junk.hl7"  expect message quarantined  expect results 0 }
'''


def test_tests_pass_and_fail():
    with Folder(TESTS) as f:
        rc, out, err = f.verb('check')
        expect(rc == 0 and out.count('warning: cannot read the message of test') == 3, 'a missing message is a warning', out + err)
        rc, out, _ = f.verb('test')
        expect(rc == 1 and '0 passed, 3 failed' in out, 'missing messages fail', out)
        f.put('pos.hl7', oru())
        f.put('other.hl7', oru(test='99999-9^Unheard of^LN'))
        f.put('junk.hl7', b'nothing of the kind')
        rc, out, err = f.verb('test')
        expect(rc == 0 and '3 passed, 0 failed' in out, 'all pass', out + err)
        expect(f.verb('test', 'positive')[1] == 'ok   positive\n1 passed, 0 failed\n', 'one by name')
        expect(f.verb('test', 'nobody')[0] == 3, 'no such test')
        f.put('pos.hl7', oru(value='260415000^Not detected^SCT', flag='NEG', sample='S-2'))
        rc, out, _ = f.verb('test')
        line = open(f.rig.conf).read().split('\n').index('    expect   lab.result "POSITIVE"  expect lab.status COMPLETED') + 1
        expect(rc == 1 and '2 passed, 1 failed' in out, 'one fails', out)
        expect('labrelay.conf:%d: expect lab.result "POSITIVE"' % line in out and '    - POSITIVE\n    + NEGATIVE\n' in out, 'the diff', out)
        expect('specimen.id = "S-1"' in out and '    - yes\n    + no\n' in out, 'the condition', out)
        x = json.loads(f.verb('test', '--json')[1])
        expect([t['passed'] for t in x] == [False, True, True], 'json', x)
        only(x[0]['failures'][0], wanted='POSITIVE', got='NEGATIVE', path='OBX[1]', line=line)
        f.put('pos.hl7', oru(value='111111111^Odd^SCT', flag=''))
        out = f.verb('test')[1]
        expect('    - send to "godata"\n    + hold UNMAPPED_VALUE: results|http://snomed.info/sct|111111111\n' in out, 'held', out)
        f.put('pos.hl7', b'junk')
        out = f.verb('test')[1]
        expect('    - result 1\n    + the message is quarantined and has 0 results\n' in out, 'no result at all', out)


def test_mistakes_in_tests_are_found_when_read():
    wrong = [
        ('test "a" { message "x.hl7"  expect lab.resutl "POSITIVE" }', 'did you mean "lab.result"'),
        ('test "a" { message "x.hl7"  expect lab.result "POSITIV" }', 'did you mean "POSITIVE"'),
        ('test "a" { message "x.hl7"  expect lab.result }', 'the value of lab.result is missing'),
        ('test "a" { message "x.hl7"  expect hold NO_RUOTE }', 'did you mean "NO_ROUTE"'),
        ('test "a" { message "x.hl7"  expect route "resluts" }', 'did you mean "results"'),
        ('test "a" { message "x.hl7"  expect send to "godta" }', 'did you mean "godata"'),
        ('test "a" { message "x.hl7"  channel "labb"  expect results 1 }', 'did you mean "lab"'),
        ('test "a" { message "x.hl7"  expect message acepted }', 'did you mean "accepted"'),
        ('test "a" { message "x.hl7"  expct results 1 }', 'did you mean "expect"'),
        ('test "a" { message "x.hl7"  expect observation.cod in tests }', 'there is no field "observation.cod"'),
        ('test "a" { message "x.hl7"  expect specimen.id > 4 }', 'cannot be compared'),
        ('test "a" { message "x.hl7"  expect results many }', 'a number from 0'),
        ('test "a" { message "x.hl7"  result 0 expect drop }', 'a number from 1'),
        ('test "a" { message "x.hl7"  expect }', 'expect what?'),
        ('test "a" { message "x.hl7" }', 'expects nothing'),
        ('test "a" { expect results 1 }', 'has no message'),
        ('test "a" { message "x.hl7" message "y.hl7" expect results 1 }', 'message is set twice'),
        ('test a { message "x.hl7"  expect results 1 }', 'a test needs a name'),
        ('test "a" { message "x.hl7"  expect results 1 }\ntest "a" { message "x.hl7"  expect results 1 }', 'there is a test "a"'),
    ]
    for text, want in wrong:
        with Folder('\n' + text + '\n') as f:
            f.put('x.hl7', oru())
            f.put('y.hl7', oru())
            rc, out, err = f.verb('check')
            expect(rc == 1 and want in out and '1 error.' in out, 'for %s expected %s, not' % (text, want), out + err)


def test_trace_finds_all_that_is_known():
    with rig.Rig(seed=CASES) as r:
        r.send(oru('T1', sample='S-1'))
        r.settle()
        r.send(oru('T2', sample='S-1', value='260415000^Not detected^SCT', flag='NEG').replace(b'|||F|||', b'|||C|||').replace(b'20261105101000', b'20261106101000'))
        r.send(oru('T3', sample='S-2', person='CA-0000000077'))
        r.send(oru('T4', sample='S-3', test='99999-9^Unheard of^LN'))
        r.settle()
        ids = lambda x: [m['id'] for m in x['messages']]
        by_sample = r.json('trace', 'S-1')
        expect(ids(by_sample) == [1, 2] and [d['state'] for m in by_sample['messages'] for d in m['deliveries']] == ['delivered', 'delivered'], 'sample', by_sample)
        expect(by_sample['messages'][0]['received_us'] <= by_sample['messages'][1]['received_us'], 'order of time')
        expect(ids(r.json('trace', 'CA-0000000001')) == [1, 2], 'visual id')
        expect(ids(r.json('trace', 'T3')) == [3], 'control id')
        k = by_sample['messages'][0]['deliveries'][0]['result_key']
        expect(k == by_sample['messages'][1]['deliveries'][0]['result_key'], 'one result', by_sample)
        for key in (k, k[:8], k[:8].upper(), 'd1', 'd2'):
            expect(ids(r.json('trace', key)) == [1, 2], 'versions of a result by ' + key, r.json('trace', key))
        expect(ids(r.json('trace', 'm2')) == [2], 'message id')
        expect(ids(r.json('trace', 'T4')) == [4] and r.json('trace', 'S-3', ok=(3,))['messages'] == [], 'held before anybody is looked for: by control id only')
        r.verb('held', 'dismiss', 'd3', '--by', 'epi', '--why', 'no such case')
        text = r.verb('trace', 'S-2')[1]
        expect(' m3 ORU^R01 on lab from 127.0.0.1' in text and 'd3 OBX[1]: dismissed' in text and 'dismiss by epi: no such case' in text, 'text', text)
        expect('NO_MATCH' in text and 'm1 ' not in text, 'reason', text)
        for key in ('S-', 'S-11', 's-1', 'm99', 'd99', 'sample'):
            rc, out, err = r.verb('trace', key, check=False)
            expect(rc == 3 and not out and 'nothing is known' in err, 'only whole keys: ' + key, out + err)
        r.stop(9)
        r.start()
        expect(ids(r.json('trace', 'S-1')) == [1, 2] and ids(r.json('trace', 'T4')) == [4], 'after a crash')
        expect(r.verb('trace', 'S-1', '--limit', '0', check=False)[0] == 2, 'limit')


ANSWERS = ['--node', 'gw "1"', '--timezone', 'Africa/Kampala', '--url', 'https://godata.example/api', '--login', 'gw@lab.example', '--outbreak', 'Ebola 2026',
           '--channel', 'district-lab', '--listen', '0.0.0.0:2575', '--allow', '10.20.0.0/16', '--tables', os.path.join(rig.REPO, 'conf', 'tables')]


def init(folder, *args, stdin=b'practise-makes-perfect\n'):
    p = subprocess.run([rig.LABRELAY, 'init'] + list(args), input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder, timeout=60)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def test_init_by_flags_passes_check():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'my.conf')
        rc, out, err = init(folder, *ANSWERS, 'my.conf')
        expect(rc == 2 and 'password' in err and not os.path.exists(path), 'no password, no file', err)
        rc, out, err = init(folder, *ANSWERS, '--password-stdin', 'my.conf')
        expect(rc == 0 and 'my.conf is written and fine' in out, 'written', out + err)
        secret = os.path.join(folder, 'credentials', 'godata-password')
        expect(os.stat(secret).st_mode & 0o777 == 0o600 and open(secret).read() == 'practise-makes-perfect', 'the password')
        rc, out, err = Folder().rig.verb('check', '-c', path, conf=False)
        expect(rc == 0 and 'warning' not in out and '1 listener, 1 writer' in out, 'check', out + err)
        text = open(path).read()
        expect('node   "gw \\"1\\""' in text and 'allow    10.20.0.0/16' in text and 'practise' not in text, 'text', text)
        rc, _, err = init(folder, *ANSWERS, '--password-stdin', 'my.conf', stdin=b'other\n')
        expect(rc == 1 and 'exists already' in err and open(path).read() == text, 'never overwritten', err)
        rc, _, err = init(folder, *(a.replace('Kampala', 'Kampla') for a in ANSWERS), 'b.conf')
        expect(rc == 1 and 'Africa/Kampla' in err and not os.path.exists(os.path.join(folder, 'b.conf')), 'a wrong zone leaves nothing', err)
        for flag in ('--timezone', '--url', '--login', '--outbreak', '--allow'):
            i = ANSWERS.index(flag)
            rc, _, err = init(folder, *(ANSWERS[:i] + ANSWERS[i + 2:]), 'c.conf')
            expect(rc == 2 and flag in err, 'says what is missing', flag, err)


def test_init_asks_on_a_terminal():
    with tempfile.TemporaryDirectory() as folder:
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(folder)
            os.execv(rig.LABRELAY, ['labrelay', 'init', '--tables', os.path.join(rig.REPO, 'conf', 'tables')])
        seen, said = '', 0
        answers = [('Name of this gateway', 'my-gw'), ('Time zone', 'Africa/Lagos'), ('Go.Data API', 'https://godata.example/api'), ('E-mail', 'gw@lab.example'),
                   ('outbreak', 'Lassa 2026'), ('laboratory or analyzer', ''), ('Address', ''), ('Password', 'not-to-be-seen')]
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if select.select([fd], [], [], 1)[0]:
                try:
                    got = os.read(fd, 4096)
                except OSError:
                    break
                if not got:
                    break
                seen += got.decode()
            if said < len(answers) and re.search(answers[said][0] + r'[^\n]*: $', seen):
                os.write(fd, answers[said][1].encode() + b'\n')
                said += 1
        os.close(fd)            # ends it, if it still asks
        _, status = os.waitpid(pid, 0)
        expect(os.waitstatus_to_exitcode(status) == 0 and said == len(answers), 'init', seen)
        expect('not-to-be-seen' not in seen, 'the password is shown', seen)
        text = open(os.path.join(folder, 'labrelay.conf')).read()
        expect('"my-gw"' in text and '"Africa/Lagos"' in text and 'listen mllp "lab"' in text and '127.0.0.1:2575' in text and '"Lassa 2026"' in text, 'text', text)
        expect(Folder().rig.verb('check', '-c', os.path.join(folder, 'labrelay.conf'), conf=False)[0] == 0, 'check')


def complete(script, *words):
    line = 'COMP_WORDS=(%s); COMP_CWORD=%d; _labrelay; printf "%%s\\n" "${COMPREPLY[@]}"' % (' '.join(words), len(words) - 1)
    with tempfile.TemporaryDirectory() as empty:
        p = subprocess.run(['bash', '-c', script + '\n' + line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=empty, timeout=30)
    expect(p.returncode == 0 and not p.stderr, 'bash', p.stderr.decode())
    return p.stdout.decode().split()


def test_completion_follows_the_verbs():
    script = Folder().rig.verb('completion', 'bash', conf=False)[1]
    help_text = Folder().rig.verb('help', conf=False)[1]
    verbs = re.findall(r'^  ([\w-]+) ', help_text, re.M)
    expect(sorted(complete(script, 'labrelay', '""')) == sorted(verbs + ['help']), 'verbs', complete(script, 'labrelay', '""'), verbs)
    expect(complete(script, 'labrelay', 'held', 'rel') == ['release'], 'words')
    expect(complete(script, 'labrelay', 'queue', '--st') == ['--state'], 'flags')
    expect(complete(script, 'labrelay', 'tables', 't') == ['todo'], 'words')


def main():
    tests = [(n, f) for n, f in sorted(globals().items()) if n.startswith('test_') and (not sys.argv[1:] or any(w in n for w in sys.argv[1:]))]
    failed = 0
    for name, f in tests:
        try:
            f()
            print('ok   ' + name)
        except Exception as e:  # a test that breaks in any way has failed
            failed += 1
            print('FAIL %s: %s: %s' % (name, type(e).__name__, str(e)[:1500]))
    print('%d passed, %d failed' % (len(tests) - failed, failed))
    return 1 if failed or not tests else 0


if __name__ == '__main__':
    sys.exit(main())
