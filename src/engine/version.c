/*
 * NAME version - order of the versions of one result (STANDARDS 8.8 rule 6): issue time, then P < F < C.
 * With the same time and a lower rank only a preliminary one is surely older; a final one after a correction is a tie for a person.
 * Pure.
 */
#include <string.h>

#include "inner.h"

int version_rank_of(enum obs_status s)
{
    switch (s) {
    case OBS_ST_REGISTERED:
    case OBS_ST_NOT_ASKED:
    case OBS_ST_ORDER_ONLY:
    case OBS_ST_UNKNOWN:
        return RANK_REGISTERED;
    case OBS_ST_PRELIMINARY:
    case OBS_ST_UNVERIFIED:
        return RANK_PRELIMINARY;
    case OBS_ST_FINAL:
    case OBS_ST_FINALIZED:
    case OBS_ST_VERIFIED:
    case OBS_ST_CANCELLED:
        return RANK_FINAL;
    case OBS_ST_AMENDED:
    case OBS_ST_CORRECTED:
    case OBS_ST_APPENDED:
        return RANK_CORRECTED;
    case OBS_ST_DELETED:
    case OBS_ST_WITHDRAWN:
        return RANK_WITHDRAWN;
    }
    return RANK_REGISTERED;
}

enum version_order version_compare(int64_t issued_us, int rank, const char *body, int64_t other_issued_us, int other_rank, const char *other_body)
{
    if (issued_us != other_issued_us)
        return issued_us > other_issued_us ? VERSION_NEWER : VERSION_OLDER;
    if (rank > other_rank)
        return VERSION_NEWER;
    if (rank == RANK_WITHDRAWN && rank == other_rank)
        return VERSION_SAME; /* taken back is taken back, whatever else the message says */
    if (rank == other_rank)
        return strcmp(body, other_body) == 0 ? VERSION_SAME : VERSION_TIE;
    return rank <= RANK_PRELIMINARY ? VERSION_OLDER : VERSION_TIE;
}
