#!/usr/bin/env python3
"""rules - the language of the rules on whole messages: blocks, notes, flags, answers, sequence, days; and what Go.Data holds then.

Each function is one test. What only the rules decide is asked of `labrelay explain`; what is written, of the sandbox.
"""
import base64
import concurrent.futures
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rig  # noqa: E402
from rig import hl7  # noqa: E402

LNG = 'LNG_REFERENCE_DATA_CATEGORY_'
TYPE = LNG + 'QUESTION_ANSWER_TYPE_'
CASE = 'c0000000-0000-4000-8000-000000000001'
QUESTIONS = [('ct_value', 'NUMERIC'), ('platform', 'FREE_TEXT'), ('flags', 'MULTIPLE_ANSWERS'), ('tested_on', 'DATE_TIME'), ('by_hand', 'FREE_TEXT')]
SEED = {'cases': [{'id': CASE, 'visualId': 'CA-0000000001', 'firstName': 'Amina', 'lastName': 'Okello', 'dob': '1988-03-14', 'gender': LNG + 'GENDER_FEMALE'}]}


def expect(condition, text, *more):
    if not condition:
        raise rig.Failed(text + ''.join(' ' + (m if isinstance(m, str) else json.dumps(m, default=str)) for m in more))


def obx(n, code='41636-2^Ebola virus RNA^LN', value='260373001^Detected^SCT', kind='CWE', flag='POS', status='F', analysed='20261104083000+0300', sub='1', unit=''):
    return 'OBX|%d|%s|%s|%s|%s|%s||%s|||%s|||20261104083000+0300|||||%s' % (n, kind, code, sub, value, unit, flag, status, analysed)


def oru(*observations, control='C1', sample='S-1', taken='20261104083000+0300', received='', issued='20261105101000+0300', birth='19880314', more=''):
    lines = ['MSH|^~\\&|DEV|LAB|LABRELAY|MOH|20261105101500+0300||ORU^R01^ORU_R01|%s|P|2.5.1||||||UNICODE UTF-8' % control,
             'PID|1||CA-0000000001^^^GODATA^PI||Okello^Amina^^^^^L||%s|F' % birth,
             'OBR|1||F-%s|41636-2^Ebola virus RNA^LN|||%s|||||||||||||||%s||MB|F' % (sample, taken, issued)]
    lines += list(observations or [obx(1)])
    lines.append('SPM|1|^%s||119297000^Blood^SCT|||||||P||||||%s|%s' % (sample, taken, received))
    return hl7('\n'.join(lines) + more)


def routes(steps, head=''):
    text = head + 'route "r" {\n    when observation.code in tests\n    %s\n    send lab to "godata"\n}\nroute "z" { hold "no route" }\n' % steps
    return text.replace('{', '{{').replace('}', '}}')


class Rules:
    """A configuration that no engine runs."""

    def __init__(self, steps, head='', text=None):
        self.rig = rig.Rig(api='http://127.0.0.1:1/api', routes=text.replace('{', '{{').replace('}', '}}') if text else routes(steps), head=head)

    def __enter__(self):
        self.rig.write_conf()
        return self

    def __exit__(self, *_):
        self.rig.__exit__()

    def results(self, message, channel=None):
        with tempfile.NamedTemporaryFile(suffix='.hl7') as f:
            f.write(message)
            f.flush()
            rc, out, err = self.rig.verb('explain', '--json', f.name, check=False)
        expect(rc == 0, 'explain', out, err)
        return [o for m in json.loads(out) for r in m['records'] for o in r['results'] if o['role'] == 'result']

    def one(self, message):
        v = self.results(message)
        expect(len(v) == 1, 'one result', v)
        return v[0]


def notes(result):
    return result['body']['notes'].split('\n')


def steps_of(result):
    return [s['text'] for s in result['steps']]


