/*
 * in_files_inner - what the files of the file channel share. Private to in_files*.c. Thread: LOOP.
 *
 * in_files_look finds files and knows when they are whole; in_files_take claims and reads them; in_files_move brings them to done/ and
 * error/; in_files holds them together. Names are used relative to open folders only: no path is ever made of a name that was found.
 */
#ifndef LABRELAY_IN_FILES_INNER_H
#define LABRELAY_IN_FILES_INNER_H
#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

#include "in_files.h"

#define FILES_NAME_MAX NAME_MAX

enum files_order { FILES_BY_TIME, FILES_BY_NAME };

struct files_options {
    char *inbox, *done, *error;
    int64_t settle, rescan;             /* microseconds */
    int64_t max_size, read_ahead;
    int64_t keep_done, keep_error;      /* microseconds; 0: for ever */
    bool ack, inotify;
    int order;                          /* enum files_order */
    struct option_list ignore;          /* more endings of names that are not taken */
};

struct file_cand {                      /* a file that was seen and is not taken yet */
    struct file_cand *next;             /* hash chain */
    int64_t mtime_ns, size;
    int64_t born_us, since_us;          /* first seen; unchanged since (monotonic) */
    int64_t not_before_us;              /* after a failure */
    unsigned seen;                      /* number of the last scan that saw it */
    bool is_whole;                      /* renamed into the folder: nobody writes it any more */
    bool is_open;                       /* created before our eyes and not closed yet */
    bool is_left;                       /* claimed by an earlier run, or to be tried again */
    bool is_told;                       /* its trouble is in the log */
    bool is_gone;                       /* to be freed */
    char name[];
};

struct file_item {                      /* a claimed file whose frame is at the engine, or that could not be moved yet */
    uint64_t id;                        /* 0: free */
    size_t bytes;                       /* of the budget; 0: given back */
    bool is_stuck, is_bad;              /* the move failed; it belongs to error/ */
    char *why, *answer;                 /* heap, kept while stuck */
    size_t answer_n;
    char name[FILES_NAME_MAX + 1];
};

enum files_dir { FILES_INBOX, FILES_CLAIMED, FILES_DONE, FILES_ERROR, FILES_DIRS };

struct listener {
    const struct files_options *o;
    struct listener_env env;
    int dir[FILES_DIRS];                /* -1: not open */
    bool is_lost;                       /* the folder cannot be read: looked for again at every rescan */
    bool is_stopping;
    /* what is there: in_files_look */
    struct file_cand **hash, **order;
    size_t n_hash, n_cands, n_order, cap_order;
    bool is_dirty;                      /* order is to be made again */
    bool is_overfull;                   /* more files than CANDS_MAX: the rest waits for the next scan */
    DIR *scan;
    unsigned scan_no;
    int inotify_fd;
    struct event *scan_ev, *rescan_ev, *inotify_ev, *pump_ev;
    /* what is under way: in_files_take */
    struct file_item *items;
    size_t n_items, n_flying, n_stuck;
    uint64_t generation;
    int64_t retry_us;                   /* stuck moves again at this time; 0: none */
    struct {                            /* erasing old files: in_files_sweep */
        struct event *ev;               /* NULL: nothing is erased */
        enum files_dir dir;             /* done, then error */
        DIR *open;
        size_t n;                       /* erased of it */
        bool is_over, is_told;
    } sweep;
};

/* ---- in_files_look.c ---- */
int  look_open(struct listener *l, struct err *e);          /* events; the folders are open */
void look_start(struct listener *l);                        /* the first scan; what an earlier run left goes first */
void look_close(struct listener *l);
void look_changed(struct listener *l, struct file_cand *c, const struct stat *st);   /* seen again: another time or size starts the wait again */
struct file_cand *look_add(struct listener *l, const char *name, const struct stat *st);   /* NULL when there is no more room */
void look_add_left(struct listener *l, const char *name, const struct stat *st, int64_t not_before_us);     /* in the claim folder */
void look_remove(struct listener *l, struct file_cand *c);  /* freed with the next look_sort() */
void look_sort(struct listener *l);
int64_t look_due(const struct listener *l, const struct file_cand *c);     /* monotonic time at which it counts as whole */
int64_t files_mtime_ns(const struct stat *st);

/* ---- in_files_take.c ---- */
void take_pump(struct listener *l);                         /* claims and reads what is due, posts it in one go */
void take_later(struct listener *l, int64_t us);            /* calls take_pump() in that time, or earlier */
struct file_item *take_item(struct listener *l, uint64_t id);
void take_free(struct listener *l, struct file_item *it);

/* ---- in_files_sweep.c ---- */
int  sweep_open(struct listener *l);                        /* after the folders; -1: no event */
void sweep_close(struct listener *l);

/* ---- in_files_move.c ---- */
/* Opens (and makes) the four folders and takes the lock. */
int  move_open_dirs(struct listener *l, struct err *e);
void move_close_dirs(struct listener *l);
/* rename that never replaces: 0, or errno. */
int  move_rename(int from, const char *name, int to, const char *to_name);
/* Brings dir/name to done or error, with why and answer beside it (either may be absent). 0, or errno. */
int  move_out(struct listener *l, enum files_dir from, const char *name, bool is_bad, const char *why, struct span answer);
/* The text of NAME.why.txt. list: the reasons, a line each. Heap. */
char *move_why(const struct listener *l, const char *name, const char *head, const char *list, int64_t message_id);
#endif
