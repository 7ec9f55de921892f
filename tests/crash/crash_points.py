#!/usr/bin/env python3
"""crash_points - the engine dies at every named point of its code, is started again, and must end where an undisturbed run ends.

    crash_points.py [--full] [POINT ...]

Needs a program built with --enable-crash-points in LABRELAY (exit 77 when it has none). A first run without a crash writes down the
points it passes (LABRELAY_CRASH_LOG) and the final state: what each message became and what stands in the sandbox. Then, for each
point, one run for some of its hits (--full: up to 12): the engine kills itself there, is started again, a sender without an answer
sends the same message again. Final states must be equal and `verify` must balance. Erasing old messages and reloads have runs of their own.
"""
import argparse
import collections
import json
import os
import re
import sqlite3
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import mllp  # noqa: E402
import rig  # noqa: E402

CASES = {'cases': [
    {'id': 'c0000000-0000-4000-8000-%012d' % n, 'visualId': 'CA-%010d' % n, 'firstName': 'Amina', 'lastName': 'Okello', 'dob': '1988-03-14',
     'gender': 'LNG_REFERENCE_DATA_CATEGORY_GENDER_FEMALE'} for n in range(1, 4)]}
POSITIVE, NEGATIVE = '260373001^Detected^SCT', '260415000^Not detected^SCT'
WRITER = 'settle-unknown 1s\n    retry-max 5s'
OLD_US = 200 * 86400 * 1000000
RELOAD_POINTS = [('reload_before', 2), ('reload_after', 2), ('routed_again', 1), ('routed_again', 3)]    # the first reload holds


def oru(control, sample, value=POSITIVE, status='F', issued='20261105101000', person=1):
    flag = 'POS' if value == POSITIVE else 'NEG'
    return rig.hl7('''MSH|^~\\&|DEV|LAB|LABRELAY|MOH|20261105101500+0300||ORU^R01^ORU_R01|%s|P|2.5.1||||||UNICODE UTF-8
PID|1||CA-%010d^^^GODATA^PI||Okello^Amina^^^^^L||19880314|F
OBR|1||F-%s|41636-2^Ebola virus RNA^LN|||20261104083000+0300|||||||||||||||%s+0300||MB|%s
OBX|1|CWE|41636-2^Ebola virus RNA^LN|1|%s||Not detected|%s|||%s|||20261104083000+0300
SPM|1|^%s||119297000^Blood^SCT|||||||P||||||20261104083000+0300''' % (control, person, sample, issued, status if status in 'PFC' else 'F', value, flag, status, sample))


class Decide:
    """Somebody decides about what is held of a message; without an answer it is said again until it is no longer held for this reason."""

    def __init__(self, control, reason, *words):
        self.control, self.reason, self.words = control, reason, words

    def play(self, run):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            run.revive()
            held = [d for d in run.rig.json('held', 'list', '--reason', self.reason) if run.rig.json('show', 'm%d' % d['message'])['control_id'] == self.control]
            if not held:
                return
            what = [self.words[0], 'd%d' % held[0]['id']] + list(self.words[1:])
            run.rig.verb('held', *what, '--by', 'epi', '--reason', 'test', check=False)     # no answer when it dies: asked again above
            run.wait_dead(0.05)
            run.settle()
        raise rig.Failed('%s is still held for %s' % (self.control, self.reason))


class Edit:
    """Somebody changes a result in Go.Data itself."""

    def __init__(self, sample, **fields):
        self.sample, self.fields = sample, fields

    def play(self, run):
        lab = [x for x in run.rig.sandbox.lab_results() if x['sampleIdentifier'] == self.sample][0]
        run.rig.sandbox.api_call('PUT', '/lab-results/%s' % lab['id'], self.fields)


SCRIPT = [
    (oru('NEW1', 'S-1'), b'AA'),
    (oru('PRE2', 'S-2', status='P', issued='20261105080000', person=2), b'AA'),
    (oru('COR1', 'S-1', value=NEGATIVE, status='C', issued='20261106100000'), b'AA'),                # an update
    (oru('FIN2', 'S-2', issued='20261105110000', person=2), b'AA'),
    (oru('WHO3', 'S-3', person=77), b'AA'),                                                          # held: nobody
    (b'MSH|^~\\&|DEV|LAB|LABRELAY|MOH|20261105||ORU^R99^ORU_R01|BAD4|P|2.5.1\rPID|1\r', b'A[ER]'),   # refused
    (oru('NEW1', 'S-1'), b'AA'),                                                                     # the same again
    (oru('TWO5', 'S-5', person=3), b'AA'),
    (oru('OUT2', 'S-2', status='W', issued='20261107110000', person=2), b'AA'),                      # withdrawn
    (oru('MOV5', 'S-5', status='C', issued='20261107120000', person=2), b'AA'),                      # of somebody else: withdrawn there, written here
    Decide('MOV5', 'PERSON_CHANGED', 'release', '--anyway'),
    (oru('TIE1', 'S-1', status='C', issued='20261106100000'), b'AA'),
    Decide('TIE1', 'VERSION_TIE', 'release', '--anyway'),
    (oru('LNK6', 'S-6', person=78), b'AA'),
    Decide('LNK6', 'NO_MATCH', 'link', 'CA-0000000003'),
    Edit('S-5', result='LNG_REFERENCE_DATA_CATEGORY_LAB_TEST_RESULT_INCONCLUSIVE'),
    (oru('EDT5', 'S-5', value=NEGATIVE, status='C', issued='20261108120000', person=2), b'AA'),
    Decide('EDT5', 'HUMAN_EDIT', 'release', '--anyway'),
]


