/*
 * godata_mirror_inner - what the files of godata_mirror share. Nobody else includes it.
 */
#ifndef LABRELAY_GODATA_MIRROR_INNER_H
#define LABRELAY_GODATA_MIRROR_INNER_H
#include "godata_mirror.h"
#include "godata_mirror_row.h"
#include "store_mirror.h"

#define SECOND_US INT64_C(1000000)
#define MARKS 32
#define MIRROR_CHANGED_MAX 1024

enum page_kind { PAGE_NONE, PAGE_TOP, PAGE_SWEEP, PAGE_ROUND };

struct mark { int64_t elapsed_us, top_ms; };    /* at that time of ours the server's clock had reached top_ms */

struct mirror_list {
    struct store_mirror_place place, saved;     /* saved: as the store has it */
    struct mark marks[MARKS];                   /* oldest first */
    size_t n_marks;
    bool has_top;                               /* the sweep under way knows where the rounds begin */
    /* the round under way */
    bool is_over, is_quick, has_key;
    int64_t from_ms, start_top_ms, key_ms;
    char key_id[GODATA_ROW_ID_MAX + 1];
    unsigned pages;
    int64_t full_elapsed_us;                    /* the last round that saw everything began then; 0: none yet */
    unsigned full_pages;                        /* pages it took */
    /* off */
    int64_t off_until_us;                       /* 0: on */
    int off_status;
    char off_code[64];
    int64_t rows, swept_rows;                   /* read in this process; in the sweep under way */
    int64_t logged_us;
    int64_t page_rows;                          /* asked for in one page: fewer after a page that did not come */
};

struct godata_mirror {
    struct store *store;
    char *writer;
    const struct godata_options *o;
    struct godata_people *people;
    int64_t of_type[GODATA_PERSON_TYPES], labs;
    uint64_t changes, rollbacks;
    char *changed[MIRROR_CHANGED_MAX];          /* persons who are not as they were; taken by godata_mirror_take_changed() */
    size_t n_changed;
    char *outbreak, *owner, *user;              /* outbreak NULL: not known yet; owner: whose rows are in memory */
    bool shows_contacts;
    bool is_confirmed;                          /* owner is the outbreak that the server named in this process */

    struct mirror_list lists[GODATA_LISTS];
    /* the page under way */
    enum page_kind kind;
    enum godata_list list;
    uint64_t number;
    int64_t issued_us;
    json_t *rows;                               /* of an answer that is being taken, a slice each turn; NULL: none */
    size_t taken, asked;                        /* of rows; how many the page may have at most */
    /* rounds */
    bool is_round;
    int64_t round_us, want_us, seen_us, last_us, elapsed_us, retry_us, server_ms;
    unsigned failures;
    int64_t n_requests, n_rounds, n_doubles;
    /* rows that the look-ups hand out */
    struct godata_mirror_lab *found;
    size_t n_found, cap_found;
    char *last_double;
};

/* godata_mirror.c: what one row of a page says */
int  mirror_take_person(struct godata_mirror *m, const json_t *o, int64_t now_us, struct err *e);
int  mirror_take_lab(struct godata_mirror *m, const json_t *o, int64_t now_us, struct err *e);
/* Not on Go.Data's list any more. */
int  mirror_lose(struct godata_mirror *m, enum godata_list list, struct span id, struct err *e);
/* Writes the places that changed. */
int  mirror_save(struct godata_mirror *m, struct err *e);
int  mirror_load_places(struct godata_mirror *m, struct err *e);
/* godata_mirror_poll.c */
void mirror_forget_polls(struct godata_mirror *m);      /* another outbreak, or a rollback: nothing is under way */
bool mirror_is_off(const struct mirror_list *l);
#endif
