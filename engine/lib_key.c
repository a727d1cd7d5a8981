/* kb.core.key: private keys for authentication by SSH, on OpenSSL. */
#include "bind.h"
#include "key_bcrypt.h"
#include "libs.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#define KEY "kb.key"

/* Of the wire form: a length of 4 bytes, then as many. */
struct view {
  const unsigned char *data;
  size_t len;
};

struct key {
  EVP_PKEY *pkey; /* NULL until it has been read */
};

static const struct curve {
  const char *type, *wire, *openssl;
  size_t bytes;
} curves[] = {
    {"ecdsa-sha2-nistp256", "nistp256", "prime256v1", 32},
    {"ecdsa-sha2-nistp384", "nistp384", "secp384r1", 48},
    {"ecdsa-sha2-nistp521", "nistp521", "secp521r1", 66},
};

/* Reading the wire form: false when it is too short */

static bool take(struct view *from, size_t n, struct view *out) {
  if (n > from->len)
    return false;
  *out = (struct view){from->data, n};
  from->data += n;
  from->len -= n;
  return true;
}

static bool take_u32(struct view *from, uint32_t *out) {
  struct view v;
  if (!take(from, 4, &v))
    return false;
  *out = (uint32_t)v.data[0] << 24 | (uint32_t)v.data[1] << 16 |
         (uint32_t)v.data[2] << 8 | v.data[3];
  return true;
}

static bool take_string(struct view *from, struct view *out) {
  uint32_t n;
  return take_u32(from, &n) && take(from, n, out);
}

static bool same(struct view v, const char *text) {
  return v.len == strlen(text) && memcmp(v.data, text, v.len) == 0;
}

static BIGNUM *take_number(struct view *from) {
  struct view v;
  if (!take_string(from, &v) || v.len > 4096)
    return NULL;
  return BN_bin2bn(v.data, (int)v.len, NULL);
}

/* Writing it */

static void add_u32(luaL_Buffer *b, size_t n) {
  for (int shift = 24; shift >= 0; shift -= 8)
    luaL_addchar(b, (char)(unsigned char)(n >> shift));
}

static void add_string(luaL_Buffer *b, const void *data, size_t len) {
  add_u32(b, len);
  luaL_addlstring(b, data, len);
}

static void add_number(luaL_Buffer *b, const BIGNUM *n) {
  size_t len = (size_t)BN_num_bytes(n);
  bool high = len > 0 && BN_num_bits(n) % 8 == 0; /* it would be negative */
  add_u32(b, len + high);
  if (high)
    luaL_addchar(b, '\0');
  BN_bn2bin(n, (unsigned char *)luaL_prepbuffsize(b, len));
  luaL_addsize(b, len);
}

/* Making keys of numbers */

static EVP_PKEY *from_params(const char *kind, OSSL_PARAM_BLD *builder) {
  EVP_PKEY *pkey = NULL;
  OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
  EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
  if (params != NULL && ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1)
    EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEYPAIR, params);
  EVP_PKEY_CTX_free(ctx);
  OSSL_PARAM_free(params);
  return pkey;
}

static EVP_PKEY *read_ed25519(struct view *v) {
  struct view public, private;
  if (!take_string(v, &public) || !take_string(v, &private) ||
      public.len != 32 || private.len != 64)
    return NULL;
  return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, private.data, 32);
}

static EVP_PKEY *read_ecdsa(struct view *v, const struct curve *curve) {
  struct view name, point;
  EVP_PKEY *pkey = NULL;
  if (!take_string(v, &name) || !take_string(v, &point) ||
      !same(name, curve->wire))
    return NULL;
  BIGNUM *secret = take_number(v);
  OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
  if (secret != NULL && b != NULL &&
      OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME,
                                      curve->openssl, 0) &&
      OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point.data,
                                       point.len) &&
      OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_PRIV_KEY, secret))
    pkey = from_params("EC", b);
  OSSL_PARAM_BLD_free(b);
  BN_clear_free(secret);
  return pkey;
}

