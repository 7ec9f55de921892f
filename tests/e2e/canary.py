#!/usr/bin/env python3
"""canary - 200 invented names, identifiers, phone numbers and addresses go through every channel and every error path; none comes out.

Looked through: the log at debug level, acknowledgements and HTTP answers (without what the protocol echoes: MSH and MSA-2), metrics, status, queue,
tail, verify, mirror, alarms, error reports beside refused files, and the support bundle. A positive control shows that they were really taken in:
what people at the terminal may see (show --raw) holds every one of those that a stored message carried.

Each value holds the token `zqk` or the digits 31415926; both are looked for too, so that a part of a value is found as well.
"""
import http.client
import json
import os
import re
import subprocess
import sys
import tarfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import mllp  # noqa: E402
import rig  # noqa: E402
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ops import expect, until  # noqa: E402

TOKENS = ('zqk', '31415926')
PLANTED = []


def plant(pattern):
    PLANTED.append(pattern % len(PLANTED))
    return PLANTED[-1]


def first(): return plant('Zqkana%03d')
def last(): return plant('Mbazqk%03d')
def number(): return plant('ZQK-%03d-77')
def phone(): return plant('+2567 31415926%03d')
def street(): return plant('%03d Zqkroad')
def word(): return plant('the zqk%03d remark')


LISTENERS = '''
listen mllp "lab" {{
    address  127.0.0.1:{mllp}
    max-size 64kB
    parse    hl7v2 {{ timezone "Africa/Kampala" }}
    expect   every 3s
}}
listen http "web" {{
    address  127.0.0.1:%d
    tokens   credential "web-tokens"
    max-body 64kB
    parse    hl7v2 {{ timezone "Africa/Kampala" }}
    parse    fhir {{ timezone "Africa/Kampala" }}
}}
listen files "drop" {{
    inbox    "{dir}/in"
    rescan   200ms
    settle   100ms
    max-size 64kB
    ack      yes
    parse    hl7v2 {{ timezone "Africa/Kampala" }}
}}
listen files "bundles" {{
    inbox    "{dir}/fhir"
    rescan   200ms
    settle   100ms
    ack      yes
    parse    fhir {{ timezone "Africa/Kampala" }}
}}
listen files "lists" {{
    inbox    "{dir}/csv"
    rescan   200ms
    settle   100ms
    ack      yes
    parse    csv {{
        timezone "Africa/Kampala"
        column "Lab no"  specimen.id
        column "Case"    patient.ids authority "GODATA" type "PI"
        column "Name"    patient.name_text
        column "Born"    patient.birth_date
        column "Test"    observation.code system loinc
        column "Result"  observation.value
    }}
}}
'''
HEAD = '''
alarm {{
    settle 0s
    held-count 1
    queue-age 1s
    writer-down 1s
    command "{dir}/tell"
}}
'''
ROUTES = '''
route "critical" {{
    when  observation.code in tests and observation.unit = "CRIT"
    flag  critical "call the district"
    send  lab to "godata"
}}
route "refused" {{ when patient.sex = "other"  drop "other"  }}
''' + rig.ROUTES

SEED = {'cases': [
    {'id': 'c0000000-0000-4000-8000-000000000001', 'visualId': number(), 'firstName': first(), 'lastName': last(), 'dob': '1988-03-14',
     'gender': 'LNG_REFERENCE_DATA_CATEGORY_GENDER_FEMALE', 'addresses': [{'typeId': 'LNG_REFERENCE_DATA_CATEGORY_ADDRESS_TYPE_USUAL_PLACE_OF_RESIDENCE',
                                                                         'addressLine1': street(), 'phoneNumber': phone()}]}]}
TWIN = (first(), last())
SEED['cases'] += [{'id': 'c0000000-0000-4000-8000-00000000001%d' % n, 'visualId': number(), 'firstName': TWIN[0], 'lastName': TWIN[1], 'dob': '1990-01-02',
                   'gender': 'LNG_REFERENCE_DATA_CATEGORY_GENDER_FEMALE'} for n in range(2)]
KNOWN = SEED['cases'][0]


