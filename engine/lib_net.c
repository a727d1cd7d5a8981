/* kb.core.net: names, TCP and unix connections, as streams. */
#include "bind.h"
#include "libs.h"
#include "stream.h"
#include "task.h"
#include "work.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECTING "kb.connecting"
#define LISTENER   "kb.listener"

/* Names: getaddrinfo blocks. */

struct question {
  int rc;
  struct addrinfo hints, *answer;
  char port[8], host[];
};

static void look_up(void *data) {
  struct question *q = data;
  q->rc = getaddrinfo(q->host, q->port, &q->hints, &q->answer);
}

static void forget(void *data) {
  struct question *q = data;
  if (q->answer != NULL)
    freeaddrinfo(q->answer);
}

/* Push a question that is not asked yet. */
static struct question *new_question(lua_State *L, const char *host, int port,
                                     int family) {
  struct question *q =
      work_new(L, sizeof *q + strlen(host) + 1, look_up, forget);
  if (q == NULL)
    return NULL;
  strcpy(q->host, host);
  snprintf(q->port, sizeof q->port, "%d", port);
  q->hints.ai_family = family;
  q->hints.ai_socktype = SOCK_STREAM;
  q->hints.ai_flags = AI_NUMERICSERV;
  return q;
}

/* Push the list of addresses; each is a string that holds a sockaddr. */
static int push_addresses(lua_State *L, const struct question *q) {
  lua_Integer n = 0;
  lua_newtable(L);
  for (const struct addrinfo *a = q->answer; a != NULL; a = a->ai_next) {
    char text[NI_MAXHOST];
    lua_createtable(L, 0, 3);
    lua_pushlstring(L, (const char *)a->ai_addr, a->ai_addrlen);
    lua_setfield(L, -2, "raw");
    lua_pushstring(L, a->ai_family == AF_INET6 ? "ipv6" : "ipv4");
    lua_setfield(L, -2, "family");
    if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0,
                    NI_NUMERICHOST) == 0) {
      lua_pushstring(L, text);
      lua_setfield(L, -2, "text");
    }
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

static int push_answer(lua_State *L, const struct question *q) {
  if (q->rc == 0)
    return push_addresses(L, q);
  return bind_fail(L, KB_EREFUSED, "%s", gai_strerror(q->rc));
}

static int resolve_try(lua_State *L) {
  if (!work_over(L, 4))
    return work_again(L, 4);
  return push_answer(L, work_data(L, 4));
}

static const char *const families[] = {"any", "ipv4", "ipv6", NULL};
static const int family_numbers[] = {AF_UNSPEC, AF_INET, AF_INET6};

/*** Look up the addresses of a host.
** @param host string: a name or an address
** @param port integer
** @param family string: "any" (the default), "ipv4" or "ipv6"
** @return list of tables: text ("::1"), family, raw (for connect); or nil,
** message, code */
static int net_resolve(lua_State *L) {
  const char *host = luaL_checkstring(L, 1);
  int port = (int)luaL_checkinteger(L, 2);
  int family = family_numbers[luaL_checkoption(L, 3, "any", families)];
  luaL_argcheck(L, port > 0 && port < 65536, 2, "no such port");
  lua_settop(L, 3);
  struct question *q = new_question(L, host, port, family);
  if (q == NULL)
    return bind_fail(L, KB_ESYSTEM, "looking up %s", host);
  q->hints.ai_flags |= AI_NUMERICHOST; /* that cannot block */
  q->rc = getaddrinfo(host, q->port, &q->hints, &q->answer);
  if (q->rc != EAI_NONAME)
    return push_answer(L, q);
  q->hints.ai_flags &= ~AI_NUMERICHOST;
  if (work_start(L, 4) < 0)
    return bind_fail(L, KB_ESYSTEM, "looking up %s", host);
  return task_await(L, resolve_try);
}

/* Connections */

struct connecting {
  struct loop *loop;
  struct loop_io io; /* fd is -1 when closed or handed on */
  bool ready;
  struct waiters waiters;
};

static void connected(struct loop_io *io, uint32_t events) {
  struct connecting *c = KB_OWNER(io, struct connecting, io);
  (void)events;
  loop_unwatch(c->loop, io);
  c->ready = true;
  task_wake_all(&c->waiters);
}

