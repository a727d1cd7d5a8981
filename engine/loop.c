#include "loop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_PER_TURN = 64, SIGNALS = 65 };

struct signal_hook {
  void (*caught)(void *arg, int signo);
  void *arg;
};

struct loop {
  int epoll;
  struct loop_timer **heap; /* a binary heap, the earliest first */
  size_t timers, room;
  size_t watches, children;
  struct loop_io signals; /* fd is -1 until a signal is asked for */
  sigset_t caught;
  struct signal_hook hooks[SIGNALS];
  /* The events of the turn in hand, so that an unwatch reaches them too. */
  struct epoll_event *batch;
  int batch_len;
};

void kb_must_failed(const char *what, const char *file, int line) {
  fprintf(stderr, "kbrun: %s:%d: must hold: %s\n", file, line, what);
  abort();
}

kb_time loop_now(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (kb_time)ts.tv_sec * KB_SECOND + ts.tv_nsec;
}

struct loop *loop_new(void) {
  struct loop *loop = calloc(1, sizeof *loop);
  if (loop == NULL)
    return NULL;
  loop->signals.fd = -1;
  sigemptyset(&loop->caught);
  loop->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (loop->epoll < 0) {
    free(loop);
    return NULL;
  }
  return loop;
}

void loop_free(struct loop *loop) {
  if (loop == NULL)
    return;
  if (loop->signals.fd >= 0) {
    close(loop->signals.fd);
    sigprocmask(SIG_UNBLOCK, &loop->caught, NULL);
  }
  close(loop->epoll);
  free(loop->heap);
  free(loop);
}

/* Descriptors */

int loop_watch(struct loop *loop, struct loop_io *io, uint32_t events) {
  struct epoll_event ev = {.events = events, .data.ptr = io};
  if (io->events == events)
    return 0;
  if (events == 0) {
    loop_unwatch(loop, io);
    return 0;
  }
  int op = io->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (epoll_ctl(loop->epoll, op, io->fd, &ev) < 0)
    return KB_ESYSTEM;
  if (op == EPOLL_CTL_ADD)
    loop->watches++;
  io->events = events;
  return 0;
}

void loop_unwatch(struct loop *loop, struct loop_io *io) {
  if (io->events == 0)
    return;
  epoll_ctl(loop->epoll, EPOLL_CTL_DEL, io->fd, NULL);
  io->events = 0;
  loop->watches--;
  for (int i = 0; i < loop->batch_len; i++)
    if (loop->batch[i].data.ptr == io)
      loop->batch[i].data.ptr = NULL;
}

/* Timers: slots are 1-based, so that the children of i are 2i and 2i + 1. */

static void place(struct loop *loop, struct loop_timer *timer, size_t slot) {
  loop->heap[slot - 1] = timer;
  timer->slot = slot;
}

static void sift_up(struct loop *loop, struct loop_timer *timer, size_t slot) {
  while (slot > 1 && loop->heap[slot / 2 - 1]->at > timer->at) {
    place(loop, loop->heap[slot / 2 - 1], slot);
    slot /= 2;
  }
  place(loop, timer, slot);
}

static void sift_down(struct loop *loop, struct loop_timer *timer,
                      size_t slot) {
  for (size_t child; (child = slot * 2) <= loop->timers; slot = child) {
    if (child < loop->timers &&
        loop->heap[child]->at < loop->heap[child - 1]->at)
      child++;
    if (loop->heap[child - 1]->at >= timer->at)
      break;
    place(loop, loop->heap[child - 1], slot);
  }
  place(loop, timer, slot);
}

static int grow(struct loop *loop) {
  size_t room = loop->room == 0 ? 64 : loop->room * 2;
  struct loop_timer **heap = realloc(loop->heap, room * sizeof *heap);
  if (heap == NULL)
    return KB_ENOMEM;
  loop->heap = heap;
  loop->room = room;
  return 0;
}

int loop_arm(struct loop *loop, struct loop_timer *timer, kb_time at) {
  loop_disarm(loop, timer);
  if (at == KB_NEVER)
    return 0;
  if (loop->timers == loop->room && grow(loop) < 0)
    return KB_ENOMEM;
  timer->at = at;
  sift_up(loop, timer, ++loop->timers);
  return 0;
}

