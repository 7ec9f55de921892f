#!/usr/bin/env python3
"""once - a result stands in Go.Data once, with its last value, whatever is sent again and whatever answer is lost.

    once.py [--posts N] [--sends N] [--seed N] [TEST ...]

test_the_same_file: one message with 20 results is sent --sends times, by turns as the very same bytes and under a new control id, over MLLP and
as a file, while the engine is killed and started again; then a corrected version, just as often, mixed with the first one.
test_every_answer_is_lost: --posts results; the answer to every single POST is lost: of each two one was carried out before, the other is carried
out only later. Then a correction of each (the answers to PUTs are lost now and then as well).
The engine dying between the durable steps of a delivery: tests/crash/crash_points.py. LABRELAY names the program under test.
"""
import argparse
import collections
import os
import random
import re
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import mllp  # noqa: E402
import rig  # noqa: E402
from histories import Injector, Senders  # noqa: E402
from verbs import expect  # noqa: E402

N_CASES = 50
CASES = {'cases': [
    {'id': 'c0000000-0000-4000-8000-%012d' % n, 'visualId': 'CA-%010d' % n, 'firstName': 'Amina', 'lastName': 'Okello', 'dob': '1988-03-14',
     'gender': 'LNG_REFERENCE_DATA_CATEGORY_GENDER_FEMALE'} for n in range(1, N_CASES + 1)]}
OWN_BLOCK = re.compile(r'^\[labrelay ([0-9a-f]{8})\]', re.M)
PREFIX = 'LNG_REFERENCE_DATA_CATEGORY_LAB_TEST_RESULT_'
VALUES = {'POSITIVE': ('260373001^Detected^SCT', 'POS'), 'NEGATIVE': ('260415000^Not detected^SCT', 'NEG')}
LISTENERS = rig.LISTENER + '''
listen files "drop" {{
    inbox  "{dir}/inbox"
    parse  hl7v2 {{ timezone "Africa/Kampala" }}
}}
'''


def head(control):
    return 'MSH|^~\\&|DEV|LAB|LABRELAY|MOH|20261105101500+0300||ORU^R01^ORU_R01|%s|P|2.5.1||||||UNICODE UTF-8' % control


def result(n, value, status='F', day=5):
    code, flag = VALUES[value]
    return '''PID|1||CA-%010d^^^GODATA^PI||Okello^Amina^^^^^L||19880314|F
OBR|1||F-%d|41636-2^Ebola virus RNA^LN|||20261104083000+0300|||||||||||||||202611%02d101000+0300||MB|%s
OBX|1|CWE|41636-2^Ebola virus RNA^LN|1|%s||Not detected|%s|||%s|||20261104083000+0300
SPM|1|^S-%d||119297000^Blood^SCT|||||||P||||||20261104083000+0300''' % (n % N_CASES + 1, n, day, status, code, flag, status, n)


def message(control, results):
    return rig.hl7('\n'.join([head(control)] + results))


def check(r, wanted):
    """Each sample once, with this value, a K of ours and its own person; nothing else."""
    got = collections.defaultdict(list)
    for x in r.sandbox.lab_results():
        got[x['sampleIdentifier']].append(x)
    wrong = []
    for n, value in wanted.items():
        labs = got.pop('S-%d' % n, [])
        if len(labs) != 1:
            wrong.append('S-%d stands %d times' % (n, len(labs)))
        elif labs[0].get('result') != PREFIX + value or labs[0]['personId'] != CASES['cases'][n % N_CASES]['id'] or len(OWN_BLOCK.findall(labs[0]['notes'])) != 1:
            wrong.append('S-%d is %s, expected %s' % (n, labs[0], value))
    wrong += ['%s was never sent' % s for s in got]
    expect(not wrong, '%d wrong:' % len(wrong), '; '.join(wrong[:5]))
    expect(r.json('held', 'list') == [], 'nothing is held', [d['reason'] for d in r.json('held', 'list')][:5])
    expect(r.json('verify')['balanced'], 'verify')


