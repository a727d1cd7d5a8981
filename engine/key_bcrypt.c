/* bcrypt_pbkdf, after its description by T. Unangst, on Blowfish after that of
** B. Schneier. Blowfish's tables are the binary digits of pi behind the point,
** which are computed when they are first needed. */
#include "key_bcrypt.h"

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

enum { SUBKEYS = 18, BOX = 256, WORDS = SUBKEYS + 4 * BOX, HASH = 32 };

/* The subkeys and the four boxes, in the order in which they are set up. */
struct blowfish {
  uint32_t p[SUBKEYS];
  uint32_t s[4][BOX];
};

/* Pi */

/* Add sign * factor * arctan(1/x) * 2^bits to sum. Returns false without
** memory. */
static bool add_arctan(BIGNUM *sum, BN_ULONG factor, BN_ULONG x, int bits,
                       bool negative) {
  BIGNUM *power = BN_new(), *term = BN_new();
  bool ok = power != NULL && term != NULL && BN_set_word(power, factor) &&
            BN_lshift(power, power, bits);
  if (ok)
    BN_div_word(power, x);
  for (BN_ULONG n = 1; ok && !BN_is_zero(power); n += 2) {
    ok = BN_copy(term, power) != NULL;
    BN_div_word(term, n);
    ok = ok && (negative ? BN_sub(sum, sum, term) : BN_add(sum, sum, term));
    negative = !negative;
    BN_div_word(power, x * x);
  }
  BN_free(power);
  BN_free(term);
  return ok;
}

/* Machin: pi = 16 arctan(1/5) - 4 arctan(1/239). */
static int compute_pi(struct blowfish *to) {
  enum { GUARD = 64, BYTES = WORDS * 4 };
  static unsigned char digits[BYTES];
  uint32_t words[WORDS];
  int rc = KB_ENOMEM;
  BIGNUM *pi = BN_new();
  if (pi == NULL || !add_arctan(pi, 16, 5, BYTES * 8 + GUARD, false) ||
      !add_arctan(pi, 4, 239, BYTES * 8 + GUARD, true) ||
      !BN_rshift(pi, pi, GUARD) || !BN_mask_bits(pi, BYTES * 8) ||
      BN_bn2binpad(pi, digits, BYTES) != BYTES)
    goto out;
  for (size_t i = 0; i < WORDS; i++)
    words[i] = (uint32_t)digits[4 * i] << 24 |
               (uint32_t)digits[4 * i + 1] << 16 |
               (uint32_t)digits[4 * i + 2] << 8 | digits[4 * i + 3];
  memcpy(to->p, words, sizeof to->p);
  memcpy(to->s, words + SUBKEYS, sizeof to->s);
  rc = 0;
out:
  BN_free(pi);
  return rc;
}

/* Blowfish */

static uint32_t mix(const struct blowfish *b, uint32_t x) {
  return ((b->s[0][x >> 24] + b->s[1][x >> 16 & 255]) ^ b->s[2][x >> 8 & 255]) +
         b->s[3][x & 255];
}

static void encipher(const struct blowfish *b, uint32_t *left,
                     uint32_t *right) {
  uint32_t l = *left ^ b->p[0], r = *right;
  for (int i = 1; i < 17; i += 2) {
    r ^= mix(b, l) ^ b->p[i];
    l ^= mix(b, r) ^ b->p[i + 1];
  }
  *left = r ^ b->p[17];
  *right = l;
}

/* The next word of data, of 64 bytes, read again and again. */
static uint32_t next_word(const unsigned char *data, size_t *at) {
  uint32_t word = 0;
  for (int i = 0; i < 4; i++)
    word = word << 8 | data[(*at)++ % SHA512_DIGEST_LENGTH];
  return word;
}

