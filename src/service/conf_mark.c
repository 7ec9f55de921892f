/*
 * NAME
 *     conf_mark - hashes of blocks: is this listener or writer still the one that runs?
 * DESCRIPTION
 *     Every word goes in with its kind and length, blocks in brackets: two different blocks never give the same bytes. A credential counts by
 *     what is in its file: a new password in the old file is a change.
 * DIAGNOSTICS
 *     None. The bytes that were hashed hold secrets and are wiped.
 */
#include "conf_mark.h"

#include <string.h>

#include "text.h"

void conf_mark_init(struct conf_mark *m)
{
    buf_init(&m->b, SIZE_MAX / 4);
}

void conf_mark_stmt(struct conf_mark *m, const struct lexer_stmt *s)
{
    for (size_t i = 0; i < s->n; i++) {
        buf_addf(&m->b, "%d%c%zu:", (int)s->v[i].kind, s->v[i].is_nocase ? 'i' : '.', s->v[i].text.n);
        buf_add_span(&m->b, s->v[i].text);
    }
    buf_adds(&m->b, s->has_block ? "{" : ";");
    for (size_t i = 0; i < s->n_body; i++)
        conf_mark_stmt(m, &s->body[i]);
    buf_adds(&m->b, s->has_block ? "}" : "");
}

void conf_mark_secrets(struct conf_mark *m, const struct option_table *t, const void *values)
{
    for (size_t i = 0; i < t->n; i++) {
        char *secret;
        if (t->rows[i].type != OPT_CREDENTIAL)
            continue;
        memcpy(&secret, (const char *)values + t->rows[i].offset, sizeof secret);
        buf_addf(&m->b, "%zu=%zu:", i, secret ? strlen(secret) : 0);
        buf_adds(&m->b, secret ? secret : "");
    }
}

void conf_mark_end(struct conf_mark *m, char out[CONF_MARK_BYTES])
{
    unsigned char sum[TEXT_SHA256_BYTES];
    text_sha256(m->b.p, m->b.n, sum);
    text_hex(sum, sizeof sum, out);
    if (m->b.p)
        explicit_bzero(m->b.p, m->b.n);
    buf_clear(&m->b);
}
