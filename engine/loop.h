/* The event loop: descriptors, timers, signals and child processes.
** It knows neither Lua nor SSH. One thread, one loop; callbacks run from
** loop_turn and may add and remove watches and timers freely, their own too. */
#ifndef LOOP_H
#define LOOP_H

#include "kb.h"

#include <sys/types.h>

struct loop;

/* A watched descriptor. The owner embeds it, sets fd and ready, and keeps it
** alive until loop_unwatch. Events are EPOLLIN and EPOLLOUT. */
struct loop_io {
  int fd;
  uint32_t events; /* what is asked for now; 0 while not watched */
  void (*ready)(struct loop_io *io, uint32_t events);
};

/* A one-shot timer, embedded like loop_io. Zero-initialised it is disarmed. */
struct loop_timer {
  kb_time at;
  size_t slot; /* 1-based place in the heap; 0 while disarmed */
  void (*fire)(struct loop_timer *timer);
};

/* A child process, embedded like loop_io; done is called once, with the
** status as waitpid reports it, after the child has been reaped. */
struct loop_child {
  struct loop *loop;
  struct loop_io io;
  pid_t pid;
  void (*done)(struct loop_child *child, int status);
};

/* What is alive in a loop, for the census at the end of a test. */
struct loop_census {
  size_t watches, timers, children;
};

/* A new loop, or NULL with errno set. */
struct loop *loop_new(void);

/* Free the loop. Watches and timers left in it are forgotten, not called. */
void loop_free(struct loop *loop);

/* The monotonic clock. */
kb_time loop_now(void);

/* Wait for events on io->fd, or change what is waited for.
** Returns 0 or KB_ESYSTEM. */
int loop_watch(struct loop *loop, struct loop_io *io, uint32_t events);

/* Stop watching; safe when not watched. Call it before closing the fd. */
void loop_unwatch(struct loop *loop, struct loop_io *io);

/* Fire the timer at the given time; moves it when it is armed already.
** KB_NEVER disarms. Returns 0 or KB_ENOMEM. */
int loop_arm(struct loop *loop, struct loop_timer *timer, kb_time at);

/* Disarm; safe when not armed. */
void loop_disarm(struct loop *loop, struct loop_timer *timer);

/* Reap the child and call done when it ends. Returns 0 or KB_ESYSTEM. */
int loop_adopt(struct loop *loop, struct loop_child *child);

/* Forget the child without reaping it; safe after it has ended. */
void loop_disown(struct loop_child *child);

/* Take signal signo from its default action: caught is called with it from
** loop_turn until loop_free. Returns 0 or KB_ESYSTEM. */
int loop_signal(struct loop *loop, int signo, void (*caught)(void *, int),
                void *arg);

/* Run what is due; with block, first wait until something is.
** Returns false when there is nothing left that could ever happen. */
bool loop_turn(struct loop *loop, bool block);

void loop_count(const struct loop *loop, struct loop_census *census);

#endif
