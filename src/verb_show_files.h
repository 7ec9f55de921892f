/*
 * verb_show_files - the documents (PDF reports …) inside a stored message, for `labrelay show`. Thread: main.
 */
#ifndef LABRELAY_VERB_SHOW_FILES_H
#define LABRELAY_VERB_SHOW_FILES_H
#include "cli.h"
#include "store.h"

/* Appends a line, or with is_json a key "attachments", for each document. Nothing when the original is gone or holds none. */
void show_attachments(const struct config *conf, struct store_reader *r, const struct store_message_row *m, bool is_json, struct buf *b);
/* --attachment N [--out FILE]: the bytes, appended to b or written to the file. An exit status. */
int  show_attachment(const struct cli *c, const struct config *conf, struct store_reader *r, const struct store_message_row *m, struct buf *b);
#endif
