/* The functions that open our libraries, and the Lua modules in the binary. */
#ifndef LIBS_H
#define LIBS_H

#include "kb.h"

#include <lua.h>

int luaopen_kb_crypto(lua_State *L);
int luaopen_kb_curl(lua_State *L);
int luaopen_kb_json(lua_State *L);
int luaopen_kb_pki(lua_State *L);
int luaopen_kb_key(lua_State *L);
int luaopen_kb_net(lua_State *L);
int luaopen_kb_proc(lua_State *L);
int luaopen_kb_ssh(lua_State *L);
int luaopen_kb_sys(lua_State *L);
int luaopen_kb_yaml(lua_State *L);
int luaopen_kb_zlib(lua_State *L);
int luaopen_kb_zstd(lua_State *L);

/* Make every library and embedded module findable by require, and nothing
** else. With a directory, its lua/ and modules/ come before the embedded. */
void libs_open(lua_State *L, const char *override_dir);

/* A file of lua/ or modules/, made part of the binary by the build. The table
** ends with a NULL name; names are module names: "kb.cli". */
struct embedded {
  const char *name, *text;
  size_t len;
};
extern const struct embedded kb_embedded[];

#endif
