#!/usr/bin/env python3
"""mirror - the copy of Go.Data's people and lab results that a running engine keeps: first load in pages, every kind of change seen within a
round, what a restart, a lost permission, a moved server clock and another outbreak do to it, two servers side by side, and what it costs.

    tests/e2e/mirror.py [NAME...]
"""
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rig  # noqa: E402

TYPE = 'LNG_REFERENCE_DATA_CATEGORY_'
MESSAGE = '''MSH|^~\\&|ANALYZER|NORTH|LABRELAY|MOH|20261105101500||ORU^R01^ORU_R01|{control}|P|2.5.1|||||||UTF-8
PID|1||{person}^^^GODATA^PI||Nankya^Rose||19900102|F
OBR|1||F-{control}|41636-2^Ebola virus RNA^LN|||20261104|||||||||||||||20261105101500||LAB|F
OBX|1|CWE|41636-2^Ebola virus RNA^LN||260373001^Detected^SCT|||POS|||F
SPM|1|{sample}||119297000^Blood^SCT|||||||||||||20261104
'''


def people(n, visual='CA-%010d'):
    return {'cases': [{'id': 'c0000000-0000-4000-8000-%012d' % i, 'visualId': visual % i, 'lastName': 'Nankya', 'firstName': 'Rose', 'gender': TYPE + 'GENDER_FEMALE',
                       'dob': '1990-01-02T00:00:00.000Z'} for i in range(1, n + 1)]}


def expect(ok, what, seen=None):
    if not ok:
        raise rig.Failed('%s: %s' % (what, json.dumps(seen)[:1200] if not isinstance(seen, str) else seen))


def only(state):
    expect(len(state) == 1, 'one mirror', state)
    return state[0]


def counts(m):
    return m['cases'], m['contacts'], m['contacts_of_contacts'], m['lab_results']


def case_id(i):
    return 'c0000000-0000-4000-8000-%012d' % i


def work_on_the_outbreak(box, email):
    """Sets the account's active outbreak, as the administrator does (the engine has to log in again). Its token and the outbreak."""
    own = box.call('POST', '/users/login', {'email': email, 'password': rig.PASSWORD})
    box.login()
    box.call('PATCH', '/users/' + own['userId'], {'activeOutbreakId': box.outbreak}, box.token)
    return own['id'], box.outbreak


class Desk:
    """A person at Go.Data's screens: an account of its own, so that the engine's token lives."""

    def __init__(self, r):
        self.box = r.sandbox
        self.token, self.outbreak = work_on_the_outbreak(self.box, 'desk@sandbox.example')

    def __call__(self, method, path, body=None):
        return self.box.call(method, '/outbreaks/%s%s' % (self.outbreak, path), body, token=self.token)


def seeded(seed, engine_permissions=None):
    users = [{'email': 'desk@sandbox.example', 'password': rig.PASSWORD}]
    if engine_permissions is not None:
        users.append({'email': 'narrow@sandbox.example', 'password': rig.PASSWORD, 'permissions': engine_permissions})
    return dict(seed, users=users)


def send(r, control, person, sample):
    answer = r.send(rig.hl7(MESSAGE.format(control=control, person=person, sample=sample)))
    expect(b'MSA|AA|' in answer, 'AA', repr(answer))


def test_first_load_and_restart():
    with rig.Rig(seed=seeded(people(1234))) as r:
        desk = Desk(r)
        desk('POST', '/contacts', {'id': 'k1', 'firstName': 'Amina'})
        desk('POST', '/cases/%s/lab-results' % case_id(7), {'sampleIdentifier': 'S-7'})
        m = only(r.mirror())
        expect(counts(m) == (1234, 1, 0, 1), 'everything is there', m)
        text = r.verb('mirror', 'status')[1]
        expect('godata: loaded' in text and '1234 cases, 1 contacts, 0 contacts of contacts, 1 lab results' in text, 'in words', text)
        log = open(r.log_path).read()
        expect('mirror loaded' in log and 'list=people rows=1235' in log and 'list=lab-results' in log, 'progress in the log', log)
        expect('Nankya' not in log and 'CA-0000000007' not in log and 'S-7' not in log, 'no patient data in the log', log)
        r.stop()
        desk('PUT', '/cases/' + case_id(8), {'lastName': 'Auma'})
        before = r.sandbox.call('GET', '/sandbox/stats')['routes'].get('GET /outbreaks/:o/people', 0)
        began = time.monotonic()
        r.start()
        m = only(r.mirror())
        took = time.monotonic() - began
        expect(counts(m) == (1234, 1, 0, 1), 'a restart keeps everything', m)
        asked = r.sandbox.call('GET', '/sandbox/stats')['routes']['GET /outbreaks/:o/people'] - before
        print('#    ready %.2f s after a restart, %d pages of people read' % (took, asked))
        expect(r.verb('mirror', 'status', '--full', check=False)[0] == 2 and r.verb('mirror', 'status', 'x', check=False)[0] == 2, 'usage')
        expect(r.verb('mirror', 'refresh', 'nobody', check=False)[0] == 1, 'no such writer')
        r.stop()
        expect(r.verb('mirror', 'status', check=False)[0] == 3, 'no engine')
        r.start()


