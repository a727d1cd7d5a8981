/* kb.core.zstd: compression of data that comes in pieces. */
#include "bind.h"
#include "libs.h"

#include <zstd.h>

#define COMPRESSOR   "kb.compressor"
#define DECOMPRESSOR "kb.decompressor"

struct compressor {
  ZSTD_CCtx *ctx; /* NULL when closed */
};

struct decompressor {
  ZSTD_DCtx *ctx;   /* NULL when closed */
  ZSTD_inBuffer in; /* of the string that give keeps as the user value */
  bool whole;       /* nothing of a frame is outstanding */
};

static int zstd_fail(lua_State *L, size_t code) {
  return bind_fail(L, KB_EINVAL, "zstd: %s", ZSTD_getErrorName(code));
}

/*** Start to compress.
** @param level integer: 1 (fast, the default) to 19 (small)
** @return compressor: with feed, finish and close */
static int zstd_compressor(lua_State *L) {
  lua_Integer level = luaL_optinteger(L, 1, 1);
  luaL_argcheck(L, level >= 1 && level <= 19, 1, "must be 1 to 19");
  struct compressor *c = bind_new(L, COMPRESSOR, sizeof *c, 0);
  c->ctx = ZSTD_createCCtx();
  if (c->ctx == NULL)
    return luaL_error(L, "not enough memory to compress");
  ZSTD_CCtx_setParameter(c->ctx, ZSTD_c_compressionLevel, (int)level);
  ZSTD_CCtx_setParameter(c->ctx, ZSTD_c_checksumFlag, 1);
  return 1;
}

static struct compressor *check_compressor(lua_State *L) {
  struct compressor *c = luaL_checkudata(L, 1, COMPRESSOR);
  luaL_argcheck(L, c->ctx != NULL, 1, "the compressor is closed");
  return c;
}

static int compress(lua_State *L, const char *data, size_t len,
                    ZSTD_EndDirective mode) {
  struct compressor *c = check_compressor(L);
  ZSTD_inBuffer in = {data, len, 0};
  size_t room = ZSTD_CStreamOutSize(), left = 0;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  do {
    ZSTD_outBuffer out = {luaL_prepbuffsize(&b, room), room, 0};
    left = ZSTD_compressStream2(c->ctx, &out, &in, mode);
    if (ZSTD_isError(left))
      return zstd_fail(L, left);
    luaL_addsize(&b, out.pos);
  } while (in.pos < in.size || (mode == ZSTD_e_end && left > 0));
  luaL_pushresult(&b);
  return 1;
}

/*** Take a piece.
** @param data string
** @return string: what is ready, maybe empty */
static int compressor_feed(lua_State *L) {
  size_t len;
  const char *data = luaL_checklstring(L, 2, &len);
  return compress(L, data, len, ZSTD_e_continue);
}

/*** End the data.
** @return string: the rest of it, compressed */
static int compressor_finish(lua_State *L) {
  return compress(L, "", 0, ZSTD_e_end);
}

/*** Give the memory back; safe to repeat. */
static int compressor_close(lua_State *L) {
  struct compressor *c = luaL_checkudata(L, 1, COMPRESSOR);
  ZSTD_freeCCtx(c->ctx);
  c->ctx = NULL;
  return 0;
}

/*** Start to decompress.
** @return decompressor: with feed, or give and take; finish and close */
static int zstd_decompressor(lua_State *L) {
  struct decompressor *d = bind_new(L, DECOMPRESSOR, sizeof *d, 1);
  d->ctx = ZSTD_createDCtx();
  if (d->ctx == NULL)
    return luaL_error(L, "not enough memory to decompress");
  d->whole = true;
  return 1;
}

static struct decompressor *check_decompressor(lua_State *L) {
  struct decompressor *d = luaL_checkudata(L, 1, DECOMPRESSOR);
  luaL_argcheck(L, d->ctx != NULL, 1, "the decompressor is closed");
  return d;
}

/* One step; the bytes of it, or the library's error. A step without input that
** follows a frame's end asks for the next frame: this one stays whole. */
static size_t step(struct decompressor *d, ZSTD_outBuffer *out,
                   ZSTD_inBuffer *in) {
  size_t before = in->pos, had = out->pos;
  size_t left = ZSTD_decompressStream(d->ctx, out, in);
  if (ZSTD_isError(left))
    return left;
  if (in->pos > before || out->pos > had)
    d->whole = left == 0;
  return out->pos - had;
}

