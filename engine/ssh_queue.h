/* Queues of bytes, which take no memory while they are empty. */
#ifndef SSH_QUEUE_H
#define SSH_QUEUE_H

#include "kb.h"

/* Zero-initialised it is empty; data and len are for reading only. */
struct ssh_queue {
  char *data; /* the first byte; NULL when nothing is allocated */
  size_t len;
  size_t skipped, room; /* before data, and from its start of allocation */
};

/* Room for at least n bytes behind the last one, to be filled and then claimed
** with ssh_queue_grew; NULL when there is no memory. */
char *ssh_queue_room(struct ssh_queue *q, size_t n);

/* Say that n bytes of the room are now in the queue. */
void ssh_queue_grew(struct ssh_queue *q, size_t n);

/* Append a copy. Returns 0 or KB_ENOMEM. */
int ssh_queue_put(struct ssh_queue *q, const void *data, size_t n);

/* Drop the first n bytes, which must be there. */
void ssh_queue_drop(struct ssh_queue *q, size_t n);

/* Drop everything, and the memory. */
void ssh_queue_clear(struct ssh_queue *q);

#endif
