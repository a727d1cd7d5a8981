/* kb.core.yaml: libyaml's events to Lua, and its emitter. What the events mean
** (types, merge keys, limits) is decided in kb.yaml. */
#include "bind.h"
#include "libs.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define PARSER  "kb.yaml.parser"
#define EMITTER "kb.yaml.emitter"

/* The text is the user value of the userdata: libyaml reads it in place. */
struct parser {
  bool open;
  yaml_parser_t yaml;
};

/*** Free the parser before the collector does. */
static int parser_gc(lua_State *L) {
  struct parser *p = luaL_checkudata(L, 1, PARSER);
  if (p->open)
    yaml_parser_delete(&p->yaml);
  p->open = false;
  return 0;
}

static const char *const scalar_styles[] = {"any",    "plain",   "single",
                                            "double", "literal", "folded"};

static void push_text(lua_State *L, const yaml_char_t *text) {
  lua_pushstring(L, (const char *)text);
}

/* Push value, style, tag, anchor: what the kinds of nodes share. */
static int push_node(lua_State *L, const char *style, const yaml_char_t *tag,
                     const yaml_char_t *anchor) {
  lua_pushstring(L, style);
  push_text(L, tag);
  push_text(L, anchor);
  return 4;
}

static int push_scalar(lua_State *L, const yaml_event_t *e) {
  lua_pushlstring(L, (const char *)e->data.scalar.value, e->data.scalar.length);
  return push_node(L, scalar_styles[e->data.scalar.style], e->data.scalar.tag,
                   e->data.scalar.anchor);
}

static int push_sequence(lua_State *L, const yaml_event_t *e) {
  lua_pushnil(L);
  bool flow = e->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
  return push_node(L, flow ? "flow" : "block", e->data.sequence_start.tag,
                   e->data.sequence_start.anchor);
}

static int push_mapping(lua_State *L, const yaml_event_t *e) {
  lua_pushnil(L);
  bool flow = e->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
  return push_node(L, flow ? "flow" : "block", e->data.mapping_start.tag,
                   e->data.mapping_start.anchor);
}

/* Push the fields of the event after its kind and place; their number. */
static int push_fields(lua_State *L, const yaml_event_t *e) {
  switch (e->type) {
  case YAML_SCALAR_EVENT:
    return push_scalar(L, e);
  case YAML_SEQUENCE_START_EVENT:
    return push_sequence(L, e);
  case YAML_MAPPING_START_EVENT:
    return push_mapping(L, e);
  case YAML_ALIAS_EVENT:
    push_text(L, e->data.alias.anchor);
    return 1;
  default:
    return 0;
  }
}

/* In the order of yaml_event_type_t. */
static const char *const kinds[] = {
    NULL,     "stream",   "end",   "document", "document-end", "alias",
    "scalar", "sequence", "close", "mapping",  "close"};