def oru(control, person=None, names=None, born='19880314', sample=None, value='260373001^Detected^SCT', kind='CWE', more='', msh9='ORU^R01^ORU_R01', msh18='UNICODE UTF-8',
        version='2.5.1', unit='', status='F', tail=''):
    """An ORU^R01 whose every field that can hold a person's data holds a canary."""
    names = names or (first(), last())
    sample = sample or number()
    text = '''MSH|^~\\&|DEV|LAB|LABRELAY|MOH|20261105101500+0300|%s|%s|%s|P|%s||||||%s
PID|1|%s|%s^^^GODATA^PI~%s^^^MOH^NI|%s|%s^%s^%s^^Mrs^^L|%s^^|%s|F|%s^%s|2028-9|%s^^%s^Gulu^256^UGA||%s^PRN^PH|%s^WPN^PH|en|M|CHR|%s|%s|%s||Acholi|%s|N||||||N
NTE|1|L|%s
NK1|1|%s^%s|MTH|%s|%s
PV1|1|I|%s^12^3||||%s^%s^%s|||||||||||V|%s
ORC|RE|F-%s|||||||||%s^%s^%s|%s^%s
OBR|1|P-%s|F-%s|41636-2^Ebola virus RNA^LN|||20261104083000+0300|||%s^%s||||||%s^%s^%s|%s|||||20261105101000+0300||MB|%s
NTE|1|L|%s
OBX|1|%s|41636-2^Ebola virus RNA^LN|1|%s|%s|Not detected|POS|||%s|||20261104083000+0300|%s|%s^%s^%s
SPM|1|%s^%s||119297000^Blood^SCT|||||||P|||%s|||20261104083000+0300
''' % (number() if 'S' in control else '', msh9, control, version, msh18, number(), person or number(), number(), number(), names[1], names[0], first(), last(), born, first(), last(), street(), street(),
       phone(), phone(), number(), number(), number(), street(), word(), last(), first(), street(), phone(), street(), number(), last(), first(), number(), sample, number(), last(), first(),
       last(), first(), sample, sample, last(), first(), number(), last(), first(), phone(), status, word(), kind, value, unit, status, number(), number(), last(), first(), sample, sample, word())
    return (text + more).strip('\n').replace('\n', '\r').encode('utf-8', 'surrogateescape') + b'\r' + tail.encode()


def patient():
    return {'resourceType': 'Patient', 'id': 'p1', 'text': {'status': 'generated', 'div': '<div xmlns="http://www.w3.org/1999/xhtml">%s</div>' % word()},
            'identifier': [{'system': 'urn:moh', 'value': number()}], 'name': [{'text': first(), 'family': last(), 'given': [first()]}],
            'telecom': [{'system': 'phone', 'value': phone()}], 'gender': 'female', 'birthDate': '1991-07-08', 'address': [{'line': [street()], 'city': street()}],
            'contact': [{'name': {'family': last()}, 'telecom': [{'system': 'phone', 'value': phone()}]}]}


def bundle(**change):
    o = {'resourceType': 'Observation', 'identifier': [{'system': 'urn:lab', 'value': number()}], 'status': 'final',
         'code': {'coding': [{'system': 'http://loinc.org', 'code': '41636-2'}], 'text': word()}, 'subject': {'reference': 'Patient/p1', 'display': last()},
         'performer': [{'display': last()}], 'issued': '2026-11-05T10:10:00+03:00', 'effectiveDateTime': '2026-11-04T08:30:00+03:00', 'valueString': word(),
         'note': [{'text': word()}], 'specimen': {'identifier': {'value': number()}}}
    o.update(change)
    return {'resourceType': 'Bundle', 'type': 'collection', 'identifier': {'system': 'urn:b', 'value': 'B-%d' % len(PLANTED)},
            'entry': [{'resource': patient(), 'fullUrl': 'http://x/Patient/p1'}, {'resource': o, 'fullUrl': 'http://x/Observation/o1'}]}


class Outputs:
    """Everything that has to be clean, by name."""

    def __init__(self):
        self.v = {}

    def add(self, name, text):
        self.v[name] = self.v.get(name, '') + (text.decode('utf-8', 'replace') if isinstance(text, bytes) else text) + '\n'

    def found(self):
        bad = []
        for name, text in sorted(self.v.items()):
            folded = text.lower()
            for c in [p.lower() for p in PLANTED] + list(TOKENS):
                if c in folded:
                    at = folded.index(c)
                    bad.append('%s: %r' % (name, text[max(0, at - 100):at + 60]))
                    break
        return bad


