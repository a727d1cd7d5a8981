/* Certificates: reading, showing, checking. */
#include "bind.h"
#include "pki.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#define CERTIFICATE "kb.pki.certificate"

struct certificate {
  X509 *x;
};

X509 **pki_certificate_new(lua_State *L) {
  struct certificate *c = bind_new(L, CERTIFICATE, sizeof *c, 0);
  return &c->x;
}

X509 *pki_certificate_test(lua_State *L, int idx) {
  const struct certificate *c = luaL_testudata(L, idx, CERTIFICATE);
  return c != NULL ? c->x : NULL;
}

static X509 *check(lua_State *L, int idx) {
  luaL_checkudata(L, idx, CERTIFICATE);
  X509 *x = pki_certificate_test(L, idx);
  luaL_argcheck(L, x != NULL, idx, "a certificate that was not made");
  return x;
}

/* True when the text holds a PEM block; DER begins with a SEQUENCE. */
static bool is_pem(const char *text) {
  return strstr(text, "-----BEGIN ") != NULL;
}

/* Append the next certificate of the input to the list at idx. */
static bool append_next(lua_State *L, int idx, BIO *in, bool pem) {
  X509 **x = pki_certificate_new(L);
  *x = pem ? PEM_read_bio_X509(in, NULL, NULL, NULL) : d2i_X509_bio(in, NULL);
  if (*x == NULL) {
    lua_pop(L, 1);
    return false;
  }
  lua_rawseti(L, idx, (lua_Integer)lua_rawlen(L, idx) + 1);
  return true;
}

/*** Read certificates.
** @param text string: one or more in PEM, with anything around them, or one in
** DER
** @return list of certificates, not empty; or nil, message, code */
int pki_certificates(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  luaL_argcheck(L, len <= INT32_MAX, 1, "too long");
  lua_settop(L, 1);
  lua_newtable(L);
  bool pem = is_pem(text);
  BIO *in = BIO_new_mem_buf(text, (int)len);
  ERR_clear_error();
  while (append_next(L, 2, in, pem) && pem) {
  }
  BIO_free(in);
  bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (lua_rawlen(L, 2) > 0 && (ended || !pem)) {
    ERR_clear_error();
    return 1;
  }
  if (ended)
    ERR_clear_error();
  return pki_fail(L, lua_rawlen(L, 2) > 0 ? "a broken certificate after others"
                                          : "there is no certificate in this");
}

/*** The certificate in PEM.
** @return string */
static int certificate_pem(lua_State *L) {
  X509 *x = check(L, 1);
  BIO *out = BIO_new(BIO_s_mem());
  if (out == NULL || PEM_write_bio_X509(out, x) != 1) {
    BIO_free(out);
    return pki_fail(L, "writing a certificate");
  }
  pki_push_bio(L, out);
  return 1;
}

/*** The certificate in DER.
** @return string */
static int certificate_der(lua_State *L) {
  X509 *x = check(L, 1);
  BIO *out = BIO_new(BIO_s_mem());
  if (out == NULL || i2d_X509_bio(out, x) != 1) {
    BIO_free(out);
    return pki_fail(L, "writing a certificate");
  }
  pki_push_bio(L, out);
  return 1;
}

/*** The SHA-256 of the public key, as kubeadm's --discovery-token-ca-cert-hash
** has it after "sha256:".
** @return string */
static int certificate_hash(lua_State *L) {
  const X509 *x = check(L, 1);
  const EVP_PKEY *pkey = X509_get0_pubkey(x);
  if (pkey == NULL)
    return pki_fail(L, "the public key");
  pki_push_key_hash(L, pkey);
  return 1;
}

/*** Whether the key is this certificate's.
** @param key key
** @return boolean */
static int certificate_matches(lua_State *L) {
  const X509 *x = check(L, 1);
  EVP_PKEY *pkey = pki_key_test(L, 2);
  luaL_argcheck(L, pkey != NULL, 2, "key expected");
  lua_pushboolean(L, X509_check_private_key(x, pkey) == 1);
  ERR_clear_error();
  return 1;
}

