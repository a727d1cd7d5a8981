/* kb.core.crypto: digests, HMAC, base64 and random bytes, on OpenSSL. */
#include "bind.h"
#include "libs.h"
#include "task.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define HASH    "kb.hash"
#define HASHING "kb.hashing"

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

/* Files: hashing a large one takes long, so it has a thread of its own. The job
** is shared by the thread and the task; the last one to let go frees it. */

struct job {
  atomic_int holders;
  int done; /* an eventfd */
  int error;
  const EVP_MD *md;
  unsigned char raw[EVP_MAX_MD_SIZE];
  unsigned int len;
  int64_t size;
  char path[];
};

struct hashing {
  struct loop *loop;
  struct job *job; /* NULL when closed */
  struct loop_io io;
  bool over;
  struct waiters waiters;
};

static void let_go(struct job *job) {
  if (job == NULL || atomic_fetch_sub(&job->holders, 1) > 1)
    return;
  if (job->done >= 0)
    close(job->done);
  free(job);
}

static int hash_pieces(struct job *job, int fd, EVP_MD_CTX *ctx, void *room,
                       size_t len) {
  ssize_t n;
  while ((n = read(fd, room, len)) != 0) {
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return errno;
    KB_MUST(EVP_DigestUpdate(ctx, room, (size_t)n) == 1);
    job->size += n;
  }
  KB_MUST(EVP_DigestFinal_ex(ctx, job->raw, &job->len) == 1);
  return 0;
}

static int hash_file(struct job *job) {
  enum { PIECE = 1 << 20 };
  int error = ENOMEM, fd = -1;
  void *room = malloc(PIECE);
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  if (room == NULL || ctx == NULL || EVP_DigestInit_ex(ctx, job->md, NULL) != 1)
    goto out;
  fd = open(job->path, O_RDONLY | O_CLOEXEC);
  error = fd < 0 ? errno : hash_pieces(job, fd, ctx, room, PIECE);
out:
  if (fd >= 0)
    close(fd);
  EVP_MD_CTX_free(ctx);
  free(room);
  return error;
}

static void *work(void *arg) {
  struct job *job = arg;
  const uint64_t one = 1;
  job->error = hash_file(job);
  ssize_t n = write(job->done, &one, sizeof one);
  KB_MUST(n == (ssize_t)sizeof one);
  let_go(job);
  return NULL;
}

static int start_work(struct job *job) {
  pthread_t thread;
  pthread_attr_t attr;
  job->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (job->done < 0)
    return KB_ESYSTEM;
  atomic_fetch_add(&job->holders, 1);
  pthread_attr_init(&attr);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  int err = pthread_create(&thread, &attr, work, job);
  pthread_attr_destroy(&attr);
  if (err == 0)
    return 0;
  atomic_fetch_sub(&job->holders, 1);
  errno = err;
  return KB_ESYSTEM;
}

static void hashed(struct loop_io *io, uint32_t events) {
  struct hashing *h = KB_OWNER(io, struct hashing, io);
  (void)events;
  loop_unwatch(h->loop, io);
  h->over = true;
  task_wake_all(&h->waiters);
}

static int hashing_gc(lua_State *L) {
  struct hashing *h = luaL_checkudata(L, 1, HASHING);
  struct job *job = h->job;
  if (job == NULL)
    return 0;
  loop_unwatch(h->loop, &h->io);
  if (h->over) { /* the thread will not write again */
    close(job->done);
    job->done = -1;
  }
  let_go(job);
  h->job = NULL;
  return 0;
}

static int hashing_try(lua_State *L) {
  struct hashing *h = luaL_checkudata(L, 3, HASHING);
  if (!h->over)
    return task_again(L, &h->waiters);
  if (h->job->error != 0) {
    errno = h->job->error;
    return bind_fail(L, KB_ESYSTEM, "%s", h->job->path);
  }
  push_digest(L, h->job->raw, h->job->len, false);
  lua_pushinteger(L, h->job->size);
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
  struct hashing *h = bind_new(L, HASHING, sizeof *h, 0);
  lua_toclose(L, 3);
  h->loop = task_loop(L);
  struct job *job = h->job = calloc(1, sizeof *job + strlen(path) + 1);
  if (job == NULL)
    return bind_fail(L, KB_ENOMEM, "not enough memory to hash %s", path);
  atomic_init(&job->holders, 1);
  job->done = -1;
  job->md = md;
  strcpy(job->path, path);
  if (start_work(job) < 0)
    return bind_fail(L, KB_ESYSTEM, "hashing %s", path);
  h->io = (struct loop_io){.fd = job->done, .ready = hashed};
  if (loop_watch(h->loop, &h->io, EPOLLIN) < 0)
    return bind_fail(L, KB_ESYSTEM, "hashing %s", path);
  return task_await(L, hashing_try);
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
static const luaL_Reg no_methods[] = {{NULL, NULL}};
static const luaL_Reg hashing_meta[] = {{"__gc", hashing_gc}, {NULL, NULL}};

int luaopen_kb_crypto(lua_State *L) {
  bind_class(L, HASH, methods, meta);
  bind_class(L, HASHING, no_methods, hashing_meta);
  luaL_newlib(L, functions);
  return 1;
}
