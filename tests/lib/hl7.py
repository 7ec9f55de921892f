"""hl7 - naive HL7 v2 split helpers for the end-to-end tests.

Independent of the engine on purpose: short, obvious code that reads bytes. It knows segments, fields and
components, nothing else; no escapes, no charsets (text() decodes as Latin-1 so that no byte is lost).
"""
import re

SEGMENT = re.compile(rb'[A-Za-z][A-Za-z0-9]{2}(?:[^A-Za-z0-9\r\n]|$)')


def unwrap(raw):
    """Drop a UTF-8 byte order mark and leading blanks of a payload."""
    if raw.startswith(b'\xef\xbb\xbf'):
        raw = raw[3:]
    return raw.lstrip(b'\r\n \t')


def segments(raw):
    """The segments of a payload as a list of bytes.

    CR ends a segment; where there is no CR at all, LF does; a mixed file breaks at an LF that a segment name follows.
    A line that starts no segment continues the one before it, joined by LF.
    """
    raw = unwrap(raw)
    pieces = []
    if b'\r' in raw:
        for piece in raw.split(b'\r'):
            start = 0
            for m in re.finditer(rb'\n', piece):
                if SEGMENT.match(piece[m.end():].lstrip(b' \t')):
                    pieces.append(piece[start:m.start()])
                    start = m.end()
            pieces.append(piece[start:])
    else:
        pieces = raw.split(b'\n')
    out = []
    for piece in pieces:
        bare = piece.lstrip(b'\n \t')
        if not bare.strip():
            continue
        if SEGMENT.match(bare):
            out.append(bare)
        elif out:
            out[-1] += b'\n' + piece
        else:
            out.append(piece)
    return out


def messages(raw):
    """Split a payload into messages: lists of segments, each beginning with MSH. What stands before the first MSH
    (FHS, BHS or junk) is the first list of the result, possibly empty; so the result has one element more than messages."""
    out = [[]]
    for seg in segments(raw):
        if seg[:3] == b'MSH':
            out.append([])
        out[-1].append(seg)
    return out


def text(b):
    return b.decode('latin-1')


class Header:
    """MSH, FHS or BHS by field number (MSH-1 is the separator)."""

    def __init__(self, seg):
        self.seg = seg
        self.sep = seg[3:4]
        rest = seg[4:]
        self.parts = rest.split(self.sep) if self.sep else [rest]
        self.chars = self.parts[0] if self.parts else b''
        self.comp = self.chars[0:1]
        self.rep = self.chars[1:2]
        self.esc = self.chars[2:3]
        self.sub = self.chars[3:4]

    def field(self, n):
        """Field n as bytes; b'' where absent. Field 2 is the delimiter list itself."""
        if n == 1:
            return self.sep
        return self.parts[n - 2] if 0 <= n - 2 < len(self.parts) else b''

    def component(self, n, c):
        """Component c (1-based) of the first repetition of field n."""
        value = self.field(n)
        if self.rep:
            value = value.split(self.rep)[0]
        parts = value.split(self.comp) if self.comp else [value]
        return parts[c - 1].strip() if c - 1 < len(parts) else b''


def field(seg, sep, n):
    """Field n of a segment that is not a header."""
    parts = seg.split(sep)
    return parts[n] if n < len(parts) else b''


def acks(frame):
    """Read a reply frame: (is_batch, [Ack, ...]). An Ack has code, control_id, version, errors [(code, severity)]."""
    parts = messages(frame)
    is_batch = bool(parts[0]) and parts[0][0][:3] in (b'FHS', b'BHS')
    return is_batch, [Ack(m) for m in parts[1:]]


class Ack:
    def __init__(self, segs):
        msh = Header(segs[0])
        self.header = msh
        self.version = text(msh.component(12, 1))
        self.code = ''
        self.control_id = b''
        self.errors = []
        for seg in segs[1:]:
            if seg[:3] == b'MSA':
                self.code = text(field(seg, msh.sep, 1))
                self.control_id = field(seg, msh.sep, 2)
            elif seg[:3] == b'ERR':
                self.errors.append(self.read_error(seg, msh))

    @staticmethod
    def read_error(seg, msh):
        """(code, severity): ERR-3.1 and ERR-4; before 2.5 the ELD in ERR-1, in 2.1 the bare code there."""
        code = text(field(seg, msh.sep, 3).split(msh.comp or b'\0')[0])
        if code:
            return code, text(field(seg, msh.sep, 4))
        old = field(seg, msh.sep, 1)
        parts = old.split(msh.comp or b'\0')
        last = parts[3] if len(parts) > 3 else parts[-1]
        return text(last.split(msh.sub or b'\0')[0]), 'E'

    @property
    def refusal(self):
        """The first error code that is not a mere warning or information, else ''."""
        for code, severity in self.errors:
            if severity not in ('W', 'I') and code != '0':
                return code
        return ''
