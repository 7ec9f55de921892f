/* NAME ops - life of a task and of a match. No diagnostics. */
#include "ops.h"

#include <stdlib.h>

void task_free(struct task *t)
{
    if (!t)
        return;
    if (t->ops && t->ops->disarm)
        t->ops->disarm(t);
    char *owned[] = {t->result_key, t->who, t->body, t->person_id, t->person_type, t->remote_id, t->last_body, t->reason, t->detail,
                     t->found_id, t->found_type, t->created_id, t->evidence};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
        free(owned[i]);
    for (size_t i = 0; i < t->n_files; i++) {
        free(t->files[i].mime);
        free(t->files[i].bytes);
    }
    free(t->files);
    free(t);
}

void matched_clear(struct matched *m)
{
    free(m->person_id);
    free(m->person_type);
    free(m->evidence);
    m->person_id = m->person_type = m->evidence = NULL;
}
