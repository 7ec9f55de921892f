#!/usr/bin/env python3
"""csv_import - line lists through a running engine: `labrelay import`, the inbox, duplicates, bad rows, the sums.

Each function is one test; `labrelay sandbox` stands for Go.Data. Invented people only.
"""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rig  # noqa: E402

CASES = {'cases': [
    {'id': 'c0000000-0000-4000-8000-%012d' % n, 'visualId': 'CA-%010d' % n, 'firstName': 'Amina', 'lastName': 'Okello', 'dob': '1988-03-14',
     'gender': 'LNG_REFERENCE_DATA_CATEGORY_GENDER_FEMALE'} for n in range(1, 60)]}
LISTENERS = rig.LISTENER + '''
listen files "list" {{
    inbox   "{dir}/inbox"
    settle  100ms
    ack     yes
    parse csv {{
        timezone     "Africa/Kampala"
        date-format  "DD/MM/YYYY"
        column "Lab no"   specimen.id
        column "Case ID"  patient.ids authority "GODATA" type "PI"
        column "Name"     patient.family_name
        column "Taken"    specimen.collected_at
        column "Sample"   specimen.type system snomed
        column "Test"     observation.code system loinc
        column "Result"   observation.value
    }}
}}
'''
HEAD = 'Lab no;Case ID;Name;Taken;Sample;Test;Result\r\n'


def row(n, result='Positive', taken='04/11/2026', person=None, test='94500-6'):
    return 'S-%d;CA-%010d;Okello;%s;119297000;%s;%s\r\n' % (n, person or n, taken, test, result)


def expect(condition, text, *more):
    if not condition:
        raise rig.Failed(text + ''.join(' ' + (m if isinstance(m, str) else json.dumps(m, default=str)) for m in more))


def start():
    r = rig.Rig(seed=CASES, listeners=LISTENERS)
    os.makedirs(os.path.join(r.folder, 'inbox'))
    return r


def imported(r, text, *flags, ok=(0,)):
    path = os.path.join(r.folder, 'week.csv')
    with open(path, 'wb') as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    return r.json('import', '--channel', 'list', *flags, path, ok=ok)


def test_good_rows_are_taken_and_bad_ones_named():
    text = HEAD + row(1) + row(2, 'Negative') + row(3, taken='31/02/2026') + 'S-4;CA\r\n' + row(5, '')
    with start() as r:
        dry = imported(r, text, '--dry-run', ok=(1,))
        expect(dry['totals'] == {'sent POSITIVE': 1, 'sent NEGATIVE': 1, 'sent pending': 1, 'refused': 2}, 'dry run', dry["totals"])
        expect(r.json('queue') == [], 'a dry run stored something')
        a = imported(r, text, ok=(1,))
        expect(a['totals'] == {'stored': 3, 'refused': 2}, 'totals', a)
        expect([m['place'] for m in a['messages']] == [2, 3, 4, 5, 6], 'rows', a)
        expect(a['messages'][2]['where'] == 'row 4, column "Taken"', 'place', a)
        expect('fewer cells' in a['messages'][3]['reason'], 'reason', a)
        r.settle()
        labs = {x['sampleIdentifier']: x for x in r.sandbox.lab_results()}
        expect(sorted(labs) == ['S-1', 'S-2', 'S-5'], 'lab results', labs)
        expect(labs['S-1']['result'].endswith('_POSITIVE') and labs['S-2']['result'].endswith('_NEGATIVE') and not labs['S-5'].get('result'), 'results', labs)
        expect(labs['S-1']['dateSampleTaken'] == '2026-11-04T00:00:00.000Z' and labs['S-1']['personId'].endswith('0001'), 'fields', labs)
        m = r.json('show', 'm%d' % a['messages'][0]['message'])
        expect(m['deliveries'][0]['path'] == 'column "Result"' and m['deliveries'][0]['state'] == 'delivered', 'show', m)
        r.verb('verify')
        # again: nothing is doubled; one changed row is a new version of its result
        b = imported(r, text.replace('CA-0000000002;Okello;04/11/2026;119297000;94500-6;Negative', 'CA-0000000002;Okello;04/11/2026;119297000;94500-6;Positive'), ok=(1,))
        expect(b['totals'] == {'stored': 1, 'duplicate': 2, 'refused': 2}, 'again', b['totals'])
        expect(b['messages'][0]['message'] == a['messages'][0]['message'], 'a duplicate names the first', b)
        r.settle()
        labs = {x['sampleIdentifier']: x for x in r.sandbox.lab_results()}
        expect(len(labs) == 3 and labs['S-2']['result'].endswith('_POSITIVE'), 'a changed row', labs)
        r.verb('verify')
        expect(not [n for n in os.listdir(r.folder) if n.startswith('.import-')], 'the copy stays')