def test_if_else_chain():
    steps = '''if observation.interpretation = "POS" {
        set lab.lab_name = "A"
        if exists observation.analysed_at { note "tested {observation.analysed_at}" } else { note "never tested" }
    } else if observation.interpretation = "NEG" {
        drop "negatives are not wanted"
    } else {
        hold "look at it"
    }'''
    with Rules(steps) as r:
        v = r.one(oru())
        expect(v['action'] == 'send' and v['body']['labName'].endswith('LAB_NAME_A') and 'tested 2026-11-04T08:30:00' in notes(v), 'the first branch', v)
        v = r.one(oru(obx(1, analysed='')))
        expect('never tested' in notes(v), 'the inner else', v)
        v = r.one(oru(obx(1, value='260415000^Not detected^SCT', flag='NEG')))
        expect(v['action'] == 'dropped' and v['reason'] == 'RULE' and v['detail'] == 'negatives are not wanted', 'else if', v)
        v = r.one(oru(obx(1, flag='')))
        expect(v['action'] == 'held' and v['reason'] == 'RULE' and v['detail'] == 'look at it', 'else', v)
        expect(any(s.startswith('if observation.interpretation = "POS": no') for s in steps_of(v)), 'explain tells the conditions', v['steps'])


def test_undecidable_takes_else():
    with Rules('if observation.value >= 40 "copies/mL" { note "high" } else { note "not surely high" }') as r:
        v = r.one(oru(obx(1, kind='SN', value='<^100', unit='copies/mL'), ))
        expect(v['action'] == 'send' and 'not surely high' in notes(v), '<100 is not surely >= 40', v)


def test_drop_beats_hold_and_hold_keeps_its_reason():
    with Rules('if observation.status = "preliminary" { drop "not before it is final" }\n    if specimen.role = "P" { hold "all of them" }') as r:
        v = r.one(oru(obx(1, status='P')))
        expect(v['action'] == 'dropped', 'drop', v)
        v = r.one(oru(obx(1, value='111^Odd^SCT', flag='')))
        expect(v['reason'] == 'UNMAPPED_VALUE', 'what the tables lack is told first: a new row finds it again', v)
        expect(r.one(oru())['detail'] == 'all of them', 'hold')


def test_notes_and_flags():
    with Rules('note "{observation.code} on {specimen.id}: {observation.value}"\n    flag critical "call the district"\n    note concat("lab ", report.lab.id)') as r:
        v = r.one(oru())
        n = notes(v)
        expect('Ebola virus RNA on S-1: Detected' in n and 'CRITICAL: call the district' in n and 'lab LAB' in n, 'notes', n)
        expect(v['remarks'] == ['critical'], 'remark', v['remarks'])
        expect('flag critical "call the district"' in steps_of(v), 'told', v['steps'])


def test_for_each_sees_the_others():
    steps = 'for each other observation where observation.value ~ /^[0-9.]+$/ { note "{observation.code} = {observation.value} beside {this.code}" }'
    with Rules(steps) as r:
        v = r.results(oru(obx(1), obx(2, code='CT^Ct value^99LAB', kind='NM', value='24.1', flag='', sub='2'), obx(3, code='QC^Control^99LAB', kind='ST', value='ok', flag='')))
        sent = [o for o in v if o['action'] == 'send']
        expect(len(sent) == 1 and 'Ct value = 24.1 beside Ebola virus RNA' in notes(sent[0]), 'the other one is told', sent)
        expect(not any('Control' in line for line in notes(sent[0])), 'where', notes(sent[0]))


def test_too_much_is_held():
    many = [obx(1)] + [obx(i, code='X%d^X^99LAB' % i, kind='ST', value='v', flag='') for i in range(2, 1100)]
    with Rules('for each observation { note "{observation.code}" }') as r:
        v = r.results(oru(*many[:80]))
        expect(v[0]['reason'] == 'RULE_LIMIT', 'more than 64 notes', v[0]['reason'])
        v = r.results(oru(*many))
        expect(v[0]['reason'] == 'RULE_LIMIT', 'more than 1024 observations', v[0]['reason'])


