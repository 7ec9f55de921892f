/*
 * view - how deliveries and messages are shown to people and to scripts: one place for queue, held, show.
 * These go to the terminal of somebody who may see patient data (the store is 0600), never to a log.
 */
#ifndef LABRELAY_VIEW_H
#define LABRELAY_VIEW_H
#include "buf.h"
#include "delivery.h"
#include "store.h"

void view_delivery_line(const struct delivery *d, struct buf *b);       /* one line */
void view_delivery_text(const struct delivery *d, struct buf *b);       /* with reason, person, body */
void view_delivery_json_line(const struct delivery *d, struct buf *b);  /* without body and detail: no patient data */
void view_delivery_json(const struct delivery *d, struct buf *b);
void view_message_text(const struct store_message_row *m, struct buf *b);
void view_message_json(const struct store_message_row *m, struct buf *b);   /* an object without the closing brace: the caller adds */
#endif