/* d mod (prime - 1) */
static BIGNUM *exponent_of(const BIGNUM *d, const BIGNUM *prime) {
  BN_CTX *ctx = BN_CTX_new();
  BIGNUM *less = BN_dup(prime), *out = BN_new();
  if (ctx == NULL || less == NULL || out == NULL || !BN_sub_word(less, 1) ||
      BN_is_zero(less) || !BN_mod(out, d, less, ctx)) {
    BN_clear_free(out);
    out = NULL;
  }
  BN_clear_free(less);
  BN_CTX_free(ctx);
  return out;
}

static EVP_PKEY *read_rsa(struct view *v) {
  static const char *const names[] = {
      OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,
      OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
      OSSL_PKEY_PARAM_RSA_FACTOR1,   OSSL_PKEY_PARAM_RSA_FACTOR2,
      OSSL_PKEY_PARAM_RSA_EXPONENT1, OSSL_PKEY_PARAM_RSA_EXPONENT2};
  BIGNUM *numbers[KB_COUNT(names)] = {NULL}; /* d is 2, the primes 4 and 5 */
  EVP_PKEY *pkey = NULL;
  OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
  bool ok = b != NULL;
  for (int i = 0; ok && i < 6; i++)
    ok = (numbers[i] = take_number(v)) != NULL;
  for (int i = 6; ok && i < 8; i++)
    ok = (numbers[i] = exponent_of(numbers[2], numbers[i - 2])) != NULL;
  for (size_t i = 0; ok && i < KB_COUNT(names); i++)
    ok = OSSL_PARAM_BLD_push_BN(b, names[i], numbers[i]) == 1;
  if (ok)
    pkey = from_params("RSA", b);
  OSSL_PARAM_BLD_free(b);
  for (size_t i = 0; i < KB_COUNT(names); i++)
    BN_clear_free(numbers[i]);
  return pkey;
}

static EVP_PKEY *read_numbers(struct view *v) {
  struct view type;
  if (!take_string(v, &type))
    return NULL;
  if (same(type, "ssh-ed25519"))
    return read_ed25519(v);
  if (same(type, "ssh-rsa"))
    return read_rsa(v);
  for (size_t i = 0; i < KB_COUNT(curves); i++)
    if (same(type, curves[i].type))
      return read_ecdsa(v, &curves[i]);
  return NULL;
}

/* OpenSSH's own format */

static const struct cipher {
  const char *name, *openssl;
  size_t key, iv, tag;
} ciphers[] = {
    {"aes256-ctr", "AES-256-CTR", 32, 16, 0},
    {"aes192-ctr", "AES-192-CTR", 24, 16, 0},
    {"aes128-ctr", "AES-128-CTR", 16, 16, 0},
    {"aes256-cbc", "AES-256-CBC", 32, 16, 0},
    {"aes192-cbc", "AES-192-CBC", 24, 16, 0},
    {"aes128-cbc", "AES-128-CBC", 16, 16, 0},
    {"aes256-gcm@openssh.com", "AES-256-GCM", 32, 12, 16},
    {"aes128-gcm@openssh.com", "AES-128-GCM", 16, 12, 16},
    {"chacha20-poly1305@openssh.com", "ChaCha20", 64, 0, 16},
};

/* The file's parts. */
struct envelope {
  struct view cipher, kdf, options, public, secret, tag;
};

static bool open_envelope(struct view *file, struct envelope *e) {
  static const char magic[] = "openssh-key-v1"; /* with its final NUL */
  struct view start;
  uint32_t count;
  if (!take(file, sizeof magic, &start) ||
      memcmp(start.data, magic, sizeof magic) != 0 ||
      !take_string(file, &e->cipher) || !take_string(file, &e->kdf) ||
      !take_string(file, &e->options) || !take_u32(file, &count) ||
      count != 1 || !take_string(file, &e->public) ||
      !take_string(file, &e->secret))
    return false;
  e->tag = *file;
  return true;
}

static const struct cipher *find_cipher(struct view name) {
  for (size_t i = 0; i < KB_COUNT(ciphers); i++)
    if (same(name, ciphers[i].name))
      return &ciphers[i];
  return NULL;
}

