/*
 * rule_inner - how compiled rules look inside. For rule*.c and conf*.c only; everything lives in the ruleset's arena and is immutable.
 */
#ifndef LABRELAY_RULE_INNER_H
#define LABRELAY_RULE_INNER_H
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "lexer.h"
#include "rule.h"
#include "table.h"

/* ---- expressions ---- */
enum rule_type { RULE_T_BOOL, RULE_T_TEXT, RULE_T_NUMBER, RULE_T_DATE, RULE_T_LIST, RULE_T_CODES, RULE_T_IDS, RULE_T_VALUE, RULE_T_DURATION };
enum rule_node_kind { NODE_AND, NODE_OR, NODE_NOT, NODE_COMPARE, NODE_IN_TABLE, NODE_IN_LIST, NODE_MATCH, NODE_EXISTS,
                      NODE_FIELD, NODE_HL7, NODE_FHIR, NODE_LITERAL, NODE_CALL, NODE_TEMPLATE,
                      NODE_CHOICE,      /* if args[0] then args[1] else args[2] */
                      NODE_ADD, NODE_SUBTRACT,      /* args[0], a date, and duration */
                      NODE_ANY, NODE_EVERY, NODE_COUNT };
enum rule_op { OP_EQ, OP_NE, OP_LT, OP_GT, OP_LE, OP_GE };
enum rule_func { FUNC_LOWER, FUNC_UPPER, FUNC_TRIM, FUNC_CONCAT, FUNC_SUBSTR, FUNC_FIRST, FUNC_COUNT, FUNC_CODE, FUNC_DISPLAY, FUNC_LENGTH,
                 FUNC_REPLACE, FUNC_SPLIT, FUNC_STARTS, FUNC_ENDS, FUNC_CONTAINS, FUNC_PAD, FUNC_GROUP, FUNC_EITHER, FUNC_NUMBER, FUNC_DATE,
                 FUNC_FORMAT, FUNC_YEARS, FUNC_DAYS, FUNC_AGE };
enum rule_truth { TRUTH_NO, TRUTH_YES, TRUTH_UNKNOWN };    /* unknown: cannot be decided (<100 against >= 40) */

struct rule_duration { int64_t months, days, seconds; };   /* one of them; never negative */

struct rule_node {
    enum rule_node_kind kind;
    enum rule_type type;
    enum rule_op op;
    enum rule_func func;
    const struct rec_field *field;
    bool is_own;                    /* NODE_FIELD: this.FIELD, of the observation on its way */
    bool is_others;                 /* NODE_ANY …: any other observation */
    bool is_same_unit;              /* NODE_COMPARE: no conversion of units (result-of) */
    struct rec_path path;           /* NODE_HL7 */
    const struct rec_fhir_path *fhir;
    struct rule_duration duration;  /* a literal of RULE_T_DURATION; NODE_ADD, NODE_SUBTRACT */
    struct span literal;            /* also the number of a NODE_COMPARE's right side */
    struct span unit;               /* absent: any unit */
    const struct table *table;
    pcre2_code *regex;
    const struct rule_node **args;  /* operands */
    size_t n;
};

struct rule_value {                 /* what a node is for one observation */
    enum rule_type type;
    struct span text;               /* TEXT, NUMBER */
    const struct rec_ts *ts;
    struct rec_codes codes;
    struct rec_ids ids;
    struct rec_list list;
    const struct rec_value *value;
    bool is_true;
    bool is_unsure;                 /* a date that cannot be worked out: nothing is decided with it */
};

struct rule_miss { const struct table *table; struct span system, code; };     /* a row that was looked for in vain */

