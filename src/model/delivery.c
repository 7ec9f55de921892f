/* NAME delivery - words and legal moves of a delivery. Pure. */
#include "delivery.h"

#include <stdlib.h>
#include <string.h>

#include "xmem.h"

static const char *const state_names[] = {
    [DELIVERY_READY] = "ready", [DELIVERY_CLAIMED] = "claimed", [DELIVERY_WAITING] = "waiting", [DELIVERY_HELD] = "held",
    [DELIVERY_DELIVERED] = "delivered", [DELIVERY_SUPERSEDED] = "superseded", [DELIVERY_WITHDRAWN] = "withdrawn",
    [DELIVERY_DISMISSED] = "dismissed", [DELIVERY_DROPPED] = "dropped",
};
static const char *const step_names[] = {
    [STEP_FIND] = "find", [STEP_CREATE] = "create", [STEP_UPDATE] = "update", [STEP_REMOVE] = "remove", [STEP_READBACK] = "readback",
    [STEP_PERSON] = "person",
};

const struct reason reasons[] = {
    {"NO_ROUTE", "no route of the configuration takes this observation"},
    {"RULE", "a rule of the configuration holds it"},
    {"RULE_LIMIT", "the rules need more steps or texts for this observation than is allowed"},
    {"REQUIRED_FIELD", "the route requires a field that the message does not have"},
    {"UNMAPPED_TEST", "the test code is in no table: add a row to the tests table"},
    {"UNMAPPED_VALUE", "the result value is in no table and nothing is guessed: add a row to the results table"},
    {"UNMAPPED_CODE", "a code needed by a rule is in no table"},
    {"HELD_VALUE", "the tables say that a person decides about this value (presumptive, invalid test)"},
    {"VALUE_CONFLICT", "value and interpretation, or two codings, say different things"},
    {"STATUS_CONFLICT", "the report is cancelled but the observation carries a final value"},
    {"STATUS_UNKNOWN", "the status of the observation is unknown"},
    {"POOLED", "pooled specimen: never attributed to one person"},
    {"AMBIGUOUS_SPECIMEN", "several specimens could be meant"},
    {"NONPRODUCTION", "a test message (MSH-11 T, D, N, V): it never becomes a result"},
    {"REPLAY", "sent again from an archive, a restore or an initial load (MSH-11 mode A, R, I): a person decides"},
    {"INCOMPLETE_CONTINUATION", "the message was sent in parts and not all of them came"},
    {"SINGLE_TARGET", "the targets of one test differ and no overall result is given"},
    {"VACCINE_STRAIN", "a positive means the vaccine strain, not the disease"},
    {"NO_RESULT", "final, but no result could be derived"},
    {"NO_SAMPLE_DATE", "the day the sample was taken is not known, and the configuration says to hold (missing-sample-date)"},
    {"NO_KEY", "no sample id and no filler number: the result could not be recognised again"},
    {"NO_IDENTITY", "the message names nobody that could be looked for"},
    {"NO_MATCH", "no case or contact in Go.Data has these identifiers"},
    {"NO_CASE", "nobody in Go.Data has these identifiers, and the configuration drops such results"},
    {"POSSIBLE_DUPLICATE", "no identifier matches, but Go.Data knows somebody with this name or document: not created"},
    {"PERSON_INCOMPLETE", "too little is known to create a person: a name is needed, and a birth date, a sex or a document"},
    {"MERGED_ID", "the sender merged this identifier into another: whoever has that one is proposed"},
    {"MERGE_REVIEW", "the sender says that two patients are one: a person decides what that means in Go.Data"},
    {"NO_SOURCE_CASE", "the case that new contacts are contacts of is not in Go.Data, or is discarded"},
    {"IDENTITY_CHANGED", "the sender changed the name, birth date or sex of a person who stands in Go.Data otherwise"},
    {"PERSON_DELETED", "the person who stood in Go.Data for these identifiers was deleted there"},
    {"AMBIGUOUS_PERSON", "several persons in Go.Data match"},
    {"IDENTITY_CONFLICT", "the identifiers agree but birth date, sex or name contradict, or identifiers lead to different persons"},
    {"CONTACT_RESULTS_OFF", "the person is a contact and this outbreak does not show contacts' lab results"},
    {"CONTACT_OF_CONTACT", "the person is a contact of a contact: Go.Data takes no lab result for these"},
    {"REFDATA_MISSING", "a code to be written is missing or inactive in Go.Data's reference data"},
    {"QUESTION_MISSING", "an answer to be written belongs to no question of the outbreak's lab result form"},
    {"ANSWER_NOT_NUMERIC", "the question takes numbers only, and Go.Data would store nothing for this text"},
    {"FILES_GONE", "the report's attachment is to be uploaded, but the original of the message cannot be read again"},
    {"FILE_REFUSED", "Go.Data does not take the report's attachment"},
    {"OLD_KEY", "the same result was written more than 60 days ago"},
    {"VERSION_TIE", "two different versions carry the same time and status"},
    {"MATCH_CONTRADICTED", "this result was written to a person who was changed in Go.Data since, so that it may not be theirs: look, and dismiss this note"},
    {"PERSON_CHANGED", "the correction leads to another person than the result it corrects"},
    {"ERASED", "erased with all of this person's messages, on request"},
    {"REPLAY_DIFFERS", "it was run again and would differ now from what was delivered: release --anyway writes it, dismiss leaves what stands"},
    {"HUMAN_EDIT", "somebody changed this result in Go.Data since it was written"},
    {"DELETED_IN_GODATA", "somebody deleted this result in Go.Data"},
    {"EXISTS_DIFFERENT", "Go.Data already holds a result for this sample and test with another content"},
    {"PERSON_GONE", "the person found earlier is gone from Go.Data: deleted or merged"},
    {"MISSING_PERMISSION", "the account lacks a permission in Go.Data; tried again every few minutes"},
    {"WRONG_OUTBREAK", "the account's active outbreak in Go.Data is another one"},
    {"UNREACHABLE", "nobody answers at the configured url"},
    {"NOT_GODATA", "something between answered instead of Go.Data: a proxy, a portal"},
    {"NO_ANSWER", "it was sent, but no whole answer came: it may have been carried out"},
    {"BAD_ANSWER", "the answer cannot be read: it may have been carried out"},
    {"REJECTED", "Go.Data refused it"},
    {"BUILD_FAILED", "the body could not be built from the record"},
    {"TOO_LARGE", "a stated size limit was reached"},
    {"QC", "quality control, not a patient's result"},
    {"STATUS_O", "order detail only, no result"},
    {"STATUS_N", "not asked: no result"},
    {"HISTORY", "results of an earlier report sent along"},
    {"PENDING", "no result yet"},
    {"PART_OF_OVERALL", "one target of a test whose overall result stands beside it: kept in its notes"},
    {"NOT_DIAGNOSTIC", "immunity or avidity test: says nothing about an infection; a route may allow it"},
    {"CONTINUED", "a part of a message: its observations are counted with the joined message"},
    {"CONTINUATION", "the last part of a message: its observations are counted with the joined message"},
    {"JOINED", "made of the parts that came as messages of their own"},
    {"SEQUENCE", "asks for the sequence number of the link"},
    {"NOT_A_RESULT", "not a result by its place in the message"},
    {"FILTERED", "this kind of message is not written to Go.Data"},
    {"SAME_AGAIN", "the same content was delivered already"},
    {"OLDER", "a newer version was delivered already"},
    {"NOTHING_TO_WITHDRAW", "the laboratory withdrew a result that was never written"},
};
const size_t reasons_n = sizeof reasons / sizeof reasons[0];

