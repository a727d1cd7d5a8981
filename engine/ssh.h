/* SSH sessions on libssh2, with queues of our own between it and the wire.
**
** libssh2 never sees a socket. What it sends goes into an out-queue that takes
** every byte, so that it never stops in the middle of a packet; what it reads
** comes from an in-queue. We limit ourselves by the length of the queues.
** Therefore many tasks may use channels of one session at once, and "again"
** from libssh2 always means that something must arrive first.
**
** A session's bytes travel over a socket, or over a direct-tcpip channel of
** another session: that is how a bastion is passed. When a session ends, those
** over its channels end with it.
**
** Whoever waits for a session waits in one of its queues and tries again when
** woken. Calls return KB_EAGAIN (wait in ssh_input), KB_EREFUSED (the server
** said no; the session goes on) or another code, after which the session is
** over; ssh_why says why. */
#ifndef SSH_H
#define SSH_H

#include "task.h"

#include <libssh2.h>

struct ssh;
struct ssh_channel;
/* A session over the connected socket fd, or over a channel of another session;
** it owns either from then on. NULL when there is no memory, and then it does
** not own it. The name says in errors whose sessions were over this one; user
** is for callbacks, see ssh_user. */
struct ssh *ssh_new(struct loop *loop, int fd, const char *name, void *user);
struct ssh *ssh_new_over(struct loop *loop, struct ssh_channel *outer,
                         const char *name, void *user);

/* End it at once, without waiting for anything; NULL is fine. Channels that
** are held stay to be released, but all their calls fail. */
void ssh_free(struct ssh *s);

/* What was given as user, from libssh2's pointer to its abstract. */
void *ssh_user(void **abstract);

/* Memory that libssh2 will free, for what callbacks return. */
void *ssh_alloc(size_t size, void **abstract);

/* libssh2's own session, for calls that need nothing of ours. Pass their
** results through ssh_result. */
LIBSSH2_SESSION *ssh_lib(struct ssh *s);

/* A descriptor to give to libssh2 where it insists on one. */
int ssh_any_fd(const struct ssh *s);

/* Turn a result of libssh2 into one of ours and send what the call has queued.
** Call it after every call of libssh2, once. */
int ssh_result(struct ssh *s, int rc);

/* Why the last call was refused or the session is over. */
const char *ssh_why(const struct ssh *s);

/* The first bytes from the server (a few thousand), which tell why it was not
** willing, until ssh_spoken says that they are no longer of use. */
const char *ssh_first(const struct ssh *s, size_t *len);
void ssh_spoken(struct ssh *s);

/* Whether the server's version line ("SSH-2.0-...") is among them. */
bool ssh_greeted(const struct ssh *s);

bool ssh_alive(const struct ssh *s);

/* Send a sign of life when nothing was heard for so long, and end the session
** when there is no answer for three times as long. */
int ssh_beat(struct ssh *s, kb_time interval);

/* Tasks that wait for input, or for room in what is to be sent. */
struct waiters *ssh_input(struct ssh *s);
struct waiters *ssh_room(struct ssh *s);

/* libssh2 can open one channel of a session at a time. Taking the turn returns
** 0, or KB_EAGAIN (wait in ssh_turns). Leaving it gives up an opening that has
** not come to its end, at no cost to the session. Holder is any address. */
int ssh_turn_take(struct ssh *s, const void *holder);
void ssh_turn_leave(struct ssh *s, const void *holder);
struct waiters *ssh_turns(struct ssh *s);

/* Open a channel for a command or, with a host, to a port of it as the server
** sees it. The caller holds the turn. 0 or an error. */
int ssh_open(struct ssh *s, const char *host, int port,
             struct ssh_channel **channel);

/* 0 or an error. */
int ssh_exec(struct ssh_channel *ch, const char *command, size_t len);

/* Read what has come on a stream (0, or SSH_EXTENDED_DATA_STDERR). Returns a
** count, 0 at the end, or an error. */
ssize_t ssh_read(struct ssh_channel *ch, int stream, char *buf, size_t len);

/* Write some of it. Returns a count or an error: KB_EAGAIN with *full set when
** the out-queue is full (then wait in ssh_room), KB_ECLOSED also when only the
** channel is closed. */
ssize_t ssh_write(struct ssh_channel *ch, const char *data, size_t len,
                  bool *full);

/* Say that no more will be written. 0 or an error. */
int ssh_write_end(struct ssh_channel *ch);

/* 0 when the server has closed the channel, or an error. */
int ssh_closed(struct ssh_channel *ch);

/* Both are NULL when the session has been freed. */
LIBSSH2_CHANNEL *ssh_channel_lib(struct ssh_channel *ch);
struct ssh *ssh_channel_session(struct ssh_channel *ch);

/* Let go of it: the session closes it in its own time. NULL is fine. */
void ssh_release(struct ssh_channel *ch);

struct ssh_count {
  uint64_t bytes_in, bytes_out;
  size_t channels, closing, queued_in, queued_out;
};
void ssh_count(const struct ssh *s, struct ssh_count *count);

#endif
