/* Private keys. */
#include "bind.h"
#include "pki.h"

#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <string.h>

#define KEY "kb.pki.key"

struct key {
  EVP_PKEY *pkey;
};

static const struct kind {
  const char *name, *algorithm, *curve, *group;
  size_t bits;
} kinds[] = {{"ecdsa-p256", "EC", "P-256", "prime256v1", 0},
             {"ecdsa-p384", "EC", "P-384", "secp384r1", 0},
             {"ecdsa-p521", "EC", "P-521", "secp521r1", 0},
             {"rsa-2048", "RSA", NULL, NULL, 2048},
             {"rsa-3072", "RSA", NULL, NULL, 3072},
             {"rsa-4096", "RSA", NULL, NULL, 4096},
             {"ed25519", "ED25519", NULL, NULL, 0}};

static struct key *key_push(lua_State *L) {
  return bind_new(L, KEY, sizeof(struct key), 0);
}

EVP_PKEY *pki_key_test(lua_State *L, int idx) {
  const struct key *key = luaL_testudata(L, idx, KEY);
  return key != NULL ? key->pkey : NULL;
}

static EVP_PKEY *check(lua_State *L) {
  const struct key *key = luaL_checkudata(L, 1, KEY);
  luaL_argcheck(L, key->pkey != NULL, 1, "a key that was not made");
  return key->pkey;
}

static EVP_PKEY *generate(const struct kind *kind) {
  if (kind->curve != NULL)
    return EVP_PKEY_Q_keygen(NULL, NULL, kind->algorithm, kind->curve);
  return kind->bits != 0
             ? EVP_PKEY_Q_keygen(NULL, NULL, kind->algorithm, kind->bits)
             : EVP_PKEY_Q_keygen(NULL, NULL, kind->algorithm);
}

/*** Make a new private key. Large RSA keys take seconds, in which nothing else
** happens.
** @param type string: "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048",
** "rsa-3072", "rsa-4096" or "ed25519"
** @return key, or nil, message, code */
int pki_generate(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  for (size_t i = 0; i < KB_COUNT(kinds); i++)
    if (strcmp(kinds[i].name, name) == 0) {
      struct key *key = key_push(L);
      key->pkey = generate(&kinds[i]);
      return key->pkey != NULL ? 1 : pki_fail(L, name);
    }
  return bind_fail(L, KB_EINVAL,
                   "no key type '%s'; there are ecdsa-p256, ecdsa-p384, "
                   "ecdsa-p521, rsa-2048, rsa-3072, rsa-4096, ed25519",
                   name);
}

/* Answers OpenSSL's question for the passphrase; without this it would ask on
** the terminal. */
static int passphrase(char *buf, int size, int writing, void *given) {
  const char *text = given;
  (void)writing;
  if (text == NULL || size < 0 || strlen(text) > (size_t)size)
    return -1;
  memcpy(buf, text, strlen(text));
  return (int)strlen(text);
}

/*** Read a private key.
** @param pem string: PKCS#8 or the older forms of PEM
** @param passphrase string: needed when it is encrypted
** @return key, or nil, message, code */
int pki_read_key(lua_State *L) {
  size_t len;
  const char *pem = luaL_checklstring(L, 1, &len);
  const char *secret = luaL_optstring(L, 2, NULL);
  luaL_argcheck(L, len <= INT32_MAX, 1, "too long");
  struct key *key = key_push(L);
  BIO *in = BIO_new_mem_buf(pem, (int)len);
  key->pkey =
      PEM_read_bio_PrivateKey(in, NULL, passphrase, (void *)(uintptr_t)secret);
  BIO_free(in);
  if (key->pkey != NULL)
    return 1;
  if (strstr(pem, "ENCRYPTED") != NULL)
    return pki_fail(L, secret == NULL
                           ? "the private key is encrypted and no passphrase "
                             "was given"
                           : "the passphrase does not open the private key");
  return pki_fail(L, "this is not a private key in PEM");
}

/*** The private key as PKCS#8 in PEM, not encrypted.
** @return string, or nil, message, code */
static int key_pem(lua_State *L) {
  EVP_PKEY *pkey = check(L);
  BIO *out = BIO_new(BIO_s_secmem()); /* wiped when freed */
  if (out == NULL || PEM_write_bio_PKCS8PrivateKey(out, pkey, NULL, NULL, 0,
                                                   NULL, NULL) != 1) {
    BIO_free(out);
    return pki_fail(L, "writing a private key");
  }
  pki_push_bio(L, out);
  return 1;
}

/*** The public key in PEM.
** @return string, or nil, message, code */
static int key_public_pem(lua_State *L) {
  EVP_PKEY *pkey = check(L);
  BIO *out = BIO_new(BIO_s_mem());
  if (out == NULL || PEM_write_bio_PUBKEY(out, pkey) != 1) {
    BIO_free(out);
    return pki_fail(L, "writing a public key");
  }
  pki_push_bio(L, out);
  return 1;
}

void pki_push_key_hash(lua_State *L, const EVP_PKEY *pkey) {
  unsigned char digest[EVP_MAX_MD_SIZE], *der = NULL;
  unsigned int n = 0;
  int len = i2d_PUBKEY(pkey, &der);
  if (len > 0)
    EVP_Digest(der, (size_t)len, digest, &n, EVP_sha256(), NULL);
  OPENSSL_free(der);
  pki_push_hex(L, digest, n);
}

/*** The SHA-256 of the public key, as kubeadm's --discovery-token-ca-cert-hash
** has it after "sha256:".
** @return string */
static int key_hash(lua_State *L) {
  pki_push_key_hash(L, check(L));
  return 1;
}

void pki_key_push_type(lua_State *L, const EVP_PKEY *pkey) {
  char group[64] = "";
  int id = EVP_PKEY_get_base_id(pkey);
  if (id == EVP_PKEY_RSA) {
    lua_pushfstring(L, "rsa-%d", EVP_PKEY_get_bits(pkey));
    return;
  }
  if (id == EVP_PKEY_EC)
    EVP_PKEY_get_group_name(pkey, group, sizeof group, NULL);
  for (size_t i = 0; i < KB_COUNT(kinds); i++)
    if (kinds[i].group != NULL && strcmp(kinds[i].group, group) == 0) {
      lua_pushstring(L, kinds[i].name);
      return;
    }
  if (id == EVP_PKEY_ED25519)
    lua_pushliteral(L, "ed25519");
  else if (*group != '\0')
    lua_pushfstring(L, "ecdsa-%s", group);
  else
    lua_pushstring(L, OBJ_nid2sn(id));
}

/*** What kind of key it is, in the words that generate takes.
** @return string */
static int key_type(lua_State *L) {
  pki_key_push_type(L, check(L));
  return 1;
}

static int key_gc(lua_State *L) {
  struct key *key = luaL_checkudata(L, 1, KEY);
  EVP_PKEY_free(key->pkey); /* wipes it */
  key->pkey = NULL;
  return 0;
}

static const luaL_Reg methods[] = {{"hash", key_hash},
                                   {"pem", key_pem},
                                   {"public_pem", key_public_pem},
                                   {"type", key_type},
                                   {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", key_gc}, {NULL, NULL}};

void pki_key_class(lua_State *L) {
  bind_class(L, KEY, methods, meta);
}
