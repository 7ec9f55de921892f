#!/usr/bin/env python3
"""tests/bench/deliver.py BUILD-DIR [--strict]: bar 1 of the Go.Data writer.

10,000 results for 2,000 known cases wait in the store; the engine delivers them into the sandbox: requests per result (polls included), order
per person, and the rate beside that of a plain HTTP load tool that posts the same bodies to a sandbox with the same seed, by turns.
Then the sandbox takes 15 ms for an answer and 8 couriers work: at least 0.95 of 8 / 15 ms.
"""
import json
import os
import statistics
import subprocess
import sys
import threading
import time

BUILD = os.path.abspath(sys.argv[1])
STRICT = '--strict' in sys.argv
os.environ['LABRELAY'] = os.path.join(BUILD, 'labrelay')
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import mllp  # noqa: E402
import rig  # noqa: E402

PERSONS, RESULTS_EACH = 2000, 5
ROUNDS = int(os.environ.get('LABRELAY_BENCH_ROUNDS', '3'))
TOTAL = PERSONS * RESULTS_EACH
TESTS = ['94309-2', '41636-2', '41638-8', '103719-1', '48508-6']
wrong = []


def seed():
    return {'cases': [{'id': 'c0000000-0000-4000-8000-%012d' % n, 'visualId': 'CASE-%05d' % n, 'lastName': 'Load%d' % n, 'firstName': 'Given', 'dob': '1990-02-03'} for n in range(PERSONS)]}


def message(person, place):
    return ('MSH|^~\\&|LIS|LAB01|R|H|20260504%02d0000||ORU^R01^ORU_R01|L%05d%d|P|2.5.1\r'
            'PID|1||CASE-%05d^^^GODATA^PI||Load%d^Given||19900203\r'
            'OBR|1|O%d|F%05d%d|%s^Test^LN|||202605040700|||||||||||||||20260504%02d0000|||F\r'
            'OBX|1|CWE|%s^Test^LN||260415000^Not detected^SCT||||||F|||202605040800\r'
            'SPM|1|S%05d%d||119364003^Serum^SCT|||||||||||||202605040700\r'
            % (10 + place, person, place, person, person, place, person, place, TESTS[place], 10 + place, TESTS[place], person, place)).encode()


def feed(port):
    """Each person's results in order on one connection; 8 connections."""
    def one(k):
        with mllp.Client('127.0.0.1', port) as c:
            for place in range(RESULTS_EACH):
                mine = range(k, PERSONS, 8)
                for person in mine:
                    c.send(message(person, place))
                for _ in mine:
                    if b'|AA|' not in c.read(60):
                        raise SystemExit('not accepted')
    threads = [threading.Thread(target=one, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def stats(sandbox):
    return sandbox.call('GET', '/sandbox/stats')


def engine_round(slow_ms=0, couriers=8):
    """(results a second, requests per result, bodies for the load tool)"""
    r = rig.Rig(seed=seed(), writer_options='couriers %d' % couriers)
    r.api = 'http://127.0.0.1:%d/api' % rig.free_port()     # nobody there: everything waits in the store
    with r:
        feed(r.mllp)
        r.stop()
        r.api = None
        r.write_conf()
        if slow_ms:
            r.sandbox.call('POST', '/sandbox/faults', {'slow': slow_ms})
        began = time.monotonic()
        r.start()
        first = last = None
        done = 0
        while time.monotonic() - began < 300:
            n = stats(r.sandbox)['lab_posts']
            now = time.monotonic()
            if n and first is None:
                first, first_n = now, n
            if n > done:
                done, last = n, now
            if n >= TOTAL:
                break
            time.sleep(0.02)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            sums = {}
            for state, _, count in r.json('status')['deliveries']:
                sums[state] = sums.get(state, 0) + count
            if sums.get('delivered', 0) == TOTAL:
                break
            time.sleep(0.1)
        if sums.get('delivered', 0) != TOTAL:
            raise SystemExit('delivered: %s' % sums)
        w = r.json('status')['engine']['writers'][0]
        if slow_ms:
            r.sandbox.call('POST', '/sandbox/faults', {'slow': 0})
        labs = r.sandbox.lab_results()
        order(labs)
        rate = (TOTAL - first_n) / max(last - first, 1e-6)
        return rate, w['requests'] / TOTAL, labs


def order(labs):
    of = {}
    for lab in labs:
        of.setdefault(lab['personId'], []).append(lab)
    if len(labs) != TOTAL or len(of) != PERSONS:
        wrong.append('%d results of %d persons stand in the sandbox' % (len(labs), len(of)))
    bad = sum(1 for v in of.values() if [x['sampleIdentifier'][-1] for x in sorted(v, key=lambda x: (x['createdAt']))] != list('01234'[:RESULTS_EACH])
              and [x['dateOfResult'] for x in sorted(v, key=lambda x: x['createdAt'])] != sorted(x['dateOfResult'] for x in v))
    if bad:
        wrong.append('results of %d persons came out of order' % bad)


def load_round(labs, connections=8):
    folder = rig.tempfile.mkdtemp(prefix='labrelay-bench.')
    s = rig.Sandbox(folder, seed=seed()).start()
    try:
        s.login()
        path = os.path.join(folder, 'requests')
        keys = ('sampleIdentifier', 'dateSampleTaken', 'dateSampleDelivered', 'dateTesting', 'dateOfResult', 'labName', 'sampleType', 'testType', 'testedFor', 'result', 'status', 'notes')
        with open(path, 'w') as f:
            for lab in labs:
                body = json.dumps({k: lab[k] for k in keys if k in lab}, separators=(',', ':'))
                f.write('/api/outbreaks/%s/cases/%s/lab-results\t%s\n' % (s.outbreak, lab['personId'], body))
        out = subprocess.run([os.path.join(BUILD, 'bench_http_load'), s.base.split('//')[1], s.token, path, str(connections)], stdout=subprocess.PIPE, timeout=300)
        x = json.loads(out.stdout)
        if x['failed']:
            wrong.append('the load tool had %d failures' % x['failed'])
        return x['per_second']
    finally:
        s.stop()
        rig.shutil.rmtree(folder, ignore_errors=True)


def main():
    pairs = []
    for _ in range(ROUNDS):
        rate, requests, labs = engine_round()
        plain = load_round(labs)
        pairs.append((rate, plain, requests))
        print('results/s %6.0f   plain load tool %6.0f   ratio %.2f   requests per result %.3f' % (rate, plain, rate / plain, requests), flush=True)
    ratio = statistics.median(a / b for a, b, _ in pairs)
    requests = max(r for _, _, r in pairs)
    plain = statistics.median(b for _, b, _ in pairs)
    slow, slow_requests, _ = engine_round(15, 8)
    limit = 8 / 0.015
    print('15 ms an answer, 8 couriers: %.0f results/s = %.2f of %.0f, %.3f requests per result' % (slow, slow / limit, limit, slow_requests))
    soft = 1.0 if STRICT else 0.4
    if plain < 5000 * soft:
        wrong.append('the sandbox takes %d POST/s only' % plain)
    if ratio < 0.6 * soft:
        wrong.append('ratio %.2f, not 0.6' % ratio)
    if requests > 1.05 or slow_requests > 1.05:
        wrong.append('%.3f requests per result' % max(requests, slow_requests))
    if slow < 0.95 * limit * (1.0 if STRICT else 0.8):
        wrong.append('%.2f of 8 / 15 ms' % (slow / limit))
    for w in wrong:
        print('WRONG: ' + w)
    print('deliver: ' + ('%d bars missed' % len(wrong) if wrong else 'all bars kept, median ratio %.2f' % ratio))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
