/* NAME view - deliveries and messages as text and JSON. No diagnostics. */
#include "view.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "held.h"

static void when(struct buf *b, int64_t us)
{
    char t[32];
    clock_format_local(us, t, sizeof t);
    buf_adds(b, t);
}

void view_delivery_line(const struct delivery *d, struct buf *b)
{
    buf_addf(b, "d%-8" PRId64 " m%-8" PRId64 " %-10s %-18s %-12s %s", d->id, d->message_id, delivery_state_name(d->state),
             d->reason[0] ? d->reason : "-", d->writer[0] ? d->writer : "-", d->path);
    if (d->flags & DELIVERY_IS_CRITICAL)
        buf_adds(b, "  CRITICAL");
    if (d->state == DELIVERY_WAITING) {
        buf_adds(b, "  next ");
        when(b, d->next_us);
        buf_addf(b, " after %d tries", d->tries);
    }
    buf_addc(b, '\n');
}

/* Sentences for people, line by line. */
static void words_text(const char *words, struct buf *b)
{
    while (*words) {
        size_t n = strcspn(words, "\n");
        buf_addf(b, "             %.*s\n", (int)n, words);
        words += n + (words[n] == '\n');
    }
}

static void evidence_text(const struct delivery *d, struct buf *b)
{
    const char *detail = d->detail;
    json_t *j = json_loads(detail, 0, NULL), *list = json_object_get(j, "candidates"), *c;
    const char *words = json_string_value(json_object_get(j, "why"));
    size_t i;
    if (words) {
        words_text(words, b);
        json_array_foreach(list, i, c)
            buf_addf(b, "  candidate  %s %s\n", json_string_value(json_object_get(c, "type")), json_string_value(json_object_get(c, "id")));
    } else if (!json_is_array(list)) {
        struct buf t;
        buf_init(&t, (size_t)1 << 20);
        if (j)
            held_why(d, &t); /* values beside each other */
        if (t.n)
            words_text(t.p, b);
        else if (detail[0])
            buf_addf(b, "  detail     %s\n", detail);
        buf_clear(&t);
    } else if (json_array_size(list) == 0) {
        buf_adds(b, "  candidates none\n");
    } else {
        json_array_foreach(list, i, c) {
            const char *k;
            json_t *v;
            buf_addf(b, "  candidate  %s %s\n", json_string_value(json_object_get(c, "type")) ? json_string_value(json_object_get(c, "type")) : "",
                     json_string_value(json_object_get(c, "id")) ? json_string_value(json_object_get(c, "id")) : "");
            json_object_foreach(c, k, v) {
                if (strcmp(k, "id") == 0 || strcmp(k, "type") == 0)
                    continue;
                char *t = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
                buf_addf(b, "             %s: %s\n", k, json_is_string(v) ? json_string_value(v) : t ? t : "");
                free(t);
            }
        }
    }
    json_decref(j);
}

void view_delivery_text(const struct delivery *d, struct buf *b)
{
    buf_addf(b, "delivery d%" PRId64 " of message m%" PRId64 ", %s\n  state      %s", d->id, d->message_id, d->path, delivery_state_name(d->state));
    if (d->state == DELIVERY_READY || d->state == DELIVERY_WAITING || d->state == DELIVERY_CLAIMED)
        buf_addf(b, " (next step: %s)", delivery_step_name(d->step));
    buf_adds(b, "\n");
    if (d->reason[0])
        buf_addf(b, "  why        %s: %s\n", d->reason, reason_text(d->reason));
    const struct delivery_remark *m;
    for (size_t i = 0; (m = delivery_remark(d->flags, i)) != NULL; i++)
        buf_addf(b, "  remark     %s: %s\n", m->name, m->text);
    evidence_text(d, b);
    buf_addf(b, "  route      %s, configuration %" PRId64 "\n", d->route[0] ? d->route : "-", d->config);
    if (d->writer[0])
        buf_addf(b, "  writer     %s, tries %d\n", d->writer, d->tries);
    if (d->result_key[0])
        buf_addf(b, "  key        [labrelay %.8s]\n", d->result_key);
    if (d->person_id[0])
        buf_addf(b, "  person     %s %s\n", d->person_type, d->person_id);
    if (d->remote_id[0])
        buf_addf(b, "  lab result %s\n", d->remote_id);
    buf_adds(b, "  changed    ");
    when(b, d->updated_us);
    buf_addc(b, '\n');
    if (d->body[0])
        buf_addf(b, "  body       %s\n", d->body);
}

