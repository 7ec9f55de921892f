#!/usr/bin/env python3
"""predict_ack - what labrelay must answer to an HL7 v2 payload, foretold without its code.

    predict_ack.py [--no-r30] FILE...        one line per message: file, control id, replies, ERR-3, note

predict(raw) reads MSH alone: delimiters, MSH-9, 10, 11, 12, 15, 16, 18. Where MSH cannot tell, the prediction lists
the outcomes that the body may lead to, and body_outcomes() looks at the body with a naive split and says which.

Precedence when several refusals apply (the first one wins):
    102  no MSH, or its delimiters cannot be used (MSA-2 is empty, always AR: MSH-15/16 cannot be read)
    200  type not handled      201  event not handled       203  version       202  processing id
    101  MSH-10 empty          103  MSH-18 unknown          then the body: 102 bad bytes, 100, 101, 103

Decisions where the documents leave room
  * MSH-9 empty counts as a type that is not handled (AR 200).
  * Bytes before the first MSH other than BOM, blanks and line ends make the frame unreadable (AR 102), FHS and BHS excepted.
  * MSH-12 that begins with "2." or is "2" is read, whatever follows. MSH-11 absent counts as P; case matters.
  * MSA and nothing but MSH, SFT, UAC, ERR, NTE beside it: a reply, never answered. MSA with a query's own segments
    (QAK, QPD, ...) and no patient, order or result: silence and AR 200 are both right.
  * An ED value without data (its 5th component empty) is no value: OBX-3 may then be empty. QUIRKS names such a message as read.
  * MSH-18 with an empty first repetition and ISO IR87 after it declares ISO-2022-JP: bytes that are neither that nor UTF-8
    are bad bytes. MSH-18 ASCII with high bytes falls back like an absent MSH-18.
  * A lower-case OBR-25 or OBX-11 that would be known in upper case: read or refused with 103, both are right.
  * Content errors with MSH-15 AL and MSH-16 AL or ER: CA then AE, or CE alone (STANDARDS 3.3 allows both).
"""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import hl7  # noqa: E402

ACCEPT, REJECT, ERROR, UNREADABLE, SILENT = 'accept', 'reject', 'error', 'unreadable', 'silent'

READ_EVENTS = {'ORU': {'R01', 'R32', 'R40'}, 'OUL': {'R22', 'R23', 'R24'}}
CHARSETS = {
    '': None, 'ASCII': None, 'ISO IR6': None, 'ISO IR14': 'shift_jis', 'ISO IR87': 'iso2022_jp', 'JIS X 0202': 'iso2022_jp',
    'JAS2020': 'iso2022_jp', 'ISO IR159': 'iso2022_jp_2', 'GB 18030-2000': 'gb18030', 'KS X 1001': 'euc_kr',
    'CNS 11643-1992': 'x-euc-tw', 'BIG-5': 'big5hkscs', 'BIG5': 'big5hkscs', 'GBK': 'gbk', 'SHIFT_JIS': 'shift_jis',
    'UNICODE UTF-8': 'utf-8', 'UNICODE': 'utf-8', 'UTF-8': 'utf-8', 'UTF8': 'utf-8', 'UNICODE-UTF-8': 'utf-8',
    'UNICODE UTF-16': 'utf-16', 'UNICODE UTF-32': 'utf-32',
}
OBX_STATUS = set('FPCABVURSIONXDW')
OBR_STATUS = set('OSINARPMFCX')
REPLY_SEGMENTS = {b'MSH', b'SFT', b'UAC', b'MSA', b'ERR', b'NTE'}
QUERY_SEGMENTS = REPLY_SEGMENTS | {b'QAK', b'QPD', b'RCP', b'MFI', b'MFA', b'QRD', b'QRF', b'DSC'}


def charset_codec(code):
    """(known, codec) of an MSH-18 code; codec None means ASCII with its fallback."""
    key = code.strip().upper()
    if key in CHARSETS:
        return True, CHARSETS[key]
    m = re.fullmatch(r'(?:ISO[- ]?)?8859[/-](\d{1,2})', key)
    if m and int(m.group(1)) in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15):
        return True, 'cp1252' if m.group(1) == '1' else 'iso8859_' + m.group(1)
    if re.fullmatch(r'(?:WINDOWS-|CP)125\d', key):
        return True, 'cp' + key[-4:]
    return False, None


def are_delimiters_usable(seg):
    """MSH-1 and MSH-2: 1 to 5 characters, none twice, none a letter, digit, blank, control or non-ASCII character."""
    if len(seg) < 5:
        return False
    msh = hl7.Header(seg)
    chars = msh.chars
    if len(chars) == 5 and chars[3:4] == chars[2:3]:
        chars = chars[:3] + chars[4:]                 # ^~\\& : a JSON accident, read as ^~\&
    every = msh.sep + chars
    if not 1 <= len(chars) <= 5 or len(set(every)) != len(every):
        return False
    return all(0x20 < c < 0x7f and not chr(c).isalnum() for c in every)