def ack(answer):
    """What an acknowledgement says itself: not MSH, which turns the sender's round, nor MSA-2."""
    lines = []
    for line in (answer or b'').decode('utf-8', 'replace').split('\r'):
        f = line.split('|')
        if f[0] == 'MSA':
            f[2:3] = ['-']
        if f[0] not in ('MSH', 'BHS', 'FHS'):
            lines.append('|'.join(f))
    return '\n'.join(lines)


def ask(port, method, path, body=None, kind='application/fhir+json', auth='Bearer the-token-of-the-tests', **fields):
    c = http.client.HTTPConnection('127.0.0.1', port, timeout=20)
    try:
        h = {'Content-Type': kind, 'Authorization': auth}
        h.update({k.replace('_', '-'): v for k, v in fields.items()})
        c.request(method, path, json.dumps(body).encode() if isinstance(body, dict) else body, h)
        a = c.getresponse()
        text = a.read().decode('utf-8', 'replace')
        head = '\n'.join('%s: %s' % x for x in a.getheaders())
        return '%d %s\n%s' % (a.status, head, ack(text.encode()) if text.startswith('MSH') else text)
    finally:
        c.close()


def by_mllp(r, out):
    def send(name, payload):
        try:
            out.add('ACK of ' + name, ack(r.send(payload, 10.0)))
        except (OSError, mllp.Closed, mllp.Timeout) as e:
            out.add('ACK of ' + name, 'no answer: ' + type(e).__name__)
    send('a result', oru('C1', KNOWN['visualId'], (KNOWN['firstName'], KNOWN['lastName'])))
    send('a critical result', oru('C2', KNOWN['visualId'], (KNOWN['firstName'], KNOWN['lastName']), unit='CRIT'))
    send('a withdrawal', oru('C3', KNOWN['visualId'], (KNOWN['firstName'], KNOWN['lastName']), status='W'))
    send('nobody', oru('C4'))
    send('twins', oru('C5', names=TWIN, born='19900102'))
    send('evidence against', oru('C6', KNOWN['visualId'], born='20010203'))
    send('a security field', oru('CS7'))
    for n, (name, more) in enumerate([
            ('an unmapped value', {'value': word(), 'kind': 'ST'}), ('a number that is a name', {'value': last(), 'kind': 'NM'}), ('a type that is a name', {'value': 'x', 'kind': last()}),
            ('a birth date that is a name', {'born': first()}), ('a version that is a name', {'version': last()}), ('a charset that is a name', {'msh18': last()}),
            ('a trigger that is a name', {'msh9': last() + '^' + first()}), ('a type of message that is a name', {'msh9': 'ORU^%s^%s' % (first(), last())}),
            ('a segment that is a name', {'more': last() + '|1|' + first()}), ('a line of text', {'more': first() + ' ' + last() + ' ' + phone()}),
            ('PID in OBX', {'more': 'OBX|2|ST|%s^%s|%s|PID~%s|%s|||||%s' % (first(), last(), number(), last(), word(), first())}),
            ('a date of the test that is a name', {'more': 'OBX|2|ST|41636-2^x^LN||Positive||||||F|||%s' % last()}),
            ('a status that is a name', {'status': last()}), ('escapes', {'more': 'NTE|2|L|\\X5A716B\\ \\%s\\ ' % last()}),
            ('bytes that are no UTF-8', {'value': '\udcff' + last(), 'kind': 'ST'})]):
        send(name, oru('D%d' % n, **more))
    again = oru('E1')
    send('once', again)
    send('again', again)
    send('the same control id with other content', oru('E1'))
    send('no MSH', ('PID|1||%s^^^GODATA^PI||%s^%s\r' % (number(), last(), first())).encode())
    send('garbage', (first() + last() + phone()).encode())
    send('a batch that lies', b'BHS|^~\\&|%s|%s\r' % (last().encode(), first().encode()) + oru('F1') + b'BTS|7|%s\r' % word().encode())
    send('oversize', oru('G1', more='NTE|3|L|' + (last() + ' ') * 9000))
    with mllp.Client('127.0.0.1', r.mllp) as c:     # cut in the middle, and noise between frames
        c.sock.sendall(first().encode() + b'\x0b' + oru('H1')[:400])
    r.verb('pause', 'lab', '--by', 'tester')
    send('a paused channel', oru('I1'))
    r.verb('resume', 'lab', '--by', 'tester')


