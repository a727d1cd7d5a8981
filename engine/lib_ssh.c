/* kb.core.ssh: sessions and channels. The order of their calls, deadlines and
** trust are the business of kb.transport.ssh. */
#include "lib_ssh.h"

#include "libs.h"
#include "stream.h"

#include <string.h>

#define CHANNEL "kb.channel"
#define TURN    "kb.session_turn"

struct channel {
  struct ssh_channel *ch; /* NULL when closed, or given to a session */
};

/* The right to open a channel, left when the opening function is left, in
** whatever way. */
struct turn {
  struct session *of;
};

/* Results and arguments */

int lib_ssh_closed(lua_State *L, const char *what) {
  return bind_fail(L, KB_ECLOSED, "the %s is closed", what);
}

struct session *lib_ssh_session(lua_State *L) {
  return luaL_checkudata(L, 1, SESSION);
}

static struct channel *to_channel(lua_State *L) {
  return luaL_checkudata(L, 1, CHANNEL);
}

static int fail(lua_State *L, struct ssh *s, int code) {
  return bind_fail(L, code, "%s", ssh_why(s));
}

/* What try returns: waiting, true, or the failure. */
int lib_ssh_outcome(lua_State *L, struct ssh *s, int rc) {
  if (rc == KB_EAGAIN)
    return task_again(L, ssh_input(s));
  if (rc < 0)
    return fail(L, s, rc);
  lua_pushboolean(L, 1);
  return 1;
}

/* Making a session */

static const struct {
  const char *name;
  int methods[2]; /* the second is -1, or the same for the other direction */
} method_kinds[] = {
    {"kex", {LIBSSH2_METHOD_KEX, -1}},
    {"host_key", {LIBSSH2_METHOD_HOSTKEY, -1}},
    {"cipher", {LIBSSH2_METHOD_CRYPT_CS, LIBSSH2_METHOD_CRYPT_SC}},
    {"mac", {LIBSSH2_METHOD_MAC_CS, LIBSSH2_METHOD_MAC_SC}},
};

/* Set the preferences in the table on the top of the stack. */
static int set_methods(lua_State *L, struct ssh *s) {
  for (size_t i = 0; i < KB_COUNT(method_kinds); i++) {
    const char *list = bind_field_string(L, -1, method_kinds[i].name, NULL);
    for (int j = 0; list != NULL && j < 2; j++) {
      int method = method_kinds[i].methods[j];
      if (method >= 0 &&
          libssh2_session_method_pref(ssh_lib(s), method, list) < 0)
        return bind_fail(L, KB_EREFUSED,
                         "libssh2 %s has none of the %s methods %s",
                         libssh2_version(0), method_kinds[i].name, list);
    }
  }
  return 0;
}

static struct ssh *over_channel(lua_State *L, int idx, const char *name,
                                void *self) {
  struct channel *c = luaL_checkudata(L, idx, CHANNEL);
  luaL_argcheck(L, c->ch != NULL, 1, "the channel is closed");
  struct ssh *s = ssh_new_over(task_loop(L), c->ch, name, self);
  if (s != NULL)
    c->ch = NULL;
  return s;
}

static struct ssh *over_stream(lua_State *L, int idx, const char *name,
                               void *self) {
  struct ssh *s = ssh_new(task_loop(L), stream_fd(L, idx), name, self);
  if (s != NULL)
    stream_detach(L, idx);
  return s;
}

/*** Make a session over a connection, which becomes the session's own.
** @param options table: stream or channel (what it goes over), name (in errors
** of sessions over this one), methods (table of comma lists of those that
** libssh2 supports, best first: kex, host_key, cipher, mac)
** @return session; or nil, message, code */
static int ssh_session(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  const char *name = bind_field_string(L, 1, "name", "the server");
  struct session *self = bind_new(L, SESSION, sizeof *self, 1);
  if (lua_getfield(L, 1, "channel") != LUA_TNIL) {
    self->ssh = over_channel(L, 3, name, self);
    lua_setiuservalue(L, 2, 1); /* what it goes over lives as long */
  } else {
    lua_getfield(L, 1, "stream");
    self->ssh = over_stream(L, 4, name, self);
  }
  if (self->ssh == NULL)
    return bind_fail(L, KB_ENOMEM, "not enough memory for a session");
  lua_settop(L, 2);
  if (lua_getfield(L, 1, "methods") == LUA_TTABLE) {
    int n = set_methods(L, self->ssh);
    if (n != 0) {
      ssh_free(self->ssh); /* and not when the collector comes */
      self->ssh = NULL;
      return n;
    }
  }
  lua_settop(L, 2);
  return 1;
}

