#!/usr/bin/env python3
"""engine - promises of the engine under odd orders and short means: large messages, busy lanes, withdrawals that come first, results that
stand in Go.Data already, a clean stop under load, a full disk.

Each function is one test; `labrelay sandbox` stands for Go.Data. The test of the full disk mounts a small tmpfs and is skipped where that is
not allowed.
"""
import os
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import mllp  # noqa: E402
import rig  # noqa: E402
from verbs import CASES, expect, only, oru  # noqa: E402

RESULT = 'LNG_REFERENCE_DATA_CATEGORY_LAB_TEST_RESULT_'


def many(n, control, person='CA-0000000001', sample='S-1'):
    rows = oru(control, person=person, sample=sample).decode().split('\r')
    obx = ['OBX|%d|CWE|41636-2^Ebola virus RNA^LN|%d|260373001^Detected^SCT||||||F' % (i, i) for i in range(1, n + 1)]
    return '\r'.join(rows[:3] + obx + rows[4:]).encode()


def test_thousands_of_observations_do_not_stop_the_engine():
    with rig.Rig(seed=CASES) as r:
        expect(b'MSA|AA|BIG' in r.send(many(5000, 'BIG'), 60), 'no AA')
        expect(r.process.poll() is None, 'the engine ended')
        only(r.json('show', 'm1'), state='stored', observations=5000)


def test_a_busy_person_keeps_nobody_out():
    with rig.Rig(seed=CASES, sandbox_flags=('--slow', '20')) as r:
        expect(b'MSA|AA|' in r.send(many(1500, 'BUSY', sample='BUSY'), 60), 'no AA')
        expect(b'MSA|AA|' in r.send(oru('NEXT', person='CA-0000000002', sample='NEXT')), 'no AA')
        end = time.monotonic() + 15
        while time.monotonic() < end and r.json('show', 'm2')['deliveries'][0]['state'] != 'delivered':
            time.sleep(0.1)
        only(r.json('show', 'm2')['deliveries'][0], state='delivered')
        expect(sum(n for state, _, n in r.json('status')['deliveries'] if state == 'ready') > 500, 'the busy lane was not busy')


def test_withdrawn_before_it_came():
    with rig.Rig(seed=CASES) as r:
        expect(b'MSA|AA|' in r.send(oru('W1', status='W', issued='20261105120000')), 'no AA')
        r.settle()
        only(r.json('show', 'm1')['deliveries'][0], state='withdrawn', reason='NOTHING_TO_WITHDRAW')
        expect(b'MSA|AA|' in r.send(oru('F1', issued='20261105100000')), 'no AA')
        r.settle()
        only(r.json('show', 'm2')['deliveries'][0], state='superseded', reason='OLDER')
        expect(r.sandbox.lab_results() == [], 'a withdrawn result was written')
        expect(b'MSA|AA|' in r.send(oru('F2', issued='20261106100000')), 'no AA')
        r.settle()
        only(r.json('show', 'm3')['deliveries'][0], state='delivered')
        expect(len(r.sandbox.lab_results()) == 1, 'a newer version must be written')
        expect(r.json('verify')['balanced'], 'sums')


def written_by_a_person(r, like, **fields):
    body = {k: like[k] for k in ('sampleIdentifier', 'testedFor', 'testType') if like.get(k)}
    body.update(fields)
    r.sandbox.login()
    return r.sandbox.call('POST', '/outbreaks/%s/cases/c0000000-0000-4000-8000-000000000002/lab-results' % r.sandbox.outbreak, body, r.sandbox.token)


def test_what_stands_in_godata_already_is_adopted_or_held():
    with rig.Rig(seed=CASES) as r:
        r.send(oru('A1', sample='LIKE'))
        r.settle()
        like = r.sandbox.lab_results()[0]
        registered = written_by_a_person(r, dict(like, sampleIdentifier='S-REG'), labName=like.get('labName'), status=RESULT + 'STATUS_IN_PROGRESS',
                                         notes='taken at home')
        other = written_by_a_person(r, dict(like, sampleIdentifier='S-OTHER'), result=RESULT + 'NEGATIVE', status=RESULT + 'STATUS_COMPLETED')
        r.mirror()                          # what a person wrote is known
        r.send(oru('A2', person='CA-0000000002', sample='S-REG'))
        r.send(oru('A3', person='CA-0000000002', sample='S-OTHER'))
        r.settle()
        only(r.json('show', 'm2')['deliveries'][0], state='delivered', remote_id=registered['id'])
        only(r.json('show', 'm3')['deliveries'][0], state='held', reason='EXISTS_DIFFERENT')
        labs = {x['id']: x for x in r.sandbox.lab_results()}
        expect(len(labs) == 3, 'nothing may be doubled', list(labs))
        only(labs[registered['id']], result=RESULT + 'POSITIVE', status=RESULT + 'STATUS_COMPLETED')
        expect('taken at home' in labs[registered['id']]['notes'] and '[labrelay ' in labs[registered['id']]['notes'], 'notes', labs[registered['id']])
        only(labs[other['id']], result=RESULT + 'NEGATIVE')
        r.send(oru('A4', person='CA-0000000002', sample='S-REG', code='260415000^Not detected^SCT', flag='NEG', status='C', obr='C', issued='20261107100000'))
        r.settle()
        labs = {x['id']: x for x in r.sandbox.lab_results()}
        only(labs[registered['id']], result=RESULT + 'NEGATIVE')


