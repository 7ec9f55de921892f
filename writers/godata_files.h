/*
 * godata_files - attachments of a report as Go.Data attachments (`attachments upload VARIABLE`; GODATA-API 5).
 *
 * Each file has an id that follows from its content and its report, so that the upload may be repeated: before the lab result is written, each
 * is looked for and sent when it is not there. GODATA_FILES_MAX files of GODATA_FILE_MAX bytes each; what is beyond stays in the engine.
 */
#ifndef LABRELAY_GODATA_FILES_H
#define LABRELAY_GODATA_FILES_H
#include "godata_work.h"

#define GODATA_FILES_MAX 8
#define GODATA_FILE_MAX ((size_t)16 << 20)

/* Pure: adds the answer that names the files of the record to `lab`, whose answers then live in a. True when there is one. */
bool godata_files_build(const struct godata_options *o, const struct record *r, struct lab_result *lab, struct arena *a);
/* Courier: all files that the body names are in Go.Data when it returns true; else the task has its verdict. Asked again it does nothing. */
bool godata_files_put(struct task *t, struct http_client *http);
#endif
