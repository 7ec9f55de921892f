#!/usr/bin/env python3
"""review - what people decide about held results: held show, link, release --anyway, dismiss, export, apply; with and without an engine.

Each function is one test; `labrelay sandbox` stands for Go.Data.
"""
import csv
import io
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rig  # noqa: E402
from verbs import expect, only, oru  # noqa: E402

PERSON = 'c0000000-0000-4000-8000-%012d'
LAB = 'LNG_REFERENCE_DATA_CATEGORY_LAB_TEST_RESULT_'
NEG = dict(code='260415000^Not detected^SCT', flag='NEG')


def person(n, **more):
    return dict({'id': PERSON % n, 'visualId': 'CA-%010d' % n, 'firstName': 'Amina', 'lastName': 'Okello', 'dob': '1988-03-14',
                 'gender': 'LNG_REFERENCE_DATA_CATEGORY_GENDER_FEMALE'}, **more)


CASES = {'cases': [person(1), person(2), person(3), person(4, firstName='Juma', lastName='Kato', dob='1990-01-01', gender='LNG_REFERENCE_DATA_CATEGORY_GENDER_MALE')]}


def decide(r, *words, rc=0):
    got, out, err = r.verb('held', *words, '--by', 'epi', check=False)
    expect(got == rc, 'exit status %s' % got, out, err)
    return out + err


def state(r, n, **fields):
    r.settle()
    only(r.json('show', 'd%d' % n), **fields)


def api(r, method, path, body=None):
    return r.sandbox.api_call(method, path, body)


def put(r, lab, **fields):
    return api(r, 'PUT', '/lab-results/%s' % lab['id'], fields)


def labs(r):
    return sorted(((x['personId'][-1], x['sampleIdentifier'], (x.get('result') or '').replace(LAB, '')) for x in r.sandbox.lab_results()))


# [item 120]
def test_show_says_what_agrees_and_what_would_match():
    with rig.Rig(seed=CASES) as r:
        r.send(oru('C1', dob='19900101'))
        r.send(oru('C2', person='CA-0000000077', sample='S-2'))
        r.settle()
        text = r.verb('held', 'show', 'd1')[1]
        for part in ('IDENTITY_CONFLICT', 'Amina Okello, born 1990-01-01, female', 'CA-0000000001', 'sample      S-1', 'Ebola virus', 'POSITIVE',
                     'agrees: case ID', 'differs: birth date (message 1990-01-01, Go.Data 1988-03-14)', 'birth date in Go.Data were 1990-01-01',
                     'labrelay held link d1'):
            expect(part in text, 'held show does not say ' + part, text)
        text = r.verb('held', 'show', 'd2')[1]
        expect('would have matched' in text and 'CA-0000000077' in text, 'the one change', text)
        j = r.json('held', 'show', 'd1')
        expect(j['reason'] == 'IDENTITY_CONFLICT' and len(j['candidates']) == 1 and 'birth date' in j['candidates'][0], 'JSON', j)
        expect(r.verb('held', 'show', 'd99', check=False)[0] == 3, 'no such delivery')


# [item 120] [item 121]
def test_link_writes_to_the_chosen_person():
    with rig.Rig(seed=CASES) as r:
        r.send(oru('C1', person='CA-0000000077'))
        r.settle()
        expect('by NAME' in r.verb('held', 'link', 'd1', 'CA-0000000002', check=False)[2], 'who?')
        expect('no case or contact' in decide(r, 'link', 'd1', 'CA-0000000099', rc=1), 'unknown person')
        expect('contradicts' in decide(r, 'link', 'd1', 'CA-0000000004', rc=1), 'another birth date, sex and name')
        state(r, 1, state='held', reason='NO_MATCH')
        expect(r.sandbox.lab_results() == [], 'nothing is written before')
        decide(r, 'link', 'd1', 'CA-0000000002', '--reason', 'telephoned')
        state(r, 1, state='delivered', person_id=PERSON % 2)
        expect(labs(r) == [('2', 'S-1', 'POSITIVE')], 'at person 2', labs(r))
        expect('link by epi: telephoned (was NO_MATCH, now case %s)' % (PERSON % 2) in r.verb('show', 'd1')[1], 'audit', r.verb('show', 'd1')[1])
        expect('not held' in decide(r, 'link', 'd1', 'CA-0000000002', rc=1), 'only once')
        r.send(oru('C2', person='CA-0000000078', sample='S-2'))
        r.settle()
        decide(r, 'link', 'd2', PERSON % 4, '--anyway')
        state(r, 2, state='delivered', person_id=PERSON % 4)