struct rule_scope {                 /* one observation on its way through the rules */
    const struct ruleset *rs;
    const struct record *r;
    const struct rec_observation *obs;
    struct arena *a;
    struct rule_trace *trace;
    struct rule_miss miss;          /* first `observation.code in TABLE` without a row */
    const struct table *hit_table;  /* last row found, for the trace */
    int64_t hit_row;
    const struct rec_observation *own;      /* what obs was before `for each` or `any observation`: this.FIELD; NULL: obs */
    unsigned steps;                 /* taken so far: nodes and statements */
    bool is_over;                   /* a cap of RULE_STEPS_MAX, RULE_TEXT_MAX, RULE_NOTES_LINES_MAX was reached: held as RULE_LIMIT */
    size_t text_bytes;              /* made by functions */
    struct span *notes;             /* `note`: RULE_NOTE_LINES_MAX of them */
    size_t n_notes, cap_notes;
    unsigned flags;                 /* `flag` */
    unsigned allowed;               /* cautions */
    bool is_person, is_person_only; /* the steps are for the person of the record; the route sends nothing else */
};
/* What the rules may take for one observation. Compiled size is bounded by the lexer's caps, nesting by RULE_DEPTH_MAX and LEXER_MAX_DEPTH. */
#define RULE_STEPS_MAX 200000u
#define RULE_TEXT_MAX ((size_t)256 << 10)
#define RULE_NOTE_LINES_MAX 64u
#define RULE_OTHERS_MAX 1024u       /* observations of a record that `for each`, any, every and count look at */
#define RULE_DEPTH_MAX 32u
/* One more step; false when there are none left. */
bool rule_step(struct rule_scope *x, unsigned n);
/* Counts a text that a function made; absent when there were too many bytes. */
struct span rule_made(struct rule_scope *x, struct span s);

