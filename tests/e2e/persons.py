#!/usr/bin/env python3
"""persons - cases and contacts that labrelay creates and keeps up to date.

Each function is one test; `labrelay sandbox` stands for Go.Data.
"""
import http.client
import json
import os
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import mllp  # noqa: E402
import rig  # noqa: E402
from rig import hl7  # noqa: E402

PREFIX = 'LNG_REFERENCE_DATA_CATEGORY_'
CASE = 'no-match create case'
SOURCE = {'id': 'c0000000-0000-4000-8000-000000000001', 'visualId': 'CA-0000000001', 'firstName': 'Amina', 'lastName': 'Okello', 'dob': '1988-03-14',
          'gender': PREFIX + 'GENDER_FEMALE'}
CONTACT = 'no-match create contact\n    contact-of "CA-0000000001"\n    contact-results yes'
ORU = '''MSH|^~\\&||LAB|LABRELAY|MOH|20261105101500+0300||ORU^R01^ORU_R01|%(control)s|P|2.5.1|||AL|NE||UNICODE UTF-8
PID|1||%(number)s^^^UGA^NI||%(name)s^^^^L||%(born)s|%(sex)s|||12 Mango Road^^Kampala^^00256^UGA^H||^PRN^CP^^^^^^^^^+256700000001
OBR|1||F-%(sample)s|41636-2^Ebola virus RNA^LN|||20261104083000+0300|||||||||||||||20261105101000+0300||MB|F
OBX|1|CWE|41636-2^Ebola virus RNA^LN|1|%(value)s||Not detected|%(flag)s|||F|||20261104083000+0300
SPM|1|^%(sample)s||119297000^Blood^SCT|||||||P||||||20261104083000+0300'''


def oru(control, sample, number='CF-77-01', name='Nakato^Ruth^Mary', born='19950607', sex='F', positive=True):
    return hl7(ORU % {'control': control, 'sample': sample, 'number': number, 'name': name, 'born': born, 'sex': sex,
                      'value': '260373001^Detected^SCT' if positive else '260415000^Not detected^SCT', 'flag': 'POS' if positive else 'NEG'})


def expect(condition, text, *more):
    if not condition:
        raise rig.Failed(text + ''.join(' %r' % (m,) for m in more))


OUTBREAK = '5ab0c000-0000-4000-8000-000000000001'
LOOKER = {'email': 'look@sandbox.example', 'password': rig.PASSWORD, 'permissions': ['*'], 'activeOutbreakId': OUTBREAK}


class Rig(rig.Rig):
    """With an account of our own: looking does not take the engine's token away."""
    def __init__(self, seed=None, **more):
        seed = dict(seed or {})
        super().__init__(seed=dict(seed, users=seed.get('users', []) + [LOOKER]), **more)
        self.token = None

    def look(self, method, path, body=None):
        if not self.token:
            self.token = self.sandbox.call('POST', '/users/login', {'email': LOOKER['email'], 'password': LOOKER['password']})['id']
        return self.sandbox.call(method, '/outbreaks/%s/%s' % (OUTBREAK, path), body, self.token)


def persons(r, kind='cases'):
    return r.look('GET', kind)


def lab_results(r):
    return r.look('GET', 'lab-results/aggregate')


def of_contact(r, contact, what):
    return r.look('GET', 'contacts/%s/%s' % (contact['id'], what))


def balanced(r):
    v = r.json('verify')
    expect(v['balanced'], 'the sums', v)
    return v


def states(r):
    return sorted((d['state'], d['reason']) for d in r.json('queue'))


def send_all(r, messages):
    with mllp.Client('127.0.0.1', r.mllp) as c:
        for m in messages:
            c.send(m)
        for _ in messages:
            expect(b'MSA|AA' in c.read(60).replace(b'MSA|CA', b'MSA|AA'), 'acknowledged')


def one_case(r, results):
    cases, labs = persons(r), lab_results(r)
    expect(len(cases) == 1, 'one case', [(c['id'], c.get('firstName')) for c in cases])
    expect(len(labs) == results and {l['personId'] for l in labs} == {cases[0]['id']}, 'its results', len(labs))
    expect(len({l['sampleIdentifier'] for l in labs}) == results, 'each once')
    return cases[0]


# [item 133]
def test_fifty_results_of_one_new_person_make_one_case():
    with Rig(writer_options=CASE) as r:
        send_all(r, [oru('N%d' % i, 'S-%d' % i, positive=i % 2) for i in range(50)])
        r.settle(60)
        c = one_case(r, 50)
        expect((c['firstName'], c['middleName'], c['lastName'], c['dob'], c['gender']) ==
               ('Ruth', 'Mary', 'Nakato', '1995-06-07T00:00:00.000Z', PREFIX + 'GENDER_FEMALE'), 'who it is', c)
        expect(c['classification'] == PREFIX + 'CASE_CLASSIFICATION_SUSPECT' and 'outcomeId' not in c, 'suspect, no outcome', c)
        expect(c['dateOfReporting'] == '2026-11-05T00:00:00.000Z' and c['isDateOfReportingApproximate'] is True, 'the day of the message', c)
        expect(c['documents'] == [{'type': PREFIX + 'DOCUMENT_TYPE_NATIONAL_ID_CARD', 'number': 'CF-77-01'}], 'its document', c)
        usual = [a for a in c['addresses'] if a['typeId'] == PREFIX + 'ADDRESS_TYPE_USUAL_PLACE_OF_RESIDENCE']
        expect(len(usual) == 1 and len(c['addresses']) == 1, 'exactly one usual place', c['addresses'])
        expect((usual[0]['addressLine1'], usual[0]['city'], usual[0]['phoneNumber']) == ('12 Mango Road', 'Kampala', '+256700000001'), 'its address', usual)
        expect(c['visualId'] == 'CA-0000000001', 'the next number of the mask', c['visualId'])
        v = balanced(r)
        expect(v['observations']['deliveries']['delivered'] == 50, 'all delivered', v)


