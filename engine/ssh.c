/* The life of a session: libssh2's callbacks, results, turns, signs of life. */
#include "ssh_inner.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void ssh_copy_text(char *to, size_t size, const char *text, size_t len) {
  size_t n = 0;
  for (size_t i = 0; i < len && n + 1 < size; i++)
    if (text[i] == '\n' || (unsigned char)text[i] >= ' ')
      to[n++] = text[i];
  while (n > 0 && to[n - 1] == '\n')
    n--;
  to[n] = '\0';
}

/* libssh2's callbacks */

static ssize_t take_output(libssh2_socket_t fd, const void *data, size_t len,
                           int flags, void **abstract) {
  struct ssh *s = *abstract;
  (void)fd, (void)flags;
  s->taken += len;
  if (s->failed)
    return (
        ssize_t)len; /* nobody to send it to; libssh2 is to come to an end */
  return ssh_queue_put(&s->out, data, len) < 0 ? -ENOMEM : (ssize_t)len;
}

static ssize_t give_input(libssh2_socket_t fd, void *data, size_t len,
                          int flags, void **abstract) {
  struct ssh *s = *abstract;
  (void)fd, (void)flags;
  if (s->freeing || s->aborting)
    return -ECONNABORTED;
  if (s->in.len == 0)
    return -EAGAIN; /* also at the end: what libssh2 holds can still be read */
  size_t n = s->in.len < len ? s->in.len : len;
  memcpy(data, s->in.data, n);
  ssh_queue_drop(&s->in, n);
  return (ssize_t)n;
}

static void take_goodbye(LIBSSH2_SESSION *lib, int reason, const char *text,
                         int len, const char *language, int language_len,
                         void **abstract) {
  struct ssh *s = *abstract;
  char clean[200];
  (void)lib, (void)reason, (void)language, (void)language_len;
  ssh_copy_text(clean, sizeof clean, text, len > 0 ? (size_t)len : 0);
  s->goodbye = true;
  snprintf(s->why, sizeof s->why, "the server ended the connection: %s", clean);
}

void *ssh_user(void **abstract) {
  return ((struct ssh *)*abstract)->user;
}

static void set_callbacks(LIBSSH2_SESSION *lib) {
#if LIBSSH2_VERSION_NUM >= 0x010b01
  typedef libssh2_cb_generic *callback;
#define SET libssh2_session_callback_set2
#else
  typedef void *callback;
#define SET libssh2_session_callback_set
#endif
  SET(lib, LIBSSH2_CALLBACK_SEND, (callback)take_output);
  SET(lib, LIBSSH2_CALLBACK_RECV, (callback)give_input);
  SET(lib, LIBSSH2_CALLBACK_DISCONNECT, (callback)take_goodbye);
#undef SET
}

/* Life and death */

bool ssh_nudge(struct ssh *s, bool wants_reply) {
  uint64_t before = s->taken;
  /* So many seconds must have passed since the last time. libssh2 keeps them
  ** as an int, and -1 have always passed. */
  libssh2_keepalive_config(s->lib, wants_reply, UINT_MAX);
  libssh2_keepalive_send(s->lib, NULL); /* says 0 also if it sends nothing */
  return s->taken != before;
}

/* In a rekeying nothing is sent, but an answer is due as well. */
static void ask_for_life(struct ssh *s) {
  s->asked = loop_now();
  ssh_nudge(s, true);
  ssh_flush(s);
}

static void beat(struct loop_timer *timer) {
  struct ssh *s = KB_OWNER(timer, struct ssh, beat);
  int64_t silence = loop_now() - s->heard;
  char why[64];
  if (!ssh_alive(s)) {
    ssh_pump(s);
    return;
  }
  if (s->asked > s->heard && loop_now() - s->asked >= 2 * s->interval) {
    snprintf(why, sizeof why, "no sign of life for %.1f s",
             (double)silence / (double)KB_SECOND);
    ssh_fail(s, KB_ETIMEDOUT, why);
    return;
  }
  if (silence >= s->interval && s->asked <= s->heard)
    ask_for_life(s);
  loop_arm(s->loop, timer, loop_now() + s->interval);
}