/*** Whether a certificate with the issuer's name has signed this one.
** @param issuer certificate
** @return boolean */
static int certificate_signed_by(lua_State *L) {
  X509 *x = check(L, 1), *issuer = check(L, 2);
  EVP_PKEY *pkey = X509_get0_pubkey(issuer);
  bool named = X509_NAME_cmp(X509_get_issuer_name(x),
                             X509_get_subject_name(issuer)) == 0;
  lua_pushboolean(L, named && pkey != NULL && X509_verify(x, pkey) == 1);
  ERR_clear_error();
  return 1;
}

/* Set the field to seconds since 1970, and form to {kind, text} as encoded. */
static void show_time(lua_State *L, const char *field, const char *form,
                      const ASN1_TIME *t) {
  struct tm tm;
  if (ASN1_TIME_to_tm(t, &tm) == 1) {
    lua_pushinteger(L, timegm(&tm));
    lua_setfield(L, -2, field);
  }
  lua_createtable(L, 2, 0);
  lua_pushstring(L,
                 ASN1_STRING_type(t) == V_ASN1_UTCTIME ? "utc" : "generalized");
  lua_rawseti(L, -2, 1);
  lua_pushlstring(L, (const char *)ASN1_STRING_get0_data(t),
                  (size_t)ASN1_STRING_length(t));
  lua_rawseti(L, -2, 2);
  lua_setfield(L, -2, form);
}

static void show_serial(lua_State *L, const ASN1_INTEGER *serial) {
  BIGNUM *n = ASN1_INTEGER_to_BN(serial, NULL);
  char *hex = n != NULL ? BN_bn2hex(n) : NULL;
  /* the tag and one byte of length come before up to 127 bytes of number */
  int octets = i2d_ASN1_INTEGER(serial, NULL) - 2;
  lua_pushstring(L, hex != NULL ? hex : "");
  lua_setfield(L, -2, "serial");
  lua_pushinteger(L, octets);
  lua_setfield(L, -2, "serial_octets");
  OPENSSL_free(hex);
  BN_free(n);
}

/* {algorithm, parameters}: "absent", "null" or "other". */
static void push_algorithm(lua_State *L, const X509_ALGOR *algorithm) {
  const ASN1_OBJECT *object = NULL;
  int type = V_ASN1_UNDEF;
  X509_ALGOR_get0(&object, &type, NULL, algorithm);
  lua_createtable(L, 2, 0);
  lua_pushstring(L, OBJ_nid2sn(OBJ_obj2nid(object)));
  lua_rawseti(L, -2, 1);
  lua_pushstring(L, type == V_ASN1_UNDEF  ? "absent"
                    : type == V_ASN1_NULL ? "null"
                                          : "other");
  lua_rawseti(L, -2, 2);
}

static void show_algorithms(lua_State *L, const X509 *x) {
  const X509_ALGOR *outer = NULL;
  X509_ALGOR *key = NULL;
  X509_get0_signature(NULL, &outer, x);
  push_algorithm(L, outer);
  lua_setfield(L, -2, "signature");
  push_algorithm(L, X509_get0_tbs_sigalg(x));
  lua_setfield(L, -2, "signature_inside");
  X509_PUBKEY_get0_param(NULL, NULL, NULL, &key, X509_get_X509_PUBKEY(x));
  push_algorithm(L, key);
  lua_setfield(L, -2, "key_algorithm");
}

static void show_key(lua_State *L, const X509 *x) {
  const EVP_PKEY *pkey = X509_get0_pubkey(x);
  if (pkey == NULL) {
    ERR_clear_error();
    return;
  }
  pki_key_push_type(L, pkey);
  lua_setfield(L, -2, "key_type");
  lua_pushinteger(L, EVP_PKEY_get_bits(pkey));
  lua_setfield(L, -2, "key_bits");
}

