/* What libssh2 allocates, in a list for each session, so that the session can
** free at its end what libssh2 has lost: 1.10 loses a host key per rekeying. */
#include "ssh_inner.h"
#include "ssh_offer.h"

#include <arpa/inet.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

struct block {
  alignas(16) struct block *previous;
  struct block *next;
};

static void link_in(struct ssh *s, struct block *b) {
  b->previous = NULL;
  b->next = s->memory;
  if (s->memory != NULL)
    s->memory->previous = b;
  s->memory = b;
}

static void take_out(struct ssh *s, struct block *b) {
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

void *ssh_alloc(size_t size, void **abstract) {
  complete_offer(&((struct ssh *)*abstract)->offer, size);
  struct block *b = malloc(sizeof *b + size);
  if (b == NULL)
    return NULL;
  link_in(*abstract, b);
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
  take_out(*abstract, old);
  struct block *b = realloc(old, sizeof *b + size);
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
