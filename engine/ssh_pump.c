/* Moving bytes: socket or outer channel, queues, libssh2. */
#include "ssh_inner.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { READ_SIZE = 64 * 1024, READS_PER_TURN = 8, FIRST_MAX = 4096 };

/* In */

static void heard(struct ssh *s, const char *data, size_t n) {
  s->bytes_in += n;
  s->heard = loop_now();
  if (!s->spoken && s->first.len < FIRST_MAX) {
    size_t room = FIRST_MAX - s->first.len;
    ssh_queue_put(&s->first, data, n < room ? n : room); /* or do without it */
  }
}

static void fill_from_socket(struct ssh *s) {
  for (int i = 0; i < READS_PER_TURN && s->in.len < IN_MAX; i++) {
    char *room = ssh_queue_room(&s->in, READ_SIZE);
    if (room == NULL) {
      ssh_fail(s, KB_ENOMEM, "not enough memory for what arrives");
      return;
    }
    ssize_t n = recv(s->io.fd, room, READ_SIZE, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
      break;
    if (n <= 0) {
      ssh_ended(s,
                n == 0 ? "the server closed the connection" : strerror(errno));
      break;
    }
    ssh_queue_grew(&s->in, (size_t)n);
    heard(s, room, (size_t)n);
  }
  if (s->in.len == 0)
    ssh_queue_clear(&s->in);
}

/* Take what the outer channel has. Returns whether anything is new. */
static bool fill_from_outer(struct ssh *s) {
  bool news = false;
  ssize_t n = KB_EAGAIN;
  while (s->in.len < IN_MAX) {
    char *room = ssh_queue_room(&s->in, READ_SIZE);
    n = room != NULL ? ssh_read(s->outer, 0, room, READ_SIZE) : KB_ENOMEM;
    if (n <= 0)
      break;
    ssh_queue_grew(&s->in, (size_t)n);
    heard(s, room, (size_t)n);
    news = true;
  }
  if (s->in.len == 0)
    ssh_queue_clear(&s->in);
  if (n == KB_EAGAIN || n > 0 || !ssh_alive(s))
    return news;
  struct ssh *outer = s->outer->s;
  char why[440] = "the server closed the connection";
  if (n < 0 && outer != NULL) {
    strcpy(why, "via ");
    strcat(strcat(strcat(why, outer->name), ": "), outer->why);
  }
  ssh_ended(s, why);
  return true;
}

/* Let libssh2 read everything that is there. Only these two calls do so without
** a side effect; any channel serves that has not come to its end. Nobody else
** finds input then: were a request to read the answer to another one, libssh2
** would take it for its own failure. */
static void drain(struct ssh *s) {
  for (struct ssh_channel *ch = s->channels; ch != NULL; ch = ch->next) {
    int rc = libssh2_channel_wait_eof(ch->lib);
    if (rc == 0)
      rc = libssh2_channel_wait_closed(ch->lib);
    if (rc == LIBSSH2_ERROR_EAGAIN)
      return;
    if (rc < 0) {
      ssh_result(s, rc);
      return;
    }
  }
}

/* Out */

static void send_to_socket(struct ssh *s) {
  while (s->out.len > 0) {
    ssize_t n = send(s->io.fd, s->out.data, s->out.len, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN)
      return;
    if (n < 0) {
      /* What the server said before it closed is still to be read. */
      ssh_queue_clear(&s->out);
      if (errno != EPIPE && errno != ECONNRESET)
        ssh_ended(s, strerror(errno));
      return;
    }
    ssh_queue_drop(&s->out, (size_t)n);
    s->bytes_out += (uint64_t)n;
  }
}

static void send_to_outer(struct ssh *s) {
  struct ssh_channel *ch = s->outer;
  bool full = false;
  ssize_t n = 0;
  while (s->out.len > 0 && n >= 0) {
    n = ssh_write(ch, s->out.data, s->out.len, &full);
    if (n > 0) {
      ssh_queue_drop(&s->out, (size_t)n);
      s->bytes_out += (uint64_t)n;
    }
  }
  if (full)
    ch->s->starved = true;
  if (n < 0 && n != KB_EAGAIN)
    ssh_queue_clear(&s->out); /* the end is found, and told, by reading */
}

/* Those that write go on one by one, so that each has its share. */
static void wake_writers(struct ssh *s) {
  if (s->out.len == 0)
    task_wake_all(&s->room);
  else if (s->out.len < OUT_LOW)
    task_wake_one(&s->room);
}

static void watch(struct ssh *s) {
  bool reading = !s->ended && s->in.len < IN_MAX;
  bool writing = !s->ended && (s->out.len > 0 || s->starved);
  if (s->io.fd >= 0 &&
      loop_watch(s->loop, &s->io,
                 (reading ? EPOLLIN : 0U) | (writing ? EPOLLOUT : 0U)) < 0)
    ssh_fail(s, KB_ECLOSED, strerror(errno));
}

void ssh_flush(struct ssh *s) {
  if (s->failed || s->serving)
    return;
  if (s->outer == NULL)
    send_to_socket(s);
  else if (s->outer->s != NULL)
    send_to_outer(s);
  wake_writers(s);
  watch(s);
}

static void refill(struct ssh *s);

/* Give the sessions over us what has come for them, and take what they send.
** Another one comes first the next time. */
static void serve(struct ssh *s) {
  struct ssh_channel *first = s->channels, **end = &s->channels;
  s->starved = false;
  s->serving = true;
  for (struct ssh_channel *ch = first; ch != NULL; ch = ch->next) {
    if (ch->inner == NULL || ch->inner->failed)
      continue;
    if (fill_from_outer(ch->inner))
      ssh_pump(ch->inner);
    else
      refill(ch->inner);
  }
  s->serving = false;
  if (first == NULL || first->next == NULL)
    return;
  while (*end != NULL)
    end = &(*end)->next;
  s->channels = first->next;
  first->next = NULL;
  *end = first;
}

/* There may be room again: send, and take from those over us that wait. */
static void refill(struct ssh *s) {
  ssh_flush(s);
  if (s->starved && s->out.len < OUT_LOW) {
    serve(s);
    ssh_flush(s);
  }
}

void ssh_pump(struct ssh *s) {
  if (s->failed)
    return;
  drain(s);
  ssh_send_staged(s);
  ssh_give_up(s);
  ssh_reap(s);
  serve(s);
  ssh_flush(s);
  if (s->out.len > OUT_TOO_MUCH)
    ssh_fail(s, KB_EPROTO, "the server asks for answers and takes none");
  task_wake_all(&s->input);
}

void ssh_ready(struct loop_io *io, uint32_t events) {
  struct ssh *s = KB_OWNER(io, struct ssh, io);
  if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
    fill_from_socket(s);
    ssh_pump(s);
  } else {
    refill(s);
  }
}
