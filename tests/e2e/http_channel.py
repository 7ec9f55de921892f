#!/usr/bin/env python3
"""http_channel - the HTTP channel of the real engine: endpoints, forms, codes, hostile input. Items 88-107 of the checklist, where they are about HTTP.

Each function is one test. Usage: http_channel.py [NAME…]
"""
import base64
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rig  # noqa: E402
from rig import hl7  # noqa: E402

NOWHERE = 'http://127.0.0.1:9/api'
HOLD = 'route "all" {{ hold "no route" }}\n'
LISTEN = '''
listen http "ehr" {{
    address  127.0.0.1:%d
    tokens   credential "ehr-tokens"
    basic    credential "ehr-basic"
    %s
    parse    hl7v2 {{ timezone "Africa/Kampala" }}
    parse    fhir {{ timezone "Africa/Kampala" }}
}}
'''
TOKEN = 'tok-1-of-the-tests'
JSON, XML, ER7 = 'application/fhir+json', 'application/fhir+xml', 'application/hl7-v2+er7'


class Skipped(Exception):
    """Says why."""


def expect(condition, text, *more):
    if not condition:
        raise rig.Failed(text + ''.join(' %.900r' % (m,) for m in more))


class Answer:
    def __init__(self, r):
        self.status, self.body, self.headers = r.status, r.read(), r.headers

    def json(self):
        expect('json' in (self.headers['Content-Type'] or ''), 'no JSON', self.status, self.headers['Content-Type'], self.body[:300])
        return json.loads(self.body)

    def issues(self):
        o = self.json()
        expect(o['resourceType'] == 'OperationOutcome' and o['issue'], 'no OperationOutcome', o)
        return [i['code'] for i in o['issue']]


