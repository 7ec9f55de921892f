"""mllp - a small MLLP client for the end-to-end tests.

    with Client('127.0.0.1', port) as c:
        c.send(message)              # adds the frame bytes
        reply = c.read(timeout=5)    # payload without the frame bytes; raises Timeout or Closed

send_raw() writes bytes exactly as given (half frames, one byte at a time, several frames at once).
"""
import socket
import time

VT, FS, CR = b'\x0b', b'\x1c', b'\x0d'


class Timeout(Exception):
    """No whole frame came in time."""


class Closed(Exception):
    """The peer closed the connection; .partial holds what came before."""

    def __init__(self, partial=b''):
        super().__init__('connection closed by the peer')
        self.partial = partial


def frame(payload):
    return VT + payload + FS + CR


class Client:
    def __init__(self, host, port, timeout=5.0):
        self.sock = socket.create_connection((host, port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b''
        self.is_eof = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send_raw(self, data, timeout=30.0):
        self.sock.settimeout(timeout)
        self.sock.sendall(data)

    def send(self, payload):
        self.send_raw(frame(payload))

    def half_close(self):
        """Shut down our sending side; replies can still be read."""
        self.sock.shutdown(socket.SHUT_WR)

    def read(self, timeout=5.0):
        """The next frame's payload. Bytes between frames are skipped."""
        end = time.monotonic() + timeout
        while True:
            payload = self.take()
            if payload is not None:
                return payload
            self.fill(end)

    def take(self):
        """A whole frame out of the buffer, or None. FS without CR is a whole frame once something follows or never."""
        start = self.buffer.find(VT)
        if start < 0:
            self.buffer = b''
            return None
        stop = self.buffer.find(FS, start + 1)
        if stop < 0 or (stop + 1 == len(self.buffer) and not self.is_eof):
            return None
        payload = self.buffer[start + 1:stop]
        rest = self.buffer[stop + 1:]
        self.buffer = rest[1:] if rest[:1] == CR else rest
        return payload

    def fill(self, end):
        left = end - time.monotonic()
        if left <= 0:
            raise Timeout('no frame in time')
        if self.is_eof:
            raise Closed(self.buffer)
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(65536)
        except socket.timeout:
            raise Timeout('no frame in time') from None
        except ConnectionError:
            raise Closed(self.buffer) from None
        if not data:
            self.is_eof = True
        self.buffer += data

    def read_quiet(self, seconds):
        """Everything that comes within so many seconds, as a list of payloads; [] when the peer says nothing."""
        out = []
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if left <= 0:
                return out
            try:
                out.append(self.read(left))
            except Timeout:
                return out

    def is_closed(self, timeout=5.0):
        """True when the peer closes within the time, False when the connection stays open and silent."""
        try:
            self.read(timeout)
            return False
        except Timeout:
            return False
        except Closed:
            return True

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass


def free_port():
    """A loopback TCP port that nobody listens on at the moment."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def wait_port(port, seconds, is_alive=lambda: True):
    """True once something listens on the loopback port; False after the time or when is_alive() turns False."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and is_alive():
        try:
            socket.create_connection(('127.0.0.1', port), 0.5).close()
            return True
        except OSError:
            time.sleep(0.05)
    return False