class Run:
    """One engine with one sandbox; it may die once."""

    def __init__(self, at=None, log=None):
        self.env = {k: v for k, v in (('LABRELAY_CRASH_AT', at), ('LABRELAY_CRASH_LOG', log)) if v}
        self.deaths = 0
        self.rig = rig.Rig(seed=CASES, writer_options=WRITER)

    def __enter__(self):
        self.rig.sandbox.start()
        self.rig.write_conf()
        self.start(self.env)
        return self

    def __exit__(self, *exc):
        self.rig.__exit__(*exc)

    def start(self, env):
        os.environ.update(env)
        try:
            self.rig.start()
        except rig.Failed:
            if not self.env.get('LABRELAY_CRASH_AT') or self.rig.process is None or self.rig.process.poll() != -9:
                raise
        finally:
            for k in env:
                del os.environ[k]
        self.revive()

    def revive(self):
        """Started again after its death; any other end is a failure."""
        rc = self.rig.process.poll()
        if rc is None:
            return
        if rc != -9 or self.deaths or not self.env.get('LABRELAY_CRASH_AT'):
            raise rig.Failed('the engine ended with %s: %s' % (rc, self.rig.log_tail()))
        self.deaths += 1
        self.rig.start()

    def wait_dead(self, seconds):
        end = time.monotonic() + seconds
        while self.env.get('LABRELAY_CRASH_AT') and not self.deaths and time.monotonic() < end and self.rig.process.poll() is None:
            time.sleep(0.005)

    def deliver(self, payload, want):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                reply = self.rig.send(payload, 5)
            except (OSError, mllp.Closed, mllp.Timeout):
                time.sleep(0.02)
                self.revive()
                continue
            if not re.search(rb'MSA\|' + want + rb'\|', reply):
                raise rig.Failed('another answer than %r: %r' % (want, reply))
            return
        raise rig.Failed('no answer: ' + self.rig.log_tail())

    def settle(self):
        end = time.monotonic() + 40
        while time.monotonic() < end:
            self.revive()
            if not [d for d in self.rig.json('queue') if d['state'] != 'held']:
                return
            time.sleep(0.05)
        raise rig.Failed('deliveries did not settle: ' + json.dumps(self.rig.json('queue')[:3]))

    def play(self):
        for step in SCRIPT:
            if isinstance(step, tuple):
                self.deliver(*step)
            else:
                step.play(self)
            self.settle()
        self.revive()

    def state(self):
        """What an outsider sees: by control id what the deliveries became, and the sandbox's records without ids and times."""
        out, n = collections.defaultdict(list), 0
        while True:
            n += 1
            rc, text, _ = self.rig.verb('show', 'm%d' % n, '--json', check=False)
            if rc != 0:
                break
            m = json.loads(text)
            out[m['control_id']].append((m['state'], sorted((d['state'], d['reason'], d['result_key']) for d in m['deliveries'])))
        labs = sorted((r['sampleIdentifier'], r['personId'], r['result'], r['status'], (r.get('notes') or '').split('\n')[0]) for r in self.rig.sandbox.lab_results())
        verify = self.rig.json('verify', ok=(0, 1))
        if not verify['balanced']:
            raise rig.Failed('verify: ' + json.dumps(verify))
        # a refusal whose answer was lost is refused again when the sender repeats it (STANDARDS 3.7): twice is the same end
        return {'messages': {k: sorted(set(map(repr, v)) if all(state != 'stored' for state, _ in v) else map(repr, v)) for k, v in sorted(out.items())}, 'sandbox': labs}


def learn():
    """Points with their hits, and the final state of an undisturbed run."""
    with tempfile.NamedTemporaryFile(prefix='labrelay-points.') as log:
        with Run(log=log.name) as run:
            run.play()
            state = run.state()
        return collections.Counter(log.read().decode().split()), state