def test_later_versions_follow_the_link():
    with rig.Rig(seed=CASES) as r:
        r.send(oru('P1', person='CA-0000000077', status='P', obr='P', issued='20261105080000'))
        r.settle()
        decide(r, 'link', 'd1', 'CA-0000000002')
        state(r, 1, state='delivered')
        r.send(oru('F2', person='CA-0000000077', **NEG))
        state(r, 2, state='delivered', person_id=PERSON % 2)
        r.stop()
        r.start()
        r.send(oru('C3', person='CA-0000000077', status='C', obr='C', issued='20261106100000'))
        state(r, 3, state='delivered', person_id=PERSON % 2)
        expect(labs(r) == [('2', 'S-1', 'POSITIVE')], 'one thread at the linked person', labs(r))
        r.send(oru('C4', person='CA-0000000078', status='C', obr='C', issued='20261107100000', **NEG))
        state(r, 4, state='held', reason='NO_MATCH')                # another patient in the message: the link says nothing about that
        r.send(oru('S5', person='CA-0000000077', sample='S-5'))
        state(r, 5, state='held', reason='NO_MATCH')                # nor about another sample
        r.send(oru('W6', person='CA-0000000077', status='W', issued='20261108100000'))
        state(r, 6, state='withdrawn')
        expect(labs(r) == [], 'withdrawn there', labs(r))
        only(r.json('show', 'd4'), state='superseded')


def test_several_tests_on_one_sample_stay_several():
    with rig.Rig(seed=CASES) as r:
        other = lambda m: m.replace(b'41636-2^Ebola virus RNA', b'86518-8^Ebola virus RNA other')       # noqa: E731
        for control, more in (('P', dict(status='P', obr='P', issued='20261105080000')), ('F', {}), ('C', dict(status='C', obr='C', issued='20261106100000', **NEG))):
            r.send(oru(control + '1', **more))
            r.send(other(oru(control + '2', **more)))
            r.settle()
        expect(labs(r) == [('1', 'S-1', 'NEGATIVE')] * 2, 'two results of one sample', labs(r))
        r.send(other(oru('W2', status='W', issued='20261107100000')))
        r.settle()
        expect(labs(r) == [('1', 'S-1', 'NEGATIVE')], 'the other test stays', labs(r))
        # Go.Data's alternateUniqueIdentifierQueryOnImport merges by sample, but in imports only: none is ever made
        routes = r.sandbox.call('GET', '/sandbox/stats')['routes']
        expect(not [x for x in routes if 'import' in x] and routes['POST /outbreaks/:o/:p/:1/lab-results'] == 2, 'by POST and PUT only', routes)


def test_the_person_of_a_wrong_result_is_gone():
    with rig.Rig(seed=CASES) as r:
        r.send(oru('F1'))
        r.settle()
        api(r, 'DELETE', '/cases/' + PERSON % 1)
        r.send(oru('C2', person='CA-0000000002', status='C', obr='C', issued='20261106100000', **NEG))
        state(r, 2, state='held', reason='PERSON_CHANGED')
        decide(r, 'release', 'd2', '--anyway')
        state(r, 2, state='delivered', person_id=PERSON % 2)
        expect(('2', 'S-1', 'NEGATIVE') in labs(r), 'written anew', labs(r))