int ssh_beat(struct ssh *s, kb_time interval) {
  s->interval = interval;
  s->heard = loop_now();
  return loop_arm(s->loop, &s->beat, s->heard + interval);
}

static struct ssh *new_session(struct loop *loop, const char *name,
                               void *user) {
  struct ssh *s = calloc(1, sizeof *s);
  if (s == NULL)
    return NULL;
  s->lib = libssh2_session_init_ex(ssh_alloc, ssh_dealloc, ssh_realloc, s);
  if (s->lib == NULL) {
    ssh_free_memory(s);
    free(s);
    return NULL;
  }
  libssh2_session_set_blocking(s->lib, 0);
  set_callbacks(s->lib);
  s->loop = loop;
  s->user = user;
  s->io.fd = -1;
  s->io.ready = ssh_ready;
  s->beat.fire = beat;
  s->heard = loop_now();
  snprintf(s->name, sizeof s->name, "%s", name);
  return s;
}

struct ssh *ssh_new(struct loop *loop, int fd, const char *name, void *user) {
  struct ssh *s = new_session(loop, name, user);
  if (s == NULL)
    return NULL;
  s->io.fd = fd;
  ssh_flush(s);
  return s;
}

struct ssh *ssh_new_over(struct loop *loop, struct ssh_channel *outer,
                         const char *name, void *user) {
  struct ssh *s = new_session(loop, name, user);
  if (s == NULL)
    return NULL;
  s->outer = outer;
  outer->inner = s;
  if (outer->s == NULL)
    ssh_ended(s, "what it goes through is closed");
  else
    ssh_pump(outer->s);
  return s;
}

static void close_socket(struct ssh *s) {
  if (s->io.fd < 0)
    return;
  loop_unwatch(s->loop, &s->io);
  close(s->io.fd);
  s->io.fd = -1;
}

static void wake_everyone(struct ssh *s) {
  task_wake_all(&s->input);
  task_wake_all(&s->room);
  task_wake_all(&s->turns);
}

void ssh_ended(struct ssh *s, const char *why) {
  if (s->ended || s->failed)
    return;
  s->ended = true;
  s->code = KB_ECLOSED;
  if (!s->goodbye)
    snprintf(s->why, sizeof s->why, "%s", why);
  wake_everyone(s);
  loop_arm(s->loop, &s->beat, loop_now()); /* those over it are told then */
}

int ssh_fail(struct ssh *s, int code, const char *why) {
  if (s->failed)
    return s->code;
  if (!s->ended) {
    s->code = code;
    if (why != s->why)
      snprintf(s->why, sizeof s->why, "%s", why);
  }
  s->failed = true;
  close_socket(s);
  loop_disarm(s->loop, &s->beat);
  ssh_queue_clear(&s->in);
  ssh_queue_clear(&s->out);
  for (struct ssh_channel *ch = s->channels; ch != NULL; ch = ch->next) {
    char via[440];
    if (ch->inner == NULL)
      continue;
    snprintf(via, sizeof via, "via %s: %s", s->name, s->why);
    ssh_fail(ch->inner, s->code, via);
  }
  wake_everyone(s);
  return s->code;
}

static void drop_channels(struct ssh *s) {
  for (struct ssh_channel *ch = s->channels, *next; ch != NULL; ch = next) {
    next = ch->next;
    ssh_queue_clear(&ch->staged);
    ch->s = NULL;
    ch->lib = NULL;
    if (!ch->held)
      free(ch);
  }
}

void ssh_free(struct ssh *s) {
  if (s == NULL)
    return;
  if (ssh_alive(s) && libssh2_userauth_authenticated(s->lib)) {
    libssh2_session_disconnect(s->lib, "done");
    ssh_flush(s);
  }
  ssh_fail(s, KB_ECLOSED, "the session is closed");
  s->freeing = true;
  int rc = LIBSSH2_ERROR_EAGAIN;
  for (int i = 0; i < 100 && rc == LIBSSH2_ERROR_EAGAIN; i++)
    rc = libssh2_session_free(s->lib);
  drop_channels(s);
  if (s->outer != NULL) {
    s->outer->inner = NULL;
    ssh_release(s->outer);
  }
  ssh_queue_clear(&s->address);
  ssh_queue_clear(&s->first);
  ssh_free_memory(s);
  free(s);
}

