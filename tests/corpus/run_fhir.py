#!/usr/bin/env python3
"""run_fhir - every FHIR file of the corpus through the inbox folder and over HTTP, and both sums afterwards.

    LABRELAY=build/asan/labrelay run_fhir.py [--sample N]        (every Nth file; default 1: all)

Each file has to end in done/ or in error/ with a reason and a code, and over HTTP in a 2xx or an OperationOutcome with an issue code. Then
`labrelay verify` reads every stored original again: each Observation and component is a result, a hold or a named drop. The table by
source is printed. Exit 0 all right, 1 a crash, a leak, an imbalance or a refusal without reason, 77 the corpus is missing.
"""
import csv
import http.client
import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'lib'))
import rig  # noqa: E402

CORPUS = os.environ.get('LABRELAY_CORPUS') or os.path.join(rig.SHARED, 'corpus')
LISTEN = '''
listen files "drop" {{
    inbox    "{dir}/inbox"
    settle   100ms
    parse    hl7v2 {{ timezone "UTC" }}
    parse    fhir {{ timezone "UTC" }}
}}
listen http "ehr" {{
    address  127.0.0.1:%d
    parse    hl7v2 {{ timezone "UTC" }}
    parse    fhir {{ timezone "UTC" }}
}}
'''
HOLD = 'route "all" {{ hold "no route" }}\n'


def by_file(r, files):
    inbox = os.path.join(r.folder, 'inbox')
    names = {}
    for i, (source, path) in enumerate(files):
        names['%05d-%s' % (i, os.path.basename(path))] = source
    for (source, path), name in zip(files, names):
        with open(path, 'rb') as f, open(os.path.join(inbox, '.x.tmp'), 'wb') as g:
            g.write(f.read())
        os.rename(os.path.join(inbox, '.x.tmp'), os.path.join(inbox, name))
    end = time.monotonic() + 300
    while True:
        done = set(os.listdir(os.path.join(inbox, 'done')))
        error = set(os.listdir(os.path.join(inbox, 'error')))
        left = [n for n in names if n not in done and n not in error]
        if not left:
            break
        if time.monotonic() > end or r.process.poll() is not None:
            raise rig.Failed('not taken: %s %s' % (len(left), left[:3]))
        time.sleep(0.1)
    table, bad = {}, []
    for n, source in names.items():
        row = table.setdefault(source, [0, 0, 0, 0, 0])
        row[0] += 1
        row[1 if n in done else 2] += 1
        if n in error:
            why = open(os.path.join(inbox, 'error', n + '.why.txt'), errors='replace').read()
            if '\nerror ' not in why:
                bad.append((n, why))
    return table, bad


def by_http(r, port, files, table):
    c = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
    bad, codes = [], {}
    for source, path in files:
        with open(path, 'rb') as f:
            body = f.read()
        kind = 'xml' if path.endswith('.xml') else 'json'
        try:
            root = json.loads(body).get('resourceType', '') if kind == 'json' else ''
        except (ValueError, AttributeError):
            root = ''
        if kind == 'xml':
            for t in ('DiagnosticReport', 'Observation'):
                if b'<' + t.encode() in body[:600] and b'<Bundle' not in body[:600]:
                    root = t
        where = '/fhir/' + root if root in ('DiagnosticReport', 'Observation') else '/fhir'
        try:
            c.request('POST', where, body, {'Content-Type': 'application/fhir+' + kind, 'Accept': 'application/fhir+json'})
            a = c.getresponse()
            text = a.read()
        except (OSError, http.client.HTTPException) as e:
            bad.append((path, repr(e)))
            if r.process.poll() is not None:
                raise rig.Failed('the engine died at %s' % path)
            c.close()
            continue
        codes[a.status] = codes.get(a.status, 0) + 1
        row = table[source]
        row[3 if a.status < 300 else 4] += 1
        try:
            o = json.loads(text)
            is_explained = a.status < 300 or any(i.get('code') and i.get('diagnostics') for i in o.get('issue', []))
        except ValueError:
            is_explained = False
        if not is_explained or a.status not in (200, 201, 400, 413, 422):
            bad.append((path, a.status, text[:200]))
    c.close()
    return codes, bad


def main():
    step = int(sys.argv[sys.argv.index('--sample') + 1]) if '--sample' in sys.argv else 1
    if not os.path.isdir(os.path.join(CORPUS, 'fhir')):
        print('SKIPPED: no corpus at ' + CORPUS)
        return 77
    files = []
    for folder, _, names in sorted(os.walk(os.path.join(CORPUS, 'fhir'))):
        for n in sorted(names):
            if n.endswith(('.json', '.xml', '.ndjson')):
                files.append((os.path.relpath(folder, os.path.join(CORPUS, 'fhir')).split(os.sep)[0], os.path.join(folder, n)))
    files = files[::step]
    port = rig.free_port()
    r = rig.Rig(api='http://127.0.0.1:9/api', listeners=LISTEN % port, routes=HOLD)
    os.mkdir(os.path.join(r.folder, 'inbox'))
    with r:
        table, bad = by_file(r, files)
        codes, bad_http = by_http(r, port, files, table)
        time.sleep(1.5)
        v = r.json('verify', ok=(0, 1))
        print('%-34s %6s %6s %6s %6s %6s' % ('source', 'files', 'done', 'error', '2xx', '4xx'))
        for source in sorted(table):
            print('%-34s %6d %6d %6d %6d %6d' % tuple([source[:34]] + table[source]))
        print('%-34s %6d %6d %6d %6d %6d' % tuple(['all'] + [sum(x[i] for x in table.values()) for i in range(5)]))
        print('HTTP: %s' % ', '.join('%d x %d' % (n, k) for k, n in sorted(codes.items())))
        o = v['observations']
        print('verify: %d observations in %d stored messages, %d accounted, balanced %s' % (o['in_originals'], o['messages'], o['accounted'], v['balanced']))
        for b in bad[:10] + bad_http[:10]:
            print('UNEXPLAINED: %.400r' % (b,))
        if not v['balanced']:
            print(json.dumps(v)[:1500])
        rc = r.stop()
        if rc:
            print('the engine ended with %s: %s' % (rc, r.log_tail(30)))
        return 0 if v['balanced'] and not bad and not bad_http and not rc else 1


if __name__ == '__main__':
    sys.exit(main())
