/*
 * NAME store_alias - identifiers that a sender merged into others (STANDARDS 8.9): a row per writer and old identifier, the last word counts.
 * For proposals only: nothing is ever written to a person because of a row here. Rows outlive their message.
 * DIAGNOSTICS as in store_put.c: an error of the disk breaks the batch.
 */
#include "store_db.h"

int store_put_alias(struct store *q, const char *writer, struct span old, struct span now, int64_t message_id, int64_t us, struct err *e)
{
    int64_t word;
    if (batch_begin(q, e) != 0)
        return -1;
    sqlite3_stmt *s = word_put(&q->d, writer, &word, e) == 0 ? db_stmt(&q->d, ST_PUT_ALIAS, e) : NULL;
    if (!s)
        return batch_break(q, e);
    bind_int(s, 1, word);
    bind_span(s, 2, old);
    bind_span(s, 3, now);
    bind_int(s, 4, message_id);
    bind_int(s, 5, us);
    return db_run(&q->d, s, "cannot store an alias", e) == 0 ? 0 : batch_break(q, e);
}

int store_get_alias(struct store *q, const char *writer, struct span old, char **now, struct err *e)
{
    int64_t word;
    *now = NULL;
    if (word_find(&q->d, writer, &word, e) != 0 || word < 0)
        return e->kind == ERR_NONE ? 1 : -1;
    sqlite3_stmt *s = db_stmt(&q->d, ST_GET_ALIAS, e);
    if (!s)
        return -1;
    bind_int(s, 1, word);
    bind_span(s, 2, old);
    int rc = db_row(&q->d, s, "cannot look for an alias", e);
    if (rc == 1)
        *now = column_text(s, 0);
    (void)sqlite3_reset(s);
    return rc < 0 ? -1 : rc == 1 ? 0 : 1;
}
