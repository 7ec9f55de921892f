#!/usr/bin/env python3
"""backup - a copy of a running store, a store put back, a store lost: whatever comes again, Go.Data holds each result once.

Each function is one test; `labrelay sandbox` stands for Go.Data.
"""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import mllp  # noqa: E402
import rig  # noqa: E402
from retention import Rig, until  # noqa: E402
from verbs import expect, only, oru  # noqa: E402


def message(i, **more):
    return oru('M%d' % i, sample='S-%d' % i, person='CA-%010d' % (1 + i % 3), **more)


def send(r, numbers, **more):
    with mllp.Client('127.0.0.1', r.mllp) as c:
        for i in numbers:
            c.send(message(i, **more))
            answer = c.read(20)
            expect(b'MSA|AA|' in answer, 'no AA', str(answer[-80:]))


def samples(r):
    return sorted(x['sampleIdentifier'] for x in r.sandbox.lab_results())


def once(r, n):
    expect(samples(r) == sorted('S-%d' % i for i in range(n)), 'each result once', samples(r))
    expect(r.json('verify')['balanced'], 'sums')


def test_a_backup_under_load_is_whole_and_keeps_nobody_waiting():
    with Rig() as r:
        pad = b'\rNTE|1||' + b'x' * 20000 + b'\rSPM'
        with mllp.Client('127.0.0.1', r.mllp) as c:
            for i in range(1500):           # some 30 MB
                c.send(message(i).replace(b'\rSPM', pad))
                expect(b'MSA|AA|' in c.read(20), 'no AA')
        took, is_over, sent = [], [], [1500]

        def load():
            with mllp.Client('127.0.0.1', r.mllp) as c:
                while not is_over:
                    t0 = time.monotonic()
                    c.send(message(sent[0]))
                    expect(b'MSA|AA|' in c.read(20), 'no AA')
                    took.append(time.monotonic() - t0)
                    sent[0] += 1
        t = threading.Thread(target=load)
        t.start()
        try:
            time.sleep(1)
            before = len(took)
            path = os.path.join(r.folder, 'copy.db')
            x = r.json('backup', path)
            during = sorted(took[before:])
        finally:
            is_over.append(1)
            t.join()
        expect(len(during) > 10, 'nothing was acknowledged meanwhile', len(during))
        p99 = during[len(during) * 99 // 100]
        expect(p99 < 0.5, 'acknowledgements waited: p99 %.0f ms of %d' % (p99 * 1000, len(during)))
        print('     %.1f MB copied; %d acknowledgements meanwhile, median %.1f, p99 %.1f ms; before: median %.1f ms' % (
            x['bytes'] / 2**20, len(during), during[len(during) // 2] * 1000, p99 * 1000, sorted(took[:before])[before // 2] * 1000))
        expect(os.stat(path).st_mode & 0o777 == 0o600, 'mode', oct(os.stat(path).st_mode))
        expect(not [n for n in os.listdir(r.folder) if n.startswith('copy.db') and n != 'copy.db'], 'something was left beside it', os.listdir(r.folder))
        expect(1500 <= x['messages'] <= sent[0], 'messages', x)
        rc, _, err = r.verb('backup', path, check=False)
        expect(rc == 1 and 'nothing is overwritten' in err, 'an existing file', err)
        other = os.path.join(r.folder, 'other.db')
        y = r.json('restore', '--to', other, '--by', 'admin', path)
        only(y, messages=x['messages'], deliveries=x['deliveries'])
        r.settle(120)
        r.stop()
        text = open(r.conf).read()
        with open(r.conf, 'w') as f:
            f.write(text.replace(r.store_path, other))
        v = r.json('verify')
        expect(v['balanced'] and v['observations']['messages'] == x['messages'], 'the copy does not balance', v)
        with open(r.conf, 'w') as f:
            f.write(text)


def test_what_was_delivered_after_the_backup_is_not_doubled():
    with Rig(writer_options='settle-unknown 1s') as r:
        send(r, range(20))
        r.settle()
        r.sandbox.stop()
        send(r, range(20, 40))              # waits when the copy is taken
        copy = os.path.join(r.folder, 'copy.db')
        r.verb('backup', copy)
        r.sandbox_again()
        r.settle(60)
        send(r, range(40, 90))              # fifty more, which the copy knows nothing of
        send(r, range(0, 5), issued='20261106101000', code='260415000^Not detected^SCT', flag='NEG', status='C', obr='C')
        r.settle(60)
        once(r, 90)
        r.stop()
        rc, _, err = r.verb('restore', copy, '--by', 'admin', check=False)
        expect(rc == 1 and 'is newer' in err and '--force' in err, 'a newer store is not replaced by itself', err)
        x = r.json('restore', copy, '--by', 'admin', '--force')
        expect(x['messages'] == 40 and os.path.exists(x['kept']), 'kept aside', x)
        r.start()
        r.settle(60)                        # what waited then is found in Go.Data
        once(r, 90)
        send(r, range(0, 90))               # the laboratories send that time again
        send(r, range(0, 5), issued='20261106101000', code='260415000^Not detected^SCT', flag='NEG', status='C', obr='C')
        r.settle(120)
        once(r, 90)
        expect(not r.json('queue'), 'held after the restore', [(d['reason'], d['path']) for d in r.json('queue')][:5])
        corrected = [x for x in r.sandbox.lab_results() if x['result'].endswith('NEGATIVE')]
        expect(len(corrected) == 5, 'the corrections', len(corrected))
        new = [m['id'] for m in r.json('trace', 'S-70')['messages']]
        expect(new and new[0] > 1000000, 'an id of before was given again', new)
        db = rig.json.loads(r.verb('show', 'm1', '--json')[1])
        only(db['deliveries'][0], state='delivered')


def test_a_lost_store_doubles_nothing():
    with Rig() as r:
        send(r, range(30))
        send(r, range(0, 3), issued='20261106101000', code='260415000^Not detected^SCT', flag='NEG', status='C', obr='C')
        r.settle()
        once(r, 30)
        before = {x['sampleIdentifier']: (x['id'], x['result']) for x in r.sandbox.lab_results()}
        r.stop()
        for end in ('', '-wal', '-shm'):
            if os.path.exists(r.store_path + end):
                os.unlink(r.store_path + end)
        r.start()
        send(r, range(0, 3), issued='20261106101000', code='260415000^Not detected^SCT', flag='NEG', status='C', obr='C')
        r.settle()
        send(r, range(3, 30))
        r.settle()
        once(r, 30)
        expect({x['sampleIdentifier']: (x['id'], x['result']) for x in r.sandbox.lab_results()} == before, 'Go.Data changed')
        states = [(d['state'], d['remote_id']) for i in range(4, 31) for d in r.json('show', 'm%d' % i)['deliveries']]
        expect(all(s == 'delivered' and rid for s, rid in states), 'the keys are known again', states[:3])
        # and a correction finds what was written by the store that is lost
        send(r, range(10, 13), issued='20261107101000', code='260415000^Not detected^SCT', flag='NEG', status='C', obr='C')
        r.settle()
        once(r, 30)
        expect(len([x for x in r.sandbox.lab_results() if x['result'].endswith('NEGATIVE')]) == 6, 'the corrections')


def test_restore_refuses_what_is_no_sound_copy():
    with Rig() as r:
        send(r, range(3))
        r.settle()
        copy, bad, other = (os.path.join(r.folder, n) for n in ('copy.db', 'bad.db', 'to.db'))
        r.verb('backup', copy)
        rc, _, err = r.verb('restore', copy, '--by', 'admin', '--force', check=False)
        expect(rc == 1 and 'in use by another labrelay' in err, 'an engine runs', err)
        expect(not [n for n in os.listdir(r.folder) if '.restoring' in n or '.replaced' in n], 'left behind', os.listdir(r.folder))
        expect(r.verb('restore', copy, check=False)[0] == 2, '--by is needed')
        data = open(copy, 'rb').read()
        for content in (b'', b'SQLite format 3\0' + b'\0' * 4096, data[:len(data) // 2], data[:8192] + b'\xff' * 8192 + data[16384:], b'no store at all' * 1000):
            with open(bad, 'wb') as f:
                f.write(content)
            rc, _, err = r.verb('restore', bad, '--to', other, '--by', 'admin', check=False)
            expect(rc == 1 and err and not os.path.exists(other), 'a damaged copy of %d bytes' % len(content), err)
        rc, _, err = r.verb('restore', os.path.join(r.folder, 'nowhere'), '--to', other, '--by', 'admin', check=False)
        expect(rc == 1, 'no such file', err)
        rc, _, err = r.verb('backup', os.path.join(r.folder, 'no', 'folder.db'), check=False)
        expect(rc == 1 and 'cannot create' in err, 'no such folder', err)
        r.stop()
        r.verb('restore', copy, '--by', 'admin')        # as new as the store: nothing is lost by it
        r.start()
        expect(r.json('verify')['balanced'] and len(r.sandbox.lab_results()) == 3, 'sums')


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
