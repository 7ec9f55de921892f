#!/usr/bin/env python3
"""alarms - one alarm and one all-clear: by command, mail and webhook, over restarts, never a flood, never the engine held up.

Each function is one test. The mail server and the webhook are small threads here.
"""
import http.server
import json
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import rig  # noqa: E402
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ops import CASES, expect, oru, until  # noqa: E402

LISTENER = rig.LISTENER.replace('    parse ', '    %s\n    parse ')
COMMAND = '''#!/bin/sh
cat >>%s/told.jsonl
%s
'''


class Mail:
    """An SMTP server: keeps what it is given; with is_up False it refuses at the greeting."""

    def __init__(self):
        self.mails, self.is_up = [], True
        self.s = socket.create_server(('127.0.0.1', 0))
        self.port = self.s.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                c = self.s.accept()[0]
            except OSError:
                return
            with c, c.makefile('rwb') as f:
                try:
                    self.serve(f)
                except OSError:
                    pass

    def serve(self, f):
        def say(text):
            f.write(text + b'\r\n')
            f.flush()
        if not self.is_up:
            say(b'421 not now')
            return
        say(b'220 test')
        mail = {'to': []}
        while True:
            line = f.readline()
            if not line:
                return
            word = line.strip().upper()
            if word.startswith(b'MAIL FROM'):
                mail['from'] = line.decode().strip()
            elif word.startswith(b'RCPT TO'):
                mail['to'].append(line.decode().strip())
            elif word == b'DATA':
                say(b'354 go on')
                text = b''
                while True:
                    line = f.readline()
                    if line == b'.\r\n':
                        break
                    text += line
                mail['text'] = text.decode()
                self.mails.append(mail)
                mail = {'to': []}
            elif word == b'QUIT':
                say(b'221 bye')
                return
            say(b'250 fine')

    def close(self):
        self.s.close()


class Hook:
    """A webhook: keeps the bodies; answers with self.status."""

    def __init__(self):
        self.posts, self.status = [], 204
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer.posts.append((json.loads(self.rfile.read(int(self.headers['Content-Length']))), self.headers.get('Authorization')))
                self.send_response(outer.status)
                self.send_header('Content-Length', '0')
                self.end_headers()

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def make(alarm='', expects='', program='', **more):
    """A rig whose alarms go to a program that appends to told.jsonl."""
    r = rig.Rig(seed=CASES, listeners=LISTENER % expects, **more)
    path = os.path.join(r.folder, 'tell')
    with open(path, 'w') as f:
        f.write(COMMAND % (r.folder, program))
    os.chmod(path, 0o755)
    head, listeners, options, routes = r.parts
    r.parts = ('alarm {{\n    settle 0s\n    command "%s"\n    %s\n}}\n' % (path, alarm) + head, listeners, options, routes)
    return r


def told(r, kind=None):
    path = os.path.join(r.folder, 'told.jsonl')
    if not os.path.exists(path):
        return []
    return [x for x in map(json.loads, open(path)) if kind in (None, x['alarm'])]


def states(r, kind):
    return [x['state'] for x in told(r, kind)]


def up(r):
    return [(a['kind'], a['subject']) for a in r.json('status', ok=(0, 1, 3))['alarms']]


def test_silence_is_said_once_and_its_end_once():
    with make(expects='expect every 3s') as r:
        r.send(oru('A1'))
        until(lambda: states(r, 'silence') == ['raised'], 'an alarm')
        x = told(r, 'silence')[0]
        expect(x['subject'] == 'lab' and x['node'] == 'test-gateway' and 'more than 3 s' in x['text'] and 'until' not in x, 'the notice', x)
        expect(up(r) == [('silence', 'lab')] and r.verb('status', check=False)[0] == 1, 'status')
        time.sleep(5)
        expect(states(r, 'silence') == ['raised'], 'said again', told(r))
        r.stop()
        r.start()
        time.sleep(2.5)
        expect(states(r, 'silence') == ['raised'] and up(r) == [('silence', 'lab')], 'a restart says it again', told(r))
        r.send(oru('A2', 'S-2'))
        until(lambda: states(r, 'silence') == ['raised', 'cleared'], 'the all-clear')
        until(lambda: up(r) == [] or states(r, 'silence')[2:] == ['raised'], 'over')
        text = open(r.log_path).read()
        expect(text.count(' alarm kind=silence subject=lab') >= 1 and 'all-clear kind=silence subject=lab' in text, 'the log', text)


def test_no_silence_outside_the_expected_hours_nor_while_paused():
    hour = time.gmtime(time.time() + 3 * 3600).tm_hour         # the channel is in Africa/Kampala
    later = 'expect every 1s during %02d:00-%02d:00' % ((hour + 3) % 24, (hour + 4) % 24)
    with make(expects=later) as r:
        time.sleep(3.5)
        expect(told(r) == [], 'outside the hours', told(r))
    with make(expects='expect every 2s') as r:
        r.verb('pause', 'lab', '--by', 't')
        time.sleep(4.5)
        expect(told(r, 'silence') == [], 'paused', told(r))


