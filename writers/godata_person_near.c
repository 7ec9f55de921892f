/*
 * NAME godata_person_near - who has nearly this identifier: for explanations, never for a match (STANDARDS item 125).
 *
 * Goes through everybody: some milliseconds for 200,000 people. No diagnostics.
 */
#include "godata_person_inner.h"
#include "text.h"

static bool is_plain(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80; }

/* Letters and digits only, small, without leading zeros of any run of digits. */
static void plain_key(struct span s, struct buf *out)
{
    bool in_number = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] + 32) : s.p[i];
        if (c == '0' && !in_number)
            continue;
        in_number = c >= '0' && c <= '9';
        if (is_plain(c))
            buf_addc(out, c);
    }
}

static enum person_likeness key_likeness(struct span said, struct span known, struct buf *a, struct buf *b)
{
    if (!span_has(known) || known.n > 60)
        return PERSON_UNLIKE;
    buf_reset(a);
    buf_reset(b);
    plain_key(said, a);
    plain_key(known, b);
    if (a->n && span_eq(buf_span(a), buf_span(b)))
        return PERSON_SPELT;
    return said.n >= 6 && said.n + 1 >= known.n && known.n + 1 >= said.n && text_distance(said, known) == 1 ? PERSON_SLIP : PERSON_UNLIKE;
}

static bool is_candidate(const struct godata_people_match *m, const struct godata_person *x)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->candidates[i].person == x)
            return true;
    return false;
}

const struct godata_person *person_with_like_key(const struct godata_people *p, const struct godata_person_key *k, const struct godata_people_match *m,
                                                 enum person_likeness *how, struct span *value)
{
    const struct godata_person *best = NULL;
    struct span said = span_trim(k->value);
    struct buf a, b;
    *how = PERSON_UNLIKE;
    if (!span_has(said) || said.n > 60 || (k->role != GODATA_BY_VISUAL_ID && k->role != GODATA_BY_DOCUMENT))
        return NULL;
    buf_init(&a, 256);
    buf_init(&b, 256);
    for (size_t i = 0; i < person_slots(p); i++) {
        const struct godata_person *x = person_at(p, i);
        size_t n = !x ? 0 : k->role == GODATA_BY_VISUAL_ID ? 1 : x->n_documents;
        for (size_t d = 0; d < n; d++) {
            struct span known = k->role == GODATA_BY_VISUAL_ID ? x->visual_id : x->documents[d].number;
            enum person_likeness now = span_eq(said, known) ? PERSON_OTHER_TYPE : key_likeness(said, known, &a, &b);
            if (now == PERSON_SLIP && !is_candidate(m, x))
                now = PERSON_UNLIKE;
            if (now != PERSON_UNLIKE && (*how == PERSON_UNLIKE || now < *how)) {
                *how = now;
                *value = k->role == GODATA_BY_DOCUMENT && now == PERSON_OTHER_TYPE ? x->documents[d].type : known;
                best = x;
            }
        }
    }
    buf_clear(&a);
    buf_clear(&b);
    return best;
}
