/*
 * in_mllp - the listener `listen mllp`: HL7 v2 over MLLP, as server or dialling out. Thread: LOOP. TLS is not here yet.
 */
#ifndef LABRELAY_IN_MLLP_H
#define LABRELAY_IN_MLLP_H
#include "ops.h"

extern const struct listener_ops mllp_listener;
#endif
