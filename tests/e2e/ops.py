#!/usr/bin/env python3
"""ops - what an administrator does to a running engine: status, metrics, queue, pause, resume, tail, log-level.

Each function is one test; `labrelay sandbox` stands for Go.Data.
"""
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rig  # noqa: E402
from rig import hl7  # noqa: E402

CASES = {'cases': [
    {'id': 'c0000000-0000-4000-8000-000000000001', 'visualId': 'CA-0000000001', 'firstName': 'Amina', 'lastName': 'Okello', 'dob': '1988-03-14',
     'gender': 'LNG_REFERENCE_DATA_CATEGORY_GENDER_FEMALE'}]}


def oru(control='C1', sample='S-1', person='CA-0000000001'):
    return hl7('''MSH|^~\\&|DEV|LAB|LABRELAY|MOH|20261105101500+0300||ORU^R01^ORU_R01|%s|P|2.5.1||||||UNICODE UTF-8
PID|1||%s^^^GODATA^PI||Okello^Amina^^^^^L||19880314|F
OBR|1||F-%s|41636-2^Ebola virus RNA^LN|||20261104083000+0300|||||||||||||||20261105101000+0300||MB|F
OBX|1|CWE|41636-2^Ebola virus RNA^LN|1|260373001^Detected^SCT||Not detected|POS|||F|||20261104083000+0300
SPM|1|^%s||119297000^Blood^SCT|||||||P||||||20261104083000+0300''' % (control, person, sample, sample))


def expect(condition, text, *more):
    if not condition:
        raise rig.Failed(text + ''.join(' ' + (m if isinstance(m, str) else json.dumps(m, default=str)) for m in more))


