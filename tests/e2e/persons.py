#!/usr/bin/env python3
"""persons - cases and contacts that labrelay creates and keeps up to date.

Each function is one test; `labrelay sandbox` stands for Go.Data.
"""
import os
import signal
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


def persons(r, kind='cases'):
    r.sandbox.login()
    return r.sandbox.call('GET', '/outbreaks/%s/%s' % (r.sandbox.outbreak, kind), token=r.sandbox.token)


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
    cases, labs = persons(r), r.sandbox.lab_results()
    expect(len(cases) == 1, 'one case', [(c['id'], c.get('firstName')) for c in cases])
    expect(len(labs) == results and {l['personId'] for l in labs} == {cases[0]['id']}, 'its results', len(labs))
    expect(len({l['sampleIdentifier'] for l in labs}) == results, 'each once')
    return cases[0]


# [item 133]
def test_fifty_results_of_one_new_person_make_one_case():
    with rig.Rig(writer_options=CASE) as r:
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