def test_days():
    with Rules('note "x"') as r:
        v = r.one(oru(taken='20261106083000+0300'))
        expect(v['remarks'] == ['W_DATE_ORDER'] and v['body']['dateSampleTaken'].startswith('2026-11-06') and v['body']['dateOfResult'].startswith('2026-11-05'), 'order', v)
        expect(r.one(oru())['remarks'] == [], 'a good order')
        v = r.one(oru(obx(1).replace('|||20261104083000+0300|', '||||', 1), taken=''))
        expect(v['remarks'] == ['W_NO_SAMPLE_DATE'] and 'dateSampleTaken' not in v['body'], 'no day', v)
    with Rules('note "x"', head='missing-sample-date hold\n') as r:
        v = r.one(oru(obx(1).replace('|||20261104083000+0300|', '||||', 1), taken=''))
        expect(v['action'] == 'held' and v['reason'] == 'NO_SAMPLE_DATE', 'hold', v)
    with Rules('note "x"', head='missing-sample-date hold\nsample-date-fallback received\n') as r:
        v = r.one(oru(obx(1).replace('|||20261104083000+0300|', '||||', 1), taken='', received='20261104090000+0300'))
        expect(v['action'] == 'send' and v['body']['dateSampleTaken'].startswith('2026-11-04') and any('received it stands' in n for n in notes(v)), 'fallback', v)


def test_answers_and_sequence_in_the_body():
    steps = '''set lab.questionnaire.ct_value = observation.value
    set lab.questionnaire.flags = observation.interpretation
    set lab.questionnaire.tested_on = observation.analysed_at
    set lab.sequence.date_sample_sent = specimen.collected_at
    set lab.sequence.lab_id = "INRB"'''
    with Rules(steps) as r:
        body = r.one(oru())['body']
        expect(body['questionnaireAnswers'] == {'ct_value': [{'value': 'Detected'}], 'flags': [{'value': ['POS']}],
                                                'tested_on': [{'value': '2026-11-04T00:00:00.000Z'}]}, 'answers', body)
        expect(body['sequence'] == {'hasSequence': True, 'dateSampleSent': '2026-11-04T00:00:00.000Z', 'labId': LNG + 'LAB_SEQUENCE_LABORATORY_INRB'}, 'sequence', body)
    with Rules('set lab.sequence.no_sequence_reason = "too little"') as r:
        expect(r.one(oru())['body']['sequence'] == {'hasSequence': False, 'noSequenceReason': 'too little'}, 'none')


FHIR = '''
listen files "folder" {{
    inbox "{dir}/inbox"
    parse fhir {{ timezone "Africa/Kampala" }}
}}
'''


def bundle():
    """A report with two results; what no record field shows stands in extensions and components."""
    url = 'http://moh.example/'
    obs = {'resourceType': 'Observation', 'id': 'o1', 'status': 'final', 'code': {'coding': [{'system': 'http://loinc.org', 'code': '41636-2', 'display': 'Ebola virus RNA'}]},
           'subject': {'reference': 'urn:uuid:00000000-0000-4000-8000-000000000001'}, 'specimen': {'reference': 'urn:uuid:00000000-0000-4000-8000-000000000003'},
           'issued': '2026-11-05T10:10:00+03:00', 'extension': [{'url': url + 'kit', 'valueString': 'K-1'}],
           'valueCodeableConcept': {'coding': [{'system': 'http://snomed.info/sct', 'code': '260373001', 'display': 'Detected'}]}}
    patient = {'resourceType': 'Patient', 'identifier': [{'system': 'GODATA', 'value': 'CA-0000000001', 'type': {'coding': [{'code': 'PI'}]}},
                                                         {'system': url + 'house', 'value': 'H-7'}],
               'name': [{'family': 'Okello', 'given': ['Amina', 'Grace']}], 'gender': 'female', 'birthDate': '1988-03-14',
               'extension': [{'url': url + 'district', 'valueString': 'Kisoro'}, {'url': url + 'village', 'valueString': 'Bunagana'}]}
    specimen = {'resourceType': 'Specimen', 'identifier': [{'value': 'S-9'}], 'collection': {'collectedDateTime': '2026-11-04T08:30:00+03:00', 'quantity': {'value': 4.50, 'unit': 'mL'}}}
    report = {'resourceType': 'DiagnosticReport', 'status': 'final', 'code': obs['code'], 'subject': obs['subject'], 'issued': obs['issued'],
              'result': [{'reference': 'urn:uuid:00000000-0000-4000-8000-000000000002'}], 'specimen': [obs['specimen']], 'identifier': [{'value': 'F-9'}]}
    order = {'resourceType': 'ServiceRequest', 'status': 'active', 'intent': 'order', 'subject': obs['subject'], 'reasonCode': [{'text': 'contact tracing'}]}
    return json.dumps({'resourceType': 'Bundle', 'type': 'collection', 'entry': [
        {'fullUrl': 'urn:uuid:00000000-0000-4000-8000-00000000000%d' % (i + 1), 'resource': r} for i, r in enumerate([patient, obs, specimen, report, order])]}).encode()


