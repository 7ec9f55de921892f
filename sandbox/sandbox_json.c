/*
 * NAME
 *   sandbox_json - JSON text as Node writes it
 *
 *   jansson reads; writing is ours, since jansson prints 0.1 with 17 digits and 24.0 with a point where JavaScript does neither.
 *
 * DIAGNOSTICS
 *   none. Returned strings belong to the caller.
 */
#include "sandbox_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xmem.h"

/* ECMA-262 Number::toString: shortest digits that read back the same; exponent form below 1e-6 and from 1e21 on. */
static void add_number(struct buf *b, double d)
{
    char text[40];
    int precision = 15;
    if (!isfinite(d)) {
        buf_adds(b, "null");
        return;
    }
    if (d == trunc(d) && fabs(d) < 9e15) {
        buf_add_int(b, (int64_t)d);
        return;
    }
    do
        snprintf(text, sizeof text, "%.*e", precision - 1, d);
    while (strtod(text, NULL) != d && ++precision <= 17);
    /* text is d.ddde+xx: take digits and exponent apart */
    const char *e = strchr(text, 'e');
    long exponent = strtol(e + 1, NULL, 10);
    char digits[24];
    size_t n = 0;
    for (const char *p = text; p < e; p++)
        if (*p >= '0' && *p <= '9')
            digits[n++] = *p;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    if (d < 0)
        buf_addc(b, '-');
    if (exponent >= 21 || exponent < -6) {
        buf_addc(b, digits[0]);
        if (n > 1)
            buf_addc(b, '.');
        buf_add(b, digits + 1, n - 1);
        buf_addf(b, "e%+ld", exponent);
    } else if (exponent < 0) {
        buf_adds(b, "0.");
        for (long i = exponent + 1; i < 0; i++)
            buf_addc(b, '0');
        buf_add(b, digits, n);
    } else {
        for (size_t i = 0; i < n || i <= (size_t)exponent; i++) {
            if (i == (size_t)exponent + 1)
                buf_addc(b, '.');
            buf_addc(b, i < n ? digits[i] : '0');
        }
    }
}

void sandbox_json_dump(struct buf *b, const json_t *v)
{
    size_t i;
    const char *key;
    json_t *item;
    switch (json_typeof(v)) {
    case JSON_OBJECT: {
        bool is_first = true;
        buf_addc(b, '{');
        json_object_foreach((json_t *)(uintptr_t)v, key, item) {
            if (!is_first)
                buf_addc(b, ',');
            is_first = false;
            buf_json_str(b, key);
            buf_addc(b, ':');
            sandbox_json_dump(b, item);
        }
        buf_addc(b, '}');
        return;
    }
    case JSON_ARRAY:
        buf_addc(b, '[');
        json_array_foreach(v, i, item) {
            if (i > 0)
                buf_addc(b, ',');
            sandbox_json_dump(b, item);
        }
        buf_addc(b, ']');
        return;
    case JSON_STRING:
        buf_json_span(b, span_make(json_string_value(v), json_string_length(v)));
        return;
    case JSON_INTEGER:
        buf_add_int(b, (int64_t)json_integer_value(v));
        return;
    case JSON_REAL:
        add_number(b, json_real_value(v));
        return;
    case JSON_TRUE:
        buf_adds(b, "true");
        return;
    case JSON_FALSE:
        buf_adds(b, "false");
        return;
    case JSON_NULL:
        buf_adds(b, "null");
        return;
    }
}

static void add_as_string(struct buf *b, const json_t *v)
{
    size_t i;
    json_t *item;
    if (json_is_string(v)) {
        buf_add(b, json_string_value(v), json_string_length(v));
    } else if (json_is_object(v)) {
        buf_adds(b, "[object Object]");
    } else if (json_is_array(v)) {
        json_array_foreach(v, i, item) {
            if (i > 0)
                buf_addc(b, ',');
            if (!json_is_null(item))
                add_as_string(b, item);
        }
    } else {
        sandbox_json_dump(b, v);
    }
}

char *sandbox_json_to_string(const json_t *v)
{
    struct buf b;
    size_t n;
    buf_init(&b, 64u << 20);
    buf_add(&b, "", 0);
    add_as_string(&b, v);
    if (b.n == 0) {
        buf_clear(&b);
        return xstrdup("");
    }
    return buf_take(&b, &n);
}

json_t *sandbox_json_parse(struct span s, bool *at_end, size_t *position)
{
    json_error_t e;
    json_t *v = json_loadb(s.p, s.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    if (!v && json_error_code(&e) == json_error_numeric_overflow)       /* JavaScript has doubles only: longer integers lose digits */
        v = json_loadb(s.p, s.n, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &e);
    if (!v) {
        *position = e.position > 0 ? (size_t)e.position - 1 : 0;
        *at_end = json_error_code(&e) == json_error_premature_end_of_input || *position >= s.n;
    }
    return v;
}

const char *sandbox_json_get(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

bool sandbox_json_parse_float(const char *text, double *out)
{
    char head[64];
    size_t n = 0;
    bool has_digit = false;
    while (*text == ' ' || *text == '\t' || *text == '\n' || *text == '\r')
        text++;
    /* strtod would also take hexadecimal, nan and inf: parseFloat takes decimal only */
    while (text[n] && n + 1 < sizeof head && strchr("+-.eE0123456789", text[n])) {
        has_digit = has_digit || (text[n] >= '0' && text[n] <= '9');
        head[n] = text[n];
        n++;
    }
    head[n] = '\0';
    if (!has_digit)
        return false;
    char *end;
    *out = strtod(head, &end);
    return end != head;
}