# [item 133]
def test_a_possible_duplicate_is_held_with_its_candidates():
    near = dict(SOURCE, firstName='Ruth', lastName='Nakato', dob='1995-06-07')     # the same name, and nothing that identifies her
    with Rig(seed={'cases': [near]}, writer_options=CASE) as r:
        r.send(oru('D1', 'S-1'))
        r.settle()
        held = r.json('held', 'list')
        expect([d['reason'] for d in held] == ['POSSIBLE_DUPLICATE'] or [d['reason'] for d in held] == ['NO_MATCH'], 'held', held)
        shown = r.verb('show', 'd%d' % held[0]['id'])[1]
        expect(near['visualId'] in shown, 'the candidate is shown', shown)
        expect(len(persons(r)) == 1 and lab_results(r) == [], 'nobody is made, nothing is written')
        balanced(r)


def test_drop_is_counted():
    with Rig(writer_options='no-match drop') as r:
        r.send(oru('D1', 'S-1'))
        r.settle()
        d = r.json('show', 'm1')['deliveries'][0]
        expect((d['state'], d['reason']) == ('dropped', 'NO_CASE'), 'dropped', d)
        expect(persons(r) == [] and lab_results(r) == [], 'nothing is written')
        v = balanced(r)
        expect(v['observations']['deliveries']['dropped'] == 1, 'counted', v)


def test_a_route_says_otherwise_than_its_writer():
    routes = '''
route "ebola" {{
    when       observation.code in tests
    when       patient.sex = "F"
    no-match   create case
    set        case.classification = "PROBABLE"
    set        case.risk_level = "3_HIGH"
    send       lab to "godata"
}}
route "others" {{ when observation.code in tests  no-match drop  send lab to "godata" }}
route "everything-else" {{ hold "no route" }}
'''
    with Rig(routes=routes) as r:
        send_all(r, [oru('R1', 'S-1'), oru('R2', 'S-2', number='CM-1', name='Okello^John', sex='M')])
        r.settle()
        c = one_case(r, 1)
        expect(c['classification'] == PREFIX + 'CASE_CLASSIFICATION_PROBABLE' and c['riskLevel'] == PREFIX + 'RISK_LEVEL_3_HIGH', 'by rule', c)
        expect(r.json('show', 'm2')['deliveries'][0]['reason'] == 'NO_CASE', 'the other one is dropped')
        balanced(r)


def test_a_contact_is_created_with_its_relationship():
    with Rig(seed={'cases': [SOURCE]}, writer_options=CONTACT) as r:
        send_all(r, [oru('C%d' % i, 'S-%d' % i) for i in range(5)])
        r.settle()
        contacts = persons(r, 'contacts')
        expect(len(contacts) == 1 and len(persons(r)) == 1, 'one contact', contacts)
        expect('classification' not in contacts[0] and contacts[0]['visualId'].startswith('CO-'), 'a contact', contacts[0])
        relations, labs = of_contact(r, contacts[0], 'relationships'), of_contact(r, contacts[0], 'lab-results')
        expect(len(labs) == 5, 'five results', len(labs))
        expect(len(relations) == 1 and {p['id'] for p in relations[0]['persons']} == {SOURCE['id'], contacts[0]['id']}, 'one relationship', relations)
        expect(relations[0]['certaintyLevelId'] == PREFIX + 'CERTAINTY_LEVEL_1_LOW' and relations[0]['contactDateEstimated'] is True, 'as configured', relations)
        expect(states(r) == [], 'all delivered', states(r))
        balanced(r)


def test_no_contact_without_its_case():
    with Rig(writer_options=CONTACT) as r:
        r.send(oru('C1', 'S-1'))
        r.settle()
        expect(states(r) == [('held', 'NO_SOURCE_CASE')], 'held', states(r))
        expect(persons(r, 'contacts') == [], 'nobody is made')


