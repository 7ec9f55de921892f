#!/usr/bin/env python3
"""erase - one person's messages go on request, and nobody else's: store, log, mirror, files; what is open stays unless told.

Each function is one test; `labrelay sandbox` stands for Go.Data.
"""
import os
import sqlite3
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rig  # noqa: E402
from retention import Rig, until  # noqa: E402
from verbs import expect, only, oru  # noqa: E402

FILES = '''
listen files "inbox" {{ inbox "{dir}/inbox"  settle 10ms  rescan 200ms  parse hl7v2 {{ timezone "Africa/Kampala" }} }}
'''
ONE, TWO, THREE = 'CA-0000000001', 'CA-0000000002', 'CA-0000000003'
NAMES = b'Zzyxa^Qwertine'       # of his street: they stand nowhere else


def his(control, sample, person=ONE, **more):
    return oru(control, person=person, sample=sample, **more).replace(b'|F\rOBR', b'|F|||' + (NAMES if person == ONE else b'Road') + b'\rOBR')


def fill(r):
    """m1 m2 by the visual id, m3 by a document and the same case, m4 refused, m5 two others; ONE is the person."""
    for m in (his('A1', 'S-1'), his('A2', 'S-2'), his('A3', 'S-3'), his('A4', 'S-4').replace(b'OBX|1|CWE|41636-2^Ebola virus RNA^LN', b'OBX|1|CWE|'),
              his('B1', 'S-5', TWO), his('B2', 'S-6', THREE)):
        r.send(m)
    r.settle()


def erase(r, *flags, code=0):
    rc, out, err = r.verb('erase', *flags, check=False)
    expect(rc == code, 'exit %d, not %d: ' % (rc, code), out + err)
    return out


def bytes_of(r):
    return b''.join(open(r.store_path + x, 'rb').read() for x in ('', '-wal') if os.path.exists(r.store_path + x))


def test_a_person_is_erased_and_nobody_else():
    with Rig() as r:
        fill(r)
        labs = r.sandbox.lab_results()
        x = r.json('erase', '--person', ONE)
        expect(sorted(m['id'] for m in x['messages']) == [1, 2, 3, 4] and not x['done'] and x['persons'] == 1, 'told', x)
        expect(r.verb('show', 'm1')[0] == 0, 'a look erased')
        expect(NAMES.split(b'^')[0] in bytes_of(r), 'it was never there')
        x = r.json('erase', '--person', ONE, '--by', 'officer', '--reason', 'request 17')
        expect([m['result'] for m in x['messages']] == ['erased'] * 4 and x['known'] > 0, 'erased', x)
        for i in (1, 2, 3, 4):
            expect(r.verb('show', 'm%d' % i, check=False)[0] == 3, 'm%d is there' % i)
        only(r.json('show', 'm5')['deliveries'][0], state='delivered')
        only(r.json('show', 'm6')['deliveries'][0], state='delivered')
        expect(r.verb('trace', ONE, check=False)[0] == 3 and r.verb('trace', 'S-2', check=False)[0] == 3, 'trace knows it')
        v = r.json('verify')
        expect(v['balanced'] and v['erased_observations'] >= 3, 'sums', v)
        time.sleep(2.5)             # the log is emptied when the engine has a moment
        left = bytes_of(r)
        for word in (NAMES.split(b'^')[0], NAMES.split(b'^')[1], b'S-2"', b'F-S-3'):
            expect(word not in left, 'still in the file:', word.decode())
        expect(r.sandbox.lab_results() == labs, 'Go.Data is not ours to erase')
        r.stop()
        db = sqlite3.connect(r.store_path)
        audit = db.execute('SELECT who,action,message,reason FROM audit').fetchall()
        db.close()
        expect([a for a in audit if a[1] == 'erase'] == [('officer', 'erase', i, 'request 17') for i in (1, 2, 3, 4)], 'audit', audit)
        r.start()
        r.send(his('A9', 'S-2'))    # it comes again: found in Go.Data, not doubled
        r.settle()
        expect(len(r.sandbox.lab_results()) == len(labs), 'doubled')
        expect(r.json('verify')['balanced'], 'sums')


