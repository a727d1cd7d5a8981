/* kb.core.json: jansson. What a map, a list and null are in Lua is the business
** of kb.json, which passes in the functions that make and walk them. */
#include "bind.h"
#include "libs.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 1000 };

/* A json_t that is freed whatever is raised meanwhile. */
#define ROOT "kb.json.root"

static int root_gc(lua_State *L) {
  json_t **root = luaL_checkudata(L, 1, ROOT);
  json_decref(*root);
  *root = NULL;
  return 0;
}

/* What the caller's second argument says, at fixed places of the stack, so that
** walking a value looks nothing up. */
enum { AT_KIND = 3, AT_PAIRS, AT_OTHER, AT_TEXT };
enum { AT_MAP = 3, AT_LIST, AT_NULL };

struct walk {
  lua_State *L;
  int depth;
  int max_depth;
  int digits; /* of reals: the fewest that bring every one back */
};

static json_t *from_lua(struct walk *w);

static int refuse(lua_State *L, const char *what) {
  return luaL_error(L, "cannot be written as JSON: %s", what);
}

static void deeper(struct walk *w) {
  if (++w->depth > w->max_depth)
    refuse(w->L, "nested too deep (does it hold itself?)");
  luaL_checkstack(w->L, 12, "JSON");
}

static json_t *from_string(struct walk *w) {
  lua_State *L = w->L;
  size_t len;
  const char *text = lua_tolstring(L, -1, &len);
  json_t *made = json_stringn(text, len);
  if (made == NULL && lua_isfunction(L, AT_TEXT)) {
    lua_pushvalue(L, AT_TEXT);
    lua_pushvalue(L, -2);
    lua_call(L, 1, 1);
    lua_replace(L, -2);
    text = lua_tolstring(L, -1, &len);
    made = json_stringn(text, len);
  }
  if (made == NULL)
    refuse(L, "a text that is not UTF-8");
  return made;
}

static json_t *from_number(struct walk *w) {
  if (lua_isinteger(w->L, -1))
    return json_integer(lua_tointeger(w->L, -1));
  double value = lua_tonumber(w->L, -1);
  if (!isfinite(value))
    refuse(w->L, "infinity, or what is not a number");
  char text[40];
  for (; w->digits < 17; w->digits++) {
    snprintf(text, sizeof text, "%.*g", w->digits, value);
    if (strtod(text, NULL) >= value && strtod(text, NULL) <= value)
      break;
  }
  return json_real(value);
}

/* Push the key on top as text, as Python would write it. */
static const char *key_text(lua_State *L, size_t *len) {
  if (lua_type(L, -1) == LUA_TBOOLEAN)
    lua_pushstring(L, lua_toboolean(L, -1) ? "true" : "false");
  else if (lua_type(L, -1) == LUA_TTABLE || lua_isinteger(L, -1) ||
           lua_type(L, -1) == LUA_TSTRING)
    luaL_tolstring(L, -1, NULL); /* the only table that is a key is null */
  else
    refuse(L, "a key that is neither text nor a whole number");
  return lua_tolstring(L, -1, len);
}

/* The pairs of the map on top, as the iterator of kb.data gives them. The json
** is owned by `into`, which the root owns. */
static void add_pairs(struct walk *w, json_t *into) {
  lua_State *L = w->L;
  int top = lua_gettop(L);
  lua_pushvalue(L, AT_PAIRS);
  lua_pushvalue(L, top);
  lua_call(L, 1, 3); /* iterator, state, key at top + 1, + 2, + 3 */
  for (;;) {
    size_t len;
    lua_pushvalue(L, top + 1);
    lua_pushvalue(L, top + 2);
    lua_pushvalue(L, top + 3);
    lua_call(L, 2, 2); /* key, value at top + 4, + 5 */
    if (lua_isnil(L, top + 4))
      break;
    lua_copy(L, top + 4, top + 3);
    lua_insert(L, top + 4); /* the value below its key */
    const char *key = key_text(L, &len);
    lua_pushvalue(L, top + 4);
    if (json_object_setn_new(into, key, len, from_lua(w)) < 0)
      refuse(L, "a key that is not UTF-8");
    lua_settop(L, top + 3);
  }
  lua_settop(L, top);
}

