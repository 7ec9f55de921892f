/*
 * NAME test_godata_person - who is it: the rules, and the figures of tests/names per script and half. Pure.
 * The persons are invented. [item N]: STANDARDS section 10. Bars: issue 4, number 5.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "names_crowd.h"

#define CROWD 20000

/* ---- the test set ---- */

struct figures { unsigned sure, right, wanted, found, looked, more, of_more; };

static void add(struct figures *sum, const struct figures *x)
{
    sum->sure += x->sure;
    sum->right += x->right;
    sum->wanted += x->wanted;
    sum->found += x->found;
    sum->looked += x->looked;
    sum->more += x->more;
    sum->of_more += x->of_more;
}

static double share(unsigned a, unsigned b) { return b ? (double)a / b : 1; }

static void print(const char *half, const char *script, const struct figures *f)
{
    (void)printf("# %-7s %-11s automatic: precision %.3f (%u of %u) recall %.3f (%u of %u)   candidates: recall %.3f (%u of %u); with an identifier left aside %u of %u\n", half, script,
                 share(f->right, f->sure), f->right, f->sure, share(f->right, f->wanted), f->right, f->wanted, share(f->found, f->looked), f->found, f->looked, f->more, f->of_more);
}

static bool is_among(const struct godata_people_match *m, struct span id)
{
    assert_true(m->n <= GODATA_CANDIDATES_MAX);
    for (size_t i = 0; i < m->n; i++)
        if (span_eq(m->candidates[i].person->id, id))
            return true;
    return false;
}

static void measure(struct godata_people *people, const struct crowd_pair *p, struct figures *f)
{
    struct godata_subject s;
    struct godata_person_key keys[4];
    struct godata_people_match m;
    bool is_same = span_is(p->f[PAIR_SAME], "same"), shares = span_is(p->f[PAIR_SHARES], "yes");
    crowd_subject(p, &s, keys);
    godata_people_match(people, &s, &m);
    if (m.state == GODATA_MATCH_SURE) {
        f->sure++;
        f->right += is_same && span_eq(m.candidates[0].person->id, p->f[PAIR_ID]);
    }
    f->wanted += is_same && shares;
    if (!is_same)
        return;
    godata_people_candidates(people, &s, &m);
    bool found = is_among(&m, p->f[PAIR_ID]);
    if (shares) {
        f->more += found;
        f->of_more++;
    } else {
        f->found += found;
        f->looked++;
    }
}

static void test_set(void **state)
{
    static const char *const scripts[] = {"latin", "arabic", "ethiopic", "cyrillic", "burmese", "devanagari", "chinese"};
    static const char *const halves[] = {"dev", "sealed"};
    const char *only = getenv("LABRELAY_NAMES_HALF");       /* tuning looks at dev alone */
    struct godata_people *people = godata_people_new();
    struct crowd_pairs pairs;
    (void)state;
    crowd_pairs_load(&pairs);
    crowd_fill(people, CROWD);
    for (size_t i = 0; i < pairs.n; i++) {
        struct godata_document documents[4];
        struct godata_person x;
        crowd_person(&pairs.v[i], &x, documents);
        godata_people_put(people, &x);
    }
    assert_int_equal(godata_people_count(people), CROWD + pairs.n);
    for (size_t h = 0; h < 2; h++) {
        struct figures all = {0};
        if (only && strcmp(only, halves[h]) != 0)
            continue;
        for (size_t k = 0; k < 7; k++) {
            struct figures f = {0};
            for (size_t i = 0; i < pairs.n; i++)
                if (span_is(pairs.v[i].f[PAIR_HALF], halves[h]) && span_is(pairs.v[i].f[PAIR_SCRIPT], scripts[k]))
                    measure(people, &pairs.v[i], &f);
            print(halves[h], scripts[k], &f);
            assert_true(f.looked >= 20 && f.wanted >= 12);
            assert_int_equal(f.right, f.sure);
            assert_true(share(f.found, f.looked) >= 0.94);
            add(&all, &f);
        }
        print(halves[h], "all", &all);
        assert_int_equal(all.right, all.sure);
        assert_true(share(all.right, all.wanted) >= 0.9);
        assert_true(share(all.found, all.looked) >= 0.97);
    }
    crowd_pairs_clear(&pairs);
    godata_people_free(people);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_set)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