def test_a_tie_is_held_and_a_person_decides():
    with rig.Rig(seed=CASES) as r:
        r.send(oru('F1'))
        r.settle()
        r.send(oru('F2', **NEG))
        state(r, 2, state='held', reason='VERSION_TIE')
        decide(r, 'release', 'd2')
        state(r, 2, state='held', reason='VERSION_TIE')
        decide(r, 'release', 'd2', '--anyway')
        state(r, 2, state='delivered')
        expect(labs(r) == [('1', 'S-1', 'NEGATIVE')], 'the other value', labs(r))


# [item 132]
def test_a_persons_edit_is_proposed_and_overwritten_on_request():
    with rig.Rig(seed=CASES) as r:
        r.send(oru('F1'))
        r.settle()
        put(r, r.sandbox.lab_results()[0], result=LAB + 'INCONCLUSIVE')
        r.send(oru('C1', status='C', obr='C', issued='20261106100000', **NEG))
        state(r, 2, state='held', reason='HUMAN_EDIT')
        text = r.verb('held', 'show', 'd2')[1]
        for part in ('In Go.Data now: INCONCLUSIVE', 'Written last by labrelay: POSITIVE', 'In the message: NEGATIVE'):
            expect(part in text, 'held show does not say ' + part, text)
        decide(r, 'release', 'd2', '--anyway', '--reason', 'the laboratory is right')
        state(r, 2, state='delivered')
        lab = r.sandbox.lab_results()[0]
        only(lab, result=LAB + 'NEGATIVE')
        expect('replaced: was INCONCLUSIVE, entered in Go.Data' in lab['notes'], 'history', lab['notes'])
        r.send(oru('C2', status='C', obr='C', issued='20261107100000'))
        state(r, 3, state='delivered')
        lab = r.sandbox.lab_results()[0]
        expect('replaced: was INCONCLUSIVE' in lab['notes'] and lab['result'] == LAB + 'POSITIVE', 'the history line stays', lab)


def test_what_exists_is_adopted_on_request():
    with rig.Rig(seed=CASES) as r:
        api(r, 'POST', '/cases/%s/lab-results' % (PERSON % 1),
            {'sampleIdentifier': 'S-1', 'testedFor': 'Ebola virus', 'testType': 'LNG_REFERENCE_DATA_CATEGORY_TYPE_OF_LAB_TEST_RT_PCR', 'result': LAB + 'NEGATIVE',
             'status': 'LNG_REFERENCE_DATA_CATEGORY_LAB_TEST_RESULT_STATUS_COMPLETED', 'dateSampleTaken': '2026-11-04T00:00:00.000Z'})
        before = r.sandbox.lab_results()
        r.mirror()                          # what a person wrote is known
        r.send(oru('F1'))
        r.settle()
        d = r.json('show', 'd1')
        expect(d['state'] == 'held' and d['reason'] == 'EXISTS_DIFFERENT', 'held', d, before)
        expect('In Go.Data now: NEGATIVE' in r.verb('held', 'show', 'd1')[1], 'both values')
        decide(r, 'release', 'd1', '--anyway')
        state(r, 1, state='delivered', remote_id=before[0]['id'])
        expect(labs(r) == [('1', 'S-1', 'POSITIVE')] and 'replaced: was NEGATIVE' in r.sandbox.lab_results()[0]['notes'], 'adopted', r.sandbox.lab_results())


def test_what_was_deleted_is_written_anew_on_request():
    with rig.Rig(seed=CASES) as r:
        r.send(oru('F1'))
        r.settle()
        lab = r.sandbox.lab_results()[0]
        api(r, 'DELETE', '/lab-results/%s' % lab['id'])
        r.send(oru('C1', status='C', obr='C', issued='20261106100000', **NEG))
        state(r, 2, state='held', reason='DELETED_IN_GODATA')
        decide(r, 'release', 'd2')
        state(r, 2, state='held', reason='DELETED_IN_GODATA')
        decide(r, 'release', 'd2', '--anyway')
        state(r, 2, state='delivered')
        expect(labs(r) == [('1', 'S-1', 'NEGATIVE')], 'anew', labs(r))


