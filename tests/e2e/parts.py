#!/usr/bin/env python3
"""parts - what goes over more than one message: sequence numbers, and messages sent in parts (DSC).

Each function is one test; `labrelay sandbox` stands for Go.Data. The engine is killed and started again between the parts.
"""
import os
import signal
import sqlite3
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rig  # noqa: E402
from rig import hl7  # noqa: E402

SEQUENCE = rig.LISTENER.replace('hl7v2 {{', 'hl7v2 {{ sequence yes ')
CASES = {'cases': [
    {'id': 'c0000000-0000-4000-8000-000000000001', 'visualId': 'CA-0000000001', 'firstName': 'Amina', 'lastName': 'Okello', 'dob': '1988-03-14',
     'gender': 'LNG_REFERENCE_DATA_CATEGORY_GENDER_FEMALE'}]}
MSH = 'MSH|^~\\&|%s|LAB|LABRELAY|MOH|20261105101500+0300||ORU^R01^ORU_R01|%s|P|2.5.1|%s|%s|%s|%s||UNICODE UTF-8'
BODY = '''PID|1||CA-0000000001^^^GODATA^PI||Okello^Amina^^^^^L||19880314|F
OBR|1||F-1|41636-2^Ebola virus RNA^LN|||20261104083000+0300|||||||||||||||20261105101000+0300||MB|F
OBX|1|CWE|41636-2^Ebola virus RNA^LN|1|260373001^Detected^SCT||Not detected|POS|||F|||20261104083000+0300
SPM|1|^S-1||119297000^Blood^SCT|||||||P||||||20261104083000+0300'''


def msh(control, number='', pointer='', accept='', application='', app='DEV'):
    return MSH % (app, control, number, pointer, accept, application)


def expect(condition, text, *more):
    if not condition:
        raise rig.Failed(text + ''.join(' %r' % (m,) for m in more))


def msa(reply):
    """MSA-1, MSA-2 and MSA-4 of a reply."""
    lines = [l for l in reply.split(b'\r') if l.startswith(b'MSA|')]
    expect(len(lines) == 1, 'one MSA expected', reply)
    f = lines[0].decode().split('|') + [''] * 4
    return f[1], f[2], f[4]


def balanced(r):
    v = r.json('verify')
    expect(v['balanced'], 'the sums', v)
    return v


# [item 46]
def test_sequence_numbers_follow_the_table():
    n = [0]

    def say(r, number, body=BODY, **more):
        n[0] += 1
        got = msa(r.send(hl7(msh('N%d' % n[0], number, **more) + ('\n' + body if body else ''))))
        expect(got[1] == 'N%d' % n[0], 'MSA-2', got)
        return got[0], got[2]

    with rig.Rig(seed=CASES, listeners=SEQUENCE) as r:
        expect(say(r, '0', None) == ('AA', '-1'), 'a query before there is a number')
        expect(say(r, '-1', None) == ('AA', '-1'), 'no number, still none')
        expect(say(r, '7') == ('AA', '7'), 'the first number is taken')
        expect(say(r, '8') == ('AA', '8'), 'the expected number')
        expect(say(r, '8') == ('AR', '9'), 'one that was there: our answer was lost')
        expect(say(r, '11') == ('AR', '9'), 'two ahead')
        expect(say(r, '11', accept='AL', application='AL') == ('CE', '9'), 'the same in enhanced mode')
        expect(say(r, '0', None) == ('AA', '9'), 'a query')
        expect(say(r, '1', app='OTHER') == ('AA', '1'), 'another sender counts for itself')
        expect(say(r, '') == ('AA', ''), 'no number: the protocol is not in use')
        expect(say(r, 'A7') == ('AA', ''), 'what is no number is none')
        r.stop(signal.SIGKILL)
        r.start()
        expect(say(r, '12') == ('AR', '9'), 'the number outlives the process')
        expect(say(r, '9') == ('AA', '9'), 'and goes on')
        expect(say(r, '10', BODY.replace('|||F|', '|||Q|')) == ('AE', '10'), 'a wrong content has a right number')
        expect(say(r, '-1', None) == ('AA', '-1'), 'a new beginning')
        expect(say(r, '100') == ('AA', '100'), 'with any number')
        balanced(r)
        m = r.json('show', 'm5')
        expect(m['state'] == 'refused' and m['reason'].startswith('HL7_207 MSH^1^13'), 'the refusal says why', m)


# [item 46]
def test_without_the_option_the_number_is_not_looked_at():
    with rig.Rig(seed=CASES) as r:
        for i, number in enumerate(('7', '7', '42', 'x')):
            expect(msa(r.send(hl7(msh('N%d' % i, number) + '\n' + BODY))) == ('AA', 'N%d' % i, ''), 'not in use', number)
        expect(msa(r.send(hl7(msh('E', '0'))))[0] == 'AE', 'an empty message stays refused')


FIRST = BODY.split('\n')[:2] + ['OBX|1|CWE|41636-2^Ebola virus RNA^LN|1|260373001^Dete', 'ADD', 'DSC|P-1|F']
LAST = ['ADD|cted^SCT||Not detected|POS|||F|||20261104083000+0300', BODY.split('\n')[3]]


def sent(r, control, lines, **more):
    return msa(r.send(hl7('\n'.join([msh(control, **more)] + lines))))