def test_fhir_places():
    fields = [("Patient.extension('http://moh.example/village').valueString", 'Bunagana'), ("Patient.identifier.where(system='http://moh.example/house').value", 'H-7'),
              ("Patient.name.given[1]", 'Grace'), ("Patient.name[0].given.first()", 'Amina'), ("Patient.identifier.where(type.coding.code = 'PI').value", 'CA-0000000001'),
              ("Observation.extension('http://moh.example/kit').valueString", 'K-1'), ("Specimen.collection.quantity.value", '4.5'), ("DiagnosticReport.identifier.value", 'F-9'),
              ("ServiceRequest.reasonCode.text", 'contact tracing'), ("Bundle.type", 'collection'), ("Patient.extension('http://moh.example/none').valueString", None),
              ("Device.serialNumber", None)]
    steps = '\n    '.join('set lab.questionnaire.q%d = fhir "%s"' % (i, path) for i, (path, _) in enumerate(fields))
    steps += '\n    if exists fhir "Device.serialNumber" { hold "no" }\n    if not exists fhir "Bundle.type" { hold "no" }'
    with Rules(steps) as r:
        r.rig.parts = (r.rig.parts[0], FHIR, r.rig.parts[2], r.rig.parts[3])
        r.rig.write_conf()
        v = r.one(bundle())
        expect(v['action'] == 'send', 'sent', v)
        got = {k: a[0]['value'] for k, a in v['body']['questionnaireAnswers'].items()}
        expect(got == {'q%d' % i: want for i, (_, want) in enumerate(fields) if want}, 'places', got)
    with Rules('set lab.questionnaire.q = fhir "Patient.name.family"\n    set lab.questionnaire.r = hl7 "PID-5.1"') as r:
        expect(r.one(oru())['body']['questionnaireAnswers'] == {'r': [{'value': 'Okello'}]}, 'absent in HL7 v2')


def test_places_by_table():
    table = os.path.join(tempfile.mkdtemp(prefix='labrelay-test.'), 'places.csv')
    with open(table, 'w') as f:
        f.write('place,location_id\nWestern/Kisoro,L-7\n')
    head = 'table places csv "%s" key place\n' % table
    steps = 'lookup concat(patient.address.state, "/", patient.address.district) in places -> lab.questionnaire.location column location_id default "unknown"'
    with Rules(steps, head=head) as r:
        home = oru().replace(b'|19880314|F', b'|19880314|F|||^^Elsewhere^Eastern^^UGA^B~1 Hill^^Bunagana^Western^^UGA^H^^Kisoro')
        expect(r.one(home)['body']['questionnaireAnswers'] == {'location': [{'value': 'L-7'}]}, 'the home address', r.one(home))
        expect(r.one(oru())['body']['questionnaireAnswers'] == {'location': [{'value': 'unknown'}]}, 'none')


def test_lookup_of_several_columns():
    table = os.path.join(tempfile.mkdtemp(prefix='labrelay-test.'), 'labs.csv')
    with open(table, 'w') as f:
        f.write('id,lab_name,sender,kit\nLAB,LAB_GOMA,Goma,K1\n')
    head = 'table places csv "%s" key id\n' % table
    with Rules('lookup report.lab.id in places -> lab.lab_name, lab.questionnaire.platform column kit, lab.tested_for column sender default "none"', head=head) as r:
        body = r.one(oru())['body']
        expect(body['labName'].endswith('LAB_GOMA') and body['testedFor'] == 'Goma' and body['questionnaireAnswers'] == {'platform': [{'value': 'K1'}]}, 'columns', body)


def with_template(steps, variables=QUESTIONS, writer_options='', listeners=rig.LISTENER, sandbox_flags=()):
    """A rig whose outbreak has a lab result form."""
    form = [{'text': v, 'variable': v, 'category': LNG + 'QUESTION_CATEGORY_CLINICAL', 'answerType': TYPE + t, 'order': i} for i, (v, t) in enumerate(variables)]
    seed = dict(SEED, outbreaks=[{'name': rig.OUTBREAK, 'labResultsTemplate': form}])
    return rig.Rig(seed=seed, routes=routes(steps), writer_options=writer_options, listeners=listeners, sandbox_flags=sandbox_flags)


