#include "task.h"

#include "bind.h"
#include "task_endless.h"

#include <string.h>

#define TASK      "kb.task"
#define CANCELLED "kb.cancelled"

/* User values of a task's userdata. */
enum { UV_RESULT = 1, UV_THREAD, UV_FAILED, UV_REASON, UV_COUNT = UV_REASON };

struct runtime;

struct task {
  struct runtime *rt;
  lua_State *co;
  int self_ref; /* anchors the userdata until the task has ended */
  struct task *parent, *child, *older, *younger; /* live relatives */
  struct waiters *queue;                         /* where it is parked */
  struct waiters *chosen;   /* where it was chosen, until it goes on */
  struct task *next, *prev; /* in queue, or ready list */
  struct loop_timer timer;
  kb_time inherited, deadline; /* without its scopes, and with them */
  struct task_scope *scopes;   /* the innermost */
  int shields;                 /* scopes in which cancelling does not raise */
  bool parked, ready, cancelled, background;
  bool ending; /* the body is over; only children are awaited */
  bool done, failed, joined;
  struct waiters joiners, childless;
};

struct runtime {
  struct loop *loop;
  struct waiters ready;
  size_t live;
};

static const char runtime_key; /* its address is the key in the registry */

static struct runtime *runtime_of(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &runtime_key);
  struct runtime *rt = lua_touserdata(L, -1);
  lua_pop(L, 1);
  KB_MUST(rt != NULL);
  return rt;
}

/* A new coroutine copies the main thread's extra space, which holds NULL; only
** spawn sets it. So a coroutine of the user's own has no task. */
static struct task **slot_of(lua_State *L) {
  return (struct task **)lua_getextraspace(L);
}

struct task *task_self(lua_State *L) {
  return *slot_of(L);
}

struct task *task_running(lua_State *L) {
  struct task *t = task_self(L);
  if (t == NULL)
    luaL_error(L, "only a task can wait, and this is not one "
                  "(a coroutine of your own?)");
  return t;
}

/* Queues */

static void append(struct waiters *queue, struct task *t) {
  t->next = NULL;
  t->prev = queue->last;
  if (queue->last != NULL)
    queue->last->next = t;
  else
    queue->first = t;
  queue->last = t;
}

static void take_out(struct waiters *queue, struct task *t) {
  if (t->prev != NULL)
    t->prev->next = t->next;
  else
    queue->first = t->next;
  if (t->next != NULL)
    t->next->prev = t->prev;
  else
    queue->last = t->prev;
  t->next = t->prev = NULL;
}

static void make_ready(struct task *t) {
  if (t->ready || t->done)
    return;
  if (t->queue != NULL)
    take_out(t->queue, t);
  t->queue = NULL;
  t->parked = false;
  loop_disarm(t->rt->loop, &t->timer);
  t->ready = true;
  append(&t->rt->ready, t);
}

void task_wake_one(struct waiters *queue) {
  if (queue->first != NULL)
    make_ready(queue->first);
}

void task_choose_one(struct waiters *queue) {
  struct task *t = queue->first;
  if (t == NULL)
    return;
  make_ready(t);
  t->chosen = queue;
}

void task_wake_all(struct waiters *queue) {
  while (queue->first != NULL)
    make_ready(queue->first);
}

static void timer_fired(struct loop_timer *timer) {
  make_ready(KB_OWNER(timer, struct task, timer));
}

/* Waiting */

static void park(lua_State *L, struct waiters *queue, kb_time at) {
  struct task *t = task_self(L);
  KB_MUST(t != NULL && !t->parked && !t->ready);
  if (t->deadline < at && !t->ending)
    at = t->deadline;
  if (loop_arm(t->rt->loop, &t->timer, at) < 0)
    luaL_error(L, "not enough memory for a timer");
  t->parked = true;
  t->queue = queue;
  if (queue != NULL)
    append(queue, t);
}

int task_again_until(lua_State *L, struct waiters *queue, kb_time at) {
  park(L, queue, at);
  return KB_EAGAIN;
}

int task_again(lua_State *L, struct waiters *queue) {
  return task_again_until(L, queue, KB_NEVER);
}

kb_time task_deadline(lua_State *L) {
  struct task *t = task_self(L);
  return t != NULL ? t->deadline : KB_NEVER;
}

/* Take a scope and those inside it into account, the outermost first. */
static void apply(struct task *t, const struct task_scope *scope) {
  if (scope == NULL)
    return;
  apply(t, scope->outer);
  t->shields += scope->shield;
  if (scope->shield || scope->at < t->deadline)
    t->deadline = scope->at;
}