def test_the_inbox_reads_the_same_list():
    with start() as r:
        with open(os.path.join(r.folder, 'inbox', '.tmp'), 'w') as f:
            f.write('Week 45;;;;;;\r\n' + HEAD + row(1) + row(2, taken='4.11.26') + row(1))
        os.rename(os.path.join(r.folder, 'inbox', '.tmp'), os.path.join(r.folder, 'inbox', 'week.csv'))
        answer, end = os.path.join(r.folder, 'inbox', 'error', 'week.csv.rows.csv'), time.monotonic() + 20
        while not os.path.exists(answer) and time.monotonic() < end:
            time.sleep(0.05)
        with open(answer, newline='') as f:
            text = f.read()
        expect(text == 'row,outcome,place,reason\r\n3,stored,,\r\n4,refused,"row 4, column ""Taken""","this is no date in the order that date-format names, '
               'nor YYYY-MM-DD"\r\n5,duplicate,,\r\n', 'answer', text)
        with open(answer.replace('.rows.csv', '.why.txt')) as f:
            expect('row 4, column "Taken"' in f.read(), 'why')
        a = imported(r, HEAD + row(1))      # the same row by the other way
        expect(a['totals'] == {'duplicate': 1}, 'the same row by hand', a)
        r.settle()
        expect(len(r.sandbox.lab_results()) == 1, 'one lab result')
        r.verb('verify')


def test_files_that_are_none():
    with start() as r:
        for text, word in ((b'PK\x03\x04...', 'workbook'), ('Lab nr;x\r\n1;2\r\n', 'no column of this name'), (b'\xff\xfeL\0', 'UTF-16'), ('MSH|^~\\&|a\r', 'no column')):
            a = imported(r, text, ok=(1,))
            expect(a['totals'] == {'refused': 1} and word in a['messages'][0]['reason'], 'refused', a)
        a = imported(r, HEAD)
        expect(a['messages'] == [], 'a list without rows', a)
        a = imported(r, b'\xef\xbb\xbf' + HEAD.encode() + row(7).replace('Okello', 'N\u00e9oul\u00e9').encode('latin-1') + b';;;;;;\r\n')
        expect(a['totals'] == {'stored': 1}, 'latin-1', a)
        rc, _, err = r.verb('import', '--channel', 'lst', r.conf, check=False)
        expect(rc == 2 and 'did you mean "list"' in err, 'a wrong channel', err)
        r.verb('verify')
        r.stop()
        rc, _, err = r.verb('import', os.path.join(r.folder, 'week.csv'), check=False)
        expect(rc == 3 and 'no engine runs' in err, 'no engine', err)


def test_mistakes_in_the_columns_are_shown_in_place():
    cases = (('column "Name"     patient.family_name', 'column "Name" patient.famly_name', 'no such field "patient.famly_name"', 'did you mean "patient.family_name"?'),
             ('specimen.id\n', 'specimen.id optionel\n', 'unknown word "optionel"', 'did you mean "optional"?'),
             ('column "Test"', 'colum "Test"', 'unknown option "colum" in parse csv', 'did you mean "column"?'),
             ('column "Test"     observation.code system loinc\n', '', 'a value needs to know its test', ''),
             ('"DD/MM/YYYY"', '"DD/MM/YY"', '"DD/MM/YY" is no order of a date', ''),
             ('column "Sample"   specimen.type system snomed', 'column "Sample"   specimen.id', 'columns "Lab no" and "Sample" both fill specimen.id', ''))
    r = start()
    with r:
        good = open(r.conf).read()
        for old, new, text, hint in cases:
            expect(old in good, 'the configuration has ' + old)
            with open(r.conf, 'w') as f:
                f.write(good.replace(old, new))
            rc, out, _ = r.verb('check', check=False)
            expect(rc == 1 and 'error: ' in out and text in out and hint in out, text, out)
            place = [x for x in out.splitlines() if text in x][0].split(':')
            line = good.replace(old, new).splitlines()[int(place[1]) - 1]
            expect(not new.strip() or any(w in line for w in ('colum', 'date-format')), 'the line of ' + text, line)
        with open(r.conf, 'w') as f:
            f.write(good)


