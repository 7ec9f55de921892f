#!/usr/bin/env python3
"""faults - everything that Go.Data and the network can do wrong, at every kind of request, with the end state that must come of it.

One engine and one sandbox for each row of the matrix, several rows at once. In each: three results stand in Go.Data; then the fault is
planted and six things arrive: two new results, one correction, one withdrawal, one for somebody whom nobody knows, one for a contact-free case that
was never written to. Whatever the fault: in the end each result stands exactly once, with its last value, with its own person; `verify` balances.
`held` rows need a person: the reason is looked at, then the delivery is released. usage: faults.py [--only WORD] [--every N]
"""
import concurrent.futures
import os
import sys
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rig  # noqa: E402
from verbs import expect, oru  # noqa: E402

PERSON = 'c0000000-0000-4000-8000-%012d'
SEED = {'cases': [{'id': PERSON % n, 'visualId': 'CA-%010d' % n, 'firstName': 'Amina', 'lastName': 'Okello', 'dob': '1988-03-14',
                   'gender': 'LNG_REFERENCE_DATA_CATEGORY_GENDER_FEMALE'} for n in range(1, 7)]}
POST, PUT = 'POST /outbreaks/:o/:p/:1/lab-results', 'PUT /outbreaks/:o/:p/:1/lab-results/:2'
DELETE, GET = 'DELETE /outbreaks/:o/:p/:1/lab-results/:2', 'GET /outbreaks/:o/:p/:1/lab-results/:2'
LIST, FILTER = 'GET /outbreaks/:o/:p/:1/lab-results', 'POST /outbreaks/:o/:t/filter'
PEOPLE, LABS = 'GET /outbreaks/:o/people', 'GET /outbreaks/:o/lab-results/aggregate'
LOGIN, OUTBREAKS, REFDATA = 'POST /users/login', 'GET /outbreaks', 'GET /reference-data'
RESULT = 'LNG_REFERENCE_DATA_CATEGORY_LAB_TEST_RESULT_'
NEG = {'code': '260415000^Not detected^SCT', 'flag': 'NEG'}

rows = []


def row(title, how='clean', reasons=(), token=False, **inject):
    rows.append({'name': title, 'how': how, 'reasons': set(reasons), 'token': token, 'inject': inject})