# [item 128]
def test_a_changed_person_is_withdrawn_there_and_written_here():
    with rig.Rig(seed=CASES) as r:
        r.send(oru('F1'))
        r.send(oru('F2', sample='S-2'))
        r.settle()
        put(r, [x for x in r.sandbox.lab_results() if x['sampleIdentifier'] == 'S-2'][0], notes='seen by the ward')
        r.send(oru('F3', person='CA-0000000002'))                   # the very same result, of somebody else
        state(r, 3, state='held', reason='PERSON_CHANGED')
        r.send(oru('C4', person='CA-0000000003', sample='S-2', status='C', obr='C', issued='20261106100000', **NEG))
        state(r, 4, state='held', reason='PERSON_CHANGED')
        expect(labs(r) == [('1', 'S-1', 'POSITIVE'), ('1', 'S-2', 'POSITIVE')], 'nothing moves by itself', labs(r))
        decide(r, 'release', 'd3', '--anyway')
        decide(r, 'link', 'd4', 'CA-0000000003')
        state(r, 3, state='delivered', person_id=PERSON % 2)
        state(r, 4, state='delivered', person_id=PERSON % 3)
        expect(labs(r) == [('1', 'S-2', ''), ('2', 'S-1', 'POSITIVE'), ('3', 'S-2', 'NEGATIVE')], 'deleted where untouched, else cleared', labs(r))
        cleared = [x for x in r.sandbox.lab_results() if x['personId'] == PERSON % 1][0]
        expect('seen by the ward' in cleared['notes'] and 'withdrawn' in cleared['notes'], 'cleared', cleared)
        r.send(oru('C5', person='CA-0000000002', status='C', obr='C', issued='20261108100000', **NEG))
        state(r, 5, state='delivered', person_id=PERSON % 2)
        expect(('2', 'S-1', 'NEGATIVE') in labs(r), 'goes on at the new person', labs(r))


def test_anyway_stands_for_one_reason():
    with rig.Rig(seed=CASES) as r:
        r.send(oru('C1', person='CA-0000000077'))
        r.settle()
        expect('does not help' in decide(r, 'release', 'd1', '--anyway', rc=1), 'NO_MATCH cannot be forced')
        r.send(oru('F2', sample='S-2'))
        r.settle()
        put(r, r.sandbox.lab_results()[0], result=LAB + 'INCONCLUSIVE')
        r.send(oru('F3', sample='S-2', **NEG))
        state(r, 3, state='held', reason='VERSION_TIE')
        decide(r, 'release', 'd3', '--anyway')
        state(r, 3, state='held', reason='HUMAN_EDIT')
        decide(r, 'release', 'd3', '--anyway')
        state(r, 3, state='delivered')


def test_decisions_without_an_engine():
    with rig.Rig(seed=CASES) as r:
        for n in range(1, 4):
            r.send(oru('C%d' % n, person='CA-0000000077', sample='S-%d' % n))
        r.settle()
        r.stop()
        decide(r, 'dismiss', 'd1', '--reason', 'a test')
        decide(r, 'release', 'd2')
        expect('running engine' in decide(r, 'link', 'd3', 'CA-0000000001', rc=1), 'a link needs Go.Data')
        only(r.json('show', 'd1'), state='dismissed')
        only(r.json('show', 'd2'), state='ready')
        expect(r.json('verify')['balanced'], 'verify')
        r.start()
        state(r, 2, state='held', reason='NO_MATCH')


