#include "stream.h"

#include "bind.h"
#include "task.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAM "kb.stream"

enum { READ_SIZE = 65536 };

struct stream {
  struct loop *loop;
  struct loop_io io; /* fd is -1 when closed */
  struct waiters readers, writers;
};

static void ready(struct loop_io *io, uint32_t events) {
  struct stream *s = KB_OWNER(io, struct stream, io);
  uint32_t broken = events & (EPOLLERR | EPOLLHUP);
  if (events & EPOLLIN || broken)
    task_wake_all(&s->readers);
  if (events & EPOLLOUT || broken)
    task_wake_all(&s->writers);
  uint32_t wanted = (s->readers.first != NULL ? EPOLLIN : 0U) |
                    (s->writers.first != NULL ? EPOLLOUT : 0U);
  loop_watch(s->loop, io, wanted);
}

/* Wait for one of EPOLLIN, EPOLLOUT; the watch lasts only while one waits. */
static int again(lua_State *L, struct stream *s, uint32_t event) {
  if (loop_watch(s->loop, &s->io, s->io.events | event) < 0) {
    if (errno != EPERM)
      return bind_fail(L, KB_ESYSTEM, "watching a stream");
    return task_again_until(L, NULL, loop_now());
  }
  return task_again(L, event == EPOLLIN ? &s->readers : &s->writers);
}

static struct stream *check(lua_State *L, int idx) {
  struct stream *s = luaL_checkudata(L, idx, STREAM);
  luaL_argcheck(L, s->io.fd >= 0, idx, "the stream is closed");
  return s;
}

void stream_push(lua_State *L, int fd) {
  struct stream *s = bind_new(L, STREAM, sizeof *s, 0);
  s->loop = task_loop(L);
  s->io.fd = fd;
  s->io.ready = ready;
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

int stream_fd(lua_State *L, int idx) {
  return check(L, idx)->io.fd;
}

int stream_detach(lua_State *L, int idx) {
  struct stream *s = check(L, idx);
  int fd = s->io.fd;
  loop_unwatch(s->loop, &s->io);
  s->io.fd = -1;
  return fd;
}

static int read_try(lua_State *L) {
  struct stream *s = check(L, 1);
  size_t want = (size_t)luaL_optinteger(L, 2, READ_SIZE);
  luaL_Buffer b;
  char *room = luaL_buffinitsize(L, &b, want);
  ssize_t n = read(s->io.fd, room, want);
  if (n >= 0) {
    luaL_pushresultsize(&b, (size_t)n);
    if (n == 0)
      lua_pushnil(L);
    return 1;
  }
  int err = errno;
  luaL_pushresultsize(&b, 0);
  lua_pop(L, 1);
  errno = err;
  if (err == EAGAIN || err == EINTR)
    return again(L, s, EPOLLIN);
  return bind_fail(L, KB_ESYSTEM, "read");
}

/*** Read what is there, waiting for at least one byte.
** @param max integer: at most this many bytes (64 KiB)
** @return string, or nil at the end, or nil, message, code */
static int stream_read(lua_State *L) {
  check(L, 1);
  luaL_argcheck(L, luaL_optinteger(L, 2, 1) > 0, 2, "must be positive");
  lua_settop(L, 2);
  return task_await(L, read_try);
}

/* Stack: the stream, the data, how much of it has been written. */
static int write_try(lua_State *L) {
  struct stream *s = check(L, 1);
  size_t len;
  const char *data = lua_tolstring(L, 2, &len);
  size_t done = (size_t)lua_tointeger(L, 3);
  while (done < len) {
    ssize_t n = write(s->io.fd, data + done, len - done);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
      return bind_fail(L, KB_ESYSTEM, "write");
    if (n < 0) {
      lua_pushinteger(L, (lua_Integer)done);
      lua_replace(L, 3);
      return again(L, s, EPOLLOUT);
    }
    done += (size_t)n;
  }
  lua_pushboolean(L, 1);
  return 1;
}

/*** Write all of it.
** @param data string
** @return true, or nil, message, code */
static int stream_write(lua_State *L) {
  check(L, 1);
  luaL_checkstring(L, 2);
  lua_settop(L, 2);
  lua_pushinteger(L, 0);
  return task_await(L, write_try);
}

/*** Say that no more will be written: the peer of a socket reads the end, the
** stream of a pipe is closed.
** @return true */
static int stream_shutdown(lua_State *L) {
  struct stream *s = check(L, 1);
  if (shutdown(s->io.fd, SHUT_WR) < 0 && errno == ENOTSOCK)
    close(stream_detach(L, 1));
  lua_pushboolean(L, 1);
  return 1;
}

/*** Close the stream; safe to repeat. Tasks that wait on it raise. */
static int stream_close(lua_State *L) {
  struct stream *s = luaL_checkudata(L, 1, STREAM);
  if (s->io.fd < 0)
    return 0;
  close(stream_detach(L, 1));
  task_wake_all(&s->readers);
  task_wake_all(&s->writers);
  return 0;
}

static const luaL_Reg methods[] = {{"read", stream_read},
                                   {"write", stream_write},
                                   {"shutdown", stream_shutdown},
                                   {"close", stream_close},
                                   {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", stream_close}, {NULL, NULL}};

int luaopen_kb_stream(lua_State *L) {
  bind_class(L, STREAM, methods, meta);
  lua_newtable(L);
  return 1;
}
