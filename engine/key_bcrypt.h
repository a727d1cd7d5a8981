/* The password hash that encrypts OpenSSH's private keys. */
#ifndef KEY_BCRYPT_H
#define KEY_BCRYPT_H

#include "kb.h"

/* bcrypt_pbkdf: fill key, of key_len bytes, from password and salt. It takes
** about 10 ms for each round and 32 bytes of key; rounds is 16 by default.
** Returns 0, KB_EINVAL (nothing of some argument) or KB_ENOMEM. */
int key_bcrypt(const char *password, size_t password_len,
               const unsigned char *salt, size_t salt_len, unsigned rounds,
               unsigned char *key, size_t key_len);

#endif
