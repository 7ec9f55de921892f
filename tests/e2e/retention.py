#!/usr/bin/env python3
"""retention - what is erased, and what never is: a cap on the store with a Go.Data that is away, originals, old files, a full disk.

    retention.py [--full] [test words]

A normal run: a cap of 32 MB and about 100 MB of messages. --full: 1 GB and 3 GB.
Each function is one test; `labrelay sandbox` stands for Go.Data.
"""
import os
import random
import sqlite3
import string
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import mllp  # noqa: E402
import rig  # noqa: E402
from verbs import CASES, expect, only, oru  # noqa: E402

FULL = '--full' in sys.argv
MB = 1 << 20
CAP, TRAFFIC, NOTE = (1024 * MB, 3072 * MB, 200000) if FULL else (32 * MB, 100 * MB, 24000)
SECONDS = 3600 if FULL else 240
PADDING = ''.join(random.Random(1).choice(string.ascii_letters) for _ in range(NOTE)).encode()


class Rig(rig.Rig):
    """With a sandbox that keeps its data and its port when it is stopped, and options of the store."""

    def __init__(self, store='', **more):
        self.store = store
        flags = ['--port', str(rig.free_port())]
        super().__init__(seed=CASES, sandbox_flags=flags, **more)
        self.sandbox.flags += ['--db', os.path.join(self.folder, 'sandbox.db')]
        self.store_path = os.path.join(self.folder, 'store.db')

    def write_conf(self):
        super().write_conf()
        text = open(self.conf).read()
        with open(self.conf, 'w') as f:
            f.write(text.replace('"%s/store.db"' % self.folder, '"%s" { %s }' % (self.store_path, self.store)))

    def sandbox_again(self):
        self.sandbox.seed = None
        self.sandbox.start()

    def size(self):
        return sum(os.path.getsize(self.store_path + x) for x in ('', '-wal') if os.path.exists(self.store_path + x))


class Load(threading.Thread):
    """Large messages one after the other until told to stop; keeps what was acknowledged, and every other answer."""

    def __init__(self, r, name):
        super().__init__()
        self.r, self.label, self.is_over, self.acked, self.others, self.bytes = r, name, False, [], [], 0

    def run(self):
        n = 0
        while not self.is_over:
            n += 1
            control = '%s-%d' % (self.label, n)
            m = oru(control, sample='S' + control, person='CA-%010d' % (1 + n % 3)).replace(b'\rSPM', b'\rNTE|1||' + PADDING + b'\rSPM')
            while not self.is_over:
                try:
                    with mllp.Client('127.0.0.1', self.r.mllp) as c:
                        c.send(m)
                        answer = c.read(10)
                    if b'MSA|AA|' in answer:
                        self.acked.append(control)
                        self.bytes += len(m)
                        break
                    self.others.append(answer)
                except (OSError, mllp.Timeout, mllp.Closed):
                    pass
                time.sleep(0.05)


class Watch(threading.Thread):
    def __init__(self, r):
        super().__init__()
        self.r, self.is_over, self.most = r, False, 0

    def run(self):
        while not self.is_over:
            size = self.r.size()
            if size > self.most:
                self.most = size
                self.parts = [os.path.getsize(self.r.store_path + x) for x in ('', '-wal') if os.path.exists(self.r.store_path + x)]
            time.sleep(0.02)


def until(what, seconds, text, *more):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return
        time.sleep(0.1)
    raise rig.Failed(text + ' ' + ' '.join(str(m() if callable(m) else m) for m in more))


def total(loads):
    return sum(x.bytes for x in loads)


def acked(loads):
    return {c for x in loads for c in x.acked}


def in_godata(r):
    return [x['sampleIdentifier'][1:] for x in r.sandbox.lab_results()]


