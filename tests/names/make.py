#!/usr/bin/env python3
"""tests/names/make.py [--judge]: writes pairs.tsv from lists.tsv (names), hard.tsv (cases written by hand) and the rules below; with --judge, judge.tsv from
judge_lists.tsv and judge_hard.tsv, with a seed of its own. Same seed, same file.

A pair is what a message says about somebody (a_*) and one person in Go.Data (b_*). `same` is the truth, `shares` says that an identifier of the message
stands with that person. See README.md.
"""
import datetime
import hashlib
import os
import random
import sys

JUDGE = sys.argv[1:] == ["--judge"]
SEED = "labrelay-names-judge-82a42bf" if JUDGE else "labrelay-names-1"       # of the judge: the head of the day, so that nobody chose it
PREFIX = "judge_" if JUDGE else ""
HERE = os.path.dirname(os.path.abspath(__file__))
COLUMNS = ("id half script same shares a_family a_given a_middle a_birth a_age a_sex a_ids "
           "b_last b_first b_middle b_dob b_age b_sex b_visual_id b_documents why").split()
SCRIPTS = "latin arabic ethiopic cyrillic burmese devanagari chinese".split()
TODAY = datetime.date(2026, 5, 4)
rng = random.Random(SEED)
lists = {s: {"family": [], "man": [], "woman": []} for s in SCRIPTS}
for row in open(os.path.join(HERE, PREFIX + "lists.tsv"), encoding="utf-8"):
    script, kind, native, other = row.rstrip("\n").split("\t")
    lists[script][kind].append((native, other.split("|")))
serial = 5000 if JUDGE else 0             # the identifiers of the two files differ: their people stand in one crowd


def person(script, sex=None, family=None, born=None):
    sex = sex or rng.choice("FM")
    kind = "man" if sex == "M" else "woman"
    given, middle = rng.sample(lists[script][kind], 2)
    if script in ("arabic", "ethiopic"):                    # the father's name stands in the middle
        middle = rng.choice([n for n in lists[script]["man"] if n != given])
    return {"script": script, "sex": sex, "family": family or rng.choice(lists[script]["family"]), "given": given,
            "middle": middle if script not in ("burmese", "chinese") and rng.random() < 0.4 else None,
            "born": born or datetime.date(1940, 1, 1) + datetime.timedelta(days=rng.randrange(30600))}


def write(name, how):
    """One way to write a name: n native, 0/1/2 the n-th other way."""
    if name is None:
        return ""
    if how == "n":
        return name[0]
    return name[1][min(int(how), len(name[1]) - 1)]


def side(p, how):
    return {"family": write(p["family"], how), "given": write(p["given"], how), "middle": write(p["middle"], how),
            "birth": p["born"].isoformat(), "age": "", "sex": p["sex"]}


def years(born):
    return TODAY.year - born.year - ((TODAY.month, TODAY.day) < (born.month, born.day))


def typo(s):
    """Two neighbours swapped, one letter lost or doubled, inside the longest word."""
    if len(s) < 4:
        return s
    i = rng.randrange(1, len(s) - 2)
    return rng.choice([s[:i] + s[i + 1] + s[i] + s[i + 2:], s[:i] + s[i + 1:], s[:i] + s[i] + s[i:]])


def ids():
    global serial
    serial += 1
    kind = rng.choice(["visual", "national", "passport", "external"])
    n = 10000 + serial * 7
    visual = "CASE-2026-%05d" % n
    doc = {"national": "NATIONAL_ID_CARD=1%09d" % (n * 37), "passport": "PASSPORT=P%07d" % (n * 11), "external": "EXTERNAL_ID=MRN-%06d" % n}
    if kind == "visual":
        return "visual-id=" + visual, visual, rng.choice(["", doc["national"]])
    return "document:" + doc[kind], visual, doc[kind]


# what may differ between two honest records of one person: name, weight with an identifier, weight without, what it does


def v_case(a, b, p):
    a.update(family=a["family"].upper(), given=a["given"].upper(), middle=a["middle"].upper())


def v_swap(a, b, p):
    a["family"], a["given"] = a["given"], a["family"]


def v_one_field(a, b, p):
    glue = "" if p["script"] == "chinese" and not a["family"].isascii() else " "
    a["family"], a["given"], a["middle"] = glue.join(x for x in (a["family"], a["given"], a["middle"]) if x), "", ""


