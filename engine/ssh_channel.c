/* Channels of a session: commands, and connections that the server makes. */
#include "ssh_inner.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the server may send before we have read it: it bounds the memory of a
** slow reader, and the speed on a long line (window / round trip). libssh2
** sends at most PIECE bytes per call, and a command in one packet. */
enum {
  WINDOW = 4 * 1024 * 1024,
  PACKET = 32768,
  PIECE = 32700,
  COMMAND_MAX = 32768
};

/* Opening */

static int put_string(struct ssh_queue *q, const char *text) {
  uint32_t len = htonl((uint32_t)strlen(text));
  if (ssh_queue_put(q, &len, sizeof len) < 0)
    return KB_ENOMEM;
  return ssh_queue_put(q, text, strlen(text));
}

static int put_number(struct ssh_queue *q, int number) {
  uint32_t n = htonl((uint32_t)number);
  return ssh_queue_put(q, &n, sizeof n);
}

/* The payload of a direct-tcpip request: to, and from whom in name. */
static int make_address(struct ssh_queue *q, const char *host, int port) {
  if (put_string(q, host) < 0 || put_number(q, port) < 0 ||
      put_string(q, "127.0.0.1") < 0 || put_number(q, 0) < 0)
    return KB_ENOMEM;
  return 0;
}

static struct ssh_channel *adopt(struct ssh *s, LIBSSH2_CHANNEL *lib) {
  struct ssh_channel *ch = calloc(1, sizeof *ch);
  KB_MUST(ch != NULL);
  ch->s = s;
  ch->lib = lib;
  ch->held = true;
  ch->next = s->channels;
  s->channels = ch;
  return ch;
}

/* Once more: libssh2 keeps its place. Sets *lib, or returns its error. */
static int open_step(struct ssh *s, LIBSSH2_CHANNEL **lib) {
  const char *kind = s->address.len > 0 ? "direct-tcpip" : "session";
  *lib = libssh2_channel_open_ex(
      s->lib, kind, (unsigned)strlen(kind), WINDOW, PACKET,
      s->address.len > 0 ? s->address.data : NULL, (unsigned)s->address.len);
  return *lib != NULL ? 0 : libssh2_session_last_errno(s->lib);
}

int ssh_open(struct ssh *s, const char *host, int port,
             struct ssh_channel **channel) {
  LIBSSH2_CHANNEL *lib = NULL;
  *channel = NULL;
  if (!ssh_alive(s))
    return s->code;
  if (!s->opening && host != NULL && make_address(&s->address, host, port) < 0)
    return ssh_fail(s, KB_ENOMEM, "not enough memory to open a channel");
  s->opening = true;
  int rc = open_step(s, &lib);
  if (rc == LIBSSH2_ERROR_EAGAIN)
    return ssh_result(s, rc);
  s->opening = false;
  ssh_queue_clear(&s->address);
  if (s->aborting && rc < 0)
    return KB_ECANCELLED;
  if (rc == LIBSSH2_ERROR_TIMEOUT) /* the library's own, after a minute */
    rc = LIBSSH2_ERROR_CHANNEL_FAILURE;
  if (rc == 0)
    *channel = adopt(s, lib);
  rc = ssh_result(s, rc);
  if (rc == 0)
    ssh_pump(s); /* what came behind the answer */
  return rc;
}

/* libssh2 would take the caller's mistakes for the end of the session. */
static int refuse(struct ssh *s, const char *why) {
  snprintf(s->why, sizeof s->why, "%s", why);
  return KB_EREFUSED;
}

int ssh_exec(struct ssh_channel *ch, const char *command, size_t len) {
  if (ch->s == NULL)
    return KB_ECLOSED;
  if (!ssh_alive(ch->s))
    return ch->s->code;
  if (ch->started)
    return refuse(ch->s, "this channel has had its command");
  if (len > COMMAND_MAX)
    return refuse(ch->s, "the command is longer than 32 KiB");
  int rc = libssh2_channel_process_startup(ch->lib, "exec", 4, command,
                                           (unsigned)len);
  if (rc == LIBSSH2_ERROR_EAGAIN && libssh2_channel_wait_closed(ch->lib) == 0) {
    refuse(ch->s, "the server closed the channel instead of an answer");
    return KB_ECLOSED;
  }
  ch->started = rc != LIBSSH2_ERROR_EAGAIN;
  return ssh_result(ch->s, rc);
}

/* Reading */

