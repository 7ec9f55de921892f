/*
 * godata_fresh - lab results that we wrote ourselves since the mirror was last brought up to date.
 *
 * In memory only: after a restart the mirror is polled before it is trusted, so nothing here has to survive. Thread: engine.
 */
#ifndef LABRELAY_GODATA_FRESH_H
#define LABRELAY_GODATA_FRESH_H
#include "godata_mirror.h"

#define GODATA_FRESH_MAX ((size_t)1 << 16)
#define GODATA_FRESH_TEXT ((size_t)32 << 20)    /* bytes of all their texts */

struct godata_fresh;
struct godata_fresh *godata_fresh_new(void);
void godata_fresh_free(struct godata_fresh *f);     /* NULL is fine */
/* Copied. false: there is no room, so that nobody may rely on what stands here (godata_fresh_is_whole). */
bool godata_fresh_put(struct godata_fresh *f, const struct godata_mirror_lab *lab, int64_t written_us);
/* Forgets what was written before: the mirror shows it by now. */
void godata_fresh_prune(struct godata_fresh *f, int64_t before_us);
/* false: something was left out and is not in the mirror yet either. */
bool godata_fresh_is_whole(const struct godata_fresh *f);
size_t godata_fresh_count(const struct godata_fresh *f);
/* One more look at the server because of what is not known here; how many since the last round (prune with another time). */
unsigned godata_fresh_looked(struct godata_fresh *f);
uint64_t godata_fresh_written(const struct godata_fresh *f);    /* ever put; only rises */
/* One after the other, *at from 0 on; NULL past the last. Views until the next put or prune. */
const struct godata_mirror_lab *godata_fresh_of_person(const struct godata_fresh *f, struct span person_id, size_t *at);
const struct godata_mirror_lab *godata_fresh_of_sample(const struct godata_fresh *f, struct span sample, size_t *at);
#endif