static int connecting_gc(lua_State *L) {
  struct connecting *c = luaL_checkudata(L, 1, CONNECTING);
  if (c->loop == NULL || c->io.fd < 0)
    return 0;
  loop_unwatch(c->loop, &c->io);
  close(c->io.fd);
  c->io.fd = -1;
  return 0;
}

/* A dead peer is noticed within about a minute, whether we send or wait. */
static void set_tcp_options(int fd) {
  static const struct {
    int level, name, value;
  } options[] = {
      {IPPROTO_TCP, TCP_NODELAY, 1},   {SOL_SOCKET, SO_KEEPALIVE, 1},
      {IPPROTO_TCP, TCP_KEEPIDLE, 30}, {IPPROTO_TCP, TCP_KEEPINTVL, 10},
      {IPPROTO_TCP, TCP_KEEPCNT, 3},   {IPPROTO_TCP, TCP_USER_TIMEOUT, 60000}};
  for (size_t i = 0; i < KB_COUNT(options); i++)
    setsockopt(fd, options[i].level, options[i].name, &options[i].value,
               sizeof options[i].value);
}

static int push_stream(lua_State *L, struct connecting *c) {
  int fd = c->io.fd;
  c->io.fd = -1;
  stream_push(L, fd);
  return 1;
}

static int connect_try(lua_State *L) {
  struct connecting *c = luaL_checkudata(L, 2, CONNECTING);
  int err = 0;
  socklen_t len = sizeof err;
  if (!c->ready)
    return task_again(L, &c->waiters);
  getsockopt(c->io.fd, SOL_SOCKET, SO_ERROR, &err, &len);
  if (err == 0)
    return push_stream(L, c);
  errno = err;
  return bind_fail(L, KB_ESYSTEM, "connect");
}

/* Connect to the address; stack: one argument. */
static int start(lua_State *L, const struct sockaddr *to, socklen_t len) {
  lua_settop(L, 1);
  struct connecting *c = bind_new(L, CONNECTING, sizeof *c, 0);
  c->io.fd = -1;
  c->io.ready = connected;
  c->loop = task_loop(L);
  lua_toclose(L, 2);
  c->io.fd =
      socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (c->io.fd < 0)
    return bind_fail(L, KB_ESYSTEM, "socket");
  if (to->sa_family != AF_UNIX)
    set_tcp_options(c->io.fd);
  if (connect(c->io.fd, to, len) == 0)
    return push_stream(L, c);
  if (errno != EINPROGRESS)
    return bind_fail(L, KB_ESYSTEM, "connect");
  if (loop_watch(c->loop, &c->io, EPOLLOUT) < 0)
    return bind_fail(L, KB_ESYSTEM, "connect");
  return task_await(L, connect_try);
}

/*** Connect to one address over TCP.
** @param address table: one of those that resolve returned
** @return stream; or nil, message, code */
static int net_connect(lua_State *L) {
  struct sockaddr_storage to;
  size_t len;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_getfield(L, 1, "raw");
  const char *raw = luaL_checklstring(L, -1, &len);
  luaL_argcheck(L, len >= sizeof(sa_family_t) && len <= sizeof to, 1,
                "not an address of resolve");
  memcpy(&to, raw, len);
  return start(L, (struct sockaddr *)&to, (socklen_t)len);
}

/*** Connect to a unix socket.
** @param path string
** @return stream; or nil, message, code */
static int net_unix(lua_State *L) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  const char *path = luaL_checkstring(L, 1);
  if (strlen(path) >= sizeof to.sun_path) {
    errno = ENAMETOOLONG;
    return bind_fail(L, KB_ESYSTEM, "%s", path);
  }
  strcpy(to.sun_path, path);
  return start(L, (struct sockaddr *)&to, sizeof to);
}

/*** Two streams that are connected to each other.
** @return stream, stream; or nil, message, code */
static int net_pair(lua_State *L) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
    return bind_fail(L, KB_ESYSTEM, "socketpair");
  stream_push(L, pair[0]);
  stream_push(L, pair[1]);
  return 2;
}

/* Listening */

struct listener {
  struct loop *loop;
  struct loop_io io; /* fd is -1 when closed */
  struct waiters waiters;
};

static void called(struct loop_io *io, uint32_t events) {
  struct listener *l = KB_OWNER(io, struct listener, io);
  (void)events;
  loop_unwatch(l->loop, io);
  task_wake_all(&l->waiters);
}