ssize_t ssh_read(struct ssh_channel *ch, int stream, char *buf, size_t len) {
  struct ssh *s = ch->s;
  if (s == NULL)
    return KB_ECLOSED;
  if (s->failed)
    return s->code;
  ssize_t n = libssh2_channel_read_ex(ch->lib, stream, buf, len);
  if (n > 0) {
    if (s->out.len > 0)
      ssh_flush(s); /* the window was opened further */
    return n;
  }
  /* Its "eof" would wait for the other stream to be read, too. */
  if (n == 0 && libssh2_channel_wait_eof(ch->lib) == 0)
    return 0;
  if (n == 0 || n == LIBSSH2_ERROR_EAGAIN)
    return s->ended ? s->code : KB_EAGAIN;
  return ssh_result(s, (int)n);
}

int ssh_closed(struct ssh_channel *ch) {
  struct ssh *s = ch->s;
  if (s == NULL)
    return KB_ECLOSED;
  if (s->failed)
    return s->code;
  /* It says "invalid" until the end of the stream has come. */
  if (libssh2_channel_wait_closed(ch->lib) == 0)
    return 0;
  return s->ended ? s->code : KB_EAGAIN;
}

/* Writing */

/* libssh2 remembers how much it was given when a rekeying stops it half-way,
** and insists on the same bytes: whoever gave them may be gone by then. */
static int send_staged(struct ssh_channel *ch) {
  while (ch->staged.len > 0) {
    ssize_t n = libssh2_channel_write(ch->lib, ch->staged.data, ch->staged.len);
    if (n < 0)
      return (int)n;
    ssh_queue_drop(&ch->staged, (size_t)n);
  }
  return 0;
}

void ssh_send_staged(struct ssh *s) {
  for (struct ssh_channel *ch = s->channels; ch != NULL; ch = ch->next) {
    int rc = ch->held ? send_staged(ch) : 0;
    /* "Again" may be one channel's alone, whose reader is slow. */
    if (rc < 0 && rc != LIBSSH2_ERROR_EAGAIN)
      ssh_result(s, rc);
    if (s->failed)
      return;
  }
}

static ssize_t send_pieces(struct ssh_channel *ch, const char *data,
                           size_t len) {
  size_t done = 0;
  while (done < len && ch->s->out.len < OUT_MAX &&
         libssh2_channel_window_write_ex(ch->lib, NULL) > 0) {
    size_t piece = len - done < PIECE ? len - done : PIECE;
    ssize_t n = libssh2_channel_write(ch->lib, data + done, piece);
    if (n == LIBSSH2_ERROR_EAGAIN) {
      if (ssh_queue_put(&ch->staged, data + done, piece) < 0)
        return LIBSSH2_ERROR_ALLOC;
      return (ssize_t)(done + piece);
    }
    if (n < 0)
      return n;
    done += (size_t)n;
  }
  return done > 0 ? (ssize_t)done : LIBSSH2_ERROR_EAGAIN;
}

ssize_t ssh_write(struct ssh_channel *ch, const char *data, size_t len,
                  bool *full) {
  struct ssh *s = ch->s;
  *full = false;
  if (s == NULL)
    return KB_ECLOSED;
  if (!ssh_alive(s))
    return s->code;
  if (libssh2_channel_wait_closed(ch->lib) == 0)
    return KB_ECLOSED;
  if (ch->finished)
    return refuse(s, "its end was written already");
  int rc = send_staged(ch);
  if (rc < 0)
    return ssh_result(s, rc);
  if (s->out.len >= OUT_MAX) {
    *full = true;
    return KB_EAGAIN;
  }
  ssize_t n = send_pieces(ch, data, len);
  rc = ssh_result(s, n < 0 ? (int)n : 0);
  return rc < 0 ? rc : n;
}

int ssh_write_end(struct ssh_channel *ch) {
  if (ch->s == NULL)
    return KB_ECLOSED;
  if (!ssh_alive(ch->s))
    return ch->s->code;
  if (ch->finished)
    return 0;
  int rc = send_staged(ch);
  if (rc == 0)
    rc = libssh2_channel_send_eof(ch->lib);
  ch->finished = rc == 0;
  return ssh_result(ch->s, rc);
}

/* The end */

LIBSSH2_CHANNEL *ssh_channel_lib(struct ssh_channel *ch) {
  return ch->lib;
}

struct ssh *ssh_channel_session(struct ssh_channel *ch) {
  return ch->s;
}

void ssh_reap(struct ssh *s) {
  for (struct ssh_channel **at = &s->channels; *at != NULL && !s->failed;) {
    struct ssh_channel *ch = *at;
    if (ch->held || libssh2_channel_free(ch->lib) == LIBSSH2_ERROR_EAGAIN) {
      at = &ch->next;
      continue;
    }
    *at = ch->next;
    ssh_queue_clear(&ch->staged);
    free(ch);
  }
}

void ssh_release(struct ssh_channel *ch) {
  if (ch == NULL)
    return;
  ch->held = false;
  ch->inner = NULL;
  if (ch->s == NULL) {
    free(ch);
    return;
  }
  struct ssh *s = ch->s;
  ssh_reap(s);
  ssh_flush(s);
}
