/*
 * in_http - the listener `listen http`: FHIR R4 and HL7 v2 over HTTP/1.1. Thread: LOOP. For people: labrelay-http.7. TLS is not here yet.
 */
#ifndef LABRELAY_IN_HTTP_H
#define LABRELAY_IN_HTTP_H
#include "ops.h"

extern const struct listener_ops http_listener;
#endif
