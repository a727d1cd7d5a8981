#include "work.h"

#include "bind.h"
#include "task.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WORK "kb.work"

/* There may be a thread for each of a thousand hosts. */
enum { STACK = 256 * 1024 };

/* Shared by the thread and the task; the last one to let go frees it. */
struct job {
  atomic_int holders;
  int done; /* an eventfd */
  work_fn *fn, *drop;
  max_align_t data[];
};

struct work {
  struct loop *loop;
  struct job *job; /* NULL when closed */
  struct loop_io io;
  bool over;
  struct waiters waiters;
};

static void let_go(struct job *job) {
  if (atomic_fetch_sub(&job->holders, 1) > 1)
    return;
  if (job->drop != NULL)
    job->drop(job->data);
  if (job->done >= 0)
    close(job->done);
  free(job);
}

static void *work_thread(void *arg) {
  struct job *job = arg;
  const uint64_t one = 1;
  job->fn(job->data);
  ssize_t n = write(job->done, &one, sizeof one);
  KB_MUST(n == (ssize_t)sizeof one);
  let_go(job);
  return NULL;
}

/* Signals are for the thread that runs Lua. */
static int start_thread(struct job *job) {
  pthread_t thread;
  pthread_attr_t attr;
  sigset_t all;
  sigfillset(&all);
  pthread_attr_init(&attr);
  pthread_attr_setsigmask_np(&attr, &all);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attr, STACK);
  atomic_fetch_add(&job->holders, 1);
  int err = pthread_create(&thread, &attr, work_thread, job);
  pthread_attr_destroy(&attr);
  if (err == 0)
    return 0;
  atomic_fetch_sub(&job->holders, 1);
  errno = err;
  return KB_ESYSTEM;
}

static void ended(struct loop_io *io, uint32_t events) {
  struct work *w = KB_OWNER(io, struct work, io);
  (void)events;
  loop_unwatch(w->loop, io);
  w->over = true;
  task_wake_all(&w->waiters);
}

static int work_gc(lua_State *L) {
  struct work *w = luaL_checkudata(L, 1, WORK);
  struct job *job = w->job;
  if (job == NULL)
    return 0;
  loop_unwatch(w->loop, &w->io);
  if (w->over) { /* the thread will not write again */
    close(job->done);
    job->done = -1;
  }
  let_go(job);
  w->job = NULL;
  return 0;
}

void *work_new(lua_State *L, size_t size, work_fn *fn, work_fn *drop) {
  static const luaL_Reg no_methods[] = {{NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", work_gc}, {NULL, NULL}};
  bind_class(L, WORK, no_methods, meta);
  struct work *w = bind_new(L, WORK, sizeof *w, 0);
  lua_toclose(L, -1);
  w->loop = task_loop(L);
  w->io = (struct loop_io){.fd = -1, .ready = ended};
  struct job *job = w->job = calloc(1, sizeof *job + size);
  if (job == NULL)
    return NULL;
  atomic_init(&job->holders, 1);
  job->done = -1;
  job->fn = fn;
  job->drop = drop;
  return job->data;
}

int work_start(lua_State *L, int idx) {
  struct work *w = luaL_checkudata(L, idx, WORK);
  w->job->done = w->io.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (w->job->done < 0 || loop_watch(w->loop, &w->io, EPOLLIN) < 0)
    return KB_ESYSTEM;
  return start_thread(w->job);
}

bool work_over(lua_State *L, int idx) {
  const struct work *w = luaL_checkudata(L, idx, WORK);
  return w->over;
}

int work_again(lua_State *L, int idx) {
  struct work *w = luaL_checkudata(L, idx, WORK);
  return task_again(L, &w->waiters);
}

void *work_data(lua_State *L, int idx) {
  struct work *w = luaL_checkudata(L, idx, WORK);
  return w->job->data;
}
