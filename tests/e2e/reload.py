#!/usr/bin/env python3
"""reload - another configuration while the engine runs: `labrelay reload` and SIGHUP, listeners and writers that stay, change, come and go, and N
reloads in a loop under load, half of them broken.

    reload.py [WORD ...] [--reloads N] [--p99 MS]      tests whose name has one of the words; N is 300 unless said otherwise
"""
import argparse
import http.client
import json
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import mllp  # noqa: E402
import rig  # noqa: E402
from verbs import CASES, expect, only, oru  # noqa: E402

RELOADS = 300
P99_MS = 100.0


def ask(r, **request):
    """One request by the control socket, as the verbs make it."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(60)
        s.connect(os.path.join(r.folder, 'store.db.sock'))
        s.sendall(json.dumps(request).encode() + b'\n')
        data = b''
        while True:
            part = s.recv(65536)
            if not part:
                return json.loads(data)
            data += part


def text_of(r):
    with open(r.conf) as f:
        return f.read()


def put(r, text):
    with open(r.conf + '.new', 'w') as f:
        f.write(text)
    os.rename(r.conf + '.new', r.conf)


def reload_ok(r, **more):
    a = ask(r, do='reload', by='tester', **more)
    expect(a.get('ok'), 'not reloaded:', a)
    return a


def reload_refused(r, *words):
    before = r.json('status')['engine']
    a = ask(r, do='reload', by='tester')
    expect('error' in a, 'a bad configuration was taken:', a)
    for w in words:
        expect(w in a['text'] + a['error'], 'no "%s" in' % w, a)
    after = ask(r, do='status')
    expect(after['config'] == before['config'] and after['config_number'] == before['config_number'], 'the old one must run on')
    return a


def acked(c, control, **more):
    c.send(oru(control, **more))
    reply = c.read(20)
    expect(b'MSA|AA|' + control.encode() in reply, 'no AA', reply.decode())


def test_a_rule_changes_and_the_connection_stays():
    with rig.Rig(seed=CASES) as r:
        with mllp.Client('127.0.0.1', r.mllp) as c:
            acked(c, 'A1', sample='A1')
            first = ask(r, do='status')
            put(r, text_of(r).replace('send  lab to "godata"', 'hold "wait for the ministry"'))
            a = reload_ok(r)
            only(a, listeners=1, listeners_opened=0, listeners_closed=0)
            expect(a['number'] != first['config_number'] and a['config'] != first['config'], 'another number', a)
            acked(c, 'A2', sample='A2')
            r.settle()
            one, two = (r.json('show', 'm%d' % i)['deliveries'][0] for i in (1, 2))
            only(one, state='delivered', config=first['config_number'])
            only(two, state='held', reason='RULE', config=a['number'])
        expect(r.json('verify')['balanced'], 'sums')
        out = r.verb('reload', '--by', 'amina')[1]
        expect('running configuration number %d' % a['number'] in out, 'the verb', out)


def test_sighup_is_a_reload():
    with rig.Rig(seed=CASES) as r:
        first = ask(r, do='status')
        put(r, text_of(r) + '# changed\n')
        r.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 10
        while time.monotonic() < end and ask(r, do='status')['config'] == first['config']:
            time.sleep(0.02)
        second = ask(r, do='status')
        expect(second['config_number'] == first['config_number'] + 1, 'SIGHUP', second)
        put(r, text_of(r) + 'nonsense\n')
        r.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 10
        while time.monotonic() < end and 'reload refused' not in r.log_tail(50):
            time.sleep(0.02)
        tail = r.log_tail(50)
        expect('reload refused' in tail and 'by=SIGHUP' in tail and 'nonsense' in tail, 'the log', tail)
        only(ask(r, do='status'), config=second['config'])
        put(r, text_of(r).replace('nonsense\n', ''))


BROKEN = [
    (lambda t: t.replace('listen mllp', 'listen mlpp'), 'mlpp'),
    (lambda t: t + 'route "unclosed" {\n', 'unclosed'),
    (lambda t: t.replace('observation.code in tests', 'observation.cod in tests'), 'did you mean "observation.code"'),
    (lambda t: t.replace('route "everything-else" { hold "no route" }', ''), 'last route'),
    (lambda t: t.replace('conf/tables/tests.csv', 'conf/tables/nowhere.csv'), 'nowhere.csv'),
    (lambda t: t.replace('address  127.0.0.1', 'address  127.0.0.999'), '127.0.0.999'),
    (lambda t: t.replace('credential "godata-password"', 'credential "nobody"'), 'nobody'),
    (lambda t: t.replace('timezone "Africa/Kampala"', 'timezone "Africa/Atlantis"'), 'Atlantis'),
    (lambda t: t.replace('store  "', 'store  "/tmp/elsewhere'), 'restart'),
    (lambda t: t + 'max-size 16\n', 'unknown option'),
    (lambda t: t + '\x01', 'control character'),
]


def test_a_bad_one_changes_nothing():
    with rig.Rig(seed=CASES) as r:
        good = text_of(r)
        with mllp.Client('127.0.0.1', r.mllp) as c:
            for i, (spoil, word) in enumerate(BROKEN):
                put(r, spoil(good))
                check = r.verb('check', check=False)
                if word != 'restart':
                    expect(check[0] == 1 and word in check[1], 'check takes it: %s' % word, check)
                a = ask(r, do='reload', by='tester')
                expect('error' in a and word in a['text'] + a['error'], 'broken %d: no "%s"' % (i, word), a)
                if word != 'restart':
                    expect(a['text'] == check[1], 'not the text of check', [a['text'], check[1]])
                acked(c, 'B%d' % i, sample='B%d' % i)
            put(r, BROKEN[1][0](good))
            rc, out, err = r.verb('reload', check=False)
            expect(rc == 1 and 'still running configuration number 1' in err and 'unclosed' in err, 'the verb', [rc, out, err])
            put(r, good)
            only(reload_ok(r), number=1)
        expect(r.json('verify')['balanced'], 'sums')


def test_a_failing_test_is_refused():
    with rig.Rig(seed=CASES) as r:
        with open(os.path.join(r.folder, 'positive.hl7'), 'wb') as f:
            f.write(oru('T1'))
        test = '\ntest "a positive one" {\n    message "positive.hl7"\n    expect lab.result "%s"\n}\n'
        good = text_of(r)
        put(r, good + test % 'LNG_REFERENCE_DATA_CATEGORY_LAB_TEST_RESULT_POSITIVE')
        a = reload_ok(r)
        only(a, tests=1)
        put(r, good + test % 'LNG_REFERENCE_DATA_CATEGORY_LAB_TEST_RESULT_NEGATIVE')
        b = ask(r, do='reload')
        expect('error' in b and b['tests_failed'] == 1 and 'a positive one' in b['text'], 'a failing test', b)
        only(ask(r, do='status'), config=a['config'])


SECOND = '''
listen mllp "second" {
    address  127.0.0.1:%d
    parse    hl7v2 { timezone "Africa/Kampala" }
}
'''


def closed(c):
    """The other side closes the connection, without another word."""
    try:
        c.read(5)
    except mllp.Closed as e:
        return e.partial == b''
    except mllp.Timeout:
        pass
    return False


def test_listeners_come_change_and_go():
    with rig.Rig(seed=CASES) as r:
        good, port, third = text_of(r), rig.free_port(), rig.free_port()
        with mllp.Client('127.0.0.1', r.mllp) as c:
            put(r, good + SECOND % port)
            only(reload_ok(r), listeners=2, listeners_opened=1, listeners_closed=0)
            with mllp.Client('127.0.0.1', port) as d:
                acked(d, 'S1', sample='S1')
                # the same address with another option: connections of before end, the port is never closed
                put(r, good + (SECOND % port).replace('address', 'max-connections 7\n    address'))
                only(reload_ok(r), listeners=2, listeners_opened=1, listeners_closed=1)
                expect(closed(d), 'a connection of a changed listener')
            with mllp.Client('127.0.0.1', port) as d:
                acked(d, 'S2', sample='S2')
                # a port that somebody else has: nothing changes at all
                with socket.socket() as s:
                    s.bind(('127.0.0.1', third))
                    s.listen(1)
                    put(r, good.replace('hold "no route"', 'hold "changed too"') + SECOND % third)
                    reload_refused_by = ask(r, do='reload')
                    expect('a listener cannot be opened' in reload_refused_by['error'] and 'cannot listen on' in reload_refused_by['text'], 'port', reload_refused_by)
                acked(d, 'S3', sample='S3')
                # names and ports of both change places: "lab" now listens where "second" did
                put(r, (good + SECOND % port).replace(str(r.mllp), '@').replace(str(port), str(r.mllp)).replace('@', str(port)))
                only(reload_ok(r), listeners=2, listeners_opened=2, listeners_closed=2)
                expect(closed(c) and closed(d), 'connections of changed listeners')
            with mllp.Client('127.0.0.1', port) as d:
                acked(d, 'S4', sample='S4')
            put(r, good)
            only(reload_ok(r), listeners=1, listeners_opened=1, listeners_closed=2)
        end, is_open = time.monotonic() + 5, True
        while is_open and time.monotonic() < end:
            try:
                mllp.Client('127.0.0.1', port).close()
                time.sleep(0.02)
            except ConnectionRefusedError:
                is_open = False
        expect(not is_open, 'the port is still open')
        with mllp.Client('127.0.0.1', r.mllp) as c:
            acked(c, 'S5', sample='S5')
        r.settle()
        channels = [r.json('show', 'm%d' % i)['channel'] for i in range(1, 6)]
        expect(channels == ['second', 'second', 'second', 'lab', 'lab'], 'channels', channels)
        expect(r.json('verify')['balanced'], 'sums')


def test_messages_of_a_leaving_listener_are_answered():
    """Many connections write while their listener is changed: each message is acknowledged, or the connection closes and it is sent again."""
    with rig.Rig(seed=CASES) as r:
        good, is_over, failures, sent = text_of(r), [], [], []

        def work(k):
            n = 0
            while not is_over:
                try:
                    with mllp.Client('127.0.0.1', r.mllp) as c:
                        while not is_over:
                            acked(c, 'G%d-%d' % (k, n), sample='G%d-%d' % (k, n), person='CA-000000000%d' % (k % 3 + 1))
                            time.sleep(0.004)
                            sent.append((k, n))
                            n += 1
                except mllp.Closed as e:
                    if e.partial:
                        failures.append('half an answer')
                except ConnectionResetError:
                    pass
                except Exception as e:
                    failures.append(repr(e))
                    return
        threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
        for t in threads:
            t.start()
        for i in range(20):
            put(r, good.replace('    address', '    max-connections %d\n    address' % (50 + i), 1))
            only(reload_ok(r), listeners_opened=1, listeners_closed=1)
            time.sleep(0.1)
        is_over.append(True)
        for t in threads:
            t.join()
        expect(not failures, 'failures', failures[:3])
        r.settle(120)
        v = r.json('verify')
        expect(v['balanced'] and v['frames'][0]['stored'] == len(sent) and len(sent) > 50, 'sums', v, len(sent))


def test_a_folder_changes_its_options():
    listener = rig.LISTENER + '''
listen files "folder" {{
    inbox  "{repo}/build/@"
    parse  hl7v2 {{ timezone "Africa/Kampala" }}
    settle 100ms
}}
'''
    inbox = tempfile.mkdtemp(prefix='labrelay-inbox.')
    with rig.Rig(seed=CASES, listeners=listener.replace('{repo}/build/@', inbox)) as r:
        good = text_of(r)
        for i in range(200):
            if i % 20 == 5:
                put(r, good.replace('settle 100ms', 'settle %dms' % (100 + i)))
                only(reload_ok(r), listeners_opened=1, listeners_closed=1)
            with open(os.path.join(inbox, 'f%d.tmp' % i), 'wb') as f:
                f.write(oru('F%d' % i, sample='F%d' % i))
            os.rename(f.name, f.name[:-4] + '.hl7')
        end = time.monotonic() + 30
        while time.monotonic() < end and len(os.listdir(os.path.join(inbox, 'done'))) < 200:
            time.sleep(0.05)
        expect(len(os.listdir(os.path.join(inbox, 'done'))) >= 200, 'files', r.log_tail())
        r.settle(60)
        v = r.json('verify')
        expect(v['balanced'] and sum(x['stored'] for x in v['frames']) == 200, 'sums', v)
    shutil.rmtree(inbox)


def test_a_writer_changes_goes_and_comes_back():
    with rig.Rig(seed=CASES, sandbox_flags=('--slow', '300')) as r:
        good = text_of(r)
        with mllp.Client('127.0.0.1', r.mllp) as c:
            for i in range(12):
                acked(c, 'W%d' % i, sample='W%d' % i, person='CA-000000000%d' % (i % 3 + 1))
            time.sleep(1)       # some are with couriers
            put(r, good.replace('match     by', 'couriers  2\n    match     by'))
            reload_ok(r)
            time.sleep(0.7)
            put(r, good.replace('match     by', 'couriers  3\n    match     by'))
            reload_ok(r)
            # without the writer its deliveries stay where they are
            without = re.sub(r'write godata "godata" \{.*?\n\}\n', '', good, flags=re.S).replace('send  lab to "godata"', 'hold "no writer"')
            put(r, without)
            reload_ok(r)
            expect(ask(r, do='status')['writers'] == [], 'writers')
            time.sleep(2)
            status, check = r.verb('status', check=False)[1], r.verb('check')[1]
            expect(re.search(r'godata +gone', status) and 'no writer of this name' in status, 'status', status)
            expect('results wait for the writer "godata", which is not in this configuration' in check, 'check', check)
            waiting = [d for d in r.json('queue') if d['state'] != 'held']
            acked(c, 'W12', sample='W12')
            put(r, good)
            reload_ok(r)
            expect(waiting and all(d['state'] in ('ready', 'waiting') for d in waiting), 'what waits', waiting)
        r.settle(60)
        labs = r.sandbox.lab_results()
        expect(sorted(x['sampleIdentifier'] for x in labs) == sorted('W%d' % i for i in range(13)), 'each exactly once', [x['sampleIdentifier'] for x in labs])
        expect(r.json('verify')['balanced'], 'sums')


def wait_for(what, text, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        expect(time.monotonic() < end, text)
        time.sleep(0.05)


def own_tables(r):
    """The tables of this rig in its folder, to be written to. The engine reads them from the next reload on."""
    shutil.copytree(os.path.join(rig.REPO, 'conf', 'tables'), os.path.join(r.folder, 'tables'))
    put(r, text_of(r).replace(os.path.join(rig.REPO, 'conf', 'tables'), 'tables'))


def row(r, table, **cells):
    with open(os.path.join(r.folder, 'tables', table)) as f:
        head = next(x for x in f if not x.startswith('#')).rstrip('\n').split(',')
    with open(os.path.join(r.folder, 'tables', table), 'a') as f:
        f.write(','.join(cells.get(x, '') for x in head) + '\n')


def held(r):
    return {d['id']: d['reason'] for d in r.json('held')}


def oru_of(control, test='41636-2', value='260373001', sample=None):
    return oru(control, sample=sample or control, code='%s^Something^SCT' % value, flag='').replace(b'41636-2^Ebola virus RNA', test.encode() + b'^Something')


# [bar 4 item 7]
def test_a_row_and_a_reload_release_what_waited():
    with rig.Rig(seed=CASES) as r:
        own_tables(r)
        put(r, text_of(r).replace('when  observation.code in tests', 'from  "lab"'))
        reload_ok(r)
        with mllp.Client('127.0.0.1', r.mllp) as c:
            for m in (oru_of('U1', test='99901-1'), oru_of('U2', test='99902-2'), oru_of('U3', value='999903')):
                c.send(m)
                expect(b'MSA|AA|' in c.read(20), 'no AA')
        expect(sorted(held(r).values()) == ['UNMAPPED_TEST', 'UNMAPPED_TEST', 'UNMAPPED_VALUE'], 'held', held(r))
        expect(len(r.json('tables', 'todo')) == 3, 'todo', r.json('tables', 'todo'))
        before = [r.json('show', 'm%d' % i)['deliveries'][0] for i in (1, 2, 3)]
        row(r, 'tests.csv', system='http://loinc.org', code='99901-1', kind='presence', test_type='PCR', tested_for='Ebola virus')
        reload_ok(r)
        wait_for(lambda: len(held(r)) == 2, 'the first row released nothing: %s' % r.log_tail(10))
        row(r, 'results.csv', system='http://snomed.info/sct', code='999903', outcome='POSITIVE')
        a = reload_ok(r)
        wait_for(lambda: len(held(r)) == 1, 'the second row released nothing: %s' % r.log_tail(10))
        r.settle()
        after = [r.json('show', 'm%d' % i)['deliveries'][0] for i in (1, 2, 3)]
        only(after[0], state='delivered', id=before[0]['id'], path=before[0]['path'])
        only(after[1], state='held', reason='UNMAPPED_TEST', config=before[1]['config'])
        only(after[2], state='delivered', id=before[2]['id'], config=a['number'])
        todo = r.json('tables', 'todo')
        expect(len(todo) == 1 and '99902-2' in json.dumps(todo), 'todo', todo)
        expect(len(r.sandbox.lab_results()) == 2, 'lab results')
        trail = r.verb('show', 'd%d' % after[0]['id'])[1] + r.verb('held', 'show', 'd%d' % after[0]['id'])[1]
        expect('tester' in trail and 'reload' in trail, 'the audit', trail)
        expect(r.json('verify')['balanced'], 'sums')


def test_reference_data_that_comes_later_releases():
    with rig.Rig(seed=CASES) as r:
        own_tables(r)
        row(r, 'tests.csv', system='http://loinc.org', code='99901-1', kind='presence', test_type='BRAND_NEW_TEST', tested_for='Ebola virus')
        reload_ok(r)
        with mllp.Client('127.0.0.1', r.mllp) as c:
            c.send(oru_of('R1', test='99901-1'))
            expect(b'MSA|AA|' in c.read(20), 'no AA')
        wait_for(lambda: list(held(r).values()) == ['REFDATA_MISSING'], 'held: %s' % held(r))
        # another code in the table: routed again with the reload, and held again for want of it
        token = r.sandbox.login()
        r.sandbox.call('POST', '/reference-data', {'categoryId': 'LNG_REFERENCE_DATA_CATEGORY_TYPE_OF_LAB_TEST', 'value': 'BRAND NEW TEST', 'description': '', 'active': True}, token)
        time.sleep(1)
        expect(list(held(r).values()) == ['REFDATA_MISSING'], 'it cannot be known yet')
        r.stop()
        r.start()       # reads the reference data
        wait_for(lambda: not held(r), 'still held: %s' % r.log_tail(10))
        r.settle()
        expect(len(r.sandbox.lab_results()) == 1, 'lab results')


def test_what_no_route_took_goes_on_after_a_reload():
    """A route for it, a drop, and a restart instead of a reload."""
    with rig.Rig(seed=CASES) as r:
        good = text_of(r)
        put(r, good.replace('send  lab to "godata"', 'hold "wait"'))
        reload_ok(r)
        with mllp.Client('127.0.0.1', r.mllp) as c:
            for i in range(40):
                acked(c, 'N%d' % i, sample='N%d' % i)
        expect(set(held(r).values()) == {'RULE'} and len(held(r)) == 40, 'held', held(r))
        put(r, good)
        reload_ok(r)
        wait_for(lambda: not held(r), 'still held: %s' % r.log_tail(10))
        r.settle(60)
        expect(len(r.sandbox.lab_results()) == 40, 'lab results')
        put(r, good.replace('send  lab to "godata"', 'hold "wait"'))
        reload_ok(r)
        with mllp.Client('127.0.0.1', r.mllp) as c:
            acked(c, 'N40', sample='N40')
            put(r, good.replace('send  lab to "godata"', 'drop "PRACTICE"'))
            reload_ok(r)
            wait_for(lambda: r.json('show', 'm41')['deliveries'][0]['state'] == 'dropped', 'not dropped: %s' % r.log_tail(10))
            put(r, good.replace('send  lab to "godata"', 'hold "wait"'))
            reload_ok(r)
            acked(c, 'N41', sample='N41')
        r.stop()
        put(r, good)
        r.start()
        wait_for(lambda: not held(r), 'a restart released nothing: %s' % r.log_tail(10))
        r.settle(60)
        expect(len(r.sandbox.lab_results()) == 41, 'lab results')
        expect(r.json('verify')['balanced'], 'sums')


def test_undo_diff_and_the_effective_configuration():
    with rig.Rig(seed=CASES) as r:
        own_tables(r)
        first = text_of(r)
        a = reload_ok(r)
        put(r, first.replace('hold "no route"', 'hold "no way"'))
        row(r, 'tests.csv', system='http://loinc.org', code='99901-1', kind='presence', test_type='PCR', tested_for='Ebola virus')
        second = text_of(r)
        b = reload_ok(r)
        expect(r.verb('diff')[0] == 0, 'running and disk are the same')
        rc, out, _ = r.verb('diff', str(a['number']), str(b['number']), check=False)
        expect(rc == 1 and '-route "everything-else" { hold "no route" }' in out and '+route "everything-else" { hold "no way" }' in out and
               'tests.csv (number %d)' % b['number'] in out and '+http://loinc.org,99901-1' in out, 'diff', out)
        expect(r.verb('diff', '99', check=False)[0] == 3, 'a number that is not there')
        # undo runs the texts of before; the disk keeps the new ones
        rc, out, _ = r.verb('undo', '--by', 'amina')
        expect('running configuration number %d' % a['number'] in out and 'THE FILES ON DISK ARE ANOTHER CONFIGURATION' in out, 'undo', out)
        only(ask(r, do='status'), config=a['config'], config_number=a['number'])
        expect(text_of(r) == second, 'the disk was touched')
        status = r.verb('status', check=False)[1]
        expect('config      number %d, %s, since 20' % (a['number'], a['config']) in status and 'THE FILES ON DISK ARE ANOTHER CONFIGURATION' in status, 'status', status)
        rc, out, _ = r.verb('diff', check=False)
        expect(rc == 1 and '(on disk)' in out and '+route "everything-else" { hold "no way" }' in out, 'diff', out)
        with mllp.Client('127.0.0.1', r.mllp) as c:
            acked(c, 'UN1', sample='UN1')
        # … and again: the other way round; by number; a number without texts
        only(ask(r, do='undo', by='tester'), number=b['number'])
        only(ask(r, do='undo', number=1), number=1)
        bad = ask(r, do='undo', number=77)
        expect('error' in bad and 'number 77' in bad['text'], 'no such number', bad)
        # texts back to disk, with a copy of what was there
        rc, out, _ = r.verb('undo', '--write', '--by', 'amina', str(a['number']))
        expect(text_of(r) == first and out.count('kept   ') == 2 and out.count('wrote  ') == 2, 'undo --write', out)
        copies = [f for f in os.listdir(r.folder) if re.match(r'labrelay\.conf\.\d{8}-\d{6}$', f)]
        expect(len(copies) == 1 and open(os.path.join(r.folder, copies[0])).read() == second, 'the copy', copies)
        expect(r.verb('diff')[0] == 0, 'running and disk are the same again')
        expect('THE FILES' not in r.verb('status', check=False)[1], 'status')
        runs = r.json('undo', '--list')
        expect([x['number'] for x in runs] == [a['number'], 1, b['number'], a['number'], b['number'], a['number'], 1], 'runs', runs)
        expect(runs[0]['how'] == 'undo' and runs[0]['by'] == 'amina' and runs[-1]['how'] == 'start' and all(x['is_kept'] for x in runs), 'runs', runs)
        # the whole of it passes check, keeps its meaning, and says no secret
        for which in ([], ['running'], [str(b['number'])]):
            whole = r.verb('show', '--effective', *which)[1]
            path = os.path.join(r.folder, 'effective.conf')
            with open(path, 'w') as f:
                f.write(whole)
            rc, out, err = r.verb('check', '-c', path, conf=False)
            expect(rc == 0, 'the effective configuration does not pass check', out, err)
            expect(rig.PASSWORD not in whole and 'commit-delay 5ms' in whole and 'duplicate-window 30d' in whole and 'ack-deadline 15s' in whole and
                   'retry-max 15m' in whole and whole.count('timezone') == 1, 'effective', whole)
            with open(path + '2', 'w') as f:
                f.write(r.verb('show', '-c', path, '--effective', conf=False)[1])
            strip = [x for x in whole.split('\n')[1:] if x.strip()]
            again = [x for x in open(path + '2').read().split('\n')[1:] if x.strip()]
            expect(sorted(strip) == sorted(again), 'not the same again', [x for x in again if x not in strip], [x for x in strip if x not in again])
        literal = text_of(r).replace('credential "godata-password"', '"open-secret"')
        put(r, literal)
        whole = r.verb('show', '--effective')[1]
        expect('open-secret' not in whole and 'password "hidden"' in whole, 'a secret', whole)
        put(r, first)


def test_a_broken_file_on_disk_does_not_lock_the_admin_out():
    with rig.Rig(seed=CASES) as r:
        a = reload_ok(r)
        put(r, text_of(r).replace('send  lab', 'sned  lab'))
        rc, out, err = r.verb('undo', check=False)
        expect(rc == 1 and 'no other configuration ran before' in err, 'undo', rc, out, err)
        rc, out, err = r.verb('diff', check=False)
        expect(rc == 1 and '+    sned  lab to "godata"' in out, 'diff', out, err)
        expect('THE FILES ON DISK HAVE MISTAKES' in r.verb('status', check=False)[1], 'status')
        for verb in (['status'], ['held'], ['queue'], ['verify']):
            rc, out, err = r.verb(*verb, check=False)
            expect(rc == 0 and 'number %d' % a['number'] in err, 'no answer from ' + verb[0], rc, out, err)
        rc, out, err = r.verb('undo', '--write', str(a['number']))
        expect('sned' not in text_of(r), 'undo --write', out)


def test_a_new_password_needs_no_restart():
    with rig.Rig(seed=CASES) as r:
        secret = os.path.join(r.folder, 'credentials', 'godata-password')
        reload_ok(r)
        with open(secret, 'w') as f:
            f.write('not this one\n')
        reload_ok(r)            # the same words in the configuration, another secret: the writer begins anew
        wait_for(lambda: ask(r, do='status')['writers'][0]['reason'] == 'LOGIN_FAILED', 'no login is tried with the new password')
        with mllp.Client('127.0.0.1', r.mllp) as c:
            acked(c, 'PW1', sample='PW1')
        with open(secret, 'w') as f:
            f.write(rig.PASSWORD + '\n')
        only(reload_ok(r), listeners_opened=0)
        r.settle()
        expect(len(r.sandbox.lab_results()) == 1, 'lab results')
        expect('not this one' not in r.log_tail(1000), 'a secret in the log')


def test_a_listener_that_dials_hangs_up_before_it_dials_again():
    """A device with room for one connection: the listener is its client."""
    calls, most, open_now = [], [0], []
    with socket.socket() as device:
        device.bind(('127.0.0.1', 0))
        device.listen(8)

        def serve(s):
            with s:
                while s.recv(4096):
                    pass
                open_now.remove(s)

        def accept():
            while True:
                try:
                    s, _ = device.accept()
                except OSError:
                    return
                calls.append(time.monotonic())
                open_now.append(s)
                most[0] = max(most[0], len(open_now))
                threading.Thread(target=serve, args=(s,), daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()
        dial = rig.LISTENER + SECOND.replace('{', '{{').replace('}', '}}').replace('address', 'mode client\n    address') % device.getsockname()[1]
        with rig.Rig(seed=CASES, listeners=dial) as r:
            wait_for(lambda: len(open_now) == 1, 'it does not dial')
            good = text_of(r)
            reload_ok(r)
            expect(len(calls) == 1 and len(open_now) == 1, 'a connection of an unchanged listener', calls)
            put(r, good.replace('mode client', 'mode client\n    end-wait 300ms'))
            only(reload_ok(r), listeners_opened=1, listeners_closed=1)
            wait_for(lambda: len(calls) == 2 and len(open_now) == 1, 'it does not dial again')
            put(r, good.split('listen mllp "second"')[0] + good[good.index('write godata'):])
            only(reload_ok(r), listeners_opened=0, listeners_closed=1)
            wait_for(lambda: not open_now, 'it does not hang up')
            expect(most[0] == 1, 'two connections at a time')
        device.shutdown(socket.SHUT_RDWR)


def post(port, path, body):
    c = http.client.HTTPConnection('127.0.0.1', port, timeout=20)
    c.request('POST', path, body, {'Content-Type': 'x-application/hl7-v2+er7'})
    status = c.getresponse().status
    c.close()
    return status


def test_an_http_listener_changes():
    port = rig.free_port()
    listen = rig.LISTENER + 'listen http "ehr" {{\n    address 127.0.0.1:%d\n    parse hl7v2 {{ timezone "Africa/Kampala" }}\n}}\n' % port
    with rig.Rig(seed=CASES, listeners=listen) as r:
        good = text_of(r)
        expect(post(port, '/hl7', oru('H0', sample='H0')) == 200, 'before')
        for i in range(1, 6):
            put(r, good.replace('listen http "ehr" {', 'listen http "ehr" {\n    hl7-path "/in%d"' % i))
            only(reload_ok(r), listeners_opened=1, listeners_closed=1)
            wait_for(lambda: post(port, '/in%d' % i, oru('H%d' % i, sample='H%d' % i)) == 200, 'path %d' % i)
        r.settle()
        expect(len(r.sandbox.lab_results()) == 6 and r.json('verify')['balanced'], 'sums')


class Load:
    """Sends on one connection until it is told to stop; a lost connection or a reply other than AA is a failure."""

    def __init__(self, r, name):
        self.r, self.name, self.n, self.ms, self.failure, self.is_over = r, name, 0, [], None, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            with mllp.Client('127.0.0.1', self.r.mllp) as c:
                while not self.is_over:
                    self.n += 1
                    control = '%s%d' % (self.name, self.n)
                    at = time.monotonic()
                    acked(c, control, sample=control, person='CA-000000000%d' % (self.n % 3 + 1))
                    self.ms.append((time.monotonic() - at) * 1000)
                    time.sleep(0.02)
        except Exception as e:
            self.failure = '%s: %s' % (type(e).__name__, e)

    def stop(self):
        self.is_over = True
        self.thread.join()
        expect(not self.failure, 'connection %s: %s' % (self.name, self.failure))


def rss_kb(pid):
    with open('/proc/%d/status' % pid) as f:
        return int(re.search(r'VmRSS:\s+(\d+)', f.read()).group(1))


def test_many_reloads_under_load():
    with rig.Rig(seed=CASES) as r:
        good = text_of(r)
        loads = [Load(r, 'L%d' % i) for i in range(4)]
        took, rss, n_good, n_bad, at = [], [], 0, 0, time.monotonic()
        try:
            for i in range(RELOADS):
                if i % 2:
                    spoil, word = BROKEN[i // 2 % len(BROKEN)]
                    put(r, spoil(good))
                    a = ask(r, do='reload', by='loop')
                    expect('error' in a and word in a['text'] + a['error'], 'reload %d: no "%s"' % (i, word), a)
                    n_bad += 1
                else:
                    put(r, good.replace('send  lab to', 'set   lab.quantitative_result = "%d"\n    send  lab to' % (i % 50)) if i % 4 else good)
                    a = reload_ok(r)
                    took.append(a['took_us'] / 1000)
                    n_good += 1
                if i % 50 == 0:
                    rss.append(rss_kb(r.process.pid))
        finally:
            for x in loads:
                x.is_over = True
        for x in loads:
            x.stop()
        seconds = time.monotonic() - at
        put(r, good)
        r.settle(60)
        ms = sorted(x for load in loads for x in load.ms)
        p99 = ms[int(len(ms) * 0.99)]
        v = r.json('verify')
        print('     %d reloads (%d refused) in %.0f s, a good one %.1f ms median %.1f ms most; %d messages, ack p50 %.1f ms p99 %.1f ms most %.1f ms; '
              'RSS %d kB after %d, %d kB at the end'
              % (n_good + n_bad, n_bad, seconds, sorted(took)[len(took) // 2], max(took), len(ms), ms[len(ms) // 2], p99, ms[-1],
                 rss[min(4, len(rss) - 1)], min(4, len(rss) - 1) * 50, rss[-1]), flush=True)
        expect(v['balanced'], 'sums', v)
        expect(v['frames'][0]['stored'] == len(ms), 'stored', v)
        expect(p99 < P99_MS, 'p99 of the ACK is %.1f ms' % p99)
        expect(len(rss) < 12 or rss[-1] < rss[4] * 1.25 + 8192, 'memory grows', rss)


def main():
    global RELOADS, P99_MS
    p = argparse.ArgumentParser()
    p.add_argument('words', nargs='*')
    p.add_argument('--reloads', type=int, default=RELOADS)
    p.add_argument('--p99', type=float, default=P99_MS, help='bound in ms; a build for races is slower')
    a = p.parse_args()
    RELOADS, P99_MS = a.reloads, a.p99
    tests = [(n, f) for n, f in sorted(globals().items()) if n.startswith('test_') and (not a.words or any(w in n for w in a.words))]
    failed = 0
    for name, f in tests:
        try:
            f()
            print('ok   ' + name, flush=True)
        except Exception as e:  # a test that breaks in any way has failed
            failed += 1
            print('FAIL %s: %s: %s' % (name, type(e).__name__, str(e)[:1500]), flush=True)
    print('%d passed, %d failed' % (len(tests) - failed, failed))
    return 1 if failed or not tests else 0


if __name__ == '__main__':
    sys.exit(main())