def v_given_first_field(a, b, p):
    a["given"], a["family"], a["middle"] = " ".join(x for x in (a["given"], a["middle"], a["family"]) if x), "", ""


def v_no_middle(a, b, p):
    rng.choice([a, b])["middle"] = ""


def v_hyphen(a, b, p):
    extra = write(rng.choice(lists[p["script"]]["family"]), "0" if a["family"].isascii() else "n")
    a["family"] += rng.choice(["-", " "]) + extra


def v_typo_family(a, b, p):
    a["family"] = typo(a["family"])


def v_typo_given(a, b, p):
    a["given"] = typo(a["given"])


def v_day_month(a, b, p):
    if p["born"].day <= 12 and p["born"].day != p["born"].month:
        a["birth"] = p["born"].replace(month=p["born"].day, day=p["born"].month).isoformat()
    else:
        v_year(a, b, p)


def v_estimated(a, b, p):
    b["birth"] = "%d-01-01" % p["born"].year


def v_year(a, b, p):
    a["birth"] = str(p["born"].year)


def v_month(a, b, p):
    a["birth"] = p["born"].isoformat()[:7]


def v_age(a, b, p):
    b["birth"], b["age"] = "", "%dy" % years(p["born"])


def v_age_message(a, b, p):
    a["birth"], a["age"] = "", "%dy" % (years(p["born"]) + rng.choice([0, 0, 1, -1]))
    if a["age"].startswith("-"):
        a["age"] = "0y"


def v_no_birth(a, b, p):
    a["birth"] = ""


def v_no_sex(a, b, p):
    a["sex"] = rng.choice(["", "U"])


def v_day_typo(a, b, p):
    d = p["born"]
    a["birth"] = d.replace(day=d.day % 27 + 1).isoformat()


def v_initial(a, b, p):
    if a["given"].isascii():
        a["given"] = a["given"][0] + "."
    else:
        v_no_sex(a, b, p)


def v_plain(a, b, p):
    pass


WITH_ID = [(v_plain, 5), (v_case, 2), (v_swap, 3), (v_one_field, 2), (v_given_first_field, 1), (v_no_middle, 2), (v_hyphen, 2), (v_typo_family, 2),
           (v_typo_given, 2), (v_year, 2), (v_month, 1), (v_age, 2), (v_age_message, 1), (v_no_birth, 2), (v_no_sex, 2), (v_initial, 1), (v_day_month, 1), (v_estimated, 1)]
WITHOUT = [(v_plain, 3), (v_case, 2), (v_swap, 3), (v_one_field, 3), (v_given_first_field, 1), (v_no_middle, 2), (v_hyphen, 3), (v_typo_family, 3), (v_typo_given, 3),
           (v_year, 2), (v_month, 1), (v_age, 3), (v_age_message, 2), (v_no_sex, 2), (v_initial, 2), (v_day_month, 3), (v_estimated, 3), (v_day_typo, 2), (v_no_birth, 1)]
NAMES_OF = {v_plain: "written alike or in another script", v_case: "capital letters", v_swap: "family and given name swapped", v_one_field: "whole name in the family field",
            v_given_first_field: "whole name in the given field, family last", v_no_middle: "middle name on one side only", v_hyphen: "second family name",
            v_typo_family: "typing error in the family name", v_typo_given: "typing error in the given name", v_day_month: "day and month swapped",
            v_estimated: "estimated birth date, 1 January", v_year: "birth year only", v_month: "birth month only", v_age: "age in Go.Data", v_age_message: "age in the message",
            v_no_birth: "no birth date in the message", v_no_sex: "sex unknown", v_day_typo: "typing error in the day", v_initial: "initial for the given name"}


def pick(table):
    return rng.choices([f for f, _ in table], [w for _, w in table])[0]


def ways(script):
    """How the two sides write: the same script, across scripts, two romanisations."""
    return rng.choices([("n", "n"), ("0", "n"), ("n", "0"), ("1", "n"), ("0", "1"), ("0", "0")], [5, 4, 2, 2, 2, 1] if script != "latin" else [4, 5, 4, 1, 1, 1])[0]


def out(rows, script, same, a, b, a_ids, visual, docs, shares, why):
    rows.append({"script": script, "same": same, "shares": shares, "a_family": a["family"], "a_given": a["given"], "a_middle": a["middle"], "a_birth": a["birth"],
                 "a_age": a["age"], "a_sex": a["sex"], "a_ids": a_ids, "b_last": b["family"], "b_first": b["given"], "b_middle": b["middle"], "b_dob": b["birth"],
                 "b_age": b["age"], "b_sex": {"F": "FEMALE", "M": "MALE"}.get(b["sex"], ""), "b_visual_id": visual, "b_documents": docs, "why": why})


