/* Authentication of sessions. */
#include "lib_ssh.h"
#include "ssh_offer.h"

#include <string.h>

static unsigned check_length(lua_State *L, int idx) {
  size_t len;
  luaL_checklstring(L, idx, &len);
  luaL_argcheck(L, len <= 4096, idx, "longer than 4096 bytes");
  return (unsigned)len;
}

static int auth_methods_try(lua_State *L) {
  struct ssh *s = lib_ssh_session(L)->ssh;
  if (s == NULL)
    return lib_ssh_closed(L, "session");
  LIBSSH2_SESSION *lib = ssh_lib(s);
  const char *list =
      libssh2_userauth_list(lib, lua_tostring(L, 2), check_length(L, 2));
  if (list != NULL) {
    lua_pushstring(L, list);
    ssh_result(s, 0);
    return 1;
  }
  int done = libssh2_userauth_authenticated(lib);
  return lib_ssh_outcome(
      L, s, ssh_result(s, done ? 0 : libssh2_session_last_errno(lib)));
}

/*** Ask which ways of authentication the server offers.
** @param user string
** @return string: "publickey,password"; true when it wants none; or nil,
** message, code */
int session_auth_methods(lua_State *L) {
  check_length(L, 2);
  lua_settop(L, 2);
  return task_await(L, auth_methods_try);
}

static int password_try(lua_State *L) {
  struct ssh *s = lib_ssh_session(L)->ssh;
  if (s == NULL)
    return lib_ssh_closed(L, "session");
  int rc = libssh2_userauth_password_ex(ssh_lib(s), lua_tostring(L, 2),
                                        check_length(L, 2), lua_tostring(L, 3),
                                        check_length(L, 3), NULL);
  return lib_ssh_outcome(L, s, ssh_result(s, rc));
}

/*** Authenticate by password.
** @param user string
** @param password string
** @return true; or nil, message, code: "EREFUSED" when another way may be tried
*/
int session_auth_password(lua_State *L) {
  check_length(L, 2);
  check_length(L, 3);
  lua_settop(L, 3);
  return task_await(L, password_try);
}

struct dialogue {
  int count;
  void **abstract;
  const LIBSSH2_USERAUTH_KBDINT_PROMPT *prompts;
  LIBSSH2_USERAUTH_KBDINT_RESPONSE *responses;
};

/* Stack: the function of the user, the dialogue. */
static int ask(lua_State *L) {
  struct dialogue *d = lua_touserdata(L, 2);
  lua_pushvalue(L, 1);
  lua_createtable(L, d->count, 0);
  for (int i = 0; i < d->count; i++) {
    const void *text =
        d->prompts[i].text; /* of char in 1.10, unsigned in 1.11 */
    lua_createtable(L, 0, 2);
    lua_pushlstring(L, text, d->prompts[i].length);
    lua_setfield(L, -2, "text");
    lua_pushboolean(L, d->prompts[i].echo);
    lua_setfield(L, -2, "echo");
    lua_rawseti(L, -2, i + 1);
  }
  lua_call(L, 1, 1);
  for (int i = 0; lua_istable(L, -1) && i < d->count; i++) {
    size_t len = 0;
    lua_rawgeti(L, -1, i + 1);
    const char *reply = lua_tolstring(L, -1, &len);
    d->responses[i].text =
        reply != NULL ? ssh_alloc(len + 1, d->abstract) : NULL;
    if (d->responses[i].text != NULL) {
      memcpy(d->responses[i].text, reply, len);
      d->responses[i].length = (unsigned)len;
    }
    lua_pop(L, 1);
  }
  return 0;
}

static void answer(const char *name, int name_len, const char *instruction,
                   int instruction_len, int count,
                   const LIBSSH2_USERAUTH_KBDINT_PROMPT *prompts,
                   LIBSSH2_USERAUTH_KBDINT_RESPONSE *responses,
                   void **abstract) {
  struct session *self = ssh_user(abstract);
  struct dialogue d = {count, abstract, prompts, responses};
  (void)name, (void)name_len, (void)instruction, (void)instruction_len;
  if (self->raised)
    return;
  lua_pushcfunction(self->L, ask);
  lua_pushvalue(self->L, 3);
  lua_pushlightuserdata(self->L, &d);
  self->raised = lua_pcall(self->L, 2, 0, 0) != LUA_OK;
}

