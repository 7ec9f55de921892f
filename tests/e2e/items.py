#!/usr/bin/env python3
"""items - what the conformance checklist asks of the whole engine and no single message can show; and the golden message.

Each function is one test. The golden message, its ACK, record and Go.Data body are read from ../shared at run time, never copied.
"""
import json
import os
import re
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rig  # noqa: E402
from fixtures import fits  # noqa: E402
from rig import hl7  # noqa: E402
from verbs import CASES, expect, only, oru  # noqa: E402

SAMPLES = os.path.join(rig.SHARED, 'facts', 'samples')
GOLDEN_SEED = {
    'referenceData': [{'value': 'Lab Goma', 'categoryId': 'LNG_REFERENCE_DATA_CATEGORY_LAB_NAME', 'active': True}],
    'cases': [{'id': 'c0000000-0000-4000-8000-000000000042', 'visualId': 'CASE-0042', 'firstName': 'Marie', 'lastName': 'Ilunga', 'dob': '1990-02-03',
               'gender': 'LNG_REFERENCE_DATA_CATEGORY_GENDER_FEMALE'}]}


def sample(name):
    path = os.path.join(SAMPLES, name)
    if not os.path.exists(path):
        print('SKIP the golden message: %s is missing' % path)
        return None
    with open(path, 'rb') as f:
        return f.read()


def golden_rig():
    r = rig.Rig(seed=GOLDEN_SEED, head='table labs csv "{dir}/labs.csv" key id value lab_name\n',
                listeners='listen mllp "lab01" {{ address 127.0.0.1:{mllp}  parse hl7v2 {{ timezone "Africa/Lubumbashi" }} }}\n')
    with open(os.path.join(r.folder, 'labs.csv'), 'w') as f:
        f.write('id,lab_name\nLAB01,LAB_GOMA\n')
    return r


def vary(message, **changes):
    """The golden message with fields exchanged: SEG_n='value'."""
    lines = [line.split('|') for line in message.decode().rstrip('\r').split('\r')]
    for place, value in changes.items():
        name, n = place.split('_')
        for parts in lines:
            if parts[0] == name:
                parts[int(n) - (name == 'MSH')] = value
    return ('\r'.join('|'.join(parts) for parts in lines) + '\r').encode()


def without(value, *keys):
    """Without the keys that carry their own words (derived: explain says it beside the record)."""
    if isinstance(value, dict):
        return {k: without(v, *keys) for k, v in value.items() if k not in keys}
    return [without(v, *keys) for v in value] if isinstance(value, list) else value


# [item 140] [item 63]
def test_golden_message():
    golden = sample('golden1.hl7')
    if golden is None:
        return
    with golden_rig() as r:
        path = os.path.join(r.folder, 'golden.hl7')
        with open(path, 'wb') as f:
            f.write(golden)
        got = r.json('explain', path)[0]['records']
        expect(len(got) == 1 and len(got[0]['results']) == 1, 'one record, one observation', got)
        wrong = []
        fits(without(json.loads(sample('golden1.record.json')), 'derived'), got[0]['record'], 'record', wrong)
        expect(not wrong, 'record', wrong)
        derived = json.loads(sample('golden1.record.json'))['observations'][0]['derived']
        only(got[0]['results'][0], outcome=derived['result'], rule=derived['rule'], crosscheck=derived['crosscheck'], action='send')

        ack = r.send(golden).decode()
        like = re.escape(sample('golden1.ack.hl7').decode()).replace(r'\{NOW\}', r'\d{14}\+0200').replace(r'\{NEWID\}', '[A-Z0-9]{1,20}')
        expect(re.fullmatch(like, ack), 'the ACK differs', ack)
        r.settle()
        only(r.json('show', 'm1')['deliveries'][0], state='delivered', person_id='c0000000-0000-4000-8000-000000000042')
        lab = r.sandbox.lab_results()
        expect(len(lab) == 1, 'one lab result', lab)
        k = r.json('show', 'm1')['deliveries'][0]['result_key'][:8]
        body = json.loads(sample('golden1.godata.json').decode().replace('{uid8}', k))
        for body_sent, name in ((got[0]['results'][0]['body'], 'explain'), (lab[0], 'sandbox')):
            wrong = []
            fits(body, body_sent, name, wrong)
            expect(not wrong, 'Go.Data body', wrong)
        expect(set(got[0]['results'][0]['body']) == set(body), 'other fields in the body', sorted(got[0]['results'][0]['body']))

        expect('MSA|AA|MSG00001' in r.send(golden).decode(), 'the replay of the same bytes gets the same answer')
        expect('MSA|AA|MSG00001' in r.send(vary(golden, PID_7='19910203', SPM_2='^S-9')).decode(), 'same control id, other content: processed')
        expect('MSA|AA|V2' in r.send(vary(golden, MSH_10='V2', OBX_5='260415000^Not detected^SCT', SPM_2='^S-2026-0002')).decode(), 'AA')
        ack = r.send(vary(golden, MSH_10='V3', MSH_11='T')).decode()
        expect('MSA|AR|V3' in ack and '|202^' in ack, 'a training message', ack)
        r.settle()
        expect(sorted(d['reason'] for d in r.json('held', 'list')) == ['IDENTITY_CONFLICT', 'VALUE_CONFLICT'], 'held', r.json('held', 'list'))
        expect('control id used again' in open(r.log_path).read(), 'the log names the control id that came again')
        r.send(vary(golden, MSH_10='V4', OBX_5='260415000^Not detected^SCT', OBX_8='NEG', OBX_11='C', OBR_25='C', OBR_22='20260505142000+0200'))
        r.settle()
        labs = r.sandbox.lab_results()
        expect(len(labs) == 1 and labs[0]['id'] == lab[0]['id'], 'a correction is the same lab result', labs)
        expect(labs[0]['result'].endswith('_NEGATIVE') and 'corrected: was Detected' in labs[0]['notes'], 'corrected', labs[0])
        v = r.json('verify')
        expect(v['balanced'] and v['frames'][0]['duplicate'] == 1, 'sums', v)


