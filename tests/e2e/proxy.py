#!/usr/bin/env python3
"""proxy - the example relay-proxy for real: Go.Data under a path of a TLS server with an authority of its own, reached through a proxy with a
login; a laboratory that posts through a TLS reverse proxy. And what becomes of a result when a proxy on the way is down, refuses or lies.

The servers are threads of this test on loopback; `labrelay sandbox` stands for Go.Data. Each function is one test. Invented people only.
"""
import base64
import http.client
import http.server
import json
import os
import select
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rig  # noqa: E402

CASES = {'cases': [{'id': 'c0000000-0000-4000-8000-00000000000%d' % n, 'visualId': 'CA-000000000%d' % n, 'firstName': 'Amina', 'lastName': 'Okello', 'dob': '1988-03-14'}
                   for n in (1, 2, 3)]}


def message(n):
    return rig.hl7('''MSH|^~\\&|DEV|LAB|LABRELAY|MOH|20261105101500+0300||ORU^R01^ORU_R01|C%d|P|2.5.1||||||UNICODE UTF-8
PID|1||CA-000000000%d^^^GODATA^PI||Okello^Amina^^^^^L||19880314|F
OBR|1||F-%d|41636-2^Ebola virus RNA^LN|||20261104083000+0300|||||||||||||||20261105101000+0300||MB|F
OBX|1|CWE|41636-2^Ebola virus RNA^LN|1|260373001^Detected^SCT||||||F|||20261104083000+0300
SPM|1|^S-%d||119297000^Blood^SCT|||||||P||||||20261104083000+0300''' % (n, n, n, n))


def expect(condition, text, *more):
    if not condition:
        raise rig.Failed(text + ''.join(' ' + (m if isinstance(m, str) else json.dumps(m, default=str)) for m in more))