class Load(threading.Thread):
    """Sends messages of its own one after the other until told to stop; keeps what was acknowledged and every other answer."""

    def __init__(self, r, name):
        super().__init__()
        self.r, self.label, self.is_over, self.acked, self.others = r, name, False, [], []

    def run(self):
        n = 0
        while not self.is_over:
            n += 1
            control = '%s-%d' % (self.label, n)
            m = oru(control, sample='S' + control, person='CA-%010d' % (1 + n % 3)).replace(b'\rSPM', b'\rNTE|1||' + b'x' * 4000 + b'\rSPM')
            while not self.is_over:
                try:
                    with mllp.Client('127.0.0.1', self.r.mllp) as c:
                        c.send(m)
                        answer = c.read(10)
                    if b'MSA|AA|' in answer:
                        self.acked.append(control)
                        break
                    self.others.append(answer)
                except (OSError, mllp.Timeout, mllp.Closed):
                    pass
                time.sleep(0.05)
            time.sleep(0.01)


def check_all_there(r, loads):
    acked = {c for x in loads for c in x.acked}
    there = [x['sampleIdentifier'][1:] for x in r.sandbox.lab_results()]
    expect(acked <= set(there), 'acknowledged, but not in Go.Data:', sorted(acked - set(there))[:5])
    expect(len(there) == len(set(there)), 'doubled')
    expect(r.json('verify')['balanced'], 'sums')


# [item 137]
def test_a_clean_stop_leaves_nothing_in_doubt():
    with rig.Rig(seed=CASES, sandbox_flags=('--slow', '100')) as r:
        loads = [Load(r, 'T%d' % i) for i in range(4)]
        for x in loads:
            x.start()
        time.sleep(1.5)
        expect(r.stop() == 0, 'exit status')
        for x in loads:
            x.is_over = True
            x.join()
        expect(sum(len(x.acked) for x in loads) > 20, 'there was no load')
        r.start()
        doubt = [d for d in r.json('queue') if d['state'] == 'claimed' and d['step'] == 'readback' or d['state'] == 'waiting']
        expect(not doubt, 'in doubt after a clean stop', doubt[:2])
        r.settle(60)
        check_all_there(r, loads)


class OnSmallDisk(rig.Rig):
    def __init__(self, disk, **more):
        super().__init__(**more)
        self.disk = disk

    def write_conf(self):
        super().write_conf()
        text = open(self.conf).read()
        with open(self.conf, 'w') as f:
            f.write(text.replace('"%s/store.db"' % self.folder, '"%s/store.db" { stop-accepting when disk-free below 0%% }' % self.disk))


# [item 18]
def test_a_full_disk_refuses_and_recovers_by_itself():
    disk = tempfile.mkdtemp(prefix='labrelay-disk.')
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=128m', 'tmpfs', disk], stderr=subprocess.DEVNULL).returncode:
        os.rmdir(disk)
        print('SKIPPED: this user may not mount a tmpfs')
        return
    try:
        with OnSmallDisk(disk, seed=CASES) as r:
            loads = [Load(r, 'D%d' % i) for i in range(3)]
            for x in loads:
                x.start()
            try:
                fill_and_free(r, disk, loads)
            finally:
                for x in loads:
                    x.is_over = True
                for x in loads:
                    x.join()
            refused = [a for x in loads for a in x.others]
            expect(refused and all(b'MSA|AR|' in a and b'207' in a for a in refused), 'refusals', [str(a[-80:]) for a in refused[:2]])
            r.settle(120)
            check_all_there(r, loads)
    finally:
        subprocess.run(['umount', disk], check=True)
        os.rmdir(disk)


def fill_and_free(r, disk, loads):
    time.sleep(0.5)
    with open(os.path.join(disk, 'fill'), 'wb', 0) as f:
        end, chunk = time.monotonic() + 90, 1 << 20
        while time.monotonic() < end and r.json('status')['engine']['store_takes']:
            try:
                f.write(b'z' * chunk)
            except OSError:
                chunk = 4096
                time.sleep(0.1)
    expect(not r.json('status')['engine']['store_takes'], 'the disk never was full')
    n = sum(len(x.acked) for x in loads)
    time.sleep(1)
    expect(sum(len(x.acked) for x in loads) - n <= len(loads), 'acknowledged on a full disk')
    os.unlink(os.path.join(disk, 'fill'))
    end = time.monotonic() + 20
    while time.monotonic() < end and sum(len(x.acked) for x in loads) < n + 20:
        time.sleep(0.1)
    expect(sum(len(x.acked) for x in loads) >= n + 20, 'it did not go on by itself: ' + r.log_tail(6))


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
