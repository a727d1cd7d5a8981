/* What libssh2 allocates, in a list for each session, so that the session can
** free at its end what libssh2 has lost: 1.10 loses a host key per rekeying.
** It is counted, because libssh2 keeps whatever a server sends that it does not
** understand; and zeroed, because libssh2 takes for text what a server has only
** announced. */
#include "ssh_inner.h"
#include "ssh_offer.h"

#include <arpa/inet.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

struct block {
  alignas(16) struct block *previous;
  struct block *next;
  size_t size;
};

/* What a session may hold: so much, and for each channel what a server may send
** before it is read (see WINDOW), with eight times that for libssh2's own
** keeping of many small pieces. */
enum { HELD_MAX = 64 << 20, HELD_BY_CHANNEL = 32 << 20 };

static void link_in(struct ssh *s, struct block *b) {
  s->held += b->size;
  b->previous = NULL;
  b->next = s->memory;
  if (s->memory != NULL)
    s->memory->previous = b;
  s->memory = b;
}

static void take_out(struct ssh *s, struct block *b) {
  s->held -= b->size;
  if (b->previous != NULL)
    b->previous->next = b->next;
  else
    s->memory = b->next;
  if (b->next != NULL)
    b->next->previous = b->previous;
}

int ssh_offer(struct ssh *s, char *place, const char *algorithm,
              const char *key, size_t len) {
  uint32_t n = (uint32_t)strlen(algorithm), wire = htonl(n);
  if (len < sizeof wire + n)
    return KB_EINVAL;
  memset(place, 0, len);
  memcpy(place, &wire, sizeof wire);
  memcpy(place + sizeof wire, algorithm, n);
  s->offer = (struct ssh_offer){place, key, len};
  return 0;
}

void ssh_offer_end(struct ssh *s) {
  s->offer.place = NULL;
}

/* The name has been read, and its copy is shorter than a key: memory for more
** than the key is for the packet, into which the key is copied next. */
static void complete_offer(struct ssh_offer *offer, size_t size) {
  if (offer->place == NULL || size <= offer->len)
    return;
  memcpy(offer->place, offer->key, offer->len);
  offer->place = NULL;
}

static bool is_too_much(struct ssh *s, size_t size) {
  size_t may = HELD_MAX;
  if (size <= may && s->held <= may - size)
    return false;
  for (const struct ssh_channel *ch = s->channels; ch != NULL; ch = ch->next)
    may += HELD_BY_CHANNEL;
  s->greedy = size > may || s->held > may - size;
  return s->greedy;
}

void *ssh_alloc(size_t size, void **abstract) {
  struct ssh *s = *abstract;
  complete_offer(&s->offer, size);
  if (is_too_much(s, size))
    return NULL;
  struct block *b = calloc(1, sizeof *b + size);
  if (b == NULL)
    return NULL;
  b->size = size;
  link_in(s, b);
  return b + 1;
}

void ssh_dealloc(void *ptr, void **abstract) {
  if (ptr == NULL)
    return;
  struct block *b = (struct block *)ptr - 1;
  take_out(*abstract, b);
  free(b);
}

void *ssh_realloc(void *ptr, size_t size, void **abstract) {
  if (ptr == NULL)
    return ssh_alloc(size, abstract);
  struct block *old = (struct block *)ptr - 1;
  if (size > old->size && is_too_much(*abstract, size - old->size))
    return NULL;
  take_out(*abstract, old);
  struct block *b = realloc(old, sizeof *b + size);
  if (b != NULL)
    b->size = size;
  link_in(*abstract, b != NULL ? b : old);
  return b != NULL ? b + 1 : NULL;
}

void ssh_free_memory(struct ssh *s) {
  for (struct block *b = s->memory, *next; b != NULL; b = next) {
    next = b->next;
    free(b);
  }
  s->memory = NULL;
}
