/*
 * godata_whose - whose a delivery is by the mirror, and whether a create may trust the mirror (STANDARDS 8.7, 8.8 rule 3).
 * Thread: engine. Nothing is asked of Go.Data here.
 */
#ifndef LABRELAY_GODATA_WHOSE_H
#define LABRELAY_GODATA_WHOSE_H
#include <jansson.h>

#include "godata_person.h"

struct store;

#define GODATA_SAMPLE_PERSONS_MAX 16
#define GODATA_WHOSE_ROOMS (GODATA_KEYS_MAX + GODATA_SAMPLE_PERSONS_MAX)

/* What a message says, ready for godata_people_match(). Spans live in `who` and in `rooms`. */
struct godata_whose {
    json_t *who;
    struct godata_person_key keys[GODATA_KEYS_MAX];
    char *rooms[GODATA_WHOSE_ROOMS];
    size_t n_rooms;
    struct span persons[GODATA_SAMPLE_PERSONS_MAX];
    struct godata_subject subject;
};
/* who: as godata_build() wrote it. Keys that `match` does not name are left out, and so are sample and persons: godata_match_writer() adds these. */
void godata_whose_init(struct godata_whose *x, const struct godata_options *o, const char *who);
void godata_whose_clear(struct godata_whose *x);
/* Is a known result's day ("" unknown) near enough to ours for both to be of one sample? window in microseconds. */
bool godata_whose_is_near(struct span ours, struct span theirs, int64_t window_us);
/* May names, birth date and sex alone decide? The one candidate who agrees in everything; NULL: no. */
const struct godata_candidate *godata_whose_strong(const struct godata_subject *s, const struct godata_people_match *m);
/* What `held show` prints: {"why":…,"looked_for":[…],"candidates":[…]}. */
void godata_whose_evidence(struct godata_people *p, const struct godata_subject *s, const struct godata_people_match *m, struct buf *out);

/* writer_ops */
void godata_whose_match(struct writer *w, const struct delivery *d, enum match_depth depth, int64_t now_us, struct matched *out);
bool godata_whose_must_look(struct writer *w, const struct delivery *d, int64_t since_us, int64_t now_us);
/* A step that was carried out: the mirror shows it before any poll does. */
void godata_whose_written(struct writer *w, const struct task *t);
/* godata_doubt.c: people whom the last page showed changed: what was written to them is compared again. q NULL: nothing is known of it. */
void godata_doubt_look(struct writer *w, struct store *q, int64_t now_us);
uint64_t godata_whose_changes(const struct writer *w);
extern const char *const godata_whose_reasons[];
#endif