def test_nobody_is_made_of_too_little():
    with Rig(writer_options=CASE + '\n    demographics candidates') as r:
        masked = oru('M1', 'S-1').replace(b'^^^^L|', b'^^^^S|')
        nameless = oru('M2', 'S-2', number='CF-77-02', name='').replace(b'19950607|F', b'|')
        named = oru('M3', 'S-3', number='CA-0000000099').replace(b'^^^UGA^NI', b'^^^GODATA^PI')
        send_all(r, [masked, nameless, named])
        r.settle()
        got = {m['control_id']: [(d['state'], d['reason']) for d in m['deliveries']] for m in (r.json('show', 'm%d' % i) for i in (1, 2, 3))}
        expect(got == {'M1': [('held', 'NO_IDENTITY')], 'M2': [('held', 'PERSON_INCOMPLETE')], 'M3': [('held', 'NO_MATCH')]}, 'held', got)
        expect(persons(r) == [], 'nobody is made')
        balanced(r)


def inject(r, route, mode, times=1, executes=True, **more):
    r.sandbox.call('POST', '/sandbox/inject', dict({'route': route, 'mode': mode, 'times': times, 'executes': executes}, **more))


def test_lost_answers_make_no_second_person():
    for mode, more in (('close', {}), ('half', {}), ('garbage', {}), ('status', {'status': 500}), ('status', {'status': 502})):
        for executes in (True, False):
            with Rig(writer_options=CASE + '\n    settle-unknown 1s  retry-max 5s  timeout 2s') as r:
                r.settle()
                inject(r, 'POST /outbreaks/:o/:t', mode, 2, executes, **more)
                send_all(r, [oru('L%d' % i, 'S-%d' % i) for i in range(4)])
                r.settle(90)
                one_case(r, 4)
                balanced(r)


def test_written_later_than_the_connection_lived():
    for ms in (300, 2500):
        with Rig(writer_options=CASE + '\n    settle-unknown 1s  retry-max 5s') as r:
            inject(r, 'POST /outbreaks/:o/:t', 'late', 1, ms=ms)
            send_all(r, [oru('L%d' % i, 'S-%d' % i) for i in range(3)])
            r.settle(60)
            time.sleep(max(0, ms / 1000 - 1))
            one_case(r, 3)
            balanced(r)


def test_a_contact_whose_relationship_got_lost():
    for mode, executes in (('close', True), ('close', False), ('late', True)):
        with Rig(seed={'cases': [SOURCE]}, writer_options=CONTACT + '\n    settle-unknown 2s  retry-max 5s') as r:
            inject(r, 'POST /outbreaks/:o/:t/:1/relationships', mode, 1, executes, ms=500)
            r.send(oru('C1', 'S-1'))
            r.settle(60)
            contacts = persons(r, 'contacts')
            expect(len(contacts) == 1 and len(of_contact(r, contacts[0], 'lab-results')) == 1, 'one contact, one result', contacts)
            relations = of_contact(r, contacts[0], 'relationships')
            expect(len(relations) == 1, 'one relationship', len(relations))