/*** What the certificate says.
** @return table: version, serial (hexadecimal), serial_octets, subject and
** issuer (lists of {field, text, ASN.1 type}), not_before and not_after
** (seconds since 1970; absent when malformed), not_before_form and
** not_after_form ({"utc" or "generalized", text}), key_type, key_bits,
** key_algorithm, signature and signature_inside ({algorithm, parameters}),
** fingerprint (SHA-256), extensions (list of {oid, name, critical, der}),
** malformed (an extension's name); and of the extensions that are there:
** basic_constraints ({ca, path_length}), usages, extended, names (list of
** {kind, text}), subject_key_id, authority_key_id */
static int certificate_fields(lua_State *L) {
  X509 *x = check(L, 1);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int n = 0;
  lua_createtable(L, 0, 24);
  lua_pushinteger(L, X509_get_version(x) + 1);
  lua_setfield(L, -2, "version");
  show_serial(L, X509_get0_serialNumber(x));
  pki_show_name(L, X509_get_subject_name(x));
  lua_setfield(L, -2, "subject");
  pki_show_name(L, X509_get_issuer_name(x));
  lua_setfield(L, -2, "issuer");
  show_time(L, "not_before", "not_before_form", X509_get0_notBefore(x));
  show_time(L, "not_after", "not_after_form", X509_get0_notAfter(x));
  show_key(L, x);
  show_algorithms(L, x);
  X509_digest(x, EVP_sha256(), digest, &n);
  pki_push_hex(L, digest, n);
  lua_setfield(L, -2, "fingerprint");
  pki_show_extensions(L, X509_get0_extensions(x));
  ERR_clear_error();
  return 1;
}

static int certificate_gc(lua_State *L) {
  struct certificate *c = luaL_checkudata(L, 1, CERTIFICATE);
  X509_free(c->x);
  c->x = NULL;
  return 0;
}

/* A stack of the certificates in the field's list, each referenced. */
static STACK_OF(X509) * stack_of(lua_State *L, const char *field) {
  STACK_OF(X509) *list = sk_X509_new_null();
  bool listed = lua_getfield(L, 1, field) == LUA_TTABLE;
  lua_Integer count = listed ? (lua_Integer)lua_rawlen(L, -1) : 0;
  for (lua_Integer i = 1; list != NULL && i <= count; i++) {
    lua_rawgeti(L, -1, i);
    X509 *x = pki_certificate_test(L, -1);
    if (x != NULL && sk_X509_push(list, x) > 0)
      X509_up_ref(x);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return list;
}

/* The result of verifying: X509_V_OK or the error. */
static int verify(X509 *x, STACK_OF(X509) * roots, STACK_OF(X509) * between,
                  const char *purpose) {
  X509_STORE_CTX *ctx = X509_STORE_CTX_new();
  X509_STORE *store = X509_STORE_new();
  int result = X509_V_ERR_OUT_OF_MEM;
  if (ctx != NULL && store != NULL &&
      X509_STORE_CTX_init(ctx, store, x, between) == 1) {
    X509_STORE_CTX_set0_trusted_stack(ctx, roots);
    X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_X509_STRICT);
    if (strcmp(purpose, "server") == 0)
      X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER);
    if (strcmp(purpose, "client") == 0)
      X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT);
    result =
        X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
  }
  X509_STORE_CTX_free(ctx);
  X509_STORE_free(store);
  ERR_clear_error();
  return result;
}

/*** Whether a chain leads from the certificate to a root, checked strictly.
** @param question table: certificate, roots (list), between (list of
** intermediate certificates), purpose ("server", "client" or "any")
** @return true, or nil, message, code */
int pki_verify(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  const char *purpose = bind_field_string(L, 1, "purpose", "any");
  luaL_argcheck(L,
                strcmp(purpose, "any") == 0 || strcmp(purpose, "server") == 0 ||
                    strcmp(purpose, "client") == 0,
                1, "purpose must be server, client or any");
  lua_getfield(L, 1, "certificate");
  X509 *x = check(L, 2);
  STACK_OF(X509) *roots = stack_of(L, "roots");
  STACK_OF(X509) *between = stack_of(L, "between");
  int result = verify(x, roots, between, purpose);
  sk_X509_pop_free(roots, X509_free);
  sk_X509_pop_free(between, X509_free);
  if (result != X509_V_OK)
    return bind_fail(L, KB_EINVAL, "%s", X509_verify_cert_error_string(result));
  lua_pushboolean(L, 1);
  return 1;
}

static const luaL_Reg methods[] = {{"der", certificate_der},
                                   {"fields", certificate_fields},
                                   {"hash", certificate_hash},
                                   {"matches", certificate_matches},
                                   {"pem", certificate_pem},
                                   {"signed_by", certificate_signed_by},
                                   {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", certificate_gc}, {NULL, NULL}};

void pki_certificate_class(lua_State *L) {
  bind_class(L, CERTIFICATE, methods, meta);
}
