#!/usr/bin/env python3
"""kill_cycles - the engine is killed with SIGKILL at random moments under load, over and over; every acknowledged result must
stand in the sandbox exactly once.

    kill_cycles.py [--cycles N] [--connections N] [--seed N] [--per-cycle N] [--json]

Many MLLP connections send distinct results for known cases. The sandbox loses some replies (--drop-reply) and executes some
requests late (--late). A kill comes when at least --per-cycle messages were acknowledged since the last one and at least one
POST of a lab result is under way: the engine reaches the sandbox through a relay in this process, which sees that. A sender that
got no answer does what senders do: it sends the same message again until it is answered, or (one in four) gives up.

At the end: every acknowledged result once, counted by its K and sample; given-up ones at most once; nothing else; `verify` balances.
LABRELAY names the program under test.
"""
import argparse
import asyncio
import collections
import json
import os
import random
import re
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
import mllp  # noqa: E402
import rig  # noqa: E402

N_CASES = 400
CASES = {'cases': [
    {'id': 'c0000000-0000-4000-8000-%012d' % n, 'visualId': 'CA-%010d' % n, 'firstName': 'Amina', 'lastName': 'Okello', 'dob': '1988-03-14',
     'gender': 'LNG_REFERENCE_DATA_CATEGORY_GENDER_FEMALE'} for n in range(1, N_CASES + 1)]}
OWN_BLOCK = re.compile(r'^\[labrelay ([0-9a-f]{8})\]', re.M)


def oru(n):
    return rig.hl7('''MSH|^~\\&|DEV|LAB|LABRELAY|MOH|20261105101500+0300||ORU^R01^ORU_R01|K%d|P|2.5.1||||||UNICODE UTF-8
PID|1||CA-%010d^^^GODATA^PI||Okello^Amina^^^^^L||19880314|F
OBR|1||F-%d|41636-2^Ebola virus RNA^LN|||20261104083000+0300|||||||||||||||20261105101000+0300||MB|F
OBX|1|CWE|41636-2^Ebola virus RNA^LN|1|260373001^Detected^SCT||Not detected|POS|||F|||20261104083000+0300
SPM|1|^S-%d||119297000^Blood^SCT|||||||P||||||20261104083000+0300''' % (n, n % N_CASES + 1, n, n))


class Relay:
    """Passes bytes between engine and sandbox and knows how many POSTs of lab results have no answer yet."""

    def __init__(self, port):
        self.target, self.in_flight, self.posts = port, 0, 0
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self.main, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.ready.wait(10)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.end.set)
        self.thread.join(10)

    def main(self):
        asyncio.run(self.serve())

    async def serve(self):
        self.loop, self.end = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self.connection, '127.0.0.1', 0)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self.end.wait()
        server.close()

    async def connection(self, reader, writer):
        state = {'open': False}
        try:
            up_reader, up_writer = await asyncio.open_connection('127.0.0.1', self.target)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(self.pipe(reader, up_writer, state, True), self.pipe(up_reader, writer, state, False))
        except asyncio.CancelledError:
            pass                        # the relay ends while the engine still holds its connections open
        self.settle(state)

    def settle(self, state):
        if state['open']:
            state['open'] = False
            self.in_flight -= 1

    async def pipe(self, reader, writer, state, is_request):
        try:
            while True:
                data = await reader.read(65536)
                if not data:
                    break
                if is_request:
                    line = data.split(b'\r\n', 1)[0]
                    if line.startswith(b'POST ') and b'/lab-results HTTP' in line and not state['open']:
                        state['open'] = True
                        self.in_flight += 1
                        self.posts += 1
                else:
                    self.settle(state)
                writer.write(data)
                await writer.drain()
        except (ConnectionError, OSError):
            pass
        finally:
            if not is_request:
                self.settle(state)
            writer.close()


