/* kb.core.pki: keys, certificates and requests (X.509), on OpenSSL. */
#include "bind.h"
#include "libs.h"
#include "pki.h"

#include <openssl/err.h>

int pki_fail(lua_State *L, const char *what) {
  const char *reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  if (reason == NULL)
    return bind_fail(L, KB_EINVAL, "%s", what);
  return bind_fail(L, KB_EINVAL, "%s: %s", what, reason);
}

void pki_push_bio(lua_State *L, BIO *bio) {
  char *data = NULL;
  long len = BIO_get_mem_data(bio, &data);
  lua_pushlstring(L, data, len > 0 ? (size_t)len : 0);
  BIO_free(bio);
}

void pki_push_hex(lua_State *L, const unsigned char *raw, size_t len) {
  static const char digits[] = "0123456789abcdef";
  luaL_Buffer b;
  char *out = luaL_buffinitsize(L, &b, 2 * len + 1);
  for (size_t i = 0; i < len; i++) {
    out[2 * i] = digits[raw[i] >> 4];
    out[2 * i + 1] = digits[raw[i] & 15];
  }
  luaL_pushresultsize(&b, 2 * len);
}

static const luaL_Reg functions[] = {{"certificates", pki_certificates},
                                     {"generate", pki_generate},
                                     {"read_key", pki_read_key},
                                     {"read_request", pki_read_request},
                                     {"request", pki_request},
                                     {"sign", pki_sign},
                                     {"verify", pki_verify},
                                     {NULL, NULL}};

int luaopen_kb_pki(lua_State *L) {
  pki_key_class(L);
  pki_certificate_class(L);
  pki_request_class(L);
  luaL_newlib(L, functions);
  return 1;
}
