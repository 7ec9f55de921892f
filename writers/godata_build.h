/*
 * godata_build - from a record and a filled lab result to what a delivery stores: body, who and result key. Pure. Thread: any.
 *
 * body: the JSON of POST …/lab-results, fields in the order of lab_fields, short codes with their prefix, notes as our block.
 * who:  {"sample","sample_day","ids":[{"role","document"?,"value","path"}],"family","given","middle","birth_date","sex","flags":[…]}: what the
 *       person can be found by; ids only of a role that the configuration knows, birth_date as far as it is precise.
 *       and "new", see godata_case.h, when the person may be created.
 * lane_hint: the sample id, absent without one.
 */
#ifndef LABRELAY_GODATA_BUILD_H
#define LABRELAY_GODATA_BUILD_H
#include "godata_options.h"

/* -1: ERR_LIMIT (arena). Holds NO_KEY, NO_IDENTITY. */
int godata_build(const void *options, const struct record *r, const struct rec_observation *obs, const struct lab_result *lab,
                 struct arena *a, struct built *out, struct err *e);
/* Appends who. sample_day: of the sample, may be absent. fresh: the person to create when nobody matches, or NULL. Returns how many keys
 * of `match` it can be found by. */
size_t godata_build_who(struct buf *b, const struct godata_options *o, const struct record *r, struct span sample_day, const struct person_data *fresh,
                        bool has_body);
/* The text of a top-level member of a body that godata_build() made, without parsing it: a view. false: it has escapes or this is no such body,
 * so it must be parsed. Absent when there is no such member or it is no text. */
bool godata_body_text(const char *body, const char *key, struct span *out);
/* Is this value safe in a Go.Data filter? Date-looking text and operator words never match there as text (STANDARDS 8.4). */
bool godata_is_searchable(struct span value);
#endif
