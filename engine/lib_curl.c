/* kb.core.curl: files from the network, on libcurl's multi interface: its
** sockets and its one timer are in our loop, and its transfers are read like
** streams. A reader that is slow makes the transfer pause. */
#include "bind.h"
#include "libs.h"
#include "task.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define SESSION  "kb.curl"
#define TRANSFER "kb.download"

/* Sockets and connections that several transfers share. */
struct session {
  struct loop *loop;
  CURLM *multi; /* NULL when closed */
  struct loop_timer timer;
  struct transfer *running; /* the first of a list */
};

/* A socket that libcurl has asked us to watch. */
struct watched {
  struct loop_io io;
  struct session *session;
};

enum { ROOM = 256 * 1024 }; /* what a transfer may hold unread */

struct transfer {
  CURL *easy; /* NULL when closed */
  struct session *session;
  struct transfer *next; /* of those that run */
  struct waiters waiters;
  CURLcode code;
  bool running, paused;
  size_t len;
  char data[ROOM], error[CURL_ERROR_SIZE];
};

/* Sockets and the timer */

static void leave(struct transfer *t) {
  struct transfer **at = &t->session->running;
  if (!t->running)
    return;
  while (*at != t)
    at = &(*at)->next;
  *at = t->next;
  t->running = false;
  curl_multi_remove_handle(t->session->multi, t->easy);
  task_wake_all(&t->waiters);
}

static void take_results(struct session *s) {
  CURLMsg *message;
  int left;
  while ((message = curl_multi_info_read(s->multi, &left)) != NULL) {
    char *own = NULL;
    if (message->msg != CURLMSG_DONE)
      continue;
    CURLcode code = message->data.result; /* gone with the handle */
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &own);
    struct transfer *t = (struct transfer *)(void *)own;
    t->code = code;
    leave(t);
  }
}

static void act(struct session *s, curl_socket_t fd, int events) {
  int running;
  curl_multi_socket_action(s->multi, fd, events, &running);
  take_results(s);
}

static void socket_ready(struct loop_io *io, uint32_t events) {
  const struct watched *w = KB_OWNER(io, struct watched, io);
  int what = 0;
  if (events & (EPOLLIN | EPOLLHUP))
    what |= CURL_CSELECT_IN;
  if (events & EPOLLOUT)
    what |= CURL_CSELECT_OUT;
  if (events & EPOLLERR)
    what |= CURL_CSELECT_ERR;
  act(w->session, io->fd, what);
}

static void timer_fired(struct loop_timer *timer) {
  act(KB_OWNER(timer, struct session, timer), CURL_SOCKET_TIMEOUT, 0);
}

