/* Parts of certificates as tables, with what a linter needs to see of their
** encoding. */
#include "bind.h"
#include "pki.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <string.h>

static void set_string(lua_State *L, const char *field, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, field);
}

static void push_asn1(lua_State *L, const ASN1_STRING *s) {
  lua_pushlstring(L, (const char *)ASN1_STRING_get0_data(s),
                  (size_t)ASN1_STRING_length(s));
}

static void push_object(lua_State *L, const ASN1_OBJECT *object, bool numbers) {
  char text[128] = "";
  int nid = OBJ_obj2nid(object);
  if (nid != NID_undef && !numbers) {
    lua_pushstring(L, OBJ_nid2sn(nid));
    return;
  }
  OBJ_obj2txt(text, sizeof text, object, 1);
  lua_pushstring(L, text);
}

static void push_entry(lua_State *L, const X509_NAME_ENTRY *entry) {
  const ASN1_STRING *value = X509_NAME_ENTRY_get_data(entry);
  unsigned char *utf8 = NULL;
  lua_createtable(L, 3, 0);
  push_object(L, X509_NAME_ENTRY_get_object(entry), false);
  lua_rawseti(L, -2, 1);
  int len = ASN1_STRING_to_UTF8(&utf8, value);
  lua_pushlstring(L, len >= 0 ? (const char *)utf8 : "?",
                  len >= 0 ? (size_t)len : 1);
  OPENSSL_free(utf8);
  lua_rawseti(L, -2, 2);
  lua_pushstring(L, ASN1_tag2str(ASN1_STRING_type(value)));
  lua_rawseti(L, -2, 3);
}

/* A list of {field, text, ASN.1 type}. */
void pki_show_name(lua_State *L, const X509_NAME *name) {
  int count = X509_NAME_entry_count(name);
  lua_createtable(L, count > 0 ? count : 0, 0);
  for (int i = 0; i < count; i++) {
    push_entry(L, X509_NAME_get_entry(name, i));
    lua_rawseti(L, -2, i + 1);
  }
}

static void push_address(lua_State *L, const ASN1_STRING *address) {
  char text[INET6_ADDRSTRLEN];
  int len = ASN1_STRING_length(address);
  const unsigned char *raw = ASN1_STRING_get0_data(address);
  if (len != 4 && len != 16) {
    lua_pushfstring(L, "%d bytes", len);
    return;
  }
  inet_ntop(len == 4 ? AF_INET : AF_INET6, raw, text, sizeof text);
  lua_pushstring(L, text);
}

static void push_alternative(lua_State *L, const GENERAL_NAME *name) {
  static const struct {
    int type;
    const char *kind;
  } kinds[] = {{GEN_DNS, "dns"}, {GEN_EMAIL, "email"}, {GEN_URI, "uri"}};
  int type = 0;
  const void *value = GENERAL_NAME_get0_value(name, &type);
  lua_createtable(L, 2, 0);
  const char *kind = type == GEN_IPADD ? "ip" : "other";
  for (size_t i = 0; i < KB_COUNT(kinds); i++)
    if (kinds[i].type == type)
      kind = kinds[i].kind;
  lua_pushstring(L, kind);
  lua_rawseti(L, -2, 1);
  if (type == GEN_IPADD)
    push_address(L, value);
  else if (strcmp(kind, "other") != 0)
    push_asn1(L, value);
  else
    lua_pushfstring(L, "general name %d", type);
  lua_rawseti(L, -2, 2);
}

/* A list of {kind, text}, empty without names. */
void pki_show_alternatives(lua_State *L, const GENERAL_NAMES *names) {
  int count = names != NULL ? sk_GENERAL_NAME_num(names) : 0;
  lua_createtable(L, count, 0);
  for (int i = 0; i < count; i++) {
    push_alternative(L, sk_GENERAL_NAME_value(names, i));
    lua_rawseti(L, -2, i + 1);
  }
}

static void show_constraints(lua_State *L, const BASIC_CONSTRAINTS *bc) {
  lua_createtable(L, 0, 2);
  lua_pushboolean(L, bc->ca != 0);
  lua_setfield(L, -2, "ca");
  if (bc->pathlen != NULL) {
    lua_pushinteger(L, ASN1_INTEGER_get(bc->pathlen));
    lua_setfield(L, -2, "path_length");
  }
}

