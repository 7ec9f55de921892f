#!/usr/bin/env python3
"""run_corpus - send the HL7 v2 corpus to labrelay over MLLP and hold every reply against predict_ack.

    LABRELAY=build/labrelay run_corpus.py [--sample N | --full] [--keep] [--verbose]

One connection is reused and opened again when the engine closes it. After each file a sentinel follows, a message of a
type that nobody handles and that is always refused: its reply tells that the file's own replies, or its silence, are over.
Then the engine is stopped, `labrelay verify` recounts both sums, and `labrelay explain` says what became of the results:
that is held against outcomes.tsv and printed by source.

--sample N takes an Nth of the files (default 10), half of them from outcomes.tsv; --full takes all.
Exit 0 all right, 1 a disagreement, crash, leak or imbalance, 77 the corpus is missing.
"""
import argparse
import csv
import os
import random
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'lib'))
sys.path.insert(0, HERE)
import engine  # noqa: E402
import hl7  # noqa: E402
import mllp  # noqa: E402
import predict_ack  # noqa: E402
from choose import default_corpus  # noqa: E402

WAIT = 20.0
MAX_SILENCES = 3                # so many files without a reply to their sentinel end the run
SENTINEL = 'MSH|^~\\&|SENTINEL|CORPUS|||20260101000000||ZZZ^Z99|%s|P|2.5\r'


class Tally:
    def __init__(self, is_verbose):
        self.passed = self.failed = 0
        self.is_verbose = is_verbose

    def check(self, is_right, name, why=''):
        if is_right:
            self.passed += 1
        else:
            self.failed += 1
        if not is_right or self.is_verbose:
            print('%s %s%s' % ('ok  ' if is_right else 'FAIL', name, ': ' + why if why else ''))
        return is_right


class Source:
    """A row of the printed table."""

    def __init__(self):
        self.files = self.messages = self.accepted = self.records = self.results = self.aside = self.wrong = 0
        self.refused = {}
        self.held = {}


def hl7_files(corpus):
    out = []
    for folder, _, names in os.walk(os.path.join(corpus, 'hl7v2')):
        out += [os.path.relpath(os.path.join(folder, n), corpus) for n in names]
    return sorted(out)


