/* kb.core.embedded: the Lua modules that are part of the binary. */
#include "libs.h"

#include "bind.h"
#include "stream.h"
#include "task.h"

#include <string.h>
#include <unistd.h>

int luaopen_lpeg(lua_State *L);

static const luaL_Reg libraries[] = {{"kb.core.crypto", luaopen_kb_crypto},
                                     {"kb.core.curl", luaopen_kb_curl},
                                     {"kb.core.json", luaopen_kb_json},
                                     {"kb.core.pki", luaopen_kb_pki},
                                     {"kb.core.key", luaopen_kb_key},
                                     {"kb.core.net", luaopen_kb_net},
                                     {"kb.core.proc", luaopen_kb_proc},
                                     {"kb.core.ssh", luaopen_kb_ssh},
                                     {"kb.core.sys", luaopen_kb_sys},
                                     {"kb.core.task", luaopen_kb_task},
                                     {"kb.core.yaml", luaopen_kb_yaml},
                                     {"kb.core.zlib", luaopen_kb_zlib},
                                     {"kb.core.zstd", luaopen_kb_zstd},
                                     {"lpeg", luaopen_lpeg},
                                     {NULL, NULL}};

static const char override_key; /* its address keys the directory */

/* Load the file if it exists: 1, and the chunk and its path are pushed. */
static int load_file(lua_State *L, const char *dir, const char *sub,
                     const char *path, const char *tail) {
  const char *file = lua_pushfstring(L, "%s/%s%s%s", dir, sub, path, tail);
  if (access(file, R_OK) != 0) {
    lua_pop(L, 1);
    return 0;
  }
  if (luaL_loadfile(L, file) != LUA_OK)
    lua_error(L);
  lua_insert(L, -2);
  return 1;
}

static int search_directory(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &override_key);
  const char *dir = lua_tostring(L, -1);
  if (dir == NULL)
    return 0;
  const char *sub = strncmp(name, "modules.", 8) == 0 ? "" : "lua/";
  const char *path = luaL_gsub(L, name, ".", "/");
  if (load_file(L, dir, sub, path, ".lua") ||
      load_file(L, dir, sub, path, "/init.lua"))
    return 2;
  return 0;
}

static const struct embedded *find(const char *name) {
  for (const struct embedded *e = kb_embedded; e->name != NULL; e++)
    if (strcmp(e->name, name) == 0)
      return e;
  return NULL;
}

static int search_embedded(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const struct embedded *e = find(name);
  if (e == NULL) {
    lua_pushfstring(L, "\n\tno module '%s' in kbrun", name);
    return 1;
  }
  const char *chunk = lua_pushfstring(L, "=[%s]", name);
  if (luaL_loadbufferx(L, e->text, e->len, chunk, "t") != LUA_OK)
    return lua_error(L);
  lua_pushstring(L, "embedded");
  return 2;
}

/*** The text of an embedded module.
** @param name string: "kb.cli"
** @return string or nil */
static int embedded_text(lua_State *L) {
  const struct embedded *e = find(luaL_checkstring(L, 1));
  if (e == NULL)
    return 0;
  lua_pushlstring(L, e->text, e->len);
  return 1;
}

/*** The names of all embedded modules.
** @return list of strings */
static int embedded_names(lua_State *L) {
  lua_newtable(L);
  int n = 0;
  for (const struct embedded *e = kb_embedded; e->name != NULL; e++) {
    lua_pushstring(L, e->name);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

static const luaL_Reg embedded_functions[] = {
    {"text", embedded_text}, {"names", embedded_names}, {NULL, NULL}};

static int luaopen_embedded(lua_State *L) {
  luaL_newlib(L, embedded_functions);
  lua_pushliteral(L, KBRUN_VERSION);
  lua_setfield(L, -2, "version");
  return 1;
}

void libs_open(lua_State *L, const char *override_dir) {
  luaL_openlibs(L);
  luaL_requiref(L, "kb.core.embedded", luaopen_embedded, 0);
  luaL_requiref(L, "kb.core.stream", luaopen_kb_stream, 0);
  lua_pop(L, 2); /* the class of streams is there before any library */
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  luaL_setfuncs(L, libraries, 0);
  lua_pushstring(L, override_dir);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &override_key);
  lua_getglobal(L, "package");
  lua_pushliteral(L, "");
  lua_setfield(L, -2, "path"); /* the searcher of files stays, for scripts */
  lua_pushliteral(L, "");
  lua_setfield(L, -2, "cpath");
  lua_getfield(L, -1, "searchers");
  lua_rawgeti(L, -1, 2);
  lua_rawseti(L, -2, 4); /* after ours; the two of C libraries go */
  lua_pushcfunction(L, search_directory);
  lua_rawseti(L, -2, 2);
  lua_pushcfunction(L, search_embedded);
  lua_rawseti(L, -2, 3);
  lua_pop(L, 3);
}
