#!/usr/bin/env python3
"""suite_canary - the logs of every engine that the tests of this run started (tests/lib/rig.py keeps them in $LABRELAY_LOG_KEEP) name no patient.

Looked for: the names, streets and identifiers of the PID segments of the fixtures, the people of the end-to-end tests, and the marks of
tests/e2e/canary.py. Without logs it is skipped (exit 77); with logs that say too little, or when the search cannot find a planted line, it fails.
"""
import glob
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PEOPLE = {'Okello', 'Amina', 'OKELLO', 'AMINA'}
SHAPES = r'CA-\d{10}|zqk|ZQK|31415926'
# names of people that are words of our own, too: of channels, writers, analyzers, verbs
OURS = {'Test', 'TEST', 'test', 'Control', 'CONTROL', 'Unknown', 'UNKNOWN', 'Patient', 'PATIENT', 'Kampala', 'Africa', 'other', 'Nobody', 'Practice'}


def of_pid(line):
    """Names (PID-5, 6, 9), streets (PID-11.1) and identifiers (PID-3.1) of a PID segment."""
    f = line.split('|')
    for i, parts in ((3, 1), (5, 3), (6, 2), (9, 2), (11, 1)):
        for repeat in (f[i].split('~') if i < len(f) else []):
            for c in re.split(r'[&^]', repeat)[:parts]:
                yield re.sub(r'\\[^\\]*\\', '', c)


def names():
    """The people of the fixtures and of the end-to-end tests."""
    found = set(PEOPLE)
    for path in glob.glob(os.path.join(HERE, '..', 'fixtures', '*', '*', '*')) + glob.glob(os.path.join(HERE, '*.py')):
        if path.endswith('suite_canary.py') or not os.path.isfile(path):
            continue
        text = open(path, 'rb').read().decode('latin-1')
        for line in re.findall(r'PID\|[^\r\n\'"]+', text):
            found.update(of_pid(line))
        found.update(re.findall(r"""['"](?:firstName|middleName|lastName|family|given|line|visualId)['"]: *\[?['"]([^'"]+)['"]""", text))
    return {n for n in found if len(n) >= 5 and n not in OURS and re.fullmatch(r"[A-Za-z0-9' -]+", n) and not re.fullmatch(r'\d{1,8}|\d{4}-\d\d-\d\d', n)}


def search(pattern, text):
    text = re.sub(r' control=\S+', '', text)        # a control id is the sender's number for a message: STANDARDS S21 lets it be logged
    m = pattern.search(text)
    return m and text[text.rfind('\n', 0, m.start()) + 1:m.end() + 20]


def main():
    folder = os.environ.get('LABRELAY_LOG_KEEP', '')
    logs = sorted(glob.glob(os.path.join(folder, '*.log'))) if folder else []
    if not logs:
        print('SKIPPED: no engine ran before in this run, so there is no log to look through')
        return 77
    words = names()
    pattern = re.compile(r'(?<![A-Za-z0-9])(?:%s)(?![A-Za-z0-9])|%s' % ('|'.join(sorted(map(re.escape, words), key=len, reverse=True)), SHAPES))
    lines = bad = size = stored = 0
    for path in logs:
        text = open(path, errors='replace').read()
        size += len(text)
        lines += text.count('\n')
        stored += text.count(' stored ')
        hit = search(pattern, text)
        if hit:
            bad += 1
            print('%s: %s' % (os.path.basename(path), hit))
    control = search(pattern, '2026-11-21T10:00:00.000Z level=info msg=m1 stored channel=lab\n2026-11-21T10:00:00.000Z level=info hello name=Okello\n')
    if not control or search(pattern, '2026-11-21T10:00:00.000Z level=info msg=m1 stored channel=lab control=Okello\n'):
        print('the search itself does not work')
        return 1
    if len(words) < 30 or lines < 20 * len(logs) / 4 or not stored:
        print('too little was looked through: %d logs, %d lines, %d messages stored, %d names' % (len(logs), lines, stored, len(words)))
        return 1
    print('%d names and identifiers, %d logs, %d lines (%d bytes), %d stored messages: %d logs name somebody' % (len(words), len(logs), lines, size, stored, bad))
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