def test_an_all_clear_is_not_lost_by_a_restart():
    with make(expects='expect every 1s', program='test ! -e %s/fail' % '$(dirname $0)') as r:
        until(lambda: states(r, 'silence') == ['raised'], 'an alarm')
        until(lambda: r.json('status')['engine']['alarm_targets'][0]['told'] == 1, 'told')
        open(os.path.join(r.folder, 'fail'), 'w').close()
        r.verb('pause', 'lab', '--by', 't')                     # nothing is expected any more
        until(lambda: states(r, 'silence') == ['raised', 'cleared'], 'a first try')
        expect(r.json('status')['engine']['alarm_targets'][0]['error'] == 'EXIT' and r.json('status')['engine']['alarm_targets'][0]['waiting'] == 1, 'it failed')
        r.stop(9)
        os.remove(os.path.join(r.folder, 'fail'))
        r.start()
        until(lambda: states(r, 'silence') == ['raised', 'cleared', 'cleared'], 'told after the restart')
        until(lambda: r.json('status')['engine']['alarm_targets'][0]['told'] == 1, 'told')
        r.stop()
        r.start()
        time.sleep(1.5)
        expect(len(states(r, 'silence')) == 3, 'and not again', told(r))


def test_queue_writer_and_holds():
    with make(alarm='queue-age 1s\n    writer-down 1s\n    held-count 2\n    held-age 3s') as r:
        r.verb('pause', 'godata', '--by', 't')
        r.send(oru('A1'))
        until(lambda: states(r, 'writer-down') == ['raised'], 'a paused writer')
        until(lambda: states(r, 'queue-age') == ['raised'], 'a queue that grows old', 20)
        expect(told(r, 'queue-age')[0]['n'] == 1 and told(r, 'writer-down')[0]['text'] == 'paused by a person', 'figures', told(r))
        for n in range(3):
            r.send(oru('B%d' % n, 'B-%d' % n, 'CA-0000000077'))
        r.verb('resume', 'godata')
        until(lambda: states(r, 'writer-down') == ['raised', 'cleared'], 'it writes')
        until(lambda: states(r, 'queue-age') == ['raised', 'cleared'], 'the queue is empty', 20)
        until(lambda: states(r, 'held-count') == ['raised'], 'much is held', 20)
        until(lambda: 'held-age' not in [x['alarm'] for x in told(r)], 'NO_MATCH has an age of its own: 30 d')
        for n in range(3):
            r.verb('held', 'dismiss', 'd%d' % (n + 2), '--by', 't', '--why', 'test')
        until(lambda: states(r, 'held-count') == ['raised', 'cleared'], 'nothing is held', 20)
        text = json.dumps(told(r))
        for canary in ('Okello', 'Amina', 'CA-00000', 'S-1', 'B-1'):
            expect(canary not in text, 'patient data', canary)


def test_parked_results_grow_old_by_their_own_time():
    with make(alarm='held-age 1h', writer_options='no-match park, alarm after 1h') as r:
        r.send(oru('A1', person='CA-0000000077'))
        r.settle()
        time.sleep(6.5)
        expect(told(r) == [], 'too soon', told(r))
        r.stop()
        import sqlite3
        with sqlite3.connect(os.path.join(r.folder, 'store.db')) as db:     # it came in two hours ago
            db.execute('UPDATE message SET received_us=received_us-7200000000')
        db.close()
        r.start()
        until(lambda: states(r, 'held-age') == ['raised'], 'a parked result grows old', 15)
        expect(told(r)[0]['text'].startswith('NO_MATCH: the oldest is held for 120 min'), 'text', told(r))


def test_withdrawals_are_told():
    with make() as r:
        r.send(oru('A1'))
        r.settle()
        r.send(oru('A2').replace(b'|F|||20261104083000', b'|W|||20261104083000').replace(b'20261105101000', b'20261107101000'))
        r.settle()
        x = until(lambda: told(r, 'withdrawn'), 'a withdrawal')
        expect(len(x) == 1 and x[0]['state'] == 'event' and x[0]['subject'] == 'godata' and x[0]['text'] == 'd2', 'the notice', x)
        time.sleep(1.5)
        expect(up(r) == [], 'an event is never up', up(r))


def test_critical_results_are_told_within_seconds_and_together():
    routes = rig.ROUTES.replace('send  lab', 'flag  critical "call"\n    send  lab')
    with make(routes=routes) as r:
        begin = time.monotonic()
        r.send(oru('A1'))
        x = until(lambda: told(r, 'critical'), 'a critical result')[0]
        expect(time.monotonic() - begin < 5 and x['subject'] == 'lab' and x['text'] == 'd1' and x['state'] == 'event', 'the notice', x)
        for n in range(9):
            r.send(oru('B%d' % n, 'B-%d' % n))
        time.sleep(2.5)
        expect(len(told(r, 'critical')) == 1, 'a flood', told(r))


