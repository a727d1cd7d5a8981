/* kb.core.crypto: digests, HMAC, base64 and random bytes, on OpenSSL. */
#include "bind.h"
#include "libs.h"
#include "task.h"
#include "work.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HASH "kb.hash"

struct hash {
  EVP_MD_CTX *ctx; /* NULL when it has ended */
};

static const EVP_MD *check_md(lua_State *L, int idx) {
  const char *name = luaL_checkstring(L, idx);
  const EVP_MD *md = EVP_get_digestbyname(name);
  if (md == NULL)
    luaL_error(L, "no digest '%s' (known: md5, sha1, sha256, sha512, ...)",
               name);
  return md;
}

/* Push the bytes, as they are or in hexadecimal. */
static void push_digest(lua_State *L, const unsigned char *raw, size_t len,
                        bool binary) {
  static const char digits[] = "0123456789abcdef";
  char hex[2 * EVP_MAX_MD_SIZE];
  if (binary) {
    lua_pushlstring(L, (const char *)raw, len);
    return;
  }
  for (size_t i = 0; i < len; i++) {
    hex[2 * i] = digits[raw[i] >> 4];
    hex[2 * i + 1] = digits[raw[i] & 15];
  }
  lua_pushlstring(L, hex, 2 * len);
}

/*** The digest of a string.
** @param algorithm string: "sha256", "sha512", "sha1", "md5", ...
** @param data string
** @param binary boolean: bytes and not hexadecimal
** @return string */
static int crypto_digest(lua_State *L) {
  unsigned char raw[EVP_MAX_MD_SIZE];
  unsigned int n = 0;
  size_t len;
  const EVP_MD *md = check_md(L, 1);
  const char *data = luaL_checklstring(L, 2, &len);
  if (EVP_Digest(data, len, raw, &n, md, NULL) != 1)
    return luaL_error(L, "digest failed");
  push_digest(L, raw, n, lua_toboolean(L, 3));
  return 1;
}

/*** The keyed digest (HMAC) of a string.
** @param algorithm string: as for digest
** @param key string
** @param data string
** @param binary boolean: bytes and not hexadecimal
** @return string */
static int crypto_hmac(lua_State *L) {
  unsigned char raw[EVP_MAX_MD_SIZE];
  unsigned int n = 0;
  size_t key_len, len;
  const EVP_MD *md = check_md(L, 1);
  const char *key = luaL_checklstring(L, 2, &key_len);
  const char *data = luaL_checklstring(L, 3, &len);
  luaL_argcheck(L, key_len <= INT_MAX, 2, "too long");
  if (HMAC(md, key, (int)key_len, (const unsigned char *)data, len, raw, &n) ==
      NULL)
    return luaL_error(L, "hmac failed");
  push_digest(L, raw, n, lua_toboolean(L, 4));
  return 1;
}

/*** Base64, without line breaks.
** @param data string
** @return string */
static int crypto_base64_encode(lua_State *L) {
  size_t len;
  const char *data = luaL_checklstring(L, 1, &len);
  luaL_argcheck(L, len < INT_MAX / 2, 1, "too long");
  luaL_Buffer b;
  char *out = luaL_buffinitsize(L, &b, (len + 2) / 3 * 4 + 1);
  int n = EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)data,
                          (int)len);
  luaL_pushresultsize(&b, (size_t)n);
  return 1;
}