def until(what, text, seconds=15.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise rig.Failed('never: ' + text)


def writer(r):
    return r.json('status')['writers'][0]


def test_status_tells_channels_queues_and_trouble():
    with rig.Rig(seed=CASES) as r:
        s = r.json('status')
        expect(s['channels'][0]['last_us'] == 0 and s['channels'][0]['address'] == '127.0.0.1:%d' % r.mllp, 'a new channel', s['channels'])
        expect(' never ' in r.verb('status')[1], 'never heard')
        before = int(time.time() * 1e6)
        r.send(oru('A1'))
        r.send(oru('A2', 'S-2', 'CA-0000000077'))
        r.settle()
        s = r.json('status')
        lab, w = s['channels'][0], s['writers'][0]
        expect(lab['today'] == 2 and lab['last_us'] >= before, 'the channel', lab)
        expect(w['mode'] == 'ready' and w['held'] == 1 and w['ready'] == 0 and w['oldest_held_us'] >= before and w['delivered'] == 1, 'the writer', w)
        expect(abs(w['requests_per_result'] - w['requests'] / w['delivered']) < 0.001, 'requests', w)
        expect(s['held'] == [{'writer': 'godata', 'reason': 'NO_MATCH', 'n': 1, 'oldest_us': w['oldest_held_us']}], 'held', s['held'])
        expect(s['alarms'] == [] and s['store']['disk_free_percent'] > 0 and s['engine']['config_number'] == 1, 'the rest', s)
        until(lambda: ' 1 cases, 0 contacts, ' in r.verb('status', check=False)[1], 'the mirror')
        rc, out, _ = r.verb('status')
        expect(rc == 0 and max(len(line) for line in out.split('\n')) <= 100, 'lines of at most 100 columns', out)
        r.verb('pause', '--by', 'tester', '--writer', 'godata')
        rc, out, _ = r.verb('status', check=False)
        expect(rc == 1 and 'paused since' in out, 'a pause is trouble', out)
        r.stop()
        r.start()
        lab = r.json('status')['channels'][0]
        expect(lab['today'] == 2 and lab['last_us'] >= before, 'kept over a restart', lab)
        r.stop()
        rc, out, _ = r.verb('status', check=False)
        expect(rc == 3 and 'not running' in out and re.search(r'lab +mllp .* 2\n', out), 'without an engine', out)
        r.start()


def test_metrics_are_prometheus_text():
    with rig.Rig(seed=CASES) as r:
        r.send(oru('A1'))
        r.settle()
        out = r.verb('status', '--metrics')[1]
        typed, samples = set(), {}
        for line in out.strip('\n').split('\n'):
            m = re.match(r'# (HELP|TYPE) (labrelay_[a-z_]+) (.+)$', line)
            if m:
                typed.add(m.group(2))
                continue
            m = re.match(r'(labrelay_[a-z_]+)(\{[a-z_]+="[^"]*"(?:,[a-z_]+="[^"]*")*\})? (-?[0-9.e+]+)$', line)
            expect(m and m.group(1) in typed, 'a line that no scraper reads', line)
            samples[m.group(1) + (m.group(2) or '')] = float(m.group(3))
        expect(samples['labrelay_up'] == 1 and samples['labrelay_delivered_total{writer="godata"}'] == 1, 'figures', samples)
        expect(samples['labrelay_frames_total{channel="lab",what="stored"}'] == 1 and samples['labrelay_writer_ready{writer="godata"}'] == 1, 'figures', samples)


def test_a_paused_writer_sends_nothing_and_outlives_a_restart():
    with rig.Rig(seed=CASES) as r:
        r.send(oru('A1'))
        r.settle()
        rc, out, _ = r.verb('pause', '--by', 'tester', '--reason', 'Go.Data is moved', 'godata')
        expect(rc == 0 and 'writer godata is paused' in out, 'said so', out)
        time.sleep(0.5)
        before = r.sandbox.call('GET', '/sandbox/stats')['requests']
        for n in range(5):
            expect(b'MSA|AA' in r.send(oru('B%d' % n, 'B-%d' % n)), 'messages are taken')
        time.sleep(1.5)
        expect(r.sandbox.call('GET', '/sandbox/stats')['requests'] == before + 1, 'something was asked')     # + 1: this look
        w = writer(r)
        expect(w['ready'] == 5 and w['mode'] == 'paused' and w['paused']['by'] == 'tester' and w['paused']['reason'] == 'Go.Data is moved', 'shown', w)
        expect('by tester: Go.Data is moved' in r.verb('status', check=False)[1], 'shown')
        lanes = r.json('queue', '--lanes')
        expect(len(lanes) == 5 and lanes[0]['n'] == 1 and 'B-' not in json.dumps(lanes), 'lanes name no sample', lanes)
        r.stop()
        r.start()
        time.sleep(1.0)
        expect(writer(r)['mode'] == 'paused' and writer(r)['ready'] == 5 and len(r.sandbox.lab_results()) == 1, 'kept over a restart')
        expect(r.verb('resume', 'godata', '--by', 'tester')[0] == 0, 'resume')
        r.settle()
        expect(len(r.sandbox.lab_results()) == 6 and 'paused' not in writer(r), 'goes on')
        expect(r.json('verify')['balanced'], 'sums')
        rc, _, err = r.verb('pause', 'nobody', '--by', 'x', check=False)
        expect(rc == 1 and 'no channel or writer of this name' in err, 'a wrong name', err)
        expect(r.verb('pause', 'godata', check=False)[0] == 2, 'who?')
        r.stop()
        expect('from the next start on' in r.verb('pause', '--by', 'tester', 'lab')[1], 'without an engine')
        r.start()
        expect(b'MSA|AR' in r.send(oru('Z')), 'it holds')


BOTH = '''
listen http "web" {{
    address  127.0.0.1:%d
    parse    hl7v2 {{ timezone "Africa/Kampala" }}
}}
listen files "drop" {{
    inbox    "{dir}/in"
    rescan   200ms
    parse    hl7v2 {{ timezone "Africa/Kampala" }}
}}
'''


def post(port, body):
    try:
        q = urllib.request.Request('http://127.0.0.1:%d/hl7' % port, body, headers={'Content-Type': 'application/hl7-v2'}, method='POST')
        with urllib.request.urlopen(q, timeout=20) as a:
            return a.status
    except urllib.error.HTTPError as e:
        return e.code


def test_a_paused_channel_refuses_and_its_files_stay():
    web = rig.free_port()
    r = rig.Rig(seed=CASES, listeners=rig.LISTENER + BOTH % web)
    os.mkdir(os.path.join(r.folder, 'in'))
    with r:
        for name in ('lab', 'web', 'drop'):
            r.verb('pause', '--by', 'tester', name)
        answer = r.send(oru('A1'))
        expect(b'MSA|AR|A1' in answer and b'207' in answer, 'MLLP: 207', answer)
        expect(post(web, oru('A2', 'S-2')) == 503, 'HTTP: 503')
        path = os.path.join(r.folder, 'in', 'x.hl7')
        with open(path + '.tmp', 'wb') as f:
            f.write(oru('A3', 'S-3'))
        os.rename(path + '.tmp', path)
        until(lambda: ['lab', 'refused', 1] in r.json('status')['frames'] and ['web', 'refused', 1] in r.json('status')['frames'], 'counted as refused')
        time.sleep(1.0)
        expect(os.path.exists(path) and 'drop' not in json.dumps(r.json('status')['frames']), 'the file stays')
        expect(sum(1 for c in r.json('status')['channels'] if c['paused']['by'] == 'tester') == 3, 'shown')
        r.verb('resume', 'drop')
        until(lambda: not os.path.exists(path), 'the file is taken')
        expect(b'MSA|AR' in r.send(oru('A4', 'S-4')), 'the others stay paused')
        r.verb('resume', 'lab')
        r.verb('resume', 'web')
        expect(b'MSA|AA' in r.send(oru('A5', 'S-5')) and post(web, oru('A6', 'S-6')) == 200, 'taken again')
        r.settle()
        expect(r.json('verify')['balanced'], 'sums')


def test_tail_follows_messages_and_their_fates():
    with rig.Rig(seed=CASES) as r:
        r.send(oru('A1'))
        r.settle()
        tail = subprocess.Popen([r.binary, 'tail', '-c', r.conf, '--json'], stdout=subprocess.PIPE)
        held = subprocess.Popen([r.binary, 'tail', '-c', r.conf, '--held', '--since', 'm1'], stdout=subprocess.PIPE)
        time.sleep(0.5)
        r.verb('pause', '--by', 't', 'godata')
        r.send(oru('A2', 'S-2'))
        r.send(oru('A3', 'S-3', 'CA-0000000077'))
        time.sleep(0.6)
        r.verb('resume', 'godata')
        r.settle()
        time.sleep(0.8)
        for p in (tail, held):
            p.send_signal(signal.SIGINT)
        out, lines = tail.communicate(timeout=10)[0].decode(), held.communicate(timeout=10)[0].decode()
        expect(tail.returncode == 0 and held.returncode == 0, 'Ctrl-C is no failure')
        seen = [(x['message'], x.get('delivery', 0), x['state']) for x in map(json.loads, out.strip().split('\n'))]
        for want in ((2, 0, 'stored'), (2, 2, 'ready'), (2, 2, 'delivered'), (3, 3, 'held')):
            expect(seen.count(want) == 1, 'once', want, seen)
        expect(not [x for x in seen if x[0] == 1], 'from now on', seen)
        expect(lines.count('\n') == 1 and ' d3 ' in lines and 'NO_MATCH' in lines, 'held only', lines)
        for canary in ('Okello', 'Amina', 'CA-00000', 'S-2', 'A2'):
            expect(canary not in out + lines, 'patient data', canary)
        head = subprocess.Popen('"%s" tail -c "%s" --since 1h | head -n 1' % (r.binary, r.conf), shell=True, stdout=subprocess.PIPE)
        r.send(oru('A4', 'S-4'))
        expect(b' m1 ' in head.communicate(timeout=20)[0], 'ends when nobody reads')
        once = r.verb('tail', '--since', '1h', '--once')[1]
        expect(once.count('\n') >= 6, 'what there is', once)
        expect(r.verb('tail', '--channel', 'nobody', check=False)[0] == 1 and r.verb('tail', '--since', 'yore', check=False)[0] == 2, 'wrong words')


def test_log_level_changes_and_goes_back():
    with rig.Rig(seed=CASES) as r:
        r.verb('log-level', 'error')
        r.send(oru('A1'))
        r.settle()
        text = open(r.log_path).read()
        expect('m1 stored' not in text and 'log level' in text, 'silent', text)
        r.verb('log-level', 'debug', '--for', '1s')
        expect(r.json('status')['engine']['log_level'] == 'debug', 'now')
        until(lambda: r.json('status')['engine']['log_level'] == 'error', 'back to what it was')
        r.verb('log-level', 'info')
        r.send(oru('A2', 'S-2'))
        r.settle()
        expect('m2 stored' in open(r.log_path).read(), 'talks again')
        expect(r.verb('log-level', 'loud', check=False)[0] == 2 and r.verb('log-level', 'info', '--for', '3 years', check=False)[0] == 2, 'wrong words')
        r.stop()
        expect(r.verb('log-level', 'info', check=False)[0] == 3, 'no engine')


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