# [item 44]
def test_parts_are_one_message():
    with rig.Rig(seed=CASES) as r:
        expect(sent(r, 'A1', FIRST)[:2] == ('AA', 'A1'), 'each part is acknowledged for itself')
        m = r.json('show', 'm1')
        expect(m['state'] == 'stored' and m['reason'] == 'CONTINUED' and not m['deliveries'], 'a part waits', m)
        expect(balanced(r)['observations']['in_originals'] == 1, 'the sums while it waits')
        r.stop(signal.SIGKILL)
        r.start()
        expect(sent(r, 'A1', FIRST)[:2] == ('AA', 'A1'), 'a part sent again')
        expect(sent(r, 'B2', LAST, pointer='P-1', app='OTHER')[0] == 'AE', 'a part of another sender is none of it')
        expect(sent(r, 'B3', LAST, pointer='P-9')[0] == 'AE', 'nor is one that names another part')
        expect(sent(r, 'A2', LAST, pointer='P-1')[:2] == ('AA', 'A2'), 'the last part')
        expect(sent(r, 'A2', LAST, pointer='P-1')[:2] == ('AA', 'A2'), 'and again')
        r.settle()
        labs = r.sandbox.lab_results()
        expect(len(labs) == 1 and labs[0]['result'].endswith('_POSITIVE') and labs[0]['sampleIdentifier'] == 'S-1', 'one result of both', labs)
        v = balanced(r)
        frames = v['frames'][0]
        expect((frames['received'], frames['stored'], frames['duplicate'], frames['refused']) == (6, 2, 2, 2), 'frames', frames)
        expect(v['observations']['part-of'] == 1 and v['observations']['deliveries']['delivered'] == 1, 'observations', v)
        joined = [m for m in (r.json('show', 'm%d' % i) for i in range(1, 6)) if m['reason'] == 'JOINED']
        expect(len(joined) == 1 and joined[0]['control_id'] == 'A1' and joined[0]['deliveries'][0]['state'] == 'delivered', 'the joined message', joined)
        raw = r.verb('show', 'm%d' % joined[0]['id'], '--raw')[1].encode()
        expect(raw == hl7('\n'.join([msh('A1')] + FIRST[:3] + LAST)), 'its bytes', raw)


# [item 44]
def test_three_parts_and_two_sets_at_once():
    one = ['OBX|%d|ST|local-%d^A local test^L||text %d||||||F' % (i, i, i) for i in range(1, 4)]
    head = BODY.split('\n')[:2]
    with rig.Rig(seed=CASES) as r:
        for control, lines, more in (('A1', head + [one[0], 'DSC|A|F'], {}), ('B1', head + [one[0], 'DSC|B|F'], {}),
                                     ('A2', [one[1], 'DSC|A-2|F'], {'pointer': 'A'}), ('B2', [one[1]], {'pointer': 'B'}),
                                     ('A3', [one[2]], {'pointer': 'A-2', 'accept': 'AL', 'application': 'NE'})):
            expect(sent(r, control, lines, **more)[:2] == ('CA' if 'accept' in more else 'AA', control), 'reply to ' + control)
        joined = {m['control_id']: m for m in (r.json('show', 'm%d' % i) for i in range(1, 8)) if m['reason'] == 'JOINED'}
        expect(sorted((k, m['observations'], len(m['deliveries'])) for k, m in joined.items()) == [('A1', 3, 3), ('B1', 2, 2)], 'joined', joined)
        expect(balanced(r)['observations']['in_originals'] == 10, 'five in parts, five joined')
        # a DSC about a query, or an empty one, is no part
        expect(sent(r, 'C1', head + [one[0], 'DSC|Q|I'])[0] == 'AA' and r.json('show', 'm8')['reason'] == '', 'interactive')
        expect(sent(r, 'C2', head + [one[0], 'DSC'])[0] == 'AA' and r.json('show', 'm9')['reason'] == '', 'empty')
        balanced(r)


# [item 44]
def test_a_missing_part_is_noticed():
    with rig.Rig(seed=CASES) as r:
        sent(r, 'A1', BODY.split('\n')[:3] + ['DSC|P-1|F'])
        bad = sent(r, 'A2', [BODY.split('\n')[2].replace('|||F|', '|||Q|')], pointer='P-1')
        expect(bad[0] == 'AE', 'a whole that is refused refuses its last part', bad)
        time.sleep(1.2)
        expect(r.json('show', 'm1')['reason'] == 'CONTINUED' and r.json('held', 'list') == [], 'it waits')
        r.stop(signal.SIGKILL)
        db = sqlite3.connect(os.path.join(r.folder, 'store.db'))
        n = db.execute('UPDATE fragment SET us=us-600000000').rowcount     # ten minutes go by
        db.commit()
        db.close()
        expect(n == 1, 'one part waits', n)
        r.start()
        end = time.monotonic() + 20
        while not r.json('held', 'list') and time.monotonic() < end:
            time.sleep(0.1)
        held = r.json('held', 'list')
        expect([d['reason'] for d in held] == ['INCOMPLETE_CONTINUATION'], 'held', held)
        expect('alarm kind=parts-missing subject=' in open(r.log_path).read(), 'the alarm', r.log_tail())
        m = r.json('show', 'm%d' % held[0]['message'])
        expect(m['reason'] == 'INCOMPLETE_CONTINUATION' and m['state'] == 'stored', 'the message that is given up', m)
        expect(r.sandbox.lab_results() == [], 'nothing is written')
        balanced(r)
        expect(sent(r, 'A3', [BODY.split('\n')[2]], pointer='P-1')[0] == 'AA', 'too late: not sent as if it were whole')
        expect([d['reason'] for d in r.json('held', 'list')] == ['INCOMPLETE_CONTINUATION'] * 2, 'held as well')
        balanced(r)


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