def send_until_acked(r, payload, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if b'MSA|AA|' in r.send(payload, 10):
                return
        except (OSError, mllp.Closed, mllp.Timeout):
            pass
        time.sleep(0.02)
    raise rig.Failed('no AA: ' + r.log_tail())


# [item 62] [item 129]
def test_the_same_file(args):
    rng = random.Random(args.seed)
    first = {n: rng.choice(sorted(VALUES)) for n in range(1, 21)}
    last = {n: ('NEGATIVE' if first[n] == 'POSITIVE' else 'POSITIVE') if n % 2 else first[n] for n in first}
    old, new = [result(n, v) for n, v in first.items()], [result(n, v, 'C', 6) for n, v in last.items()]
    the_rig = rig.Rig(seed=CASES, listeners=LISTENERS, sandbox_flags=['--slow', '2'], writer_options='settle-unknown 1s\n    couriers 4')
    inbox = os.path.join(the_rig.folder, 'inbox')
    os.mkdir(inbox)
    with the_rig as r:

        def send(i, results, name):
            payload = message(name if i % 2 else '%s-%d' % (name, i), results)
            if i % 5:
                send_until_acked(r, payload)
            else:
                path = os.path.join(inbox, '%s-%d' % (name, i))
                with open(path + '.tmp', 'wb') as f:
                    f.write(payload)
                os.rename(path + '.tmp', path + '.hl7')
            if i % 23 == 7:
                time.sleep(rng.random() * 0.05)
                r.process.send_signal(signal.SIGKILL)
                r.process.wait(30)
                r.process = None
                r.start()
        for i in range(args.sends):
            send(i, old, 'FILE')
        wait_for_files(inbox)
        r.settle(90)
        check(r, first)
        for i in range(args.sends):
            send(i, old if rng.random() < 0.3 else new, 'AGAIN')
        wait_for_files(inbox)
        r.settle(90)
        check(r, last)
        return 'the same 20 results %d times, then corrected %d times: each stands once' % (args.sends, args.sends)


def wait_for_files(inbox):
    end = time.monotonic() + 60
    while time.monotonic() < end and any(f.endswith('.hl7') for f in os.listdir(inbox)):
        time.sleep(0.05)
    time.sleep(0.5)                     # taken; its commit follows


# [item 129] [item 130]
def test_every_answer_is_lost(args):
    rng = random.Random(args.seed)
    first = {n: rng.choice(sorted(VALUES)) for n in range(1, args.posts + 1)}
    flags = ['--drop-reply', '1', '--late', '0.6', '--late-every', '2']
    with rig.Rig(seed=CASES, sandbox_flags=flags, writer_options='settle-unknown 2s\n    couriers 8') as r:
        senders = Senders(r, 8)
        senders.send([message('F%d' % n, [result(n, v)]) for n, v in first.items()])
        expect(not senders.wrong, 'each is acknowledged', senders.wrong)
        r.settle(300)
        stats = r.sandbox.call('GET', '/sandbox/stats')
        expect(stats['lost'] == stats['lab_posts'] >= args.posts, 'every answer was lost', stats)
        check(r, first)
        last = {n: 'NEGATIVE' if v == 'POSITIVE' else 'POSITIVE' for n, v in first.items()}
        r.sandbox.call('POST', '/sandbox/faults', {'slow_ms': 2})
        injector = Injector(r.sandbox, args.seed, 0.15)
        injector.ROUTES = [x for x in injector.ROUTES if not x.startswith('DELETE')]
        injector.start()
        senders.send([message('C%d' % n, [result(n, v, 'C', 6)]) for n, v in last.items()])
        r.settle(300)
        injector.stop()
        check(r, last)
        return '%d POSTs of %d results, every answer lost, %d of them carried out late; then corrected with %d answers spoiled: each stands once' % (
            stats['lab_posts'], args.posts, stats['late_done'], injector.n)


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--posts', type=int, default=500)
    p.add_argument('--sends', type=int, default=100)
    p.add_argument('--seed', type=int, default=int(time.time()))
    p.add_argument('words', nargs='*')
    args = p.parse_args()
    print('once: seed %d' % args.seed)
    tests = [(n, f) for n, f in sorted(globals().items()) if n.startswith('test_') and (not args.words or any(w in n for w in args.words))]
    failed = 0
    for name, f in tests:
        began = time.monotonic()
        try:
            print('ok   %s (%s) %.1f s' % (name, f(args), time.monotonic() - began))
        except Exception as e:  # a test that breaks in any way has failed
            failed += 1
            print('FAIL %s: %s: %s' % (name, type(e).__name__, str(e)[:2500]))
    print('%d passed, %d failed' % (len(tests) - failed, failed))
    return 1 if failed or not tests else 0


if __name__ == '__main__':
    sys.exit(main())
