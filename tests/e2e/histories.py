#!/usr/bin/env python3
"""histories - property test of a result's life: random histories of versions, in random orders, against a model of its own.

    histories.py [--histories N] [--seed N] [--ties PERCENT] [--connections N] [--rounds N] [--slow MS] [--drop N] [--inject MS] [--show N]

A history is one result (laboratory, sample, test) through its versions: preliminary, final, corrected, cancelled, withdrawn, with the values of
each. All of them are sent over several MLLP connections at once, in random order, with repetitions (the same message; the same content
under a new control id) and late arrivals: each message has a round, and a round begins when the one before is settled; the engine is started
again before the last one. What stands in the sandbox at the end must be what the model says:

    no ties   the version with the highest issue time; nothing when that is a withdrawal
    ties      of the versions with the highest issue time one of those with the highest rank (P < F = X < C < W); every other content of that
              time and rank is held VERSION_TIE, and nothing older is held

and exactly one record for each result, with its K. The sums of `verify` must balance. LABRELAY names the program under test.
"""
import argparse
import collections
import json
import os
import queue
import random
import re
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import mllp  # noqa: E402
import rig  # noqa: E402

N_CASES = 120
CASES = {'cases': [
    {'id': 'c0000000-0000-4000-8000-%012d' % n, 'visualId': 'CA-%010d' % n, 'firstName': 'Amina', 'lastName': 'Okello', 'dob': '1988-03-14',
     'gender': 'LNG_REFERENCE_DATA_CATEGORY_GENDER_FEMALE'} for n in range(1, N_CASES + 1)]}
OWN_BLOCK = re.compile(r'^\[labrelay ([0-9a-f]{8})\]', re.M)
PREFIX = 'LNG_REFERENCE_DATA_CATEGORY_LAB_TEST_RESULT_'
VALUES = {'POSITIVE': ('260373001^Detected^SCT', 'POS'), 'NEGATIVE': ('260415000^Not detected^SCT', 'NEG'), 'INCONCLUSIVE': ('419984006^Inconclusive^SCT', 'IND')}
RANK = {'P': 1, 'F': 2, 'X': 2, 'C': 3, 'W': 4}

Version = collections.namedtuple('Version', 'status value hour')       # hour: of the issue time