# [item 65]
def test_one_of_two_patients_is_unknown():
    a, b = oru('TWO').split(b'\r', 1)[1], oru('x', person='CA-0000000042', sample='S-2').split(b'\r', 1)[1]
    with rig.Rig(seed=CASES) as r:
        expect(r.send(oru('TWO').split(b'\r', 1)[0] + b'\r' + a + b).count(b'MSA|AA|TWO') == 1, 'one AA')
        r.settle()
        d = r.json('show', 'm1')['deliveries']
        expect([(x['state'], x['reason']) for x in d] == [('delivered', ''), ('held', 'NO_MATCH')], 'deliveries', d)
        labs = r.sandbox.lab_results()
        expect(len(labs) == 1 and labs[0]['sampleIdentifier'] == 'S-1', 'the first only', labs)


# [item 37] [item 36]
def test_the_day_is_the_senders():
    with rig.Rig(seed=CASES) as r:
        for n, taken in enumerate(('20261104003000+0200', '20261104233000-0500', '20261104')):
            r.send(oru('D%d' % n, sample='S-D%d' % n).replace(b'20261104083000+0300', taken.encode()))
        r.send(oru('D3', sample='S-D3').replace(b'20261104083000+0300', b'202611'))
        r.settle()
        days = {x['sampleIdentifier']: x.get('dateSampleTaken') for x in r.sandbox.lab_results()}
        expect(days == {'S-D0': '2026-11-04T00:00:00.000Z', 'S-D1': '2026-11-04T00:00:00.000Z', 'S-D2': '2026-11-04T00:00:00.000Z', 'S-D3': None}, 'days', days)


# [item 38]
def test_a_channel_without_time_zone_does_not_start():
    try:
        with rig.Rig(seed=CASES, listeners='listen mllp "lab" {{ address 127.0.0.1:{mllp}  parse hl7v2 }}\n'):
            raise rig.Failed('it started')
    except rig.Failed as e:
        expect('timezone' in str(e), 'the reason names the option', str(e))


# [item 63] [item 62]
def test_control_id_used_again():
    with rig.Rig(seed=CASES) as r:
        r.send(oru('SAME'))
        r.send(oru('SAME'))
        r.send(oru('SAME', sample='S-2'))
        r.settle()
        only(r.json('verify')['frames'][0], stored=2, duplicate=1)
        expect(sorted(x['sampleIdentifier'] for x in r.sandbox.lab_results()) == ['S-1', 'S-2'], 'both contents are written')
        text = open(r.log_path).read()
        expect(text.count('control id used again with other content') == 1, 'one remark in the log', text)


# [item 84]
def test_a_pointer_is_never_followed():
    calls = []
    with socket.create_server(('127.0.0.1', 0)) as s:
        def listen():
            try:
                while True:
                    calls.append(s.accept()[1])
            except OSError:
                pass
        threading.Thread(target=listen, daemon=True).start()
        url = 'http://127.0.0.1:%d/report.pdf' % s.getsockname()[1]
        with rig.Rig(seed=CASES) as r:
            body = oru('RP') + hl7('OBX|2|RP|PDF^Report^L|2|%s^^application^pdf||||||F' % url)
            expect(b'MSA|AA|RP' in r.send(body), 'accepted')
            r.settle()
            path = os.path.join(r.folder, 'rp.hl7')
            with open(path, 'wb') as f:
                f.write(body)
            only(r.json('explain', path)[0]['records'][0]['record']['report']['attachments'][0], pointer=url)
            expect(len(r.sandbox.lab_results()) == 1, 'the result beside it is written')
            time.sleep(0.3)
        expect(calls == [], 'somebody called', calls)
        s.shutdown(socket.SHUT_RDWR)


# [item 87]
def test_a_cancelled_report_with_a_final_value_is_held():
    with rig.Rig(seed=CASES) as r:
        expect(b'MSA|AA|X1' in r.send(oru('X1', obr='X')), 'never AE')
        r.settle()
        only(r.json('held', 'list')[0], reason='STATUS_CONFLICT')
        expect(r.sandbox.lab_results() == [], 'nothing is written')


# [item 51]
def test_training_messages_stay_out():
    with rig.Rig(seed=CASES) as r:
        for _ in range(2):
            expect(b'MSA|AR|T1' in r.send(oru('T1').replace(b'|P|2.5.1', b'|T|2.5.1')), 'refused, each time')
        expect(r.json('queue') == [] and r.sandbox.lab_results() == [], 'nothing to deliver')
        only(r.json('show', 'm1'), state='refused')


def main():
    tests = [(n, f) for n, f in sorted(globals().items()) if n.startswith('test_') and (not sys.argv[1:] or any(w in n for w in sys.argv[1:]))]
    failed = 0
    for name, f in tests:
        try:
            f()
            print('ok   ' + name)
        except Exception as e:  # a test that breaks in any way has failed
            failed += 1
            print('FAIL %s: %s: %s' % (name, type(e).__name__, str(e)[:1500]))
    print('%d passed, %d failed' % (len(tests) - failed, failed))
    return 1 if failed or not tests else 0


if __name__ == '__main__':
    sys.exit(main())