def by_http(r, web, out):
    def send(name, *a, **k):
        out.add('HTTP answer to ' + name, ask(web, *a, **k))
    send('a bundle', 'POST', '/fhir', bundle())
    send('a value', 'POST', '/fhir', bundle(valueString='Positive'))
    send('broken JSON', 'POST', '/fhir', ('{"resourceType":"Bundle","x":"%s" %s' % (last(), first())).encode())
    send('an unknown element, strict', 'POST', '/fhir', bundle(**{last(): first()}), Prefer='handling=strict')
    send('an unknown element', 'POST', '/fhir', bundle(**{last(): first()}))
    send('a wrong date', 'POST', '/fhir', bundle(issued=last()))
    send('a wrong status', 'POST', '/fhir', bundle(status=last()))
    send('a wrong type', 'POST', '/fhir', bundle(valueString={'text': last()}))
    send('a resource that is a name', 'POST', '/fhir', {'resourceType': last(), 'name': first()})
    send('a reference to nowhere', 'POST', '/fhir', bundle(subject={'reference': 'Patient/' + last()}))
    send('XML that is broken', 'POST', '/fhir', ('<Bundle xmlns="http://hl7.org/fhir"><%s>%s</Bundle>' % (last(), first())).encode(), kind='application/fhir+xml')
    send('a path that is a name', 'POST', '/fhir/' + last(), bundle())
    send('a read', 'GET', '/fhir/Patient/' + number())
    send('a search', 'GET', '/fhir/Patient?name=' + last())
    send('a condition', 'POST', '/fhir/Observation', bundle()['entry'][1]['resource'], If_None_Exist='identifier=' + number())
    send('a media type', 'POST', '/fhir', b'x', kind='text/' + last())
    send('a wrong token', 'POST', '/fhir', bundle(), auth='Bearer ' + number())
    send('a wrong password', 'POST', '/fhir', bundle(), auth='Basic enFrOnpxaw==')
    send('a request id', 'POST', '/fhir', bundle(), X_Request_Id=last())
    send('HL7', 'POST', '/hl7', oru('J1'), kind='application/hl7-v2')
    send('bad HL7', 'POST', '/hl7', oru('J2', value=last(), kind='NM'), kind='application/hl7-v2')
    send('oversize', 'POST', '/fhir', ('"' + last() * 20000 + '"').encode())
    send('a method', plant('ZQK%03d'), '/fhir')


def by_files(r, out):
    def drop(folder, name, content):
        path = os.path.join(r.folder, folder, name)
        with open(path + '.tmp', 'wb') as f:
            f.write(content)
        os.rename(path + '.tmp', path)
    drop('in', last() + '.hl7', oru('K1'))
    drop('in', first() + '.hl7', oru('K2', value=last(), kind='NM'))
    drop('in', number() + '.hl7', (first() + ' no message').encode())
    drop('in', phone() + '.hl7', oru('K3', more='NTE|3|L|' + (last() + ' ') * 9000))
    drop('in', last() + '.txt', b'')
    drop('fhir', last() + '.json', json.dumps(bundle()).encode())
    drop('fhir', first() + '.json', json.dumps(bundle(status=last())).encode())
    drop('fhir', number() + '.json', ('{"a":"%s"' % last()).encode())
    head = 'Lab no,Case,Name,Born,Test,Result\n'
    drop('csv', last() + '.csv', (head + '%s,%s,%s,%s,41636-2,Positive\n' % (number(), number(), first(), last())).encode())
    drop('csv', first() + '.csv', (head + '%s,%s,%s,1990-01-01,41636-2,%s\n%s,"%s' % (number(), number(), first(), word(), number(), last())).encode())
    drop('csv', number() + '.csv', ('%s,%s\n1,2\n' % (last(), first())).encode())
    until(lambda: not [f for d in ('in', 'fhir', 'csv') for f in os.listdir(os.path.join(r.folder, d)) if os.path.isfile(os.path.join(r.folder, d, f))], 'all files are taken', 30)
    time.sleep(0.5)
    for d in ('in', 'fhir', 'csv'):
        for base, _, names in os.walk(os.path.join(r.folder, d)):
            for f in names:
                if not f.endswith(('.hl7', '.json', '.csv', '.txt')) or '.report' in f or '.ack' in f or '.response' in f:
                    text = open(os.path.join(base, f), errors='replace').read()
                    out.add('the report beside a file in ' + os.path.relpath(base, r.folder), ack(text.encode()) if 'MSA|' in text else text)