class Prediction:
    """One message. outcomes: list of (kind, err3). More than one: MSH alone cannot tell."""

    def __init__(self, outcomes, control_id=b'', accept_ack='', application_ack='', note=''):
        self.outcomes = outcomes
        self.control_id = control_id
        self.accept_ack = accept_ack
        self.application_ack = application_ack
        self.note = note

    @property
    def depends_on_body(self):
        return len(self.outcomes) > 1

    def sequences(self):
        """Every reply sequence that is right: list of (tuple of MSA-1 codes, err3 or '')."""
        out = []
        for kind, err3 in self.outcomes:
            for codes in reply_codes(kind, self.accept_ack, self.application_ack):
                pair = (codes, err3 if codes and codes[-1] not in ('AA', 'CA') else '')
                if pair not in out:
                    out.append(pair)
        return out


def reply_codes(kind, accept_ack, application_ack):
    """STANDARDS 3.1 to 3.3: the MSA-1 codes sent, in order; a list of tuples as two may be right."""
    if kind == SILENT:
        return [()]
    if kind == UNREADABLE:
        return [('AR',)]
    if not accept_ack and not application_ack:
        return [({ACCEPT: 'AA', REJECT: 'AR', ERROR: 'AE'}[kind],)]
    a, b = accept_ack or 'NE', application_ack or 'NE'
    if kind == ACCEPT:
        return [(('CA',) if a in ('AL', 'SU') else ()) + (('AA',) if b in ('AL', 'SU') else ())]
    if kind == REJECT:
        if a in ('AL', 'ER'):
            return [('CR',)]
        return [('AR',)] if b in ('AL', 'ER') else [()]
    if b not in ('AL', 'ER'):
        return [('CE',)] if a in ('AL', 'ER') else [()]
    if a == 'AL':
        return [('CA', 'AE'), ('CE',)]
    return [('CA', 'AE')] if a == 'SU' else [('AE',)]


def ack_condition(msh, n):
    value = hl7.text(msh.field(n)).strip()
    return value if value in ('AL', 'NE', 'ER', 'SU') else ''


def message_type(msh):
    """(type, event) after the tolerances of STANDARDS 2.7: a bare ORU is R01, the structure may stand in for the event."""
    kind, event, structure = (hl7.text(msh.component(9, c)) for c in (1, 2, 3))
    if re.fullmatch(r'[A-Z]{3}_[A-Z0-9]{3}', kind) and not event:
        kind, event = kind.split('_')
    if kind == 'ORU' and not event:
        m = re.fullmatch(r'ORU_(R\d\d)', structure)
        event = m.group(1) if m else 'R01'
    if kind == 'OUL' and not event:
        m = re.fullmatch(r'OUL_(R\d\d)', structure)
        event = m.group(1) if m else ''
    return kind, event


def predict_message(segs, is_r30_read=True):
    """Prediction for one message (list of segments, MSH first)."""
    if not are_delimiters_usable(segs[0]):
        return Prediction([(UNREADABLE, '102')], note='delimiters')
    msh = hl7.Header(segs[0])
    kind, event = message_type(msh)
    p = Prediction([], msh.field(10).strip(b' '), ack_condition(msh, 15), ack_condition(msh, 16))
    names = {s[:3].upper() for s in segs}
    if kind in ('ACK', 'MCF') or (b'MSA' in names and names <= REPLY_SEGMENTS):
        p.outcomes, p.note = [(SILENT, '')], 'a reply'
    elif kind not in READ_EVENTS:
        p.outcomes = [(REJECT, '200')]
        if b'MSA' in names and names <= QUERY_SEGMENTS:
            p.outcomes.append((SILENT, ''))
            p.note = 'reply with query segments'
    elif event not in READ_EVENTS[kind] and not (event == 'R30' and kind == 'ORU' and is_r30_read):
        p.outcomes = [(REJECT, '201')]
    else:
        p.outcomes = header_fields(msh, kind, event)
    return p


def header_fields(msh, kind, event):
    version = hl7.text(msh.component(12, 1))
    if version and version != '2' and not version.startswith('2.'):
        return [(REJECT, '203')]
    if hl7.text(msh.component(11, 1)) not in ('', '""', 'P'):
        return [(REJECT, '202')]
    if msh.field(10).strip() in (b'', b'""'):
        return [(ERROR, '101')]
    first = hl7.text(msh.field(18).split(msh.rep)[0] if msh.rep else msh.field(18))
    if not charset_codec(first)[0]:
        return [(ERROR, '103')]
    if (kind, event) == ('ORU', 'R40'):
        return [(ACCEPT, '')]
    return [(ACCEPT, ''), (ERROR, '100'), (ERROR, '101'), (ERROR, '102'), (ERROR, '103')]


class Frame:
    """is_batch: one reply frame holds all; otherwise each reply is a frame of its own."""

    def __init__(self, is_batch, messages):
        self.is_batch = is_batch
        self.messages = messages


