#!/usr/bin/env python3
"""conformance - which test stands for which item of the conformance checklist (STANDARDS section 10).

    conformance.py [--missing] [ROOT]

A test names its items in a comment:      /* [item 24] */      // [item 24]      # [item 24] [item 25]
or, in the expect.json of a fixture:       "_": "[item 24] what it shows"
Every text file below tests/ is read. Prints item, title and place; exits 1 when an item of a required range has no test,
or a marker names an item that does not exist.
"""
import os
import re
import sys

# (first, last, group, required). A later issue sets its range to True and adds the titles of its items below.
RANGES = [
    (1, 18, 'MLLP', True),
    (19, 46, 'Encoding', True),
    (47, 64, 'Acknowledgement', True),
    (65, 78, 'Structures', True),
    (79, 87, 'Reading', True),
    (88, 107, 'FHIR', True),
    (108, 140, 'Derivation, matching, Go.Data and safety', True),
]

# Items inside a required range that a later issue brings, and why.
LATER = {
    14: 'TLS on MLLP',
    15: 'TLS on MLLP',
}

TITLES = {
    1: 'one frame in one write: one reply, durable before its first byte',
    2: 'a frame that comes byte by byte',
    3: 'three frames in one write, replies in order',
    4: 'frame end FS LF, or FS and silence; strict mode refuses',
    5: 'line ends, NUL and blanks between frames',
    6: 'a new VT inside a frame: the first part is truncated',
    7: 'half a message, then the end of the stream',
    8: 'half-closed peer still gets its reply',
    9: 'peer gone before the reply; its resend gets the stored one',
    10: 'empty frame',
    11: 'frame over the size limit',
    12: 'idle for a day stays open; a gap inside a frame does not',
    13: 'MLLP release 2 accept blocks',
    14: 'mutual TLS turns strangers away',
    15: 'old TLS and weak suites',
    16: 'client mode: back-off and later success',
    17: 'kill -9 right after the reply',
    18: 'disk full: 207, never an acceptance',
    19: 'other delimiters, echoed in the reply',
    20: 'truncation character',
    21: 'two encoding characters: the others are plain text',
    22: 'unusable delimiters: AR 102',
    23: 'CR, CRLF, LF and mixed line ends',
    24: 'the five delimiter escapes',
    25: 'formatting escapes',
    26: 'hex escapes, unknown and lone escapes kept',
    27: 'the delete indicator',
    28: 'unknown segments, fields and components',
    29: 'Latin-1 declared: record in UTF-8, raw untouched',
    30: 'Big5 trail bytes that look like delimiters',
    31: 'ISO-2022-JP names',
    32: 'no charset declared: UTF-8 guessed, else the default',
    33: 'declared UTF-8 with a bad byte in PID-5',
    34: 'unknown charset code',
    35: 'byte order mark',
    36: 'date precisions kept',
    37: 'local day after midnight',
    38: 'time zone: field, MSH-7, channel',
    39: 'dates that are none',
    40: 'numbers keep their text; no number, no number',
    41: 'batch of three with right counts',
    42: 'batch with a wrong count',
    43: 'ADD joins a broken segment',
    44: 'DSC fragments joined; a missing one is noticed',
    45: 'spellings of MSH-9 over all versions',
    46: 'sequence number protocol',
    47: 'original mode: one AA with the control id as sent',
    48: 'enhanced mode: CA, AA, both, none',
    49: 'MSH-15 ER: silence on success, CE or CR on error',
    50: 'unknown type 200, unknown event 201',
    51: 'training message 202, never delivered',
    52: 'unknown version 203',
    53: 'control id missing: 101 with its place',
    54: 'value without a type',
    55: 'unknown OBX-11: 103, nothing of the message delivered',
    56: 'old ERR-1 form and MSA-3 by version',
    57: 'the header of a reply',
    58: 'profile id echoed',
    59: 'an acknowledgement is never acknowledged',
    60: 'garbage without MSH',
    61: 'no case or no mapping: accepted and held',
    62: 'the same message twice',
    63: 'control id used again for other content',
    64: 'no patient data in ERR and log',
    65: 'two patients, one of them unmatched',
    66: 'OBX before or without OBR',
    67: 'SPM before the results',
    68: 'OBX after SPM is no result',
    69: 'notes belong to their owner',
    70: 'OUL^R22 with twelve specimens',
    71: 'OUL^R24: specimen after the order',
    72: 'quality control by role or by inventory marker',
    73: 'pooled specimens held',
    74: 'questions and supplemental rows are no results',
    75: 'R40 filtered, R30 off by default',
    76: 'ADT^A40: alias and review',
    77: 'nothing of one patient leaks into the next',
    78: 'ORC-1 history and cancellation',
    79: 'identifier roles, leading zeros',
    80: 'which name is the name',
    81: 'LOINC found in the second triplet',
    82: 'structured numeric as text',
    83: 'PDF kept by its hash',
    84: 'pointers are never fetched',
    85: 'repeated values in order',
    86: 'which specimen id is the id',
    87: 'cancelled report with a final value: held',
    88: 'transaction: an answer for each entry, in order',
    89: 'transaction is all or nothing, batch is each by itself',
    90: 'golden vector 2: XML and JSON give one record',
    91: 'references of all kinds; nothing is fetched',
    92: 'circular hasMember ends with a warning',
    93: 'unknown modifier refused, unknown extension accepted',
    94: 'decimals keep their text',
    95: 'no birth date, with a reason',
    96: 'components are results of their own',
    97: 'each status and what becomes of it',
    98: 'conditional create and update: none, one, several',
    99: '415, 406 and 413',
    100: 'Prefer',
    101: '$process-message',
    102: 'hostile JSON and XML: 400 and bounded memory',
    103: 'R5 is refused by the name of its element',
    104: 'CapabilityStatement lists what is supported',
    105: 'kinds of Bundle that HTTP does not take',
    106: 'store not writable: 503, never 2xx',
    107: 'HL7 v2 over HTTP',
    108: 'codes and texts of the result vocabulary',
    109: 'negations and qualifiers in words',
    110: 'value and interpretation contradict',
    111: 'A, H or N alone',
    112: 'a comparator that cannot be decided',
    113: 'cancelled, rejected, invalid: never NEGATIVE',
    114: 'the reference range is not the result',
    115: 'vaccine strain of measles',
    116: 'unmapped LOINC, wrong check digit',
    117: 'single targets and the overall result',
    118: 'reference code missing or inactive',
    119: 'a sample id known in Go.Data',
    120: 'identifier agrees, birth date or sex does not; sample and patient disagree (120a)',
    121: 'name and birth date only',
    122: 'contact whose results are not shown',
    123: 'no match: parked, delivered once when the case appears',
    124: 'identifiers that Go.Data reads as dates or words',
    125: 'AB12 is not AB-12',
    126: 'P, F, C are one record',
    127: 'F after C changes nothing',
    128: 'withdrawn: deleted, or cleared when a person worked on it',
    129: 'connection cut after the POST',
    130: 'Go.Data away for 20 minutes',
    131: '401 once; LOGIN_FAILED',
    132: "a person's text and a person's result survive",
    133: 'create case: duplicates, classification, address',
    134: 'final without a result',
    135: 'a delivered message replayed',
    136: 'bad new configuration',
    137: 'SIGTERM under load',
    138: 'the sums balance at the end of any test',
    139: 'no patient in a URL',
    140: 'golden message',
}