def test_create_makes_the_person_first():
    with rig.Rig(seed=CASES) as r:
        for n in (1, 2):
            r.send(oru('C%d' % n, person='CA-000000007%d' % n, sample='S-%d' % n, dob='1999010%d' % n))
        r.settle()
        expect('create ID case' in r.verb('held', 'create', 'd1', 'event', '--by', 'epi', check=False)[2], 'a case or a contact')
        decide(r, 'create', 'd1', 'case', '--reason', 'telephoned')
        path = os.path.join(r.folder, 'held.csv')
        r.verb('held', 'export', path, '--reason', 'NO_MATCH')
        t = rows(path)
        t[-1].update(decision='create case')
        write(path, t[-1:])
        only(r.json('held', 'apply', path, '--by', 'epi'), applied=1, errors=[])
        state(r, 1, state='delivered')
        state(r, 2, state='delivered')
        expect(len({x['personId'] for x in r.sandbox.lab_results()} - {c['id'] for c in CASES['cases']}) == 2, 'two new people', labs(r))
        expect('create by epi: telephoned' in r.verb('show', 'd1')[1], 'audit')
        only(r.json('held', 'apply', path, '--by', 'epi'), applied=0, applied_before=1)


def rows(path):
    with open(path, 'rb') as f:
        data = f.read()
    expect(data.startswith(b'\xef\xbb\xbf') and b'\r\n' in data, 'byte order mark and CR LF')
    return list(csv.DictReader(io.StringIO(data[3:].decode(), newline='')))


def write(path, table, sep=',', end='\r\n', bom=b'\xef\xbb\xbf'):
    out = io.StringIO()
    w = csv.DictWriter(out, table[0].keys(), delimiter=sep, lineterminator=end)
    w.writeheader()
    w.writerows(table)
    with open(path, 'wb') as f:
        f.write(bom + out.getvalue().encode())