/* ChaCha20 keyed by the first half; Poly1305 keyed by its block 0. */
static bool check_poly1305(const unsigned char *key, struct view data,
                           struct view tag) {
  static const unsigned char zeros[32], counter[16];
  unsigned char once[32], ours[16];
  int n = 0;
  size_t len = 0;
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  bool ok = ctx != NULL &&
            EVP_EncryptInit_ex(ctx, EVP_chacha20(), NULL, key, counter) == 1 &&
            EVP_EncryptUpdate(ctx, once, &n, zeros, sizeof zeros) == 1 &&
            EVP_Q_mac(NULL, "POLY1305", NULL, NULL, NULL, once, sizeof once,
                      data.data, data.len, ours, sizeof ours, &len) != NULL;
  EVP_CIPHER_CTX_free(ctx);
  OPENSSL_cleanse(once, sizeof once);
  return ok && CRYPTO_memcmp(ours, tag.data, sizeof ours) == 0;
}

static bool decrypt(const struct cipher *c, const struct envelope *e,
                    const unsigned char *key, unsigned char *out) {
  static const unsigned char first_block[16] = {1};
  bool chacha = c->iv == 0;
  int n = 0;
  if (e->tag.len != c->tag || e->secret.len > 1 << 20 ||
      (chacha && !check_poly1305(key, e->secret, e->tag)))
    return false;
  EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, c->openssl, NULL);
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  bool ok = cipher != NULL && ctx != NULL &&
            EVP_DecryptInit_ex2(ctx, cipher, key,
                                chacha ? first_block : key + c->key, NULL);
  if (ok && c->tag > 0 && !chacha)
    ok = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)c->tag,
                             (void *)(uintptr_t)e->tag.data) == 1;
  ok = ok && EVP_CIPHER_CTX_set_padding(ctx, 0) &&
       EVP_DecryptUpdate(ctx, out, &n, e->secret.data, (int)e->secret.len) &&
       EVP_DecryptFinal_ex(ctx, out + n, &n);
  EVP_CIPHER_CTX_free(ctx);
  EVP_CIPHER_free(cipher);
  return ok;
}

/* Decrypt to out, which is as long as the secret. 0, KB_EREFUSED for a wrong
** password, or KB_EINVAL. */
static int unseal(const struct envelope *e, const char *password, size_t len,
                  unsigned char *out) {
  struct view options = e->options, salt;
  unsigned char key[64 + 16];
  uint32_t rounds;
  const struct cipher *c = find_cipher(e->cipher);
  if (c == NULL || !same(e->kdf, "bcrypt") || !take_string(&options, &salt) ||
      !take_u32(&options, &rounds) || rounds > 10000)
    return KB_EINVAL;
  int rc = key_bcrypt(password, len, salt.data, salt.len, rounds, key,
                      c->key + c->iv);
  if (rc == 0 && !decrypt(c, e, key, out))
    rc = KB_EREFUSED;
  OPENSSL_cleanse(key, sizeof key);
  return rc;
}

/* The key in the decrypted part, or NULL: its check words differ when the
** password was wrong. */
static EVP_PKEY *read_secret(const unsigned char *data, size_t len, int *rc) {
  struct view v = {data, len};
  uint32_t a, b;
  *rc = KB_EREFUSED;
  if (!take_u32(&v, &a) || !take_u32(&v, &b) || a != b)
    return NULL;
  EVP_PKEY *pkey = read_numbers(&v);
  *rc = pkey != NULL ? 0 : KB_EINVAL;
  return pkey;
}

static int read_openssh(struct view file, const char *password, size_t len,
                        EVP_PKEY **pkey) {
  struct envelope e;
  int rc = 0;
  if (!open_envelope(&file, &e) || e.secret.len == 0)
    return KB_EINVAL;
  bool sealed = !same(e.cipher, "none");
  if (sealed && len == 0)
    return KB_EREFUSED;
  unsigned char *plain = malloc(e.secret.len + 32);
  if (plain == NULL)
    return KB_ENOMEM;
  if (sealed)
    rc = unseal(&e, password, len, plain);
  else
    memcpy(plain, e.secret.data, e.secret.len);
  if (rc == 0)
    *pkey = read_secret(plain, e.secret.len, &rc);
  OPENSSL_cleanse(plain, e.secret.len);
  free(plain);
  return rc;
}

/* PEM: OpenSSH's format in it, or one of OpenSSL's */

struct password {
  const char *text;
  size_t len;
  bool asked;
};

static int give_password(char *buf, int size, int writing, void *arg) {
  struct password *p = arg;
  (void)writing;
  p->asked = true;
  if (p->len == 0 || p->len > (size_t)size)
    return -1;
  memcpy(buf, p->text, p->len);
  return (int)p->len;
}