class Web(rig.Rig):
    def __init__(self, options='', head='', routes=HOLD, binary=None, seed=None):
        self.port = rig.free_port()
        super().__init__(api=None if seed else NOWHERE, seed=seed, listeners=LISTEN % (self.port, options), routes=routes, head=head, binary=binary)
        self.credentials(TOKEN + '\n# a comment\nsecond-token\n', 'ann:p@ss word\n')

    def credentials(self, tokens, basic):
        folder = os.path.join(self.folder, 'credentials')
        os.makedirs(folder, mode=0o700, exist_ok=True)
        for name, text in (('ehr-tokens', tokens), ('ehr-basic', basic)):
            with open(os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w') as f:
                f.write(text)

    def ask(self, method, path, body=None, kind=JSON, auth='Bearer ' + TOKEN, timeout=20, **fields):
        c = http.client.HTTPConnection('127.0.0.1', self.port, timeout=timeout)
        h = {k.replace('_', '-'): v for k, v in fields.items()}
        if kind and body is not None:
            h['Content-Type'] = kind
        if auth:
            h['Authorization'] = auth
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        try:
            c.request(method, path, body.encode() if isinstance(body, str) else body, h)
            return Answer(c.getresponse())
        finally:
            c.close()

    def raw(self, data, seconds=10.0, half_close=False):
        """Writes bytes, returns all that comes until the end."""
        with socket.create_connection(('127.0.0.1', self.port), timeout=seconds) as s:
            try:
                s.sendall(data)
                if half_close:
                    s.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            out = b''
            try:
                while True:
                    b = s.recv(65536)
                    if not b:
                        return out
                    out += b
            except OSError:
                return out

    def frames(self):
        return {what: n for name, what, n in self.json('status')['frames'] if name == 'ehr'}

    def balanced(self, **want):
        end = time.monotonic() + 6
        while True:
            v = self.json('verify', ok=(0, 1))
            f = [x for x in v['frames'] if x['channel'] == 'ehr']
            got = f[0] if f else {}
            if v['balanced'] and all(got.get(k, 0) == n for k, n in want.items()):
                return v
            if time.monotonic() > end:
                raise rig.Failed('verify: %s wanted %s' % (json.dumps(v), want))
            time.sleep(0.1)

    def rss_kb(self):
        return int([x for x in open('/proc/%d/status' % self.process.pid) if x.startswith('VmHWM')][0].split()[1])


# ---- resources of invented people ----

def patient(n='1'):
    return {'resourceType': 'Patient', 'identifier': [{'type': {'coding': [{'system': 'http://terminology.hl7.org/CodeSystem/v2-0203', 'code': 'PI'}]},
                                                       'value': 'CA-000000000' + n, 'assigner': {'display': 'GODATA'}}],
            'name': [{'family': 'Okello', 'given': ['Amina']}], 'gender': 'female', 'birthDate': '1988-03-14'}


def observation(n='1', **more):
    o = {'resourceType': 'Observation', 'identifier': [{'system': 'urn:lab', 'value': 'O-' + n}], 'status': 'final',
         'code': {'coding': [{'system': 'http://loinc.org', 'code': '41636-2'}]}, 'subject': {'reference': '#p'}, 'contained': [dict(patient(), id='p')],
         'effectiveDateTime': '2026-11-04T08:30:00+03:00', 'issued': '2026-11-05T10:15:00+03:00',
         'valueCodeableConcept': {'coding': [{'system': 'http://snomed.info/sct', 'code': '260373001'}]}}
    o.update(more)
    return o


def report(n='1'):
    o = observation(n, id='o')
    del o['contained']
    o['subject'] = {'reference': '#p'}
    return {'resourceType': 'DiagnosticReport', 'identifier': [{'system': 'urn:lab', 'value': 'R-' + n}], 'status': 'final',
            'code': {'coding': [{'system': 'http://loinc.org', 'code': '41636-2'}]}, 'subject': {'reference': '#p'}, 'issued': '2026-11-05T10:15:00+03:00',
            'contained': [dict(patient(), id='p'), o], 'result': [{'reference': '#o'}]}


def bundle(kind, *resources, header=None, identifier=None):
    entries = []
    for i, r in enumerate(resources):
        e = {'fullUrl': 'urn:uuid:5b1f0001-0000-4000-8000-0000000000%02d' % i, 'resource': r}
        if kind in ('transaction', 'batch'):
            e['request'] = {'method': 'POST', 'url': r['resourceType']}
        entries.append(e)
    b = {'resourceType': 'Bundle', 'type': kind, 'entry': entries}
    if kind == 'document':
        b['timestamp'] = '2026-11-05T10:15:00+03:00'
        identifier = identifier or 'doc'
    if identifier:
        b['identifier'] = {'system': 'urn:ietf:rfc:3986', 'value': identifier}
    return b


def linked(kind, n='1', **more):
    p, o = patient(), observation(n)
    del o['contained']
    o['subject'] = {'reference': 'urn:uuid:5b1f0001-0000-4000-8000-000000000000'}
    o.update(more)
    first = []
    b = bundle(kind, p, o, identifier='b-%s-%s' % (kind, n))
    if kind == 'message':
        first = [{'resourceType': 'MessageHeader', 'id': 'mh-' + n, 'eventCoding': {'system': 'urn:x', 'code': 'R01'}, 'source': {'endpoint': 'urn:lab:1'}}]
    if kind == 'document':
        first = [{'resourceType': 'Composition', 'status': 'final', 'type': {'text': 'report'}, 'date': '2026-11-05', 'author': [{'display': 'x'}], 'title': 'x'}]
    for r in first:
        b['entry'].insert(0, {'fullUrl': 'urn:uuid:5b1f0001-0000-4000-8000-0000000000ff', 'resource': r})
    return b


def oru(control, status='F'):
    return hl7('''MSH|^~\\&|DEV|LAB|LABRELAY|MOH|20261105101500+0300||ORU^R01^ORU_R01|%s|P|2.5.1||||||UNICODE UTF-8
PID|1||CA-0000000001^^^GODATA^PI||Okello^Amina^^^^^L||19880314|F
OBR|1||F-%s|41636-2^Ebola virus RNA^LN|||20261104083000+0300|||||||||||||||20261105101000+0300||MB|F
OBX|1|CWE|41636-2^Ebola virus RNA^LN|1|260373001^Detected^SCT||Not detected|POS|||%s|||20261104083000+0300
SPM|1|^%s||119297000^Blood^SCT|||||||P||||||20261104083000+0300''' % (control, control, status, control))


XML_OBSERVATION = '''<Observation xmlns="http://hl7.org/fhir"><contained><Patient><id value="p"/><name><family value="Okello"/></name></Patient></contained><status value="final"/>
<code><coding><system value="http://loinc.org"/><code value="41636-2"/></coding></code><subject><reference value="#p"/></subject>
<valueCodeableConcept><coding><system value="http://snomed.info/sct"/><code value="260373001"/></coding></valueCodeableConcept></Observation>'''


# ---- what is taken ----

def test_transaction_lists_its_entries():                       # [item 88]
    with Web() as r:
        a = r.ask('POST', '/fhir', linked('transaction'))
        expect(a.status == 200, 'status', a.status, a.body)
        b = a.json()
        expect(b['resourceType'] == 'Bundle' and b['type'] == 'transaction-response' and len(b['entry']) == 2, 'response', b)
        for e, kind in zip(b['entry'], ('Patient', 'Observation')):
            x = e['response']
            expect(x['status'].startswith('201') and '/%s/' % kind in x['location'] and x['etag'] and x['lastModified'], 'entry', x)
        again = r.ask('POST', '/fhir', linked('transaction'))
        expect(again.status == 200 and [e['response']['location'] for e in again.json()['entry']] == [e['response']['location'] for e in b['entry']], 'the same answer again', again.body)
        r.balanced(received=2, stored=1, duplicate=1)


def test_transaction_all_or_nothing_and_batch_each():           # [item 89]
    bad = observation('2')
    del bad['status']
    with Web() as r:
        a = r.ask('POST', '/fhir', bundle('transaction', observation('1'), bad))
        expect(a.status in (400, 422), 'a bad transaction', a.status, a.body)
        o = a.json()
        expect(any('entry[1]' in x for i in o['issue'] for x in i.get('expression', [])), 'no place', o)
        expect('Okello' not in a.body.decode() and '1988' not in a.body.decode(), 'a value of the patient in the answer')
        r.balanced(received=1, refused=1)
        a = r.ask('POST', '/fhir', bundle('batch', observation('1'), bad, observation('3')))
        expect(a.status == 200, 'batch', a.status, a.body)
        b = a.json()
        expect(b['type'] == 'batch-response', 'type', b)
        expect([e['response']['status'][:3] for e in b['entry']] == ['201', '422', '201'], 'each by itself', b)
        expect(b['entry'][1]['response']['outcome']['issue'], 'outcome of the bad one', b)
        r.balanced(received=2, refused=1, stored=1)


def test_message_document_collection():
    with Web() as r:
        for kind in ('message', 'document', 'collection'):
            a = r.ask('POST', '/fhir', linked(kind))
            expect(a.status in (200, 201) and a.issues(), kind, a.status, a.body)
            a = r.ask('POST', '/fhir/Bundle', linked(kind, '2'))
            expect(a.status == 201 and a.headers['Location'].startswith('/fhir/Bundle/') and a.headers['ETag'] == 'W/"1"', kind + ' at Bundle', a.status, a.body, a.headers['Location'])
        r.balanced(received=6, stored=6)


def test_lone_resources_and_updates():
    with Web() as r:
        a = r.ask('POST', '/fhir/Observation', observation('1'))
        expect(a.status == 201 and a.headers['Location'].startswith('/fhir/Observation/'), 'Observation', a.status, a.body)
        a = r.ask('POST', '/fhir/DiagnosticReport', report('1'))
        expect(a.status == 201 and a.headers['Location'].startswith('/fhir/DiagnosticReport/'), 'DiagnosticReport', a.status, a.body)
        a = r.ask('POST', '/fhir/DiagnosticReport', observation('1'))
        expect(a.status == 422, 'an Observation at DiagnosticReport', a.status, a.body)
        a = r.ask('PUT', '/fhir/DiagnosticReport/r-1', dict(report('2'), id='r-1'))
        expect(a.status == 201 and '/fhir/DiagnosticReport/r-1/_history/' in a.headers['Location'], 'update as create', a.status, a.body)
        a = r.ask('PUT', '/fhir/DiagnosticReport/r-1', dict(report('2'), id='r-1', status='amended'))
        expect(a.status == 200, 'update', a.status, a.body)
        a = r.ask('PUT', '/fhir/DiagnosticReport?identifier=urn:lab%7CR-3', report('3'))
        expect(a.status == 201, 'conditional update, none', a.status, a.body)
        a = r.ask('PUT', '/fhir/DiagnosticReport?identifier=urn:lab%7CR-3', dict(report('3'), status='amended'))
        expect(a.status == 200, 'conditional update, one', a.status, a.body)
        r.balanced(received=7, refused=1, stored=6)


def test_conditional_create():
    with Web() as r:
        for i, (want, n) in enumerate(((201, '1'), (200, '1'), (200, '9'))):
            a = r.ask('POST', '/fhir/Observation', observation(n), If_None_Exist='identifier=urn:lab|O-1')
            expect(a.status == want, 'try %d' % i, a.status, a.body)
        a = r.ask('POST', '/fhir/Observation', observation('4'), If_None_Exist='code=x')
        expect(a.status == 400 and a.issues() == ['not-supported'], 'another search', a.status, a.body)
        r.balanced(received=3, stored=1, duplicate=2)


def test_conditions_count_what_came_without_one():               # [item 98]
    condition = {'If_None_Exist': 'identifier=urn:lab|O-1'}
    put = '/fhir/Observation?identifier=urn:lab%7CO-1'
    other = observation('1', identifier=[{'system': 'urn:lab', 'value': 'O-7'}])
    with Web() as r:
        expect(r.ask('POST', '/fhir/Observation', other).status == 201, 'somebody else')
        expect(r.ask('POST', '/fhir/Observation', observation('1'), **condition).status == 201, 'none')
        a = r.ask('POST', '/fhir/Observation', observation('1', status='amended'), **condition)
        expect(a.status == 200 and a.issues() == ['duplicate'], 'one', a.status, a.body)
        expect(r.ask('PUT', put, observation('1', status='amended')).status == 200, 'a version of the one')
        expect(r.ask('PUT', put, observation('1', status='corrected')).status == 200, 'another version')
        expect(r.ask('PUT', put, observation('1', status='corrected')).status == 200, 'the same version again')
        expect(r.ask('POST', '/fhir/Observation', observation('1', status='preliminary'), **condition).status == 200, 'versions are one resource')
        r.balanced(received=7, stored=4, duplicate=3)
        expect(r.ask('POST', '/fhir/Observation', observation('1', issued='2026-11-06T10:15:00+03:00')).status == 201, 'a second one, unconditionally')
        for name, a in (('create', r.ask('POST', '/fhir/Observation', observation('1', status='preliminary'), **condition)),
                        ('update', r.ask('PUT', put, observation('1', status='preliminary')))):
            expect(a.status == 412 and a.issues() == ['multiple-matches'], name + ', two', a.status, a.body)
            expect('O-1' not in a.body.decode(), 'the identifier in the answer', a.body)
        r.balanced(received=10, stored=5, duplicate=3, refused=2)
        r.stop()
        r.start()
        expect(r.ask('POST', '/fhir/Observation', observation('1', status='preliminary'), **condition).status == 412, 'after a restart')
    with Web() as r:                                            # without conditions the resource's own identifier counts
        expect(r.ask('POST', '/fhir/DiagnosticReport', report('1')).status == 201, 'plain')
        expect(r.ask('POST', '/fhir/DiagnosticReport', report('1')).status == 201, 'the same bytes: the same answer')
        condition = {'If_None_Exist': 'identifier=urn:lab|R-1'}
        expect(r.ask('POST', '/fhir/DiagnosticReport', dict(report('1'), status='amended'), **condition).status == 200, 'one')
        bad = dict(report('1'))
        del bad['status']
        expect(r.ask('POST', '/fhir/DiagnosticReport', bad).status == 422, 'what was refused is no match')
        expect(r.ask('POST', '/fhir/DiagnosticReport', dict(report('1'), status='amended'), **condition).status == 200, 'still one')
        expect(r.ask('POST', '/fhir/Observation', observation('1'), **condition).status == 201, 'of another type')
        r.balanced(received=6, stored=2, duplicate=3, refused=1)


def test_process_message():                                     # [item 101]
    with Web() as r:
        a = r.ask('POST', '/fhir/$process-message', linked('message'))
        expect(a.status == 200, 'status', a.status, a.body)
        b = a.json()
        h = b['entry'][0]['resource']
        expect(b['type'] == 'message' and h['resourceType'] == 'MessageHeader', 'response', b)
        expect(h['response']['identifier'] == 'mh-1' and h['response']['code'] == 'ok', 'header', h)
        expect(b['entry'][1]['resource']['resourceType'] == 'OperationOutcome', 'details', b)
        a = r.ask('POST', '/fhir/%24process-message?async=true', linked('message', '2'))
        expect(a.status == 202 and not a.body, 'async', a.status, a.body)
        a = r.ask('POST', '/fhir/$process-message', linked('collection', '3'))
        expect(a.status == 422, 'no message', a.status, a.body)
        r.balanced(received=3, stored=2, refused=1)


def test_prefer():                                              # [item 100]
    with Web() as r:
        a = r.ask('POST', '/fhir/Observation', observation('1'), Prefer='return=minimal')
        expect(a.status == 201 and a.body == b'' and a.headers['Location'], 'minimal', a.status, a.body)
        a = r.ask('POST', '/fhir/Observation', observation('2'), Prefer='return=OperationOutcome')
        expect(a.status == 201 and a.issues() == ['informational'], 'outcome', a.status, a.body)
        sent = observation('3')
        a = r.ask('POST', '/fhir/Observation', sent, Prefer='handling=lenient, return=representation')
        expect(a.status == 201 and a.json() == sent, 'representation', a.status, a.body)
        a = r.ask('POST', '/fhir/Observation', observation('4'), Prefer='respond-async')
        expect(a.status == 202 and a.body == b'', 'async', a.status, a.body)
        where = a.headers['Content-Location']
        a = r.ask('GET', where)
        expect(a.status == 200 and a.issues() == ['informational'], 'where it went', where, a.status, a.body)
        expect(r.ask('GET', '/fhir/_async/m999999').status == 404, 'a request that never was')
        r.balanced(received=4, stored=4)


def test_strict_handling():
    odd = observation('1', colour='red')
    with Web() as r:
        for where, body, place in (('/fhir/Observation', odd, 'Observation.children()['), ('/fhir', linked('transaction', colour='red'), 'Bundle.entry[1].resource.children()['),
                                   ('/fhir/$process-message', linked('message', colour='red'), 'Bundle.entry[2].resource.children()[')):
            a = r.ask('POST', where, body, Prefer='handling=strict')
            expect(a.status == 422 and place in a.body.decode() and 'red' not in a.body.decode(), where, a.status, a.body)
        expect(r.ask('POST', '/fhir/Observation', observation('2'), Prefer='handling=strict').status == 201, 'nothing unknown')
        expect(r.ask('POST', '/fhir/Observation', odd, Prefer='handling=lenient').status == 201, 'lenient')
        r.balanced(received=5, refused=3, stored=2)


def test_each_status_in_godata():                               # [item 97] that a test was cancelled is told by the note of its record
    seed = {'cases': [{'id': 'c0000000-0000-4000-8000-000000000001', 'visualId': 'CA-0000000001', 'firstName': 'Amina', 'lastName': 'Okello', 'dob': '1988-03-14',
                       'gender': 'LNG_REFERENCE_DATA_CATEGORY_GENDER_FEMALE'}]}
    with Web(seed=seed, routes=rig.ROUTES) as r:
        def take(number, status, day, sample='S-1'):
            o = observation('1', status=status, issued='2026-11-%02dT10:15:00+03:00' % day)
            o['contained'].append({'resourceType': 'Specimen', 'id': 's', 'identifier': [{'value': sample}]})
            o['specimen'] = {'reference': '#s'}
            a = r.ask('POST', '/fhir/Observation', o)
            expect(a.status == 201, status, a.status, a.body)
            r.settle()
            return r.sandbox.lab_results(), r.json('show', 'm%d' % number)['deliveries'][0]
        def record(labs, status, result):
            expect(len(labs) == 1 and labs[0]['status'].endswith('_STATUS_' + status) and (labs[0].get('result') or '').endswith(result), 'not ' + status, labs)
            return labs[0]['id']
        labs, d = take(1, 'preliminary', 5)
        first = record(labs, 'IN_PROGRESS', '_POSITIVE')
        for n, status in ((2, 'final'), (3, 'amended')):
            labs, d = take(n, status, 4 + n)
            expect(record(labs, 'COMPLETED', '_POSITIVE') == first and d['state'] == 'delivered', status, labs, d)
        labs, d = take(4, 'entered-in-error', 8)
        expect(labs == [] and d['state'] == 'withdrawn', 'entered-in-error', labs, d)
        labs, d = take(5, 'cancelled', 9, 'S-2')
        expect(record(labs, 'IN_PROGRESS', '') and not labs[0].get('result') and 'No result: cancelled by the laboratory' in labs[0]['notes'], 'cancelled', labs, d)
        after, d = take(6, 'unknown', 9, 'S-3')
        expect(after == labs and d['state'] == 'held' and d['reason'] == 'STATUS_UNKNOWN', 'unknown', after, d)


def test_forms_of_answers():
    ns = '{http://hl7.org/fhir}'
    with Web() as r:
        a = r.ask('POST', '/fhir/Observation', XML_OBSERVATION, kind=XML)
        expect(a.status == 201 and a.headers['Content-Type'].startswith(XML), 'XML for XML', a.status, a.body, a.headers['Content-Type'])
        expect(ET.fromstring(a.body).tag == ns + 'OperationOutcome', 'root', a.body)
        a = r.ask('POST', '/fhir/Observation', observation('5'), Accept=XML)
        expect(a.status == 201 and ET.fromstring(a.body).tag == ns + 'OperationOutcome', 'XML by Accept', a.status, a.body)
        a = r.ask('POST', '/fhir?_format=xml', linked('transaction', '6'), Accept=JSON)
        root = ET.fromstring(a.body)
        expect(root.tag == ns + 'Bundle' and root.find(ns + 'type').get('value') == 'transaction-response' and len(root.findall(ns + 'entry')) == 2, '_format beats Accept', a.body)
        a = r.ask('POST', '/fhir/Observation', observation('7'), Accept='text/html;q=0.9, application/json;q=0.8, */*;q=0.1')
        expect(a.status == 201 and a.issues(), 'a list', a.status)
        for accept in ('text/plain', 'image/png', 'application/fhir+json; fhirVersion=5.0'):
            a = r.ask('POST', '/fhir/Observation', observation('8'), Accept=accept)
            expect(a.status == 406, accept, a.status, a.body)               # [item 99]
        r.balanced(received=4, stored=4)


def test_media_types_and_sizes():                               # [item 99]
    with Web(options='max-body 64kB') as r:
        for kind, want in ((None, 415), ('text/plain', 415), ('application/fhir+json; fhirVersion=5.0', 415), ('application/fhir+json; charset=latin1', 415),
                           ('application/fhir+ndjson', 415), ('application/json', 201), ('application/fhir+json; fhirVersion=4.0; charset="UTF-8"', 201)):
            o = observation('%d' % want, note=[{'text': kind or 'x'}])
            a = r.ask('POST', '/fhir/Observation', o, kind=kind)
            expect(a.status == want, kind, a.status, a.body)
        a = r.ask('POST', '/fhir/Observation', observation('x', note=[{'text': 'y' * 70000}]))
        expect(a.status == 413 and a.issues() == ['too-long'], 'too large', a.status, a.body)
        a = r.ask('POST', '/fhir/Observation', observation('z'), Content_Encoding='gzip')
        expect(a.status == 415, 'gzip', a.status)
        expect(r.ask('POST', '/fhir/Observation', '').status == 400, 'no body')
        r.balanced(received=2, stored=2)


def test_what_cannot_be_read():                                 # [item 93] [item 102] [item 103] [item 105]
    with Web() as r:
        def one(body, want, code=None, kind=JSON, path='/fhir'):
            a = r.ask('POST', path, body, kind=kind)
            expect(a.status == want, 'status of %.80r' % (body,), a.status, a.body)
            if code and kind == JSON:
                expect(code in a.issues(), 'issue of %.80r' % (body,), a.body)
            return a
        one('{"resourceType":"Observation"', 400, 'structure')
        one('no json', 400)
        one('{"resourceType":"Bundle","type":"collection","type":"batch"}', 400)
        one('{"resourceType":"Observation","status":"final","valueInteger":NaN}', 400)
        one('{"a":"\\ud800"}', 400)
        one(b'{"a":"\xff\xfe"}', 400)
        one('[' * 10000 + ']' * 10000, 400)
        one('{"a":' * 10000 + '1' + '}' * 10000, 400)
        one('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><Bundle xmlns="http://hl7.org/fhir"><id value="&x;"/></Bundle>', 400, kind=XML)
        lol = '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">' + ''.join('<!ENTITY %s "%s">' % (chr(98 + i), ('&%s;' % chr(97 + i)) * 10) for i in range(10)) + ']>'
        one(lol + '<Bundle xmlns="http://hl7.org/fhir"><id value="&k;"/></Bundle>', 400, kind=XML)
        one('<a>' * 10000 + '</a>' * 10000, 400, kind=XML)
        one({'resourceType': 'Bundle', 'type': 'transaction-response', 'entry': []}, 422, 'invalid')
        one(dict(linked('collection'), type='searchset'), 422)
        one(dict(linked('collection'), type='history'), 422)
        one(observation('1', modifierExtension=[{'url': 'urn:x', 'valueBoolean': True}]), 422, 'extension', path='/fhir/Observation')
        a = one(observation('2', valueAttachment={'contentType': 'text/plain'}), 422, 'not-supported', path='/fhir/Observation')
        expect('valueAttachment' in a.body.decode(), 'the element is not named', a.body)
        one('<Bundle xmlns="http://hl7.org/fhir">' + '<a/>' * 1900000 + '</Bundle>', 413, kind=XML)
        one(observation('3', extension=[{'url': 'urn:x', 'valueBoolean': True}]), 201, path='/fhir/Observation')
        is_plain = not any(x in open(r.binary, 'rb').read() for x in (b'__asan_init', b'__tsan_init'))
        expect(r.rss_kb() < 128 << 10 or not is_plain, 'memory', r.rss_kb())
        r.balanced()


def test_methods_and_paths():
    with Web() as r:
        for method, path, want in (('GET', '/fhir', 405), ('GET', '/fhir/Observation', 405), ('GET', '/fhir/Observation/1', 405), ('DELETE', '/fhir/Observation/1', 405),
                                   ('PATCH', '/fhir/DiagnosticReport/1', 405), ('GET', '/fhir/$process-message', 405), ('POST', '/fhir/metadata', 405), ('PUT', '/fhir/Bundle/1', 405),
                                   ('GET', '/fhir/Observation/1/_history/1', 405), ('POST', '/fhir/Patient', 404), ('POST', '/fhir/Observation/_search', 404), ('GET', '/', 404),
                                   ('GET', '/fhirx', 404), ('POST', '/fhir/..%2f..%2fetc', 404), ('POST', '/../etc/passwd', 404), ('PUT', '/fhir/Observation/%2e%2e%2fx', 400),
                                   ('POST', '/fhir/$nothing', 404), ('GET', '/hl7', 405)):
            a = r.ask(method, path, '{}' if method in ('POST', 'PUT', 'PATCH') else None)
            expect(a.status == want, method + ' ' + path, a.status, a.body)
            if want == 405:
                expect('Allow' in a.headers, 'no Allow', method, path)
        r.balanced()


def test_metadata():                                            # [item 104]
    with Web() as r:
        a = r.ask('GET', '/fhir/metadata', auth=None)
        c = a.json()
        expect(a.status == 200 and c['resourceType'] == 'CapabilityStatement' and c['fhirVersion'] == '4.0.1' and c['kind'] == 'instance' and c['status'] == 'active', 'statement', c)
        expect(c['format'] == ['json', 'xml'] and c['date'], 'format', c)
        rest = c['rest'][0]
        expect({i['code'] for i in rest['interaction']} == {'transaction', 'batch'} and [o['name'] for o in rest['operation']] == ['process-message'], 'rest', rest)
        told = {x['type']: {i['code'] for i in x['interaction']} for x in rest['resource']}
        expect(told == {'Bundle': {'create'}, 'DiagnosticReport': {'create', 'update'}, 'Observation': {'create', 'update'}}, 'resources', told)
        tag = a.headers['ETag']
        expect(r.ask('GET', '/fhir/metadata', auth=None, If_None_Match=tag).status == 304, 'not modified')
        a = r.ask('GET', '/fhir/metadata?_format=xml', auth=None)
        expect(ET.fromstring(a.body).find('{http://hl7.org/fhir}fhirVersion').get('value') == '4.0.1', 'XML', a.body)
        a = r.ask('HEAD', '/fhir/metadata', auth=None)
        expect(a.status == 200 and a.body == b'', 'HEAD', a.status, a.body)


def test_credentials():
    def basic(s):
        return 'Basic ' + base64.b64encode(s.encode()).decode()
    with Web() as r:
        for auth, want in ((None, 401), ('Bearer wrong', 401), ('Bearer ' + TOKEN + 'x', 401), ('Bearer', 401), (basic('ann:wrong'), 401), (basic('ann'), 401), ('Basic !!!', 401),
                           ('Bearer # a comment', 401), ('Bearer ann:p@ss word', 401), ('Digest x', 401), ('Bearer ' + TOKEN, 201), ('bearer second-token', 201), (basic('ann:p@ss word'), 201)):
            a = r.ask('POST', '/fhir/Observation', observation(str(abs(hash(auth)))), auth=auth)
            expect(a.status == want, auth, a.status, a.body)
            if want == 401:
                expect('WWW-Authenticate' in a.headers and a.issues() == ['login'], 'no challenge', a.body)
        log = open(r.log_path).read()
        expect(TOKEN not in log and 'p@ss' not in log, 'a secret in the log')
        r.balanced(received=3, stored=3)


def test_hl7_over_http():                                       # [item 107]
    with Web() as r:
        a = r.ask('POST', '/hl7', oru('H1'), kind=ER7 + '; charset=utf-8')
        expect(a.status == 200 and a.headers['Content-Type'].startswith(ER7) and b'MSA|AA|H1' in a.body, 'good', a.status, a.body)
        a = r.ask('POST', '/fhir', oru('H2'), kind='x-application/hl7-v2+er7')
        expect(a.status == 200 and a.headers['Content-Type'].startswith('x-' + ER7) and b'MSA|AA|H2' in a.body, 'the other name', a.status, a.body)
        a = r.ask('POST', '/hl7', oru('H3', status='?'), kind=ER7)
        expect(a.status == 200 and b'MSA|AE|H3' in a.body, 'a bad message is 200 with AE', a.status, a.body)
        a = r.ask('POST', '/hl7', oru('H4') + oru('H5'), kind=ER7)
        expect(a.status == 200 and a.body.count(b'MSA|AA') == 2, 'two messages, two answers', a.status, a.body)
        a = r.ask('POST', '/hl7', b'', kind=ER7)
        expect(a.status == 400 and a.headers['Content-Type'].startswith('text/plain'), 'no body', a.status, a.headers['Content-Type'])
        a = r.ask('POST', '/hl7', oru('H6'), kind='text/plain')
        expect(a.status == 415 and a.headers['Content-Type'].startswith('text/plain'), 'no ER7', a.status)
        a = r.ask('POST', '/hl7', oru('H1'), kind=ER7)
        expect(a.status == 200 and b'MSA|AA|H1' in a.body, 'again', a.body)
        r.balanced(received=6, stored=4, refused=1, duplicate=1)


# ---- pressure ----

def test_store_not_writable():                                  # [item 106]
    small = None
    r = Web()
    try:
        with r:
            small = os.path.join(r.folder, 'small')
            os.mkdir(small)
            if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', small], stderr=subprocess.DEVNULL).returncode:
                small = None
                raise Skipped('cannot mount a small file system here')
            r.stop()
            text = open(r.conf).read()
            open(r.conf, 'w').write(text.replace(r.folder + '/store.db"', small + '/store.db" {\n stop-accepting when disk-free below 0%\n}', 1))
            r.start()
            expect(r.ask('POST', '/fhir/Observation', observation('1')).status == 201, 'before')
            with open(os.path.join(small, 'ballast'), 'wb', buffering=0) as f:
                try:
                    while True:
                        f.write(b'x' * 4096)
                except OSError:
                    pass
            refused = 0
            for i in range(200):
                a = r.ask('POST', '/fhir/Observation', observation('f%d' % i, note=[{'text': 'z' * 30000}]))
                expect(a.status in (201, 503), 'status on a full disk', a.status, a.body)
                if a.status == 503:
                    expect(a.headers['Retry-After'] and a.issues() == ['transient'], '503', a.body)
                    refused += 1
                    if refused == 3:
                        break
            expect(refused == 3, 'a full disk was not told', refused)
            os.unlink(os.path.join(small, 'ballast'))
            end = time.monotonic() + 20
            while r.ask('POST', '/fhir/Observation', observation('after')).status not in (200, 201):
                expect(time.monotonic() < end, 'not taken when there was room again')
                time.sleep(0.3)
            r.balanced()
    finally:
        if small:
            subprocess.run(['umount', '-l', small])
            shutil.rmtree(r.folder, ignore_errors=True)


def test_stop_under_load():
    with Web() as r:
        codes, stop = [], threading.Event()

        def work(k):
            i = 0
            while not stop.is_set():
                i += 1
                try:
                    codes.append(r.ask('POST', '/fhir/Observation', observation('s%d-%d' % (k, i)), timeout=8).status)
                except (OSError, http.client.HTTPException):
                    pass
        threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
        for t in threads:
            t.start()
        time.sleep(1)
        rc = r.stop()
        stop.set()
        for t in threads:
            t.join()
        expect(rc == 0 and codes.count(201) > 8 and set(codes) <= {201, 503}, 'codes', rc, set(codes))
        r.start()
        got = r.frames()
        expect(got['stored'] >= codes.count(201), 'answered 201 but not stored', got, codes.count(201))
        r.balanced()


# ---- hostile ----

def head(path='/fhir', kind=JSON, **fields):
    h = {'Host': 'x', 'Authorization': 'Bearer ' + TOKEN, 'Content-Type': kind}
    h.update({k.replace('_', '-'): v for k, v in fields.items()})
    return ('POST %s HTTP/1.1\r\n' % path + ''.join('%s: %s\r\n' % x for x in h.items() if x[1] is not None) + '\r\n').encode()


def status_of(data):
    return int(data.split(b' ', 2)[1]) if data.startswith(b'HTTP/1.1 ') else 0


def test_broken_http():
    get = b'GET /fhir/metadata HTTP/1.1\r\n'
    cases = [
        (b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + b'\0' * 100 + b'\n', 400), (b'\0' * 5000, 0), (b'hello\r\n\r\n', 400), (b'GET /fhir/metadata\r\n\r\n', 400),
        (b'GET /fhir/metadata HTTP/2.0\r\nHost: x\r\n\r\n', 505), (b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505), (get + b'\r\n', 400), (get + b'Host: a\r\nHost: b\r\n\r\n', 400),
        (get + b'Host : x\r\n\r\n', 400), (get + b'Host: x\r\n folded: y\r\n\r\n', 400), (get + b'Host: x\n\n', 400), (get + b'Host: x\r\nA: \x00b\r\n\r\n', 400),
        (b'GET /' + b'a' * 5000 + b' HTTP/1.1\r\nHost: x\r\n\r\n', 414), (b'GET /' + b'a' * 50000, 414), (get + b'Host: x\r\n' + b'A: b\r\n' * 100 + b'\r\n', 431),
        (get + b'Host: x\r\nA: ' + b'b' * 20000 + b'\r\n\r\n', 431), (b'GET /fhir/meta data HTTP/1.1\r\nHost: x\r\n\r\n', 400), (b'GET /fhir/m\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n', 400),
        (b'\r\n\r\n' + get + b'Host: x\r\nConnection: close\r\n\r\n', 200), (b'GET http://x/fhir/metadata HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n', 200),
        (head(Content_Length='abc'), 400), (head(Content_Length='-1'), 400), (head(Content_Length='+5') + b'{}   ', 400), (head(Content_Length='5, 5') + b'{}   ', 400),
        (head(Content_Length='99999999999999999999'), 413), (head(Content_Length='999999999999'), 413), (head(Content_Length='5', Transfer_Encoding='chunked') + b'0\r\n\r\n', 400),
        (head(Transfer_Encoding='gzip, chunked') + b'0\r\n\r\n', 501), (head(Transfer_Encoding='chunked') + b'zz\r\n', 400), (head(Transfer_Encoding='chunked') + b'-5\r\n', 400),
        (head(Transfer_Encoding='chunked') + b'FFFFFFFF\r\n', 413), (head(Transfer_Encoding='chunked') + b'FFFFFFFFF\r\n', 400), (head(Transfer_Encoding='chunked') + b'3\r\n{}  \r\n', 400),
        (head(Transfer_Encoding='chunked') + b'2\n{}', 400), (head(Transfer_Encoding='chunked') + b'2;' + b'x' * 500 + b'\r\n', 400), (head(Transfer_Encoding='chunked') + b'\r\n', 400),
        (head(Transfer_Encoding='chunked') + b'0\r\n' + b'a: b\r\n' * 2000, 400), (head(Expect='something') + b'', 417),
        (head(Content_Length='2', Connection='close') + b'{}' + b'\x00\xff garbage behind it', 400)]
    with Web() as r:
        for data, want in cases:
            got = r.raw(data, half_close=want == 0)
            expect(status_of(got) == want, 'status of %.260r' % data, status_of(got), got[:200])
        expect(r.ask('GET', '/fhir/metadata').status == 200, 'alive')
        r.balanced()


def test_chunked_and_pipelined():
    body = json.dumps(observation('c')).encode()
    chunks = b''.join(b'%x;ext=1\r\n%s\r\n' % (len(body[i:i + 100]), body[i:i + 100]) for i in range(0, len(body), 100)) + b'0\r\nTrailer: x\r\n\r\n'
    with Web() as r:
        got = r.raw(head('/fhir/Observation', Transfer_Encoding='chunked', Connection='close') + chunks)
        expect(status_of(got) == 201, 'chunked', got[:300])
        one = json.dumps(observation('p1')).encode()
        two = oru('P2')
        data = head('/fhir/Observation', Content_Length=str(len(one))) + one + head('/hl7', kind=ER7, Content_Length=str(len(two))) + two + head('/fhir', Content_Length='3') + b'???' + b'GARBAGE\r\n\r\n'
        got = r.raw(data)
        expect([int(x.split(b' ')[0]) for x in got.split(b'HTTP/1.1 ')[1:]] == [201, 200, 400, 400], 'pipelined', got)
        with socket.create_connection(('127.0.0.1', r.port), timeout=10) as s:    # byte by byte
            for b in head('/fhir/Observation', Content_Length=str(len(one)), Connection='close') + one:
                s.send(bytes([b]))
            expect(status_of(s.recv(65536)) in (200, 201), 'byte by byte')
        with socket.create_connection(('127.0.0.1', r.port), timeout=10) as s:
            s.sendall(head('/fhir/Observation', Content_Length=str(len(one)), Expect='100-continue', Connection='close'))
            expect(s.recv(100).startswith(b'HTTP/1.1 100 Continue\r\n\r\n'), 'no 100')
            s.sendall(one)
            expect(status_of(s.recv(65536)) in (200, 201), 'after 100')
        got = r.raw(head('/fhir/Observation', Content_Length='100000000', Expect='100-continue'))
        expect(status_of(got) == 413, 'no 100 for what is too large', got[:200])


def test_slow_and_huge_while_others_work():
    """Slowloris heads and bodies, 100 MB bodies, connections that say nothing: the others are served, memory stays bounded."""
    with Web(options='request-timeout 3s\n idle-timeout 4s\n max-connections 100') as r:
        slow = []
        for i in range(60):
            s = socket.create_connection(('127.0.0.1', r.port), timeout=30)
            if i % 3 == 0:
                s.sendall(b'POST /fhir HTTP/1.1\r\nHo')
            elif i % 3 == 1:
                s.sendall(head(Content_Length='8000000') + b'{"resourceType":')
            slow.append((s, i % 3))
        began = time.monotonic()
        worst, n = 0.0, 0
        huge = []

        def send_huge():
            try:
                with socket.create_connection(('127.0.0.1', r.port), timeout=20) as s:
                    s.sendall(head(Transfer_Encoding='chunked'))
                    sent = 0
                    while sent < 100 << 20:
                        s.sendall(b'100000\r\n' + b' ' * 0x100000 + b'\r\n')
                        sent += 1 << 20
            except OSError:
                pass
            huge.append(sent)
        threads = [threading.Thread(target=send_huge) for _ in range(4)]
        for t in threads:
            t.start()
        while time.monotonic() - began < 5:
            for s, kind in slow:
                if kind != 2:
                    try:
                        s.send(b' ')
                    except OSError:
                        pass
            t0 = time.monotonic()
            a = r.ask('POST', '/fhir/Observation', observation('w%d' % n))
            worst = max(worst, time.monotonic() - t0)
            expect(a.status == 201, 'an honest sender', a.status, a.body)
            n += 1
        for t in threads:
            t.join()
        expect(max(huge) < 100 << 20, 'a 100 MB body was read to its end', huge)
        for s, kind in slow:
            s.settimeout(10)
            try:
                got = s.recv(4096)
                while kind != 2 and got and b'\r\n\r\n' not in got:
                    got += s.recv(4096)
            except OSError:
                got = b''
            expect((kind == 2 and got == b'') or status_of(got) in (0, 408), 'the end of a slow one', kind, got[:100])
            s.close()
        expect(time.monotonic() - began < 20, 'slow ones were kept', time.monotonic() - began)
        rss = r.rss_kb()
        is_plain = not any(x in open(r.binary, 'rb').read() for x in (b'__asan_init', b'__tsan_init'))
        expect(rss < 128 << 10 or not is_plain, 'memory', rss)
        expect(worst < 2, 'others were made to wait', worst)
        expect(n > 20, 'few requests were served', n)
        r.balanced()
        print('# %d requests beside 60 slow ones and 4 huge ones, slowest %.0f ms, peak memory %d kB, huge ones cut after %s MB' % (n, worst * 1000, rss, [x >> 20 for x in huge]))


def test_too_many_connections():
    with Web(options='max-connections 5') as r:
        held = [socket.create_connection(('127.0.0.1', r.port), timeout=5) for _ in range(5)]
        time.sleep(0.2)
        with socket.create_connection(('127.0.0.1', r.port), timeout=5) as s:
            expect(s.recv(10) == b'', 'the sixth')
        for s in held:
            s.close()
        time.sleep(0.2)
        expect(r.ask('GET', '/fhir/metadata').status == 200, 'room again')


def test_memory_under_large_bodies():
    """Whatever 8 MB bodies hold, alone or six at once, the engine stays under 128 MB."""
    bodies = [b'{"resourceType":"Bundle","type":"collection","entry":[' + b'{"a":{}},' * 880000 + b'{}]}', b'{' + b','.join(b'"k%d":1' % i for i in range(680000)) + b'}',
              b'{"resourceType":"Observation","x":"' + b'a' * 8000000 + b'"}', b'<Bundle xmlns="http://hl7.org/fhir">' + b'<a/>' * 1900000 + b'</Bundle>']
    with Web() as r:
        for b in bodies:
            a = r.ask('POST', '/fhir', b, kind=XML if b[:1] == b'<' else JSON, timeout=60)
            expect(a.status in (400, 413, 422) and b'OperationOutcome' in a.body, 'status', a.status, a.body)
        codes = []

        def work():
            try:
                codes.append(r.ask('POST', '/fhir', bodies[0], timeout=60).status)
            except OSError:
                codes.append(0)
        threads = [threading.Thread(target=work) for _ in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        expect(set(codes) <= {400, 413, 503}, 'codes', codes)
        is_plain = not any(x in open(r.binary, 'rb').read() for x in (b'__asan_init', b'__tsan_init'))
        expect(r.rss_kb() < 128 << 10 or not is_plain, 'memory', r.rss_kb())
        r.balanced()
        print('# peak memory %d kB' % r.rss_kb())


def test_budget_is_kept():
    with Web(head='memory-budget 8MB\n', options='max-body 8MB') as r:
        body = b' ' * (3 << 20) + json.dumps(observation('big')).encode()
        codes = []

        def work():
            try:
                codes.append(r.ask('POST', '/fhir/Observation', body, timeout=30).status)
            except OSError:
                codes.append(0)
        threads = [threading.Thread(target=work) for _ in range(10)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        expect(set(codes) <= {0, 200, 201, 503} and (codes.count(200) + codes.count(201)) > 0, 'codes', codes)
        expect(r.ask('POST', '/fhir/Observation', observation('small')).status == 201, 'afterwards')
        r.balanced(received=11)


def test_allow_is_required():
    with Web() as r:
        text = open(r.conf).read()
        for old, new, word in (('address  127.0.0.1:', 'address  0.0.0.0:', b'allow'), ('tokens   credential', 'path "/"\n tokens credential', b'path'),
                               ('parse    hl7v2', 'parse fhir { timezone "UTC" }\n parse    hl7v2', b'parse is set twice')):
            wrong = os.path.join(r.folder, 'wrong.conf')
            open(wrong, 'w').write(text.replace(old, new))
            p = subprocess.run([r.binary, 'check', '-c', wrong], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            expect(p.returncode == 1 and word in p.stdout, 'taken: ' + new, p.stdout)


def main():
    wanted = sys.argv[1:]
    tests = [(n, f) for n, f in sorted(globals().items()) if n.startswith('test_') and (not wanted or n in wanted or n[5:] in wanted)]
    failed = 0
    print('1..%d' % len(tests))
    for i, (name, f) in enumerate(tests, 1):
        began = time.monotonic()
        try:
            f()
            print('ok %d - %s (%.1f s)' % (i, name, time.monotonic() - began), flush=True)
        except Skipped as e:
            print('ok %d - %s # SKIP %s' % (i, name, e), flush=True)
        except Exception as e:  # one broken test must not hide the others
            failed += 1
            print('not ok %d - %s: %s: %s' % (i, name, type(e).__name__, e), flush=True)
    return 1 if failed or not tests else 0


if __name__ == '__main__':
    sys.exit(main())