def certificates(folder):
    """A root of our own and a server certificate for localhost."""
    def run(*args):
        subprocess.run(('openssl',) + args, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=Test root')
    run('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=localhost')
    with open(os.path.join(folder, 'ext'), 'w') as f:
        f.write('subjectAltName=DNS:localhost,IP:127.0.0.1\n')
    run('x509', '-req', '-in', 'server.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-out', 'server.pem', '-days', '2', '-extfile', 'ext')


class Threads(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass                            # connections that the other side drops are part of the tests


class Quiet(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass


class Server:
    """A server of this test in a thread; closed at the end of the with."""

    def __init__(self, handler, folder=None, **state):
        self.http = Threads(('127.0.0.1', 0), handler)
        self.http.state = self
        self.__dict__.update(state)
        self.log, self.port = [], self.http.server_address[1]
        if folder:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(os.path.join(folder, 'server.pem'), os.path.join(folder, 'server.key'))
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)

    def __enter__(self):
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()


class Reverse(Quiet):
    """TLS ends here; what lies below state.prefix goes to state.target."""

    def pass_on(self):
        state = self.server.state
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        state.log.append((self.command, self.path))
        if not self.path.startswith(state.prefix):
            self.send_error(404)
            return
        path = state.put + self.path[len(state.prefix):]
        up = http.client.HTTPConnection('127.0.0.1', state.target, timeout=30)
        up.request(self.command, path, body or None, {k: v for k, v in self.headers.items() if k.lower() not in ('host', 'content-length', 'connection', 'accept-encoding')})
        r = up.getresponse()
        answer = r.read()
        self.send_response(r.status)
        for k, v in r.getheaders():
            if k.lower() not in ('transfer-encoding', 'connection', 'content-length', 'keep-alive'):
                self.send_header(k, v)
        if r.status != 204:
            self.send_header('Content-Length', str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        up.close()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on


class Forward(Quiet):
    """A proxy that makes tunnels for whoever has the login; state.mode: open, refuse, silent."""

    def do_CONNECT(self):
        state = self.server.state
        state.log.append(self.path)
        wanted = 'Basic ' + base64.b64encode(b'relay:s3cret word').decode()
        if self.headers.get('Proxy-Authorization') != wanted:
            self.send_response(407)
            self.send_header('Content-Length', '0')
            self.end_headers()
            return
        if state.mode == 'refuse':
            self.send_response(502)
            self.send_header('Content-Length', '0')
            self.end_headers()
            self.close_connection = True
            return
        host, port = self.path.rsplit(':', 1)
        with socket.create_connection((host, int(port)), 10) as up:
            self.send_response(200)
            self.end_headers()
            pair = [self.connection, up]
            while True:
                ready = select.select(pair, [], [], 30)[0]
                data = [(s, s.recv(65536)) for s in ready]
                if not data or not all(d for _, d in data):
                    break
                for s, d in data:
                    pair[1 - pair.index(s)].sendall(d)
        self.close_connection = True

    def do_POST(self):
        self.server.state.log.append('in the clear: ' + self.path)
        self.send_error(403)
    do_GET = do_POST


HTTP = '''
listen http "laboratories" {{
    address  127.0.0.1:%d
    path     "/lab/fhir"
    hl7-path "/lab/hl7"
    tokens   credential "lab-tokens"
    parse    hl7v2 {{ timezone "Africa/Kampala" }}
    parse    fhir  {{ timezone "Africa/Kampala" }}
}}
'''


class Stand(rig.Rig):
    def __init__(self):
        self.http_port = rig.free_port()
        super().__init__(seed=CASES, listeners=rig.LISTENER + HTTP % self.http_port, writer_options='PROXY')

    def __enter__(self):
        certificates(self.folder)
        self.sandbox.start()
        self.godata = Server(Reverse, self.folder, target=int(self.sandbox.base.rsplit(':', 1)[1]), prefix='/godata/api', put='/api').__enter__()
        self.front = Server(Reverse, self.folder, target=self.http_port, prefix='/lab', put='/lab').__enter__()
        self.proxy = Server(Forward, mode='open').__enter__()
        self.api = 'https://localhost:%d/godata/api' % self.godata.port
        self.options('proxy "http://127.0.0.1:%d"  proxy-auth credential "proxy-login"  ca-file "ca.pem"  timeout 5s  settle-unknown 5s' % self.proxy.port)
        self.start()
        return self

    def options(self, text):
        self.parts = self.parts[:2] + (text,) + self.parts[3:]
        self.write_conf()
        for name, secret in (('proxy-login', 'relay:s3cret word'), ('lab-tokens', 'token-of-the-test')):
            with open(os.open(os.path.join(self.folder, 'credentials', name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w') as f:
                f.write(secret + '\n')

    def __exit__(self, *a):
        try:
            super().__exit__(*a)
        finally:
            for s in (self.godata, self.front, self.proxy):
                s.__exit__()

    def until(self, what, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            w = self.json('status', ok=(0, 1))['writers'][0]
            if what(w):
                return w
            time.sleep(0.05)
        raise rig.Failed('the writer did not come so far: ' + json.dumps(w))


def test_results_go_through_both():
    with Stand() as r:
        expect(b'MSA|AA|C1' in r.send(message(1)), 'no AA')
        r.settle()
        expect([x['sampleIdentifier'] for x in r.sandbox.lab_results()] == ['S-1'], 'lab results')
        expect(set(r.proxy.log) == {'localhost:%d' % r.godata.port}, 'every request went through a tunnel', r.proxy.log[:5])
        expect(r.godata.log and all(p.startswith('/godata/api/') for _, p in r.godata.log), 'under the path', r.godata.log[:5])
        rc, out, _ = r.verb('check', '--live', '--now', check=False)
        expect(rc == 0 and 'godata: ready' in out, 'check --live goes the same way', out)
        # a laboratory posts through the reverse proxy
        context = ssl.create_default_context(cafile=os.path.join(r.folder, 'ca.pem'))
        q = urllib.request.Request('https://localhost:%d/lab/hl7' % r.front.port, message(2), headers={'Content-Type': 'application/hl7-v2+er7', 'Authorization': 'Bearer token-of-the-test'})
        with urllib.request.urlopen(q, timeout=20, context=context) as a:
            expect(b'MSA|AA|C2' in a.read(), 'no AA through the proxy')
        r.settle()
        expect(len(r.sandbox.lab_results()) == 2, 'the second result')
        r.verb('verify')


def test_troubles_on_the_way():
    with Stand() as r:
        r.until(lambda w: w['mode'] == 'ready')
        r.proxy.mode = 'refuse'                     # no tunnel: nothing was sent, so nothing is in doubt
        # close the kept tunnels: the next request has to ask for one
        time.sleep(4.5)
        r.send(message(1))
        w = r.until(lambda w: w['mode'] == 'paused')
        expect(w['reason'] == 'UNREACHABLE', 'the server does not answer', w)
        expect(not [d for d in r.json('queue') if d['state'] == 'waiting' and d['step'] == 'readback'], 'no unknown outcome', r.json('queue'))
        r.proxy.mode = 'open'
        r.settle(60)
        expect(len(r.sandbox.lab_results()) == 1, 'exactly once')
        r.stop()
        # without the authority the certificate is refused; without the login the proxy refuses: nothing of ours is seen by anybody
        seen = len(r.godata.log)
        good = r.parts[2]
        for options in (good.replace('ca-file "ca.pem"', ''), good.replace('proxy-auth credential "proxy-login"', '')):
            r.options(options)
            r.start()
            r.send(message(2))
            w = r.until(lambda w: w['mode'] == 'paused')
            expect(w['reason'] == 'UNREACHABLE', 'refused', w)
            r.stop()
        expect(len(r.godata.log) == seen, 'nothing reached the server')
        r.options(good)
        r.start()
        r.verb('resume', 'godata', '--by', 'test', check=False)
        r.settle(60)
        expect(len(r.sandbox.lab_results()) == 2, 'at last')
        r.verb('verify')


def test_options_that_are_wrong():
    with Stand() as r:
        good = r.parts[2]
        for bad, word in (('proxy "socks5://a:1"', 'http://host:port'), ('proxy "http://me:pw@a:1"', 'proxy-auth'), ('proxy-auth credential "proxy-login"', 'without proxy'),
                          ('ca-file "none.pem"', 'cannot be read')):
            r.options(bad)
            rc, out, _ = r.verb('check', check=False)
            expect(rc == 1 and word in out and 'labrelay.conf:' in out, bad, out)
        r.options(good)


def main():
    failed = []
    tests = [(n, f) for n, f in sorted(globals().items()) if n.startswith('test_') and (len(sys.argv) < 2 or sys.argv[1] in n)]
    for name, f in tests:
        try:
            f()
            print('ok   ' + name)
        except Exception as e:      # noqa: BLE001
            failed.append(name)
            print('FAIL %s: %s: %s' % (name, type(e).__name__, str(e)[:2500]))
    print('%d tests, %d failed' % (len(tests), len(failed)))
    return 1 if failed or not tests else 0


if __name__ == '__main__':
    try:
        socket.gethostbyname('localhost')
    except OSError:
        print('SKIP: this machine does not know the name localhost')
        sys.exit(77)
    sys.exit(main())