def matrix():
    short = {POST: 'create', PUT: 'update', DELETE: 'remove', GET: 'read', LIST: 'list', FILTER: 'search', PEOPLE: 'people', LABS: 'results'}
    for route in (POST, PUT, DELETE):
        for status in (429, 500, 502, 503, 504):
            for executes in (False, True):
                row('%s %d%s' % (short[route], status, ' executed' if executes else ''), route=route, status=status, times=2, executes=executes)
        for mode in ('hang', 'close', 'half', 'garbage'):
            for executes in (False, True):
                row('%s %s%s' % (short[route], mode, ' executed' if executes else ''), route=route, mode=mode, times=2, executes=executes)
    for route in (GET, LIST, FILTER, PEOPLE, LABS):
        for status in (500, 503):
            row('%s %d' % (short[route], status), route=route, status=status, times=2)
        for mode in ('hang', 'close', 'half', 'garbage'):
            row('%s %s' % (short[route], mode), route=route, mode=mode, times=2)
    # a create whose outcome nobody knows, and then the look for it fails as well
    for mode in ('hang', 'half', 'garbage'):
        row('create lost, list %s' % mode, how='lost', route=LIST, mode=mode, times=2)
    row('create 429 of Go.Data with Retry-After', route=POST, status=429, name='Error', times=2, **{'retry-after': 1})
    row('create 500 of our own making', 'held', ['HTTP_500', 'REJECTED', 'INTERNAL_ERROR'], route=POST, status=500, code='INTERNAL_ERROR', times=1)
    row('create 401', route=POST, status=401, code='INVALID_TOKEN', times=1)
    row('update 401 with a good token', 'held', ['HTTP_401'], route=PUT, status=401, code='AUTHORIZATION_REQUIRED', times=1)
    row('create 404 of another kind', 'held', ['HTTP_404'], route=POST, status=404, name='Error', times=1)
    row('create 400', 'held', ['HTTP_400', 'REJECTED', 'REQUEST_VALIDATION_ERROR'], route=POST, status=400, code='REQUEST_VALIDATION_ERROR')
    row('create 409', 'held', ['HTTP_409', 'REJECTED', 'MODEL_CONFLICT'], route=POST, status=409, code='MODEL_CONFLICT')
    row('create 413', 'held', ['HTTP_413', 'REJECTED', 'TOO_LARGE'], route=POST, status=413, name='PayloadTooLargeError')
    row('create 422', 'held', ['HTTP_422', 'REJECTED', 'ValidationError'], route=POST, status=422, name='ValidationError')
    row('update 422', 'held', ['HTTP_422', 'REJECTED', 'ValidationError'], route=PUT, status=422, name='ValidationError')
    row('lost permission', 'alarm', ['permission missing'], route=POST, status=403, code='MISSING_REQUIRED_PERMISSION', times=2)
    row('lost permission to change', 'alarm', ['permission missing'], route=PUT, status=403, code='MISSING_REQUIRED_PERMISSION', times=2)
    row('access to the outbreak denied for a while', route=POST, status=403, code='ACCESS_DENIED', times=2)
    row('expired token in mid-run', token=True, route=OUTBREAKS, status=500, times=0)
    row('login refused', 'paused', ['LOGIN_FAILED'], token=True, route=LOGIN, status=401, code='LOGIN_FAILED', times=1)
    row('locked out', 'paused', ['LOGIN_BLOCKED'], token=True, route=LOGIN, status=422, code='ACTION_TEMPORARILY_BLOCKED', times=1)
    for mode in ('hang', 'close', 'half', 'garbage'):
        row('login %s' % mode, token=True, route=LOGIN, mode=mode, times=1)
    row('login 502', token=True, route=LOGIN, status=502, times=1)
    for route, name in ((OUTBREAKS, 'outbreaks'), (REFDATA, 'reference data')):
        row('%s 500 at start' % name, 'start', route=route, status=500, code='INTERNAL_ERROR', times=1)
        row('%s garbage at start' % name, 'start', route=route, mode='garbage', times=1)


def sums(r):
    out = {}
    for state, _, n in r.json('status')['deliveries']:
        out[state] = out.get(state, 0) + n
    return out


def settled(r, seconds=100):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        s = sums(r)
        if not any(s.get(k) for k in ('ready', 'claimed', 'waiting')):
            return s
        time.sleep(0.1)
    raise rig.Failed('still open: %s %s' % (sums(r), [(d['id'], d['state'], d['step'], d['reason']) for d in r.json('queue')]))


def writer(r):
    return r.json('status')['engine']['writers'][0]


def held(r):
    return r.json('held', 'list')


def check_end(r, name):
    labs = {}
    for lab in r.sandbox.lab_results():
        labs.setdefault(lab['sampleIdentifier'], []).append(lab)
    want = {'S-1': (1, 'NEGATIVE'), 'S-3': (3, 'POSITIVE'), 'S-4': (4, 'POSITIVE'), 'S-5': (5, 'NEGATIVE'), 'S-6': (6, 'POSITIVE')}
    for sample, (person, result) in want.items():
        v = labs.pop(sample, [])
        expect(len(v) == 1, '%s: %d records of %s' % (name, len(v), sample))
        expect(v[0]['personId'] == PERSON % person, '%s: %s is with the wrong person' % (name, sample))
        expect(v[0]['result'] == RESULT + result, '%s: %s is %s; held' % (name, sample, v[0].get('result')), [(d['id'], d['reason']) for d in held(r)])
    withdrawn = labs.pop('S-2', [])     # deleted, or cleared when the delete was not sure
    expect(len(withdrawn) <= 1 and all(not lab.get('result') for lab in withdrawn), '%s: withdrawn, but there' % name)
    expect(not labs, '%s: nobody sent' % name, list(labs))
    left = held(r)
    expect([d['reason'] for d in left] == ['NO_MATCH'], '%s: held' % name, left)
    expect(r.verb('verify', check=False)[0] == 0, '%s: verify' % name)


def first(r):
    for n in (1, 2, 3):
        expect(b'|AA|' in r.send(oru('A%d' % n, person='CA-%010d' % n, sample='S-%d' % n)), 'no AA')


