/*
 * godata_options - what a `write godata "name" { }` block says. Immutable once loaded; any thread may read.
 * Defaults of `match` and `id` stand behind the statements given: see godata_options.c.
 */
#ifndef LABRELAY_GODATA_OPTIONS_H
#define LABRELAY_GODATA_OPTIONS_H
#include "ops.h"

#define GODATA_PREFIX "LNG_REFERENCE_DATA_CATEGORY_"
#define GODATA_VARIABLE_MAX 128     /* of a questionnaire, with its end */
#define GODATA_DOCUMENT_PREFIX GODATA_PREFIX "DOCUMENT_TYPE_"

enum godata_role { GODATA_IGNORE, GODATA_BY_ID, GODATA_BY_VISUAL_ID, GODATA_BY_DOCUMENT, GODATA_BY_SAMPLE,
                   GODATA_BY_QUESTIONNAIRE };

struct godata_id_rule {             /* id "AUTHORITY" "TYPE" is ROLE; "*" is any, "" is none */
    char *authority, *type;
    enum godata_role role;
    char *document;                 /* short code: NATIONAL_ID_CARD; of GODATA_BY_DOCUMENT. The variable; of GODATA_BY_QUESTIONNAIRE */
};
struct godata_ids { struct godata_id_rule *v; size_t n; };

struct godata_match_key {
    enum godata_role role;
    char *document;                 /* GODATA_BY_DOCUMENT: short code, or NULL for every type; GODATA_BY_QUESTIONNAIRE: the variable */
};
struct godata_match { struct godata_match_key *v; size_t n; };

struct godata_no_match { enum no_match action; int64_t alarm_us; };      /* alarm 0: default 30 d */

struct godata_attachments { char *variable; };  /* attachments upload VARIABLE; NULL: keep */

struct godata_options {
    char *url, *login, *password, *outbreak;
    char *proxy, *proxy_auth, *ca_file;     /* NULL: none */
    char *contact_of;               /* visualId or id of the case that new contacts are contacts of */
    int contact_certainty;          /* 0 low, 1 medium, 2 high */
    struct godata_match match;
    struct godata_no_match no_match;
    struct godata_ids ids;
    struct godata_attachments attachments;
    int64_t timeout_us, sample_window_us;
    bool claim_account, contact_results, insecure;
    int demographics;               /* 0 candidates only; 1 strong: name, birth date and sex may decide */
};

#define GODATA_OPTION_ROWS 19
extern const struct option_row godata_option_rows[GODATA_OPTION_ROWS];
int godata_options_check(const void *options, struct err *e);
/* writer_ops.held_alarm_us: what is parked has a time of its own. */
int64_t godata_held_alarm_us(const void *options, const char *reason);
int godata_options_check_person(const void *options, enum person_kind kind, struct err *e);

/* What the identifier is for; *document gets the short document code (static or of the options) for GODATA_BY_DOCUMENT, else NULL. */
enum godata_role godata_options_role(const struct godata_options *o, const struct rec_id *id, const char **document);
/* Is this kind of identifier to be used by `match`? */
bool godata_options_match(const struct godata_options *o, enum godata_role role, const char *document);
/* The variables of the investigation form that identifiers are looked up in, each once, from i = 0 on; NULL past the last. */
const char *godata_options_variable(const struct godata_options *o, size_t i);
const char *godata_role_name(enum godata_role r);   /* "visual-id" */
bool godata_is_uuid(struct span s);                 /* 8-4-4-4-12 hex */
/* Is it http:// to another machine than this one? */
bool godata_url_is_open(const char *url);
#endif