/* Stir key, and salt if it is there, into the state. */
static void expand(struct blowfish *b, const unsigned char *salt,
                   const unsigned char *key) {
  size_t at = 0;
  uint32_t l = 0, r = 0;
  for (int i = 0; i < SUBKEYS; i++)
    b->p[i] ^= next_word(key, &at);
  at = 0;
  for (int i = 0; i < WORDS; i += 2) {
    uint32_t *to = i < SUBKEYS
                       ? &b->p[i]
                       : &b->s[(i - SUBKEYS) / BOX][(i - SUBKEYS) % BOX];
    if (salt != NULL) {
      l ^= next_word(salt, &at);
      r ^= next_word(salt, &at);
    }
    encipher(b, &l, &r);
    to[0] = l;
    to[1] = r;
  }
}

/* bcrypt */

static void hash(const struct blowfish *pi, const unsigned char *password,
                 const unsigned char *salt, unsigned char *out) {
  static const char magic[HASH + 1] = "OxychromaticBlowfishSwatDynamite";
  struct blowfish b = *pi;
  uint32_t words[HASH / 4];
  size_t at = 0;
  expand(&b, salt, password);
  for (int i = 0; i < 64; i++) {
    expand(&b, NULL, salt);
    expand(&b, NULL, password);
  }
  for (size_t i = 0; i < KB_COUNT(words); i++)
    words[i] = next_word((const unsigned char *)magic, &at);
  for (int i = 0; i < 64; i++)
    for (size_t j = 0; j < KB_COUNT(words); j += 2)
      encipher(&b, &words[j], &words[j + 1]);
  for (size_t i = 0; i < HASH; i++)
    out[i] = (unsigned char)(words[i / 4] >> 8 * (i % 4));
  OPENSSL_cleanse(&b, sizeof b);
  OPENSSL_cleanse(words, sizeof words);
}

/* The count-th block of key material. */
static void block(const struct blowfish *pi, const unsigned char *password,
                  unsigned char *salt, size_t salt_len, uint32_t count,
                  unsigned rounds, unsigned char *out) {
  unsigned char digest[SHA512_DIGEST_LENGTH], once[HASH];
  for (size_t i = 0; i < 4; i++)
    salt[salt_len + i] = (unsigned char)(count >> (24 - 8 * i));
  SHA512(salt, salt_len + 4, digest);
  hash(pi, password, digest, once);
  memcpy(out, once, HASH);
  for (unsigned round = 1; round < rounds; round++) {
    SHA512(once, HASH, digest);
    hash(pi, password, digest, once);
    for (size_t i = 0; i < HASH; i++)
      out[i] ^= once[i];
  }
  OPENSSL_cleanse(once, sizeof once);
}

int key_bcrypt(const char *password, size_t password_len,
               const unsigned char *salt, size_t salt_len, unsigned rounds,
               unsigned char *key, size_t key_len) {
  static struct blowfish pi;
  unsigned char digest[SHA512_DIGEST_LENGTH], out[HASH];
  if (password_len == 0 || salt_len == 0 || salt_len > 1 << 20 || rounds == 0 ||
      key_len == 0 || key_len > HASH * HASH)
    return KB_EINVAL;
  unsigned char *counted = malloc(salt_len + 4);
  if (counted == NULL || (pi.p[0] == 0 && compute_pi(&pi) < 0)) {
    free(counted);
    return KB_ENOMEM;
  }
  memcpy(counted, salt, salt_len);
  SHA512((const unsigned char *)password, password_len, digest);
  /* The bytes of a block are spread over the key, not put side by side. */
  size_t stride = (key_len + HASH - 1) / HASH;
  for (size_t count = 0; count < stride; count++) {
    block(&pi, digest, counted, salt_len, (uint32_t)count + 1, rounds, out);
    for (size_t i = 0; i * stride + count < key_len && i < HASH; i++)
      key[i * stride + count] = out[i];
  }
  free(counted);
  OPENSSL_cleanse(digest, sizeof digest);
  OPENSSL_cleanse(out, sizeof out);
  return 0;
}