class History:
    def __init__(self, number, rng, tie_percent):
        self.number, self.person = number, number % N_CASES + 1
        self.has_ties = rng.random() * 100 < tie_percent
        n = rng.choice((1, 2, 2, 3, 3, 4, 4, 5, 6))
        hours = sorted(rng.sample(range(24 * 20), n))
        story = rng.choice(('PFC', 'PFC', 'PPFCC', 'FCW', 'PFW', 'FWF', 'any'))
        self.versions = []
        for i, hour in enumerate(hours):
            status = rng.choice('PFFCCWX') if story == 'any' else story[min(i, len(story) - 1)]
            self.versions.append(Version(status, self.value(rng, status), hour))
        if self.has_ties:
            for _ in range(rng.choice((1, 1, 2))):
                like = rng.choice(self.versions)
                status = rng.choice((like.status, like.status, rng.choice('PFCW')))
                self.versions.append(Version(status, self.value(rng, status), like.hour))
        self.versions = list(dict.fromkeys(self.versions))
        self.arrivals = []
        for v in self.versions:
            for again in range(rng.choice((1, 1, 1, 2, 3))):
                # the same bytes again, or the same content as a message of its own
                name = 0 if rng.random() < 0.5 else again
                self.arrivals.append((self.versions.index(v), name))
        rng.shuffle(self.arrivals)

    @staticmethod
    def value(rng, status):
        return '' if status in 'XW' else rng.choice(sorted(VALUES))

    def message(self, index, name):
        v = self.versions[index]
        code, flag = VALUES.get(v.value, ('', ''))
        issued = '202611%02d%02d0000+0300' % (v.hour // 24 + 1, v.hour % 24)
        return rig.hl7('''MSH|^~\\&|DEV|LAB|LABRELAY|MOH|20261130101500+0300||ORU^R01^ORU_R01|H%d-%d-%d|P|2.5.1||||||UNICODE UTF-8
PID|1||CA-%010d^^^GODATA^PI||Okello^Amina^^^^^L||19880314|F
OBR|1||F-%d|41636-2^Ebola virus RNA^LN|||20261031083000+0300|||||||||||||||%s||MB|%s
OBX|1|CWE|41636-2^Ebola virus RNA^LN|1|%s||Not detected|%s|||%s|||20261031083000+0300
SPM|1|^S-%d||119297000^Blood^SCT|||||||P||||||20261031083000+0300''' % (
            self.number, index, name, self.person, self.number, issued, v.status if v.status in 'PFCX' else 'F', code, flag, v.status, self.number))

    # ---- the model: nothing of the engine is used here ----

    def last(self):
        """The contents that may stand at the end: of the highest time those of the highest rank."""
        hour = max(v.hour for v in self.versions)
        rank = max(RANK[v.status] for v in self.versions if v.hour == hour)
        return {self.content(v) for v in self.versions if v.hour == hour and RANK[v.status] == rank}

    def lower_ties(self):
        """Beside them: of the same time and a lower rank; such a one is held when it came after the higher rank, unless it was preliminary."""
        hour = max(v.hour for v in self.versions)
        rank = max(RANK[v.status] for v in self.versions if v.hour == hour)
        return [v for v in self.versions if v.hour == hour and RANK['P'] < RANK[v.status] < rank]

    @staticmethod
    def content(v):
        if v.status == 'W':
            return 'absent'
        return (v.value or None, 'COMPLETED' if v.status in 'FC' else 'IN_PROGRESS')


class Senders:
    """Several connections; each message is sent until it is answered AA."""

    def __init__(self, the_rig, n):
        self.rig, self.n, self.wrong = the_rig, n, []

    def send(self, messages):
        work = queue.Queue()
        for m in messages:
            work.put(m)
        threads = [threading.Thread(target=self.run, args=(work,)) for _ in range(self.n)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()

    def run(self, work):
        try:
            self.exchange(work)
        except Exception as e:  # whatever ends a sender is told
            self.wrong.append('a sender ended: %s: %s' % (type(e).__name__, e))

    def exchange(self, work):
        with mllp.Client('127.0.0.1', self.rig.mllp, 20.0) as c:
            while True:
                try:
                    m = work.get_nowait()
                except queue.Empty:
                    return
                c.send(m)
                reply = c.read(30)
                if b'MSA|AA|' not in reply:
                    self.wrong.append('no AA: %r' % reply[:300])


class Injector(threading.Thread):
    """Spoils one answer to an update, a removal or a read every now and then; some are carried out, some are not."""
    ROUTES = ('PUT /outbreaks/:o/:p/:1/lab-results/:2', 'DELETE /outbreaks/:o/:p/:1/lab-results/:2', 'GET /outbreaks/:o/:p/:1/lab-results/:2')
    MODES = (('close', True), ('close', False), ('half', True), ('garbage', True), ('status', False))

    def __init__(self, sandbox, seed, every):
        super().__init__(daemon=True)
        self.sandbox, self.random, self.every, self.end, self.n = sandbox, random.Random(seed), every, threading.Event(), 0

    def run(self):
        while self.every and not self.end.wait(self.every * self.random.random() * 2):
            mode, executes = self.random.choice(self.MODES)
            self.sandbox.call('POST', '/sandbox/inject', {'route': self.random.choice(self.ROUTES), 'times': 1, 'mode': mode, 'status': 503, 'executes': executes})
            self.n += 1

    def stop(self):
        self.end.set()
        if self.is_alive():
            self.join()
        self.sandbox.call('POST', '/sandbox/inject', {'times': 0, 'mode': 'close'})


def stands(labs):
    """What the sandbox has, by sample: list of (content, K)."""
    out = collections.defaultdict(list)
    for lab in labs:
        result = (lab.get('result') or '').replace(PREFIX, '') or None
        status = (lab.get('status') or '').replace(PREFIX + 'STATUS_', '')
        out[lab['sampleIdentifier']].append(((result, status), OWN_BLOCK.findall(lab.get('notes') or ''), lab['personId']))
    return out


def judge(histories, labs, held, trace):
    wrong = []
    by_sample = stands(labs)
    ties = collections.Counter(s for s, _ in held)
    for h in histories:
        sample, last = 'S-%d' % h.number, h.last()
        got = by_sample.pop(sample, [])
        problem = None
        if len(got) > 1:
            problem = 'stands %d times' % len(got)
        elif got and (len(got[0][1]) != 1 or got[0][2] != CASES['cases'][h.person - 1]['id']):
            problem = 'no K of ours, or at another person'
        elif (got[0][0] if got else 'absent') not in last:
            problem = 'stands as %s, expected %s' % (got[0][0] if got else 'absent', sorted(map(str, last)))
        elif [r for s, r in held if s == sample and r != 'VERSION_TIE']:
            problem = 'held for another reason'
        elif not len(last) - 1 <= ties[sample] <= len(last) - 1 + len(h.lower_ties()):
            problem = '%d ties held, expected %d (or %d more)' % (ties[sample], len(last) - 1, len(h.lower_ties()))
        if problem:
            wrong.append('%s: %s\n    %s\n    arrivals %s\n    %s' % (sample, problem, h.versions, h.arrivals, trace(sample)))
    wrong += ['%s was never sent' % s for s in by_sample]
    return wrong


def run(args):
    rng = random.Random(args.seed)
    histories = [History(n, rng, args.ties) for n in range(1, args.histories + 1)]
    rounds = [[] for _ in range(args.rounds)]
    for h in histories:
        # a third in one go, the rest spread over the rounds in the order of their arrival
        places = [0] * len(h.arrivals) if rng.random() < 0.34 else sorted(rng.randrange(args.rounds) for _ in h.arrivals)
        for place, (index, name) in zip(places, h.arrivals):
            rounds[place].append(h.message(index, name))
    began = time.monotonic()
    flags = ['--slow', str(args.slow)] + (['--drop-reply', str(args.drop), '--late', '0.3', '--late-every', str(args.drop * 2 + 1)] if args.drop else [])
    with rig.Rig(seed=CASES, sandbox_flags=flags, writer_options='couriers 8\n    settle-unknown 1s\n    retry-max 5s') as r:
        senders, injector = Senders(r, args.connections), Injector(r.sandbox, args.seed, args.inject / 1000)
        injector.start()
        for i, messages in enumerate(rounds):
            if i and i == len(rounds) - 1:
                r.stop()
                r.start()
            rng.shuffle(messages)
            senders.send(messages)
            r.settle(args.patience)
        injector.stop()
        seconds = time.monotonic() - began
        held = [(d['body']['sampleIdentifier'], d['reason']) for d in r.json('held', 'list')]

        def trace(sample):
            return ' '.join('%s:%s/%s' % (d['id'], d['state'], d['reason']) for m in r.json('trace', sample)['messages'] for d in m.get('deliveries', []))
        wrong = senders.wrong + judge(histories, r.sandbox.lab_results(), held, trace)
        if not r.json('verify', ok=(0, 1))['balanced']:
            wrong.append('verify does not balance')
        stats = r.sandbox.call('GET', '/sandbox/stats')
    n_ties = sum(h.has_ties for h in histories)
    print('%d histories (%d with ties), %d versions, %d messages in %d rounds over %d connections, seed %d: %.1f s, %d POSTs of lab results, %d answers to spoil, %d held as ties' % (
        len(histories), n_ties, sum(len(h.versions) for h in histories), sum(map(len, rounds)), args.rounds, args.connections, args.seed, seconds,
        stats['lab_posts'], injector.n, len(held)))
    for w in wrong[:args.show]:
        print('WRONG ' + w)
    print('%s histories: %d wrong' % ('not ok' if wrong else 'ok', len(wrong)))
    return 1 if wrong else 0


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--histories', type=int, default=500)
    p.add_argument('--seed', type=int, default=int(time.time()))
    p.add_argument('--ties', type=float, default=20, help='percent of histories with ties')
    p.add_argument('--connections', type=int, default=8)
    p.add_argument('--rounds', type=int, default=8)
    p.add_argument('--slow', type=int, default=3, help='milliseconds for each answer of the sandbox')
    p.add_argument('--drop', type=int, default=17, help='each Nth POST loses its answer, each 2N+1st is executed late; 0: none')
    p.add_argument('--inject', type=int, default=0, help='an answer to an update, removal or read is spoiled every so many milliseconds; 0: none')
    p.add_argument('--patience', type=int, default=120, help='seconds for a round to settle')
    p.add_argument('--show', type=int, default=10, help='how many wrong ones are shown')
    args = p.parse_args()
    print('histories: seed %d' % args.seed, file=sys.stderr)
    return run(args)


if __name__ == '__main__':
    sys.exit(main())