/*** Read YAML as a stream of events.
** @param text string: UTF-8
** @return parser */
static int yaml_parse(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  struct parser *p = bind_new(L, PARSER, sizeof *p, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  if (!yaml_parser_initialize(&p->yaml))
    return luaL_error(L, "not enough memory");
  p->open = true;
  yaml_parser_set_encoding(&p->yaml, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&p->yaml, (const unsigned char *)text, len);
  return 1;
}

static size_t line_at(const char *text, size_t offset) {
  size_t line = 1;
  for (size_t i = 0; i < offset; i++)
    line += text[i] == '\n';
  return line;
}

/* The parser's error as nil, message, "EINVAL", line, column. */
static int parse_failure(lua_State *L, const yaml_parser_t *y) {
  size_t len, line = y->problem_mark.line + 1;
  size_t column = y->problem_mark.column + 1;
  if (y->error == YAML_READER_ERROR) { /* knows only the byte's offset */
    lua_getiuservalue(L, 1, 1);
    const char *text = lua_tolstring(L, -1, &len);
    line = line_at(text, y->problem_offset < len ? y->problem_offset : len);
    column = 1;
  }
  const char *problem = y->problem != NULL ? y->problem : "not enough memory";
  if (y->context != NULL && y->context_mark.line != y->problem_mark.line)
    bind_fail(L, KB_EINVAL, "%s (%s that began on line %zu)", problem,
              y->context, y->context_mark.line + 1);
  else
    bind_fail(L, KB_EINVAL, "%s", problem);
  lua_pushinteger(L, (lua_Integer)line);
  lua_pushinteger(L, (lua_Integer)column);
  return 5;
}

/*** The next event.
** @return kind ("stream", "document", "scalar", "sequence", "mapping", "alias",
** "close" of a sequence or mapping, "document-end", "end"), line, column, and
** for nodes: value (scalars), style, tag, anchor; for aliases: the anchor. At
** an error nil, message, "EINVAL", line, column */
static int parser_next(lua_State *L) {
  struct parser *p = luaL_checkudata(L, 1, PARSER);
  luaL_argcheck(L, p->open, 1, "the parser is closed");
  yaml_event_t e;
  if (!yaml_parser_parse(&p->yaml, &e))
    return parse_failure(L, &p->yaml);
  lua_pushstring(L, e.type == YAML_NO_EVENT ? "end" : kinds[e.type]);
  lua_pushinteger(L, (lua_Integer)e.start_mark.line + 1);
  lua_pushinteger(L, (lua_Integer)e.start_mark.column + 1);
  int fields = push_fields(L, &e);
  yaml_event_delete(&e);
  return 3 + fields;
}

/* Open collections are remembered, because libyaml must be told of which kind
** the one is that closes. */
enum { MAX_DEPTH = 512 };

struct emitter {
  bool open;
  yaml_emitter_t yaml;
  char *out;
  size_t len, room;
  int depth;
  bool mapping[MAX_DEPTH];
};

static int emitter_gc(lua_State *L) {
  struct emitter *e = luaL_checkudata(L, 1, EMITTER);
  if (e->open)
    yaml_emitter_delete(&e->yaml);
  free(e->out);
  e->open = false;
  e->out = NULL;
  return 0;
}

/* libyaml's write handler: 1 is success. */
static int append(void *data, unsigned char *bytes, size_t n) {
  struct emitter *e = data;
  if (e->room - e->len < n) {
    size_t room = (e->room + n) * 2;
    char *out = realloc(e->out, room);
    if (out == NULL)
      return 0;
    e->out = out;
    e->room = room;
  }
  memcpy(e->out + e->len, bytes, n);
  e->len += n;
  return 1;
}

static struct emitter *check_emitter(lua_State *L) {
  struct emitter *e = luaL_checkudata(L, 1, EMITTER);
  luaL_argcheck(L, e->open, 1, "the emitter is finished");
  return e;
}

/* Hand the event over, which libyaml frees; made: the event could be made. */
static int send(lua_State *L, struct emitter *e, yaml_event_t *event,
                int made) {
  if (!made || !yaml_emitter_emit(&e->yaml, event))
    return luaL_error(L, "cannot write YAML: %s",
                      e->yaml.problem != NULL ? e->yaml.problem
                                              : "a text is not UTF-8");
  lua_settop(L, 1);
  return 1;
}

/*** Write YAML event by event.
** @param options table or nil: indent (2), width (of lines; -1, the default,
** does not fold), ascii (boolean: escape all else)
** @return emitter */
static int yaml_emit(lua_State *L) {
  if (lua_isnoneornil(L, 1)) {
    lua_settop(L, 0);
    lua_newtable(L);
  }
  int indent = (int)bind_field_integer(L, 1, "indent", 2);
  int width = (int)bind_field_integer(L, 1, "width", -1);
  int ascii = bind_field_boolean(L, 1, "ascii", 0);
  struct emitter *e = bind_new(L, EMITTER, sizeof *e, 0);
  if (!yaml_emitter_initialize(&e->yaml))
    return luaL_error(L, "not enough memory");
  e->open = true;
  yaml_emitter_set_output(&e->yaml, append, e);
  yaml_emitter_set_encoding(&e->yaml, YAML_UTF8_ENCODING);
  yaml_emitter_set_indent(&e->yaml, indent);
  yaml_emitter_set_width(&e->yaml, width);
  yaml_emitter_set_unicode(&e->yaml, !ascii);
  yaml_event_t event;
  int made = yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING);
  lua_replace(L, 1);
  return send(L, e, &event, made);
}

/*** Begin a document.
** @param explicit boolean: write its "---"
** @return the emitter */
static int emitter_document(lua_State *L) {
  struct emitter *e = check_emitter(L);
  yaml_event_t event;
  int made = yaml_document_start_event_initialize(&event, NULL, NULL, NULL,
                                                  !lua_toboolean(L, 2));
  return send(L, e, &event, made);
}

