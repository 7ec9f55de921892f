#!/usr/bin/env python3
"""check_live - `labrelay check --live` against the sandbox: drift of reference data, permissions, outbreak, a wrong password, a running
engine; what it sends is counted: one login and only reading. And what a starting engine says of missing permissions.

Each function is one test. Invented people only.
"""
import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rig  # noqa: E402

C = 'LNG_REFERENCE_DATA_CATEGORY_'
LABS = 'table labs csv "{dir}/labs.csv" key id value lab_name\n'
ROUTES = '''
route "results" {{
    when  observation.code in tests
    set   lab.lab_name = "LAB_GOMA"
    send  lab to "godata"
}}
route "everything-else" {{ hold "no route" }}
'''
REFERENCE = [{'categoryId': C + 'LAB_NAME', 'value': v} for v in ('LAB_GOMA', 'LAB_BUKAVU')]
ENOUGH = ('outbreak_view outbreak_list case_list case_view contact_list contact_view contact_of_contact_list lab_result_list '
          + ' '.join('%s_%s_lab_result' % (p, v) for p in ('case', 'contact') for v in ('list', 'view', 'create', 'modify', 'delete'))).split()
CASES = [{'id': 'c0000000-0000-4000-8000-000000000001', 'visualId': 'CA-0000000001', 'firstName': 'Amina', 'lastName': 'Okello', 'dob': '1988-03-14'}]
LIMITED = 'few-rights@sandbox.example'
MESSAGE = rig.hl7('''MSH|^~\\&|DEV|LAB|LABRELAY|MOH|20261105101500+0300||ORU^R01^ORU_R01|C1|P|2.5.1||||||UNICODE UTF-8
PID|1||CA-0000000001^^^GODATA^PI||Okello^Amina^^^^^L||19880314|F
OBR|1||F-1|41636-2^Ebola virus RNA^LN|||20261104083000+0300|||||||||||||||20261105101000+0300||MB|F
OBX|1|CWE|41636-2^Ebola virus RNA^LN|1|260373001^Detected^SCT||||||F|||20261104083000+0300
SPM|1|^S-1||119297000^Blood^SCT|||||||P||||||20261104083000+0300''')


def expect(condition, text, *more):
    if not condition:
        raise rig.Failed(text + ''.join(' ' + (m if isinstance(m, str) else json.dumps(m, default=str)) for m in more))


class Stand(rig.Rig):
    """A sandbox and a configuration; the engine only where a test starts it."""

    def __init__(self, permissions=None, labs='LAB-1,LAB_GOMA\nLAB-2,LAB_BUKAVU\n', routes=ROUTES, **more):
        user = {'email': LIMITED, 'password': rig.PASSWORD, 'roleIds': ['r1']}
        if permissions is not None:
            user['permissions'] = permissions
        self.labs = labs
        super().__init__(seed={'users': [user], 'referenceData': REFERENCE, 'cases': CASES}, head=LABS, routes=routes, **more)

    def __enter__(self):
        self.sandbox.start()
        with open(os.path.join(self.folder, 'labs.csv'), 'w') as f:
            f.write('id,lab_name\n' + self.labs)
        self.write_conf()
        s = self.sandbox
        s.login()
        own = s.call('POST', '/users/login', {'email': LIMITED, 'password': rig.PASSWORD})
        s.call('PATCH', '/users/' + own['userId'], {'activeOutbreakId': s.outbreak}, s.token)
        s.call('POST', '/sandbox/reset-stats')
        return self

    def write_conf(self):
        super().write_conf()
        with open(self.conf) as f:
            text = f.read().replace(rig.USER, LIMITED)
        with open(self.conf, 'w') as f:
            f.write(text)

    def token(self):
        return self.sandbox.login()

    def check(self, *flags):
        rc, out, err = self.verb('check', '--live', *flags, check=False)
        return rc, out + err

    def writes(self):
        """Hits that are no reading."""
        routes = self.sandbox.call('GET', '/sandbox/stats')['routes']
        return {k: v for k, v in routes.items() if not k.startswith('GET ') and not k.startswith('POST /sandbox')}


ONE_LOGIN = {'POST /users/login': 1, 'POST /users/logout': 1}