def test_every_kind_of_change_within_a_round():
    with rig.Rig(seed=seeded(people(20))) as r:
        desk = Desk(r)
        desk('POST', '/contacts', {'id': 'k1', 'firstName': 'Amina', 'lastName': 'Okello'})
        lab = desk('POST', '/cases/%s/lab-results' % case_id(3), {'sampleIdentifier': 'S-3'})['id']
        expect(counts(only(r.mirror())) == (20, 1, 0, 1), 'before')
        desk('POST', '/contacts/k1/convert-to-case', {})
        expect(counts(only(r.mirror())) == (21, 0, 0, 1), 'a contact becomes a case', r.json('mirror', 'status'))
        desk('DELETE', '/cases/' + case_id(3))
        expect(counts(only(r.mirror())) == (20, 0, 0, 0), 'a deleted case goes, with its results', r.json('mirror', 'status'))
        desk('POST', '/cases/%s/restore' % case_id(3), {})
        expect(counts(only(r.mirror())) == (21, 0, 0, 1), 'and comes back', r.json('mirror', 'status'))
        desk('DELETE', '/cases/%s/lab-results/%s' % (case_id(3), lab))
        desk('POST', '/cases', {'id': 'new', 'lastName': 'Wasswa', 'visualId': 'CA-9999999999'})
        desk('PUT', '/cases/' + case_id(5), {'documents': [{'type': TYPE + 'DOCUMENT_TYPE_NATIONAL_ID_CARD', 'number': 'NIC-4'}]})     # 4 is merged into 5
        desk('DELETE', '/cases/' + case_id(4))
        before = only(r.mirror())
        expect(counts(before) == (21, 0, 0, 0), 'created, merged, result deleted', before)
        after = only(r.mirror())
        expect(after['changes'] == before['changes'], 'the overlap is no change', [before, after])
        send(r, 'M1', 'CA-0000000005', 'S-5')       # and it is what matching uses
        r.settle()
        expect(r.json('show', 'm1')['deliveries'][0]['person_id'] == case_id(5), 'matched', r.json('show', 'm1'))
        expect(counts(only(r.mirror()))[3] == 1, 'our own result')


def test_an_outbreak_at_rest_costs_two_requests_a_round():
    with rig.Rig(seed=seeded(people(50))) as r:
        r.mirror()
        r.sandbox.call('POST', '/sandbox/reset-stats')
        first = only(r.mirror())
        for _ in range(4):
            last = only(r.mirror())
        stats = r.sandbox.call('GET', '/sandbox/stats')
        rounds = last['rounds'] - first['rounds'] + 1
        expect(rounds >= 4, 'rounds', [first, last])
        expect(sum(n for k, n in stats['routes'].items() if '/outbreaks/' in k) <= 2 * (rounds + 1), 'requests', [rounds, stats])
        time.sleep(2.2)
        now = only(r.json('mirror', 'status')['mirrors'])
        expect(now['rounds'] <= last['rounds'] + 1, 'nobody waits: no more rounds than every 15 s', [last, now])


def test_reading_everything_again():
    with rig.Rig(seed=seeded(people(600))) as r:
        before = only(r.mirror())
        r.verb('mirror', 'refresh', '--full')
        end = time.monotonic() + 30
        while time.monotonic() < end:
            m = only(r.json('mirror', 'status')['mirrors'])
            if all(x['all_read_us'] > before['lists'][i]['all_read_us'] for i, x in enumerate(m['lists'])):
                break
            expect(m['loaded'], 'in use meanwhile', m)
            time.sleep(0.1)
        else:
            raise rig.Failed('not read again: ' + json.dumps(m))
        expect(counts(m) == (600, 0, 0, 0) and m['changes'] == before['changes'], 'nothing changed', [before, m])


