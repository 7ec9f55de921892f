/*
 * NAME
 *   sandbox_filter - the rest of a LoopBack filter: order, fields, limit, skip, include
 *
 *   `where` is compiled by sandbox_cond. Sorting is stable and knows MongoDB's order of types; a missing value counts as null.
 *
 * DIAGNOSTICS
 *   ERR_INPUT for a limit that is no number, ERR_BUG from `where`.
 */
#include "sandbox_filter.h"

#include <stdlib.h>
#include <string.h>

#include "sandbox_json.h"
#include "xmem.h"

static void add_order(struct sandbox_filter *f, const char *text)
{
    struct span rest = span_trim(span_of(text));
    size_t n = span_find(rest, ' ');
    struct span direction = span_trim(span_from(rest, n));
    f->order = xreallocarray(f->order, f->order_n + 1, sizeof *f->order);
    f->order[f->order_n++] = (struct sandbox_order){.field = xstrndup(rest.p, n), .is_descending = span_is_nocase(direction, "desc")};
}

static int read_count(const json_t *v, const char *name, int64_t *out, struct err *e)
{
    struct span s = span_of(json_string_value(v));
    if (!v || json_is_null(v))
        return 0;
    if (json_is_number(v))
        *out = (int64_t)json_number_value(v);
    else if (!json_is_string(v) || !span_int(s, out))
        return err_set(e, ERR_INPUT, name, "The %s parameter must be a number.", name);
    if (*out < 0)
        *out = 0;
    return 0;
}

static void read_fields(struct sandbox_filter *f, const json_t *fields)
{
    size_t i;
    const char *key;
    json_t *v;
    if (json_is_array(fields) && json_array_size(fields) > 0) {
        f->fields = json_object();
        json_array_foreach(fields, i, v)
            if (json_is_string(v))
                json_object_set_new(f->fields, json_string_value(v), json_true());
    } else if (json_is_object(fields) && json_object_size(fields) > 0) {
        f->fields = json_object();
        f->fields_hide = true;
        json_object_foreach((json_t *)(uintptr_t)fields, key, v)
            f->fields_hide = f->fields_hide && !json_is_true(v);
        json_object_foreach((json_t *)(uintptr_t)fields, key, v)
            if (f->fields_hide || json_is_true(v))
                json_object_set_new(f->fields, key, json_true());
    }
}

static void read_include(struct sandbox_filter *f, const json_t *include)
{
    size_t i;
    json_t *v;
    if (json_is_string(include) || json_is_object(include)) {
        json_t *list = json_pack("[O]", include);
        read_include(f, list);
        json_decref(list);
        return;
    }
    json_array_foreach(include, i, v) {
        const char *name = json_is_string(v) ? json_string_value(v) : sandbox_json_get(v, "relation");
        if (!f->include)
            f->include = json_object();
        if (name)
            json_object_set_new(f->include, name, json_true());
    }
}

int sandbox_filter_init(struct sandbox_filter *f, const json_t *filter, bool is_rewritten, struct err *e)
{
    const json_t *order = json_object_get(filter, "order"), *skip = json_object_get(filter, "skip");
    size_t i;
    json_t *v;
    *f = (struct sandbox_filter){0};
    if (!filter)
        return 0;
    if (read_count(json_object_get(filter, "limit"), "limit", &f->limit, e) || read_count(skip ? skip : json_object_get(filter, "offset"), "skip", &f->skip, e))
        return -1;
    f->with_deleted = json_is_true(json_object_get(filter, "deleted"));
    if (json_is_string(order))
        add_order(f, json_string_value(order));
    json_array_foreach(order, i, v)
        if (json_is_string(v))
            add_order(f, json_string_value(v));
    for (i = 0; is_rewritten && i < f->order_n; i++)
        if (strcmp(f->order[i].field, "_id") == 0)      /* what MongoDB calls it: the raw lists sort by that */
            memmove(f->order[i].field, "id", sizeof "id");
    read_fields(f, json_object_get(filter, "fields"));
    read_include(f, json_object_get(filter, "include"));
    if (sandbox_cond_new(&f->where, json_object_get(filter, "where"), is_rewritten, e)) {
        sandbox_filter_clear(f);
        return -1;
    }
    return 0;
}

