/*
 * NAME
 *     rule_notes - lines for Go.Data's notes
 * DESCRIPTION
 *     Lines are gathered on the stack and copied into the arena once. What does not fit is cut at a line's end and replaced by
 *     "[more in engine]". A line of a sender that looks like our marker gets a blank behind its bracket.
 * DIAGNOSTICS
 *     None.
 */
#include "rule_notes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

static size_t count_chars(struct span s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

static void add(struct rule_notes *n, struct span s)
{
    if (s.n > sizeof n->p - n->n)
        s.n = sizeof n->p - n->n;       /* cannot happen: chars are counted before */
    memcpy(n->p + n->n, s.p, s.n);
    n->n += s.n;
}

static void add_line(struct rule_notes *n, struct span line)
{
    static const char more[] = "[more in engine]";
    while (line.n && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == ' '))
        line.n--;
    if (!line.n || n->is_full)
        return;
    bool is_marker = span_starts(line, "[labrelay") || span_starts(line, "[/labrelay");
    size_t chars = count_chars(line) + 1 + is_marker;
    if (n->chars + chars + sizeof more > RULE_NOTES_MAX) {
        n->is_full = true;
        line = span_of(more);
    }
    if (n->n)
        add(n, SPAN_LIT("\n"));
    if (is_marker) {
        add(n, SPAN_LIT("[ "));
        line = span_from(line, 1);
    }
    add(n, line);
    n->chars += chars;
}

void rule_notes_line(struct rule_notes *n, struct span text)
{
    struct span line;
    while (span_next(&text, '\n', &line))
        add_line(n, line);
}

void rule_notes_linef(struct rule_notes *n, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    size_t m = len < 0 ? 0 : (size_t)len < sizeof line ? (size_t)len : sizeof line - 1;
    if (len > 0 && (size_t)len >= sizeof line)
        while (m && ((unsigned char)line[m] & 0xc0) == 0x80)
            m--;                        /* never half a character */
    rule_notes_line(n, (struct span){line, m});
}

struct span rule_notes_end(struct rule_notes *n, struct arena *a)
{
    return n->n ? arena_dup(a, (struct span){n->p, n->n}) : SPAN_ABSENT;
}

struct span rule_system_name(struct span system)
{
    static const struct { const char *uri, *name; } names[] = {
        {"http://loinc.org", "LN"},
        {"http://snomed.info/sct", "SCT"},
        {"http://unitsofmeasure.org", "UCUM"},
        {"http://hl7.org/fhir/sid/icd-10", "I10"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (span_is(system, names[i].uri))
            return span_of(names[i].name);
    if (!span_has(system) || span_is(system, "local"))
        return SPAN_LIT("L");
    if (span_starts(system, "local:"))
        return span_from(system, 6);
    if (span_starts(system, "http://terminology.hl7.org/CodeSystem/v2-"))
        return span_from(system, strlen("http://terminology.hl7.org/CodeSystem/"));
    return system;
}

/* At most 600 bytes of it, never half a character: the whole text stays in the engine. */
static struct span clip(struct span s)
{
    if (s.n <= 600)
        return s;
    s.n = 600;
    while (s.n && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
        s.n--;
    return s;
}

/* "Detected (SCT 260373001)" */
static void add_coding(struct buf *b, const struct rec_coding *c, struct span fallback)
{
    struct span name = clip(span_has(c->display) ? c->display : fallback);
    if (span_has(name))
        buf_add_span(b, name);
    if (!span_has(c->code))
        return;
    struct span system = clip(rule_system_name(c->system)), code = clip(c->code);
    if (span_has(name))
        buf_addf(b, " (%.*s %.*s)", SPAN_ARG(system), SPAN_ARG(code));
    else
        buf_addf(b, "%.*s %.*s", SPAN_ARG(system), SPAN_ARG(code));
}

static void add_value(struct buf *b, const struct rec_observation *obs)
{
    const struct rec_value *v = &obs->value;
    if (v->type == REC_V_CODED && v->codings.n) {
        add_coding(b, &v->codings.v[0], v->codings.text);
        return;
    }
    struct span text = v->type == REC_V_CODED ? v->codings.text : span_has(v->text) ? v->text : v->raw;
    struct span unit = span_has(obs->unit.display) ? obs->unit.display : obs->unit.code;
    if (!span_has(text)) {
        buf_adds(b, "(no value)");
        return;
    }
    if (span_has(v->comparator) && !span_is(v->comparator, "=") && !(text.n >= v->comparator.n && memcmp(text.p, v->comparator.p, v->comparator.n) == 0))
        buf_add_span(b, v->comparator);
    buf_add_span(b, clip(text));
    if (text.n > 600)
        buf_adds(b, " [more in engine]");
    if (span_has(unit) && v->type != REC_V_TEXT)
        buf_addf(b, " %.*s", SPAN_ARG(unit));
}

struct span rule_notes_result(struct rule_scope *x, const struct rec_observation *obs, const struct rule_found *found)
{
    char room[4096];
    struct buf b = {.p = room, .cap = sizeof room, .max = sizeof room - 1};     /* on the stack: full before it would grow */
    static const struct rec_coding none;
    const struct rec_coding *code = obs->code.n ? &obs->code.v[found->coding < obs->code.n ? found->coding : 0] : &none;
    struct span name = span_has(obs->code.text) ? obs->code.text : found->test ? found->test->name : SPAN_ABSENT;
    bool has_flag = false;
    add_coding(&b, code, name);
    buf_adds(&b, " = ");
    add_value(&b, obs);
    for (size_t i = 0; i < obs->interpretation.n; i++) {
        if (!span_has(obs->interpretation.v[i]))
            continue;
        buf_adds(&b, has_flag ? "," : " flag ");
        buf_add_span(&b, obs->interpretation.v[i]);
        has_flag = true;
    }
    if (span_has(obs->range))
        buf_addf(&b, "; range %.*s", SPAN_ARG(clip(obs->range)));
    return arena_dup(x->a, (struct span){b.p, b.n});
}