def test_what_is_open_is_left_unless_told():
    with Rig() as r:
        fill(r)
        r.send(his('H1', 'S-7', person=ONE, dob='19700101'))        # held: another birth date
        r.sandbox.stop()
        r.send(his('W1', 'S-8', person=ONE))                        # waits
        until(lambda: r.json('show', 'm8')['deliveries'][0]['state'] in ('waiting', 'ready'), 10, 'it does not wait')
        only(r.json('show', 'm7')['deliveries'][0], state='held')
        out = erase(r, '--person', ONE, '--by', 'officer', '--reason', 'request 18', code=1)
        expect('m7' in out and 'm8' in out and 'm1' not in out and 'left (open)' in out, 'named', out)
        only(r.json('show', 'm7')['deliveries'][0], state='held')
        expect(r.json('verify')['balanced'], 'sums')
        out = erase(r, '--person', ONE, '--by', 'officer', '--reason', 'request 18', '--anyway')
        expect('erased: 2 messages' in out, 'anyway', out)
        expect(r.verb('show', 'm7', check=False)[0] == 3 and r.verb('show', 'm8', check=False)[0] == 3, 'they are there')
        r.sandbox_again()
        time.sleep(1.5)
        r.settle()
        expect(not [x for x in r.sandbox.lab_results() if x['sampleIdentifier'] in ('S-7', 'S-8')], 'what was erased was written')
        expect(r.json('verify')['balanced'], 'sums')


def test_without_an_engine_and_files_too():
    r = Rig(listeners=rig.LISTENER + FILES)
    os.mkdir(os.path.join(r.folder, 'inbox'))
    with r:
        fill(r)
        inbox = os.path.join(r.folder, 'inbox')
        for name, content in (('his.hl7', his('F1', 'S-21')), ('other.hl7', his('F2', 'S-22', TWO)), ('bad.hl7', b'nonsense of ' + ONE.encode())):
            with open(os.path.join(r.folder, name), 'wb') as f:
                f.write(content)
            os.rename(os.path.join(r.folder, name), os.path.join(inbox, name))
        until(lambda: len(os.listdir(inbox + '/done')) == 2 and os.path.exists(inbox + '/error/bad.hl7'), 20, 'the files were not taken')
        r.settle()
        r.stop()
        x = r.json('erase', '--person', ONE)
        only(x, files=2)
        erase(r, '--person', ONE, '--by', 'officer', '--reason', 'request 19')
        expect(os.listdir(inbox + '/done') == ['other.hl7'] and 'bad.hl7' not in os.listdir(inbox + '/error'), 'files', os.listdir(inbox + '/done'))
        expect(NAMES.split(b'^')[0] not in bytes_of(r), 'still in the file')
        expect(r.json('verify')['balanced'], 'sums')
        r.start()
        expect(len([m for m in range(1, 10) if r.verb('show', 'm%d' % m, check=False)[0] == 0]) == 3, 'the others stay')


def test_keys_are_whole_words_and_messages_of_several_are_named():
    with Rig() as r:
        r.send(his('A1', 'S-1'))
        r.send(his('B1', 'S-11', TWO))                              # S-1 is only a part of it
        both = his('C1', 'S-31').rstrip(b'\r') + b'\r' + his('C1', 'S-32', TWO).split(b'\r', 1)[1]
        r.send(both)
        r.settle()
        x = r.json('erase', '--person', 'S-1')
        ids = {m['id']: m for m in x['messages']}
        expect(2 not in ids and ids[1]['others'] == 0, 'a part of a word', x)
        x = r.json('erase', '--person', ONE)
        ids = {m['id']: m for m in x['messages']}
        expect(set(ids) == {1, 3} and ids[3]['others'] > 0, 'two persons in one message', x)
        out = erase(r, '--person', ONE, '--by', 'officer', '--reason', 'request 20', code=1)
        expect('m3' in out and 'left (others)' in out, 'left', out)
        expect(r.verb('erase', '--person', 'CA-0000000077', check=False)[0] == 3, 'nobody')
        expect(r.verb('erase', check=False)[0] == 2 and r.verb('erase', '--person', ONE, '--by', 'me', check=False)[0] == 2, 'usage')
        expect(r.verb('erase', '--person', 'S-', check=False)[0] == 2, 'a key that stands everywhere')


def main():
    tests = [(n, f) for n, f in sorted(globals().items()) if n.startswith('test_') and (not sys.argv[1:] or any(w in n for w in sys.argv[1:]))]
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
