/*
 * godata_case - cases and contacts: the body of a new one, creating it once, bringing one that stands up to date.
 *
 * Pure parts: any thread. perform functions: the courier that holds the task.
 * What a delivery keeps of the person stands in `who`, member "new":
 *   {"type":"case","id":UUID,"known":true?,"body":{…}?,"update":["phoneNumber",…]?}
 * id: ours to choose (GODATA-API 3.2), a SHA-256 over outbreak and identity: however often the person is created, it is one. Identity is
 * the first document that `match` looks for, else the first identifier with its authority, else the sample. "known": the message
 * names the person by an id that only Go.Data gives: nobody is made up for it.
 */
#ifndef LABRELAY_GODATA_CASE_H
#define LABRELAY_GODATA_CASE_H
#include <jansson.h>

#include "godata_options.h"

#define GODATA_UUID_BYTES 37

/* hash: 64 hex and a NUL, "" when the record has no identity. Returns false then. */
bool godata_case_identity(const struct godata_options *o, const struct record *r, char hash[65]);
void godata_case_uuid(const char hash[65], char out[GODATA_UUID_BYTES]);
/* Is the person named by an id that only Go.Data gives (visual-id, godata-id)? */
bool godata_case_is_named(const struct godata_options *o, const struct rec_patient *p);
/* The person as Go.Data's JSON: what the message and the rules say, nothing else. */
void godata_case_format(struct buf *b, const struct godata_options *o, const struct record *r, const struct person_data *p);
/* The member "new" of who; has_body: the delivery's own body is another one (a lab result). */
void godata_case_format_new(struct buf *b, const struct godata_options *o, const struct record *r, const struct person_data *p, bool has_body);
/* What to send as visualId so that the server gives the next number: the mask, with its year. False: it cannot be generated. */
bool godata_case_visual_id(struct buf *b, struct span mask, struct span day);
/* Adds to a body what only a new person gets: id, classification, dates, visual id. Returns false when too little is known. */
bool godata_case_complete(json_t *body, const json_t *fresh, struct span mask, const char *today);

/* ops.build_person */
int  godata_case_build(const void *options, const struct record *r, const struct person_data *p, struct arena *a, struct built *out, struct err *e);

/* body of a PUT: what `now` lacks, and what may be replaced. *changed: identity that the sender changed and nobody allowed, or what a
 * person changed since. Pure. last: as written last, or NULL. */
struct godata_case_patch {
    json_t *body;                       /* of the PUT; an empty object: nothing to do. The caller's. */
    char changed[96], edited[96];       /* names of fields, "": none */
};
void godata_case_compare(const json_t *now, const json_t *last, const json_t *want, const json_t *update, bool is_forced, struct godata_case_patch *out);
/* Only what both sides say for sure can contradict (STANDARDS 8.7). */
bool godata_case_contradicts(const json_t *who, const json_t *person);
#endif
