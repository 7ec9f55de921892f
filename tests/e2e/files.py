#!/usr/bin/env python3
"""files - the file channel of the real engine: whole files, claims, refusals, order, fsyncs, death. Items 41, 42 of the checklist.

Each function is one test. Usage: files.py [NAME…]. The tests that kill at named points need a binary built with --enable-crash-points
(LABRELAY or LABRELAY_CRASH); without one they say SKIP.
"""
import http.client as http_client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rig  # noqa: E402
from rig import hl7  # noqa: E402

NOWHERE = 'http://127.0.0.1:9/api'
HOLD = 'route "all" {{ hold "no route" }}\n'
LISTEN = '''
listen files "drop" {{
    inbox    "{dir}/inbox"
    settle   %s
    rescan   %s
    %s
    parse    hl7v2 {{ timezone "Africa/Kampala" }}
    parse    fhir {{ timezone "Africa/Kampala" }}
}}
'''
PARITY = os.path.join(rig.REPO, 'tests', 'fixtures', 'parity')


class Skipped(Exception):
    """Says why."""


def expect(condition, text, *more):
    if not condition:
        raise rig.Failed(text + ''.join(' %r' % (m,) for m in more))


def oru(control, sample=None, code='41636-2', status='F'):
    return hl7('''MSH|^~\\&|DEV|LAB|LABRELAY|MOH|20261105101500+0300||ORU^R01^ORU_R01|%s|P|2.5.1||||||UNICODE UTF-8
PID|1||CA-0000000001^^^GODATA^PI||Okello^Amina^^^^^L||19880314|F
OBR|1||F-%s|41636-2^Ebola virus RNA^LN|||20261104083000+0300|||||||||||||||20261105101000+0300||MB|F
OBX|1|CWE|%s^Ebola virus RNA^LN|1|260373001^Detected^SCT||Not detected|POS|||%s|||20261104083000+0300
SPM|1|^%s||119297000^Blood^SCT|||||||P||||||20261104083000+0300''' % (control, sample or control, code, status, sample or control))


class Drop(rig.Rig):
    def __init__(self, settle='100ms', rescan='1s', options='', head='', binary=None, prepare=None, routes=HOLD):
        super().__init__(api=NOWHERE, listeners=LISTEN % (settle, rescan, options), routes=routes, head=head, binary=binary)
        self.inbox = os.path.join(self.folder, 'inbox')
        os.mkdir(self.inbox)
        if prepare:
            prepare(self)

    def path(self, *names):
        return os.path.join(self.inbox, *names)

    def put(self, name, data, how='rename'):
        """how: rename (whole at once) or write (in place)."""
        full = self.path(name)
        first = full if how == 'write' else self.path('.' + str(abs(hash(name))) + '.tmp')
        with open(first, 'wb') as f:
            f.write(data)
        if how != 'write':
            os.rename(first, full)
        return full

    def names(self, *folder):
        p = self.path(*folder)
        return sorted(n for n in os.listdir(p) if not n.startswith('.') and not os.path.isdir(os.path.join(p, n))) if os.path.isdir(p) else []

    def wait(self, condition, text, seconds=15.0):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return
            time.sleep(0.02)
        raise rig.Failed('%s; inbox %s claimed %s done %s error %s; log %s' % (
            text, self.names()[:9], self.names('.claimed')[:9], self.names('done')[:9], self.names('error')[:9], self.log_tail(8)))

    def done(self, *names, seconds=15.0):
        self.wait(lambda: set(names) <= set(self.names('done')), 'not done: %s' % (names,), seconds)

    def refused(self, name, *words, seconds=15.0):
        """Waits for error/NAME and its why.txt; the words must stand in it."""
        self.wait(lambda: name in self.names('error'), 'not in error: %r' % name, seconds)
        text = open(self.path('error', name + '.why.txt'), errors='replace').read()
        for w in words:
            expect(w in text, 'why.txt does not say %r:' % w, text)
        return text

    def frames(self):
        return {what: n for name, what, n in self.json('status')['frames'] if name == 'drop'}

    def balanced(self, **want):
        end = time.monotonic() + 5
        while True:
            v = self.json('verify', ok=(0, 1))
            f = [x for x in v['frames'] if x['channel'] == 'drop']
            got = f[0] if f else {}
            if v['balanced'] and all(got.get(k) == n for k, n in want.items()):
                return v
            if time.monotonic() > end:
                raise rig.Failed('verify: %s wanted %s' % (json.dumps(v), want))
            time.sleep(0.1)