def test_export_and_apply():
    with rig.Rig(seed=CASES) as r:
        path = os.path.join(r.folder, 'held.csv')
        r.send(oru('C1', dob='19900101'))
        for n in range(2, 6):
            r.send(oru('C%d' % n, person='CA-000000007%d' % n, sample='S-%d' % n).replace(b'Okello', b'=Okello' if n == 5 else b'Okello'))
        r.settle()
        r.verb('held', 'export', path)
        t = rows(path)
        expect(len(t) == 5 and oct(os.stat(path).st_mode & 0o777) == '0o600', 'five rows, for the owner only', t)
        only(t[0], id='d1', reason='IDENTITY_CONFLICT', sample='S-1', decision='', person='', note='', channel='lab', patient='Amina Okello, born 1990-01-01, female')
        expect('CA-0000000001' in t[0]['candidate_1'] and 'differs: birth date' in t[0]['candidate_1'], 'candidate', t[0])
        expect(t[1]['identifiers'] == 'case ID CA-0000000072', 'identifiers', t[1])
        r.verb('held', 'export', os.path.join(r.folder, 'x.csv'), '--reason', 'NO_MATCH')
        expect(len(rows(os.path.join(r.folder, 'x.csv'))) == 4, 'filtered')
        expect(len(r.json('held', 'list', '--since', '1h')) == 5 and r.json('held', 'list', '--channel', 'lab', '--writer', 'godata', '--reason', 'RULE') == [], 'filters')
        expect(r.verb('held', 'list', '--since', 'soon', check=False)[0] != 0, 'since')

        # every mistake is named, nothing is changed
        t[0].update(decision='LINK', person='CA-0000000001')
        t[1].update(decision='link', person='')
        t[2].update(decision='delete')
        t[3].update(decision='link', person='CA-0000000099')
        write(path, t, sep=';', end='\n', bom=b'')
        rc, out, err = r.verb('held', 'apply', path, '--by', 'epi', check=False)
        expect(rc == 1 and 'nothing was changed' in out, 'refused', out)
        for part in ('row 3, column person (d2): link to whom', 'row 4, column decision (d3): say link', 'row 5, column person (d4): no case or contact',
                     'row 2, column person (d1): what the message says contradicts this person: birth date'):
            expect(part in err, 'not said: ' + part, err)
        expect(len(r.json('held', 'list')) == 5, 'nothing was changed')
        wrong = r.json('held', 'apply', path, '--by', 'epi', ok=(1,))
        expect(sorted(e['row'] for e in wrong['errors']) == [2, 3, 4, 5] and wrong['applied'] == 0, 'JSON', wrong)

        # good rows are carried out, once
        t[0].update(decision='link anyway', note='called the ward, "yes"')
        t[1].update(decision='Link', person='CA-0000000002')
        t[2].update(decision='dismiss', note='not ours')
        t[3].update(decision='', person='')
        write(path, t, sep=';')
        expect('3 rows can be applied' in r.verb('held', 'apply', path, '--by', 'epi', '--check')[1], 'check')
        expect(len(r.json('held', 'list')) == 5, 'a check changes nothing')
        got = r.json('held', 'apply', path, '--by', 'epi')
        only(got, applied=3, undecided=2, applied_before=0, errors=[])
        r.settle()
        expect(labs(r) == [('1', 'S-1', 'POSITIVE'), ('2', 'S-2', 'POSITIVE')], 'linked', labs(r))
        only(r.json('show', 'd3'), state='dismissed')
        expect('link by epi: called the ward, "yes"' in r.verb('show', 'd1')[1], 'audited with the note', r.verb('show', 'd1')[1])
        only(r.json('held', 'apply', path, '--by', 'epi'), applied=0, undecided=2, applied_before=3, errors=[])

        # what changed since is refused; the rest goes through with --skip-bad
        decide(r, 'release', 'd4')
        state(r, 4, state='held')
        t[3].update(decision='dismiss')
        t[4].update(decision='dismiss')
        write(path, t)
        rc, out, err = r.verb('held', 'apply', path, '--by', 'epi', check=False)
        expect(rc == 1 and 'row 5, column as_of (d4): it changed since the export' in err, 'changed', err)
        got = r.json('held', 'apply', path, '--by', 'epi', '--skip-bad', ok=(1,))
        only(got, applied=1, applied_before=3)
        only(r.json('show', 'd5'), state='dismissed')
        only(r.json('show', 'd4'), state='held')
        with open(path, 'wb') as f:
            f.write(b'a,b\r\n1,2\r\n')
        rc, out, err = r.verb('held', 'apply', path, '--by', 'epi', check=False)
        expect(rc == 1 and 'row 1, column id: the header' in err, 'no such column', err)
        expect(r.json('verify')['balanced'], 'verify')


def test_a_cell_is_never_a_formula():
    with rig.Rig(seed=CASES) as r:
        path = os.path.join(r.folder, 'held.csv')
        r.send(oru('C1', person='CA-0000000077', sample='=1+1').replace(b'Amina', b'=HYPERLINK(1)'))
        r.settle()
        r.verb('held', 'export', path)
        row = rows(path)[0]
        expect(row['sample'] == "'=1+1" and row['patient'].startswith("'=HYPER"), 'an apostrophe in front', row)


def main():
    tests = [(n, f) for n, f in sorted(globals().items()) if n.startswith('test_') and (not sys.argv[1:] or any(w in n for w in sys.argv[1:]))]
    failed = 0
    for name, f in tests:
        began = time.monotonic()
        try:
            f()
            print('ok   %s %.1f s' % (name, time.monotonic() - began))
        except Exception as e:  # a test that breaks in any way has failed
            failed += 1
            print('FAIL %s: %s: %s' % (name, type(e).__name__, str(e)[:2500]))
    print('%d passed, %d failed' % (len(tests) - failed, failed))
    return 1 if failed or not tests else 0


if __name__ == '__main__':
    sys.exit(main())
