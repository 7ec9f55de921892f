#!/usr/bin/env python3
"""fixtures - every folder under tests/fixtures/hl7v2/ is a test: add a folder, add a test.

    input.hl7     the message; line ends are written as LF and become CR      (or input.raw: exact bytes)
    expect.json   {"channel": "lab" (default) | "strict" | ...,
                   "ack":     [{"MSA-1": "AA", "ERR-2": "OBX^1^11", "ERR-3": "103"}],   one per expected reply, subset; [] = no reply
                   "explain": [...],                                                    subset of `labrelay explain --json`
                   "repeat":  {"@A@": ["text", 1000]},                                  in the input, @A@ becomes the text, so many times
                   "resend":  true,                                                     the same bytes once more: the same replies
                   "_":       "[item 24] what it shows"}
Subset: every key named must be there and fit; null: absent (a JSON null also fits); lists must have the same length;
{"with": [..]} for a list: each of these fits one of its elements; the string "*" fits anything that is there.
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import mllp  # noqa: E402
import rig  # noqa: E402

FOLDER = os.path.join(rig.REPO, 'tests', 'fixtures', 'hl7v2')
CHANNELS = {
    'lab': 'timezone "Africa/Kampala"',
    'strict': 'timezone "Africa/Kampala"  strict yes',
    'r30': 'timezone "Africa/Kampala"  enable "ORU^R30"',
    'inv': 'timezone "Africa/Kampala"  qc-rule inv-control',
    'analysis': 'timezone "Africa/Kampala"  obr7 analysis',
    'latin1': 'timezone "Africa/Kampala"  assume-charset latin1',
    'cyrillic': 'timezone "Africa/Kampala"  assume-charset "8859/5"',
    'tests': 'timezone "Africa/Kampala"  nonproduction hold',
    'lenient': 'timezone "Africa/Kampala"  lenient-dates yes  decimal-comma yes  loinc-without-system yes',
    'ignore': 'timezone "Africa/Kampala"  ignore-types "ADT" "ORU^R03"',
    'small': 'timezone "Africa/Kampala"  max-segments 12  max-records 2',
    'persons': 'timezone "Africa/Kampala"',
    'named': 'timezone "Africa/Kampala"  own-app "GATE" own-facility "NATLAB"',
}


# Persons, identifiers, samples and values of the fixtures: none of them may stand in the log or in an ERR or MSA-3.
CANARIES = ('Auma', 'Beatrice', 'Nankya', 'Solange', 'Otim', '19840229', '1984-02-29', '19920417', 'CA-0000000007', 'CASE-0815', '0098765',
            'S-2026-8001', 'Hill Rd', '5550199', 'Not detected', 'Detected', '260373001', '3.26E+05')


def leaks(text):
    return [c for c in CANARIES if c in text]


def fits(expected, got, where, wrong):
    if expected == '*':
        if got in (None, '', [], {}):
            wrong.append('%s: nothing there' % where)
    elif isinstance(expected, dict) and list(expected) == ['with'] and isinstance(got, list):
        for i, value in enumerate(expected['with']):
            if not any(is_fit(value, one) for one in got):
                wrong.append('%s: nothing fits %r in %r' % (where, value, got))
    elif isinstance(expected, dict):
        if not isinstance(got, dict):
            wrong.append('%s: expected an object, got %r' % (where, got))
            return
        for key, value in expected.items():
            if value is None:
                if got.get(key) is not None:
                    wrong.append('%s.%s: expected absent, got %r' % (where, key, got[key]))
            elif key not in got:
                wrong.append('%s.%s: missing' % (where, key))
            else:
                fits(value, got[key], where + '.' + key, wrong)
    elif isinstance(expected, list):
        if not isinstance(got, list) or len(got) != len(expected):
            wrong.append('%s: expected %d elements, got %s' % (where, len(expected), len(got) if isinstance(got, list) else repr(got)))
            return
        for i, value in enumerate(expected):
            fits(value, got[i], '%s[%d]' % (where, i), wrong)
    elif expected != got:
        wrong.append('%s: expected %r, got %r' % (where, expected, got))


def is_fit(expected, got):
    wrong = []
    fits(expected, got, '', wrong)
    return not wrong


def fields_of(reply):
    """{"MSA-1": ..} of an answer; the first ERR segment counts; ERR-3 is cut to its code; one-error-per-ERR-1 of old versions reads alike."""
    out = {}
    text = reply.decode('utf-8', 'replace')
    sep = text[3] if len(text) > 3 else '|'
    comp = text[4] if len(text) > 4 else '^'
    for line in text.split('\r'):
        parts = line.split(sep)
        name = parts[0]
        if name == 'MSH':
            parts.insert(1, sep)
        if name in ('MSH', 'MSA') or (name == 'ERR' and 'ERR-1' not in out):
            for i, value in enumerate(parts[1:], 1):
                out['%s-%d' % (name, i)] = value
    if 'ERR-3' in out:
        out['ERR-3'] = out['ERR-3'].split(comp)[0]
    return out


def replies_to(port, data):
    """Everything that comes back for one frame from a peer that then says no more."""
    replies = []
    with mllp.Client('127.0.0.1', port) as c:
        c.send(data)
        c.half_close()
        try:
            while True:
                replies.append(fields_of(c.read(20.0)))
        except mllp.Closed as e:
            if e.partial:
                replies.append({'cut': repr(e.partial)})
        except mllp.Timeout:
            replies.append({'open': 'the connection was not closed'})
    return replies


def run_case(r, ports, name, wrong):
    folder = os.path.join(FOLDER, name)
    with open(os.path.join(folder, 'expect.json')) as f:
        expect = json.load(f)
    raw = os.path.join(folder, 'input.raw')
    if os.path.exists(raw):
        data = open(raw, 'rb').read()
    else:
        data = open(os.path.join(folder, 'input.hl7'), 'rb').read().rstrip(b'\n').replace(b'\n', b'\r') + b'\r'
    for mark, (text, times) in expect.get('repeat', {}).items():
        if mark.encode() not in data:
            wrong.append('repeat: %s is not in the input' % mark)
        data = data.replace(mark.encode(), text.encode() * times)
    channel = expect.get('channel', 'lab')
    if 'explain' in expect:
        path = os.path.join(r.folder, 'case.hl7')
        with open(path, 'wb') as f:
            f.write(data)
        fits(expect['explain'], r.json('explain', '--channel', channel, path, ok=(0, 1)), 'explain', wrong)
    for again in range(1 + expect.get('resend', False)) if 'ack' in expect else ():
        replies = replies_to(ports[channel], data)
        fits(expect['ack'], replies, 'ack of the resend' if again else 'ack', wrong)
        told = ' '.join(v for one in replies for k, v in one.items() if k.startswith('ERR') or k == 'MSA-3')
        wrong.extend('the reply says ' + c for c in leaks(told))
    if 'ack' not in expect and 'explain' not in expect:
        wrong.append('expect.json expects nothing')


def main():
    names = sorted(n for n in os.listdir(FOLDER) if os.path.isdir(os.path.join(FOLDER, n))) if os.path.isdir(FOLDER) else []
    names = [n for n in names if not sys.argv[1:] or any(w in n for w in sys.argv[1:])]
    if not names:
        print('no fixture found')
        return 1
    ports = {c: rig.free_port() for c in CHANNELS}
    listeners = ''.join('listen mllp "%s" {{ address 127.0.0.1:%d  parse hl7v2 {{ %s }} }}\n' % (c, ports[c], o) for c, o in CHANNELS.items())
    failed = 0
    routes = 'route "people" {{ from "persons"  send case to "godata" }}\n' + rig.ROUTES
    with rig.Rig(listeners=listeners, routes=routes, api='http://127.0.0.1:%d/api' % rig.free_port()) as r:
        for name in names:
            wrong = []
            try:
                run_case(r, ports, name, wrong)
            except (rig.Failed, OSError, ValueError) as e:
                wrong.append(str(e))
            if wrong:
                failed += 1
                print('FAIL %s\n  %s' % (name, '\n  '.join(wrong[:12])))
        rc, out, _ = r.verb('verify', check=False)
        if rc:
            failed += 1
            print('FAIL verify\n' + out)
        with open(r.log_path, errors='replace') as f:
            said = leaks(f.read())  # [item 64]
        if said:
            failed += 1
            print('FAIL log: it says %s' % ', '.join(said))
    print('%d passed, %d failed' % (len(names) - failed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