static void add_items(struct walk *w, json_t *into) {
  lua_Integer n = luaL_len(w->L, -1);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_geti(w->L, -1, i);
    json_array_append_new(into, from_lua(w));
    lua_pop(w->L, 1);
  }
}

/* A collection is filled only once a holder on the stack owns it, so that an
** error in the middle frees it. */
static json_t *from_table(struct walk *w, bool map) {
  lua_State *L = w->L;
  deeper(w);
  json_t **holder = bind_new(L, ROOT, sizeof *holder, 0);
  *holder = map ? json_object() : json_array();
  lua_insert(L, -2);
  if (map)
    add_pairs(w, *holder);
  else
    add_items(w, *holder);
  lua_remove(L, -2);
  w->depth--;
  return json_incref(*holder);
}

/* Text of one's own for what JSON has no form for, when the caller gave a
** function for it. */
static json_t *from_other(struct walk *w) {
  lua_State *L = w->L;
  if (!lua_isfunction(L, AT_OTHER))
    refuse(L, luaL_typename(L, -1));
  lua_pushvalue(L, AT_OTHER);
  lua_pushvalue(L, -2);
  lua_call(L, 1, 1);
  lua_replace(L, -2);
  if (lua_type(L, -1) != LUA_TSTRING)
    refuse(L, luaL_typename(L, -1));
  return from_string(w);
}

static json_t *from_kind(struct walk *w) {
  lua_State *L = w->L;
  lua_pushvalue(L, AT_KIND);
  lua_pushvalue(L, -2);
  lua_call(L, 1, 1);
  const char *kind = lua_tostring(L, -1);
  bool map = kind != NULL && strcmp(kind, "map") == 0;
  bool list = kind != NULL && strcmp(kind, "list") == 0;
  bool null = kind != NULL && strcmp(kind, "null") == 0;
  lua_pop(L, 1);
  if (map || list)
    return from_table(w, map);
  return null ? json_null() : from_other(w);
}

/* The value on top, as a new reference; the stack is as before. */
static json_t *from_lua(struct walk *w) {
  switch (lua_type(w->L, -1)) {
  case LUA_TBOOLEAN:
    return json_boolean(lua_toboolean(w->L, -1));
  case LUA_TNUMBER:
    return from_number(w);
  case LUA_TSTRING:
    return from_string(w);
  case LUA_TTABLE:
  case LUA_TUSERDATA:
    return from_kind(w);
  default:
    return from_other(w);
  }
}

/*** A value as JSON. Raises when it holds what JSON cannot say.
** @param value any
** @param options table: kind, pairs (as of kb.data), other (function: text for
** a value of another kind), text (function: repairs a text that is not UTF-8),
** indent (integer), sort, ascii, compact (booleans), max_depth
** @return string */
static int json_encode(lua_State *L) {
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  lua_getfield(L, 2, "kind");
  lua_getfield(L, 2, "pairs");
  lua_getfield(L, 2, "other");
  lua_getfield(L, 2, "text");
  lua_Integer indent = bind_field_integer(L, 2, "indent", 0);
  luaL_argcheck(L, indent >= 0 && indent <= 31, 2, "indent is 0 to 31");
  struct walk w = {.L = L, .digits = 15};
  w.max_depth = (int)bind_field_integer(L, 2, "max_depth", MAX_DEPTH);
  json_t **root = bind_new(L, ROOT, sizeof *root, 0);
  lua_pushvalue(L, 1);
  *root = from_lua(&w);
  size_t flags = JSON_ENCODE_ANY | JSON_INDENT((size_t)indent) |
                 JSON_REAL_PRECISION((size_t)w.digits);
  flags |= bind_field_boolean(L, 2, "sort", 0) ? JSON_SORT_KEYS : 0;
  flags |= bind_field_boolean(L, 2, "ascii", 0) ? JSON_ENSURE_ASCII : 0;
  flags |= bind_field_boolean(L, 2, "compact", 0) ? JSON_COMPACT : 0;
  char *text = json_dumps(*root, flags);
  if (text == NULL)
    return luaL_error(L, "not enough memory for JSON");
  lua_pushstring(L, text);
  free(text);
  return 1;
}

