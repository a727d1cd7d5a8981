/* Certificate signing requests (PKCS#10). */
#include "bind.h"
#include "pki.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define REQUEST "kb.pki.request"

struct request {
  X509_REQ *r;
};

X509_REQ *pki_request_test(lua_State *L, int idx) {
  const struct request *request = luaL_testudata(L, idx, REQUEST);
  return request != NULL ? request->r : NULL;
}

static X509_REQ *check(lua_State *L) {
  const struct request *request = luaL_checkudata(L, 1, REQUEST);
  luaL_argcheck(L, request->r != NULL, 1, "a request that was not made");
  return request->r;
}

static bool set_subject(lua_State *L, X509_REQ *r, const char **why) {
  X509_NAME *subject = pki_spec_subject(L, 1, why);
  bool ok = subject != NULL && X509_REQ_set_subject_name(r, subject) == 1;
  X509_NAME_free(subject);
  return ok;
}

static bool add_names(lua_State *L, X509_REQ *r, const char **why) {
  GENERAL_NAMES *names = pki_spec_alternatives(L, 1, why);
  STACK_OF(X509_EXTENSION) *list = NULL;
  bool ok = names != NULL;
  if (ok && sk_GENERAL_NAME_num(names) > 0)
    ok = X509V3_add1_i2d(&list, NID_subject_alt_name, names, 0,
                         X509V3_ADD_DEFAULT) == 1 &&
         X509_REQ_add_extensions(r, list) == 1;
  sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
  GENERAL_NAMES_free(names);
  return ok;
}

/*** Make a request for a certificate.
** @param spec table: key, subject and names, as sign takes them
** @return request, or nil, message, code */
int pki_request(lua_State *L) {
  const char *why = "making a request";
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_getfield(L, 1, "key");
  EVP_PKEY *pkey = pki_key_test(L, 2);
  luaL_argcheck(L, pkey != NULL, 1, "key must be a key");
  struct request *request = bind_new(L, REQUEST, sizeof *request, 0);
  bool own_digest = EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED25519;
  request->r = X509_REQ_new();
  if (request->r == NULL || !set_subject(L, request->r, &why) ||
      !add_names(L, request->r, &why) ||
      X509_REQ_set_pubkey(request->r, pkey) != 1 ||
      X509_REQ_sign(request->r, pkey, own_digest ? NULL : EVP_sha256()) <= 0)
    return pki_fail(L, why);
  return 1;
}

/*** Read a request and check that who made it has the key.
** @param pem string
** @return request, or nil, message, code */
int pki_read_request(lua_State *L) {
  size_t len;
  const char *pem = luaL_checklstring(L, 1, &len);
  luaL_argcheck(L, len <= INT32_MAX, 1, "too long");
  struct request *request = bind_new(L, REQUEST, sizeof *request, 0);
  BIO *in = BIO_new_mem_buf(pem, (int)len);
  request->r = PEM_read_bio_X509_REQ(in, NULL, NULL, NULL);
  BIO_free(in);
  if (request->r == NULL)
    return pki_fail(L, "this is not a certificate request in PEM");
  EVP_PKEY *pkey = X509_REQ_get0_pubkey(request->r);
  if (pkey == NULL || X509_REQ_verify(request->r, pkey) != 1)
    return pki_fail(L, "the request is not signed by its own key");
  return 1;
}

/*** What the request asks for.
** @return table: subject (list of {field, text, ASN.1 type}), names (list of
** {kind, text}), key_type */
static int request_fields(lua_State *L) {
  X509_REQ *r = check(L);
  lua_createtable(L, 0, 3);
  pki_show_name(L, X509_REQ_get_subject_name(r));
  lua_setfield(L, -2, "subject");
  STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(r);
  GENERAL_NAMES *names = X509V3_get_d2i(list, NID_subject_alt_name, NULL, NULL);
  pki_show_alternatives(L, names);
  GENERAL_NAMES_free(names);
  sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
  lua_setfield(L, -2, "names");
  pki_key_push_type(L, X509_REQ_get0_pubkey(r));
  lua_setfield(L, -2, "key_type");
  return 1;
}

/*** The request in PEM.
** @return string */
static int request_pem(lua_State *L) {
  X509_REQ *r = check(L);
  BIO *out = BIO_new(BIO_s_mem());
  if (out == NULL || PEM_write_bio_X509_REQ(out, r) != 1) {
    BIO_free(out);
    return pki_fail(L, "writing a request");
  }
  pki_push_bio(L, out);
  return 1;
}

/*** The SHA-256 of the public key.
** @return string */
static int request_hash(lua_State *L) {
  pki_push_key_hash(L, X509_REQ_get0_pubkey(check(L)));
  return 1;
}

static int request_gc(lua_State *L) {
  struct request *request = luaL_checkudata(L, 1, REQUEST);
  X509_REQ_free(request->r);
  request->r = NULL;
  return 0;
}

static const luaL_Reg methods[] = {{"fields", request_fields},
                                   {"hash", request_hash},
                                   {"pem", request_pem},
                                   {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", request_gc}, {NULL, NULL}};

void pki_request_class(lua_State *L) {
  bind_class(L, REQUEST, methods, meta);
}
