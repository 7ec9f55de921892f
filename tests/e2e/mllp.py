#!/usr/bin/env python3
"""mllp - the listener of the real engine, byte by byte: framing, timers, pressure, death. Items 1-13, 16-18 of the conformance checklist.

Each function is one test. Usage: mllp.py [NAME…]
"""
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import mllp  # noqa: E402
import rig  # noqa: E402
from rig import hl7  # noqa: E402

CASES = {'cases': [{'id': 'c0000000-0000-4000-8000-000000000001', 'visualId': 'CA-0000000001', 'firstName': 'Amina', 'lastName': 'Okello', 'dob': '1988-03-14',
                    'gender': 'LNG_REFERENCE_DATA_CATEGORY_GENDER_FEMALE'}]}
NOWHERE = 'http://127.0.0.1:9/api'      # nothing of these tests needs Go.Data, but where a sandbox is asked for
CHANNEL = '''
listen mllp "%s" {{
    address  127.0.0.1:%d
    parse    hl7v2 {{ timezone "Africa/Kampala" }}
    %s
}}
'''


def oru(control='C1', sample=None, obx=1, pad=0):
    text = '''MSH|^~\\&|DEV|LAB|LABRELAY|MOH|20261105101500+0300||ORU^R01^ORU_R01|%s|P|2.5.1||||||UNICODE UTF-8
PID|1||CA-0000000001^^^GODATA^PI||Okello^Amina^^^^^L||19880314|F
OBR|1||F-%s|41636-2^Ebola virus RNA^LN|||20261104083000+0300|||||||||||||||20261105101000+0300||MB|F
''' % (control, sample or control)
    for i in range(1, obx + 1):
        text += 'OBX|%d|CWE|41636-2^Ebola virus RNA^LN|%d|260373001^Detected^SCT||Not detected|POS|||F|||20261104083000+0300\n' % (i, i)
    if pad:
        text += 'NTE|1|L|%s\n' % ('x' * pad)
    return hl7(text + 'SPM|1|^%s||119297000^Blood^SCT|||||||P||||||20261104083000+0300' % (sample or control))


def expect(condition, text, *more):
    if not condition:
        raise rig.Failed(text + ''.join(' %r' % (m,) for m in more))


def aa(reply, control):
    expect(b'\rMSA|AA|' + control.encode() + b'\r' in reply or b'\rMSA|AA|' + control.encode() + b'|' in reply, 'no AA for ' + control, reply)


def frames(r, channel='lab'):
    """What the engine counted for a channel: {'received': 3, ...}."""
    return {what: n for name, what, n in r.json('status')['frames'] if name == channel}


def counted(r, seconds=10.0, channel='lab', **want):
    """The counts of frames that never reached the engine arrive within some seconds."""
    end = time.monotonic() + seconds
    while True:
        got = frames(r, channel)
        if all(got.get(k, 0) == v for k, v in want.items()):
            return
        if time.monotonic() > end:
            raise rig.Failed('counts of %s: expected %r, found %r' % (channel, want, got))
        time.sleep(0.1)


def balanced(r):
    rc, out, err = r.verb('verify', check=False)
    expect(rc == 0, 'verify does not balance', out, err)


def nearly_full_folder():
    """A folder on a file system with less than 90 % free, the highest floor there is; a small one is filled up to there."""
    for place in ('/tmp', '/dev/shm', '/var/tmp'):
        if not os.access(place, os.W_OK):
            continue
        v = os.statvfs(place)
        want = v.f_blocks * v.f_frsize * 12 // 100
        if v.f_bavail * 100 // v.f_blocks < 90 or want < 200 << 20:
            folder = tempfile.mkdtemp(prefix='labrelay-full.', dir=place)
            if v.f_bavail * 100 // v.f_blocks >= 90:
                with open(os.path.join(folder, 'ballast'), 'wb') as f:
                    os.posix_fallocate(f.fileno(), 0, want)
            return folder
    raise rig.Failed('no file system here is fuller than 10 % or small enough to be filled: cannot show the disk floor')


class OneChannel(rig.Rig):
    """An engine with the channel "lab" and options of the test; no sandbox unless seed is given. is_full: its disk is below the floor."""

    def __init__(self, options='', seed=None, is_full=False, **more):
        super().__init__(seed=seed, api=None if seed else NOWHERE, **more)
        self.options = options
        self.full_folder = nearly_full_folder() if is_full else None

    def write_conf(self):
        head, _, writer_options, routes = self.parts
        self.parts = (head, CHANNEL % ('lab', self.mllp, self.options), writer_options, routes)
        super().write_conf()
        if self.full_folder:
            text = open(self.conf).read()
            full = text.replace('"%s/store.db"\n' % self.folder, '"%s/store.db" { stop-accepting when disk-free below 90%% }\n' % self.full_folder, 1)
            expect(full != text, 'the test could not set the store options')
            open(self.conf, 'w').write(full)

    def __exit__(self, *error):
        try:
            return super().__exit__(*error)
        finally:
            if self.full_folder:
                shutil.rmtree(self.full_folder, ignore_errors=True)

    def client(self):
        return mllp.Client('127.0.0.1', self.mllp)