def predict(raw, is_r30_read=True, use_body=True):
    """The predictions for one payload. With use_body the outcomes are narrowed by body_outcomes().
    An FS inside the payload ends the frame: what follows never reaches the parser."""
    parts = hl7.messages(raw.split(b'\x1c')[0])
    head = parts[0]
    is_batch = bool(head) and head[0][:3] in (b'FHS', b'BHS')
    if (head and not is_batch) or (not head and len(parts) == 1):
        return Frame(False, [Prediction([(UNREADABLE, '102')], note='no MSH')])
    out = []
    for segs in parts[1:]:
        p = predict_message(segs, is_r30_read)
        if use_body and (ERROR, '100') in p.outcomes:
            p.outcomes = body_outcomes(segs)
        out.append(p)
    return Frame(is_batch, out)


# --- the body, naively -------------------------------------------------------------------------------------------

def declared_codecs(msh):
    reps = msh.field(18).split(msh.rep) if msh.rep else [msh.field(18)]
    codecs = [charset_codec(hl7.text(r))[1] for r in reps]
    if codecs[0] is None:
        codecs = [c for c in codecs[1:] if c] or [None]
    return codecs[0]


def decode(segs, codec):
    """(segments as text, True when a byte cannot be read). UTF-8 is tried first for one-byte charsets, as QUIRKS says.
    Text that cannot be read comes back with U+FFFD in it."""
    raw = b'\r'.join(segs)
    if codec in (None, 'cp1252') or (codec or '').startswith('iso8859') or (codec or '').startswith('cp125') \
            or codec == 'iso2022_jp':
        try:
            return raw.decode('utf-8').split('\r') if b'\x1b' not in raw else raw.decode('iso2022_jp').split('\r'), False
        except UnicodeDecodeError:
            if codec is None or codec.startswith('cp125') or codec.startswith('iso8859'):
                return raw.decode('latin-1').split('\r'), False      # every byte has a meaning there
    try:
        return raw.decode(codec).split('\r'), False
    except (UnicodeDecodeError, LookupError):
        return raw.decode(codec if codec != 'x-euc-tw' else 'latin-1', 'replace').split('\r'), True


def body_outcomes(segs):
    """The outcomes of a message whose MSH is in order, from a naive look at OBR and OBX."""
    msh = hl7.Header(segs[0])
    lines, is_bad = decode(segs, declared_codecs(msh))
    sep, comp, rep = hl7.text(msh.sep), hl7.text(msh.comp), hl7.text(msh.rep)
    rows = [(line[:3].upper(), line.split(sep)) for line in lines]
    found = []
    if is_bad and any(bad_bytes(name, f) for name, f in rows):
        return [(ERROR, '102')]
    if not any(name in ('OBR', 'OBX') for name, _ in rows):
        return [(ERROR, '100')]
    for name, f in rows:
        f = f + [''] * 30
        if name == 'OBX' and is_valued(f[5], f[2], comp) and not f[3].strip(comp + rep + '& "'):
            found.append((ERROR, '101'))
        if name == 'OBX':
            found += status_outcome(f[11], OBX_STATUS, comp)
        if name == 'OBR':
            found += status_outcome(f[25], OBR_STATUS, comp)
    hard = [o for o in found if o[0] == ERROR]
    if any(o[0] == ACCEPT for o in found) and not hard:
        return [(ACCEPT, ''), (ERROR, '103')]
    return sorted(set(hard)) or [(ACCEPT, '')]


def bad_bytes(name, f):
    places = f[1:] if name == 'PID' else [f[n] for n in (3, 5, 6) if n < len(f)] if name == 'OBX' else []
    return any('\ufffd' in place for place in places)


def is_valued(value, value_type, comp):
    if value.strip() in ('', '""'):
        return False
    if value_type.split(comp)[0].strip() == 'ED':
        parts = value.split(comp)
        return len(parts) > 4 and parts[4] != ''
    return value.replace(comp, '').strip() != ''


def status_outcome(value, table, comp):
    """[] in order, an ERROR where the table has no such code, (ACCEPT, 'either') where only its case is wrong."""
    code = (value.split(comp)[0] if comp else value).strip()
    if code in ('', '""') or code in table:
        return []
    return [(ACCEPT, 'either')] if len(code) == 1 and code.upper() in table else [(ERROR, '103')]


def main(argv):
    is_r30_read = '--no-r30' not in argv
    for path in (a for a in argv if not a.startswith('--')):
        with open(path, 'rb') as f:
            frame = predict(f.read(), is_r30_read)
        for p in frame.messages or [Prediction([(SILENT, '')], note='empty batch')]:
            said = ' or '.join('%s%s' % ('+'.join(c) or 'nothing', ' ' + e if e else '') for c, e in p.sequences())
            print('%s\t%s\t%s\t%s%s' % (path, hl7.text(p.control_id), said, 'batch ' if frame.is_batch else '', p.note))
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
