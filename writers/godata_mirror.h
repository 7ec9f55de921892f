/*
 * godata_mirror - the local copy of an outbreak's people and lab results, kept up to date in pages (DESIGN "The mirror").
 *
 * Thread: engine only. A mirror belongs to one writer. People are kept in memory (struct godata_people) and in the store; lab results in the
 * store only. What changes is part of the open batch: whoever calls commits. A page is read by a courier: it needs nothing but struct godata_page.
 * All times are microseconds of our clock; cursors are timestamps of the server, never compared with it.
 * Without a store (unit tests) nothing is polled and no lab result is kept: it never is loaded, and knows the people that were put directly.
 */
#ifndef LABRELAY_GODATA_MIRROR_H
#define LABRELAY_GODATA_MIRROR_H
#include <jansson.h>

#include "godata_person.h"

struct store;
struct godata_mirror;

/* o outlives the mirror. Loads what the store has, so that a start is ready at once; nobody may use it before godata_mirror_is_loaded(), which waits for
 * godata_mirror_set_outbreak() to say that it is still the right one. */
struct godata_mirror *godata_mirror_open(struct store *q, const char *writer, const struct godata_options *o);
void godata_mirror_close(struct godata_mirror *m);      /* NULL is fine */
/* Does the outbreak's list of results show those of contacts? To be said before set_outbreak; when it begins to, the list is read anew. */
void godata_mirror_show_contacts(struct godata_mirror *m, bool is_shown);
/* The outbreak and its masks are known (again). Another outbreak than the stored one empties the mirror; the same one loads what the store has. */
int  godata_mirror_set_outbreak(struct godata_mirror *m, struct span outbreak_id, struct span case_mask, struct span contact_mask, struct span coc_mask,
                                struct err *e);
bool godata_mirror_is_loaded(const struct godata_mirror *m);        /* the first load is complete, persons and lab results */
/* Are both lists read, or being read for the first time? false: the account may not read one of them (or nothing reads them). */
bool godata_mirror_is_possible(const struct godata_mirror *m);
/* Our clock at the start of the last complete round of polls: all that Go.Data had then is in. 0: none yet in this process. */
int64_t godata_mirror_seen_us(const struct godata_mirror *m);
/* Our own account: what it wrote last is no change to anybody. */
void godata_mirror_set_user(struct godata_mirror *m, const char *user_id);
/* Somebody waits for a round that starts from now on. Rounds start at most once a second. */
void godata_mirror_want(struct godata_mirror *m, int64_t now_us);
struct godata_people *godata_mirror_people(struct godata_mirror *m);

/* "" = absent; type: case, contact, contact-of-contact; sample_day "2026-05-04" */
struct godata_mirror_lab { const char *id, *person_id, *person_type, *sample, *tested_for, *test_type, *result, *k, *sample_day, *created_at; };
/* Rows live until the next call with this mirror. */
int  godata_mirror_labs_of_person(struct godata_mirror *m, struct span person_id, const struct godata_mirror_lab **v, size_t *n, struct err *e);
int  godata_mirror_labs_of_sample(struct godata_mirror *m, struct span sample, const struct godata_mirror_lab **v, size_t *n, struct err *e);
int  godata_mirror_labs_of_k(struct godata_mirror *m, struct span k, const struct godata_mirror_lab **v, size_t *n, struct err *e);
/* One that we have just written ourselves, before any poll shows it; never a change (see below). */
int  godata_mirror_put_lab(struct godata_mirror *m, const struct godata_mirror_lab *lab, struct err *e);
int  godata_mirror_drop_lab(struct godata_mirror *m, struct span id, struct err *e);
/* One just created or read directly, as Go.Data shows it. type: case, contact, contact-of-contact. */
int  godata_mirror_put_person(struct godata_mirror *m, const json_t *person, const char *type, struct err *e);
/* Counts up whenever a person or somebody else's lab result was added, changed or dropped: when it moved, parked results are matched again. */
/* The id of a person who is not as the mirror knew them, each once, or NULL; to be freed. 1,024 of one page at most. */
char *godata_mirror_take_changed(struct godata_mirror *m);
uint64_t godata_mirror_changes(const struct godata_mirror *m);

/* ---- pages: the session asks for the next one to read, a courier reads it, the session hands back the rows ---- */
enum godata_list { GODATA_LIST_PEOPLE, GODATA_LIST_LABS };
#define GODATA_LISTS 2
struct godata_page {
    enum godata_list list;
    uint64_t number;                    /* of the page, in this process: an answer to an older one is left out */
    char *path;                         /* heap: what to GET, with the filter */
    int64_t server_us;                  /* the answer's Date, set before take_page; 0: not known */
};
void godata_page_clear(struct godata_page *p);
/* true: out is filled, to be cleared by the caller. false: nothing to read before *next_us (0: until something else happens). */
bool godata_mirror_next_page(struct godata_mirror *m, int64_t now_us, struct godata_page *out, int64_t *next_us);
/* rows: the array that Go.Data answered (a reference is kept). A few milliseconds of them are taken now, the rest by the next calls of
 * godata_mirror_next_page(), which asks to be called at once; the cursor goes into the batch of the last ones. */
int  godata_mirror_take_page(struct godata_mirror *m, const struct godata_page *page, const json_t *rows, int64_t now_us, struct err *e);
/* code: error code of the answer or NULL. 403, 404: this list is off, named in the report, tried again later. 401: after a login. 0: no answer. */
void godata_mirror_page_failed(struct godata_mirror *m, const struct godata_page *page, int http_status, const char *code, int64_t now_us);

/* Reads everything anew, without forgetting what is known: people and results that Go.Data has no more are dropped at the end. */
int  godata_mirror_reload(struct godata_mirror *m, struct err *e);
/* Members of a JSON object, without braces: counts and times only. */
void godata_mirror_report(const struct godata_mirror *m, struct buf *out);
#endif