def test_all_is_well_and_nothing_is_written():
    with Stand() as r:
        rc, out = r.check()
        expect(rc == 0 and 'godata: ready, outbreak' in out and ' 0 wrong' in out, 'check --live', out)
        expect(r.writes() == ONE_LOGIN, 'requests', r.writes())
        rc, out, _ = r.verb('check', check=False)
        expect(rc == 0 and r.writes() == ONE_LOGIN, 'check without --live asks nobody')


def test_drift_is_found_at_its_place():
    routes = ROUTES.replace('set   lab.lab_name = "LAB_GOMA"', 'lookup report.lab.id in labs -> lab.lab_name default "LAB_GOMO"')
    with Stand(labs='LAB-1,LAB_GOMA\nLAB-2,LAB_BUKAWU\nLAB-3,LAB_BUKAVU\nLAB-4,LAB_BUKAWU\n', routes=routes) as r:
        s = r.sandbox
        s.call('PATCH', '/reference-data/' + C + 'TYPE_OF_LAB_TEST_VIRUS_CULTURE', {'active': False}, r.token())
        s.call('DELETE', '/reference-data/' + C + 'LAB_TEST_RESULT_INCONCLUSIVE', None, s.token)
        s.call('POST', '/sandbox/reset-stats')
        rc, out = r.check()
        expect(rc == 1, 'exit status', out)
        for want in (r'labs\.csv:3:7: error: lab_name "LAB_BUKAWU" is not in the reference data of godata\n.*\n.*\^~+ did you mean "LAB_BUKAVU"\?',
                     r'labrelay\.conf:\d+:\d+: error: lab_name "LAB_GOMO" is not in the reference data of godata\n.*LAB_GOMO.*\n.*\^~+ did you mean "LAB_GOMA"\?',
                     r'results(_text)?\.csv:\d+:\d+: error: result "INCONCLUSIVE" is not in'):
            expect(re.search(want, out), want + ' in', out)
        expect(out.count('LAB_BUKAWU" is') == 1, 'a code is said once for each table', out)
        if 'VIRUS_CULTURE' in open(os.path.join(rig.REPO, 'conf', 'tables', 'tests.csv')).read():
            expect('"VIRUS_CULTURE" is inactive' in out, 'inactive', out)
        expect(r.writes() == ONE_LOGIN, 'requests', r.writes())


def test_persons_and_documents_are_compared():
    routes = """
route "people" {{ from "lab"  send case to "godata"  set case.classification = "SUSPEKT"  set case.risk_level = "3_HIGH" }}
""" + ROUTES
    with Stand(routes=routes, writer_options='id "MOH" "NI" is document NATIONAL_ID_CRAD') as r:
        rc, out = r.check()
        expect(rc == 1 and out.count('error:') == 2, 'two mistakes', out)
        expect(re.search(r'classification "SUSPEKT" is not in .*\n.*\n.*\^~+ did you mean "SUSPECT"', out), 'classification', out)
        expect(re.search(r'document type "NATIONAL_ID_CRAD" is not in .*\n.*\n.*did you mean "NATIONAL_ID_CARD"', out), 'document', out)


def test_permissions_that_are_missing_are_named():
    with Stand(permissions=[p for p in ENOUGH if p not in ('case_modify_lab_result', 'lab_result_list')]) as r:
        rc, out = r.check()
        expect(rc == 1 and out.count('lacks the permission') == 2, 'two are missing', out)
        expect('lacks the permission case_modify_lab_result' in out and 'lacks the permission lab_result_list' in out, 'names', out)
        expect(r.writes() == ONE_LOGIN, 'requests', r.writes())
    with Stand(permissions=ENOUGH, writer_options='no-match create case') as r:
        rc, out = r.check()
        expect(rc == 1 and out.count('lacks the permission') == 1 and 'permission case_create' in out, 'only what the configuration does', out)
    with Stand(permissions=ENOUGH) as r:
        expect(r.check()[0] == 0, 'enough is enough')
    with Stand(permissions=['case_all', 'contact_all', 'contact_of_contact_list', 'lab_result_list']) as r:
        expect(r.check()[0] == 0, 'a group implies its members', r.check()[1])