static int interactive_try(lua_State *L) {
  struct session *self = lib_ssh_session(L);
  struct ssh *s = self->ssh;
  if (s == NULL)
    return lib_ssh_closed(L, "session");
  luaL_checkstack(L, 8, "for a dialogue");
  self->L = L;
  self->raised = false;
  int rc = libssh2_userauth_keyboard_interactive_ex(
      ssh_lib(s), lua_tostring(L, 2), check_length(L, 2), answer);
  self->L = NULL;
  if (self->raised)
    return lua_error(L);
  return lib_ssh_outcome(L, s, ssh_result(s, rc));
}

/*** Authenticate by answering questions.
** @param user string
** @param answer function: gets a list of prompts (text, echo), returns a list
** of strings, or nil for no answer; it cannot wait
** @return true; or nil, message, code: "EREFUSED" when another way may be tried
*/
int session_auth_interactive(lua_State *L) {
  check_length(L, 2);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  lua_settop(L, 3);
  return task_await(L, interactive_try);
}

/* libssh2 wants a signature of data: the first time it is handed to Lua, which
** comes back with the signature. */
static int sign(LIBSSH2_SESSION *lib, unsigned char **signature, size_t *len,
                const unsigned char *data, size_t data_len, void **abstract) {
  struct session *self = *abstract;
  if (self->signature == NULL) {
    lua_pushlstring(self->L, (const char *)data, data_len);
    self->wants_signature = true;
    return LIBSSH2_ERROR_EAGAIN;
  }
  *signature =
      ssh_alloc(self->signature_len + 1, libssh2_session_abstract(lib));
  if (*signature == NULL)
    return -1;
  memcpy(*signature, self->signature, self->signature_len);
  *len = self->signature_len;
  return 0;
}

/* The key at index 3 as libssh2 is to find it. */
static const char *key_to_offer(lua_State *L, struct ssh *s, size_t len) {
  const char *key = lua_tostring(L, 3);
  if (lua_isnil(L, 5))
    return key;
  char *place = lua_newuserdatauv(L, len, 0); /* lives as long as this call */
  if (ssh_offer(s, place, lua_tostring(L, 5), key, len) < 0)
    luaL_argerror(L, 3, "shorter than the algorithm's name");
  return place;
}

/* Stack: session, user, public key, signature or nil, algorithm or nil. */
static int key_try(lua_State *L) {
  struct session *self = lib_ssh_session(L);
  struct ssh *s = self->ssh;
  void *abstract = self;
  lua_settop(L, 5);
  if (s == NULL)
    return lib_ssh_closed(L, "session");
  self->L = L;
  self->wants_signature = false;
  self->signature = lua_tolstring(L, 4, &self->signature_len);
  const char *key = key_to_offer(L, s, check_length(L, 3));
  int rc = libssh2_userauth_publickey(ssh_lib(s), lua_tostring(L, 2),
                                      (const unsigned char *)key,
                                      check_length(L, 3), sign, &abstract);
  ssh_offer_end(s);
  self->L = NULL;
  self->signature = NULL;
  if (self->wants_signature)
    return 1;
  return lib_ssh_outcome(L, s, ssh_result(s, rc));
}

/*** Authenticate by a key, in two calls: without a signature it returns what to
** sign, once the server has said that it would take the key; then the same call
** with the signature.
** @param user string
** @param key string: the public key in wire form
** @param signature string: without its outer wrapping; at most 4096 bytes
** @param algorithm string: which one signs, when it is not named like the key
** @return string: the data to sign; true: authenticated; or nil, message, code:
** "EREFUSED" when another way may be tried */
int session_auth_key(lua_State *L) {
  check_length(L, 2);
  check_length(L, 3);
  if (!lua_isnoneornil(L, 4))
    check_length(L, 4);
  luaL_optstring(L, 5, NULL);
  lua_settop(L, 5);
  return task_await(L, key_try);
}
