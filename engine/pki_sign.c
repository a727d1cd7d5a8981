/* Certificates made from a table: every name and extension is built as a
** structure, so that no character of a name has a meaning of its own. */
#include "bind.h"
#include "pki.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/x509v3.h>
#include <string.h>

#define SERIAL_BITS 159 /* 20 bytes whose first bit is 0: positive */

/* Push field i of the pair on top of the stack if it is a string. */
static const char *pair_string(lua_State *L, lua_Integer i, size_t *len) {
  if (lua_rawgeti(L, -1, i) != LUA_TSTRING)
    return NULL;
  return lua_tolstring(L, -1, len);
}

/* Push the field, a list or absent; its length, or -1 when it is none. */
static lua_Integer push_list(lua_State *L, int idx, const char *field) {
  int type = lua_getfield(L, idx, field);
  lua_Integer count = type == LUA_TTABLE ? (lua_Integer)lua_rawlen(L, -1) : 0;
  if (type == LUA_TTABLE && count == 0) {
    lua_pushnil(L);
    if (lua_next(L, -2) == 0)
      return 0;
    lua_pop(L, 2); /* fields and no list */
    return -1;
  }
  return type == LUA_TTABLE || type == LUA_TNIL ? count : -1;
}

static bool add_entry(lua_State *L, X509_NAME *name) {
  size_t n, len;
  const char *field = pair_string(L, 1, &n);
  lua_pop(L, 1); /* the pair keeps it */
  const char *value = pair_string(L, 2, &len);
  bool ok = field != NULL && value != NULL && len <= INT16_MAX &&
            X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                       (const unsigned char *)value, (int)len,
                                       -1, 0) == 1;
  lua_pop(L, 1);
  return ok;
}

X509_NAME *pki_spec_subject(lua_State *L, int idx, const char **why) {
  X509_NAME *name = X509_NAME_new();
  bool ok = name != NULL && lua_getfield(L, idx, "subject") == LUA_TTABLE;
  lua_Integer count = ok ? (lua_Integer)lua_rawlen(L, -1) : 0;
  for (lua_Integer i = 1; ok && i <= count; i++) {
    ok = lua_rawgeti(L, -1, i) == LUA_TTABLE && add_entry(L, name);
    lua_pop(L, 1);
  }
  if (ok) {
    lua_pop(L, 1);
    return name;
  }
  X509_NAME_free(name);
  *why = "the subject: a list of {field, text} such as {\"CN\", \"etcd\"} is "
         "needed; C has two letters, CN, O and OU have at most 64";
  return NULL;
}

static ASN1_STRING *octets(int type, const void *data, size_t len) {
  ASN1_STRING *s = ASN1_STRING_type_new(type);
  if (s == NULL || ASN1_STRING_set(s, data, (int)len) != 1) {
    ASN1_STRING_free(s);
    return NULL;
  }
  return s;
}

/* A GENERAL_NAME of a kind and its text, NULL when the text has no such form:
** NULs and bytes outside of ASCII have no place in an IA5String. */
static GENERAL_NAME *alternative(const char *kind, const char *text,
                                 size_t len) {
  static const struct {
    const char *name;
    int type;
  } kinds[] = {{"dns", GEN_DNS}, {"email", GEN_EMAIL}, {"uri", GEN_URI}};
  unsigned char raw[16];
  GENERAL_NAME *name = GENERAL_NAME_new();
  ASN1_STRING *value = NULL;
  int type = GEN_IPADD;
  for (size_t i = 0; i < len; i++)
    if (text[i] <= 0x20 || text[i] >= 0x7f)
      len = 0;
  if (strcmp(kind, "ip") == 0 && len > 0) {
    if (inet_pton(AF_INET, text, raw) == 1)
      value = octets(V_ASN1_OCTET_STRING, raw, 4);
    else if (inet_pton(AF_INET6, text, raw) == 1)
      value = octets(V_ASN1_OCTET_STRING, raw, 16);
  }
  for (size_t i = 0; i < KB_COUNT(kinds); i++)
    if (strcmp(kind, kinds[i].name) == 0 && len > 0) {
      type = kinds[i].type;
      value = octets(V_ASN1_IA5STRING, text, len);
    }
  if (name == NULL || value == NULL) {
    GENERAL_NAME_free(name);
    ASN1_STRING_free(value);
    return NULL;
  }
  GENERAL_NAME_set0_value(name, type, value);
  return name;
}

static bool add_alternative(lua_State *L, GENERAL_NAMES *names) {
  size_t n, len;
  const char *kind = pair_string(L, 1, &n);
  lua_pop(L, 1);
  const char *text = pair_string(L, 2, &len);
  GENERAL_NAME *name =
      kind != NULL && text != NULL ? alternative(kind, text, len) : NULL;
  lua_pop(L, 1);
  if (name != NULL && sk_GENERAL_NAME_push(names, name) > 0)
    return true;
  GENERAL_NAME_free(name);
  return false;
}