/* libcurl wants a socket watched otherwise, or no longer. */
static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *session,
                        void *socket) {
  struct session *s = session;
  struct watched *w = socket;
  (void)easy;
  if (what == CURL_POLL_REMOVE) {
    if (w != NULL)
      loop_unwatch(s->loop, &w->io);
    free(w);
    curl_multi_assign(s->multi, fd, NULL);
    return 0;
  }
  if (w == NULL) {
    w = calloc(1, sizeof *w);
    if (w == NULL)
      return -1;
    *w = (struct watched){{.fd = fd, .ready = socket_ready}, s};
    curl_multi_assign(s->multi, fd, w);
  }
  uint32_t events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
                    (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
  return loop_watch(s->loop, &w->io, events) < 0 ? -1 : 0;
}

static int set_timer(CURLM *multi, long milliseconds, void *session) {
  struct session *s = session;
  (void)multi;
  if (milliseconds < 0) {
    loop_disarm(s->loop, &s->timer);
    return 0;
  }
  kb_time at = loop_now() + milliseconds * (KB_SECOND / 1000);
  return loop_arm(s->loop, &s->timer, at) < 0 ? -1 : 0;
}

/* Sessions */

/*** Begin to fetch: transfers of one session share connections.
** @return session: to be closed (`local session <close>`) */
static int curl_session(lua_State *L) {
  struct session *s = bind_new(L, SESSION, sizeof *s, 0);
  s->loop = task_loop(L);
  s->timer.fire = timer_fired;
  s->multi = curl_multi_init();
  if (s->multi == NULL)
    return luaL_error(L, "not enough memory to fetch");
  curl_multi_setopt(s->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
  curl_multi_setopt(s->multi, CURLMOPT_SOCKETDATA, s);
  curl_multi_setopt(s->multi, CURLMOPT_TIMERFUNCTION, set_timer);
  curl_multi_setopt(s->multi, CURLMOPT_TIMERDATA, s);
  return 1;
}

/*** End the session and the transfers that still run in it. */
static int session_close(lua_State *L) {
  struct session *s = luaL_checkudata(L, 1, SESSION);
  if (s->multi == NULL)
    return 0;
  while (s->running != NULL) {
    s->running->code = CURLE_ABORTED_BY_CALLBACK;
    leave(s->running);
  }
  curl_multi_cleanup(s->multi);
  loop_disarm(s->loop, &s->timer);
  s->multi = NULL;
  return 0;
}

/* Transfers */

static size_t take_data(char *data, size_t size, size_t n, void *transfer) {
  struct transfer *t = transfer;
  n *= size;
  if (n > ROOM - t->len) {
    t->paused = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  memcpy(t->data + t->len, data, n);
  t->len += n;
  task_wake_all(&t->waiters);
  return n;
}

/*** End the transfer, whether all has come or not; safe to repeat. */
static int transfer_close(lua_State *L) {
  struct transfer *t = luaL_checkudata(L, 1, TRANSFER);
  if (t->easy == NULL)
    return 0;
  leave(t);
  curl_easy_cleanup(t->easy);
  t->easy = NULL;
  return 0;
}

static void set_texts(lua_State *L, CURL *easy) {
  static const struct {
    const char *name;
    CURLoption option;
  } texts[] = {{"url", CURLOPT_URL},
               {"protocols", CURLOPT_PROTOCOLS_STR},
               {"redirect_protocols", CURLOPT_REDIR_PROTOCOLS_STR},
               {"ca", CURLOPT_CAINFO}};
  for (size_t i = 0; i < KB_COUNT(texts); i++) {
    const char *text = bind_field_string(L, 2, texts[i].name, "");
    if (*text != '\0')
      curl_easy_setopt(easy, texts[i].option, text);
  }
}

static void set_numbers(lua_State *L, CURL *easy) {
  static const struct {
    const char *name;
    CURLoption option;
    lua_Integer fallback;
  } numbers[] = {{"redirects", CURLOPT_MAXREDIRS, 5},
                 {"connect_timeout", CURLOPT_CONNECTTIMEOUT, 15},
                 {"stall_timeout", CURLOPT_LOW_SPEED_TIME, 30}};
  for (size_t i = 0; i < KB_COUNT(numbers); i++) {
    lua_Integer n =
        bind_field_integer(L, 2, numbers[i].name, numbers[i].fallback);
    curl_easy_setopt(easy, numbers[i].option, (long)n);
  }
  curl_easy_setopt(easy, CURLOPT_RESUME_FROM_LARGE,
                   (curl_off_t)bind_field_integer(L, 2, "from", 0));
}

static void set_policy(struct transfer *t) {
  curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
  curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->error);
  curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, take_data);
  curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
  curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(t->easy, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(t->easy, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(t->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(t->easy, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
  curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "kbrun/" KBRUN_VERSION);
  /* Many transfers are many connections; resuming is simplest on 1.1. */
  curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
}

/*** Fetch a file; certificates are verified, passwords come from ~/.netrc.
** @param options table: url; protocols ("https": a list with commas) and
** redirect_protocols; ca (a file of certificates instead of the system's);
** from (integer: the byte to begin at); redirects (how many are followed: 5);
** connect_timeout and stall_timeout (seconds: 15, 30)
** @return transfer: to be closed (`local transfer <close>`); or nil, message,
** code */
static int session_fetch(lua_State *L) {
  struct session *s = luaL_checkudata(L, 1, SESSION);
  luaL_argcheck(L, s->multi != NULL, 1, "the session is closed");
  luaL_checktype(L, 2, LUA_TTABLE);
  static const char *const needed[] = {"url", "protocols"};
  for (size_t i = 0; i < KB_COUNT(needed); i++)
    if (*bind_field_string(L, 2, needed[i], "") == '\0')
      return luaL_error(L, "field '%s' is missing", needed[i]);
  struct transfer *t = bind_new(L, TRANSFER, sizeof *t, 1);
  t->session = s;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1); /* the session lives while its transfer does */
  t->easy = curl_easy_init();
  if (t->easy == NULL)
    return luaL_error(L, "not enough memory to fetch");
  set_policy(t);
  set_texts(L, t->easy);
  set_numbers(L, t->easy);
  CURLMcode code = curl_multi_add_handle(s->multi, t->easy);
  if (code != CURLM_OK)
    return bind_fail(L, KB_ENOMEM, "%s", curl_multi_strerror(code));
  t->running = true;
  t->next = s->running;
  s->running = t;
  return 1;
}

static struct transfer *check_transfer(lua_State *L) {
  struct transfer *t = luaL_checkudata(L, 1, TRANSFER);
  luaL_argcheck(L, t->easy != NULL, 1, "the transfer is closed");
  return t;
}

static int error_of(CURLcode code) {
  switch (code) {
  case CURLE_OPERATION_TIMEDOUT:
    return KB_ETIMEDOUT;
  case CURLE_PARTIAL_FILE:
  case CURLE_RECV_ERROR:
  case CURLE_SEND_ERROR:
  case CURLE_GOT_NOTHING:
  case CURLE_ABORTED_BY_CALLBACK:
    return KB_ECLOSED;
  case CURLE_OUT_OF_MEMORY:
    return KB_ENOMEM;
  case CURLE_UNSUPPORTED_PROTOCOL:
  case CURLE_URL_MALFORMAT:
    return KB_EINVAL;
  default:
    return KB_EREFUSED;
  }
}

static int push_end(lua_State *L, const struct transfer *t) {
  if (t->code == CURLE_OK)
    return 0;
  return bind_fail(L, error_of(t->code), "%s",
                   t->error[0] != '\0' ? t->error
                                       : curl_easy_strerror(t->code));
}

static int read_try(lua_State *L) {
  struct transfer *t = check_transfer(L);
  if (t->len > 0) {
    lua_pushlstring(L, t->data, t->len);
    t->len = 0;
    if (t->paused && t->running) {
      t->paused = false;
      curl_easy_pause(t->easy, CURLPAUSE_CONT);
    }
    return 1;
  }
  return t->running ? task_again(L, &t->waiters) : push_end(L, t);
}

/*** Wait for the next piece.
** @return string; nothing at the end; or nil, message, code: then what came is
** not whole */
static int transfer_read(lua_State *L) {
  check_transfer(L);
  lua_settop(L, 1);
  return task_await(L, read_try);
}

/*** What the server has said so far of what it sends.
** @return table: status (of HTTP), url (after redirects), size (bytes of what
** it sends; absent when it does not say), etag, modified (Last-Modified) */
static int transfer_answer(lua_State *L) {
  struct transfer *t = check_transfer(L);
  long status = 0;
  const char *url = "";
  curl_off_t size = -1;
  static const char *const headers[][2] = {{"etag", "ETag"},
                                           {"modified", "Last-Modified"}};
  curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &url);
  curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &size);
  lua_createtable(L, 0, 5);
  lua_pushinteger(L, status);
  lua_setfield(L, -2, "status");
  lua_pushstring(L, url);
  lua_setfield(L, -2, "url");
  if (size >= 0) {
    lua_pushinteger(L, size);
    lua_setfield(L, -2, "size");
  }
  for (size_t i = 0; i < KB_COUNT(headers); i++) {
    struct curl_header *h;
    if (curl_easy_header(t->easy, headers[i][1], 0, CURLH_HEADER, -1, &h) ==
        0) {
      lua_pushstring(L, h->value);
      lua_setfield(L, -2, headers[i][0]);
    }
  }
  return 1;
}

static const luaL_Reg functions[] = {{"session", curl_session}, {NULL, NULL}};
static const luaL_Reg session_methods[] = {
    {"close", session_close}, {"fetch", session_fetch}, {NULL, NULL}};
static const luaL_Reg session_meta[] = {{"__gc", session_close}, {NULL, NULL}};
static const luaL_Reg transfer_methods[] = {{"answer", transfer_answer},
                                            {"close", transfer_close},
                                            {"read", transfer_read},
                                            {NULL, NULL}};
static const luaL_Reg transfer_meta[] = {{"__gc", transfer_close},
                                         {NULL, NULL}};

int luaopen_kb_curl(lua_State *L) {
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return luaL_error(L, "libcurl cannot be used");
  bind_class(L, SESSION, session_methods, session_meta);
  bind_class(L, TRANSFER, transfer_methods, transfer_meta);
  luaL_newlib(L, functions);
  return 1;
}