def same_pair(rows, script, with_id):
    p, (ha, hb) = person(script), ways(script)
    a, b = side(p, ha), side(p, hb)
    change = pick(WITH_ID if with_id else WITHOUT)
    change(a, b, p)
    a_ids, visual, docs = ids()
    out(rows, script, "same", a, b, a_ids if with_id else "", visual, docs, "yes" if with_id else "no", NAMES_OF[change] + "; " + ha + hb)


def other_pair(rows, script, with_id):
    p, (ha, hb) = person(script), ways(script)
    kind = rng.choice(["twin", "parent", "stranger", "namesake", "sibling"])
    q = person(script, sex=p["sex"])
    while q["given"] == p["given"] or q["family"] == p["family"]:
        q = person(script, sex=p["sex"])
    if kind == "twin":
        q.update(family=p["family"], born=p["born"], middle=p["middle"])
    elif kind == "parent":
        q.update(family=p["family"], born=p["born"].replace(year=p["born"].year - 27, day=min(p["born"].day, 28)))
        if rng.random() < 0.5:
            q["given"] = p["given"]
    elif kind == "namesake":
        q.update(family=p["family"], given=p["given"], middle=p["middle"], born=p["born"] - datetime.timedelta(days=1000 + rng.randrange(9000)))
    elif kind == "sibling":
        q.update(family=p["family"], sex="F" if p["sex"] == "M" else "M", born=p["born"] - datetime.timedelta(days=700 + rng.randrange(2000)))
    a, b = side(p, ha), side(q, hb)
    if kind == "parent" and rng.random() < 0.3:
        b["birth"], b["age"] = "", "%dy" % years(q["born"])
    a_ids, visual, docs = ids()
    why = {"twin": "twin", "parent": "parent and child", "stranger": "another person altogether", "namesake": "two people of one name", "sibling": "brother and sister"}[kind]
    out(rows, script, "other", a, b, a_ids if with_id else "", visual, docs, "yes" if with_id else "no", why + (", identifier of the other one" if with_id else "") + "; " + ha + hb)


def hard(rows):
    for line in open(os.path.join(HERE, PREFIX + "hard.tsv"), encoding="utf-8"):
        if line.startswith("#") or not line.strip():
            continue
        f = line.rstrip("\n").split("\t")
        assert len(f) == 6, line
        script, same, shares, left, right, why = f
        a, b = left.split("|"), right.split("|")            # family|given|middle|birth or age|sex
        assert len(a) == 5 and len(b) == 5, line

        def fill(v):
            is_age = v[3][-1:] in ("y", "m")
            return {"family": v[0], "given": v[1], "middle": v[2], "birth": "" if is_age else v[3], "age": v[3] if is_age else "", "sex": v[4]}
        a_ids, visual, docs = ids()
        out(rows, script, same, fill(a), fill(b), a_ids if shares == "yes" else "", visual, docs, shares, "by hand: " + why)


def main():
    rows = []
    hard(rows)
    for script in SCRIPTS:
        for same, with_id, count in ((True, True, 30), (True, False, 40), (False, True, 14), (False, False, 6)):
            for _ in range(count):
                (same_pair if same else other_pair)(rows, script, with_id)
    for i, r in enumerate(rows):
        r["id"] = "%s%s-%04d" % (PREFIX[:1], r["script"][:2], i + 1)
    strata = {}
    for r in rows:
        strata.setdefault((r["script"], r["same"], r["shares"], r["why"].startswith("by hand")), []).append(r)
    for members in strata.values():                     # each kind of pair goes half and half, by the hash of seed and id
        members.sort(key=lambda r: hashlib.sha256((SEED + r["id"]).encode()).hexdigest())
        for i, r in enumerate(members):
            r["half"] = "judge" if JUDGE else "dev" if i % 2 == 0 else "sealed"
    with open(os.path.join(HERE, "judge.tsv" if JUDGE else "pairs.tsv"), "w", encoding="utf-8", newline="\n") as f:
        f.write("\t".join(COLUMNS) + "\n")
        for r in rows:
            f.write("\t".join(r[c] for c in COLUMNS) + "\n")


main()
