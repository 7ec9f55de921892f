#!/usr/bin/env python3
"""choose - the 150 corpus files whose outcome is written by hand in outcomes.tsv.

    choose.py [CORPUS]      prints the paths below the corpus root, one a line

The choice is a pure function of MANIFEST.tsv, the seed and the numbers below. Every source gets one file at least, the
rest goes by the size of the source; within a source half of the places go to result messages (ORU, OUL) where it has them.
"""
import csv
import os
import random
import sys

SEED = 20261121
FILES = 150


def default_corpus():
    shared = os.environ.get('LABRELAY_SHARED') or os.path.join(
        os.path.dirname(os.path.abspath(__file__)), '..', '..', '..', 'shared')
    return os.path.join(shared, 'corpus')


def manifest(corpus):
    """[(path, message type)] of the HL7 v2 files, sorted by path."""
    with open(os.path.join(corpus, 'MANIFEST.tsv'), encoding='utf-8', newline='') as f:
        rows = csv.reader(f, delimiter='\t', quoting=csv.QUOTE_NONE)
        return sorted((r[0], r[3]) for r in rows if r and r[0].startswith('hl7v2/'))


def quotas(sizes, total):
    """Places per source: one each, the rest by largest remainder, never more than the source has."""
    left = total - len(sizes)
    whole = sum(sizes.values()) - len(sizes)
    share = {s: left * (n - 1) / whole for s, n in sizes.items()}
    places = {s: 1 + int(x) for s, x in share.items()}
    by_rest = sorted(sizes, key=lambda s: (int(share[s]) - share[s], s))
    for s in by_rest[:total - sum(places.values())]:
        places[s] += 1
    return places


def choose(rows, total=FILES, seed=SEED):
    sources = {}
    for path, kind in rows:
        sources.setdefault(path.split('/')[1], []).append((path, kind))
    places = quotas({s: len(f) for s, f in sources.items()}, total)
    rng = random.Random(seed)
    out = []
    for source in sorted(sources):
        results = [p for p, k in sources[source] if k.startswith(('ORU', 'OUL'))]
        others = [p for p, k in sources[source] if not k.startswith(('ORU', 'OUL'))]
        rng.shuffle(results)
        rng.shuffle(others)
        n = places[source]
        k = min(len(results), max((n + 1) // 2, n - len(others)))
        out += results[:k] + others[:n - k]
    return sorted(out)


if __name__ == '__main__':
    print('\n'.join(choose(manifest(sys.argv[1] if len(sys.argv) > 1 else default_corpus()))))
