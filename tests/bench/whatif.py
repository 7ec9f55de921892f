#!/usr/bin/env python3
"""tests/bench/whatif.py BUILD-DIR MESSAGES [--floor N]: how many stored messages a second `labrelay whatif` runs through a configuration.

Fills a store through the engine (mllp_load: 2 KB and 10 results a message; a Go.Data that nobody answers for), then runs whatif over all of
it: the same configuration, and one in which every result changes. Fails below --floor messages a second (5,000), or on a wrong count.
On a machine that others use, the processor time counts: what all its cores would have done in the time that whatif was given.
"""
import json
import os
import resource
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
BUILD, N = os.path.abspath(sys.argv[1]), int(sys.argv[2])
# the bar is one for 100,000 messages; a short run on a busy machine only has to come near it
FLOOR = float(sys.argv[4]) if len(sys.argv) > 4 else 5000.0 if N >= 100000 else 3000.0
os.environ['LABRELAY'] = os.path.join(BUILD, 'labrelay')
import rig  # noqa: E402


def cpu():
    u = resource.getrusage(resource.RUSAGE_CHILDREN)
    return u.ru_utime + u.ru_stime


def main():
    wrong = []
    with rig.Rig(api='http://127.0.0.1:%d/api' % rig.free_port()) as r:
        subprocess.run([os.path.join(BUILD, 'bench_mllp_load'), '--address', '127.0.0.1:%d' % r.mllp, '--connections', '16', '--messages', str(N), '--json'],
                       stdout=subprocess.DEVNULL, timeout=1200, check=True)
        r.stop()
        text = open(r.conf).read()
        other = os.path.join(r.folder, 'new.conf')
        with open(other, 'w') as f:
            f.write(text.replace('send  lab to', 'set lab.lab_name = "OTHER_LAB"  send  lab to'))
        for what, path, code, kind in (('same configuration', r.conf, 0, 'same'), ('every result changes', other, 5, 'body')):
            t0, cpu0 = time.monotonic(), cpu()
            p = subprocess.run([r.binary, 'whatif', '--json', '--since', 'all', path], stdout=subprocess.PIPE, timeout=1200)
            took, used = time.monotonic() - t0, (cpu() - cpu0) / (os.cpu_count() or 1)
            x = json.loads(p.stdout)
            rate = x['messages'] / took
            print('whatif, %-22s %8d messages %9d results %8.1f s %9.0f messages/s %9.0f results/s, %.1f s of all processors' % (what, x['messages'], x['results'], took, rate, x['results'] / took, used))
            if p.returncode != code or x['messages'] != N or x['changes'][kind] < x['results'] * 0.5:
                wrong.append('%s: exit %d, %s' % (what, p.returncode, x['changes']))
            if rate < FLOOR and x['messages'] / used < FLOOR:
                wrong.append('%s: %.0f messages/s, not %.0f' % (what, rate, FLOOR))
    for w in wrong:
        print('WRONG: ' + w)
    print('bench whatif: ' + ('%d bars missed' % len(wrong) if wrong else 'all bars kept'))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