def lab_of(r):
    r.sandbox.login()
    return r.sandbox.call('GET', '/outbreaks/%s/cases/%s/lab-results' % (r.sandbox.outbreak, CASE), token=r.sandbox.token)


def test_answers_of_others_stay():
    with with_template('set lab.questionnaire.platform = first(observation.interpretation)\n    set lab.sequence.no_sequence_reason = first(observation.interpretation)') as r:
        r.send(oru())
        r.settle()
        lab = lab_of(r)[0]
        expect(lab['questionnaireAnswers'] == {'platform': [{'value': 'POS'}]} and lab['sequence']['noSequenceReason'] == 'POS', 'written', lab)
        r.sandbox.call('PUT', '/outbreaks/%s/cases/%s/lab-results/%s' % (r.sandbox.outbreak, CASE, lab['id']),
                       {'questionnaireAnswers': {'platform': [{'value': 'POS'}], 'by_hand': [{'value': 'seen'}]},
                        'sequence': {'hasSequence': True, 'noSequenceReason': 'POS', 'dateSampleSent': '2026-11-01T00:00:00.000Z'}}, token=r.sandbox.token)
        r.send(oru(obx(1, value='260415000^Not detected^SCT', flag='NEG', status='C'), control='C2', issued='20261106101000+0300'))
        r.settle()
        lab = lab_of(r)[0]
        expect(lab['questionnaireAnswers'] == {'platform': [{'value': 'NEG'}], 'by_hand': [{'value': 'seen'}]}, 'ours changed, theirs stays', lab)
        expect(lab['sequence']['noSequenceReason'] == 'NEG' and lab['sequence']['hasSequence'] is True and lab['sequence']['dateSampleSent'].startswith('2026-11-01'), 'sequence', lab)
        expect(lab['result'].endswith('NEGATIVE'), 'the result too', lab)


def held(r):
    return [(d['reason'], d.get('detail', '')) for d in r.json('held', 'list')]


def test_answers_that_would_be_lost_are_held():
    with with_template('''if observation.interpretation = "POS" { set lab.questionnaire.ct_value = "<20" }
    else if observation.interpretation = "NEG" { set lab.questionnaire.unheard_of = "x" }
    else { set lab.sequence.result_id = "NOWHERE" }''') as r:
        r.send(oru())
        r.send(oru(obx(1, value='260415000^Not detected^SCT', flag='NEG'), control='C2', sample='S-2'))
        r.send(oru(obx(1, flag=''), control='C3', sample='S-3'))
        r.settle()
        got = sorted(d[0] for d in held(r))
        expect(got == ['ANSWER_NOT_NUMERIC', 'QUESTION_MISSING', 'REFDATA_MISSING'], 'held', held(r))
        expect(any('ct_value' in d[1] for d in held(r)) and any('unheard_of' in d[1] for d in held(r)) and any('NOWHERE' in d[1] for d in held(r)), 'named', held(r))
        expect(lab_of(r) == [], 'nothing was written')


def test_numeric_answer_is_not_written_again():
    with with_template('set lab.questionnaire.ct_value = "24.50"\n    set lab.questionnaire.tested_on = observation.analysed_at') as r:
        r.send(oru())
        r.settle()
        first = lab_of(r)[0]
        expect(first['questionnaireAnswers']['ct_value'] == [{'value': 24.5}], 'the server made it a number', first)
        r.send(oru(obx(1, status='C'), control='C2', issued='20261106101000+0300'))
        r.settle()
        second = lab_of(r)[0]
        expect(second['questionnaireAnswers'] == first['questionnaireAnswers'] and len(lab_of(r)) == 1, 'unchanged', second)


def test_remarks_are_seen():
    with rig.Rig(seed=SEED, routes=routes('flag critical "call"')) as r:
        r.send(oru(taken='20261106083000+0300'))
        r.settle()
        text = r.verb('show', 'm1')[1]
        expect('remark     critical: ' in text and 'remark     W_DATE_ORDER: ' in text, 'show', text)
        expect(r.json('show', 'd1')['remarks'] == ['critical', 'W_DATE_ORDER'], 'json')
        expect(r.json('status')['critical'] == [['lab', 'critical', 1]], 'status')
        expect('labrelay_flagged_total{channel="lab",flag="critical"} 1' in r.verb('status', '--metrics')[1], 'metric')
        expect(r.json('verify')['balanced'], 'the sums')
        log = open(r.log_path).read()
        expect('remark=critical' in log and 'remark=W_DATE_ORDER' in log and 'Okello' not in log, 'log', r.log_tail())
        expect('CRITICAL: call' in lab_of(r)[0]['notes'], 'notes')