static void apply_all(struct task *t) {
  t->deadline = t->inherited;
  t->shields = 0;
  apply(t, t->scopes);
}

void task_scope_enter(struct task *t, struct task_scope *scope, kb_time at,
                      bool shield) {
  *scope = (struct task_scope){t, t->scopes, at, shield};
  t->scopes = scope;
  apply_all(t);
}

void task_scope_leave(struct task_scope *scope) {
  struct task *t = scope->task;
  if (t == NULL)
    return;
  struct task_scope **at = &t->scopes;
  while (*at != scope)
    at = &(*at)->outer;
  *at = scope->outer;
  scope->task = NULL;
  apply_all(t);
}

void task_push(lua_State *L, struct task *t) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, t->self_ref);
}

static int raise_cancelled(lua_State *L, struct task *t) {
  task_push(L, t);
  lua_createtable(L, 0, 2);
  lua_pushliteral(L, "cancelled");
  lua_setfield(L, -2, "kind");
  lua_getiuservalue(L, -2, UV_REASON);
  lua_setfield(L, -2, "message");
  luaL_setmetatable(L, CANCELLED);
  return lua_error(L);
}

/* Its being chosen comes too late for this task: another one is. */
static void pass_on(struct waiters *chosen) {
  if (chosen != NULL)
    task_choose_one(chosen);
}

static int await_step(lua_State *L, int status, lua_KContext ctx) {
  struct task *t = task_running(L);
  struct waiters *chosen = t->chosen;
  lua_CFunction try = (lua_CFunction)ctx;
  t->chosen = NULL;
  if (t->cancelled && t->shields == 0) {
    pass_on(chosen);
    return raise_cancelled(L, t);
  }
  if (status == LUA_YIELD && loop_now() >= t->deadline) {
    pass_on(chosen);
    return bind_fail(L, KB_ETIMEDOUT, "timed out");
  }
  int n = try(L);
  if (n != KB_EAGAIN)
    return n;
  return lua_yieldk(L, 0, ctx, await_step);
}

int task_await(lua_State *L, lua_CFunction try) {
  return await_step(L, LUA_OK, (lua_KContext)try);
}

static int yielded(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  struct task *t = task_self(L);
  return t->cancelled && t->shields == 0 ? raise_cancelled(L, t) : 0;
}

int task_pass(lua_State *L) {
  make_ready(task_running(L));
  return lua_yieldk(L, 0, 0, yielded);
}

/* The life of a task */

static void link_child(struct task *parent, struct task *t) {
  t->parent = parent;
  t->older = parent->child;
  if (parent->child != NULL)
    parent->child->younger = t;
  parent->child = t;
}

static void unlink_child(struct task *t) {
  struct task *parent = t->parent;
  if (parent == NULL)
    return;
  if (t->younger != NULL)
    t->younger->older = t->older;
  else
    parent->child = t->older;
  if (t->older != NULL)
    t->older->younger = t->younger;
  t->parent = t->older = t->younger = NULL;
  if (parent->child == NULL)
    task_wake_all(&parent->childless);
}

static void cancel_children(lua_State *L, struct task *t, bool all);

/* Cancel t for the reason at the top of the stack, which stays. */
static void cancel(lua_State *L, struct task *t) {
  if (t->done || t->cancelled)
    return;
  t->cancelled = true;
  task_push(L, t);
  lua_pushvalue(L, -2);
  lua_setiuservalue(L, -2, UV_REASON);
  lua_pop(L, 1);
  if (t->ending)
    cancel_children(L, t, true);
  else if (t->parked && t->shields == 0)
    make_ready(t);
}

static void cancel_children(lua_State *L, struct task *t, bool all) {
  for (struct task *c = t->child; c != NULL; c = c->older)
    if (all || c->background)
      cancel(L, c);
}

