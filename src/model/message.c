/* NAME message - frames and replies: how they are freed. No diagnostics. */
#include "message.h"

#include <stdlib.h>

void frame_free(struct frame *f)
{
    if (!f)
        return;
    free(f->raw);
    free(f);
}

void reply_free(struct reply *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++)
        free((void *)(uintptr_t)r->payloads[i].p);
    free(r->payloads);
    free(r->why);
    free(r);
}

void parsed_take_persons(struct parsed *p)
{
    p->fate = p->persons->fate;
    p->records = p->persons->records;
    p->n_records = p->persons->n_records;
    p->problems = p->persons->problems;
    p->n_problems = p->persons->n_problems;
    p->is_persons = true;
}