static void show_usages(lua_State *L, const ASN1_BIT_STRING *bits) {
  static const char *const usages[] = {
      "digital signature", "content commitment", "key encipherment",
      "data encipherment", "key agreement",      "cert sign",
      "crl sign",          "encipher only",      "decipher only"};
  lua_newtable(L);
  for (size_t i = 0, n = 0; i < KB_COUNT(usages); i++)
    if (ASN1_BIT_STRING_get_bit(bits, (int)i)) {
      lua_pushstring(L, usages[i]);
      lua_rawseti(L, -2, (lua_Integer)++n);
    }
}

static void show_extended(lua_State *L, const EXTENDED_KEY_USAGE *list) {
  int count = sk_ASN1_OBJECT_num(list);
  lua_createtable(L, count, 0);
  for (int i = 0; i < count; i++) {
    push_object(L, sk_ASN1_OBJECT_value(list, i), false);
    lua_rawseti(L, -2, i + 1);
  }
}

static void show_authority(lua_State *L, const AUTHORITY_KEYID *id) {
  if (id->keyid == NULL)
    lua_pushliteral(L, "");
  else
    pki_push_hex(L, ASN1_STRING_get0_data(id->keyid),
                 (size_t)ASN1_STRING_length(id->keyid));
}

/* Push the extension's meaning and return the field it goes to; NULL, and
** nothing pushed, for one we do not know; "malformed" for a broken one. */
static const char *show_meaning(lua_State *L, X509_EXTENSION *ext) {
  int nid = OBJ_obj2nid(X509_EXTENSION_get_object(ext));
  bool known = nid == NID_basic_constraints || nid == NID_key_usage ||
               nid == NID_ext_key_usage || nid == NID_subject_alt_name ||
               nid == NID_subject_key_identifier ||
               nid == NID_authority_key_identifier;
  void *value = known ? X509V3_EXT_d2i(ext) : NULL;
  if (value == NULL && known) {
    push_object(L, X509_EXTENSION_get_object(ext), false);
    return "malformed";
  }
  switch (known ? nid : NID_undef) {
  case NID_basic_constraints:
    show_constraints(L, value);
    BASIC_CONSTRAINTS_free(value);
    return "basic_constraints";
  case NID_key_usage:
    show_usages(L, value);
    ASN1_BIT_STRING_free(value);
    return "usages";
  case NID_ext_key_usage:
    show_extended(L, value);
    EXTENDED_KEY_USAGE_free(value);
    return "extended";
  case NID_subject_alt_name:
    pki_show_alternatives(L, value);
    GENERAL_NAMES_free(value);
    return "names";
  case NID_subject_key_identifier:
    pki_push_hex(L, ASN1_STRING_get0_data(value),
                 (size_t)ASN1_STRING_length(value));
    ASN1_OCTET_STRING_free(value);
    return "subject_key_id";
  case NID_authority_key_identifier:
    show_authority(L, value);
    AUTHORITY_KEYID_free(value);
    return "authority_key_id";
  default:
    return NULL;
  }
}

static void push_extension(lua_State *L, X509_EXTENSION *ext) {
  const ASN1_OBJECT *object = X509_EXTENSION_get_object(ext);
  lua_createtable(L, 0, 4);
  push_object(L, object, true);
  lua_setfield(L, -2, "oid");
  if (OBJ_obj2nid(object) != NID_undef)
    set_string(L, "name", OBJ_nid2sn(OBJ_obj2nid(object)));
  lua_pushboolean(L, X509_EXTENSION_get_critical(ext) > 0);
  lua_setfield(L, -2, "critical");
  push_asn1(L, X509_EXTENSION_get_data(ext));
  lua_setfield(L, -2, "der");
}

/* Set fields of the table on top of the stack: extensions, a list of {oid,
** name, critical, der}, and the meaning of those that we know; none of them
*when
** there is no list. */
void pki_show_extensions(lua_State *L, const STACK_OF(X509_EXTENSION) * list) {
  int count = sk_X509_EXTENSION_num(list); /* -1 without a list */
  if (count < 0)
    return;
  lua_createtable(L, count, 0);
  for (int i = 0; i < count; i++) {
    X509_EXTENSION *ext = sk_X509_EXTENSION_value(list, i);
    push_extension(L, ext);
    lua_rawseti(L, -2, i + 1);
    const char *field = show_meaning(L, ext);
    if (field != NULL)
      lua_setfield(L, -3, field);
  }
  lua_setfield(L, -2, "extensions");
}