def choose_files(files, one_in, by_hand):
    """Every one_in-th file; half of the places go to files whose outcome is written by hand."""
    if one_in <= 1:
        return files
    first = [f for f in files if f in by_hand]
    rest = [f for f in files if f not in by_hand]
    rng = random.Random(one_in)
    rng.shuffle(first)
    rng.shuffle(rest)
    places = max(1, len(files) // one_in)
    first = first[:places // 2]
    return sorted(first + rest[:places - len(first)])


# --- sending -----------------------------------------------------------------------------------------------------

class Line:
    """The MLLP connection, opened on demand."""

    def __init__(self, port):
        self.port = port
        self.client = None
        self.number = 0

    def exchange(self, raw):
        """Send one file and its sentinel: (reply payloads, note). The note says when the engine closed or kept silent."""
        self.number += 1
        mark = ('SENT%06d' % self.number).encode()
        frames = []
        try:
            if self.client is None:
                self.client = mllp.Client('127.0.0.1', self.port)
            self.client.send(raw)
            self.client.send((SENTINEL % mark.decode()).encode())
            while True:
                payload = self.client.read(WAIT)
                if mark in payload and any(a.control_id == mark for a in hl7.acks(payload)[1]):
                    return frames, ''
                frames.append(payload)
        except mllp.Closed:
            self.drop()
            return frames, 'connection closed'
        except mllp.Timeout:
            self.drop()
            return frames, 'no reply to the sentinel in %d s' % WAIT
        except OSError as e:
            self.drop()
            return frames, 'socket: %s' % e.strerror

    def drop(self):
        if self.client is not None:
            self.client.close()
        self.client = None


# --- comparing ---------------------------------------------------------------------------------------------------

def compare(frame, payloads):
    """'' when the replies are right, else what is wrong (codes only, no content)."""
    replies = [hl7.acks(p) for p in payloads]
    acks = [a for _, some in replies for a in some]
    if frame.is_batch and len(payloads) > 1:
        return '%d reply frames to one batch' % len(payloads)
    if frame.is_batch and payloads and not replies[0][0]:
        return 'the reply to a batch is no batch'
    if not frame.is_batch and any(is_batch or len(some) != 1 for is_batch, some in replies):
        return 'a reply frame does not hold exactly one ACK'
    if fits(frame.messages, acks):
        return ''
    said = ' '.join(a.code + ('/' + a.refusal if a.refusal else '') for a in acks) or 'nothing'
    return 'expected %s, got %s' % (' then '.join(describe(m) for m in frame.messages) or 'nothing', said)


def fits(messages, acks):
    """True when the acks are, in order, one of the right sequences of each message."""
    if not messages:
        return not acks
    first, rest = messages[0], messages[1:]
    for codes, err3 in first.sequences():
        n = len(codes)
        if n <= len(acks) and all(matches(first, code, err3, a) for code, a in zip(codes, acks[:n])) \
                and fits(rest, acks[n:]):
            return True
    return False


def matches(message, code, err3, ack):
    if ack.code != code or (code in ('AA', 'CA') and ack.refusal):
        return False
    if code not in ('AA', 'CA') and ack.refusal != err3:
        return False
    want = message.control_id
    if any(c < 0x20 or c > 0x7e for c in want):
        return ack.control_id != b''              # a broken control id: that it is echoed at all is enough
    return ack.control_id.strip(b' ') == want


def describe(message):
    return ' or '.join(('+'.join(c) or 'nothing') + ('/' + e if e else '') for c, e in message.sequences())


def outcome_differences(row, seen, reply):
    """What a line of outcomes.tsv and the engine do not agree on: list of texts."""
    out = []
    want = {'records': row['records'], 'obx': row['obx'], 'results': row['results']}
    if '?' not in (row['part_of'], row['dropped']):
        want['aside'] = str(int(row['part_of']) + int(row['dropped']))
    for name, value in want.items():
        if value != '?' and int(value) != seen[name]:
            out.append('%s: by hand %s, engine %d' % (name, value, seen[name]))
    parts = [] if row['held'] in ('-', '?') else [part.split(':') for part in row['held'].split(',')]
    if row['held'] != '?' and {k: int(n) for k, n in parts} != seen['held']:
        out.append('held: by hand %s, engine %s' % (row['held'], ' '.join('%s:%d' % i for i in sorted(seen['held'].items())) or '-'))
    if reply is not None and reply != (row['reply'], row['err3']):
        out.append('reply: by hand %s %s, engine %s %s' % (row['reply'], row['err3'], *reply))
    return out


def reply_columns(frame, payloads):
    """The replies in the notation of outcomes.tsv: ('AR,AR', '202,202'). Two acks with one control id belong together."""
    acks = [a for p in payloads for a in hl7.acks(p)[1]]
    if not acks:
        return '-', '-'
    if len(frame.messages) == 1:
        return '+'.join(a.code for a in acks), acks[-1].refusal or '-'
    return ','.join(a.code for a in acks), ','.join(a.refusal or '-' for a in acks)


def read_outcomes():
    with open(os.path.join(HERE, 'outcomes.tsv'), encoding='utf-8', newline='') as f:
        lines = [line for line in f if not line.startswith('#')]
    return {r['file']: r for r in csv.DictReader(lines, delimiter='\t', quoting=csv.QUOTE_NONE)}


# --- the run -----------------------------------------------------------------------------------------------------

def send_all(relay, corpus, files, tally, sources):
    """{file: (frame prediction, payloads)} of all files; a crash ends it."""
    line = Line(relay.port)
    seen = {}
    silences = 0
    for path in files:
        with open(os.path.join(corpus, path), 'rb') as f:
            raw = f.read()
        frame = predict_ack.predict(raw)
        payloads, note = line.exchange(raw)
        source = sources.setdefault(path.split('/')[1], Source())
        source.files += 1
        source.messages += len(frame.messages)
        wrong = compare(frame, payloads)
        if note:
            wrong = (wrong + '; ' if wrong else '') + note
        if not tally.check(not wrong, path, wrong):
            source.wrong += 1
        for payload in payloads:
            for ack in hl7.acks(payload)[1]:
                if ack.code not in ('AA', 'CA'):
                    key = '%s %s' % (ack.code, ack.refusal or '?')
                    source.refused[key] = source.refused.get(key, 0) + 1
        seen[path] = (frame, payloads)
        silences += 'no reply' in note
        if silences >= MAX_SILENCES:
            tally.check(False, 'engine', 'it does not answer; the other files were not sent')
            break
        if not relay.is_alive():
            tally.check(False, 'engine', 'it died on %s\n%s' % (path, relay.log_tail()))
            break
    line.drop()
    return seen


def is_stored(message):
    return any(kind == predict_ack.ACCEPT for kind, _ in message.outcomes)


def explain_all(relay, corpus, seen, outcomes, tally, sources):
    """Ask for the fate of the results of every file that has an accepted message or a line in outcomes.tsv."""
    for path, (frame, payloads) in sorted(seen.items()):
        source = sources[path.split('/')[1]]
        stored = [m for m in frame.messages if is_stored(m)]
        source.accepted += len(stored)
        silent = [m for m in frame.messages if not is_stored(m) and m.sequences() == [((), '')]]
        if silent:
            source.refused['silent'] = source.refused.get('silent', 0) + len(silent)
        row = outcomes.get(path)
        fate = {'records': 0, 'obx': 0, 'results': 0, 'aside': 0, 'held': {}}
        try:
            if stored:
                fate = relay.explain(os.path.join(corpus, path))
        except (engine.Shape, OSError, ValueError) as e:
            tally.check(False, path, 'explain: %s' % e)
            continue
        source.records += fate['records']
        source.results += fate['results']
        source.aside += fate['aside']
        for key, n in fate['held'].items():
            source.held[key] = source.held.get(key, 0) + n
        if row is not None:
            wrong = outcome_differences(row, fate, reply_columns(frame, payloads))
            if not tally.check(not wrong, 'by hand ' + path, '; '.join(wrong)):
                source.wrong += 1


def print_table(sources):
    counts = lambda d: ' '.join('%s:%d' % (k.replace(' ', '/'), n) for k, n in sorted(d.items())) or '-'  # noqa: E731
    print('\n%-24s %5s %5s %5s %5s %5s %5s %5s  %s' % (
        'source', 'files', 'msgs', 'taken', 'recs', 'send', 'aside', 'wrong', 'refused | held'))
    total = Source()
    for name in sorted(sources) + ['all']:
        s = total if name == 'all' else sources[name]
        print('%-24s %5d %5d %5d %5d %5d %5d %5d  %s | %s' % (
            name, s.files, s.messages, s.accepted, s.records, s.results, s.aside, s.wrong, counts(s.refused), counts(s.held)))
        for field in ('files', 'messages', 'accepted', 'records', 'results', 'aside', 'wrong'):
            setattr(total, field, getattr(total, field) + getattr(s, field))
        for mine, theirs in ((total.refused, s.refused), (total.held, s.held)):
            for key, n in theirs.items() if s is not total else ():
                mine[key] = mine.get(key, 0) + n
    print()


def run(corpus, files, folder, tally):
    relay = engine.Engine(folder)
    sources = {}
    try:
        relay.start()
        seen = send_all(relay, corpus, files, tally, sources)
        print('status: ' + relay.status())
    finally:
        code = relay.stop()
    report = relay.sanitizer_report()
    tally.check(code == 0 and not report, 'clean stop', '' if code == 0 and not report else
                'exit %s %s\n%s' % (code, report, relay.log_tail()))
    balanced, said = relay.verify()
    tally.check(balanced, 'verify', said)
    print('verify: ' + said)
    try:
        print('held: ' + ' '.join('%s:%d' % i for i in sorted(relay.held_reasons().items())))
    except engine.Shape as e:
        tally.check(False, 'held list', str(e))
    explain_all(relay, corpus, seen, read_outcomes(), tally, sources)
    print_table(sources)


def main():
    args = argparse.ArgumentParser(description='send the HL7 v2 corpus to labrelay and compare every reply')
    args.add_argument('--sample', type=int, default=10, metavar='N', help='an Nth of the files (default 10)')
    args.add_argument('--full', action='store_true', help='all files')
    args.add_argument('--keep', action='store_true', help='keep the temporary folder (store, config, log)')
    args.add_argument('--verbose', action='store_true', help='name what passed, too')
    opt = args.parse_args()
    corpus = default_corpus()
    if not os.path.isdir(os.path.join(corpus, 'hl7v2')):
        print('SKIP: no corpus at %s (set LABRELAY_SHARED); NOTHING WAS TESTED' % corpus, file=sys.stderr)
        return 77
    binary = os.environ.get('LABRELAY') or 'labrelay'
    if not shutil.which(binary):
        print('FAIL: no labrelay binary (set LABRELAY)', file=sys.stderr)
        return 1
    files = choose_files(hl7_files(corpus), 1 if opt.full else opt.sample, read_outcomes())
    tally = Tally(opt.verbose)
    folder = tempfile.mkdtemp(prefix='labrelay-corpus-')
    start = time.monotonic()
    try:
        run(corpus, files, folder, tally)
    except (RuntimeError, OSError) as e:
        tally.check(False, 'run', str(e))
    finally:
        if opt.keep:
            print('kept: ' + folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print('%d files in %.1f s: %d passed, %d failed' % (len(files), time.monotonic() - start, tally.passed, tally.failed))
    return 1 if tally.failed else 0


if __name__ == '__main__':
    sys.exit(main())
