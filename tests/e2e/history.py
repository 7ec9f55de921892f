#!/usr/bin/env python3
"""history - what looks back at the store: whatif, replay; and that nothing of it, nor explain, sends anything.

Each function is one test; `labrelay sandbox` stands for Go.Data.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import persons  # noqa: E402
import rig  # noqa: E402
from verbs import CASES, expect, only, oru  # noqa: E402

ROUTES = '''
route "results" {{
    when  observation.code in tests
    when  specimen.id != "S-NONE"
    when  specimen.id != "S-DROP"
    send  lab to "godata"
}}
route "dropped" {{ when specimen.id = "S-DROP"  drop "not ours" }}
route "everything-else" {{ hold "no route" }}
'''
OTHER_WRITER = '''
write godata "other" {{
    url       "{api}"
    login     "second@sandbox.example"  password credential "godata-password"
    outbreak  "Other outbreak"
    id        "GODATA" "PI" is visual-id
    match     by godata-id, then visual-id, then document NATIONAL_ID_CARD
}}
'''


def fill(r):
    """m1 and m2 delivered, m3 held by the config, m4 dropped, m5 held by the writer, m6 refused."""
    for i, m in enumerate((oru('A1'), oru('A2', person='CA-0000000002', sample='S-2'), oru('A3', sample='S-NONE'), oru('A4', sample='S-DROP'),
                           oru('A5', person='CA-0000000099', sample='S-5'))):
        expect(b'MSA|AA|' in r.send(m), 'no AA', i)
    expect(b'MSA|A' in r.send(oru('A6').replace(b'OBX|1|CWE|41636-2^Ebola virus RNA^LN', b'OBX|1|CWE|')), 'no answer')
    r.settle()


def changed(r, *replacements):
    text = open(r.conf).read()
    for old, new in replacements:
        expect(old in text, 'the configuration does not have', old)
        text = text.replace(old, new)
    path = os.path.join(r.folder, 'new.conf')
    with open(path, 'w') as f:
        f.write(text)
    return path


def whatif(r, path, *flags, code):
    rc, out, err = r.verb('whatif', path, *flags, check=False, conf=False)
    expect(rc == code, 'exit %d, not %d: ' % (rc, code), out + err)
    x = rig.json.loads(r.verb('whatif', path, '--json', *flags, check=False, conf=False)[1])
    return x, out


def counts(x):
    return {k: n for k, n in x['changes'].items() if n}


def requests(r):
    return r.sandbox.call('GET', '/sandbox/stats')['requests']


def test_whatif_tells_every_kind_of_change():
    with rig.Rig(seed=CASES, routes=ROUTES) as r:
        fill(r)
        r.stop()
        before, size = requests(r), os.path.getsize(os.path.join(r.folder, 'store.db'))
        x, out = whatif(r, r.conf, code=0)
        expect(counts(x) == {'same': 5} and x['examples'] == [], 'the same configuration changes nothing', x)
        expect('nothing changes' in out, 'text', out)

        x, out = whatif(r, changed(r, ('send  lab to', 'set lab.lab_name = "OTHER_LAB"  send  lab to')), code=5)
        expect(counts(x) == {'same': 2, 'body': 3} and x['by_name']['body'] == {'labName': 3}, 'a field', x)
        only(x['examples'][0], message=1, path='OBX[1]', change='body', was='sent by results', now='sent by results')
        field = x['examples'][0]['fields'][0]
        only(field, name='labName', now='LNG_REFERENCE_DATA_CATEGORY_LAB_NAME_OTHER_LAB')
        expect(any('set lab.lab_name' in s['text'] and s['line'] for s in x['examples'][0]['steps']), 'the line that decides', x['examples'][0])

        x, out = whatif(r, changed(r, ('when  specimen.id != "S-NONE"', 'when  specimen.id != "S-2"')), code=5)
        expect(counts(x) == {'same': 3, 'held': 1, 'released': 1} and x['by_name']['held'] == {'NO_ROUTE': 1}, 'held and released', x)

        x, _ = whatif(r, changed(r, ('drop "not ours"', 'hold "look"'), ('hold "no route"', 'drop "no route"')), code=5)
        expect(counts(x) == {'same': 3, 'taken': 1, 'dropped': 1}, 'taken and dropped', x)

        x, out = whatif(r, changed(r, ('"GODATA" "PI" is visual-id', '"GODATA" "PI" is document NATIONAL_ID_CARD')), code=3)
        expect(x['changes']['person'] == 3 and x['by_name']['person'] == {'ids': 3}, 'another person', x)
        expect('CA-0000000001' not in out and 'Okello' not in out, 'a value of a patient was shown', out)
        expect('CA-0000000001' in whatif(r, changed(r, ('"GODATA" "PI" is visual-id', '"GODATA" "PI" is document NATIONAL_ID_CARD')), '--values', code=3)[1],
               '--values shows it')

        path = changed(r, ('route "results"', OTHER_WRITER.format(api=r.sandbox.api) + 'route "results"'), ('lab to "godata"', 'lab to "other"'))
        x, _ = whatif(r, path, code=3)
        expect(x['changes']['writer'] == 3, 'another writer', x)

        x, _ = whatif(r, changed(r, ('outbreak  "Ebola 2026"', 'outbreak  "Ebola 2027"')), code=5)
        expect(x['changes']['key'] == 3, 'another result key', x)

        x, _ = whatif(r, changed(r, ('listen mllp "lab"', 'listen mllp "renamed"')), code=5)
        expect(x['changes']['refused'] == 5 and x['no_listener'] == 6, 'no listener', x)

        x, _ = whatif(r, changed(r, ('route "results"', 'route "renamed"')), code=5)
        expect(counts(x) == {'same': 2, 'route': 3}, 'another name of the route', x)

        x, _ = whatif(r, r.conf, '--since', '2020-01-01 00:00', '--channel', 'nobody', code=0)
        expect(x['messages'] == 0, 'another channel', x)
        expect(r.verb('whatif', r.conf, '--since', 'soon', check=False, conf=False)[0] == 2, 'a time that is none')
        expect(r.verb('whatif', os.path.join(r.folder, 'no.conf'), check=False, conf=False)[0] == 1, 'no such file')
        with open(os.path.join(r.folder, 'new.conf'), 'a') as f:
            f.write('nonsense\n')
        expect(r.verb('whatif', os.path.join(r.folder, 'new.conf'), check=False, conf=False)[0] == 1, 'a broken configuration')
        expect(requests(r) == before + 1, 'whatif asked somebody', requests(r))
        expect(os.path.getsize(os.path.join(r.folder, 'store.db')) == size, 'whatif wrote')


def test_explain_whatif_and_a_dry_replay_send_nothing():
    with rig.Rig(seed=CASES, routes=ROUTES) as r:
        fill(r)
        r.stop()                # its chores ask; nobody else must
        before = requests(r)
        for i in range(1, 6):
            r.verb('explain', 'm%d' % i)
        whatif(r, changed(r, ('send  lab to', 'set lab.lab_name = "OTHER_LAB"  send  lab to')), code=5)
        x = r.json('replay', '--since', '1h')
        expect(len(x['results']) == 5 and x['done'] is False, 'dry', x)
        expect(requests(r) == before + 1, 'something was asked', requests(r))     # + 1: the look itself
        v = r.json('verify')
        expect(v['balanced'] and v['frames'][0]['received'] == 6, 'something was stored', v)


def test_whatif_tells_of_persons_too():
    with rig.Rig(routes=persons.PEOPLE) as r:
        r.send(persons.adt('A1'))
        r.send(persons.oru('R1', 'S-1', number='CF-88-01', name='Nakato^Ruth'))
        r.settle()
        r.stop()
        x, _ = whatif(r, r.conf, code=0)
        expect(counts(x) == {'same': 2}, 'a person and a result', x)
        x, _ = whatif(r, changed(r, ('send    case to', 'set case.occupation = "OTHER"  send    case to')), code=5)
        expect(counts(x) == {'same': 1, 'body': 1} and x['examples'][0]['message'] == 1, 'a field of the case', x)
        x, _ = whatif(r, changed(r, ('when    message.kind ~ /^ADT/', 'when    message.kind ~ /^NONE/')), code=5)
        expect(x['changes']['same'] == 1 and x['changes']['dropped'] + x['changes']['refused'] == 1, 'no persons any more', x)


def test_a_dry_replay_tells_what_would_happen():
    with rig.Rig(seed=CASES, routes=ROUTES) as r:
        fill(r)
        x = {d['message']: d for d in r.json('replay', '--since', '1h')['results']}
        only(x[1], replay='nothing', state='delivered')
        only(x[3], replay='held', now='held NO_ROUTE')
        only(x[4], replay='nothing', now='dropped RULE')
        only(x[5], replay='routed', was='sent by results', state='held')
        expect(list({d['message'] for d in r.json('replay', 'm1', 'm5')['results']}) == [1, 5], 'ids')
        expect([d['message'] for d in r.json('replay', '--reason', 'NO_MATCH')['results']] == [5], 'reason')
        rc, out, _ = r.verb('replay', '--reason', 'NO_MATCH')
        expect('m5 d' in out and '--go --by' in out, 'text', out)
        expect(r.verb('replay', 'm77', check=False)[0] == 3, 'an id that is not there')
        expect(r.verb('replay', check=False)[0] == 2 and r.verb('replay', 'm1', '--go', check=False)[0] == 2, 'usage')


def restart_with(r, *replacements):
    r.stop()
    path = changed(r, *replacements)
    os.replace(path, r.conf)
    r.start()


# [item 135]
def test_a_replay_of_what_was_delivered_changes_nothing():
    with rig.Rig(seed=CASES, routes=ROUTES) as r:
        fill(r)
        labs = r.sandbox.lab_results()
        for _ in range(3):
            x = r.json('replay', 'm1', 'm2', '--go', '--by', 'admin')
            only(x['sums'], nothing=2, routed=0, held=0, differs=0)
            r.settle()
        expect(r.sandbox.lab_results() == labs, 'Go.Data changed', r.sandbox.lab_results())
        expect(len(r.json('show', 'm1')['deliveries']) == 1 and r.json('verify')['balanced'], 'sums')


def test_a_replay_sends_what_the_configuration_takes_now():
    with rig.Rig(seed=CASES, routes=ROUTES) as r:
        fill(r)
        expect(len(r.sandbox.lab_results()) == 2, 'two delivered')
        x = r.json('replay', '--since', '1h', '--go', '--by', 'admin')
        only(x['sums'], nothing=3, held=1, routed=1)                    # NO_MATCH is looked for again
        r.settle()
        only(r.json('show', 'd4'), state='held', reason='NO_MATCH')
        restart_with(r, ('when  specimen.id != "S-NONE"', ''), ('when  specimen.id != "S-DROP"', ''))
        r.settle()
        only(r.json('show', 'd3'), state='delivered', route='results')  # what was held goes through a new configuration by itself
        rc, out, _ = r.verb('replay', 'm3', 'm4')
        expect('m3 d3 delivered' in out and 'was dropped, now sent by results' in out, 'dry', out)
        expect(len(r.sandbox.lab_results()) == 3, 'a dry replay sent')
        x = r.json('replay', '--since', '1h', '--go', '--by', 'admin', '--why', 'the route was wrong')
        only(x['sums'], routed=2, nothing=3)
        r.settle()
        only(r.json('show', 'm4')['deliveries'][0], state='delivered', parts=0)
        labs = sorted(x['sampleIdentifier'] for x in r.sandbox.lab_results())
        expect(labs == ['S-1', 'S-2', 'S-DROP', 'S-NONE'], 'each once', labs)
        only(r.json('replay', '--since', '1h', '--go', '--by', 'admin')['sums'], routed=1, nothing=4)
        r.settle()
        expect(len(r.sandbox.lab_results()) == 4, 'doubled')
        expect('replay by admin: the route was wrong' in r.verb('show', 'm4')[1], 'audit', r.verb('show', 'm4')[1])
        for key, message in (('S-NONE', 3), ('S-DROP', 4)):             # found by what it is known by now
            expect([m['id'] for m in r.json('trace', key)['messages']] == [message], 'trace', key)
        expect(r.json('verify')['balanced'], 'sums')


def test_a_replay_that_would_differ_is_held_for_a_person():
    with rig.Rig(seed=CASES, routes=ROUTES) as r:
        fill(r)
        labs = r.sandbox.lab_results()
        restart_with(r, ('send  lab to', 'set lab.lab_name = "OTHER_LAB"  send  lab to'))
        for i in range(2):
            x = r.json('replay', 'm1', '--go', '--by', 'admin')
            only(x['sums'], differs=1 - i, held=i)
            r.settle()
        d = r.json('show', 'm1')['deliveries']
        expect([(x['state'], x['reason']) for x in d] == [('delivered', ''), ('held', 'REPLAY_DIFFERS')], 'held beside it', d)
        expect(r.sandbox.lab_results() == labs, 'Go.Data changed')
        restart_with(r, ('outbreak  "Ebola 2026"', 'outbreak  "EBOLA 2026"'))
        only(r.json('replay', 'm2', '--go', '--by', 'admin')['sums'], differs=1)
        expect(r.json('verify')['balanced'] and len(r.sandbox.lab_results()) == 2, 'sums')


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