const char *reason_text(const char *name)
{
    for (size_t i = 0; i < reasons_n; i++)
        if (strcmp(reasons[i].name, name) == 0)
            return reasons[i].text;
    return "";
}

unsigned delivery_force_bit(const char *reason)
{
    static const struct { const char *reason; unsigned bit; } all[] = {
        {"VERSION_TIE", DELIVERY_FORCE_TIE}, {"HUMAN_EDIT", DELIVERY_FORCE_EDIT}, {"IDENTITY_CHANGED", DELIVERY_FORCE_EDIT}, {"EXISTS_DIFFERENT", DELIVERY_FORCE_EXISTS},
        {"OLD_KEY", DELIVERY_FORCE_OLD}, {"PERSON_CHANGED", DELIVERY_FORCE_PERSON}, {"DELETED_IN_GODATA", DELIVERY_FORCE_DELETED},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i].reason, reason) == 0)
            return all[i].bit;
    return 0;
}

void delivery_set(char **field, const char *value)
{
    char *old = *field;
    *field = xstrdup(value ? value : "");
    free(old);
}

void delivery_clear(struct delivery *d)
{
    char **owned[] = {&d->path, &d->route, &d->writer, &d->lane, &d->result_key, &d->who, &d->body, &d->reason, &d->detail,
                      &d->person_id, &d->person_type, &d->remote_id};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) {
        free(*owned[i]);
        *owned[i] = NULL;
    }
}