def spoiled(r, out):
    """Go.Data fails in every way while results of people are on their way."""
    for n, how in enumerate([{'mode': 'status', 'status': 422, 'name': last()}, {'mode': 'status', 'status': 409, 'code': last()}, {'mode': 'status', 'status': 400, 'name': word()},
                             {'mode': 'status', 'status': 500}, {'mode': 'status', 'status': 503}, {'mode': 'garbage'}, {'mode': 'half'}, {'mode': 'close'},
                             {'mode': 'status', 'status': 403, 'name': last()}, {'mode': 'status', 'status': 404, 'name': last()}, {'mode': 'status', 'status': 401}]):
        r.sandbox.call('POST', '/sandbox/inject', dict(how, route='POST /outbreaks/:o/:p/:1/lab-results', times=1))
        out.add('ACK while Go.Data fails', ack(r.send(oru('L%d' % n, KNOWN['visualId'], (KNOWN['firstName'], KNOWN['lastName'])))))
        time.sleep(0.3)


def verbs(r, out):
    for args in (('status',), ('status', '--json'), ('status', '--metrics'), ('queue',), ('queue', '--json'), ('queue', '--lanes'), ('queue', '--lanes', '--json'),
                 ('tail', '--since', 'm1', '--once'), ('tail', '--since', 'm1', '--once', '--json'), ('verify',), ('verify', '--json'), ('mirror', 'status'),
                 ('mirror', 'status', '--json'), ('held', 'release', 'd99999', '--by', 'x'), ('pause', 'nobody', '--by', 'x')):
        rc, text, err = r.verb(*args, check=False)
        expect(args[0] in ('held', 'pause') or text, 'nothing was said', args, err)
        out.add('labrelay ' + ' '.join(args), text + err)
    path = os.path.join(r.folder, 'bundle.tar')
    _, text, err = r.verb('bundle', '--log', r.log_path, path)
    out.add('labrelay bundle', text + err)
    expect(os.stat(path).st_mode & 0o777 == 0o600, 'the bundle is for its owner only')
    with tarfile.open(path) as t:
        names = t.getnames()
        for m in t.getmembers():
            out.add('bundle: ' + m.name, t.extractfile(m).read())
    for want in ('system.txt', 'config/00.conf', 'config/files.txt', 'files.txt', 'status.json', 'queue.jsonl', 'store.json', 'alarms.jsonl', 'log.txt'):
        expect('labrelay-bundle/' + want in names, 'the bundle lacks', want, names)
    return names


def test_nothing_planted_comes_out():
    web = rig.free_port()
    out = Outputs()
    r = rig.Rig(seed=SEED, listeners=LISTENERS % web, head=HEAD, routes=ROUTES)
    for d in ('in', 'fhir', 'csv', 'credentials'):
        os.mkdir(os.path.join(r.folder, d), 0o700)
    with open(os.open(os.path.join(r.folder, 'credentials', 'web-tokens'), os.O_WRONLY | os.O_CREAT, 0o600), 'w') as f:
        f.write('the-token-of-the-tests\n')
    with open(os.path.join(r.folder, 'tell'), 'w') as f:
        f.write('#!/bin/sh\ncat >>%s/told.jsonl\n' % r.folder)
    os.chmod(os.path.join(r.folder, 'tell'), 0o755)
    with r:
        r.verb('log-level', 'debug')
        by_mllp(r, out)
        by_http(r, web, out)
        by_files(r, out)
        r.settle(60)
        spoiled(r, out)
        until(lambda: os.path.exists(os.path.join(r.folder, 'told.jsonl')), 'alarms', 20)
        time.sleep(4)
        names = verbs(r, out)
        told = open(os.path.join(r.folder, 'told.jsonl')).read()
        out.add('alarms', told)
        kinds = {json.loads(x)['alarm'] for x in told.strip().split('\n')}
        expect({'critical', 'held-count', 'silence'} <= kinds, 'alarms that were meant to come', sorted(kinds))
        # the positive control: they were in it
        shown = ''
        last_id = max(m['message'] for m in map(json.loads, r.verb('tail', '--since', 'm1', '--once', '--json')[1].strip().split('\n')))
        for n in range(1, last_id + 1):
            shown += r.verb('show', '--raw', 'm%d' % n, check=False)[1]
        inside = [p for p in PLANTED if p.lower() in shown.lower()]
        r.stop()
        out.add('the log', open(r.log_path, errors='replace').read())
        r.start()
    expect(len(PLANTED) >= 200, 'planted', len(PLANTED))
    expect(len(inside) >= 0.8 * len(PLANTED), 'they were not taken in', len(inside), len(PLANTED))
    control = Outputs()
    control.add('control', 'a line with ' + PLANTED[7].upper() + ' in it')
    expect(control.found() and Outputs().found() == [], 'the search finds nothing')
    sizes = {k: len(v) for k, v in out.v.items()}
    expect(sizes['the log'] > 20000 and len(out.v) > 60 and ' level=debug' in out.v['the log'] + ' level=debug', 'too little was looked through', sizes)
    reports = [k for k in out.v if k.startswith('the report')]
    expect(len(reports) >= 2, 'no reports beside refused files', sorted(sizes))
    bad = out.found()
    expect(not bad, '%d of %d outputs hold a canary:\n  ' % (len(bad), len(out.v)) + '\n  '.join(bad))
    print('%d values planted, %d of them in stored messages; %d outputs with %d bytes looked through, %d files of the bundle among them' %
          (len(PLANTED), len(inside), len(out.v), sum(sizes.values()), len(names)))