static void to_lua(lua_State *L, const json_t *value, int depth);

static void push_map(lua_State *L, json_t *object, int depth) {
  lua_pushvalue(L, AT_MAP);
  lua_call(L, 0, 1);
  for (void *i = json_object_iter(object); i != NULL;
       i = json_object_iter_next(object, i)) {
    lua_pushlstring(L, json_object_iter_key(i), json_object_iter_key_len(i));
    to_lua(L, json_object_iter_value(i), depth - 1);
    lua_settable(L, -3);
  }
}

static void push_list(lua_State *L, const json_t *array, int depth) {
  size_t n = json_array_size(array);
  lua_pushvalue(L, AT_LIST);
  lua_createtable(L, (int)n, 0);
  lua_call(L, 1, 1);
  for (size_t i = 0; i < n; i++) {
    to_lua(L, json_array_get(array, i), depth - 1);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static void to_lua(lua_State *L, const json_t *value, int depth) {
  if (depth < 0)
    luaL_error(L, "nested too deep");
  luaL_checkstack(L, 6, "JSON");
  switch (json_typeof(value)) {
  case JSON_OBJECT:
    push_map(L, (json_t *)(uintptr_t)value, depth);
    break;
  case JSON_ARRAY:
    push_list(L, value, depth);
    break;
  case JSON_STRING:
    lua_pushlstring(L, json_string_value(value), json_string_length(value));
    break;
  case JSON_INTEGER:
    lua_pushinteger(L, json_integer_value(value));
    break;
  case JSON_REAL:
    lua_pushnumber(L, json_real_value(value));
    break;
  case JSON_NULL:
    lua_pushvalue(L, AT_NULL);
    break;
  default:
    lua_pushboolean(L, json_is_true(value));
  }
}

static int decode_failure(lua_State *L, const json_error_t *error) {
  bind_fail(L, KB_EINVAL, "%s", error->text);
  lua_pushinteger(L, error->line < 1 ? 1 : error->line);
  lua_pushinteger(L, error->column < 0 ? 0 : error->column);
  return 5;
}

/*** Read JSON: one value of any type, keys in their order, none twice.
** @param text string
** @param options table: map (function making an empty one), list (function
** marking a table), null (the value for it), max_depth
** @return the value; or nil, message, "EINVAL", line, column */
static int json_decode(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  lua_getfield(L, 2, "map");
  lua_getfield(L, 2, "list");
  lua_getfield(L, 2, "null");
  int depth = (int)bind_field_integer(L, 2, "max_depth", MAX_DEPTH);
  json_t **root = bind_new(L, ROOT, sizeof *root, 0);
  json_error_t error;
  *root = json_loadb(text, len,
                     JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL,
                     &error);
  if (*root == NULL)
    return decode_failure(L, &error);
  to_lua(L, *root, depth);
  return 1;
}

static const luaL_Reg functions[] = {
    {"encode", json_encode}, {"decode", json_decode}, {NULL, NULL}};
static const luaL_Reg no_methods[] = {{NULL, NULL}};
static const luaL_Reg root_meta[] = {{"__gc", root_gc}, {NULL, NULL}};

int luaopen_kb_json(lua_State *L) {
  bind_class(L, ROOT, no_methods, root_meta);
  luaL_newlib(L, functions);
  return 1;
}