def test_killed_at_any_moment():
    with Rig(writer_options=CASE + '\n    settle-unknown 1s  retry-max 5s', sandbox_flags=('--slow', '15')) as r:
        for i in range(12):
            send_all(r, [oru('K%d' % i, 'S-%d' % i, number='CF-%d' % (i // 3), name='%s^Ruth' % ('Nakato', 'Nambi', 'Apio', 'Achan')[i // 3])])
            time.sleep(0.02 * (i % 6))
            r.stop(signal.SIGKILL)
            r.start()
        r.settle(90)
        cases, labs = persons(r), lab_results(r)
        expect(sorted(c['lastName'] for c in cases) == ['Achan', 'Apio', 'Nakato', 'Nambi'], 'four cases', [c['lastName'] for c in cases])
        expect(sorted(l['sampleIdentifier'] for l in labs) == sorted('S-%d' % i for i in range(12)), 'each result once', len(labs))
        by = {c['id']: c['documents'][0]['number'] for c in cases}
        expect(all(by[l['personId']] == 'CF-%d' % (int(l['sampleIdentifier'][2:]) // 3) for l in labs), 'each to its own')
        balanced(r)


def test_a_missing_permission_is_named():
    allowed = ['outbreak_view', 'outbreak_list', 'case_list', 'case_view', 'case_modify', 'contact_list', 'contact_view', 'lab_result_list',
               'contact_of_contact_list', 'case_list_lab_result', 'case_create_lab_result', 'case_view_lab_result', 'user_modify_own_account']
    user = {'email': 'least@sandbox.example', 'password': rig.PASSWORD, 'permissions': allowed, 'activeOutbreakId': OUTBREAK}
    writer, rig.WRITER = rig.WRITER, rig.WRITER.replace('"{user}"', '"least@sandbox.example"')
    try:
        with Rig(seed={'users': [user]}, writer_options=CASE) as r:
            r.send(oru('P1', 'S-1'))
            end = time.monotonic() + 20
            while not [d for d in r.json('queue') if d['reason']] and time.monotonic() < end:
                time.sleep(0.05)
            d = r.json('show', 'm1')['deliveries'][0]
            expect(d['reason'] == 'MISSING_PERMISSION' and 'case_create' in d['detail'], 'it is named', d)
            balanced(r)
    finally:
        rig.WRITER = writer


# ---- send case ----

PEOPLE = '''
route "people" {{
    when    message.kind ~ /^ADT/
    send    case to "godata"
    update  case.phone_number, case.city
}}
route "results" {{ when observation.code in tests  send lab to "godata" }}
route "everything-else" {{ hold "no route" }}
'''
ADT = '''MSH|^~\\&|HIS|CLINIC|LABRELAY|MOH|%(time)s+0300||ADT^%(event)s^ADT_A01|%(control)s|P|2.5.1|||AL|NE||UNICODE UTF-8
EVN|%(event)s|%(time)s
PID|1||%(number)s^^^UGA^NI~MR-%(number)s^^^CLINIC^MR||%(name)s^^^^L||%(born)s|%(sex)s|||%(street)s^^%(city)s^^^UGA^H||%(phone)s
PV1|1|O'''


def adt(control, event='A04', time_='20261105090000', number='CF-88-01', name='Nakato^Ruth', born='19950607', sex='F', street='12 Mango Road',
        city='Kampala', phone='^PRN^CP^^^^^^^^^+256700000001', extra=''):
    return hl7(ADT % {'control': control, 'event': event, 'time': time_, 'number': number, 'name': name, 'born': born, 'sex': sex, 'street': street,
                      'city': city, 'phone': phone} + extra)


def edit(r, case, **fields):
    return r.look('PUT', 'cases/%s' % case['id'], fields)


def usual(c):
    found = [a for a in c['addresses'] if a['typeId'] == PREFIX + 'ADDRESS_TYPE_USUAL_PLACE_OF_RESIDENCE']
    expect(len(found) == 1, 'exactly one usual place', c['addresses'])
    return found[0]


def state_of(r, control):
    for i in range(1, 60):
        m = r.json('show', 'm%d' % i)
        if m['control_id'] == control:
            return [(d['state'], d['reason']) for d in m['deliveries']]
    return None


def test_adt_makes_a_case_and_keeps_it_up_to_date():
    with Rig(routes=PEOPLE) as r:
        expect(b'MSA|AA|A1' in r.send(adt('A1')).replace(b'MSA|CA', b'MSA|AA'), 'acknowledged')
        r.settle()
        c, = persons(r)
        expect((c['firstName'], c['lastName'], c['classification'], usual(c)['city']) ==
               ('Ruth', 'Nakato', PREFIX + 'CASE_CLASSIFICATION_SUSPECT', 'Kampala'), 'a case', c)
        expect(sorted(d['number'] for d in c['documents']) == ['CF-88-01', 'MR-CF-88-01'], 'documents', c['documents'])
        # new telephone and town: both may be replaced; a further name is only filled in
        r.send(adt('A2', 'A08', '20261105100000', name='Nakato^Ruth^Mary', city='Jinja', phone='^PRN^CP^^^^^^^^^+256700000002'))
        r.settle()
        c, = persons(r)
        expect((usual(c)['city'], usual(c)['phoneNumber'], c['middleName'], usual(c)['addressLine1']) == ('Jinja', '+256700000002', 'Mary', '12 Mango Road'), 'news', c)
        # an older one comes late, and the last one again
        r.send(adt('A3', 'A08', '20261105093000', city='Gulu'))
        r.send(adt('A4', 'A31', '20261105110000', name='Nakato^Ruth^Mary', city='Jinja', phone='^PRN^CP^^^^^^^^^+256700000002'))
        r.settle()
        expect(usual(persons(r)[0])['city'] == 'Jinja', 'older after newer changes nothing')
        expect(state_of(r, 'A3') == [('superseded', 'OLDER')], 'older', state_of(r, 'A3'))
        expect(state_of(r, 'A4') in ([('superseded', 'SAME_AGAIN')], [('delivered', '')]), 'nothing new', state_of(r, 'A4'))
        # its results find it
        r.send(oru('R1', 'S-1', number='CF-88-01', name='Nakato^Ruth'))
        r.settle()
        one_case(r, 1)
        balanced(r)


def test_what_a_person_changed_stays():
    with Rig(routes=PEOPLE) as r:
        r.send(adt('A1'))
        r.settle()
        c, = persons(r)
        mine = {'firstName': 'Ruth Anna', 'classification': PREFIX + 'CASE_CLASSIFICATION_CONFIRMED', 'outcomeId': PREFIX + 'OUTCOME_RECOVERED',
                'documents': c['documents'] + [{'type': PREFIX + 'DOCUMENT_TYPE_PASSPORT', 'number': 'B-777'}],
                'addresses': [dict(usual(c), phoneNumber='+256711111111')]}
        edit(r, c, **mine)
        r.send(adt('A2', 'A08', '20261105100000', city='Jinja'))     # the telephone as before: no news
        r.settle()
        c, = persons(r)
        expect((c['firstName'], c['classification'], c['outcomeId']) == (mine['firstName'], mine['classification'], mine['outcomeId']), 'untouched', c)
        expect((usual(c)['phoneNumber'], usual(c)['city']) == ('+256711111111', 'Jinja'), 'only the news', usual(c))
        expect(len(c['documents']) == 3, 'documents', c['documents'])
        # now the sender has another telephone: two say different things
        r.send(adt('A3', 'A08', '20261105110000', city='Jinja', phone='^PRN^CP^^^^^^^^^+256722222222'))
        r.settle()
        expect(state_of(r, 'A3') == [('held', 'HUMAN_EDIT')], 'for a person', state_of(r, 'A3'))
        d = r.json('held', 'list')[0]
        expect(d['detail'] == 'phoneNumber', 'the field is named', d['detail'])
        expect(usual(persons(r)[0])['phoneNumber'] == '+256711111111', 'kept')
        r.verb('held', 'release', 'd%d' % d['id'], '--anyway', '--by', 'ann', '--reason', 'the hospital is right')
        r.settle()
        expect(usual(persons(r)[0])['phoneNumber'] == '+256722222222', 'a person decided', persons(r)[0])
        edit(r, c, addresses=[dict(usual(c), phoneNumber='+256711111111')])
        # a changed given name of somebody who stands
        r.send(adt('A4', 'A08', '20261105120000', name='Nakato^Ruth Grace', city='Jinja'))
        r.settle()
        expect(state_of(r, 'A4') == [('held', 'IDENTITY_CHANGED')], 'for a person', state_of(r, 'A4'))
        # another birth date
        r.send(adt('A5', 'A08', '20261105130000', born='19950608', city='Jinja'))
        r.settle()
        expect(state_of(r, 'A5') == [('held', 'IDENTITY_CONFLICT')], 'for a person', state_of(r, 'A5'))
        c, = persons(r)
        expect((c['firstName'], c['dob'][:10]) == ('Ruth Anna', '1995-06-07'), 'kept', c)
        balanced(r)


def test_a_case_that_stands_is_completed_and_never_reclassified():
    stands = {'id': 'c0000000-0000-4000-8000-000000000009', 'visualId': 'CA-0000000009', 'firstName': 'Ruth', 'lastName': 'Nakato',
              'documents': [{'type': PREFIX + 'DOCUMENT_TYPE_NATIONAL_ID_CARD', 'number': 'CF-88-01'}], 'classification': PREFIX + 'CASE_CLASSIFICATION_PROBABLE',
              'addresses': [{'typeId': PREFIX + 'ADDRESS_TYPE_USUAL_PLACE_OF_RESIDENCE', 'city': 'Mbale'}, {'typeId': PREFIX + 'ADDRESS_TYPE_OTHER', 'city': 'Soroti'}]}
    routes = PEOPLE.replace('send    case', 'set case.classification = "CONFIRMED"  set case.risk_level = "3_HIGH"\n    send    case').replace(', case.city', '')
    with Rig(seed={'cases': [stands]}, routes=routes) as r:
        r.send(adt('A1'))
        r.settle()
        c, = persons(r)
        expect((c['id'], c['visualId'], c['dob'][:10], c['gender']) == (stands['id'], 'CA-0000000009', '1995-06-07', PREFIX + 'GENDER_FEMALE'), 'completed', c)
        expect(c['classification'] == stands['classification'], 'its classification stays', c['classification'])
        expect(c['riskLevel'] == PREFIX + 'RISK_LEVEL_3_HIGH', 'an empty field is filled by rule', c)
        expect((usual(c)['city'], usual(c)['addressLine1'], len(c['addresses'])) == ('Mbale', '12 Mango Road', 2), 'its address is completed', c['addresses'])
        expect(sorted(d['number'] for d in c['documents']) == ['CF-88-01', 'MR-CF-88-01'], 'a document is added', c['documents'])
        balanced(r)


def test_a_rule_may_reclassify():
    routes = PEOPLE.replace('send    case', 'set case.classification = "CONFIRMED"\n    send    case').replace('case.city', 'case.classification')
    stands = dict(SOURCE, classification=PREFIX + 'CASE_CLASSIFICATION_SUSPECT', firstName='Ruth', lastName='Nakato', dob='1995-06-07',
                  documents=[{'type': PREFIX + 'DOCUMENT_TYPE_NATIONAL_ID_CARD', 'number': 'CF-88-01'}])
    with Rig(seed={'cases': [stands]}, routes=routes) as r:
        r.send(adt('A1'))
        r.settle()
        expect(persons(r)[0]['classification'] == PREFIX + 'CASE_CLASSIFICATION_CONFIRMED', 'by rule')


def test_without_such_a_route_adt_stays_refused():
    with Rig() as r:
        expect(b'MSA|AR|A1' in r.send(adt('A1')).replace(b'MSA|CR', b'MSA|AR'), 'as ever')
    with Rig(routes=PEOPLE) as r:
        expect(b'MSA|AR|A1' in r.send(adt('A1', 'A03')).replace(b'MSA|CR', b'MSA|AR'), 'a discharge writes nothing')
        expect(persons(r) == [], 'nothing')
        balanced(r)


# [item 76]
def test_a_merge_is_for_a_person():
    with Rig(routes=PEOPLE, seed={'cases': [SOURCE]}) as r:
        r.send(adt('A1', number='CF-1'))
        r.settle()
        before = persons(r)
        r.sandbox.call('POST', '/sandbox/reset-stats')
        m = adt('A2', 'A40', '20261105120000', number='CF-2').replace(b'PV1|1|O', b'MRG|CF-1^^^UGA^NI')
        expect(b'MSA|AA|A2' in r.send(m).replace(b'MSA|CA', b'MSA|AA'), 'acknowledged')
        r.settle()
        expect(state_of(r, 'A2') == [('held', 'MERGE_REVIEW')], 'held', state_of(r, 'A2'))
        expect(persons(r) == before, 'nothing is written')
        routes = r.sandbox.call('GET', '/sandbox/stats')['routes']
        expect(not [k for k in routes if 'merge' in k or k.startswith(('PUT', 'DELETE'))], 'no merge call', routes)
        d, = r.json('held', 'list')
        expect(d['detail']['merged'] == [{'was': 'NATIONAL_ID_CARD|CF-1', 'is': 'NATIONAL_ID_CARD|CF-2'}], 'both numbers', d['detail'])
        # a result under a number that was merged: whoever has the other one is proposed, nothing is written
        r.send(adt('A3', 'A40', '20261105130000', number='CF-1').replace(b'PV1|1|O', b'MRG|CF-OLD^^^UGA^NI'))
        time.sleep(2)
        r.send(oru('R1', 'S-1', number='CF-OLD', name='Nakato^Ruth'))
        r.settle()
        expect(state_of(r, 'R1') == [('held', 'MERGED_ID')], 'held', state_of(r, 'R1'))
        d, = [d for d in r.json('held', 'list') if d['reason'] == 'MERGED_ID']
        expect(before[0]['id'] in json.dumps(d['detail']) or before[1]['id'] in json.dumps(d['detail']), 'proposed', d['detail'])
        expect(lab_results(r) == [], 'nothing is written')
        balanced(r)


def test_a_place_by_table():
    table = 'table locations csv "{dir}/locations.csv" key district value location_id\n'
    routes = PEOPLE.replace('send    case', 'lookup patient.address.district in locations -> case.location_id default ""\n    send    case')
    r = Rig(head=table, routes=routes)
    with open(os.path.join(r.folder, 'locations.csv'), 'w') as f:
        f.write('district,location_id\nWakiso,10c00000-0000-4000-8000-000000000001\n')
    with r:
        r.send(adt('A1').replace(b'UGA^H|', b'UGA^H^^Wakiso|'))
        r.send(adt('A2', number='CF-88-02', name='Achan^Grace').replace(b'UGA^H|', b'UGA^H^^Elsewhere|'))
        r.settle()
        at = {c['lastName']: usual(c).get('locationId') for c in persons(r)}
        expect(at == {'Nakato': '10c00000-0000-4000-8000-000000000001', 'Achan': None}, 'places', at)


def test_a_code_that_go_data_lacks_is_held():
    routes = PEOPLE.replace('send    case', 'set case.risk_level = "9_HUGE"\n    send    case')
    with Rig(routes=routes) as r:
        r.send(adt('A1'))
        r.settle()
        d, = r.json('held', 'list')
        expect(d['reason'] == 'REFDATA_MISSING' and 'riskLevel RISK_LEVEL_9_HUGE' in d['detail'], 'held', d)
        expect(persons(r) == [], 'nothing is written')


def test_a_row_that_was_missing_is_found_by_a_reload():
    table = 'table locations csv "{dir}/locations.csv" key district value location_id\n'
    routes = PEOPLE.replace('send    case', 'lookup patient.address.district in locations -> case.location_id\n    send    case')
    r = Rig(head=table, routes=routes)
    path = os.path.join(r.folder, 'locations.csv')
    with open(path, 'w') as f:
        f.write('district,location_id\nElsewhere,10c00000-0000-4000-8000-000000000002\n')
    with r:
        r.send(adt('A1').replace(b'UGA^H|', b'UGA^H^^Wakiso|'))
        r.settle()
        expect([(d['reason'], d['detail']) for d in r.json('held', 'list')] == [('UNMAPPED_CODE', 'locations||Wakiso')], 'held', r.json('held', 'list'))
        with open(path, 'a') as f:
            f.write('Wakiso,10c00000-0000-4000-8000-000000000001\n')
        r.verb('reload')
        end = time.monotonic() + 20
        while not persons(r) and time.monotonic() < end:
            time.sleep(0.1)
        r.settle()
        expect([usual(c).get('locationId') for c in persons(r)] == ['10c00000-0000-4000-8000-000000000001'], 'the row is found', persons(r))
        balanced(r)


def test_adt_makes_a_contact_and_keeps_it_up_to_date():
    routes = PEOPLE.replace('send    case', 'send    contact')
    with Rig(seed={'cases': [SOURCE]}, routes=routes, writer_options='contact-of "CA-0000000001"  contact-certainty high') as r:
        r.send(adt('A1'))
        r.settle()
        c, = persons(r, 'contacts')
        relations = of_contact(r, c, 'relationships')
        expect(len(relations) == 1 and relations[0]['certaintyLevelId'] == PREFIX + 'CERTAINTY_LEVEL_3_HIGH', 'one relationship', relations)
        r.send(adt('A2', 'A08', '20261105100000', city='Jinja'))
        r.settle()
        expect(usual(persons(r, 'contacts')[0])['city'] == 'Jinja' and len(persons(r)) == 1, 'news')
        # a person turned the contact into a case: the next message finds the case
        r.look('POST', 'contacts/%s/convert-to-case' % c['id'], {})
        r.send(adt('A3', 'A08', '20261105110000', city='Gulu'))
        r.settle()
        case, = [p for p in persons(r) if p['id'] == c['id']]
        expect(usual(case)['city'] == 'Gulu' and persons(r, 'contacts') == [], 'the case has the news', case)
        balanced(r)


def test_result_and_patient_of_one_message():
    routes = '''
route "results" {{ when observation.code in tests  send lab to "godata"  send case to "godata" }}
route "everything-else" {{ hold "no route" }}
'''
    with Rig(routes=routes) as r:
        send_all(r, [oru('B%d' % i, 'S-%d' % i) for i in range(8)])
        end = time.monotonic() + 30
        while states(r) and time.monotonic() < end:
            time.sleep(0.1)
        expect(states(r) == [], 'the results wait for the case and find it', states(r))
        one_case(r, 8)
        v = balanced(r)
        expect(v['observations']['deliveries']['delivered'] == 8, 'persons are not counted as results', v)


def test_a_case_that_somebody_deleted_is_not_made_again():
    with Rig(routes=PEOPLE) as r:
        r.send(adt('A1'))
        r.settle()
        c, = persons(r)
        r.look('DELETE', 'cases/%s' % c['id'])
        time.sleep(2)
        r.send(adt('A2', 'A08', '20261105110000', city='Gulu'))
        r.settle()
        expect(state_of(r, 'A2') in ([('held', 'PERSON_DELETED')], [('held', 'PERSON_GONE')]), 'held', state_of(r, 'A2'))
        expect(persons(r) == [], 'it stays deleted')


def test_a_contact_gets_no_classification():
    stands = dict(SOURCE, firstName='Ruth', lastName='Nakato', dob='1995-06-07', visualId='CO-0000000001',
                  documents=[{'type': PREFIX + 'DOCUMENT_TYPE_NATIONAL_ID_CARD', 'number': 'CF-88-01'}])
    routes = PEOPLE.replace('send    case', 'set case.classification = "PROBABLE"\n    send    case')
    with Rig(seed={'contacts': [stands]}, routes=routes) as r:
        r.send(adt('A1'))
        r.settle()
        c, = persons(r, 'contacts')
        expect('classification' not in c and usual(c)['city'] == 'Kampala' and persons(r) == [], 'a contact stays one', c)


def test_check_wants_the_case_of_contacts():
    with Rig() as r:
        for writer, routes, fine in (('no-match create contact', rig.ROUTES, False), ('', PEOPLE.replace('send    case', 'send contact'), False),
                                     ('contact-of "CA-1"', PEOPLE.replace('send    case', 'send contact'), True)):
            r.parts = ('', rig.LISTENER, writer, routes)
            r.write_conf()
            rc, out, err = r.verb('check', check=False)
            expect((rc == 0) == fine and (fine or 'contact-of' in out + err), 'check', rc, out, err)


def test_explain_tells_of_the_person():
    with Rig(routes=PEOPLE) as r:
        path = os.path.join(r.folder, 'a.hl7')
        with open(path, 'wb') as f:
            f.write(adt('A1'))
        told = json.loads(r.verb('explain', '--json', path)[1])[0]
        person = told['records'][0]['person']
        expect(told['fate'] == 'accepted' and person['action'] == 'send' and person['body']['lastName'] == 'Nakato', 'explained', told)
        expect('classification' not in person['body'] and person['who']['new']['type'] == 'case' and person['who']['new']['update'], 'and how', person)


# ---- FHIR ----

EHR = rig.LISTENER + '''
listen http "ehr" {{
    address  127.0.0.1:%d
    tokens   credential "ehr-tokens"
    parse    fhir {{ timezone "Africa/Kampala" }}
}}
'''
FHIR = '''
route "people" {{ from "ehr"  send case to "godata"  update case.phone_number }}
route "results" {{ when observation.code in tests  send lab to "godata" }}
route "everything-else" {{ hold "no route" }}
'''


class Ehr(Rig):
    def __init__(self, routes=FHIR, **more):
        self.port = rig.free_port()
        super().__init__(listeners=EHR % self.port, routes=routes, **more)
        folder = os.path.join(self.folder, 'credentials')
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with open(os.open(os.path.join(folder, 'ehr-tokens'), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w') as f:
            f.write('token-of-the-test\n')

    def ask(self, method, path, body=None):
        c = http.client.HTTPConnection('127.0.0.1', self.port, timeout=20)
        try:
            c.request(method, path, json.dumps(body) if body is not None else None,
                      {'Content-Type': 'application/fhir+json', 'Authorization': 'Bearer token-of-the-test'})
            r = c.getresponse()
            return r.status, r.read()
        finally:
            c.close()


def patient(number='CF-99-01', family='Nakato', given=('Ruth',), phone='+256700000001', updated='2026-11-05T09:00:00+03:00', **more):
    return dict({'resourceType': 'Patient', 'meta': {'lastUpdated': updated}, 'name': [{'family': family, 'given': list(given)}], 'gender': 'female',
                 'birthDate': '1995-06-07', 'telecom': [{'system': 'phone', 'value': phone}], 'address': [{'use': 'home', 'city': 'Kampala'}],
                 'identifier': [{'type': {'coding': [{'system': 'http://terminology.hl7.org/CodeSystem/v2-0203', 'code': 'NI'}]}, 'value': number}]}, **more)


def test_a_fhir_patient_makes_and_updates_a_case():
    with Ehr() as r:
        status, body = r.ask('POST', '/fhir/Patient', patient())
        expect(status == 201, 'created', status, body)
        r.settle()
        c, = persons(r)
        expect((c['firstName'], c['lastName'], c['dob'][:10], usual(c)['city'], c['documents'][0]['number']) == ('Ruth', 'Nakato', '1995-06-07', 'Kampala', 'CF-99-01'), 'a case', c)
        status, body = r.ask('PUT', '/fhir/Patient/p1', patient(id='p1', phone='+256700000002', given=('Ruth', 'Mary'), updated='2026-11-05T10:00:00+03:00'))
        expect(status in (200, 201), 'updated', status, body)
        r.settle()
        c, = persons(r)
        expect((usual(c)['phoneNumber'], c['middleName']) == ('+256700000002', 'Mary'), 'news', c)
        capabilities = json.loads(r.ask('GET', '/fhir/metadata')[1])
        expect('Patient' in [x['type'] for x in capabilities['rest'][0]['resource']], 'it says so', capabilities)
        balanced(r)


def test_a_bundle_of_patients():
    bundle = {'resourceType': 'Bundle', 'type': 'transaction', 'entry': [
        {'fullUrl': 'urn:uuid:%d0000000-0000-4000-8000-000000000000' % i, 'resource': patient('CF-99-0%d' % i, family), 'request': {'method': 'POST', 'url': 'Patient'}}
        for i, family in ((1, 'Nakato'), (2, 'Nambi'), (3, 'Achan'))]}
    with Ehr() as r:
        status, body = r.ask('POST', '/fhir', bundle)
        expect(status == 200, 'taken', status, body)
        r.settle()
        expect(sorted(c['lastName'] for c in persons(r)) == ['Achan', 'Nakato', 'Nambi'], 'three cases')
        masked = patient('CF-99-05', 'Unknown')
        masked['name'][0]['use'] = 'anonymous'
        r.ask('POST', '/fhir/Patient', masked)
        r.settle()
        expect(len(persons(r)) == 3 and [d['reason'] for d in r.json('held', 'list')] == ['NO_IDENTITY'], 'nobody is made of a masked one')
        balanced(r)


def test_without_such_a_route_patients_stay_refused():
    with Ehr(routes=rig.ROUTES) as r:
        expect(r.ask('POST', '/fhir/Patient', patient())[0] == 404, 'as ever')
        expect('Patient' not in r.ask('GET', '/fhir/metadata')[1].decode(), 'nor does it say so')
        bundle = {'resourceType': 'Bundle', 'type': 'collection', 'entry': [{'fullUrl': 'urn:uuid:10000000-0000-4000-8000-000000000000', 'resource': patient()}]}
        expect(r.ask('POST', '/fhir/Bundle', bundle)[0] == 201, 'nothing to deliver')
        r.settle()
        expect(persons(r) == [], 'nothing')
        balanced(r)


# ---- a person orders it ----

def control(r, **request):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.path.join(r.folder, 'store.db.sock'))
        s.sendall(json.dumps(request).encode() + b'\n')
        out = b''
        while not out.endswith(b'\n'):
            more = s.recv(65536)
            if not more:
                break
            out += more
    return json.loads(out)


def test_somebody_orders_a_person():
    near = dict(SOURCE, firstName='Ruth', lastName='Nakato', dob='1995-06-07')
    with Rig(seed={'cases': [near]}) as r:
        r.send(oru('O1', 'S-1'))
        r.send(oru('O2', 'S-2', number='CA-0000000099').replace(b'^^^UGA^NI', b'^^^GODATA^PI'))
        r.settle()
        expect(states(r) == [('held', 'NO_MATCH')] * 2, 'parked', states(r))
        ids = [d['id'] for d in r.json('held', 'list')]
        expect('error' in control(r, **{'do': 'create-person', 'id': ids[0], 'type': 'case'}), 'nobody says who does it')
        for i in ids:
            got = control(r, **{'do': 'create-person', 'id': i, 'type': 'case', 'by': 'ann', 'why': 'rang the ward'})
            expect(got.get('ok') is True and got['state'] == 'ready', 'ordered', got)
        r.settle()
        expect(states(r) == [], 'delivered', states(r))
        expect(len(persons(r)) == 3 and len(lab_results(r)) == 2, 'two new cases, two results')
        expect(control(r, **{'do': 'create-person', 'id': ids[0], 'type': 'case', 'by': 'ann'})['error'] == 'it is not held', 'once')
        balanced(r)


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