def test_one_write_one_ack():   # [item 1]
    with OneChannel() as r, r.client() as c:
        c.send(oru('C1'))
        aa(c.read(), 'C1')
        expect(c.read_quiet(0.3) == [], 'more than one answer')
        r.stop(signal.SIGKILL)      # durable before the first byte of the answer
        r.start()
        expect(r.json('show', 'm1')['state'] == 'stored', 'the message is gone')
        balanced(r)


def test_byte_by_byte():    # [item 2]
    with OneChannel() as r, r.client() as c:
        for b in mllp.frame(oru('C1')):
            c.send_raw(bytes([b]))
            time.sleep(0.002)
        aa(c.read(), 'C1')
        for b in mllp.frame(b'MSH|^~\\&|A|B|C|D|20261105101500||ACK^R01|X|P|2.5\rMSA|AA|1\r')[:40]:
            c.send_raw(bytes([b]))
            time.sleep(0.02)
        counted(r, received=1, stored=1)


def test_three_in_one_write():  # [item 3]
    with OneChannel() as r, r.client() as c:
        c.send_raw(b''.join(mllp.frame(oru('C%d' % i)) for i in (1, 2, 3)))
        for i in (1, 2, 3):
            aa(c.read(), 'C%d' % i)
        many = ['D%03d' % i for i in range(300)]
        c.send_raw(b''.join(mllp.frame(oru(i)) for i in many))
        for i in many:
            aa(c.read(20), i)
        counted(r, received=303, stored=303)
        balanced(r)


def test_missing_cr():  # [item 4]
    with OneChannel() as r, r.client() as c:
        c.send_raw(mllp.VT + oru('C1') + mllp.FS + b'\n')
        aa(c.read(), 'C1')
        began = time.monotonic()
        c.send_raw(mllp.VT + oru('C2') + mllp.FS)
        c.sock.settimeout(3)
        data = b''
        while mllp.FS not in data:
            data += c.sock.recv(4096)
        aa(data, 'C2')
        expect(0.2 < time.monotonic() - began < 2, 'the end was not waited for as it should', time.monotonic() - began)
    with OneChannel('strict yes') as r:
        for end in (b'\x1c\n', b'\x1c'):
            with r.client() as c:
                c.send_raw(mllp.VT + oru('C1') + end)
                expect(c.is_closed(3), 'strict, and not closed')
        with r.client() as c:
            c.send(oru('C2'))
            aa(c.read(), 'C2')
        counted(r, received=3, stored=1, quarantined=2)
        balanced(r)


def test_bytes_between():   # [item 5]
    with OneChannel() as r, r.client() as c:
        for i in range(5):
            c.send_raw(b'\r\n\0 \t\x06' + mllp.frame(oru('C%d' % i)) + b'\n\0')
            aa(c.read(), 'C%d' % i)
        expect('outside of a frame' not in r.log_tail(100), 'log noise about separators')
        counted(r, received=5, stored=5)


def test_start_inside_a_frame():    # [item 6]
    with OneChannel() as r, r.client() as c:
        c.send_raw(mllp.VT + oru('LOST')[:200] + mllp.frame(oru('C2')))
        aa(c.read(), 'C2')
        expect(c.read_quiet(0.3) == [], 'an answer to half a message')
        counted(r, received=2, stored=1, quarantined=1)
        states = sorted((r.json('show', m)['state'], r.json('show', m)['reason']) for m in ('m1', 'm2'))
        expect(states == [('quarantined', 'TRUNCATED'), ('stored', '')], 'states', states)
        balanced(r)


def test_half_then_fin():   # [item 7]
    with OneChannel() as r:
        with r.client() as c:
            c.send_raw(mllp.VT + oru('C1')[:150])
            c.half_close()
            expect(c.is_closed(3), 'not closed after the end of stream')
            expect(c.buffer == b'', 'an answer to half a message', c.buffer)
        counted(r, received=1, quarantined=1)
        m = r.json('show', 'm1')
        expect((m['state'], m['reason']) == ('quarantined', 'TRUNCATED'), 'state', m)
        balanced(r)