def test_a_wrong_password_is_tried_once():
    with Stand() as r:
        secret = os.path.join(r.folder, 'credentials', 'godata-password')
        with open(secret, 'w') as f:
            f.write('not-this-one\n')
        rc, out = r.check()
        expect(rc == 1 and 'LOGIN_FAILED' in out, 'refused', out)
        for _ in range(12):
            rc, out = r.check()
            expect(rc == 1 and 'not logged in' in out, 'not tried again', out)
        expect(r.writes() == {'POST /users/login': 1}, 'one try', r.writes())
        with open(secret, 'w') as f:
            f.write(rig.PASSWORD + '\n')
        os.unlink(os.path.join(r.folder, 'store.db.login-godata'))
        expect(r.check()[0] == 0, 'with the right one')


def test_other_troubles():
    with Stand(writer_options='') as r:
        text = open(r.conf).read()
        with open(r.conf, 'w') as f:
            f.write(text.replace('outbreak  "Ebola 2026"', 'outbreak  "Ebola 2062"'))
        rc, out = r.check()
        expect(rc == 1 and 'no outbreak that the account may see' in out and 'OUTBREAK_UNKNOWN' in out, 'outbreak', out)
        expect(r.writes() == ONE_LOGIN, 'requests', r.writes())
        with open(r.conf, 'w') as f:
            f.write(text)
        r.sandbox.stop()
        rc, out = r.check()
        expect(rc == 4 and 'does not answer' in out, 'no server', out)


def test_a_running_engine_is_asked_instead():
    with Stand(permissions=[p for p in ENOUGH if p != 'case_delete_lab_result'], labs='LAB-1,LAB_GOMX\n') as r:
        r.start()
        end = time.monotonic() + 20
        while time.monotonic() < end and [w['mode'] for w in r.json('status', ok=(0, 1))['writers']] != ['ready']:
            time.sleep(0.05)
        logins = r.writes().get('POST /users/login')
        rc, out = r.check()
        expect(rc == 1 and 'asked the running engine' in out and 'permission case_delete_lab_result' in out and '"LAB_GOMX" is not in' in out, 'asked', out)
        expect(r.writes().get('POST /users/login') == logins, 'no login of ours')
        # the engine said it at its start, and works as far as it can
        w = r.json('status', ok=(0, 1))['writers'][0]
        expect(w['permissions_missing'] == 'case_delete_lab_result', 'status', w)
        expect('the account lacks permissions: case_delete_lab_result' in r.verb('status', check=False)[1], 'status for people')
        expect('permission missing' in r.log_tail(200) and 'permissions="case_delete_lab_result"' in r.log_tail(200), 'log')
        expect(b'MSA|AA|C1' in r.send(MESSAGE), 'no AA')
        r.settle()
        expect(len(r.sandbox.lab_results()) == 1, 'it delivers all the same')
        # another outbreak is not what the engine knows: a login of ours has to be asked for
        text = open(r.conf).read()
        with open(r.conf, 'w') as f:
            f.write(text.replace('outbreak  "Ebola 2026"', 'outbreak  "Mpox 2026"'))
        before = r.writes().get('POST /users/login')
        rc, out = r.check()
        expect(rc == 3 and '--now' in out and r.writes().get('POST /users/login') == before, 'needs --now', out)
        with open(r.conf, 'w') as f:
            f.write(text)
        rc, out = r.check('--now')
        expect(rc == 1 and 'asked the running engine' not in out and '"LAB_GOMX" is not in' in out, '--now', out)
        r.send(MESSAGE.replace(b'|C1|', b'|C2|').replace(b'260373001^Detected', b'260415000^Not detected').replace(b'||F-1|', b'||F-2|').replace(b'^S-1|', b'^S-2|'))
        r.settle(60)
        expect(len(r.sandbox.lab_results()) == 2, 'the engine logged in anew')


def main():
    failed = []
    tests = [(n, f) for n, f in sorted(globals().items()) if n.startswith('test_') and (len(sys.argv) < 2 or sys.argv[1] in n)]
    for name, f in tests:
        try:
            f()
            print('ok   ' + name)
        except Exception as e:      # noqa: BLE001
            failed.append(name)
            print('FAIL %s: %s' % (name, str(e)[:3000]))
    print('%d tests, %d failed' % (len(tests), len(failed)))
    return 1 if failed or not tests else 0


if __name__ == '__main__':
    sys.exit(main())
