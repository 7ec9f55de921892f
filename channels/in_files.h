/*
 * in_files - the listener `listen files`: HL7 v2 and FHIR files dropped in a folder. Thread: LOOP. For people: labrelay-files.7.
 */
#ifndef LABRELAY_IN_FILES_H
#define LABRELAY_IN_FILES_H
#include "ops.h"

extern const struct listener_ops files_listener;
#endif
