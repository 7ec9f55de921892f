#!/usr/bin/env python3
"""view - show one HL7 v2 file the way a person judges it: the fields that decide its outcome, one segment a line.

    view.py FILE...

Used to write outcomes.tsv by hand. It judges nothing; "T" before an OBX says that a code of OBX-3 is in tests.tsv.
"""
import csv
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import hl7  # noqa: E402

SHOWN = {
    'MSH': (2, 3, 4, 9, 10, 11, 12, 15, 16, 18), 'PID': (2, 3, 4, 19), 'ORC': (1, 2, 3, 5), 'OBR': (2, 3, 4, 11, 15, 25, 26, 29, 49),
    'OBX': (1, 2, 3, 4, 5, 6, 8, 11, 29), 'SPM': (2, 3, 4, 11, 20, 21, 30), 'SAC': (3, 4), 'INV': (1, 2, 3), 'NTE': (2, 3),
    'MSA': (1, 2), 'DSC': (1, 2), 'BTS': (1,), 'FTS': (1,), 'TXA': (2,),
}


def tests():
    shared = os.environ.get('LABRELAY_SHARED') or os.path.join(
        os.path.dirname(os.path.abspath(__file__)), '..', '..', '..', 'shared')
    with open(os.path.join(shared, 'facts', 'tests.tsv'), encoding='utf-8', newline='') as f:
        return {r[1]: r for r in csv.reader(f, delimiter='\t', quoting=csv.QUOTE_NONE) if len(r) > 4}


def show(path, known):
    with open(path, 'rb') as f:
        segs = hl7.segments(f.read())
    print('=== ' + path)
    sep, comp = b'|', b'^'
    for seg in segs:
        name = hl7.text(seg[:3])
        if name in ('MSH', 'FHS', 'BHS') and len(seg) > 4:
            head = hl7.Header(seg)
            sep, comp = head.sep, head.comp
        names = SHOWN.get(name.upper(), ())
        at = (lambda n: hl7.Header(seg).field(n)) if name in ('MSH', 'FHS', 'BHS') else (lambda n: hl7.field(seg, sep, n))
        cells = ['%d=%s' % (n, hl7.text(at(n))[:70].replace('\n', '<LF>')) for n in names if at(n)]
        mark = ' '
        if name == 'OBX':
            codes = [hl7.text(c) for c in hl7.field(seg, sep, 3).split(comp)] if comp else []
            mark = 'T' if any(c in known for c in codes) else ' '
        print('%s %s %s' % (mark, name, '  '.join(cells)))


if __name__ == '__main__':
    table = tests()
    for p in sys.argv[1:]:
        show(p, table)