/* Compiles one expression from token *i of s on; NULL after reporting. */
struct rule_compiler {
    struct diag *d;
    struct ruleset *rs;
    const struct tables *tables;
    const struct lexer_stmt *s;
    size_t i;
    unsigned loops;                 /* for each, any, every, count around: this.FIELD means something */
    bool in_quantifier;
};
const struct rule_node *rule_parse_condition(struct rule_compiler *c);      /* type BOOL */
const struct rule_node *rule_parse_operand(struct rule_compiler *c);        /* any type but BOOL of conditions */
/* The same inside others; depth of nesting so far. */
const struct rule_node *rule_parse_operand_at(struct rule_compiler *c, unsigned depth);
const struct rule_node *rule_parse_or(struct rule_compiler *c, unsigned depth);
const struct rule_node *rule_parse_bracket(struct rule_compiler *c, unsigned depth);       /* ( condition ), the ( comes next */
pcre2_code *rule_parse_regex(struct rule_compiler *c);                                     /* behind ~; owned by the ruleset */
const struct rule_node *rule_parse_call(struct rule_compiler *c, const struct token *name, unsigned depth);    /* rule_func.c; the ( comes next */
bool rule_is_fhir(const struct rule_compiler *c);                                          /* rule_fhir.c */
const struct rule_node *rule_parse_fhir(struct rule_compiler *c);
bool rule_is_quantifier(const struct rule_compiler *c);                                    /* rule_other.c */
const struct rule_node *rule_parse_quantifier(struct rule_compiler *c, unsigned depth);
/* The table named by a token, if values of this type can be looked up in it; reports with a guess. */
const struct table *rule_table(struct rule_compiler *c, enum rule_type type, const struct token *t);
/* The field named by a token; reports with a guess. */
const struct rec_field *rule_field(struct rule_compiler *c, const struct token *t);
const struct rule_node *rule_field_node(struct rule_compiler *c, const struct token *t);    /* NULL after reporting */
enum rule_type rule_type_of(const struct rec_field *f);
const char *rule_type_name(enum rule_type t);
/* Reports at a token (or behind the statement when t is NULL); hint may be NULL. */
void rule_error(struct rule_compiler *c, const struct token *t, const char *hint, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
const struct token *rule_peek(const struct rule_compiler *c);
bool rule_accept(struct rule_compiler *c, const char *word);
void *rule_alloc(struct ruleset *rs, size_t n);

enum rule_truth rule_test(struct rule_scope *x, const struct rule_node *n);
void rule_get(struct rule_scope *x, const struct rule_node *n, struct rule_value *out);
bool rule_is_present(const struct rule_value *v);
struct span rule_text(const struct rule_value *v);      /* the value as one text; absent when there is none */

void rule_call(struct rule_scope *x, const struct rule_node *n, struct rule_value *out);
struct span rule_first(const struct rule_value *v);     /* first element of a list */
struct span rule_display(const struct rec_codes *c);
int  rule_regex_groups(const pcre2_code *re);
bool rule_matches(struct rule_scope *x, const pcre2_code *re, struct span s);      /* bounded */
struct span rule_get_fhir(struct rule_scope *x, const struct rule_node *n);
enum rule_truth rule_test_quantifier(struct rule_scope *x, const struct rule_node *n);
struct span rule_count_others(struct rule_scope *x, const struct rule_node *n);
/* Shifts the threshold by the power of ten between two units; false: they are not of one kind. (rule_unit.c) */
bool rule_unit_shift(struct rule_scope *x, struct span have, struct span want, struct span *threshold);

/* ---- dates (rule_date.c) ---- */
bool rule_date_is(struct span s);                       /* a day, or a time to the minute or second, that exists */
bool rule_duration_read(struct span s, struct rule_duration *out);                         /* 5y 6mo 2w 3d 12h 30m 10s */
/* As exact as ts was; NULL when it is not exact enough, or beyond the calendar. */
const struct rec_ts *rule_date_add(struct rule_scope *x, const struct rec_ts *ts, const struct rule_duration *d, bool is_minus);
int  rule_date_compare(struct rule_scope *x, const struct rec_ts *a, const struct rec_ts *b, bool *is_sure);
/* Is the time between two dates OP d? OP_EQ and OP_NE are not asked. */
enum rule_truth rule_date_age(struct rule_scope *x, const struct rec_ts *from, const struct rec_ts *to, enum rule_op op, const struct rule_duration *d);
bool rule_date_years(const struct rec_ts *from, const struct rec_ts *to, int64_t *out);    /* false: not sure */
bool rule_date_days(const struct rec_ts *from, const struct rec_ts *to, int64_t *out);
bool rule_date_format_is(struct span format, bool is_input);
const struct rec_ts *rule_date_read(struct rule_scope *x, struct span text, struct span format);   /* NULL: not written so */
struct span rule_date_write(struct rule_scope *x, const struct rec_ts *ts, struct span format);    /* absent: not that exact */

/* ---- numbers (rule_number.c): exact decimal texts, never floats ---- */
bool rule_number_is(struct span s);                     /* 12, -3.50, 1.2E+05 */
int  rule_number_cmp(struct span a, struct span b);     /* both numbers */
/* value OP threshold, comparator aware. */
enum rule_truth rule_number_test(const struct rec_value *v, enum rule_op op, struct span threshold);

/* ---- tables in rules (rule_terms.c) ---- */
/* Row of one coding; local systems are looked for as local:<channel> first, then as sent. */
int64_t rule_find_coding(const struct record *r, const struct table *t, struct span system, struct span code);
/* Row of the first coding that has one, LOINC before the others; *which gets its index. */
int64_t rule_find_codes(const struct record *r, const struct table *t, const struct rec_codes *codes, size_t *which);

/* ---- result-of ---- */
struct rule_clause { enum outcome_kind kind; const struct rule_node **tests; size_t n; unsigned line; const char *file; };
struct rule_interp { struct span code; const char *word; };
struct rule_result_of {
    struct rule_clause *clauses;
    size_t n_clauses;
    struct rule_interp *interps;
    size_t n_interps;
    bool boolean_is_presence;
    const char *file;
    unsigned line;
};

/* ---- tests table, digested ---- */
enum rule_caution { CAUTION_VACCINE_STRAIN = 1, CAUTION_PAN_GROUP = 2, CAUTION_SINGLE_TARGET = 4, CAUTION_IGG_ONLY = 8, CAUTION_IMMUNITY = 16,
                    CAUTION_AVIDITY = 32, CAUTION_ORGANISM_VALUE = 64, CAUTION_QUANT = 128, CAUTION_LEGACY_NAME = 256 };
struct rule_test {
    struct outcome_test outcome;
    struct span test_type, tested_for, name;
    unsigned cautions;
    bool has_targets;               /* another row with the same tested_for is a single target or a vaccine strain */
    const struct rule_result_of *result_of;
};

/* ---- routes ---- */
enum rule_step_kind { STEP_REQUIRE_FIELD, STEP_SET, STEP_LOOKUP, STEP_IF, STEP_FOR_EACH, STEP_NOTE, STEP_FLAG, STEP_ALLOW, STEP_HOLD, STEP_DROP };
struct rule_block { struct rule_todo **v; size_t n, cap; };
struct rule_todo {
    enum rule_step_kind kind;
    const char *file;
    unsigned line;
    struct span text;               /* as written, for the trace */
    const struct rec_field *field;
    const struct rule_node *expr;   /* also the condition of STEP_IF, the where of STEP_FOR_EACH (NULL: all) */
    const struct lab_field *lab;    /* what is set: a field of the lab result … */
    const struct person_field *person;  /* … or of the person … */
    struct span variable;           /* … or, both NULL, lab.questionnaire.VARIABLE */
    const struct table *table;
    int column;
    struct span def;                /* lookup default; absent: none */
    struct rule_block body, otherwise;      /* STEP_IF, STEP_FOR_EACH */
    bool is_others;                 /* STEP_FOR_EACH: without this one */
    unsigned bits;                  /* STEP_FLAG: DELIVERY_…, STEP_ALLOW: cautions */
    struct span why;                /* STEP_HOLD, STEP_DROP; STEP_FLAG: absent when nothing was said */
};
struct rule_when { const struct rule_node *expr; struct span text; const char *file; unsigned line; };
struct rule_route {
    const char *name, *file;
    unsigned line;
    struct diag_place at;
    struct span *from;
    size_t n_from;
    struct rule_when *when;
    size_t n_when;
    struct rule_block todo;
    unsigned allowed;               /* cautions: `allow immunity avidity` */
    enum rule_action action;
    const char *writer;
    const char *person_writer;      /* send case, send contact; NULL: sends no person */
    enum person_kind person_kind;
    enum no_match no_match;
    uint64_t may_change;            /* update FIELD … */
    unsigned person_line;
    bool is_person_only;            /* no send lab, hold or drop: observations pass it over */
    struct span text;               /* hold "…", drop "…" */
    unsigned action_line;
};

struct rule_options {
    int quant_without_result;       /* hold, in-progress */
    bool text_from_display;
    int preliminary;                /* write, hold */
    int missing_sample_date;        /* send, hold */
    int sample_date_fallback;       /* none, received */
};

struct ruleset {
    struct arena *a;
    struct rule_route *routes;
    size_t n_routes;
    const struct table *tests, *results, *results_text, *specimens, *labs;
    struct rule_test *test_rows;    /* by row of tests */
    int results_outcome, text_outcome, specimens_type, labs_name;      /* columns */
    struct rule_options opt;
    pcre2_code **regexes;
    size_t n_regexes, cap_regexes;
};

struct rule_setup {
    struct diag *d;
    const struct tables *tables;
    const char *const *listeners, *const *writers;
    const struct diag_place *writers_at;
    size_t n_listeners, n_writers;
    struct rule_options opt;
    const struct lexer_stmt *const *stmts;      /* route and result-of, in order */
    size_t n_stmts;
    struct diag_place end;                      /* where "no route" is reported */
};
struct ruleset *rule_compile(const struct rule_setup *s);
void rule_free(struct ruleset *rs);
/* Digest of the tests, results, … tables; reports wrong words in them. */
void rule_bind_tables(struct ruleset *rs, const struct rule_setup *s, bool sends_lab);
void rule_compile_result_of(struct ruleset *rs, const struct rule_setup *s, const struct lexer_stmt *stmt);

/* ---- a route being read (rule_route.c, rule_block.c) ---- */
struct rule_draft {
    struct rule_compiler c;
    const struct rule_setup *s;
    struct rule_route *r;
    struct rule_block *into;        /* where steps go: the route's, or that of an if or for each */
    unsigned depth;                 /* blocks around */
    struct rule_todo *open_if;      /* what an else that comes next belongs to */
    const struct lexer_stmt *block; /* its block was taken */
    size_t cap_from, cap_when;
    struct diag_place action_at;
    bool has_action;
};
void rule_route_read(struct rule_draft *x, const struct lexer_stmt *body, size_t n);
struct rule_todo *rule_todo_new(struct rule_draft *x, enum rule_step_kind kind, const struct token *t);
/* Words of the statement from token `from` to before `to`, for the trace. */
struct span rule_words(const struct rule_draft *x, size_t from, size_t to);
/* The statements of rule_block.c: the word itself is taken already. */
bool rule_read_if(struct rule_draft *x);
bool rule_read_else(struct rule_draft *x);
bool rule_read_for(struct rule_draft *x);
bool rule_read_note(struct rule_draft *x);
bool rule_read_flag(struct rule_draft *x);
/* "text with {field}" as a text; t is the string. NULL after reporting. */
const struct rule_node *rule_template(struct rule_compiler *c, const struct token *t);
/* Where `set` and `lookup` write to: a field of the lab result (*field), or lab.questionnaire.VARIABLE (*variable). */
bool rule_lab_target(struct rule_draft *x, const struct lab_field **field, struct span *variable);
/* Is this value what the target takes? f NULL: an answer. Reports at t, by the target's name. */
bool rule_lab_fits(struct rule_compiler *c, const struct lab_field *f, struct span name, const struct rule_node *e, const struct token *t);

/* ---- running ---- */
struct rule_found { const struct rule_test *test; int64_t row; size_t coding; };       /* test NULL: no row */
void rule_find_test(const struct ruleset *rs, const struct record *r, const struct rec_observation *obs, struct rule_found *out);
void rule_derive(struct rule_scope *x, const struct rec_observation *obs, const struct rule_found *found, struct outcome *out);
/* One step of a route; false: it ended the route, *out says how. (rule.c) */
bool rule_do_steps(struct rule_scope *x, const struct rule_block *b, struct rule_result *out);
/* The steps of rule_block.c */
bool rule_do_if(struct rule_scope *x, const struct rule_todo *d, struct rule_result *out);
bool rule_do_for(struct rule_scope *x, const struct rule_todo *d, struct rule_result *out);
void rule_do_note(struct rule_scope *x, const struct rule_todo *d);
void rule_do_flag(struct rule_scope *x, const struct rule_todo *d);
bool rule_do_end(struct rule_scope *x, const struct rule_todo *d, struct rule_result *out);
const char *rule_answer(enum rule_truth t);             /* "yes", "no", "cannot be decided" */
/* Writes to the target of d what v is; false when there was nothing to write. (rule_answer.c) */
bool rule_put(struct rule_scope *x, const struct rule_todo *d, const struct rule_value *v, struct rule_result *out);
/* All that `over` says goes over what lab says. */
void rule_lab_merge(struct rule_scope *x, struct lab_result *lab, const struct lab_result *over);
/* What Go.Data's screens ask of the days (STANDARDS 8.3). False: held, *out says so. */
bool rule_check_days(struct rule_scope *x, struct rule_result *out);
void rule_trace_add(struct rule_scope *x, const char *file, unsigned line, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Fills the lab result as STANDARDS 8.2, 8.3 say. */
void rule_fill_lab(struct rule_scope *x, const struct rule_found *found, const struct outcome *o, struct lab_result *lab);
/* Siblings: single targets, overall, vaccine strain. True when it decided the fate of this observation. */
bool rule_check_targets(struct rule_scope *x, const struct rule_found *found, const struct outcome *o, struct rule_result *out);
bool rule_is_completed(enum obs_status s);
/* ---- persons (rule_person.c) ---- */
const char *rule_warned_of(const struct rec_list *warnings);    /* reason of a hold that no rule can switch off, or NULL */
void rule_fill_person(struct rule_scope *x, struct person_data *out);
bool rule_is_for_person(const struct rule_scope *x, const struct rule_todo *d);
void rule_put_person(struct person_data *p, const struct person_field *f, struct span text);
bool rule_takes(struct rule_scope *x, const struct rule_route *r);             /* from and when fit */
struct span rule_day(const struct rec_ts *t, struct arena *a);         /* Go.Data date; absent without a day */
struct span rule_system_name(struct span system);       /* LN, SCT, … */
#endif