def test_the_bundle_hides_what_a_configuration_holds():
    with rig.Rig(seed=SEED, head='# zqk comment\n') as r:
        text = open(r.conf).read()
        with open(os.path.join(r.folder, 'more.conf'), 'w') as f:
            f.write('# of zqk\nroute "zq" {\n    from "lab"\n    when patient.family_name = "ZQK-9" or patient.name_text ~ /zqk/i   # zqk\n    hold "no route"\n}\n'
                    'alarm {\n    webhook "https://h.example/zqkhook" token \\\n "zqktoken"\n'
                    '    mail to "it@example.org" from "gw@example.org" smtp "smtp://h" login "x" password "zqkpassword"\n}\n')
        with open(r.conf, 'w') as f:
            f.write(text.replace('route "results"', 'include "more.conf"\nroute "results"'))
        rc, o, err = r.verb('check', check=False)
        expect(rc == 0, 'check', o, err)
        path = os.path.join(r.folder, 'b.tar')
        r.verb('bundle', path)
        with tarfile.open(path) as t:
            conf = ''.join(t.extractfile(m).read().decode() for m in t.getmembers() if '/config/' in m.name)
        expect('zqk' not in conf.lower() and '(hidden)' in conf and 'smtp://h' in conf and 'hold "no route"' in conf, 'hidden', conf)
        rc, _, err = r.verb('bundle', os.path.join(r.folder, 'no', 'such', 'b.tar'), check=False)
        expect(rc != 0 and 'no/such' in err, 'cannot write', err)
        subprocess.run(['tar', '-tf', path], check=True, stdout=subprocess.DEVNULL)
        # our own lines only
        log = os.path.join(r.folder, 'x.log')
        with open(log, 'w') as f:
            f.write('Nov 21 host kernel: zqk\n2026-11-21T10:00:00.000Z level=info msg=m1 stored channel=lab type=zqk control=zqk bytes=3\n')
        r.verb('bundle', '--log', log, path)
        with tarfile.open(path) as t:
            kept = t.extractfile('labrelay-bundle/log.txt').read().decode()
        expect('zqk' not in kept and 'msg=m1 stored channel=lab type=- control=- bytes=3' in kept and '1 lines that are not' in kept, 'the log', kept)


def main():
    tests = [(n, f) for n, f in sorted(globals().items()) if n.startswith('test_') and (not sys.argv[1:] or any(w in n for w in sys.argv[1:]))]
    failed = 0
    for name, f in tests:
        try:
            f()
            print('ok   ' + name)
        except Exception as e:  # a test that breaks in any way has failed
            failed += 1
            print('FAIL %s: %s: %s' % (name, type(e).__name__, str(e)[:6000]))
    print('%d passed, %d failed' % (len(tests) - failed, failed))
    return 1 if failed or not tests else 0


if __name__ == '__main__':
    sys.exit(main())