/*** The methods that libssh2 has.
** @param kind string: "kex", "host_key", "cipher" or "mac"
** @return list of strings */
static int ssh_supported(lua_State *L) {
  const char *kind = luaL_checkstring(L, 1);
  size_t i = 0;
  while (i < KB_COUNT(method_kinds) && strcmp(method_kinds[i].name, kind) != 0)
    i++;
  luaL_argcheck(L, i < KB_COUNT(method_kinds), 1, "no such kind");
  lua_newtable(L);
  LIBSSH2_SESSION *lib = libssh2_session_init();
  const char **names = NULL;
  int n = lib != NULL ? libssh2_session_supported_algs(
                            lib, method_kinds[i].methods[0], &names)
                      : 0;
  for (int j = 0; j < n; j++) {
    lua_pushstring(L, names[j]);
    lua_rawseti(L, -2, j + 1);
  }
  if (names != NULL)
    libssh2_free(lib, names);
  libssh2_session_free(lib);
  return 1;
}

/*** The version of libssh2 that is in use.
** @return string, like "1.10.0" */
static int ssh_version(lua_State *L) {
  lua_pushstring(L, libssh2_version(0));
  return 1;
}

/* The beginning */

static int greeting_try(lua_State *L) {
  struct ssh *s = lib_ssh_session(L)->ssh;
  if (s == NULL)
    return lib_ssh_closed(L, "session");
  int rc = libssh2_session_handshake(ssh_lib(s), ssh_any_fd(s));
  bool greeted = ssh_greeted(s);
  rc = ssh_result(s, rc);
  if (!greeted)
    return lib_ssh_outcome(L, s, rc >= 0 ? KB_EPROTO : rc);
  lua_pushboolean(L, 1);
  return 1;
}

/*** Begin, and wait for the server's version line.
** @return true; or nil, message, code */
static int session_greeting(lua_State *L) {
  lua_settop(L, 1);
  return task_await(L, greeting_try);
}

/*** The first bytes that the server sent, as long as the keys have not been
** exchanged: its greeting or refusal, then its list of methods.
** @return string */
static int session_first(lua_State *L) {
  struct session *self = lib_ssh_session(L);
  size_t len = 0;
  const char *data = self->ssh != NULL ? ssh_first(self->ssh, &len) : "";
  lua_pushlstring(L, data, len);
  return 1;
}

static int handshake_try(lua_State *L) {
  struct ssh *s = lib_ssh_session(L)->ssh;
  if (s == NULL)
    return lib_ssh_closed(L, "session");
  int rc = libssh2_session_handshake(ssh_lib(s), ssh_any_fd(s));
  if (rc == 0)
    ssh_spoken(s);
  return lib_ssh_outcome(L, s, ssh_result(s, rc));
}

/*** Exchange keys with the server.
** @return true; or nil, message, code */
static int session_handshake(lua_State *L) {
  lua_settop(L, 1);
  return task_await(L, handshake_try);
}

/*** The server's host key, which the key exchange has proved to be its own.
** @return string: the public key in SSH's wire form */
static int session_host_key(lua_State *L) {
  struct session *self = lib_ssh_session(L);
  size_t len = 0;
  int type;
  if (self->ssh == NULL)
    return lib_ssh_closed(L, "session");
  const char *key = libssh2_session_hostkey(ssh_lib(self->ssh), &len, &type);
  if (key == NULL)
    return bind_fail(L, KB_EPROTO, "the server has shown no host key");
  lua_pushlstring(L, key, len);
  return 1;
}

/*** What the two sides have agreed on.
** @return table: kex, host_key, cipher, mac */
static int session_methods(lua_State *L) {
  struct session *self = lib_ssh_session(L);
  if (self->ssh == NULL)
    return lib_ssh_closed(L, "session");
  lua_createtable(L, 0, 4);
  for (size_t i = 0; i < KB_COUNT(method_kinds); i++) {
    lua_pushstring(L, libssh2_session_methods(ssh_lib(self->ssh),
                                              method_kinds[i].methods[0]));
    lua_setfield(L, -2, method_kinds[i].name);
  }
  return 1;
}