GENERAL_NAMES *pki_spec_alternatives(lua_State *L, int idx, const char **why) {
  GENERAL_NAMES *names = GENERAL_NAMES_new();
  lua_Integer count = push_list(L, idx, "names");
  bool ok = names != NULL && count >= 0;
  for (lua_Integer i = 1; ok && i <= count; i++) {
    ok = lua_rawgeti(L, -1, i) == LUA_TTABLE && add_alternative(L, names);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  if (ok)
    return names;
  GENERAL_NAMES_free(names);
  *why = "the names: a list of {kind, text} is needed, kind dns, ip, email or "
         "uri, and the text of that form in ASCII without spaces";
  return NULL;
}

static bool add_extension(X509 *x, int nid, void *value, bool critical) {
  return value != NULL &&
         X509_add1_ext_i2d(x, nid, value, critical, X509V3_ADD_DEFAULT) == 1;
}

static bool add_constraints(lua_State *L, X509 *x, const char **why) {
  BASIC_CONSTRAINTS *bc = BASIC_CONSTRAINTS_new();
  *why = "path_length must be an integer that is not negative";
  lua_getfield(L, 1, "ca");
  bool ca = lua_toboolean(L, -1), ok = bc != NULL;
  lua_getfield(L, 1, "path_length");
  if (ok)
    bc->ca = ca ? 0xff : 0;
  if (ok && ca && !lua_isnil(L, -1)) {
    int exact = 0;
    lua_Integer length = lua_tointegerx(L, -1, &exact);
    bc->pathlen = ASN1_INTEGER_new();
    ok = exact && length >= 0 && bc->pathlen != NULL &&
         ASN1_INTEGER_set_int64(bc->pathlen, length) == 1;
  }
  ok = ok && add_extension(x, NID_basic_constraints, bc, true);
  BASIC_CONSTRAINTS_free(bc);
  lua_pop(L, 2);
  return ok;
}

/* The bits of keyUsage in their order (RFC 5280, 4.2.1.3). */
static const char *const usages[] = {
    "digital signature", "content commitment", "key encipherment",
    "data encipherment", "key agreement",      "cert sign",
    "crl sign",          "encipher only",      "decipher only"};

static bool set_usage(ASN1_BIT_STRING *bits, const char *usage) {
  for (size_t i = 0; usage != NULL && i < KB_COUNT(usages); i++)
    if (strcmp(usages[i], usage) == 0)
      return ASN1_BIT_STRING_set_bit(bits, (int)i, 1) == 1;
  return false;
}

static bool add_usages(lua_State *L, X509 *x, const char **why) {
  ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
  *why = "usages: a list of key usages such as \"digital signature\"";
  lua_Integer count = push_list(L, 1, "usages");
  bool ok = bits != NULL && count >= 0;
  for (lua_Integer i = 1; ok && i <= count; i++) {
    lua_rawgeti(L, -1, i);
    ok = set_usage(bits, lua_tostring(L, -1));
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  if (ok && count > 0)
    ok = add_extension(x, NID_key_usage, bits, true);
  ASN1_BIT_STRING_free(bits);
  return ok;
}

/* The object of an extended usage: a name of OpenSSL's ("serverAuth") or
** dotted numbers. */
static bool push_purpose(EXTENDED_KEY_USAGE *list, const char *text) {
  ASN1_OBJECT *object = text != NULL ? OBJ_txt2obj(text, 0) : NULL;
  if (object != NULL && sk_ASN1_OBJECT_push(list, object) > 0)
    return true;
  ASN1_OBJECT_free(object);
  return false;
}

static bool add_extended(lua_State *L, X509 *x, const char **why) {
  EXTENDED_KEY_USAGE *list = EXTENDED_KEY_USAGE_new();
  *why = "extended: a list such as \"serverAuth\" or dotted numbers";
  lua_Integer count = push_list(L, 1, "extended");
  bool ok = list != NULL && count >= 0;
  for (lua_Integer i = 1; ok && i <= count; i++) {
    lua_rawgeti(L, -1, i);
    ok = push_purpose(list, lua_tostring(L, -1));
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  if (ok && count > 0)
    ok = add_extension(x, NID_ext_key_usage, list, false);
  EXTENDED_KEY_USAGE_free(list);
  return ok;
}

/* The identifier of a certificate's key: SHA-1 of its bits, method 1 of RFC
** 5280, 4.2.1.2, as kubeadm and cfssl have it. Nobody relies on it being
** hard to forge. */
static ASN1_OCTET_STRING *key_identifier(const X509 *x) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int n = 0;
  if (X509_pubkey_digest(x, EVP_sha1(), digest, &n) != 1)
    return NULL;
  return octets(V_ASN1_OCTET_STRING, digest, n);
}

static bool add_identifiers(X509 *x, X509 *issuer) {
  ASN1_OCTET_STRING *id = key_identifier(x);
  bool ok = add_extension(x, NID_subject_key_identifier, id, false);
  ASN1_OCTET_STRING_free(id);
  if (!ok || issuer == NULL)
    return ok;
  const ASN1_OCTET_STRING *known = X509_get0_subject_key_id(issuer);
  AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();
  if (authority != NULL)
    authority->keyid =
        known != NULL ? ASN1_OCTET_STRING_dup(known) : key_identifier(issuer);
  ok = authority != NULL && authority->keyid != NULL &&
       add_extension(x, NID_authority_key_identifier, authority, false);
  AUTHORITY_KEYID_free(authority);
  return ok;
}

static bool add_alternatives(lua_State *L, X509 *x, const char **why) {
  GENERAL_NAMES *names = pki_spec_alternatives(L, 1, why);
  /* critical when nothing else names the subject: RFC 5280, 4.2.1.6 */
  bool critical = X509_NAME_entry_count(X509_get_subject_name(x)) == 0;
  bool ok = names != NULL;
  if (ok && sk_GENERAL_NAME_num(names) > 0)
    ok = add_extension(x, NID_subject_alt_name, names, critical);
  GENERAL_NAMES_free(names);
  return ok;
}

static bool set_serial(X509 *x) {
  BIGNUM *n = BN_new();
  bool ok = n != NULL &&
            BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
            BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
  BN_free(n);
  return ok;
}

static bool set_names(lua_State *L, X509 *x, X509 *issuer, const char **why) {
  X509_NAME *subject = pki_spec_subject(L, 1, why);
  if (subject == NULL)
    return false;
  const X509_NAME *by =
      issuer != NULL ? X509_get_subject_name(issuer) : subject;
  bool ok = X509_set_subject_name(x, subject) == 1 &&
            X509_set_issuer_name(x, by) == 1;
  X509_NAME_free(subject);
  return ok;
}

static bool set_time(lua_State *L, ASN1_TIME *to, const char *field,
                     const char **why) {
  int exact = 0;
  *why = "not_before and not_after: integers, seconds since 1970";
  lua_getfield(L, 1, field);
  lua_Integer at = lua_tointegerx(L, -1, &exact);
  lua_pop(L, 1);
  return exact && ASN1_TIME_set(to, (time_t)at) != NULL;
}

/* The digest that fits the strength of the signing key; Ed25519 has its own. */
static const EVP_MD *digest_for(const EVP_PKEY *pkey) {
  if (EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED25519)
    return NULL;
  if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_EC)
    return EVP_sha256();
  int bits = EVP_PKEY_get_bits(pkey);
  return bits <= 256 ? EVP_sha256() : bits <= 384 ? EVP_sha384() : EVP_sha512();
}

/* The subject's key: of a key of ours or of a request. */
static EVP_PKEY *subject_key(lua_State *L, int idx) {
  X509_REQ *request = pki_request_test(L, idx);
  return request != NULL ? X509_REQ_get0_pubkey(request) : pki_key_test(L, idx);
}

/* Fill and sign; false with *why for what was wrong. Raises nothing. */
static bool make(lua_State *L, X509 *x, EVP_PKEY *subject, X509 *issuer,
                 EVP_PKEY *by, const char **why) {
  bool ok = X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
            set_names(L, x, issuer, why) &&
            set_time(L, X509_getm_notBefore(x), "not_before", why) &&
            set_time(L, X509_getm_notAfter(x), "not_after", why) &&
            X509_set_pubkey(x, subject) == 1 && add_constraints(L, x, why) &&
            add_usages(L, x, why) && add_extended(L, x, why);
  if (ok)
    *why = "signing";
  return ok && add_identifiers(x, issuer) && add_alternatives(L, x, why) &&
         X509_sign(x, by, digest_for(by)) > 0;
}

/*** Make a certificate.
** @param spec table: subject (list of {field, text}: {"CN", "etcd"}), key (a
** key, or the request whose key it is), issuer (certificate; absent: it signs
** itself), issuer_key (key; absent: its own), not_before, not_after (seconds
** since 1970), ca (boolean), path_length (integer), usages (list: "digital
** signature", "content commitment", "key encipherment", "data encipherment",
** "key agreement", "cert sign", "crl sign", "encipher only", "decipher only"),
** extended (list: "serverAuth", "clientAuth", dotted numbers), names (list of
** {kind, text}; kinds dns, ip, email, uri)
** @return certificate, or nil, message, code */
int pki_sign(lua_State *L) {
  const char *why = "signing";
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  X509 **x = pki_certificate_new(L); /* at 2 */
  lua_getfield(L, 1, "key");         /* at 3 to 5: held while we use them */
  lua_getfield(L, 1, "issuer");
  lua_getfield(L, 1, "issuer_key");
  EVP_PKEY *subject = subject_key(L, 3);
  X509 *issuer = pki_certificate_test(L, 4);
  EVP_PKEY *by = lua_isnil(L, 5) ? pki_key_test(L, 3) : pki_key_test(L, 5);
  luaL_argcheck(L, subject != NULL && by != NULL, 1,
                "key and issuer_key must be keys");
  luaL_argcheck(L, (issuer != NULL) == !lua_isnil(L, 5), 1,
                "issuer and issuer_key go together");
  if (issuer != NULL && X509_check_private_key(issuer, by) != 1)
    return pki_fail(L, "the issuer's key is not that of its certificate");
  *x = X509_new();
  if (*x == NULL || !make(L, *x, subject, issuer, by, &why))
    return pki_fail(L, why);
  lua_settop(L, 2);
  return 1;
}
