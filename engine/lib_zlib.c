/* kb.core.zlib: gzip, put together and taken apart in pieces. */
#include "bind.h"
#include "libs.h"

#include <zlib.h>

#define COMPRESSOR   "kb.gzip_compressor"
#define DECOMPRESSOR "kb.gzip"
#define GZIP_ONLY    (MAX_WBITS + 16)
#define MEMORY       8     /* zlib's own default */
#define ROOM         65536 /* for compressed data, at a time */

struct compressor {
  z_stream z;
  bool open;
};

struct decompressor {
  z_stream z;
  bool open, between; /* between members: nothing of one has been read */
};

/*** Start to compress. What comes out depends on the data and the level alone:
** there is no time and no name in it.
** @param level integer: 1 (fast) to 9 (small); 6 if absent
** @return compressor: with feed and finish */
static int zlib_compressor(lua_State *L) {
  lua_Integer level = luaL_optinteger(L, 1, 6);
  luaL_argcheck(L, level >= 1 && level <= 9, 1, "must be 1 to 9");
  struct compressor *c = bind_new(L, COMPRESSOR, sizeof *c, 0);
  if (deflateInit2(&c->z, (int)level, Z_DEFLATED, GZIP_ONLY, MEMORY,
                   Z_DEFAULT_STRATEGY) != Z_OK)
    return luaL_error(L, "not enough memory to compress");
  c->open = true;
  return 1;
}

/* Compress what is given, and push what came out. */
static int compress_piece(lua_State *L, const char *data, size_t len,
                          int flush) {
  struct compressor *c = luaL_checkudata(L, 1, COMPRESSOR);
  luaL_argcheck(L, c->open, 1, "closed");
  luaL_argcheck(L, len <= UINT32_MAX, 2, "too long");
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  c->z.next_in = (unsigned char *)(uintptr_t)data;
  c->z.avail_in = (unsigned)len;
  do {
    c->z.next_out = (unsigned char *)luaL_prepbuffsize(&b, ROOM);
    c->z.avail_out = ROOM;
    KB_MUST(deflate(&c->z, flush) != Z_STREAM_ERROR);
    luaL_addsize(&b, ROOM - c->z.avail_out);
  } while (c->z.avail_out == 0);
  luaL_pushresult(&b);
  return 1;
}

static int compressor_gc(lua_State *L) {
  struct compressor *c = luaL_checkudata(L, 1, COMPRESSOR);
  if (c->open)
    deflateEnd(&c->z);
  c->open = false;
  return 0;
}

/*** Take a piece.
** @param data string
** @return string: what is ready, maybe empty */
static int compressor_feed(lua_State *L) {
  size_t len;
  const char *data = luaL_checklstring(L, 2, &len);
  return compress_piece(L, data, len, Z_NO_FLUSH);
}

/*** End the data; the compressor ends with it.
** @return string: the rest of it, compressed */
static int compressor_finish(lua_State *L) {
  compress_piece(L, "", 0, Z_FINISH);
  compressor_gc(L);
  return 1;
}

/*** Start taking gzip apart.
** @return decompressor: with give, take and finish */
static int zlib_decompressor(lua_State *L) {
  struct decompressor *d = bind_new(L, DECOMPRESSOR, sizeof *d, 1);
  if (inflateInit2(&d->z, GZIP_ONLY) != Z_OK)
    return bind_fail(L, KB_ENOMEM, "no memory to decompress");
  d->open = d->between = true;
  return 1;
}

static struct decompressor *check(lua_State *L) {
  struct decompressor *d = luaL_checkudata(L, 1, DECOMPRESSOR);
  luaL_argcheck(L, d->open, 1, "closed");
  return d;
}

/*** Give it compressed bytes for take, which must have taken all given before.
** @param data string */
static int decompressor_give(lua_State *L) {
  size_t len;
  struct decompressor *d = check(L);
  const char *data = luaL_checklstring(L, 2, &len);
  luaL_argcheck(L, len <= UINT32_MAX, 2, "too long");
  luaL_argcheck(L, d->z.avail_in == 0, 2, "what was given is not taken yet");
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, 1); /* the string lives while it is used */
  d->z.next_in = (unsigned char *)(uintptr_t)data;
  d->z.avail_in = (unsigned)len;
  return 0;
}

/* What may stand between and after members: zeros that pad to a block. */
static void skip_zeros(struct decompressor *d) {
  while (d->between && d->z.avail_in > 0 && *d->z.next_in == 0) {
    d->z.next_in++;
    d->z.avail_in--;
  }
}

/* One step: Z_OK while there may be more, Z_BUF_ERROR when it stands still. */
static int step(struct decompressor *d) {
  skip_zeros(d);
  if (d->between && d->z.avail_in == 0)
    return Z_BUF_ERROR;
  d->between = false;
  int rc =
      inflate(&d->z, Z_NO_FLUSH); /* also without input: it may hold some */
  if (rc != Z_STREAM_END)
    return rc;
  d->between = true; /* another member may follow */
  return inflateReset(&d->z);
}

/*** Take what was decompressed of the bytes given.
** @param max integer: at most so many bytes (65536)
** @return string, empty when it wants to be given more; or nil, message,
** "EINVAL" */
static int decompressor_take(lua_State *L) {
  struct decompressor *d = check(L);
  lua_Integer max = luaL_optinteger(L, 2, 65536);
  luaL_argcheck(L, max > 0 && max <= INT32_MAX, 2, "out of range");
  luaL_Buffer b;
  d->z.next_out = (unsigned char *)luaL_buffinitsize(L, &b, (size_t)max);
  d->z.avail_out = (unsigned)max;
  int rc = Z_OK;
  while (rc == Z_OK && d->z.avail_out > 0)
    rc = step(d);
  luaL_pushresultsize(&b, (size_t)max - d->z.avail_out);
  if (rc == Z_OK || rc == Z_BUF_ERROR)
    return 1;
  return bind_fail(L, KB_EINVAL, "gzip: %s",
                   d->z.msg != NULL ? d->z.msg : "wrong data");
}

/*** Check that the data was whole.
** @return true; or nil, message, "EINVAL" */
static int decompressor_finish(lua_State *L) {
  const struct decompressor *d = check(L);
  if (!d->between || d->z.avail_in > 0)
    return bind_fail(L, KB_EINVAL, "gzip: the data ends too early");
  lua_pushboolean(L, 1);
  return 1;
}

static int decompressor_gc(lua_State *L) {
  struct decompressor *d = luaL_checkudata(L, 1, DECOMPRESSOR);
  if (d->open)
    inflateEnd(&d->z);
  d->open = false;
  return 0;
}

static const luaL_Reg functions[] = {{"compressor", zlib_compressor},
                                     {"decompressor", zlib_decompressor},
                                     {NULL, NULL}};
static const luaL_Reg compressor_methods[] = {
    {"feed", compressor_feed}, {"finish", compressor_finish}, {NULL, NULL}};
static const luaL_Reg compressor_meta[] = {{"__gc", compressor_gc},
                                           {NULL, NULL}};
static const luaL_Reg methods[] = {{"finish", decompressor_finish},
                                   {"give", decompressor_give},
                                   {"take", decompressor_take},
                                   {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", decompressor_gc}, {NULL, NULL}};

int luaopen_kb_zlib(lua_State *L) {
  bind_class(L, COMPRESSOR, compressor_methods, compressor_meta);
  bind_class(L, DECOMPRESSOR, methods, meta);
  luaL_newlib(L, functions);
  return 1;
}