# ---- whole files ----

def test_renamed_file_is_taken_at_once():
    with Drop(settle='1h', options='ack yes') as r:
        r.put('one.hl7', oru('R1'))
        r.done('one.hl7', 'one.hl7.ack')
        expect(b'MSA|AA|R1' in open(r.path('done', 'one.hl7.ack'), 'rb').read(), 'no AA beside the file')
        expect(open(r.path('done', 'one.hl7'), 'rb').read() == oru('R1'), 'the original was changed')
        expect(r.names() == [] and r.names('.claimed') == [], 'left over', r.names(), r.names('.claimed'))
        r.balanced(received=1, stored=1)


def test_growing_file_waits_until_it_rests():
    with Drop(settle='600ms') as r:
        data = oru('G1')
        with open(r.path('slow.hl7'), 'wb', buffering=0) as f:
            for i in range(0, len(data), 64):
                f.write(data[i:i + 64])
                time.sleep(0.2)
                expect(r.names('done') == [] and r.names('.claimed') == [], 'taken while it grew')
        r.done('slow.hl7')
        r.balanced(received=1, stored=1)


def test_without_inotify_the_rescan_finds_it():
    with Drop(settle='200ms', rescan='300ms', options='inotify no') as r:
        r.put('share.hl7', oru('N1'))
        r.done('share.hl7')
        r.balanced(stored=1)


def test_unfinished_names_and_folders_are_left_alone():
    with Drop() as r:
        for n in ('a.tmp', 'b.part', 'c.filepart', '.hidden', 'd~'):
            r.put(n, oru('U1'), how='write')
        os.mkdir(r.path('sub'))
        r.put(os.path.join('sub', 'x.hl7'), oru('U2'), how='write')
        r.put('last.hl7', oru('U3'))
        r.done('last.hl7')
        time.sleep(1.5)
        expect(r.names() == ['a.tmp', 'b.part', 'c.filepart', 'd~'], 'not left alone', r.names())
        expect(os.path.exists(r.path('sub', 'x.hl7')), 'went into a folder')
        os.rename(r.path('a.tmp'), r.path('a.hl7'))
        r.done('a.hl7')
        r.balanced(stored=2)


def test_same_content_again_is_known():
    with Drop() as r:
        r.put('one.hl7', oru('S1'))
        r.done('one.hl7')
        r.put('one.hl7', oru('S1'))
        r.done('one.hl7.2')
        r.balanced(received=2, stored=1, duplicate=1)


# ---- batches [item 41] [item 42] ----

def batch(*messages, bts=None, trailer=True):
    out = b'FHS|^~\\&|DEV|LAB\rBHS|^~\\&|DEV|LAB\r' + b''.join(messages)
    return out + (b'BTS|%d\rFTS|1\r' % (len(messages) if bts is None else bts) if trailer else b'')


def test_batch_of_three():
    with Drop(options='ack yes') as r:
        r.put('batch.hl7', batch(oru('B1'), oru('B2'), oru('B3')))
        r.done('batch.hl7', 'batch.hl7.ack')
        ack = open(r.path('done', 'batch.hl7.ack'), 'rb').read()
        for c in (b'B1', b'B2', b'B3'):
            expect(b'MSA|AA|' + c in ack, 'no AA of', c, ack)
        r.balanced(received=3, stored=3)


def test_batch_with_a_wrong_count():
    with Drop() as r:
        r.put('short.hl7', batch(oru('B4'), oru('B5'), oru('B6'), bts=4))
        r.refused('short.hl7', 'COUNT_MISMATCH', 'were taken')
        r.put('cut.hl7', batch(oru('B7'), trailer=False))
        r.refused('cut.hl7', 'MISSING_TRAILER')
        r.balanced(received=4, stored=4)