/* Results */

LIBSSH2_SESSION *ssh_lib(struct ssh *s) {
  return s->lib;
}

int ssh_any_fd(const struct ssh *s) {
  while (s != NULL && s->outer != NULL)
    s = s->outer->s;
  return s != NULL ? s->io.fd : -1;
}

const char *ssh_why(const struct ssh *s) {
  return s->why;
}

bool ssh_alive(const struct ssh *s) {
  return !s->ended && !s->failed;
}

const char *ssh_first(const struct ssh *s, size_t *len) {
  *len = s->first.len;
  return s->first.len > 0 ? s->first.data : "";
}

void ssh_spoken(struct ssh *s) {
  s->spoken = true;
  ssh_queue_clear(&s->first);
}

bool ssh_greeted(const struct ssh *s) {
  static const char mark[] = "SSH-";
  size_t len = s->first.len, n = sizeof mark - 1;
  for (size_t i = 0; i + n <= len; i++)
    if (memcmp(s->first.data + i, mark, n) == 0 &&
        (i == 0 || s->first.data[i - 1] == '\n'))
      return memchr(s->first.data + i, '\n', len - i) != NULL;
  return false;
}

/* The server's refusals, after which the session goes on. */
static bool refusal(int rc) {
  return rc == LIBSSH2_ERROR_AUTHENTICATION_FAILED ||
         rc == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED ||
         rc == LIBSSH2_ERROR_PASSWORD_EXPIRED ||
         rc == LIBSSH2_ERROR_CHANNEL_FAILURE ||
         rc == LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED ||
         rc == LIBSSH2_ERROR_METHOD_NOT_SUPPORTED;
}

static int code_of(int rc) {
  switch (rc) {
  case LIBSSH2_ERROR_SOCKET_DISCONNECT:
  case LIBSSH2_ERROR_SOCKET_RECV:
  case LIBSSH2_ERROR_SOCKET_SEND:
    return KB_ECLOSED;
  case LIBSSH2_ERROR_TIMEOUT:
    return KB_ETIMEDOUT;
  case LIBSSH2_ERROR_ALLOC:
    return KB_ENOMEM;
  default:
    return KB_EPROTO;
  }
}

int ssh_result(struct ssh *s, int rc) {
  char *text = NULL;
  if (rc < 0 && rc != LIBSSH2_ERROR_EAGAIN) /* the next call overwrites it */
    libssh2_session_last_error(s->lib, &text, NULL, 0);
  if (rc < 0 && s->ended)
    return ssh_fail(s, s->code, s->why);
  if (rc < 0 && s->failed)
    return s->code;
  if (rc < 0 && s->greedy)
    return ssh_fail(s, KB_EPROTO, "the server sends more than can be kept");
  if (rc < 0 && rc != LIBSSH2_ERROR_EAGAIN) {
    if (!s->goodbye)
      snprintf(s->why, sizeof s->why, "%s", text != NULL ? text : "failed");
    if (!refusal(rc))
      return ssh_fail(s, code_of(rc), s->why);
  }
  ssh_flush(s);
  if (rc == LIBSSH2_ERROR_EAGAIN)
    return KB_EAGAIN;
  return rc >= 0 ? rc : KB_EREFUSED;
}

/* Waiting */

struct waiters *ssh_input(struct ssh *s) {
  return &s->input;
}

struct waiters *ssh_room(struct ssh *s) {
  return &s->room;
}

void ssh_count(const struct ssh *s, struct ssh_count *count) {
  *count = (struct ssh_count){.bytes_in = s->bytes_in,
                              .bytes_out = s->bytes_out,
                              .queued_in = s->in.len,
                              .queued_out = s->out.len};
  for (struct ssh_channel *ch = s->channels; ch != NULL; ch = ch->next)
    *(ch->held ? &count->channels : &count->closing) += 1;
}