PDF = b'%PDF-1.4\n' + bytes(range(256)) * 40 + b'\n--labrelay-boundary\r\n%%EOF\n'
UPLOAD = 'POST /outbreaks/:o/attachments'
LOOK = 'GET /outbreaks/:o/attachments/:1'


def with_pdf(*observations, pdf=PDF, **kw):
    """A report with its results and a document in an OBX of type ED."""
    ed = 'OBX|9|ED|PDF^Report^99LAB||LAB^AP^PDF^Base64^%s||||||F' % base64.b64encode(pdf).decode()
    return oru(*(list(observations or [obx(1)]) + [ed]), **kw)


def requests(r, route):
    r.sandbox.login()
    return r.sandbox.call('GET', '/sandbox/stats')['routes'].get(route, 0)


def download(r, attachment_id):
    q = urllib.request.Request(r.sandbox.api + '/outbreaks/%s/attachments/%s/download' % (r.sandbox.outbreak, attachment_id), headers={'Authorization': r.sandbox.login()})
    with urllib.request.urlopen(q, timeout=30) as a:
        return a.read()


def test_attachments_are_kept():
    with rig.Rig(seed=SEED) as r:
        r.send(with_pdf())
        r.settle()
        sha = hashlib.sha256(PDF).hexdigest()
        lab = lab_of(r)[0]
        expect('report attached in labrelay ' + sha[:8] in lab['notes'] and 'questionnaireAnswers' not in lab, 'a line in the notes', lab)
        listed = r.json('show', 'm1')['attachments']
        expect([(a['n'], a['mime'], a['bytes'], a['sha256']) for a in listed] == [(1, 'application/pdf', len(PDF), sha)], 'show', listed)
        expect('attachment 1: application/pdf' in r.verb('show', 'm1')[1], 'text')
        out = os.path.join(r.folder, 'report.pdf')
        r.verb('show', '--attachment', '1', '--out', out, 'm1')
        expect(open(out, 'rb').read() == PDF and os.stat(out).st_mode & 0o777 == 0o600, 'the very bytes')
        expect(r.verb('show', '--attachment', '1', '--out', out, 'm1', check=False)[0] == 1, 'never over a file')
        expect(r.verb('show', '--attachment', '2', 'm1', check=False)[0] == 3, 'no such document')
        expect(r.verb('show', '--attachment', '1', 'd1', check=False)[0] == 2, 'of a message only')
        expect(requests(r, UPLOAD) == 0, 'nothing is uploaded')


FORM = QUESTIONS + [('lab_report', 'FILE_UPLOAD')]


def test_attachments_are_uploaded_once():
    with with_template('set lab.questionnaire.platform = "GX"', FORM, 'attachments upload lab_report') as r:
        two = [obx(1), obx(2, code='41638-8^Marburg virus RNA^LN', value='260415000^Not detected^SCT', flag='NEG', sub='2')]
        r.send(with_pdf(*two))
        r.settle()
        labs = lab_of(r)
        expect(len(labs) == 2, 'two results', labs)
        ids = {a['value'] for l in labs for a in l['questionnaireAnswers']['lab_report']}
        expect(len(ids) == 1 and all(l['questionnaireAnswers']['platform'] == [{'value': 'GX'}] for l in labs), 'one document, named by both', labs)
        expect(download(r, ids.pop()) == PDF and requests(r, UPLOAD) == 1, 'uploaded once', requests(r, UPLOAD))
        # a corrected report brings a new document
        r.send(with_pdf(obx(1, value='260415000^Not detected^SCT', flag='NEG', status='C'), pdf=PDF + b'2', control='C2', issued='20261106101000+0300'))
        r.settle()
        lab = [l for l in lab_of(r) if l['testedFor'] == 'Ebola virus'][0]
        new = lab['questionnaireAnswers']['lab_report']
        expect(len(new) == 1 and download(r, new[0]['value']) == PDF + b'2' and lab['result'].endswith('NEGATIVE'), 'the new document', lab)


