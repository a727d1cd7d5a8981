/* What the files of the SSH session layer know of each other; see ssh.h. */
#ifndef SSH_INNER_H
#define SSH_INNER_H

#include "ssh.h"
#include "ssh_queue.h"

/* Where we stop feeding libssh2, in bytes of the out-queue; where writers go
** on; and where we stop reading because nobody takes the input. */
enum { OUT_MAX = 512 * 1024, OUT_LOW = 256 * 1024, IN_MAX = 1024 * 1024 };

/* What of ours the out-queue can hold beyond OUT_MAX is little: libssh2's
** answers. They are as many as the server asks for. */
enum { OUT_TOO_MUCH = 8 * OUT_MAX };

/* A key that is offered under another name than its own; see ssh_offer. */
struct ssh_offer {
  char *place; /* NULL when there is none, or it is complete */
  const char *key;
  size_t len;
};

struct ssh {
  struct loop *loop;
  struct block *memory; /* libssh2's */
  size_t held;          /* bytes of it */
  bool greedy;          /* the server has made it too much */
  LIBSSH2_SESSION *lib;
  struct loop_io io;         /* fd is -1 without a socket */
  struct ssh_channel *outer; /* what carries it instead, or NULL */
  struct ssh_channel *channels;
  struct ssh_queue in, out;
  struct waiters input, room;
  bool ended;    /* nothing more will arrive; what has can still be read */
  bool failed;   /* libssh2 cannot be used any more */
  bool goodbye;  /* why is the server's own word */
  bool freeing;  /* libssh2 is to find its socket reset */
  bool aborting; /* the next read of libssh2 is to fail */
  bool starved;  /* a session over us waits for room in our out-queue */
  bool serving;  /* sending waits until all those sessions have been served */
  bool opening;  /* an opening of a channel has begun */
  struct ssh_queue address; /* of the channel being opened */
  const void *turn; /* who may open; &opening while one is to be given up */
  struct waiters turns;
  struct loop_timer beat;
  kb_time heard, asked, interval; /* asked: for a sign of life, the last time */
  uint64_t bytes_in, bytes_out;
  uint64_t taken; /* of bytes that libssh2 has sent */
  struct ssh_offer offer;
  void *user;
  int code; /* with ended or failed */
  char name[96], why[320];
  bool spoken; /* keys have been exchanged: first is not kept any more */
  struct ssh_queue first; /* what the server said before, for errors */
};

struct ssh_channel {
  struct ssh *s; /* NULL when the session has been freed */
  LIBSSH2_CHANNEL *lib;
  struct ssh_channel *next;
  struct ssh *inner;       /* the session that it carries, if it does */
  bool held;               /* somebody will release it */
  bool started, finished;  /* its command was sent; its input has ended */
  struct ssh_queue staged; /* what libssh2 began to send and must get again */
};

/* Move what there is to move: after input, and after an opening. */
void ssh_pump(struct ssh *s);

/* Send what is queued, as far as it goes, and watch for what comes next. */
void ssh_flush(struct ssh *s);

/* The input is at its end, for the reason given. */
void ssh_ended(struct ssh *s, const char *why);

/* The session is over, and so are those over it. Returns code. */
int ssh_fail(struct ssh *s, int code, const char *why);

/* libssh2's functions of memory; its blocks belong to the session. */
void ssh_dealloc(void *ptr, void **abstract);
void *ssh_realloc(void *ptr, size_t size, void **abstract);
void ssh_free_memory(struct ssh *s);

/* Copy text without control characters. */
void ssh_copy_text(char *to, size_t size, const char *text, size_t len);

/* Send a message that means nothing and is answered if that is wanted. Returns
** whether it was sent: while keys are exchanged anew nothing is. */
bool ssh_nudge(struct ssh *s, bool wants_reply);

/* Go on with giving up an opening, if one is to be. */
void ssh_give_up(struct ssh *s);

/* Send what a rekeying has held up. */
void ssh_send_staged(struct ssh *s);

/* Free the channels that were released and have come to their end. */
void ssh_reap(struct ssh *s);

/* The loop has something for the session's socket. */
void ssh_ready(struct loop_io *io, uint32_t events);

#endif
