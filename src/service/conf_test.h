/*
 * conf_test - tests that stand beside the rules: a message and what has to become of it. Grammar: labrelay.conf.5, TESTS.
 *
 * Compiled and type-checked by config_load(); everything lives in the configuration and is immutable. conf_test_run() is pure but for
 * reading the message's file; any thread. Nothing is stored, sent or asked: what only Go.Data knows (NO_MATCH …) cannot be expected.
 */
#ifndef LABRELAY_CONF_TEST_H
#define LABRELAY_CONF_TEST_H
#include "conf.h"

struct conf_expect;

struct conf_test {
    const char *name, *path;            /* of the message, resolved */
    const char *file;                   /* base name of the configuration file, with line: where it stands */
    unsigned line;
    size_t listener;                    /* index: as if it came in there */
    struct conf_expect *v;
    size_t n, cap;
};

struct conf_failure {                   /* borrowed for the call */
    const char *file;
    unsigned line;
    struct span expect;                 /* as written: `expect lab.result "POSITIVE"` */
    struct span path;                   /* OBX[1]; absent for what concerns the whole message */
    struct span wanted, got;
};

/* Runs one test; fail() is called for each expectation that is not met. 0 all met, 1 some not; -1 the message cannot be read or parsed
 * (ERR_CONFIG, ERR_LIMIT). */
int  conf_test_run(const struct config *c, const struct conf_test *t, void (*fail)(void *ctx, const struct conf_failure *f), void *ctx, struct err *e);

/* ---- for conf.c ---- */
struct diag;
struct lexer_stmt;
/* Compiles all `test` statements, behind the rules; mistakes go to d. Fills c->tests, in the memory of c->rules. */
void conf_tests_compile(struct config *c, struct diag *d, const struct lexer_stmt *const *stmts, size_t n);
#endif
