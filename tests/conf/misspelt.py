#!/usr/bin/env python3
"""misspelt - every option, record field and function with one slip of the pen, in a configuration that is right otherwise: `check` has to name the line
and the word that was meant in at least 95 of 100.

The slips are those of hands: a letter left out, doubled, exchanged with its neighbour, or another one. Which one comes where is fixed by the word itself.
"""
import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile

REPO = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
LABRELAY = os.environ.get('LABRELAY') or os.path.join(REPO, 'build', 'plain', 'labrelay')

BASE = '''node "gateway"
{configuration}
store "{dir}/store.db" {{
    {store}
}}
table tests csv "{repo}/conf/tables/tests.csv" key system code value test_type tested_for
table results csv "{repo}/conf/tables/results.csv" key system code value outcome
alarm {{
    {alarm}
}}
listen mllp "lab" {{
    address 127.0.0.1:2575
    {listen_mllp}
    parse hl7v2 {{
        timezone "UTC"
        {parse_hl7v2}
    }}
}}
listen files "inbox" {{
    inbox "{dir}/inbox"
    {listen_files}
    parse fhir {{
        timezone "UTC"
        {parse_fhir}
    }}
}}
listen files "lists" {{
    inbox "{dir}/lists"
    parse csv {{
        timezone "UTC"
        column "Sample" specimen.id
        column "Test" observation.code system "local"
        column "Result" observation.value
        {parse_csv}
    }}
}}
listen http "web" {{
    address 127.0.0.1:8080
    {listen_http}
    parse fhir {{ timezone "UTC" }}
}}
write godata "godata" {{
    url "https://godata.example/api"
    login "a@b.example" password credential "godata-password"
    outbreak "Ebola"
    {write_godata}
}}
route "results" {{
    when observation.code in tests
    {route}
    send lab to "godata"
}}
route "rest" {{ hold "no route" }}
'''
PLACES = ('configuration', 'store', 'alarm', 'listen_mllp', 'listen_files', 'listen_http', 'parse_hl7v2', 'parse_fhir', 'parse_csv', 'write_godata', 'route')


def slip(word):
    """One slip in the last part of the word; never its first letter."""
    h = int(hashlib.sha256(word.encode()).hexdigest(), 16)
    letters = [i for i in range(1, len(word)) if word[i].isalpha() and word.rfind('.') < i]
    letters = [i for i in letters if i != word.rfind('.') + 1] or letters
    i, kind = letters[h % len(letters)], (h >> 16) % 4
    if kind == 0 and len(letters) > 3:
        return word[:i] + word[i + 1:]
    if kind == 1 and i + 1 < len(word) and word[i + 1].isalpha() and word[i + 1] != word[i]:
        return word[:i] + word[i + 1] + word[i] + word[i + 2:]
    if kind == 2:
        return word[:i] + word[i] + word[i:]
    return word[:i] + ('x' if word[i] != 'x' else 'z') + word[i + 1:]


def ask(verb):
    return json.loads(subprocess.run([LABRELAY, verb, '--json'], stdout=subprocess.PIPE, check=True).stdout)


def cases():
    everywhere = {'every listener': 'listen_mllp', 'every writer': 'write_godata'}
    for block in ask('options'):
        place = everywhere.get(block['block'], block['block'].replace(' ', '_'))
        if place not in PLACES:
            raise SystemExit('a block without a place in this test: %s' % block['block'])
        names = [o['name'] for o in block['options']]
        for name in names:
            if len(name) > 3 and slip(name) not in names:
                yield place, '%s 1' % slip(name), slip(name), name
    fields = [f['name'] for f in ask('fields')]
    for name in fields:
        if slip(name) not in fields:
            yield 'route', 'require %s' % slip(name), slip(name), name
    for f in ask('functions'):
        if len(f['name']) > 3:
            yield 'route', 'when %s' % f['example'].replace(f['name'] + '(', slip(f['name']) + '(', 1), slip(f['name']), f['name']


def look(folder, n, case):
    place, text, wrong, right = case
    values = {p: '' for p in PLACES}
    values[place] = text
    conf = BASE.format(dir=folder, repo=REPO, **values)
    path = os.path.join(folder, 'c%d.conf' % n)
    with open(path, 'w') as f:
        f.write(conf)
    line = next(i for i, t in enumerate(conf.split('\n'), 1) if text in t)
    p = subprocess.run([LABRELAY, 'check', '-c', path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    out = p.stdout.decode(errors='replace')
    here = re.search(r'c%d\.conf:%d:\d+: error:[^\n]*(?:\n(?!/)[^\n]*)*' % (n, line), out)
    return p.returncode != 0 and here is not None, bool(here) and re.search(r'did you mean "?%s\b' % re.escape(right), here.group(0)) is not None, out


def main():
    with tempfile.TemporaryDirectory(prefix='labrelay-misspelt.') as folder:
        os.makedirs(os.path.join(folder, 'credentials'), mode=0o700)
        with open(os.open(os.path.join(folder, 'credentials', 'godata-password'), os.O_WRONLY | os.O_CREAT, 0o600), 'w') as f:
            f.write('x\n')
        for d in ('inbox', 'lists'):
            os.makedirs(os.path.join(folder, d))
        # the right word everywhere: what is told must come from the slip
        right = os.path.join(folder, 'right.conf')
        with open(right, 'w') as f:
            f.write(BASE.format(dir=folder, repo=REPO, **{p: '' for p in PLACES}))
        p = subprocess.run([LABRELAY, 'check', '-c', right], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if p.returncode != 0:
            print(p.stdout.decode())
            raise SystemExit('the configuration without a slip is not right')
        todo = list(cases())
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(pool.map(lambda x: look(folder, *x), enumerate(todo)))
    placed = sum(r[0] for r in results)
    guessed = sum(r[1] for r in results)
    for case, r in zip(todo, results):
        if not r[0] or not r[1]:
            print('%s: %s for %s' % ('no line' if not r[0] else 'no guess', case[2], case[3]))
            if '-v' in sys.argv:
                print(r[2])
    print('%d misspelt words: %d at their line, %d with the right word (%.1f %%)' % (len(todo), placed, guessed, 100.0 * guessed / len(todo)))
    return 0 if len(todo) > 200 and placed == len(todo) and guessed >= 0.95 * len(todo) else 1


if __name__ == '__main__':
    sys.exit(main())