def some(hits, is_full):
    """Hits to try. The very last may not come again, background work counts too; a run that does not die there is no failure."""
    if is_full:
        return sorted({1 + i * (hits - 1) // 11 for i in range(12)})
    return sorted({1, (hits + 1) // 2} & set(range(1, hits + 1)))


def differences(want, got):
    return [(k, want[part].get(k), got[part].get(k)) for part in ('messages',) for k in sorted(set(want[part]) | set(got[part])) if want[part].get(k) != got[part].get(k)] + \
        ([('sandbox', want['sandbox'], got['sandbox'])] if want['sandbox'] != got['sandbox'] else [])


def crash(point, hit, want):
    """True when it died there. Raises when the end differs."""
    with Run(at='%s:%d' % (point, hit)) as run:
        run.play()
        found = differences(want, run.state())
        if found:
            raise rig.Failed('%s:%d ends elsewhere: %s' % (point, hit, json.dumps(found, indent=1)))
        return run.deaths > 0


def wait_erased(run):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        run.revive()
        verify = run.rig.json('verify', ok=(0, 1))
        if not verify['balanced']:
            raise rig.Failed('verify: ' + json.dumps(verify))
        if verify['observations'].get('messages') == 1:
            return verify
        time.sleep(0.2)
    raise rig.Failed('old messages were not erased: ' + json.dumps(verify))


def erase(hit):
    """All messages are made old while the engine is down; it dies erasing them and starts again. The held one must stay."""
    with Run() as run:
        run.play()
        before = run.rig.json('verify')
        run.rig.stop()
        db = sqlite3.connect(os.path.join(run.rig.folder, 'store.db'))
        with db:
            db.execute('UPDATE message SET received_us = received_us - ?', (OLD_US,))
            db.execute('UPDATE delivery SET updated_us = updated_us - ?', (OLD_US,))
        db.close()
        run.env = {'LABRELAY_CRASH_AT': 'store_expire:%d' % hit}
        run.start(run.env)
        after = wait_erased(run)
        if after['frames'] != before['frames'] or after['observations']['deliveries'] != before['observations']['deliveries']:
            raise rig.Failed('sums changed: %s -> %s' % (json.dumps(before), json.dumps(after)))
        return run.deaths > 0


def reload(point, hit):
    """Results are held by a rule; another configuration sends them; it dies in the reload or while they are routed again. The next start goes on."""
    with Run(at='%s:%d' % (point, hit)) as run:
        r = run.rig
        with open(r.conf) as f:
            good = f.read()
        run_with(r, good.replace('send  lab to "godata"', 'hold "wait"'))
        for i in range(4):
            if b'MSA|AA|' not in r.send(oru('RL%d' % i, 'S-%d' % i, person=i % 3 + 1)):
                raise rig.Failed('no AA')
        if len(r.json('held')) != 4:
            raise rig.Failed('not held')
        with open(r.conf, 'w') as f:
            f.write(good)
        r.verb('reload', check=False)
        end = time.monotonic() + 20
        while time.monotonic() < end and len(r.sandbox.lab_results()) < 4:
            run.revive()
            time.sleep(0.1)
        run.revive()
        r.settle()
        labs = sorted(x['sampleIdentifier'] for x in r.sandbox.lab_results())
        verify = r.json('verify', ok=(0, 1))
        if labs != ['S-0', 'S-1', 'S-2', 'S-3'] or not verify['balanced'] or r.json('held'):
            raise rig.Failed('%s:%d ends elsewhere: %s %s' % (point, hit, labs, json.dumps(verify)))
        return run.deaths > 0


def run_with(r, text):
    """Reloads another configuration: the first reload of the run."""
    with open(r.conf, 'w') as f:
        f.write(text)
    rc, out, err = r.verb('reload', check=False)
    if rc != 0:
        raise rig.Failed('reload: %s%s' % (out, err))


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--full', action='store_true')
    p.add_argument('points', nargs='*')
    args = p.parse_args()
    points, want = learn()
    if not points:
        print('SKIPPED: %s has no crash points; configure with --enable-crash-points' % rig.LABRELAY)
        return 77
    for line in want['sandbox']:
        print('# ' + ' '.join(map(str, line)))
    failed = runs = 0
    for point, hits in sorted(points.items()):
        if args.points and point not in args.points:
            continue
        died = 0
        for hit in some(hits, args.full):
            runs += 1
            try:
                died += crash(point, hit, want)
            except rig.Failed as e:
                failed += 1
                print('not ok %s:%d of %d: %s' % (point, hit, hits, e))
        if died:
            print('ok %s: died %d times, hits passed %d' % (point, died, hits), flush=True)
        else:
            failed += 1
            print('not ok %s: never died there' % point, flush=True)
    if not args.points or 'store_expire' in args.points:
        for hit in (1, 4):
            runs += 1
            try:
                if not erase(hit):
                    raise rig.Failed('never died there')
                print('ok store_expire:%d' % hit, flush=True)
            except rig.Failed as e:
                failed += 1
                print('not ok store_expire:%d: %s' % (hit, e), flush=True)
    for point, hit in RELOAD_POINTS:
        if args.points and point not in args.points:
            continue
        runs += 1
        try:
            if not reload(point, hit):
                raise rig.Failed('never died there')
            print('ok %s:%d' % (point, hit), flush=True)
        except rig.Failed as e:
            failed += 1
            print('not ok %s:%d: %s' % (point, hit, e), flush=True)
    print('%d points, %d runs, %d failed' % (len(points) + 1 + len({p for p, _ in RELOAD_POINTS}), runs, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