PERSONS = '''
route "people" {{ from "list"  send case to "godata"  set case.classification = "SUSPECT" }}
''' + rig.ROUTES


def test_rows_without_a_result_are_people():
    listeners = LISTENERS.replace('column "Name" ', 'column "National" patient.ids authority "UG" type "NI" optional\n        column "First" patient.given_name optional\n        column "Sex" patient.sex optional\n'
                                  '        column "Born" patient.birth_date optional\n        column "Village" patient.address.city optional\n        column "Name" ')
    head = 'Lab no,Case ID,National,Name,First,Born,Sex,Village,Taken,Sample,Test,Result\n'
    text = head + ',,CF-77-01,Achieng,Joy,12/05/1991,F,Kasese,,,,\n' + 'S-9,CA-0000000009,,Okello,Amina,14/03/1988,F,,04/11/2026,119297000,94500-6,neg\n' + ',,,,,,,,,,,\n'
    r = rig.Rig(seed=CASES, listeners=listeners, routes=PERSONS)
    os.makedirs(os.path.join(r.folder, 'inbox'))
    with r:
        dry = imported(r, text, '--dry-run')
        expect(dry['totals'] == {'sent case': 2, 'sent NEGATIVE': 1}, 'dry run', dry)
        expect(imported(r, text)['totals'] == {'stored': 2}, 'import')
        r.settle()
        s = r.sandbox
        s.login()
        found = [c for c in s.call('GET', '/outbreaks/%s/cases' % s.outbreak, token=s.token) if c.get('lastName') == 'Achieng']
        expect(len(found) == 1 and found[0]['firstName'] == 'Joy' and found[0]['dob'].startswith('1991-05-12') and found[0]['classification'].endswith('_SUSPECT')
               and found[0]['addresses'][0]['city'] == 'Kasese', 'the new case', found, r.json('queue'))
        expect([x['sampleIdentifier'] for x in s.lab_results()] == ['S-9'], 'the result beside it')
        expect(imported(r, text)['totals'] == {'duplicate': 2}, 'again')
        r.verb('verify')
    with start() as r:      # no route sends persons
        expect(imported(r, HEAD + ';;Achieng;;;;\r\n')['totals'] == {'stored': 1}, 'stored')
        expect(r.json('show', 'm1')['reason'] == 'NO_RESULT', 'accounted')
        r.verb('verify')


def test_many_rows_survive_a_kill():
    text = HEAD + ''.join(row(n, ('Positive', 'Negative')[n % 2], person=n % 59 + 1) for n in range(1, 2001))
    with start() as r:
        t0 = time.monotonic()
        a = imported(r, text)
        took = time.monotonic() - t0
        expect(a['totals'] == {'stored': 2000}, 'totals', a['totals'])
        r.stop(9)                       # the answer was given: all is on disk
        left = os.path.join(r.folder, '.import-1')     # as of a verb that was killed
        open(left, 'w').close()
        r.start()
        expect(not os.path.exists(left), 'a copy that was left stays')
        expect(imported(r, text)['totals'] == {'duplicate': 2000}, 'after a kill')
        r.settle(120)
        expect(len(r.sandbox.lab_results()) == 2000, 'each result once')
        r.verb('verify')
        print('    2000 rows stored in %.2f s' % took)


def main():
    failed = []
    tests = [(n, f) for n, f in sorted(globals().items()) if n.startswith('test_') and (len(sys.argv) < 2 or sys.argv[1] in n)]
    for name, f in tests:
        try:
            f()
            print('ok   ' + name)
        except Exception as e:      # noqa: BLE001
            failed.append(name)
            print('FAIL %s: %s' % (name, str(e)[:2000]))
    print('%d tests, %d failed' % (len(tests), len(failed)))
    return 1 if failed or not tests else 0


if __name__ == '__main__':
    sys.exit(main())