static void raw_json(struct buf *b, const char *key, const char *text)
{
    json_t *j = text[0] == '{' ? json_loads(text, 0, NULL) : NULL;
    if (j) { /* evidence and bodies are JSON: show them as such */
        buf_json_key(b, key);
        buf_adds(b, text);
        json_decref(j);
    } else if (text[0]) {
        buf_json_kv(b, key, text);
    }
}

static void delivery_json(const struct delivery *d, bool is_whole, struct buf *b)
{
    buf_addc(b, '{');
    buf_json_kint(b, "id", d->id);
    buf_json_kint(b, "message", d->message_id);
    buf_json_kv(b, "path", d->path);
    buf_json_kint(b, "record", d->record_index);
    buf_json_kint(b, "observation", d->observation_index);
    buf_json_kint(b, "parts", d->parts);
    buf_json_kv(b, "state", delivery_state_name(d->state));
    buf_json_kv(b, "step", delivery_step_name(d->step));
    buf_json_kv(b, "reason", d->reason);
    buf_json_kv(b, "reason_text", reason_text(d->reason));
    if (is_whole)
        raw_json(b, "detail", d->detail);
    buf_json_key(b, "remarks");
    buf_addc(b, '[');
    const struct delivery_remark *m;
    for (size_t i = 0; (m = delivery_remark(d->flags, i)) != NULL; i++) {
        buf_json_sep(b);
        buf_json_str(b, m->name);
    }
    buf_addc(b, ']');
    buf_json_kv(b, "route", d->route);
    buf_json_kint(b, "config", d->config);
    buf_json_kv(b, "writer", d->writer);
    buf_json_kv(b, "result_key", d->result_key);
    buf_json_kint(b, "tries", d->tries);
    buf_json_kint(b, "next_us", d->next_us);
    buf_json_kint(b, "updated_us", d->updated_us);
    buf_json_kint(b, "issued_us", d->issued_us);
    buf_json_kint(b, "rank", d->rank);
    buf_json_kv(b, "person_type", d->person_type);
    buf_json_kv(b, "person_id", d->person_id);
    buf_json_kv(b, "remote_id", d->remote_id);
    if (is_whole)
        raw_json(b, "body", d->body);
    buf_addc(b, '}');
}

void view_delivery_json(const struct delivery *d, struct buf *b)
{
    delivery_json(d, true, b);
}

void view_delivery_json_line(const struct delivery *d, struct buf *b)
{
    delivery_json(d, false, b);
}

void view_message_text(const struct store_message_row *m, struct buf *b)
{
    buf_addf(b, "message m%" PRId64 "\n  state      %s%s%s\n  received   ", m->id, message_state_name(m->state), m->reason[0] ? ": " : "", m->reason);
    when(b, m->received_us);
    buf_addf(b, " on %s from %s\n  control id %s\n  type       %s, %zu bytes, %u observations, configuration %" PRId64 "\n", m->channel, m->peer,
             m->control_id, m->kind, m->raw_n, m->observations, m->config);
}

void view_message_json(const struct store_message_row *m, struct buf *b)
{
    buf_addc(b, '{');
    buf_json_kint(b, "id", m->id);
    buf_json_kv(b, "state", message_state_name(m->state));
    buf_json_kv(b, "reason", m->reason);
    buf_json_kv(b, "channel", m->channel);
    buf_json_kv(b, "peer", m->peer);
    buf_json_kv(b, "control_id", m->control_id);
    buf_json_kv(b, "kind", m->kind);
    buf_json_kint(b, "received_us", m->received_us);
    buf_json_kint(b, "observations", m->observations);
    buf_json_kint(b, "raw_bytes", (int64_t)m->raw_n);
    buf_json_kint(b, "config", m->config);
}
