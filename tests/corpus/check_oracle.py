#!/usr/bin/env python3
"""check_oracle - the corpus oracle against itself, without labrelay.

Three looks at one truth must agree: the table of replies in STANDARDS 3.3 (written out below), the predictor, and what a
person wrote in outcomes.tsv. Also: the chosen files are those of the seed, and every line of outcomes.tsv adds up.
Exit 0, 1 on a difference, 77 when the corpus is missing (the rows that need no corpus are checked before).
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import choose  # noqa: E402
import predict_ack as p  # noqa: E402
import run_corpus  # noqa: E402

# MSH-15, MSH-16, reply when accepted, when refused for MSH-9/11/12, when refused for content. "-" is silence.
REPLIES = [
    ('', '', 'AA', 'AR', 'AE'), ('AL', 'NE', 'CA', 'CR', 'CE'), ('ER', 'NE', '-', 'CR', 'CE'), ('SU', 'NE', 'CA', '-', '-'),
    ('NE', 'AL', 'AA', 'AR', 'AE'), ('ER', 'AL', 'AA', 'CR', 'AE'), ('AL', 'AL', 'CA+AA', 'CR', 'CA+AE or CE'),
    ('NE', 'NE', '-', '-', '-'), ('AL', '', 'CA', 'CR', 'CE'), ('', 'AL', 'AA', 'AR', 'AE'), ('NE', 'ER', '-', 'AR', 'AE'),
    ('NE', 'SU', 'AA', '-', '-'), ('YES', 'NO', 'AA', 'AR', 'AE'),
]
# MSH-9, MSH-10, MSH-11, MSH-12, MSH-18, MSA-1 and ERR-3 in original mode, for a body of one OBR and one OBX.
HEADERS = [
    ('ORU^R01', 'A', 'P', '2.5', '', 'AA'), ('ORU', 'A', 'P', '2.1', '', 'AA'), ('ORU_R01', 'A', '', '', '', 'AA'),
    ('ORU^^ORU_R01', 'A', 'P^T', '2.8.2', '', 'AA'), ('ORU^R32^ORU_R30', 'A', 'P', '2.5.1^DEU', '', 'AA'),
    ('ORU^R30', 'A', 'P', '2.5', '', 'AA'), ('ORU^R40', 'A', 'P', '2.8', '', 'AA'), ('OUL^R22^OUL_R22', 'A', 'P', '2.5.1', '', 'AA'),
    ('OUL^R21', 'A', 'P', '2.4', '', 'AR 201'), ('ORU^W01', 'A', 'P', '2.4', '', 'AR 201'), ('ADT^A01', 'A', 'P', '2.4', '', 'AR 200'),
    ('', 'A', 'P', '2.4', '', 'AR 200'), ('ORU^R01', 'A', 'P', '3.0', '', 'AR 203'), ('ORU^R01', 'A', 'T', '3.0', '', 'AR 203'),
    ('ORU^R01', '', 'T', '2.5', '', 'AR 202'), ('ORU^R01', '', 'P', '2.5', 'FOO', 'AE 101'), ('ORU^R01', 'A', 'P', '2.3.z', 'FOO', 'AE 103'),
    ('ORU^R01', 'A', 'P', '2.5', '8859/15', 'AA'), ('ORU^R01', 'A', 'P', '2.5', 'UNICODE UTF-8', 'AA'),
    ('ACK^R01', 'A', 'P', '2.5', '', '-'),
]


def said(message):
    return ' or '.join(('+'.join(c) or '-') + (' ' + e if e else '') for c, e in message.sequences())


def check_tables(tally):
    for accept, application, *want in REPLIES:
        seen = []
        for kind in (p.ACCEPT, p.REJECT, p.ERROR):
            bits = b'MSH|^~\\&|||||||ORU^R01|1|P|2.5|||%s|%s' % (accept.encode(), application.encode())
            msh = p.hl7.Header(bits)
            codes = p.reply_codes(kind, p.ack_condition(msh, 15), p.ack_condition(msh, 16))
            seen.append(' or '.join('+'.join(c) or '-' for c in codes))
        tally.check(seen == want, 'MSH-15 "%s" MSH-16 "%s"' % (accept, application), 'got %s' % seen)
    for kind, control, processing, version, charset, want in HEADERS:
        msh = '|'.join(['MSH', '^~\\&', 'A', 'B', 'C', 'D', '2026', '', kind, control, processing, version, '', '', '', '', '', charset])
        frame = p.predict((msh + '\rOBR|1|||X\rOBX|1|ST|X||1||||||F\r').encode())
        got = said(frame.messages[0])
        tally.check(got == want, 'MSH-9 "%s" 10 "%s" 11 "%s" 12 "%s" 18 "%s"' % (kind, control, processing, version, charset),
                    'got %s, want %s' % (got, want))
    for bad in ('MSH', 'MSH|', 'MSH||A', 'MSH|^~\\^|A', 'MSH|A~\\&|A', 'MSH|^~\\&#!|A', 'MSH|^~\\ |A', 'EVN|A01', ''):
        got = said(p.predict(bad.encode()).messages[0])
        tally.check(got == 'AR 102', 'header %r' % bad, 'got ' + got)


def check_outcomes(tally, corpus):
    outcomes = run_corpus.read_outcomes()
    chosen = choose.choose(choose.manifest(corpus))
    tally.check(list(outcomes)[:choose.FILES] == chosen, 'outcomes.tsv begins with the files of the seed')
    for path, row in outcomes.items():
        with open(os.path.join(corpus, path), 'rb') as f:
            frame = p.predict(f.read())
        pairs = [m.sequences()[0] for m in frame.messages]
        spoken = [pair for pair in pairs if pair[0]]
        reply = ','.join('+'.join(codes) for codes, _ in spoken) or '-'
        err3 = ','.join(e or '-' for _, e in spoken) or '-'
        stored = 'yes' if any(run_corpus.is_stored(m) for m in frame.messages) else 'no'
        tally.check((reply, err3, stored) == (row['reply'], row['err3'], row['stored']), path,
                    'predicted %s %s stored %s' % (reply, err3, stored))
        counts = [row[k] for k in ('results', 'part_of', 'dropped', 'held')]
        if '?' not in counts:
            held = 0 if row['held'] == '-' else sum(int(h.split(':')[1]) for h in row['held'].split(','))
            tally.check(int(row['obx']) == sum(int(n) for n in counts[:3]) + held, path + ' adds up', str(counts))


def main():
    tally = run_corpus.Tally(False)
    check_tables(tally)
    corpus = choose.default_corpus()
    is_there = os.path.isdir(os.path.join(corpus, 'hl7v2'))
    if is_there:
        check_outcomes(tally, corpus)
    print('%d passed, %d failed' % (tally.passed, tally.failed))
    if not is_there:
        print('SKIP: no corpus at %s (set LABRELAY_SHARED); outcomes.tsv WAS NOT CHECKED' % corpus, file=sys.stderr)
    return 1 if tally.failed else 0 if is_there else 77


if __name__ == '__main__':
    sys.exit(main())
