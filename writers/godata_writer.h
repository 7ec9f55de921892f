/*
 * godata_writer - the writer `godata`: lab results into WHO Go.Data. Manual: labrelay-godata.7.
 * One line in src/modules.c names it. Contract of each function: model/ops.h.
 *
 * What the engine may rely on beyond ops.h:
 *  - STEP_FIND: VERDICT_DELIVERED means exactly one person (found_id, found_type "case" or "contact"); nobody is VERDICT_REJECTED, NO_MATCH.
 *  - STEP_CREATE: VERDICT_DELIVERED has created_id. found_type is set when the person turned out to be of the other type (converted).
 *  - STEP_UPDATE, STEP_REMOVE look before they write and may be repeated at any time.
 *  - STEP_READBACK: created_id (VERDICT_DELIVERED) means that the result stands with the content of `body`; an older content of ours is brought
 *    up to date on the spot when last_body says what it was. With a remote_id and no last_body it only means that the result stands: do
 *    STEP_UPDATE or STEP_REMOVE again. is_absent: looked, not there.
 *  - reason PERSON_GONE: the person found earlier exists no more: find again.
 */
#ifndef LABRELAY_GODATA_WRITER_H
#define LABRELAY_GODATA_WRITER_H
#include "ops.h"

extern const struct writer_ops godata_writer;
#endif