def second(r):
    r.send(oru('B1', person='CA-%010d' % 1, sample='S-1', status='C', obr='C', issued='20261106101000', **NEG))
    r.send(oru('B2', person='CA-%010d' % 2, sample='S-2', status='D', obr='C', issued='20261106101000'))
    r.send(oru('B4', person='CA-%010d' % 4, sample='S-4'))
    r.send(oru('B5', person='CA-%010d' % 5, sample='S-5', **NEG))
    r.send(oru('B6', person='CA-%010d' % 6, sample='S-6'))
    r.send(oru('B9', person='CA-%010d' % 99, sample='S-9'))


def run(x):
    options = 'timeout 1s\n    settle-unknown 1s\n    retry-max 5s\n    couriers 2\n'
    r = rig.Rig(seed=SEED, writer_options=options)
    if x['how'] == 'start':
        r.sandbox.start()
        r.sandbox.call('POST', '/sandbox/inject', x['inject'])
        r.write_conf()
        r.sandbox.start = lambda: r.sandbox
    with r:
        first(r)
        if x['how'] != 'start':
            expect(settled(r) == {'delivered': 3}, 'the first three', sums(r))
            if x['how'] == 'lost':
                r.sandbox.call('POST', '/sandbox/faults', {'drop-reply': 2})
            if not x['token']:
                r.sandbox.call('POST', '/sandbox/inject', x['inject'])
        if x['token']:
            r.sandbox.call('POST', '/users/login', {'email': rig.USER, 'password': rig.PASSWORD})    # every other token of the account dies
            time.sleep(0.2)
            r.sandbox.call('POST', '/sandbox/inject', x['inject'])
        second(r)
        if x['how'] == 'paused':
            end = time.monotonic() + 30
            while writer(r)['mode'] != 'paused' and time.monotonic() < end:
                time.sleep(0.05)
            w = writer(r)
            expect(w['mode'] == 'paused' and w['reason'] in x['reasons'], x['name'] + ': paused', w)
            r.sandbox.call('POST', '/sandbox/inject', {'times': 0})
            expect(r.sandbox.call('GET', '/sandbox/stats')['logins'] <= 3, 'too many logins')
            r.verb('resume', 'godata', '--by', 'test')
        if x['how'] == 'lost':
            end = time.monotonic() + 30
            while r.sandbox.call('GET', '/sandbox/stats')['lost'] < 1 and time.monotonic() < end:
                time.sleep(0.05)
            r.sandbox.call('POST', '/sandbox/faults', {'drop-reply': 0})
        settled(r)
        r.sandbox.call('POST', '/sandbox/inject', {'times': 0})     # what nobody asked for any more must not meet the test itself
        if x['how'] == 'alarm':
            with open(r.log_path) as f:
                text = f.read()
            expect(all(w in text for w in x['reasons']), x['name'] + ': no alarm in the log')
        if x['how'] == 'held':
            bad = [d for d in held(r) if d['reason'] != 'NO_MATCH']
            expect(len(bad) == 1 and bad[0]['reason'] in x['reasons'], x['name'] + ': held', bad)
            r.verb('held', 'release', 'd%d' % bad[0]['id'], '--by', 'test')
            settled(r)
        check_end(r, x['name'])


def main():
    only = sys.argv[sys.argv.index('--only') + 1] if '--only' in sys.argv else ''
    every = int(sys.argv[sys.argv.index('--every') + 1]) if '--every' in sys.argv else 1
    matrix()
    todo = [x for i, x in enumerate(rows) if only in x['name'] and (x['how'] != 'clean' or i % every == 0)]
    passed, failed = 0, []
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get('LABRELAY_FAULTS_AT_ONCE', '6'))) as pool:
        for x, f in [(x, pool.submit(run, x)) for x in todo]:
            try:
                f.result()
                passed += 1
                print('ok   %s' % x['name'], flush=True)
            except Exception as e:  # noqa: BLE001
                failed.append(x['name'])
                print('FAIL %s: %s' % (x['name'], e if isinstance(e, rig.Failed) else traceback.format_exc()), flush=True)
    print('%d passed, %d failed' % (passed, len(failed)))
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