class Ledger:
    """Which message was sent, answered AA, or given up. One lock; senders are threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.next, self.acked, self.given_up, self.resent = 0, set(), set(), 0
        self.refused = []

    def take(self):
        with self.lock:
            self.next += 1
            return self.next


class Sender(threading.Thread):
    def __init__(self, cycles, ledger, number):
        super().__init__(daemon=True)
        self.cycles, self.ledger, self.random = cycles, ledger, random.Random(cycles.args.seed * 1000 + number)
        self.client = None

    def exchange(self, payload):
        """The reply, or None when there is none (no connection, closed, silence)."""
        try:
            if self.client is None:
                self.client = mllp.Client('127.0.0.1', self.cycles.rig.mllp, 2.0)
            self.client.send(payload)
            return self.client.read(10)
        except (OSError, mllp.Timeout, mllp.Closed):
            if self.client is not None:
                self.client.close()
            self.client = None
            return None

    def run(self):
        while not self.cycles.stop.is_set():
            n = self.ledger.take()
            payload, tries = oru(n), 0
            while True:
                reply = self.exchange(payload)
                if reply is not None and b'MSA|AA|K%d' % n in reply:
                    with self.ledger.lock:
                        self.ledger.acked.add(n)
                    break
                if reply is not None and b'|207' not in reply:
                    with self.ledger.lock:
                        self.ledger.refused.append(reply.decode(errors='replace'))
                    break
                if tries == 0 and self.random.random() < 0.25:
                    with self.ledger.lock:
                        self.ledger.given_up.add(n)
                    break
                tries += 1
                with self.ledger.lock:
                    self.ledger.resent += 1
                if self.cycles.stop.is_set() and tries > 200:
                    with self.ledger.lock:
                        self.ledger.given_up.add(n)
                    break
                time.sleep(0.05)
            time.sleep(self.random.random() * self.cycles.args.pace / 1000)
        if self.client is not None:
            self.client.close()


class Cycles:
    def __init__(self, args):
        self.args, self.stop, self.ledger = args, threading.Event(), Ledger()
        self.random = random.Random(args.seed)
        self.kills = []

    def acked(self):
        return len(self.ledger.acked)

    def one(self, relay):
        """Waits for its moment, kills, starts again."""
        start, end = self.acked(), time.monotonic() + 120
        while self.acked() - start < self.args.per_cycle:
            if time.monotonic() > end or self.rig.process.poll() is not None:
                raise rig.Failed('only %d acknowledged in this cycle: %s' % (self.acked() - start, self.rig.log_tail()))
            time.sleep(0.005)
        time.sleep(self.random.random() * 0.4)
        while relay.in_flight < 1:
            if time.monotonic() > end:
                raise rig.Failed('no POST under way in 120 s: ' + self.rig.log_tail())
            time.sleep(0.0002)
        flight = relay.in_flight
        self.rig.process.send_signal(signal.SIGKILL)
        self.rig.process.wait(30)
        self.rig.process = None
        self.kills.append((self.acked() - start, flight))
        self.rig.start()

    def run(self):
        flags = ['--drop-reply', '17', '--late', '1', '--late-every', '23', '--slow', '2']
        # The sandbox starts first, then the relay that needs its port, then the engine that needs the relay's.
        self.rig = rig.Rig(seed=CASES, sandbox_flags=flags, writer_options='settle-unknown 3s\n    couriers 8\n    retry-max 5s')
        began = time.monotonic()
        try:
            self.rig.sandbox.start()
            with Relay(int(self.rig.sandbox.base.rsplit(':', 1)[1])) as relay:
                self.rig.api = 'http://127.0.0.1:%d/api' % relay.port
                self.rig.write_conf()
                self.rig.start()
                self.load(relay)
                self.rig.settle(120 + self.acked() / 50)
                return self.judge(time.monotonic() - began)
        finally:
            self.rig.__exit__(*sys.exc_info())

    def load(self, relay):
        senders = [Sender(self, self.ledger, i) for i in range(self.args.connections)]
        for s in senders:
            s.start()
        try:
            for _ in range(self.args.cycles):
                self.one(relay)
        finally:
            self.stop.set()
            for s in senders:
                s.join(60)

    def judge(self, seconds):
        ledger, wrong = self.ledger, []
        by_sample = collections.defaultdict(list)
        by_k = collections.Counter()
        for lab in self.rig.sandbox.lab_results():
            found = OWN_BLOCK.findall(lab.get('notes') or '')
            if len(found) != 1:
                wrong.append('a lab result without exactly one K: %s' % lab['id'])
                continue
            by_sample[lab['sampleIdentifier']].append(found[0])
            by_k[found[0], lab['sampleIdentifier']] += 1
        for key, n in by_k.items():
            if n != 1:
                wrong.append('K %s of %s stands %d times' % (key[0], key[1], n))
        for n in ledger.acked:
            if len(by_sample['S-%d' % n]) != 1:
                wrong.append('acknowledged K%d stands %d times' % (n, len(by_sample['S-%d' % n])))
        known = {'S-%d' % n for n in ledger.acked | ledger.given_up}
        for n in ledger.given_up:
            if len(by_sample['S-%d' % n]) > 1:
                wrong.append('given-up K%d stands %d times' % (n, len(by_sample['S-%d' % n])))
        wrong += ['%s was never sent' % s for s, v in by_sample.items() if v and s not in known]
        wrong += ['refused: ' + r for r in ledger.refused]
        held = self.rig.json('held', 'list')
        if held:
            wrong.append('%d are held: %s' % (len(held), collections.Counter(d['reason'] for d in held)))
        verify = self.rig.json('verify', ok=(0, 1))
        if not verify['balanced']:
            wrong.append('verify: ' + json.dumps(verify))
        stats = self.rig.sandbox.call('GET', '/sandbox/stats')
        return {'cycles': len(self.kills), 'seconds': round(seconds, 1), 'acknowledged': len(ledger.acked), 'given_up': len(ledger.given_up), 'resent': ledger.resent,
                'in_sandbox': sum(by_k.values()), 'least_acknowledged_before_a_kill': min(k[0] for k in self.kills),
                'least_posts_under_way_at_a_kill': min(k[1] for k in self.kills), 'lost_replies': stats['lost'], 'late_writes': stats['late_done'],
                'lab_posts': stats['lab_posts'], 'duplicates_answered': verify['frames'][0]['duplicate'] if verify.get('frames') else None, 'seed': self.args.seed,
                'wrong': wrong}


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--cycles', type=int, default=10)
    p.add_argument('--connections', type=int, default=24)
    p.add_argument('--per-cycle', type=int, default=200)
    p.add_argument('--pace', type=float, default=40, help='longest pause of a sender between two messages, in ms')
    p.add_argument('--seed', type=int, default=int(time.time()))
    p.add_argument('--json', action='store_true')
    args = p.parse_args()
    print('kill_cycles: seed %d' % args.seed, file=sys.stderr)
    result = Cycles(args).run()
    wrong = result['wrong']
    if args.json:
        print(json.dumps(result))
    else:
        print(', '.join('%s %s' % (k.replace('_', ' '), v) for k, v in result.items() if k != 'wrong'))
        for w in wrong[:20]:
            print('WRONG ' + w)
        print('%s kill_cycles' % ('not ok' if wrong else 'ok'))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
