/* The idiom by which C is bound to Lua: classes, failures, arguments. */
#ifndef BIND_H
#define BIND_H

#include "kb.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

/* Define the class of userdata called name: methods, and metamethods of which
** __gc serves as __close too. Does nothing when it exists already. */
void bind_class(lua_State *L, const char *name, const luaL_Reg *methods,
                const luaL_Reg *meta);

/* A new zeroed userdata of the class, with `values` user values. */
void *bind_new(lua_State *L, const char *name, size_t size, int values);

/* Push nil, the formatted message and the code's name ("ETIMEDOUT", ...);
** KB_ESYSTEM takes both from errno: "message: strerror", "ENOENT".
** Returns 3, so that a binding can return it. */
int bind_fail(lua_State *L, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The name of a negative code: "ETIMEDOUT". */
const char *bind_code(int code);

/* Fields of the table at idx: optional with a default, or raising with the
** field's name when missing or of another type. Strings live while the table
** holds them. */
const char *bind_field_string(lua_State *L, int idx, const char *name,
                              const char *fallback);
lua_Integer bind_field_integer(lua_State *L, int idx, const char *name,
                               lua_Integer fallback);
int bind_field_boolean(lua_State *L, int idx, const char *name, int fallback);

#endif