MARKER = re.compile(r'(?:/\*|//|#|^\s*\*|^\s*"_"\s*:).*?\[item\s+\d')
NUMBER = re.compile(r'\[item\s+(\d+)\]')
MAX_BYTES = 1 << 20


def scan(root):
    """{item: ['path:line', ...]} of all markers below root, paths relative to its parent."""
    found = {}
    me = os.path.abspath(__file__)
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            if os.path.abspath(path) == me or os.path.islink(path) or os.path.getsize(path) > MAX_BYTES:
                continue
            with open(path, 'rb') as f:
                data = f.read()
            if b'\0' in data or b'[item' not in data:
                continue
            for number, line in enumerate(data.decode('utf-8', 'replace').splitlines(), 1):
                if MARKER.search(line):
                    for item in NUMBER.findall(line):
                        found.setdefault(int(item), []).append('%s:%d' % (os.path.relpath(path, os.path.dirname(root)), number))
    return found


def main(argv):
    only_missing = '--missing' in argv
    rest = [a for a in argv if not a.startswith('--')]
    root = os.path.abspath(rest[0] if rest else os.path.dirname(os.path.abspath(__file__)))
    found = scan(root)
    missing = required = 0
    for first, last, group, is_required in RANGES:
        if not is_required and not any(first <= n <= last for n in found):
            if not only_missing:
                print('%d-%d %s: later' % (first, last, group))
            continue
        if not only_missing:
            print('%d-%d %s' % (first, last, group))
        for item in range(first, last + 1):
            places = found.get(item, [])
            state = ' '.join(places[:3]) + (' and %d more' % (len(places) - 3) if len(places) > 3 else '')
            if is_required and item not in LATER:
                required += 1
                if not places:
                    missing += 1
                    state = 'NO TEST'
            elif not places:
                state = 'later: ' + LATER.get(item, group)
            if not only_missing or state == 'NO TEST':
                print('  %3d  %-62s %s' % (item, TITLES.get(item, '-'), state))
    last_item = RANGES[-1][1]
    unknown = sorted(n for n in found if not 1 <= n <= last_item)
    for item in unknown:
        print('no such item: %d at %s' % (item, found[item][0]))
    print('%d of %d required items have a test, %d have none' % (required - missing, required, missing))
    return 1 if missing or unknown else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