/* Leave in UV_RESULT the error of the first failed child that nobody joined. */
static void inherit_failure(lua_State *L, struct task *t) {
  task_push(L, t);
  if (lua_getiuservalue(L, -1, UV_FAILED) == LUA_TTABLE) {
    lua_Integer n = luaL_len(L, -1);
    for (lua_Integer i = 1; i <= n && !t->failed; i++) {
      lua_rawgeti(L, -1, i);
      struct task *c = lua_touserdata(L, -1);
      if (!c->joined) {
        lua_getiuservalue(L, -1, UV_RESULT);
        lua_setiuservalue(L, -4, UV_RESULT);
        t->failed = true;
      }
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 2);
}

/* Tell the parent, so that a failure which nobody joins is not lost. */
static void report_failure(lua_State *L, struct task *t) {
  struct task *parent = t->parent;
  if (parent == NULL || t->background || t->cancelled)
    return;
  task_push(L, parent);
  if (lua_getiuservalue(L, -1, UV_FAILED) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, -3, UV_FAILED);
  }
  task_push(L, t);
  lua_rawseti(L, -2, luaL_len(L, -2) + 1);
  lua_pop(L, 2);
}

/* Put what the body left above stack index 1 into UV_RESULT: its results as a
** table with n, or its error. */
static void keep_result(lua_State *L, struct task *t) {
  int n = lua_gettop(L) - 1;
  if (!t->failed) {
    lua_createtable(L, n, 1);
    lua_insert(L, 2);
    for (int i = n; i > 0; i--)
      lua_rawseti(L, 2, i);
    lua_pushinteger(L, n);
    lua_setfield(L, 2, "n");
  }
  task_push(L, t);
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, UV_RESULT);
  lua_settop(L, 1);
}

static int children_ended(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  inherit_failure(L, task_self(L));
  return 0;
}

static int body_ended(lua_State *L, int status, lua_KContext ctx) {
  struct task *t = task_self(L);
  t->failed = status != LUA_OK && status != LUA_YIELD;
  keep_result(L, t);
  t->ending = true;
  lua_pushliteral(L, "the task that spawned it has ended");
  cancel_children(L, t, t->failed || t->cancelled);
  lua_pop(L, 1);
  if (t->child == NULL)
    return children_ended(L, LUA_OK, ctx);
  task_again(L, &t->childless);
  return lua_yieldk(L, 0, 0, children_ended);
}

/* Give an error its traceback: strings get it appended, tables a field. */
static int add_traceback(lua_State *L) {
  if (lua_type(L, 1) == LUA_TSTRING) {
    luaL_traceback(L, L, lua_tostring(L, 1), 1);
  } else if (lua_type(L, 1) == LUA_TTABLE &&
             lua_getfield(L, 1, "traceback") == LUA_TNIL) {
    luaL_traceback(L, L, NULL, 1);
    lua_setfield(L, 1, "traceback");
    lua_settop(L, 1);
  }
  lua_settop(L, lua_type(L, 1) == LUA_TSTRING ? 2 : 1);
  return 1;
}

/* The bottom of every task's stack: add_traceback, the function, arguments. */
static int body(lua_State *L) {
  int nargs = lua_gettop(L) - 2;
  int status = lua_pcallk(L, nargs, LUA_MULTRET, 1, 0, body_ended);
  return body_ended(L, status, 0);
}

struct task *task_start(lua_State *L, int idx, bool background) {
  struct runtime *rt = runtime_of(L);
  struct task *t = bind_new(L, TASK, sizeof *t, UV_COUNT);
  lua_insert(L, idx);
  t->co = lua_newthread(L);
  lua_setiuservalue(L, idx, UV_THREAD);
  t->rt = rt;
  t->background = background;
  t->timer.fire = timer_fired;
  t->inherited = t->deadline = task_deadline(L);
  *slot_of(t->co) = t;
  luaL_checkstack(t->co, lua_gettop(L), "too many arguments");
  lua_pushcfunction(t->co, body);
  lua_pushcfunction(t->co, add_traceback);
  lua_xmove(L, t->co, lua_gettop(L) - idx);
  lua_pushvalue(L, idx);
  t->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  rt->live++;
  if (task_self(L) != NULL)
    link_child(task_self(L), t);
  make_ready(t);
  return t;
}

static void finish(lua_State *L, struct task *t, int status) {
  if (status != LUA_OK) { /* out of memory: body catches all else */
    t->failed = true;
    task_push(L, t);
    lua_pushliteral(L, "not enough memory for a task");
    lua_setiuservalue(L, -2, UV_RESULT);
    lua_pop(L, 1);
    while (t->child != NULL)
      unlink_child(t->child);
  }
  t->done = true;
  *slot_of(t->co) = NULL;
  t->rt->live--;
  if (t->failed && t->joiners.first == NULL)
    report_failure(L, t);
  unlink_child(t);
  task_wake_all(&t->joiners);
  luaL_unref(L, LUA_REGISTRYINDEX, t->self_ref);
}

