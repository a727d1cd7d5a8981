#include "ssh_queue.h"

#include <stdlib.h>
#include <string.h>

char *ssh_queue_room(struct ssh_queue *q, size_t n) {
  if (q->skipped + q->len + n <= q->room)
    return q->data + q->len;
  if (q->data != NULL && q->skipped > 0) {
    char *base = q->data - q->skipped;
    memmove(base, q->data, q->len);
    q->data = base;
    q->skipped = 0;
  }
  if (q->len + n > q->room) {
    size_t room = q->room * 2 > q->len + n ? q->room * 2 : q->len + n;
    char *base = realloc(q->data, room);
    if (base == NULL)
      return NULL;
    q->data = base;
    q->room = room;
  }
  return q->data + q->len;
}

void ssh_queue_grew(struct ssh_queue *q, size_t n) {
  KB_MUST(q->skipped + q->len + n <= q->room);
  q->len += n;
}

int ssh_queue_put(struct ssh_queue *q, const void *data, size_t n) {
  if (n == 0)
    return 0;
  char *room = ssh_queue_room(q, n);
  if (room == NULL)
    return KB_ENOMEM;
  memcpy(room, data, n);
  q->len += n;
  return 0;
}

void ssh_queue_drop(struct ssh_queue *q, size_t n) {
  KB_MUST(n <= q->len);
  q->data += n;
  q->skipped += n;
  q->len -= n;
  if (q->len == 0)
    ssh_queue_clear(q);
}

void ssh_queue_clear(struct ssh_queue *q) {
  if (q->data != NULL)
    free(q->data - q->skipped);
  *q = (struct ssh_queue){NULL, 0, 0, 0};
}
