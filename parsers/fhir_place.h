/*
 * fhir_place - record.fhir_field of the parser "fhir": what stands at a place of the message. Pure. Thread: owner of the arena.
 */
#ifndef LABRELAY_FHIR_PLACE_H
#define LABRELAY_FHIR_PLACE_H
#include "record.h"

/* source: the root of the tree (struct fhir_node). */
struct span fhir_place_get(void *source, const struct record *r, const struct rec_observation *obs, const struct rec_fhir_path *path, unsigned *budget);
#endif