def upload_with(route, fault):
    with with_template('note "x"', FORM, 'attachments upload lab_report') as r:
        r.sandbox.call('POST', '/sandbox/inject', dict(fault, route=route, times=2))
        r.send(with_pdf())
        r.settle(90)
        labs = lab_of(r)
        expect(len(labs) == 1, 'one result', route, fault, labs)
        expect(download(r, labs[0]['questionnaireAnswers']['lab_report'][0]['value']) == PDF, 'the document', route, fault)


def test_uploads_survive_lost_answers():
    faults = ({'mode': 'close', 'executes': True}, {'mode': 'half', 'executes': True}, {'status': 503}, {'mode': 'garbage', 'executes': True})
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(upload_with, route, fault) for route in (UPLOAD, LOOK) for fault in faults]:
            done.result()


def test_check_live_knows_the_form():
    with with_template('set lab.questionnaire.ct_valu = "1"\n    set lab.questionnaire.platform = "x"', FORM, 'attachments upload platform') as r:
        rc, out, err = r.verb('check', '--live', check=False)
        text = out + err
        expect(rc == 1 and 'there is no question "ct_valu"' in text and 'did you mean "ct_value"?' in text and 'takes no file' in text, 'check --live', text)
        expect('"platform" in' not in text, 'what is there', text)


def test_uploads_without_a_question_are_held():
    for form in (QUESTIONS, QUESTIONS + [('lab_report', 'FREE_TEXT')]):
        with with_template('note "x"', form, 'attachments upload lab_report') as r:
            r.send(with_pdf())
            r.send(oru(control='C2', sample='S-2'))
            r.settle()
            expect([d['reason'] for d in r.json('held', 'list')] == ['QUESTION_MISSING'], 'held', r.json('held', 'list'))
            expect(len(lab_of(r)) == 1 and requests(r, UPLOAD) == 0, 'the one without a document is written')


def test_attachments_is_checked():
    for option, said in (('attachments uplod x', 'attachments is one of: keep upload'), ('attachments upload', 'upload needs the variable')):
        r = rig.Rig(api='http://127.0.0.1:1/api', writer_options=option)
        r.write_conf()
        rc, out, err = r.verb('check', check=False)
        expect(rc == 1 and said in out + err, option, out + err)
        shutil.rmtree(r.folder)


def test_fhir_documents():
    b = json.loads(bundle())
    report = [e['resource'] for e in b['entry'] if e['resource']['resourceType'] == 'DiagnosticReport'][0]
    report['presentedForm'] = [{'contentType': 'application/pdf', 'data': base64.b64encode(PDF).decode()}]
    listeners = rig.LISTENER + FHIR.replace('inbox "{dir}/inbox"', 'inbox "{dir}/inbox"\n    settle 1s')
    r = with_template('note "x"', FORM, 'attachments upload lab_report', listeners=listeners)
    os.mkdir(os.path.join(r.folder, 'inbox'))
    with r:
        path = os.path.join(r.folder, 'inbox', 'report.json')
        with open(path + '.tmp', 'w') as f:
            json.dump(b, f)
        os.rename(path + '.tmp', path)
        end = time.monotonic() + 30
        while not lab_of(r) and time.monotonic() < end:
            time.sleep(0.2)
        r.settle()
        answer = lab_of(r)[0]['questionnaireAnswers']['lab_report']
        expect(len(answer) == 1 and download(r, answer[0]['value']) == PDF, 'presentedForm', answer)


def main():
    names = sys.argv[1:]
    tests = [(n, f) for n, f in sorted(globals().items()) if n.startswith('test_') and (not names or any(w in n for w in names))]
    failed = 0
    for name, f in tests:
        started = time.monotonic()
        try:
            f()
            print('ok   %-60s %5.1f s' % (name, time.monotonic() - started), flush=True)
        except Exception as e:
            failed += 1
            print('FAIL %s: %s: %s' % (name, type(e).__name__, str(e)[:3000]), flush=True)
    print('rules: %d passed, %d failed' % (len(tests) - failed, failed))
    return 1 if failed or not tests else 0


if __name__ == '__main__':
    sys.exit(main())