void loop_disarm(struct loop *loop, struct loop_timer *timer) {
  size_t slot = timer->slot;
  if (slot == 0)
    return;
  timer->slot = 0;
  struct loop_timer *last = loop->heap[--loop->timers];
  if (last == timer)
    return;
  if (slot > 1 && loop->heap[slot / 2 - 1]->at > last->at)
    sift_up(loop, last, slot);
  else
    sift_down(loop, last, slot);
}

static void fire_due(struct loop *loop) {
  kb_time now = loop_now();
  while (loop->timers > 0 && loop->heap[0]->at <= now) {
    struct loop_timer *timer = loop->heap[0];
    loop_disarm(loop, timer);
    timer->fire(timer);
  }
}

/* Child processes: a pidfd becomes readable when the child has ended. */

static void child_ended(struct loop_io *io, uint32_t events) {
  struct loop_child *child = KB_OWNER(io, struct loop_child, io);
  int status = 0;
  (void)events;
  pid_t pid = waitpid(child->pid, &status, WNOHANG);
  if (pid == 0)
    return;
  if (pid < 0)
    status = W_EXITCODE(255, 0); /* an end that nobody saw is no success */
  loop_disown(child);
  child->done(child, status);
}

int loop_adopt(struct loop *loop, struct loop_child *child) {
  int fd = pidfd_open(child->pid, 0);
  if (fd < 0)
    return KB_ESYSTEM;
  child->loop = loop;
  child->io = (struct loop_io){.fd = fd, .ready = child_ended};
  if (loop_watch(loop, &child->io, EPOLLIN) < 0) {
    close(fd);
    child->io.fd = -1;
    return KB_ESYSTEM;
  }
  loop->children++;
  return 0;
}

void loop_disown(struct loop_child *child) {
  if (child->io.events == 0)
    return;
  loop_unwatch(child->loop, &child->io);
  close(child->io.fd);
  child->io.fd = -1;
  child->loop->children--;
}

/* Signals */

static void signal_arrived(struct loop_io *io, uint32_t events) {
  struct loop *loop = KB_OWNER(io, struct loop, signals);
  struct signalfd_siginfo info;
  (void)events;
  while (read(io->fd, &info, sizeof info) == (ssize_t)sizeof info) {
    struct signal_hook *hook = &loop->hooks[info.ssi_signo];
    hook->caught(hook->arg, (int)info.ssi_signo);
  }
}

int loop_signal(struct loop *loop, int signo, void (*caught)(void *, int),
                void *arg) {
  KB_MUST(signo > 0 && signo < SIGNALS);
  sigaddset(&loop->caught, signo);
  loop->hooks[signo] = (struct signal_hook){caught, arg};
  sigprocmask(SIG_BLOCK, &loop->caught, NULL);
  int fd =
      signalfd(loop->signals.fd, &loop->caught, SFD_NONBLOCK | SFD_CLOEXEC);
  if (fd < 0)
    return KB_ESYSTEM;
  if (loop->signals.fd >= 0)
    return 0;
  loop->signals.fd = fd;
  loop->signals.ready = signal_arrived;
  int rc = loop_watch(loop, &loop->signals, EPOLLIN);
  if (rc == 0)
    loop->watches--; /* it keeps nothing alive and is nobody's leak */
  return rc;
}

/* One turn */

static int patience(const struct loop *loop, bool block) {
  if (!block)
    return 0;
  if (loop->timers == 0)
    return -1;
  kb_time left = loop->heap[0]->at - loop_now();
  if (left <= 0)
    return 0;
  left = left / 1000000 + 1; /* never early: round up */
  return left > 3600 * 1000 ? 3600 * 1000 : (int)left;
}

bool loop_turn(struct loop *loop, bool block) {
  struct epoll_event batch[EVENTS_PER_TURN];
  if (block && loop->timers == 0 && loop->watches == 0)
    return false;
  int n =
      epoll_wait(loop->epoll, batch, EVENTS_PER_TURN, patience(loop, block));
  if (n < 0)
    KB_MUST(errno == EINTR);
  loop->batch = batch;
  loop->batch_len = n > 0 ? n : 0;
  for (int i = 0; i < loop->batch_len; i++) {
    struct loop_io *io = batch[i].data.ptr;
    if (io != NULL)
      io->ready(io, batch[i].events);
  }
  loop->batch_len = 0;
  fire_due(loop);
  return true;
}

void loop_count(const struct loop *loop, struct loop_census *census) {
  census->watches = loop->watches;
  census->timers = loop->timers;
  census->children = loop->children;
}