/* Channels */

static int turn_close(lua_State *L) {
  struct turn *turn = luaL_checkudata(L, 1, TURN);
  if (turn->of != NULL && turn->of->ssh != NULL)
    ssh_turn_leave(turn->of->ssh, turn);
  turn->of = NULL;
  return 0;
}

/* Stack: session, host, port, turn, the channel that is to be opened. */
static int open_try(lua_State *L) {
  struct ssh *s = lib_ssh_session(L)->ssh;
  struct channel *c = lua_touserdata(L, 5);
  if (s == NULL)
    return lib_ssh_closed(L, "session");
  if (ssh_turn_take(s, lua_touserdata(L, 4)) == KB_EAGAIN)
    return task_again(L, ssh_turns(s));
  int rc = ssh_open(s, lua_tostring(L, 2), (int)lua_tointeger(L, 3), &c->ch);
  if (rc == KB_EAGAIN)
    return task_again(L, ssh_input(s));
  if (rc < 0)
    return fail(L, s, rc);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 5, 1); /* the session lives as long as its channel */
  lua_pushvalue(L, 5);
  return 1;
}

/*** Open a channel: for a command, or with arguments to a port of a host as the
** server sees it. Giving up waiting does the session no harm.
** @param host string
** @param port integer
** @return channel; or nil, message, code: "EREFUSED" when the server says no */
static int session_open(lua_State *L) {
  struct session *self = lib_ssh_session(L);
  if (luaL_optstring(L, 2, NULL) != NULL)
    luaL_checkinteger(L, 3);
  lua_settop(L, 3);
  struct turn *turn = bind_new(L, TURN, sizeof *turn, 0);
  turn->of = self;
  lua_toclose(L, 4);
  bind_new(L, CHANNEL, sizeof(struct channel), 1);
  return task_await(L, open_try);
}

static int exec_try(lua_State *L) {
  struct channel *c = to_channel(L);
  size_t len;
  const char *command = lua_tolstring(L, 2, &len);
  if (c->ch == NULL || ssh_channel_session(c->ch) == NULL)
    return lib_ssh_closed(L, "channel");
  return lib_ssh_outcome(L, ssh_channel_session(c->ch),
                         ssh_exec(c->ch, command, len));
}

/*** Run a command in the channel: one, of at most 32 KiB.
** @param command string: for the user's shell
** @return true; or nil, message, code: "EREFUSED" when the server says no,
** "ECLOSED" also when it has closed this channel alone */
static int channel_exec(lua_State *L) {
  luaL_checkstring(L, 2);
  lua_settop(L, 2);
  return task_await(L, exec_try);
}

enum { READ_SIZE = 65536 };

/* Stack: channel, at most so many bytes, stream. */
static int read_try(lua_State *L) {
  struct channel *c = to_channel(L);
  size_t want = (size_t)luaL_optinteger(L, 2, READ_SIZE);
  if (c->ch == NULL || ssh_channel_session(c->ch) == NULL)
    return lib_ssh_closed(L, "channel");
  luaL_Buffer b;
  char *room = luaL_buffinitsize(L, &b, want);
  ssize_t n = ssh_read(c->ch, (int)lua_tointeger(L, 3), room, want);
  luaL_pushresultsize(&b, n > 0 ? (size_t)n : 0);
  if (n > 0)
    return 1;
  lua_pop(L, 1);
  if (n < 0)
    return lib_ssh_outcome(L, ssh_channel_session(c->ch), (int)n);
  lua_pushnil(L);
  return 1;
}

static int read_stream(lua_State *L, int stream) {
  lua_Integer max = luaL_optinteger(L, 2, READ_SIZE);
  luaL_argcheck(L, max > 0 && max <= 1 << 20, 2, "must be 1 to 1 MiB");
  to_channel(L);
  lua_settop(L, 2);
  lua_pushinteger(L, stream);
  return task_await(L, read_try);
}

/*** Read output, waiting for at least one byte.
** @param max integer: at most this many bytes (64 KiB)
** @return string, or nil at the end, or nil, message, code */
static int channel_read(lua_State *L) {
  return read_stream(L, 0);
}