def test_half_close():  # [item 8]
    with OneChannel() as r:
        with r.client() as c:
            c.send_raw(mllp.frame(oru('C1')) + mllp.frame(oru('C2'))[:-1])
            c.half_close()
            aa(c.read(), 'C1')
            aa(c.read(), 'C2')
            expect(c.is_closed(3), 'not closed after the last answer')


def test_gone_without_reading():    # [item 9]
    with OneChannel(seed=CASES) as r:
        for hard in (False, True):
            c = r.client()
            c.send(oru('C1'))
            if hard:
                time.sleep(0.3)
                c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            c.close()
        with r.client() as c:
            c.send(oru('C1'))
            aa(c.read(), 'C1')
        counted(r, received=3, stored=1, duplicate=2)
        r.settle()
        expect(len(r.sandbox.lab_results()) == 1, 'not exactly one lab result')
        balanced(r)


def test_empty_frame():     # [item 10]
    with OneChannel() as r, r.client() as c:
        c.send_raw(mllp.frame(b'') * 3)
        expect(c.read_quiet(0.5) == [], 'an answer to nothing')
        c.send(oru('C1'))
        aa(c.read(), 'C1')
        counted(r, received=1, stored=1)
        expect(r.verb('show', 'm2', check=False)[0] == 3, 'a second message was made')
        balanced(r)


def rss_kb(pid):
    for line in open('/proc/%d/status' % pid):
        if line.startswith('RssAnon:'):
            return int(line.split()[1])
    return 0


def test_oversize():    # [item 11]
    with OneChannel('max-size 1MB') as r:
        limit = 1 << 20
        with r.client() as c:
            exact = oru('FITS', pad=1)
            exact = oru('FITS', pad=1 + limit - len(exact))
            expect(len(exact) == limit, 'the test made a wrong size', len(exact))
            c.send(exact)
            aa(c.read(20), 'FITS')
            before = rss_kb(r.process.pid)
            over = oru('OVER', pad=2 + limit - len(oru('OVER', pad=1)))
            expect(len(over) == limit + 1, 'the test made a wrong size', len(over))
            c.send(over)
            reply = c.read(10)
            expect(b'\rMSA|AR|OVER' in reply and b'|207^' in reply, 'no 207', reply)
            expect(c.is_closed(5), 'not closed after an oversize message')
        for _ in range(3):
            with r.client() as c:       # without an end, four times the limit is all that is read
                c.send_raw(mllp.VT + oru('ENDLESS', pad=6 * limit), 10)
                expect(b'\rMSA|AR|ENDLESS' in c.read(10) and c.is_closed(5), 'no 207 and close for a message without an end')
        grown = rss_kb(r.process.pid) - before      # a build with sanitizers keeps what was freed
        expect(grown < 8192 or b'__asan_init' in open(r.binary, 'rb').read(), 'memory grew', before, grown)
        counted(r, received=5, stored=1, refused=4)
        balanced(r)


def test_timers():  # [item 12]
    with OneChannel('byte-timeout 500ms') as r:
        with r.client() as idle, r.client() as c:
            c.send_raw(mllp.VT + oru('C1')[:100])
            expect(c.is_closed(5), 'not closed after silence inside a message')
            counted(r, received=1, quarantined=1)
            time.sleep(1)
            idle.send(oru('C2'))        # silence between messages is no silence
            aa(idle.read(), 'C2')
        balanced(r)


def test_release_2():   # [item 13]
    with OneChannel('release 2') as r, r.client() as c:
        c.send(oru('C1'))
        c.sock.settimeout(5)
        data = b''
        while data.count(mllp.FS) < 2:
            data += c.sock.recv(4096)
        expect(data.startswith(b'\x0b\x06\x1c\x0d\x0b'), 'no commit block before the answer', data)
        aa(data, 'C1')
    with OneChannel('release 2', is_full=True) as r, r.client() as c:
        not_accepting(r)
        c.send(oru('C1'))
        c.sock.settimeout(5)
        data = b''
        while data.count(mllp.FS) < 2:
            data += c.sock.recv(4096)
        expect(data.startswith(b'\x0b\x15\x1c\x0d\x0b') and b'MSA|AR|C1' in data, 'no negative commit block', data)


