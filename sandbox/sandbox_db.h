/*
 * sandbox_db - the sandbox's SQLite file: every record is a JSON text with a few indexed columns beside it.
 * Writes of one turn of the event loop share a transaction; sandbox_db_commit ends it before the answers leave.
 * A database error ends the process with a line on stderr: it is a practice server. Thread: one.
 */
#ifndef LABRELAY_SANDBOX_DB_H
#define LABRELAY_SANDBOX_DB_H
#include <jansson.h>

#include "err.h"
#include "sandbox_filter.h"

struct sandbox_db;

enum record_kind { RECORD_PERSON = 1, RECORD_LAB, RECORD_OUTBREAK, RECORD_USER, RECORD_REFDATA, RECORD_RELATION, RECORD_ATTACHMENT, RECORD_LOCATION };

/* path NULL: in memory. */
int  sandbox_db_open(struct sandbox_db **out, const char *path, struct err *e);
void sandbox_db_close(struct sandbox_db *db);
/* Is there an open transaction, and end it. */
bool sandbox_db_is_dirty(const struct sandbox_db *db);
void sandbox_db_commit(struct sandbox_db *db);

/* Columns are taken from the body: id, outbreakId, type, personId, visualId or sampleIdentifier, dob, updatedAt, dbUpdatedAt, deleted. */
int  sandbox_db_insert(struct sandbox_db *db, enum record_kind kind, const json_t *body);   /* -1: the id exists, deleted or not */
void sandbox_db_update(struct sandbox_db *db, enum record_kind kind, const json_t *body);
json_t *sandbox_db_get(struct sandbox_db *db, enum record_kind kind, const char *id);       /* new reference, or NULL */

/* What a lab result needs to know of its person, without reading the body. */
struct sandbox_person_head { char type[80]; char outbreak[80]; bool is_deleted; };
bool sandbox_db_person_head(struct sandbox_db *db, const char *id, struct sandbox_person_head *out);

struct sandbox_query {
    enum record_kind kind;
    const char *outbreak, *type, *parent;   /* NULL: any */
    const struct sandbox_filter *filter;    /* never NULL */
    const char *key_field;                  /* the field kept in the key column: visualId, sampleIdentifier, code; or NULL */
    bool has_documents;
};
/* Matching documents before order and limit; stops early when the index already gives the wanted order. New array. */
json_t *sandbox_db_find(struct sandbox_db *db, const struct sandbox_query *q);
int64_t sandbox_db_count(struct sandbox_db *db, const struct sandbox_query *q);

/* Highest number under `value`'s mask among the visualIds of the outbreak, -1 when none. */
struct sandbox_mask_fit;
int64_t sandbox_db_max_visual(struct sandbox_db *db, const char *outbreak, const char *value, const struct sandbox_mask_fit *fit);
bool sandbox_db_has_visual(struct sandbox_db *db, const char *outbreak, const char *value);
/* Ids of living persons of a type that share one of the duplicate keys; new array. */
json_t *sandbox_db_duplicates(struct sandbox_db *db, const char *outbreak, const json_t *keys);

/* Relationships of a person on either side, deleted ones too; new array. */
json_t *sandbox_db_relations(struct sandbox_db *db, const char *outbreak, const char *person_id);

void sandbox_db_put_file(struct sandbox_db *db, const char *id, const void *p, size_t n);
/* Heap bytes, caller frees; NULL when there is none. */
char *sandbox_db_get_file(struct sandbox_db *db, const char *id, size_t *n);
#endif