static int listen_at(struct listener *l, const struct sockaddr *at,
                     socklen_t len, int backlog) {
  const int one = 1;
  l->io.fd =
      socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (l->io.fd < 0)
    return KB_ESYSTEM;
  setsockopt(l->io.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(l->io.fd, at, len) < 0 || listen(l->io.fd, backlog) < 0)
    return KB_ESYSTEM;
  return 0;
}

/*** Listen on a port.
** @param address string: of this machine, in numbers
** @param port integer: 0 for any that is free
** @param backlog integer: how many may wait to be accepted (128)
** @return listener; or nil, message, code */
static int net_listen(lua_State *L) {
  const char *host = luaL_checkstring(L, 1);
  int port = (int)luaL_checkinteger(L, 2);
  int backlog = (int)luaL_optinteger(L, 3, 128);
  struct addrinfo *at = NULL;
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                           .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
  char text[8];
  luaL_argcheck(L, port >= 0 && port < 65536, 2, "no such port");
  snprintf(text, sizeof text, "%d", port);
  int rc = getaddrinfo(host, text, &hints, &at);
  if (rc != 0)
    return bind_fail(L, KB_EINVAL, "%s: %s", host, gai_strerror(rc));
  struct listener *l = bind_new(L, LISTENER, sizeof *l, 0);
  l->loop = task_loop(L);
  l->io.ready = called;
  rc = listen_at(l, at->ai_addr, at->ai_addrlen, backlog);
  freeaddrinfo(at);
  return rc < 0 ? bind_fail(L, rc, "listening on %s port %d", host, port) : 1;
}

static struct listener *check_listener(lua_State *L) {
  struct listener *l = luaL_checkudata(L, 1, LISTENER);
  luaL_argcheck(L, l->io.fd >= 0, 1, "the listener is closed");
  return l;
}

static int accept_try(lua_State *L) {
  struct listener *l = check_listener(L);
  int fd = accept4(l->io.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd >= 0) {
    stream_push(L, fd);
    return 1;
  }
  if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
    return bind_fail(L, KB_ESYSTEM, "accept");
  if (loop_watch(l->loop, &l->io, EPOLLIN) < 0)
    return bind_fail(L, KB_ESYSTEM, "accept");
  return task_again(L, &l->waiters);
}

/*** Wait for the next connection.
** @return stream; or nil, message, code */
static int listener_accept(lua_State *L) {
  lua_settop(L, 1);
  return task_await(L, accept_try);
}

/*** The port that is listened on.
** @return integer */
static int listener_port(lua_State *L) {
  struct sockaddr_storage at;
  socklen_t len = sizeof at;
  char port[8] = "0";
  getsockname(check_listener(L)->io.fd, (struct sockaddr *)&at, &len);
  getnameinfo((struct sockaddr *)&at, len, NULL, 0, port, sizeof port,
              NI_NUMERICSERV);
  lua_pushinteger(L, strtol(port, NULL, 10));
  return 1;
}

/*** Stop listening; safe to repeat. */
static int listener_close(lua_State *L) {
  struct listener *l = luaL_checkudata(L, 1, LISTENER);
  if (l->loop == NULL || l->io.fd < 0)
    return 0;
  loop_unwatch(l->loop, &l->io);
  close(l->io.fd);
  l->io.fd = -1;
  task_wake_all(&l->waiters);
  return 0;
}

static const luaL_Reg functions[] = {
    {"connect", net_connect}, {"listen", net_listen}, {"pair", net_pair},
    {"resolve", net_resolve}, {"unix", net_unix},     {NULL, NULL}};
static const luaL_Reg no_methods[] = {{NULL, NULL}};
static const luaL_Reg listener_methods[] = {{"accept", listener_accept},
                                            {"close", listener_close},
                                            {"port", listener_port},
                                            {NULL, NULL}};
static const luaL_Reg listener_meta[] = {{"__gc", listener_close},
                                         {NULL, NULL}};
static const luaL_Reg connecting_meta[] = {{"__gc", connecting_gc},
                                           {NULL, NULL}};

int luaopen_kb_net(lua_State *L) {
  bind_class(L, CONNECTING, no_methods, connecting_meta);
  bind_class(L, LISTENER, listener_methods, listener_meta);
  luaL_newlib(L, functions);
  return 1;
}