static int read_pem(const char *text, size_t text_len, struct password *p,
                    EVP_PKEY **pkey) {
  char *name = NULL, *header = NULL;
  unsigned char *data = NULL;
  long len = 0;
  int rc = KB_EINVAL;
  BIO *bio = BIO_new_mem_buf(text, (int)text_len);
  if (bio == NULL || PEM_read_bio(bio, &name, &header, &data, &len) != 1)
    goto out;
  if (strcmp(name, "OPENSSH PRIVATE KEY") == 0) {
    struct view file = {data, (size_t)len};
    rc = read_openssh(file, p->text, p->len, pkey);
  } else if (BIO_reset(bio) >= 0) {
    *pkey = PEM_read_bio_PrivateKey(bio, NULL, give_password, p);
    rc = *pkey != NULL ? 0 : p->asked ? KB_EREFUSED : KB_EINVAL;
  }
out:
  ERR_clear_error();
  OPENSSL_clear_free(data, (size_t)len);
  OPENSSL_free(name);
  OPENSSL_free(header);
  BIO_free(bio);
  return rc;
}

/*** Read a private key: OpenSSH's format or PEM (PKCS#8, PKCS#1, SEC1). It is
** decrypted here, once.
** @param text string: the file's content
** @param passphrase string or nil
** @return key; or nil, message, code: "EREFUSED" when it wants a passphrase, or
** another one */
static int key_parse(lua_State *L) {
  size_t len;
  struct password p = {NULL, 0, false};
  const char *text = luaL_checklstring(L, 1, &len);
  p.text = luaL_optlstring(L, 2, "", &p.len);
  luaL_argcheck(L, len < 1 << 20, 1, "too long for a key");
  struct key *key = bind_new(L, KEY, sizeof *key, 0);
  int rc = read_pem(text, len, &p, &key->pkey);
  if (rc == KB_EREFUSED)
    return bind_fail(L, rc, "%s",
                     p.len == 0 ? "it wants a passphrase"
                                : "the passphrase is wrong");
  if (rc < 0)
    return bind_fail(L, rc, "this is no private key that can be read");
  return 1;
}

/* Keys: methods */

static EVP_PKEY *check(lua_State *L) {
  const struct key *key = luaL_checkudata(L, 1, KEY);
  luaL_argcheck(L, key->pkey != NULL, 1, "the key is closed");
  return key->pkey;
}

static const struct curve *curve_of(const EVP_PKEY *pkey) {
  char name[64];
  if (EVP_PKEY_get_group_name(pkey, name, sizeof name, NULL) == 1)
    for (size_t i = 0; i < KB_COUNT(curves); i++)
      if (strcmp(name, curves[i].openssl) == 0)
        return &curves[i];
  return NULL;
}

static const char *type_of(const EVP_PKEY *pkey) {
  const struct curve *curve;
  switch (EVP_PKEY_get_base_id(pkey)) {
  case EVP_PKEY_ED25519:
    return "ssh-ed25519";
  case EVP_PKEY_RSA:
    return "ssh-rsa";
  case EVP_PKEY_EC:
    curve = curve_of(pkey);
    return curve != NULL ? curve->type : NULL;
  default:
    return NULL;
  }
}

/*** The kind of key: "ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", ...
** @return string, or nil, message, code when SSH knows no such kind */
static int key_type(lua_State *L) {
  const char *type = type_of(check(L));
  if (type == NULL)
    return bind_fail(L, KB_EINVAL, "SSH has no such kind of key");
  lua_pushstring(L, type);
  return 1;
}

static void add_rsa(luaL_Buffer *b, const EVP_PKEY *pkey) {
  BIGNUM *n = NULL, *e = NULL;
  KB_MUST(EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
          EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) == 1);
  add_number(b, e);
  add_number(b, n);
  BN_free(n);
  BN_free(e);
}

