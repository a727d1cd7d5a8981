#include "bind.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static const char *const code_names[] = {"EAGAIN",  "ETIMEDOUT", "ECANCELLED",
                                         "ECLOSED", "ENOMEM",    "EINVAL",
                                         "EPROTO",  "ESYSTEM",   "EREFUSED"};

void bind_class(lua_State *L, const char *name, const luaL_Reg *methods,
                const luaL_Reg *meta) {
  if (luaL_newmetatable(L, name)) {
    luaL_setfuncs(L, meta, 0);
    if (lua_getfield(L, -1, "__gc") == LUA_TFUNCTION)
      lua_setfield(L, -2, "__close");
    else
      lua_pop(L, 1);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
}

void *bind_new(lua_State *L, const char *name, size_t size, int values) {
  void *self = lua_newuserdatauv(L, size, values);
  memset(self, 0, size);
  luaL_setmetatable(L, name);
  return self;
}

const char *bind_code(int code) {
  size_t i = (size_t)(-code - 1);
  return i < KB_COUNT(code_names) ? code_names[i] : "EUNKNOWN";
}

int bind_fail(lua_State *L, int code, const char *fmt, ...) {
  int err = errno;
  char message[1024];
  va_list args;
  va_start(args, fmt);
  vsnprintf(message, sizeof message, fmt, args);
  va_end(args);
  lua_pushnil(L);
  if (code != KB_ESYSTEM) {
    lua_pushstring(L, message);
    lua_pushstring(L, bind_code(code));
    return 3;
  }
  const char *name = strerrorname_np(err);
  lua_pushfstring(L, "%s: %s", message, strerror(err));
  lua_pushstring(L, name != NULL ? name : "ESYSTEM");
  return 3;
}

/* Push the field; true when it is there. */
static int field(lua_State *L, int idx, const char *name) {
  luaL_checktype(L, idx, LUA_TTABLE);
  return lua_getfield(L, idx, name) != LUA_TNIL;
}

static int wrong_field(lua_State *L, const char *name, const char *wanted) {
  return luaL_error(L, "field '%s': %s expected, got %s", name, wanted,
                    luaL_typename(L, -1));
}

const char *bind_field_string(lua_State *L, int idx, const char *name,
                              const char *fallback) {
  const char *value = fallback;
  if (field(L, idx, name)) {
    if (lua_type(L, -1) != LUA_TSTRING)
      wrong_field(L, name, "string");
    value = lua_tostring(L, -1);
  }
  lua_pop(L, 1);
  return value;
}

lua_Integer bind_field_integer(lua_State *L, int idx, const char *name,
                               lua_Integer fallback) {
  lua_Integer value = fallback;
  if (field(L, idx, name)) {
    int exact = 0;
    value = lua_tointegerx(L, -1, &exact);
    if (!exact)
      wrong_field(L, name, "integer");
  }
  lua_pop(L, 1);
  return value;
}

int bind_field_boolean(lua_State *L, int idx, const char *name, int fallback) {
  int value = fallback;
  if (field(L, idx, name))
    value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}