def test_a_cap_erases_what_is_finished_and_nothing_else():
    with Rig('size-max %dMB' % (CAP // MB)) as r:
        loads, watch = [Load(r, 'L%d' % i) for i in range(4)], Watch(r)
        for x in loads + [watch]:
            x.start()
        try:
            # Go.Data answers: twice the cap comes in, is delivered and erased
            until(lambda: total(loads) > TRAFFIC * 2 // 3, SECONDS, 'the traffic stands still', lambda: total(loads) // MB, lambda: r.log_tail(5))
            # Go.Data is away: it fills with what cannot be delivered, until nothing more is taken
            r.sandbox.stop()
            until(lambda: r.json('status')['engine']['store_is_full'], SECONDS, 'the cap was never reached', lambda: total(loads) // MB)
            time.sleep(2)
            until(lambda: 'kind=store-refuses' in open(r.log_path).read(), 30, 'no alarm', lambda: r.log_tail(5))
            n, size = len(acked(loads)), r.size()
            refused = sum(len(x.others) for x in loads)
            time.sleep(3)
            expect(len(acked(loads)) - n <= 4, 'acknowledged at the cap', len(acked(loads)) - n)
            expect(sum(len(x.others) for x in loads) > refused, 'at the cap nobody was refused')
            open_ones = [d for d in r.json('queue', '--limit', '100000')]
            expect(len(open_ones) * (NOTE + 500) > CAP // 4, 'what cannot be delivered does not fill the store', len(open_ones))
            # and by itself it goes on when Go.Data is back
            r.sandbox_again()
            until(lambda: len(acked(loads)) > n + 100, SECONDS, 'it did not go on by itself', lambda: r.log_tail(6))
            until(lambda: total(loads) > TRAFFIC, SECONDS, 'the traffic stands still', lambda: total(loads) // MB)
        finally:
            for x in loads + [watch]:
                x.is_over = True
            for x in loads + [watch]:
                x.join()
        r.settle(SECONDS)
        others = [a for x in loads for a in x.others]
        expect(all(b'MSA|AR|' in a and b'207' in a for a in others), 'refusals', [str(a[-80:]) for a in others[:2]])
        there = in_godata(r)
        missing = sorted(acked(loads) - set(there))
        expect(not missing, 'acknowledged, but not in Go.Data: %d' % len(missing), missing[:5])
        expect(len(there) == len(set(there)), 'doubled')
        expect(watch.most <= CAP, 'the store grew over its cap', watch.parts, CAP)
        v = r.json('verify')
        expect(v['balanced'] and v['observations']['messages'] < len(acked(loads)), 'sums', v)
        print('     %d messages, %.0f MB in; store at most %.1f of %d MB; full at %.1f MB with %d open; refused %d times' % (
            len(acked(loads)), total(loads) / MB, watch.most / MB, CAP // MB, size / MB, len(open_ones), len(others)))


def age(r, days):
    """As if all of it had come that long ago. The engine is stopped."""
    db = sqlite3.connect(r.store_path)
    us = days * 86400 * 1000000
    db.execute('UPDATE message SET received_us=received_us-?', (us,))
    db.execute('UPDATE delivery SET updated_us=updated_us-?', (us,))
    db.execute('UPDATE target SET written_us=written_us-?', (us,))
    db.commit()
    db.close()


def test_originals_go_earlier_than_what_became_of_them():
    with Rig('keep-raw 10d keep-delivered 90d') as r:
        for i in range(5):
            r.send(oru('A%d' % i, sample='S-%d' % i).replace(b'\rSPM', b'\rNTE|1||' + b'PLANTED' * 1000 + b'\rSPM'))
        r.send(oru('H', person='CA-0000000099', sample='S-H'))
        r.settle()
        before = r.json('show', 'm1')
        r.stop()
        age(r, 20)
        size = os.path.getsize(r.store_path)
        r.start()
        until(lambda: r.verb('show', '--raw', 'm5', check=False)[0] == 3, 10, 'the original stays')
        expect(r.verb('show', '--raw', 'm6')[1].encode() == oru('H', person='CA-0000000099', sample='S-H'), 'the original of what is held is gone')
        after = r.json('show', 'm1')
        only(after['deliveries'][0], state='delivered', remote_id=before['deliveries'][0]['remote_id'], result_key=before['deliveries'][0]['result_key'])
        expect(r.json('trace', 'S-3')['messages'][0]['control_id'] == 'A3', 'trace does not know it any more')
        v = r.json('verify')
        expect(v['balanced'], 'sums', v)
        only(v['observations'], messages=6, originals_erased=5, reparsed=1)
        rc, _, err = r.verb('explain', 'm1', check=False)
        expect(rc == 3 and 'was erased' in err, 'explain', err)
        x = rig.json.loads(r.verb('whatif', '--json', '--since', 'all', r.conf, conf=False)[1])
        only(x, messages=1, erased=5)
        only(r.json('replay', '--since', '40d', '--go', '--by', 'admin'), erased=5)
        r.stop()
        expect(os.path.getsize(r.store_path) <= size, 'the file grew')
        for end in ('', '-wal'):
            if os.path.exists(r.store_path + end):
                expect(b'PLANTEDPLANTED' not in open(r.store_path + end, 'rb').read(), 'the bytes are still there', end)
        age(r, 80)          # now the rows go, too; what is held stays
        r.start()
        until(lambda: r.verb('show', 'm1', check=False)[0] == 3, 10, 'the row stays')
        only(r.json('show', 'm6')['deliveries'][0], state='held')
        expect(r.json('verify')['balanced'], 'sums')


def test_space_comes_back():
    with Rig('keep-delivered 10d') as r:
        with mllp.Client('127.0.0.1', r.mllp) as c:
            for i in range(400):
                c.send(oru('A%d' % i, sample='S-%d' % i).replace(b'\rSPM', b'\rNTE|1||' + PADDING[:24000] + b'\rSPM'))
                expect(b'MSA|AA|' in c.read(20), 'no AA')
        r.settle(60)
        r.stop()
        before = os.path.getsize(r.store_path)
        expect(before > 9 * MB, 'it was not filled', before)
        age(r, 20)
        r.start()
        until(lambda: r.size() < before // 4, 30, 'the file does not shrink', lambda: r.size(), before)
        expect(r.json('verify')['balanced'], 'sums')


def test_old_files_go_and_what_is_new_stays():
    files = '''
listen files "inbox" {{ inbox "{dir}/inbox"  settle 10ms  rescan 200ms  keep-done 1d  keep-error 2d  parse hl7v2 {{ timezone "Africa/Kampala" }} }}
'''
    r = Rig(listeners=rig.LISTENER + files)
    os.mkdir(os.path.join(r.folder, 'inbox'))
    for folder in ('done', 'error'):
        os.mkdir(os.path.join(r.folder, 'inbox', folder))
    with r:
        inbox = os.path.join(r.folder, 'inbox')

        def put(name, content):
            with open(os.path.join(r.folder, name), 'wb') as f:
                f.write(content)
            os.rename(os.path.join(r.folder, name), os.path.join(inbox, name))
        put('good.hl7', oru('F1'))
        put('bad.hl7', b'nonsense')
        until(lambda: os.path.exists(inbox + '/done/good.hl7') and os.path.exists(inbox + '/error/bad.hl7'), 20, 'the files were not taken')
        time.sleep(2.5)
        expect(os.path.exists(inbox + '/done/good.hl7') and os.path.exists(inbox + '/error/bad.hl7.why.txt'), 'new files were erased')
        os.mkdir(inbox + '/done/folder')
        text = open(r.conf).read()
        r.stop()
        with open(r.conf, 'w') as f:
            f.write(text.replace('keep-done 1d', 'keep-done 1s').replace('keep-error 2d', 'keep-error 1s'))
        r.start()
        until(lambda: os.listdir(inbox + '/done') == ['folder'] and os.listdir(inbox + '/error') == [], 20, 'old files stay',
              lambda: os.listdir(inbox + '/done'), lambda: os.listdir(inbox + '/error'))
        log = open(r.log_path).read()
        expect('erased old files' in log and 'good.hl7' not in log and 'bad.hl7' not in log, 'the log', r.log_tail(5))


def test_a_full_disk_with_godata_away_loses_nothing():
    disk = tempfile.mkdtemp(prefix='labrelay-disk.')
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=48m', 'tmpfs', disk], stderr=subprocess.DEVNULL).returncode:
        os.rmdir(disk)
        print('SKIPPED: this user may not mount a tmpfs')
        return
    try:
        r = Rig('stop-accepting when disk-free below 0%')
        r.store_path = os.path.join(disk, 'store.db')
        with r:
            loads = [Load(r, 'D%d' % i) for i in range(3)]
            for x in loads:
                x.start()
            try:
                until(lambda: len(acked(loads)) > 100, 60, 'no traffic')
                r.sandbox.stop()
                until(lambda: not r.json('status')['engine']['store_takes'], 120, 'the disk never was full', lambda: len(acked(loads)))
                n = len(acked(loads))
                time.sleep(1)
                expect(len(acked(loads)) - n <= 3, 'acknowledged on a full disk')
            finally:
                for x in loads:
                    x.is_over = True
                for x in loads:
                    x.join()
            others = [a for x in loads for a in x.others]
            expect(others and all(b'MSA|AR|' in a and b'207' in a for a in others), 'refusals', [str(a[-80:]) for a in others[:2]])
            subprocess.run(['mount', '-o', 'remount,size=96m', disk], check=True)       # somebody makes room
            r.sandbox_again()
            until(lambda: r.json('status')['engine']['store_takes'], 30, 'it did not go on by itself')
            r.settle(120)
            there = in_godata(r)
            expect(acked(loads) <= set(there) and len(there) == len(set(there)), 'lost or doubled', len(acked(loads)), len(there))
            expect(r.json('verify')['balanced'], 'sums')
    finally:
        subprocess.run(['umount', disk], check=True)
        os.rmdir(disk)


def main():
    words = [w for w in sys.argv[1:] if w != '--full']
    tests = [(n, f) for n, f in sorted(globals().items()) if n.startswith('test_') and (not words or any(w in n for w in words))]
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