def test_mail_and_webhook():
    mail, hook = Mail(), Hook()
    try:
        with make(expects='expect every 1s', alarm='mail to "a@example.org", "b@example.org" from "labrelay@example.org" smtp "smtp://127.0.0.1:%d"\n'
                  '    webhook "http://127.0.0.1:%d/x" token credential "godata-password"' % (mail.port, hook.port)) as r:
            until(lambda: mail.mails and hook.posts, 'mail and webhook')
            m = mail.mails[0]
            expect('<labrelay@example.org>' in m['from'] and len(m['to']) == 2 and '<b@example.org>' in m['to'][1], 'envelope', m)
            expect('Subject: [labrelay test-gateway] ALARM: silence lab\r\n' in m['text'] and 'nothing came for more than 1 s' in m['text'], 'text', m)
            post, token = hook.posts[0]
            expect(post['alarm'] == 'silence' and post['state'] == 'raised' and token == 'Bearer ' + rig.PASSWORD, 'webhook', post, token)
            mail.is_up, hook.status = False, 500
            r.verb('pause', 'lab', '--by', 't')
            t = until(lambda: [t for t in r.json('status')['engine']['alarm_targets'] if t['error'] == 'REFUSED'][1:] and r.json('status')['engine']['alarm_targets'], 'they fail')
            expect([x['waiting'] for x in t] == [0, 1, 1] and [x['told'] for x in t] == [2, 1, 1], 'the program is told all the same', t)
            mail.is_up, hook.status = True, 200
            until(lambda: len(mail.mails) == 2 and hook.posts[-1][0]['state'] == 'cleared', 'tried again after 10 s', 20)
            expect('all-clear: silence lab' in mail.mails[1]['text'], 'all-clear', mail.mails[1])
            text = open(r.log_path).read()
            expect('alarm not told' in text and rig.PASSWORD not in text, 'the log', text)
    finally:
        mail.close()
        hook.close()


def test_a_program_that_hangs_holds_up_nobody():
    with make(expects='expect every 1s', alarm='command-limit 2s', program='sleep 60') as r:
        until(lambda: states(r, 'silence') == ['raised'], 'it runs')
        slowest = 0.0
        for n in range(20):
            begin = time.monotonic()
            expect(b'MSA|AA' in r.send(oru('N%d' % n, 'N-%d' % n)), 'answered')
            slowest = max(slowest, time.monotonic() - begin)
        expect(slowest < 1.0, 'the engine was held up', slowest)
        until(lambda: r.json('status')['engine']['alarm_targets'][0]['error'] == 'LIMIT', 'stopped')
        begin = time.monotonic()
        expect(r.stop() == 0 and time.monotonic() - begin < 8, 'it stops')
        r.start()


def test_a_reload_says_nothing_again_and_takes_the_new_block():
    with make(expects='expect every 1s') as r:
        until(lambda: states(r, 'silence') == ['raised'], 'an alarm')
        until(lambda: r.json('status')['engine']['alarm_targets'][0]['told'] == 1, 'told')
        text = open(r.conf).read()
        with open(r.conf, 'w') as f:
            f.write('# the same\n' + text)
        r.verb('reload')
        time.sleep(2.5)
        expect(states(r, 'silence') == ['raised'] and r.json('status')['engine']['alarm_targets'][0]['told'] == 1, 'said again', told(r))
        with open(r.conf, 'w') as f:
            f.write(text.replace('/tell"', '/tell2"'))
        os.rename(os.path.join(r.folder, 'tell'), os.path.join(r.folder, 'tell2'))
        r.verb('reload')
        r.verb('pause', 'lab', '--by', 't')
        until(lambda: states(r, 'silence') == ['raised', 'cleared'], 'by the new program')
        expect(up(r) == [], 'over')


def test_reminders_only_when_asked_for():
    with make(expects='expect every 1s', alarm='remind 2s') as r:
        until(lambda: states(r, 'silence')[:3] == ['raised', 'reminder', 'reminder'], 'reminders')
        r.verb('pause', 'lab', '--by', 't')
        until(lambda: 'cleared' in states(r, 'silence'), 'over')
        n = len(told(r))
        time.sleep(4)
        expect(len(told(r)) == n, 'reminders of what is over', told(r))


def main():
    tests = [(n, f) for n, f in sorted(globals().items()) if n.startswith('test_') and (not sys.argv[1:] or any(w in n for w in sys.argv[1:]))]
    failed = 0
    for name, f in tests:
        try:
            f()
            print('ok   ' + name)
        except Exception as e:  # a test that breaks in any way has failed
            failed += 1
            print('FAIL %s: %s: %s' % (name, type(e).__name__, str(e)[:1500]))
    print('%d passed, %d failed' % (len(tests) - failed, failed))
    return 1 if failed or not tests else 0


if __name__ == '__main__':
    sys.exit(main())