static int base64_value(char c) {
  if (c >= 'A' && c <= 'Z')
    return c - 'A';
  if (c >= 'a' && c <= 'z')
    return c - 'a' + 26;
  if (c >= '0' && c <= '9')
    return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Decode text to out, which has room for 3/4 of it; the length, or -1. */
static ssize_t base64_decode(const char *text, size_t len, char *out) {
  uint32_t bits = 0;
  unsigned have = 0, pad = 0, digits = 0;
  size_t n = 0;
  for (size_t i = 0; i < len; i++) {
    if (is_space(text[i]))
      continue;
    if (text[i] == '=') {
      pad++;
      continue;
    }
    int v = base64_value(text[i]);
    if (v < 0 || pad > 0)
      return -1;
    digits++;
    bits = (bits << 6 | (uint32_t)v) & 0xffffff;
    have += 6;
    if (have >= 8) {
      have -= 8;
      out[n++] = (char)(unsigned char)(bits >> have);
    }
  }
  bool whole = digits % 4 != 1 && (pad == 0 || (digits + pad) % 4 == 0);
  return whole && pad <= 2 ? (ssize_t)n : -1;
}

/*** Decode base64; white space is skipped, the padding may be missing.
** @param text string
** @return string; or nil, message, "EINVAL" */
static int crypto_base64_decode(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  luaL_Buffer b;
  char *out = luaL_buffinitsize(L, &b, len / 4 * 3 + 3);
  ssize_t n = base64_decode(text, len, out);
  luaL_pushresultsize(&b, n < 0 ? 0 : (size_t)n);
  return n < 0 ? bind_fail(L, KB_EINVAL, "this is not base64") : 1;
}

/*** Random bytes that nobody can foretell.
** @param n integer: how many
** @return string */
static int crypto_random(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  luaL_argcheck(L, n >= 0 && n <= 1 << 20, 1, "must be 0 to 1 MiB");
  luaL_Buffer b;
  char *out = luaL_buffinitsize(L, &b, (size_t)n);
  if (n > 0 && RAND_bytes((unsigned char *)out, (int)n) != 1)
    return luaL_error(L, "no random bytes");
  luaL_pushresultsize(&b, (size_t)n);
  return 1;
}

/*** Whether two strings are equal, in a time that does not tell where they
** differ.
** @param a string
** @param b string
** @return boolean */
static int crypto_equal(lua_State *L) {
  size_t a_len, b_len;
  const char *a = luaL_checklstring(L, 1, &a_len);
  const char *b = luaL_checklstring(L, 2, &b_len);
  lua_pushboolean(L, a_len == b_len && CRYPTO_memcmp(a, b, a_len) == 0);
  return 1;
}

/*** Start a digest of data that comes in pieces.
** @param algorithm string: as for digest
** @return hash: with update and final */
static int crypto_hash(lua_State *L) {
  const EVP_MD *md = check_md(L, 1);
  struct hash *h = bind_new(L, HASH, sizeof *h, 0);
  h->ctx = EVP_MD_CTX_new();
  if (h->ctx == NULL || EVP_DigestInit_ex(h->ctx, md, NULL) != 1)
    return luaL_error(L, "not enough memory for a digest");
  return 1;
}

static struct hash *check_hash(lua_State *L) {
  struct hash *h = luaL_checkudata(L, 1, HASH);
  luaL_argcheck(L, h->ctx != NULL, 1, "the hash has ended");
  return h;
}

/*** Add a piece.
** @param data string
** @return the hash */
static int hash_update(lua_State *L) {
  size_t len;
  struct hash *h = check_hash(L);
  const char *data = luaL_checklstring(L, 2, &len);
  KB_MUST(EVP_DigestUpdate(h->ctx, data, len) == 1);
  lua_settop(L, 1);
  return 1;
}

static int hash_gc(lua_State *L) {
  struct hash *h = luaL_checkudata(L, 1, HASH);
  EVP_MD_CTX_free(h->ctx);
  h->ctx = NULL;
  return 0;
}

/*** The digest of all pieces; the hash ends with it.
** @param binary boolean: bytes and not hexadecimal
** @return string */
static int hash_final(lua_State *L) {
  unsigned char raw[EVP_MAX_MD_SIZE];
  unsigned int n = 0;
  struct hash *h = check_hash(L);
  KB_MUST(EVP_DigestFinal_ex(h->ctx, raw, &n) == 1);
  hash_gc(L);
  push_digest(L, raw, n, lua_toboolean(L, 2));
  return 1;
}

/* Files */

struct digesting {
  const EVP_MD *md;
  int error;
  unsigned char raw[EVP_MAX_MD_SIZE];
  unsigned int len;
  int64_t size;
  char path[];
};

static int hash_pieces(struct digesting *d, int fd, EVP_MD_CTX *ctx, void *room,
                       size_t len) {
  ssize_t n;
  while ((n = read(fd, room, len)) != 0) {
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return errno;
    KB_MUST(EVP_DigestUpdate(ctx, room, (size_t)n) == 1);
    d->size += n;
  }
  KB_MUST(EVP_DigestFinal_ex(ctx, d->raw, &d->len) == 1);
  return 0;
}

static void hash_file(void *data) {
  enum { PIECE = 1 << 20 };
  struct digesting *d = data;
  d->error = ENOMEM;
  int fd = -1;
  void *room = malloc(PIECE);
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  if (room == NULL || ctx == NULL || EVP_DigestInit_ex(ctx, d->md, NULL) != 1)
    goto out;
  fd = open(d->path, O_RDONLY | O_CLOEXEC);
  d->error = fd < 0 ? errno : hash_pieces(d, fd, ctx, room, PIECE);
out:
  if (fd >= 0)
    close(fd);
  EVP_MD_CTX_free(ctx);
  free(room);
}

static int digest_try(lua_State *L) {
  const struct digesting *d = work_data(L, 3);
  if (!work_over(L, 3))
    return work_again(L, 3);
  errno = d->error;
  if (d->error != 0)
    return bind_fail(L, KB_ESYSTEM, "%s", d->path);
  push_digest(L, d->raw, d->len, false);
  lua_pushinteger(L, d->size);
  return 2;
}

/*** The digest of a file; others go on meanwhile.
** @param algorithm string: as for digest
** @param path string
** @return string in hexadecimal, integer: its size; or nil, message, code */
static int crypto_digest_file(lua_State *L) {
  const EVP_MD *md = check_md(L, 1);
  const char *path = luaL_checkstring(L, 2);
  lua_settop(L, 2);
  struct digesting *d =
      work_new(L, sizeof *d + strlen(path) + 1, hash_file, NULL);
  if (d == NULL)
    return bind_fail(L, KB_ESYSTEM, "hashing %s", path);
  d->md = md;
  strcpy(d->path, path);
  if (work_start(L, 3) < 0)
    return bind_fail(L, KB_ESYSTEM, "hashing %s", path);
  return task_await(L, digest_try);
}

static const luaL_Reg functions[] = {{"base64_decode", crypto_base64_decode},
                                     {"base64_encode", crypto_base64_encode},
                                     {"digest", crypto_digest},
                                     {"digest_file", crypto_digest_file},
                                     {"equal", crypto_equal},
                                     {"hash", crypto_hash},
                                     {"hmac", crypto_hmac},
                                     {"random", crypto_random},
                                     {NULL, NULL}};
static const luaL_Reg methods[] = {
    {"final", hash_final}, {"update", hash_update}, {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", hash_gc}, {NULL, NULL}};

int luaopen_kb_crypto(lua_State *L) {
  bind_class(L, HASH, methods, meta);
  luaL_newlib(L, functions);
  return 1;
}