/*** Take a piece of compressed data.
** @param data string
** @param most integer: refuse to return more than this many bytes (64 MiB), so
** that a small piece cannot fill the memory
** @return string: what it holds, maybe empty; or nil, message, "EINVAL" */
static int decompressor_feed(lua_State *L) {
  size_t len;
  struct decompressor *d = check_decompressor(L);
  const char *data = luaL_checklstring(L, 2, &len);
  size_t most = (size_t)luaL_optinteger(L, 3, 64 << 20), total = 0;
  ZSTD_inBuffer in = {data, len, 0};
  size_t room = ZSTD_DStreamOutSize();
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  ZSTD_outBuffer out;
  do {
    out = (ZSTD_outBuffer){luaL_prepbuffsize(&b, room), room, 0};
    size_t n = step(d, &out, &in);
    if (ZSTD_isError(n))
      return zstd_fail(L, n);
    luaL_addsize(&b, out.pos);
    total += out.pos;
    if (total > most)
      return bind_fail(L, KB_EINVAL, "zstd: more than %zu bytes", most);
  } while (in.pos < in.size || out.pos == out.size);
  luaL_pushresult(&b);
  return 1;
}

/*** Give it compressed bytes for take, which must have taken all given before.
** This is for data of which a little may hold much: take is bounded.
** @param data string */
static int decompressor_give(lua_State *L) {
  size_t len;
  struct decompressor *d = check_decompressor(L);
  const char *data = luaL_checklstring(L, 2, &len);
  luaL_argcheck(L, d->in.pos == d->in.size, 2,
                "what was given is not taken yet");
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, 1);
  d->in = (ZSTD_inBuffer){data, len, 0};
  return 0;
}

/*** Take what was decompressed of the bytes given.
** @param max integer: at most so many bytes (65536)
** @return string, empty when it wants to be given more; or nil, message,
** "EINVAL" */
static int decompressor_take(lua_State *L) {
  struct decompressor *d = check_decompressor(L);
  lua_Integer max = luaL_optinteger(L, 2, 65536);
  luaL_argcheck(L, max > 0 && max <= INT32_MAX, 2, "out of range");
  luaL_Buffer b;
  ZSTD_outBuffer out = {luaL_buffinitsize(L, &b, (size_t)max), (size_t)max, 0};
  size_t n = 0, before;
  do { /* also without input: it may hold what did not fit before */
    before = d->in.pos;
    n = step(d, &out, &d->in);
  } while (!ZSTD_isError(n) && out.pos < out.size &&
           (n > 0 || d->in.pos > before));
  luaL_pushresultsize(&b, out.pos);
  return ZSTD_isError(n) ? zstd_fail(L, n) : 1;
}

/*** Check that the data was whole.
** @return true; or nil, message, "EINVAL" */
static int decompressor_finish(lua_State *L) {
  const struct decompressor *d = check_decompressor(L);
  if (!d->whole || d->in.pos < d->in.size)
    return bind_fail(L, KB_EINVAL, "zstd: the data ends too early");
  lua_pushboolean(L, 1);
  return 1;
}

/*** Give the memory back; safe to repeat. */
static int decompressor_close(lua_State *L) {
  struct decompressor *d = luaL_checkudata(L, 1, DECOMPRESSOR);
  ZSTD_freeDCtx(d->ctx);
  d->ctx = NULL;
  return 0;
}

static const luaL_Reg functions[] = {{"compressor", zstd_compressor},
                                     {"decompressor", zstd_decompressor},
                                     {NULL, NULL}};
static const luaL_Reg compressor_methods[] = {{"feed", compressor_feed},
                                              {"finish", compressor_finish},
                                              {"close", compressor_close},
                                              {NULL, NULL}};
static const luaL_Reg compressor_meta[] = {{"__gc", compressor_close},
                                           {NULL, NULL}};
static const luaL_Reg decompressor_methods[] = {
    {"feed", decompressor_feed},   {"give", decompressor_give},
    {"take", decompressor_take},   {"finish", decompressor_finish},
    {"close", decompressor_close}, {NULL, NULL}};
static const luaL_Reg decompressor_meta[] = {{"__gc", decompressor_close},
                                             {NULL, NULL}};

int luaopen_kb_zstd(lua_State *L) {
  bind_class(L, COMPRESSOR, compressor_methods, compressor_meta);
  bind_class(L, DECOMPRESSOR, decompressor_methods, decompressor_meta);
  luaL_newlib(L, functions);
  return 1;
}
