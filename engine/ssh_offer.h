/* Offering a key by an algorithm that is not named like it. */
#ifndef SSH_OFFER_H
#define SSH_OFFER_H

#include "ssh.h"

/* libssh2 takes the algorithm's name from the front of the key, and sends both;
** but an RSA key is named "ssh-rsa", which as an algorithm means SHA-1. So it
** is given place, which has the name in front until libssh2 has read that and
** asks for the memory of its packet, and from then on has the key, of len
** bytes as place. Both must stay until ssh_offer_end, which comes after
** libssh2's call. Returns 0, or KB_EINVAL when the key is shorter than the
** name. */
int ssh_offer(struct ssh *s, char *place, const char *algorithm,
              const char *key, size_t len);
void ssh_offer_end(struct ssh *s);

#endif