/*** Read error output, as read does.
** @param max integer: at most this many bytes (64 KiB)
** @return string, or nil at the end, or nil, message, code */
static int channel_read_error(lua_State *L) {
  return read_stream(L, SSH_EXTENDED_DATA_STDERR);
}

/* Stack: channel, data, how much of it has been written. */
static int write_try(lua_State *L) {
  struct channel *c = to_channel(L);
  size_t len;
  const char *data = lua_tolstring(L, 2, &len);
  size_t done = (size_t)lua_tointeger(L, 3);
  while (done < len) {
    bool full = false;
    if (c->ch == NULL || ssh_channel_session(c->ch) == NULL)
      return lib_ssh_closed(L, "channel");
    struct ssh *s = ssh_channel_session(c->ch);
    ssize_t n = ssh_write(c->ch, data + done, len - done, &full);
    if (n >= 0) {
      done += (size_t)n;
      continue;
    }
    if (n == KB_ECLOSED && ssh_alive(s))
      return bind_fail(L, KB_ECLOSED, "the command has ended");
    if (n != KB_EAGAIN)
      return fail(L, s, (int)n);
    lua_pushinteger(L, (lua_Integer)done);
    lua_replace(L, 3);
    return task_again(L, full ? ssh_room(s) : ssh_input(s));
  }
  lua_pushboolean(L, 1);
  return 1;
}

/*** Write all of it.
** @param data string
** @return true, or nil, message, code: "EREFUSED" after write_end */
static int channel_write(lua_State *L) {
  to_channel(L);
  luaL_checkstring(L, 2);
  lua_settop(L, 2);
  lua_pushinteger(L, 0);
  return task_await(L, write_try);
}

static int write_end_try(lua_State *L) {
  struct channel *c = to_channel(L);
  if (c->ch == NULL || ssh_channel_session(c->ch) == NULL)
    return lib_ssh_closed(L, "channel");
  return lib_ssh_outcome(L, ssh_channel_session(c->ch), ssh_write_end(c->ch));
}

/*** Say that no more will be written; safe to repeat.
** @return true, or nil, message, code */
static int channel_write_end(lua_State *L) {
  lua_settop(L, 1);
  return task_await(L, write_end_try);
}

static int push_exit(lua_State *L, struct ssh *s, LIBSSH2_CHANNEL *lib) {
  char *name = NULL;
  size_t len = 0;
  libssh2_channel_get_exit_signal(lib, &name, &len, NULL, NULL, NULL, NULL);
  if (name == NULL) {
    lua_pushinteger(L, libssh2_channel_get_exit_status(lib));
    return 1;
  }
  lua_pushnil(L);
  lua_pushlstring(L, name, len);
  libssh2_free(ssh_lib(s), name);
  return 2;
}

static int wait_try(lua_State *L) {
  struct channel *c = to_channel(L);
  if (c->ch == NULL || ssh_channel_session(c->ch) == NULL)
    return lib_ssh_closed(L, "channel");
  struct ssh *s = ssh_channel_session(c->ch);
  int rc = ssh_closed(c->ch);
  return rc == 0 ? push_exit(L, s, ssh_channel_lib(c->ch))
                 : lib_ssh_outcome(L, s, rc);
}

/*** Wait until the command has ended and the server has closed the channel. A
** status of 0 is also what a server says that closes it without one.
** @return its exit status; or nil and the name of the signal that ended it; or
** nil, message, code when the connection was lost */
static int channel_wait(lua_State *L) {
  lua_settop(L, 1);
  return task_await(L, wait_try);
}

/*** Close the channel, without waiting; safe to repeat. */
static int channel_close(lua_State *L) {
  struct channel *c = to_channel(L);
  struct ssh_channel *ch = c->ch;
  c->ch = NULL;
  if (ch != NULL && ssh_channel_session(ch) != NULL) {
    task_wake_all(ssh_input(ssh_channel_session(ch)));
    task_wake_all(ssh_room(ssh_channel_session(ch)));
  }
  ssh_release(ch);
  return 0;
}

/* The rest of a session's life */