def test_client_mode():     # [item 16]
    port = rig.free_port()

    class Dialling(OneChannel):
        def write_conf(self):
            self.mllp, keep = port, self.mllp
            super().write_conf()
            self.mllp = keep

    with Dialling('mode client') as r:
        time.sleep(2.5)             # refused at 0 s, about 1.2 s and so on
        refused = r.log_tail(100).count('cannot connect')
        expect(2 <= refused <= 4, 'tries in 2.5 s', refused)
        device = socket.socket()
        device.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        device.bind(('127.0.0.1', port))
        device.listen(4)
        device.settimeout(15)
        for control in ('C1', 'C2'):
            s, _ = device.accept()
            s.settimeout(10)
            s.sendall(mllp.frame(oru(control)))
            data = b''
            while mllp.FS not in data:
                data += s.recv(4096)
            aa(data, control)
            s.close()               # the device hangs up; labrelay dials again
        device.close()
        counted(r, received=2, stored=2)


def test_kill_after_ack():  # [item 17]
    with OneChannel(seed=CASES) as r:
        for i in range(3):
            with r.client() as c:
                c.send(oru('K%d' % i))
                aa(c.read(), 'K%d' % i)
            r.stop(signal.SIGKILL)
            r.start()
        r.settle(90)
        labs = r.sandbox.lab_results()
        expect(sorted(x['sampleIdentifier'] for x in labs) == ['K0', 'K1', 'K2'], 'lab results', [x['sampleIdentifier'] for x in labs])
        balanced(r)


def not_accepting(r):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if not r.json('status')['engine']['accepting']:
            return
        time.sleep(0.05)
    raise rig.Failed('the engine still accepts')


def test_disk_floor():  # [item 18]
    with OneChannel(is_full=True) as r, r.client() as c:
        not_accepting(r)
        c.send(oru('C1'))
        reply = c.read()
        expect(b'\rMSA|AR|C1' in reply and b'|207^' in reply, 'no AR 207', reply)
        enhanced = oru('C2').replace(b'|P|2.5.1||||||UNICODE', b'|P|2.5.1|||AL|AL||UNICODE', 1)
        c.send(enhanced)
        reply = c.read()
        expect(b'\rMSA|CE|C2' in reply and b'|207^' in reply, 'no CE 207', reply)
        counted(r, received=2, refused=2)


def test_many_connections():
    with OneChannel('max-connections 50') as r:
        clients = [r.client() for _ in range(50)]
        for i, c in enumerate(clients):
            c.send(oru('C%d' % i))
        for i, c in enumerate(clients):
            aa(c.read(), 'C%d' % i)
        with r.client() as extra:
            expect(extra.is_closed(3), 'a connection too many was kept')
        clients[0].close()
        time.sleep(0.2)
        with r.client() as c:
            c.send(oru('LATE'))
            aa(c.read(), 'LATE')
        for c in clients:
            c.close()


def test_stop_under_load():     # [item 137]
    with OneChannel() as r:
        acked, lock, is_over = [], threading.Lock(), threading.Event()

        def sender(n):
            i = 0
            try:
                with r.client() as c:
                    while not is_over.is_set():
                        control = 'S%d-%d' % (n, i)
                        c.send(oru(control))
                        if b'MSA|AA|' + control.encode() in c.read():
                            with lock:
                                acked.append(control)
                        i += 1
            except (mllp.Closed, mllp.Timeout, OSError):
                pass

        threads = [threading.Thread(target=sender, args=(n,)) for n in range(8)]
        for t in threads:
            t.start()
        time.sleep(1)
        rc = r.stop()
        is_over.set()
        for t in threads:
            t.join()
        expect(rc == 0, 'exit', rc)
        expect(len(acked) > 8, 'nothing was acknowledged before the stop', len(acked))
        r.start()
        got = frames(r)
        expect(got['stored'] >= len(acked), 'acknowledged but not stored', got, len(acked))
        balanced(r)


def test_allow_is_required():
    with OneChannel() as r:
        text = open(r.conf).read()
        wrong = os.path.join(r.folder, 'wrong.conf')
        open(wrong, 'w').write(text.replace('address  127.0.0.1:', 'address  0.0.0.0:'))
        p = subprocess.run([r.binary, 'check', '-c', wrong], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        expect(p.returncode == 1 and b'allow' in p.stdout, 'a listener open to the world was taken', p.stdout)


def main():
    wanted = sys.argv[1:]
    tests = [(n, f) for n, f in sorted(globals().items()) if n.startswith('test_') and (not wanted or n in wanted or n[5:] in wanted)]
    failed = 0
    print('1..%d' % len(tests))
    for i, (name, f) in enumerate(tests, 1):
        began = time.monotonic()
        try:
            f()
            print('ok %d - %s (%.1f s)' % (i, name, time.monotonic() - began), flush=True)
        except Exception as e:  # one broken test must not hide the others
            failed += 1
            print('not ok %d - %s: %s: %s' % (i, name, type(e).__name__, e), flush=True)
    return 1 if failed or not tests else 0


if __name__ == '__main__':
    sys.exit(main())
