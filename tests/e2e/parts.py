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
