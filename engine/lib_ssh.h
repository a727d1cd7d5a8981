/* What the two files that bind SSH share: sessions in lib_ssh.c, their
** authentication in lib_ssh_auth.c. */
#ifndef LIB_SSH_H
#define LIB_SSH_H

#include "bind.h"
#include "ssh.h"

#define SESSION "kb.session"

struct session {
  struct ssh *ssh;       /* NULL when closed */
  lua_State *L;          /* while libssh2 may call us back */
  const char *signature; /* for the key that is being tried */
  size_t signature_len;
  bool wants_signature, raised;
};

/* The session that is argument 1, which may be closed. */
struct session *lib_ssh_session(lua_State *L);

/* The failure of a call on what ("session", "channel") is closed. */
int lib_ssh_closed(lua_State *L, const char *what);

/* What a try function returns of a result: waiting, true, or the failure. */
int lib_ssh_outcome(lua_State *L, struct ssh *s, int rc);

/* Methods of a session. */
int session_auth_interactive(lua_State *L);
int session_auth_key(lua_State *L);
int session_auth_methods(lua_State *L);
int session_auth_password(lua_State *L);

#endif