const char *delivery_state_name(enum delivery_state s)
{
    return state_names[s];
}

int delivery_state_parse(const char *name, enum delivery_state *out)
{
    for (size_t i = 0; i < sizeof state_names / sizeof state_names[0]; i++)
        if (strcmp(state_names[i], name) == 0) {
            *out = (enum delivery_state)i;
            return 0;
        }
    return -1;
}

const char *delivery_step_name(enum delivery_step s)
{
    return step_names[s];
}

int delivery_step_parse(const char *name, enum delivery_step *out)
{
    for (size_t i = 0; i < sizeof step_names / sizeof step_names[0]; i++)
        if (strcmp(step_names[i], name) == 0) {
            *out = (enum delivery_step)i;
            return 0;
        }
    return -1;
}

const char *verdict_name(enum verdict v)
{
    switch (v) {
    case VERDICT_DELIVERED: return "delivered";
    case VERDICT_RETRY_LATER: return "retry-later";
    case VERDICT_UNREACHABLE: return "unreachable";
    case VERDICT_UNAUTHORIZED: return "unauthorized";
    case VERDICT_REJECTED: return "rejected";
    case VERDICT_UNKNOWN: return "unknown";
    }
    return "?";
}

bool delivery_is_final(enum delivery_state s)
{
    return s > DELIVERY_HELD;
}

bool delivery_can_move(enum delivery_state from, enum delivery_state to)
{
    switch (from) {
    case DELIVERY_READY:        /* DELIVERED: adopted without a write; WITHDRAWN: nothing was ever written */
        return to == DELIVERY_CLAIMED || to == DELIVERY_WAITING || to == DELIVERY_HELD || to == DELIVERY_SUPERSEDED ||
               to == DELIVERY_DELIVERED || to == DELIVERY_WITHDRAWN || to == DELIVERY_READY || to == DELIVERY_DROPPED;
    case DELIVERY_CLAIMED:
        return to == DELIVERY_DELIVERED || to == DELIVERY_WAITING || to == DELIVERY_READY || to == DELIVERY_HELD || to == DELIVERY_WITHDRAWN;
    case DELIVERY_WAITING:
        return to == DELIVERY_READY || to == DELIVERY_HELD || to == DELIVERY_SUPERSEDED || to == DELIVERY_CLAIMED ||
               to == DELIVERY_DELIVERED || to == DELIVERY_WITHDRAWN || to == DELIVERY_WAITING;
    case DELIVERY_HELD:
        return to == DELIVERY_READY || to == DELIVERY_DISMISSED || to == DELIVERY_SUPERSEDED || to == DELIVERY_WITHDRAWN || to == DELIVERY_HELD ||
               to == DELIVERY_DROPPED;
    case DELIVERY_DELIVERED:
    case DELIVERY_SUPERSEDED:
    case DELIVERY_WITHDRAWN:
    case DELIVERY_DISMISSED:
    case DELIVERY_DROPPED:
        return false;
    }
    return false;
}

const struct delivery_remark *delivery_remark(unsigned flags, size_t i)
{
    static const struct { unsigned bit; struct delivery_remark remark; } all[] = {
        {DELIVERY_IS_CRITICAL, {"critical", "a rule flags it as critical"}},
        {DELIVERY_DATE_ORDER, {"W_DATE_ORDER", "sample taken, delivered, tested, result: the days are not in this order; written as sent"}},
        {DELIVERY_NO_SAMPLE_DATE, {"W_NO_SAMPLE_DATE", "the day the sample was taken is not known; Go.Data's screens ask for it"}},
    };
    for (size_t k = 0; k < sizeof all / sizeof all[0]; k++)
        if ((flags & all[k].bit) && i-- == 0)
            return &all[k].remark;
    return NULL;
}