def test_batch_with_one_bad_message():
    with Drop() as r:
        r.put('mixed.hl7', batch(oru('B8'), oru('B9', status='?'), oru('B10')))
        text = r.refused('mixed.hl7', '1 of the 3 messages', 'error 103', 'OBX', 'message 2')
        expect('Okello' not in text and '1988' not in text, 'a value of the patient in why.txt', text)
        r.balanced(received=3, stored=2, refused=1)


# ---- FHIR ----

OBSERVATION = {'resourceType': 'Observation', 'status': 'final', 'code': {'coding': [{'system': 'http://loinc.org', 'code': '41636-2'}]},
               'contained': [{'resourceType': 'Patient', 'id': 'p', 'name': [{'family': 'Okello'}], 'birthDate': '1988-03-14'}], 'subject': {'reference': '#p'},
               'valueCodeableConcept': {'coding': [{'system': 'http://snomed.info/sct', 'code': '260373001'}]}}


def fhir(**more):
    return json.dumps(dict(OBSERVATION, **more)).encode()


def test_every_form_is_told_apart():
    """The same report as ORU, JSON and XML in one folder, by its bytes: the names say nothing."""
    with Drop(options='ack yes') as r:
        n = 0
        for case in sorted(os.listdir(PARITY))[:6]:
            for form in ('oru.hl7', 'bundle.json', 'bundle.xml'):
                with open(os.path.join(PARITY, case, form), 'rb') as f:
                    r.put('%s-%d.txt' % (case, n), f.read())
                n += 1
        r.wait(lambda: len([x for x in r.names('done') if x.endswith('.txt')]) == n, 'not all done')
        ends = {e: len([x for x in r.names('done') if x.endswith(e)]) for e in ('.ack', '.outcome.json', '.outcome.xml')}
        expect(ends == {'.ack': n // 3, '.outcome.json': n // 3, '.outcome.xml': n // 3}, 'answers beside the files', ends)
        r.balanced(received=n, stored=n)


def test_ndjson_and_searchset():                                # [item 105]
    with Drop() as r:
        r.put('lines.ndjson', b'\n'.join(fhir(id='n%d' % i) for i in range(3)) + b'\n')
        r.put('search.json', json.dumps({'resourceType': 'Bundle', 'type': 'searchset', 'entry': [{'resource': OBSERVATION, 'search': {'mode': 'match'}}]}).encode())
        r.done('lines.ndjson', 'search.json')
        v = r.balanced(received=2, stored=2)
        expect(v['observations']['in_originals'] == 4, 'observations', v['observations'])


def test_fhir_without_an_id_is_once():
    """No identifier anywhere: the same bytes are the same message, other bytes are another."""
    with Drop() as r:
        r.put('a.json', fhir())
        r.put('b.json', fhir())
        r.put('c.json', fhir(note=[{'text': 'other'}]))
        r.done('a.json', 'b.json', 'c.json')
        r.balanced(received=3, stored=2, duplicate=1)


def test_fhir_is_refused_with_its_path():                       # [item 93]
    with Drop(options='ack yes') as r:
        r.put('mod.json', fhir(modifierExtension=[{'url': 'urn:x', 'valueBoolean': True}]))
        text = r.refused('mod.json', 'extension', 'Observation.modifierExtension')
        expect('Okello' not in text and '1988' not in text, 'a value of the patient', text)
        o = json.load(open(r.path('error', 'mod.json.outcome.json')))
        expect(o['issue'][0]['code'] == 'extension', 'outcome', o)
        r.put('cut.json', fhir()[:-20])
        r.refused('cut.json', 'structure')
        r.put('dtd.xml', b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><Observation xmlns="http://hl7.org/fhir"><id value="&x;"/></Observation>')
        text = r.refused('dtd.xml', 'error')
        expect('root:' not in text, 'an entity was read', text)
        r.balanced(received=3, refused=1, quarantined=2)


# ---- what is refused ----

def test_garbage_is_kept_and_explained():
    with Drop() as r:
        r.put('photo.jpg', b'\xff\xd8\xff\xe0' + bytes(range(256)) * 20)
        r.refused('photo.jpg', 'Refused: nothing of this file was taken')
        r.balanced(received=1, quarantined=1)


def test_empty_large_link_fifo_socket():
    def prepare(r):
        with open(os.path.join(r.folder, 'secret'), 'wb') as f:
            f.write(oru('SECRET'))
    with Drop(options='max-size 64kB', prepare=prepare) as r:
        r.put('zero.hl7', b'')
        with open(r.path('huge.hl7'), 'wb') as f:
            f.truncate(2 << 30)
        os.symlink(os.path.join(r.folder, 'secret'), r.path('link.hl7'))
        os.mkfifo(r.path('pipe.hl7'))
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(r.path('sock.hl7'))
            r.refused('zero.hl7', 'empty (0 bytes)')
            r.refused('huge.hl7', 'larger than max-size')
            r.refused('link.hl7', 'symbolic link')
            r.refused('pipe.hl7', 'not a regular file')
            r.refused('sock.hl7', 'not a regular file')
        expect(os.path.islink(r.path('error', 'link.hl7')), 'the link was followed')
        expect(b'SECRET' in open(os.path.join(r.folder, 'secret'), 'rb').read(), 'the target of the link was touched')
        rss = int([x for x in open('/proc/%d/status' % r.process.pid) if x.startswith('VmHWM')][0].split()[1])
        expect(rss < 400000, 'memory', rss)
        r.put('next.hl7', oru('L1'))
        r.done('next.hl7')
        r.balanced(received=6, refused=5, stored=1)


def test_odd_names():
    odd = [b'%2f..%2fetc', b'-rf', b'new\nline.hl7', b'\xff\xfe bytes.hl7', b"'; rm -rf *.hl7", b'$(reboot)', 'Ünï ☃.hl7'.encode(), b'x' * 255, b'y' * 250 + b'.hl7',
           b'con', b'%s%n%s.hl7', b'\\..\\..\\up.hl7', b'tab\t.hl7', b'a"b<c>|d.hl7']
    with Drop() as r:
        inbox = r.inbox.encode()
        for i, n in enumerate(odd):
            with open(os.path.join(inbox, b'.t.tmp'), 'wb') as f:
                f.write(oru('ODD%d' % i) if i % 2 else b'no message at all %d' % i)
            os.rename(os.path.join(inbox, b'.t.tmp'), os.path.join(inbox, n))
        def count():
            return len(os.listdir(inbox + b'/done')), len([n for n in os.listdir(inbox + b'/error') if not n.endswith(b'.why.txt')])
        good = len(odd) // 2
        r.wait(lambda: count() == (good, len(odd) - good), 'odd names')
        whys = [n for n in os.listdir(inbox + b'/error') if n.endswith(b'.why.txt')]
        expect(len(whys) == len(odd) - good, 'each refusal has its reason', whys)
        log = open(r.log_path, 'rb').read()
        for word in (b'reboot', b'rm -rf', b'line.hl7'):
            expect(word not in log, 'a file name in the log', word)
        expect(sorted(os.listdir(r.folder)) == sorted(set(os.listdir(r.folder)) - {'etc', 'up.hl7'}), 'outside')
        r.balanced(received=len(odd), stored=good, quarantined=len(odd) - good)


# ---- trouble ----

def as_nobody(r):
    """A wrapper that runs the engine as an ordinary user: root may read everything."""
    if os.getuid() != 0 or not shutil.which('setpriv'):
        raise Skipped('needs root and setpriv')
    wrapper = os.path.join(r.folder, 'labrelay-as-nobody')
    binary = shutil.copy(r.binary, os.path.join(r.folder, 'labrelay'))     # the clone may lie where only root goes
    with open(wrapper, 'w') as f:
        f.write('#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups %s "$@"\n' % binary)
    os.chmod(wrapper, 0o755)
    shutil.copytree(os.path.join(rig.REPO, 'conf', 'tables'), os.path.join(r.folder, 'tables'))
    write_conf = r.write_conf

    def write_conf_there():
        write_conf()
        with open(r.conf) as f:
            conf = f.read()
        with open(r.conf, 'w') as f:
            f.write(conf.replace(os.path.join(rig.REPO, 'conf', 'tables'), os.path.join(r.folder, 'tables')))
    r.write_conf = write_conf_there
    r.binary = wrapper
    credentials = os.path.join(r.folder, 'credentials')
    os.makedirs(credentials, mode=0o700, exist_ok=True)
    with open(os.open(os.path.join(credentials, 'godata-password'), os.O_WRONLY | os.O_CREAT, 0o600), 'w') as f:
        f.write('x\n')
    for p in (r.folder, r.inbox, credentials, os.path.join(credentials, 'godata-password')):
        os.chown(p, 65534, 65534)


def test_no_permission_to_read():
    with Drop(prepare=as_nobody) as r:
        r.put('.x.tmp', oru('P1'), how='write')
        os.chmod(r.path('.x.tmp'), 0)
        os.rename(r.path('.x.tmp'), r.path('closed.hl7'))
        r.put('open.hl7', oru('P2'))
        os.chmod(r.path('open.hl7') if os.path.exists(r.path('open.hl7')) else r.path('done', 'open.hl7'), 0o644)
        r.done('open.hl7')
        expect(r.names() == ['closed.hl7'], 'a file that cannot be read must stay', r.names())
        expect('cannot read a file' in r.log_tail(50), 'not in the log')
        r.balanced(received=1, stored=1)


def test_no_permission_to_move():
    with Drop(prepare=as_nobody) as r:
        r.put('first.hl7', oru('M1'))
        r.done('first.hl7')
        os.chown(r.path('done'), 0, 0)
        r.put('second.hl7', oru('M2'))
        r.wait(lambda: 'cannot move a finished file' in r.log_tail(50), 'nothing in the log')
        expect(r.names('.claimed') == ['second.hl7'], 'where is it', r.names('.claimed'))
        os.chown(r.path('done'), 65534, 65534)
        r.done('second.hl7')
        r.balanced(received=2, stored=2)


def test_not_accepting_leaves_files():
    with Drop(head='') as r:
        conf = open(r.conf).read()
        r.stop()
        open(r.conf, 'w').write(conf.replace('store.db"', 'store.db" {\n stop-accepting when disk-free below 90%\n}', 1))
        r.start()
        time.sleep(2.5)
        r.put('wait.hl7', oru('W1'))
        time.sleep(1.5)
        if 'not accepting' not in r.log_tail(50):
            raise Skipped('the disk is more than 90% free')
        expect(r.names('done') == [], 'taken below the disk floor')
        expect(r.names() + r.names('.claimed') == ['wait.hl7'], 'lost', r.names(), r.names('.claimed'))
        r.stop()
        open(r.conf, 'w').write(conf)
        r.start()
        r.done('wait.hl7')
        r.balanced(stored=1)


def test_full_disk():
    def prepare(r):
        small = os.path.join(r.folder, 'small')
        os.mkdir(small)
        if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', small], stderr=subprocess.DEVNULL).returncode:
            raise Skipped('cannot mount a small file system here')
        r.small = small
        os.rmdir(r.inbox)
        os.mkdir(os.path.join(small, 'inbox'))
        os.symlink(os.path.join(small, 'inbox'), r.inbox)
    r = Drop(prepare=prepare, options='ack yes')
    try:
        with r:
            r.stop()
            conf = open(r.conf).read()
            open(r.conf, 'w').write(conf.replace(r.folder + '/store.db"', r.small + '/store.db" {\n stop-accepting when disk-free below 0%\n}', 1))
            r.start()
            r.put('before.hl7', oru('D1'))
            r.done('before.hl7')
            ballast = os.path.join(r.small, 'ballast')
            with open(ballast, 'wb', buffering=0) as f:
                try:
                    while True:
                        f.write(b'x' * 4096)
                except OSError:
                    pass
            n = 0
            try:                        # what the sender can still write into a full disk: hard links to one file that fits
                os.truncate(ballast, os.path.getsize(ballast) - 4096 * 8)
                for n in range(8):
                    r.put('full%d.hl7' % n, oru('D2-%d' % n))
            except OSError:
                pass
            time.sleep(3)
            os.unlink(ballast)
            r.wait(lambda: not r.names() and not r.names('.claimed'), 'not taken when there was room again', 40)
            got = r.names('done')
            expect(r.names('error') == [], 'refused for want of room', r.names('error'))
            r.balanced(stored=len([x for x in got if x.endswith('.hl7')]))
    finally:
        if hasattr(r, 'small'):
            subprocess.run(['umount', '-l', r.small])
            shutil.rmtree(r.folder, ignore_errors=True)


def test_folder_lost_and_back():
    with Drop(rescan='300ms') as r:
        r.put('a.hl7', oru('F1'))
        r.done('a.hl7')
        away = os.path.join(r.folder, 'away')
        os.rename(r.inbox, away)
        r.wait(lambda: 'cannot read the folder' in r.log_tail(50), 'not told')
        os.rename(away, r.inbox)
        r.put('b.hl7', oru('F2'))
        r.done('b.hl7')
        r.balanced(stored=2)


def test_second_engine_is_turned_away():
    with Drop() as r:
        other = os.path.join(r.folder, 'other.conf')
        text = open(r.conf).read().replace('/store.db"', '/other.db"')
        open(other, 'w').write(text)
        p = subprocess.run([r.binary, 'run', '-c', other], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
        expect(p.returncode != 0 and b'another engine' in p.stdout, 'two engines on one inbox', p.returncode, p.stdout[-500:])


# ---- order, fsyncs ----

def test_order_and_fsyncs():
    n = int(os.environ.get('FILES_N') or 20000)
    if not shutil.which('strace'):
        raise Skipped('needs strace')
    with Drop() as r:
        r.stop()
        base = 1790000000
        for i in range(n):              # written in another order than their times; pairs share a time: then the name decides
            k = (i * 7919) % n
            p = r.path('f%06d.hl7' % k)
            with open(p, 'wb') as f:
                f.write(oru('Q%06d' % k))
            os.utime(p, (base + k // 2, base + k // 2))
        trace = os.path.join(r.folder, 'trace')
        plain = r.binary
        wrapper = os.path.join(r.folder, 'traced')
        with open(wrapper, 'w') as f:
            f.write('#!/bin/sh\n[ "$1" = run ] || exec %s "$@"\nexec strace -f -qq -e trace=fsync,fdatasync,sync_file_range,msync -o %s %s "$@"\n' % (plain, trace, plain))
        os.chmod(wrapper, 0o755)
        r.binary = wrapper
        began = time.monotonic()
        r.start()
        r.wait(lambda: len(os.listdir(r.path('done'))) == n, 'not all taken', 300)
        took = time.monotonic() - began
        r.binary = plain
        v = r.balanced(received=n, stored=n)
        child = subprocess.run(['pgrep', '-P', str(r.process.pid)], stdout=subprocess.PIPE).stdout.split()
        for c in child:
            os.kill(int(c), signal.SIGTERM)
        r.process.wait(60)
        r.process = None
        syncs = sum(1 for line in open(trace) if 'sync' in line)
        expect(syncs <= n // 50 + 100, 'too many fsyncs', syncs)
        want = ['Q%06d' % k for k in range(n)]
        log = [w[len('control='):] for line in open(r.log_path) if ' stored ' in line or 'event=stored' in line or line.startswith('stored') or 'stored ' in line
               for w in line.split() if w.startswith('control=Q')]
        expect(log == want, 'not in the order of time and name', [(a, b) for a, b in zip(log, want) if a != b][:5], len(log))
        print('# %d files: %.1f s under strace, %d fsyncs (bound %d), %d observations' % (n, took, syncs, n // 50 + 100, v['observations']['in_originals']))


def test_others_while_many_files_are_taken():
    """Another channel is answered while thousands of files are worked off."""
    n, port = 8000, rig.free_port()
    http = 'listen http "web" {{\n address 127.0.0.1:%d\n parse hl7v2 {{ timezone "UTC" }}\n parse fhir {{ timezone "UTC" }}\n}}\n' % port
    with Drop(head=http) as r:
        r.stop()
        for i in range(n):
            with open(r.path('o%05d.hl7' % i), 'wb') as f:
                f.write(oru('O%05d' % i))
        r.start()
        worst, count = 0.0, 0
        while len(os.listdir(r.path('done'))) < n:
            began = time.monotonic()
            c = http_client.HTTPConnection('127.0.0.1', port, timeout=30)
            c.request('POST', '/fhir/Observation', fhir(id='w%d' % count), {'Content-Type': 'application/fhir+json'})
            expect(c.getresponse().status == 201, 'another channel')
            c.close()
            worst = max(worst, time.monotonic() - began)
            count += 1
            expect(count < 20000, 'the files are not worked off')
        expect(worst < 2 and count > 3, 'others were made to wait', worst, count)
        r.balanced(received=n, stored=n)
        print('# %d requests over HTTP while %d files were taken, slowest %.0f ms' % (count, n, worst * 1000))


# ---- death ----

def test_kill_while_many_are_under_way():
    n = 2000
    with Drop() as r:
        for i in range(n):
            r.put('k%04d.hl7' % i, oru('K%04d' % i))
            if i % 400 == 399:
                r.stop(signal.SIGKILL)
                r.start()
        r.wait(lambda: len(r.names('done')) >= n, 'not all done', 60)
        expect(len(r.names('done')) == n and not r.names('.claimed') and not r.names('error'), 'left', len(r.names('done')), r.names('.claimed')[:5])
        r.balanced(stored=n)


def crash_binary():
    for b in (os.environ.get('LABRELAY_CRASH'), rig.LABRELAY):
        if b and os.path.exists(b) and b'LABRELAY_CRASH_AT' in open(b, 'rb').read():
            return b
    raise Skipped('needs a binary built with --enable-crash-points')


POINTS = ['files_claimed', 'before_commit', 'after_commit', 'after_reply', 'files_before_move', 'files_after_move']


def test_kill_at_each_durable_step():
    b = crash_binary()
    files = {'a.hl7': oru('A1'), 'b.hl7': batch(oru('A2'), oru('A3')), 'c.hl7': oru('A4', status='?'), 'd.json': fhir()}
    tried = 0
    for point in POINTS:
        for hit in (1, 2, 3, 4):
            with Drop(binary=b, options='ack yes') as r:
                r.stop()
                for name, data in files.items():
                    r.put(name, data)
                os.environ['LABRELAY_CRASH_AT'] = '%s:%d' % (point, hit)
                try:
                    r.log = open(r.log_path, 'ab')
                    r.process = subprocess.Popen([b, 'run', '-c', r.conf], stdin=subprocess.DEVNULL, stdout=r.log, stderr=r.log)
                    end = time.monotonic() + 6
                    while r.process.poll() is None and time.monotonic() < end:
                        time.sleep(0.02)
                        if hit > 1 and len(r.names('done')) >= 6 and len(r.names('error')) >= 3:
                            break       # this point is not passed that often
                finally:
                    del os.environ['LABRELAY_CRASH_AT']
                was_killed = r.process.poll() == -9
                tried += was_killed
                expect(was_killed or hit > 1, 'never passed', point)
                r.stop()
                r.start()
                r.wait(lambda: not r.names() and not r.names('.claimed'), 'left after %s:%d' % (point, hit))
                done, error = r.names('done'), r.names('error')
                expect(done == ['a.hl7', 'a.hl7.ack', 'b.hl7', 'b.hl7.ack', 'd.json', 'd.json.outcome.json'], 'done after %s:%d' % (point, hit), done)
                expect(error == ['c.hl7', 'c.hl7.ack', 'c.hl7.why.txt'], 'error after %s:%d' % (point, hit), error)
                v = r.json('verify', ok=(0, 1))
                f = [x for x in v['frames'] if x['channel'] == 'drop'][0]
                expect(v['balanced'] and f['stored'] == 4 and v['observations']['in_originals'] == 4, 'lost or doubled after %s:%d' % (point, hit), f, v)
    print('# %d kills' % tried)


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
        except Skipped as e:
            print('ok %d - %s # SKIP %s' % (i, name, e), flush=True)
        except Exception as e:  # one broken test must not hide the others
            failed += 1
            print('not ok %d - %s: %s: %s' % (i, name, type(e).__name__, e), flush=True)
    return 1 if failed or not tests else 0


if __name__ == '__main__':
    sys.exit(main())