void sandbox_filter_clear(struct sandbox_filter *f)
{
    for (size_t i = 0; i < f->order_n; i++)
        free(f->order[i].field);
    free(f->order);
    json_decref(f->fields);
    json_decref(f->include);
    sandbox_cond_free(f->where);
    *f = (struct sandbox_filter){0};
}

struct sortable {
    json_t *doc;
    size_t index;
    const struct sandbox_filter *f;
};

static const json_t *value_at(const json_t *doc, const char *path)
{
    while (doc && *path) {
        const char *dot = strchr(path, '.');
        size_t n = dot ? (size_t)(dot - path) : strlen(path);
        doc = json_object_getn(doc, path, n);
        path += n + (dot != NULL);
    }
    return doc;
}

static int compare_docs(const void *pa, const void *pb)
{
    const struct sortable *a = pa, *b = pb;
    for (size_t i = 0; i < a->f->order_n; i++) {
        const json_t *x = value_at(a->doc, a->f->order[i].field), *y = value_at(b->doc, a->f->order[i].field);
        int rx = x ? sandbox_cond_type_rank(x) : 0, ry = y ? sandbox_cond_type_rank(y) : 0, order = (rx > ry) - (rx < ry);
        if (order == 0 && rx == 2)
            order = strcmp(json_string_value(x), json_string_value(y));
        else if (order == 0 && rx == 1)
            order = (json_number_value(x) > json_number_value(y)) - (json_number_value(x) < json_number_value(y));
        if (order != 0)
            return a->f->order[i].is_descending ? -order : order;
    }
    return (a->index > b->index) - (a->index < b->index);
}

json_t *sandbox_filter_page(const struct sandbox_filter *f, json_t *docs, const char *default_order)
{
    size_t n = json_array_size(docs);
    struct sandbox_filter by = *f, fallback = {0};
    struct sortable *list = xcalloc(n ? n : 1, sizeof *list);
    json_t *page = json_array();
    struct span rest = span_of(default_order), word;
    if (f->order_n == 0 && default_order) {
        while (span_next(&rest, ',', &word)) {
            char *name = xstrndup(word.p, word.n);
            add_order(&fallback, name);
            free(name);
        }
        by = fallback;
    }
    for (size_t i = 0; i < n; i++)
        list[i] = (struct sortable){json_array_get(docs, i), i, &by};
    if (by.order_n > 0)
        qsort(list, n, sizeof *list, compare_docs);
    for (size_t i = (size_t)f->skip; i < n && (f->limit == 0 || i < (size_t)(f->skip + f->limit)); i++)
        json_array_append(page, list[i].doc);
    free(list);
    sandbox_filter_clear(&fallback);
    return page;
}

json_t *sandbox_filter_project(const struct sandbox_filter *f, json_t *doc)
{
    const char *key;
    json_t *v;
    if (!f->fields)
        return json_incref(doc);
    json_t *out = json_object();
    json_object_foreach(doc, key, v) {
        bool is_named = false;
        const char *name;
        json_t *unused;
        json_object_foreach(f->fields, name, unused)    /* "documents.number" keeps documents */
            is_named = is_named || strcmp(name, key) == 0 || (strncmp(name, key, strlen(key)) == 0 && name[strlen(key)] == '.');
        if (is_named != f->fields_hide)
            json_object_set(out, key, v);
    }
    return out;
}

bool sandbox_filter_is_cursor(const struct sandbox_filter *f, const char *field)
{
    if (f->order_n < 1 || f->order_n > 2 || strcmp(f->order[0].field, field) != 0 || f->order[0].is_descending)
        return false;
    return f->order_n == 1 || (strcmp(f->order[1].field, "id") == 0 && !f->order[1].is_descending);
}