bool task_is_cancelled(const struct task *t) {
  return t->cancelled && t->shields == 0;
}

void task_interrupt(lua_State *L, struct task *t, const char *reason) {
  lua_pushstring(L, reason);
  cancel(L, t);
  raise_cancelled(L, t);
}

static int resume(lua_State *L, struct task *t) {
  int nargs = lua_status(t->co) == LUA_YIELD ? 0 : lua_gettop(t->co) - 1;
  return task_endless_resume(L, t->co, t, nargs);
}

static void run_ready(lua_State *L, struct runtime *rt) {
  struct task *stop = rt->ready.last; /* what is woken meanwhile waits a turn */
  for (struct task *t = NULL; t != stop;) {
    t = rt->ready.first;
    take_out(&rt->ready, t);
    t->ready = false;
    int status = resume(L, t);
    if (status == LUA_YIELD)
      KB_MUST(t->parked || t->ready);
    else
      finish(L, t, status);
  }
}

int task_run(lua_State *L, int nargs) {
  struct task *main = task_start(L, lua_gettop(L) - nargs, false);
  struct runtime *rt = main->rt;
  while (!main->done) {
    if (rt->ready.first != NULL)
      run_ready(L, rt);
    if (main->done)
      break;
    if (!loop_turn(rt->loop, rt->ready.first == NULL)) {
      KB_MUST(!main->cancelled && main->shields == 0);
      lua_pushliteral(L, "deadlock: every task waits for another one");
      cancel(L, main);
      lua_pop(L, 1);
    }
  }
  lua_getiuservalue(L, -1, UV_RESULT);
  lua_remove(L, -2);
  return main->failed ? LUA_ERRRUN : LUA_OK;
}

struct loop *task_loop(lua_State *L) {
  return runtime_of(L)->loop;
}

size_t task_count(lua_State *L) {
  return runtime_of(L)->live;
}

/* kb.task: methods */

static int join_try(lua_State *L) {
  struct task *t = luaL_checkudata(L, 1, TASK);
  if (!t->done)
    return task_again(L, &t->joiners);
  t->joined = true;
  lua_getiuservalue(L, 1, UV_RESULT);
  if (t->failed)
    return lua_error(L);
  int n = (int)bind_field_integer(L, -1, "n", 0);
  luaL_checkstack(L, n, "too many results");
  for (int i = 1; i <= n; i++)
    lua_rawgeti(L, -i, i);
  return n;
}

/*** Wait until the task has ended.
** @return what its function returned
** @raise what its function raised */
static int task_join(lua_State *L) {
  struct task *t = luaL_checkudata(L, 1, TASK);
  luaL_argcheck(L, t != task_self(L), 1, "a task cannot join itself");
  lua_settop(L, 1);
  return task_await(L, join_try);
}

/*** Make the task's next wait, and all after it, raise. Its children follow.
** @param reason string: what the raised value says */
static int task_cancel(lua_State *L) {
  struct task *t = luaL_checkudata(L, 1, TASK);
  luaL_optstring(L, 2, NULL);
  if (lua_isnoneornil(L, 2)) {
    lua_settop(L, 1);
    lua_pushliteral(L, "cancelled");
  }
  cancel(L, t);
  return 0;
}

/*** Whether the task has ended.
** @return boolean */
static int task_done(lua_State *L) {
  struct task *t = luaL_checkudata(L, 1, TASK);
  lua_pushboolean(L, t->done);
  return 1;
}

static int cancelled_tostring(lua_State *L) {
  lua_getfield(L, 1, "message");
  return 1;
}

static const luaL_Reg methods[] = {{"join", task_join},
                                   {"cancel", task_cancel},
                                   {"done", task_done},
                                   {NULL, NULL}};
static const luaL_Reg no_functions[] = {{NULL, NULL}};
static const luaL_Reg cancelled_meta[] = {{"__tostring", cancelled_tostring},
                                          {NULL, NULL}};

void task_open(lua_State *L, struct loop *loop) {
  struct runtime *rt = lua_newuserdatauv(L, sizeof *rt, 0);
  memset(rt, 0, sizeof *rt);
  rt->loop = loop;
  lua_rawsetp(L, LUA_REGISTRYINDEX, &runtime_key);
  *slot_of(L) = NULL;
  task_endless_open(L);
  bind_class(L, TASK, methods, no_functions);
  bind_class(L, CANCELLED, no_functions, cancelled_meta);
}