/* The point, uncompressed, however the key was stored. */
static void add_point(luaL_Buffer *b, const EVP_PKEY *pkey) {
  const struct curve *curve = curve_of(pkey);
  unsigned char point[1 + 2 * 66] = {4};
  BIGNUM *x = NULL, *y = NULL;
  KB_MUST(EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
          EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1);
  BN_bn2binpad(x, point + 1, (int)curve->bytes);
  BN_bn2binpad(y, point + 1 + curve->bytes, (int)curve->bytes);
  add_string(b, curve->wire, strlen(curve->wire));
  add_string(b, point, 1 + 2 * curve->bytes);
  BN_free(x);
  BN_free(y);
}

/*** The public key in wire form.
** @return string, or nil, message, code when SSH knows no such kind */
static int key_public(lua_State *L) {
  EVP_PKEY *pkey = check(L);
  const char *type = type_of(pkey);
  unsigned char raw[32];
  size_t len = sizeof raw;
  if (type == NULL)
    return bind_fail(L, KB_EINVAL, "SSH has no such kind of key");
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  add_string(&b, type, strlen(type));
  if (strcmp(type, "ssh-rsa") == 0) {
    add_rsa(&b, pkey);
  } else if (strcmp(type, "ssh-ed25519") == 0) {
    KB_MUST(EVP_PKEY_get_raw_public_key(pkey, raw, &len) == 1);
    add_string(&b, raw, len);
  } else {
    add_point(&b, pkey);
  }
  luaL_pushresult(&b);
  return 1;
}

static const EVP_MD *digest_for(const char *algorithm) {
  static const struct {
    const char *algorithm, *digest;
  } digests[] = {
      {"rsa-sha2-256", "sha256"},        {"rsa-sha2-512", "sha512"},
      {"ecdsa-sha2-nistp256", "sha256"}, {"ecdsa-sha2-nistp384", "sha384"},
      {"ecdsa-sha2-nistp521", "sha512"},
  };
  for (size_t i = 0; i < KB_COUNT(digests); i++)
    if (strcmp(digests[i].algorithm, algorithm) == 0)
      return EVP_get_digestbyname(digests[i].digest);
  return NULL;
}

/* SSH wants the two numbers of an ECDSA signature, and not their DER. */
static bool push_numbers(lua_State *L, const unsigned char *der, size_t len) {
  ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
  if (sig == NULL)
    return false;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  add_number(&b, ECDSA_SIG_get0_r(sig));
  add_number(&b, ECDSA_SIG_get0_s(sig));
  luaL_pushresult(&b);
  ECDSA_SIG_free(sig);
  return true;
}

/*** Sign.
** @param data string
** @param algorithm string: "rsa-sha2-256" or "rsa-sha2-512" for RSA; else the
** key's type
** @return string: the signature as SSH's own inside, without its wrapping */
static int key_sign(lua_State *L) {
  EVP_PKEY *pkey = check(L);
  size_t len, n = 0;
  const char *data = luaL_checklstring(L, 2, &len);
  const char *algorithm = luaL_checkstring(L, 3);
  const EVP_MD *md = digest_for(algorithm);
  luaL_argcheck(L, (md == NULL) == (strcmp(algorithm, "ssh-ed25519") == 0), 3,
                "no such algorithm");
  unsigned char sig[OPENSSL_RSA_MAX_MODULUS_BITS / 8];
  n = sizeof sig;
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  bool ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, md, NULL, pkey) == 1 &&
            EVP_DigestSign(ctx, sig, &n, (const unsigned char *)data, len) == 1;
  EVP_MD_CTX_free(ctx);
  if (ok && EVP_PKEY_get_base_id(pkey) != EVP_PKEY_EC)
    lua_pushlstring(L, (const char *)sig, n);
  else if (ok)
    ok = push_numbers(L, sig, n);
  ERR_clear_error();
  return ok ? 1 : bind_fail(L, KB_EINVAL, "the key cannot sign");
}

static int key_gc(lua_State *L) {
  struct key *key = luaL_checkudata(L, 1, KEY);
  EVP_PKEY_free(key->pkey);
  key->pkey = NULL;
  return 0;
}

static const luaL_Reg functions[] = {{"parse", key_parse}, {NULL, NULL}};
static const luaL_Reg methods[] = {{"public", key_public},
                                   {"sign", key_sign},
                                   {"type", key_type},
                                   {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", key_gc}, {NULL, NULL}};

int luaopen_kb_key(lua_State *L) {
  bind_class(L, KEY, methods, meta);
  luaL_newlib(L, functions);
  return 1;
}