def test_the_servers_clock_is_set_back():
    with rig.Rig(seed=seeded(people(5))) as r:
        desk = Desk(r)
        r.sandbox.call('POST', '/sandbox/clock', {'stamps': 7200})
        desk('PUT', '/cases/' + case_id(1), {'lastName': 'Auma'})
        r.mirror()
        r.sandbox.call('POST', '/sandbox/clock', {'stamps': -7200})
        desk('POST', '/cases', {'id': 'new', 'lastName': 'Wasswa'})       # stamped two hours before what is known
        r.mirror()
        m = only(r.mirror())                                              # the answer before told the server's time
        expect(m['cases'] == 6, 'seen', m)
        expect('clock set back' in open(r.log_path).read(), 'told')


def test_a_permission_that_is_missing():
    enough = ['outbreak_all', 'case_all', 'contact_all', 'contact_of_contact_list', 'relationship_all', 'event_list', 'user_modify_own_account']
    with rig.Rig(seed=seeded(people(5), enough)) as r:
        text = open(r.conf).read()
        r.stop()
        with open(r.conf, 'w') as f:
            f.write(text.replace(rig.USER, 'narrow@sandbox.example'))
        work_on_the_outbreak(r.sandbox, 'narrow@sandbox.example')
        r.start()
        end = time.monotonic() + 20
        m = {'lists': [{'off': ''}] * 2}
        while time.monotonic() < end and not m['lists'][1]['off']:
            m = only(r.json('mirror', 'status', ok=(0, 1))['mirrors'])
            time.sleep(0.1)
        expect(m['lists'][1]['off_http'] == 403 and 'lab_result_list' in m['lists'][1]['off'] and not m['loaded'], 'named', m)
        rc, out, _ = r.verb('mirror', 'status', check=False)
        expect(rc == 1 and 'lab-results: OFF' in out and 'lab_result_list' in out, 'in words', out)
        expect(m['cases'] == 5, 'people are read all the same', m)
        send(r, 'M1', 'CA-0000000002', 'S-2')
        r.settle()
        expect(r.json('show', 'm1')['deliveries'][0]['state'] in ('delivered', 'held'), 'the writer works on', r.json('show', 'm1'))


def test_two_servers_side_by_side_and_another_outbreak():
    second = '''
write godata "second" {{
    url       "%s"
    login     "{user}"  password credential "godata-password"
    outbreak  "{outbreak}"
    id        "GODATA" "PI" is visual-id
}}
'''
    folder = tempfile.mkdtemp(prefix='labrelay-test.')
    other = rig.Sandbox(folder, seed=people(7, 'XX-%010d'))
    other.start()
    try:
        with rig.Rig(seed=seeded(people(3)), head=second % other.api) as r:
            state = r.mirror()
            expect(sorted((m['writer'], m['cases']) for m in state) == [('godata', 3), ('second', 7)], 'two mirrors', state)
            send(r, 'M1', 'CA-0000000002', 'S-1')
            r.settle()
            expect(r.json('show', 'm1')['deliveries'][0]['person_id'] == case_id(2), 'each its own', r.json('show', 'm1'))
            r.verb('mirror', 'refresh', 'second')
            r.stop()
            text = open(r.conf).read()
            with open(r.conf, 'w') as f:        # the first writer goes to the other server: same outbreak id there, other people
                f.write(one_writer(text, r.sandbox.api, other.api))
            r.start()
            state = r.mirror()
            expect([(m['writer'], m['cases']) for m in state] == [('godata', 7)], 'emptied and read anew', state)
            expect('mirror emptied' in open(r.log_path).read(), 'told')
    finally:
        other.stop()
        subprocess.run(['rm', '-rf', folder], check=False)


def one_writer(text, first, second):
    """Without the block of the second writer, and the first one at the other server."""
    at = text.index('write godata "second"')
    return (text[:at] + text[text.index('}', at) + 1:]).replace(first, second)


def test_the_engine_is_killed_during_the_first_load():
    with rig.Rig(seed=seeded(people(3000)), sandbox_flags=['--slow', '60']) as r:
        kills = 0
        for _ in range(4):
            time.sleep(0.35)
            if only(r.json('mirror', 'status', ok=(0, 1))['mirrors'])['loaded']:
                break
            r.stop(9)
            kills += 1
            r.start()
        m = only(r.mirror(60))
        print('#    killed %d times' % kills)
        expect(kills > 0 and counts(m) == (3000, 0, 0, 0), 'complete all the same', m)


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
