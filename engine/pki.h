/* Keys, certificates and requests as Lua classes, on OpenSSL; the files
** pki_*.c own one class each and lib_pki.c makes kb.core.pki of them. */
#ifndef PKI_H
#define PKI_H

#include "kb.h"

#include <lua.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* Push nil, "what: OpenSSL's reason" and "EINVAL"; empties OpenSSL's queue of
** errors. Returns 3. */
int pki_fail(lua_State *L, const char *what);

/* Push what the memory BIO holds and free it. */
void pki_push_bio(lua_State *L, BIO *bio);

/* Push bytes as lower-case hexadecimal. */
void pki_push_hex(lua_State *L, const unsigned char *raw, size_t len);

/* Push the SHA-256 of a DER public key (SubjectPublicKeyInfo), hexadecimal. */
void pki_push_key_hash(lua_State *L, const EVP_PKEY *pkey);

/* The key at idx, which stays the key's; NULL when it is no key. */
EVP_PKEY *pki_key_test(lua_State *L, int idx);
/* Push the type: "ecdsa-p256", "rsa-2048", "ed25519". */
void pki_key_push_type(lua_State *L, const EVP_PKEY *pkey);
/* Define the class of keys. */
void pki_key_class(lua_State *L);
/* Functions of kb.core.pki about keys. */
int pki_generate(lua_State *L);
int pki_read_key(lua_State *L);

/* Push an empty certificate; what is put in *x is the certificate's. */
X509 **pki_certificate_new(lua_State *L);
/* The certificate at idx, which stays the certificate's; NULL if it is none. */
X509 *pki_certificate_test(lua_State *L, int idx);
void pki_certificate_class(lua_State *L);
int pki_certificates(lua_State *L);
int pki_verify(lua_State *L);

/* The same for certificate signing requests. */
X509_REQ *pki_request_test(lua_State *L, int idx);
void pki_request_class(lua_State *L);
int pki_request(lua_State *L);
int pki_read_request(lua_State *L);

/* Push parts of certificates as tables (pki_show.c). */
void pki_show_name(lua_State *L, const X509_NAME *name);
void pki_show_alternatives(lua_State *L, const GENERAL_NAMES *names);
void pki_show_extensions(lua_State *L, const STACK_OF(X509_EXTENSION) * list);

/* What the spec at idx asks for as a name, NULL with *why set when it cannot
** be made (pki_sign.c). */
X509_NAME *pki_spec_subject(lua_State *L, int idx, const char **why);
GENERAL_NAMES *pki_spec_alternatives(lua_State *L, int idx, const char **why);
int pki_sign(lua_State *L);

#endif