/*** Ask for a sign of life when nothing was heard for so long. When none has
** come after twice as long, the session ends with "ETIMEDOUT". Only after
** authentication.
** @param seconds number: 0.1 or more */
static int session_keepalive(lua_State *L) {
  struct session *self = lib_ssh_session(L);
  lua_Number seconds = luaL_checknumber(L, 2);
  luaL_argcheck(L, seconds >= 0.1 && seconds <= 1e6, 2, "out of range");
  if (self->ssh != NULL &&
      ssh_beat(self->ssh, (kb_time)(seconds * (lua_Number)KB_SECOND)) < 0)
    return luaL_error(L, "not enough memory for a timer");
  return 0;
}

/*** Whether the session can still be used.
** @return boolean, and if not, why */
static int session_alive(lua_State *L) {
  struct session *self = lib_ssh_session(L);
  bool alive = self->ssh != NULL && ssh_alive(self->ssh);
  lua_pushboolean(L, alive);
  if (alive)
    return 1;
  lua_pushstring(L, self->ssh == NULL ? "it was closed" : ssh_why(self->ssh));
  return 2;
}

/*** What the session has carried and holds.
** @return table: bytes_in, bytes_out, channels, closing (channels that we have
** closed and the server not yet), queued_in, queued_out */
static int session_stats(lua_State *L) {
  struct session *self = lib_ssh_session(L);
  struct ssh_count count = {0};
  if (self->ssh != NULL)
    ssh_count(self->ssh, &count);
  lua_createtable(L, 0, 6);
  lua_pushinteger(L, (lua_Integer)count.bytes_in);
  lua_setfield(L, -2, "bytes_in");
  lua_pushinteger(L, (lua_Integer)count.bytes_out);
  lua_setfield(L, -2, "bytes_out");
  lua_pushinteger(L, (lua_Integer)count.channels);
  lua_setfield(L, -2, "channels");
  lua_pushinteger(L, (lua_Integer)count.closing);
  lua_setfield(L, -2, "closing");
  lua_pushinteger(L, (lua_Integer)count.queued_in);
  lua_setfield(L, -2, "queued_in");
  lua_pushinteger(L, (lua_Integer)count.queued_out);
  lua_setfield(L, -2, "queued_out");
  return 1;
}

/*** Close the session and all that goes over it, without waiting; safe to
** repeat. */
static int session_close(lua_State *L) {
  struct session *self = lib_ssh_session(L);
  struct ssh *s = self->ssh;
  self->ssh = NULL;
  ssh_free(s);
  return 0;
}

static const luaL_Reg functions[] = {{"session", ssh_session},
                                     {"supported", ssh_supported},
                                     {"version", ssh_version},
                                     {NULL, NULL}};
static const luaL_Reg session_methods_list[] = {
    {"alive", session_alive},
    {"auth_interactive", session_auth_interactive},
    {"auth_key", session_auth_key},
    {"auth_methods", session_auth_methods},
    {"auth_password", session_auth_password},
    {"close", session_close},
    {"first", session_first},
    {"greeting", session_greeting},
    {"handshake", session_handshake},
    {"host_key", session_host_key},
    {"keepalive", session_keepalive},
    {"methods", session_methods},
    {"open", session_open},
    {"stats", session_stats},
    {NULL, NULL}};
static const luaL_Reg channel_methods[] = {
    {"close", channel_close},         {"exec", channel_exec},
    {"read", channel_read},           {"read_error", channel_read_error},
    {"wait", channel_wait},           {"write", channel_write},
    {"write_end", channel_write_end}, {NULL, NULL}};
static const luaL_Reg no_methods[] = {{NULL, NULL}};
static const luaL_Reg session_meta[] = {{"__gc", session_close}, {NULL, NULL}};
static const luaL_Reg channel_meta[] = {{"__gc", channel_close}, {NULL, NULL}};
static const luaL_Reg turn_meta[] = {{"__gc", turn_close}, {NULL, NULL}};

int luaopen_kb_ssh(lua_State *L) {
  if (libssh2_init(0) != 0)
    return luaL_error(L, "libssh2 cannot be initialised");
  bind_class(L, SESSION, session_methods_list, session_meta);
  bind_class(L, CHANNEL, channel_methods, channel_meta);
  bind_class(L, TURN, no_methods, turn_meta);
  luaL_newlib(L, functions);
  return 1;
}