/*** End a document.
** @return the emitter */
static int emitter_document_end(lua_State *L) {
  struct emitter *e = check_emitter(L);
  yaml_event_t event;
  int made = yaml_document_end_event_initialize(&event, 1);
  return send(L, e, &event, made);
}

/*** Write a scalar.
** @param text string
** @param style string: "plain", "single", "double", "literal" or "folded";
** where the text cannot be written so, libyaml takes one in which it can
** @param tag string: written when given, as "!vault"
** @return the emitter */
static int emitter_scalar(lua_State *L) {
  struct emitter *e = check_emitter(L);
  size_t len;
  const char *text = luaL_checklstring(L, 2, &len);
  int style = luaL_checkoption(L, 3, "any", scalar_styles);
  const char *tag = luaL_optstring(L, 4, NULL);
  yaml_event_t event;
  int made = yaml_scalar_event_initialize(
      &event, NULL, (const yaml_char_t *)tag, (const yaml_char_t *)text,
      (int)len, tag == NULL, tag == NULL, (yaml_scalar_style_t)style);
  return send(L, e, &event, made);
}

static int open_collection(lua_State *L, bool mapping) {
  struct emitter *e = check_emitter(L);
  int flow = lua_toboolean(L, 2), made;
  if (e->depth == MAX_DEPTH)
    return luaL_error(L, "the value is nested deeper than %d", MAX_DEPTH);
  yaml_event_t event;
  if (mapping)
    made = yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
                                               flow ? YAML_FLOW_MAPPING_STYLE
                                                    : YAML_BLOCK_MAPPING_STYLE);
  else
    made = yaml_sequence_start_event_initialize(
        &event, NULL, NULL, 1,
        flow ? YAML_FLOW_SEQUENCE_STYLE : YAML_BLOCK_SEQUENCE_STYLE);
  e->mapping[e->depth++] = mapping;
  return send(L, e, &event, made);
}

/*** Begin a mapping; its keys and values follow in turn.
** @param flow boolean: write it as {...}
** @return the emitter */
static int emitter_mapping(lua_State *L) {
  return open_collection(L, true);
}

/*** Begin a sequence.
** @param flow boolean: write it as [...]
** @return the emitter */
static int emitter_sequence(lua_State *L) {
  return open_collection(L, false);
}

/*** End the innermost mapping or sequence.
** @return the emitter */
static int emitter_close(lua_State *L) {
  struct emitter *e = check_emitter(L);
  luaL_argcheck(L, e->depth > 0, 1, "nothing is open");
  yaml_event_t event;
  int made = e->mapping[--e->depth]
                 ? yaml_mapping_end_event_initialize(&event)
                 : yaml_sequence_end_event_initialize(&event);
  return send(L, e, &event, made);
}

/*** Finish, and give what was written.
** @return string */
static int emitter_finish(lua_State *L) {
  struct emitter *e = check_emitter(L);
  yaml_event_t event;
  int made = yaml_stream_end_event_initialize(&event);
  send(L, e, &event, made);
  lua_pushlstring(L, e->out, e->len);
  emitter_gc(L);
  return 1;
}

static const luaL_Reg functions[] = {
    {"parse", yaml_parse}, {"emit", yaml_emit}, {NULL, NULL}};
static const luaL_Reg parser_methods[] = {
    {"next", parser_next}, {"close", parser_gc}, {NULL, NULL}};
static const luaL_Reg parser_meta[] = {{"__gc", parser_gc}, {NULL, NULL}};
static const luaL_Reg emitter_methods[] = {
    {"document", emitter_document}, {"document_end", emitter_document_end},
    {"scalar", emitter_scalar},     {"mapping", emitter_mapping},
    {"sequence", emitter_sequence}, {"close", emitter_close},
    {"finish", emitter_finish},     {NULL, NULL}};
static const luaL_Reg emitter_meta[] = {{"__gc", emitter_gc}, {NULL, NULL}};

int luaopen_kb_yaml(lua_State *L) {
  bind_class(L, PARSER, parser_methods, parser_meta);
  bind_class(L, EMITTER, emitter_methods, emitter_meta);
  luaL_newlib(L, functions);
  return 1;
}
