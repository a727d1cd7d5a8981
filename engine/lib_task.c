/* kb.core.task: tasks, deadlines, conditions and signals, for Lua. */
#include "bind.h"
#include "task.h"
#include "task_endless.h"

#include <signal.h>

#define CONDITION "kb.condition"
#define SCOPE     "kb.scope"
#define SIGNAL    "kb.signal"

/*** Run a function in a task of its own, a child of the running one, which
** ends after it.
** @param fn function, and its arguments after it
** @return task: with join, cancel and done */
static int task_spawn_lua(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  task_start(L, 1, false);
  return 1;
}

/*** Like spawn, for a helper that is cancelled when its parent's body ends. Its
** failure is nobody's unless it is joined.
** @param fn function, and its arguments after it
** @return task */
static int task_background(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  task_start(L, 1, true);
  return 1;
}

static int sleep_try(lua_State *L) {
  kb_time at = (kb_time)lua_tointeger(L, 2);
  if (loop_now() < at)
    return task_again_until(L, NULL, at);
  lua_pushboolean(L, 1);
  return 1;
}

/* The time that is so many seconds from now. */
static kb_time after(lua_State *L, int idx) {
  lua_Number seconds = luaL_checknumber(L, idx);
  luaL_argcheck(L, seconds >= 0, idx, "seconds cannot be negative");
  if (seconds > 1e8)
    return KB_NEVER;
  return loop_now() + (kb_time)(seconds * (lua_Number)KB_SECOND);
}

/*** Wait for some time.
** @param seconds number: how long, fractions allowed
** @return true, or nil, message, "ETIMEDOUT" when the deadline comes first */
static int task_sleep(lua_State *L) {
  kb_time at = after(L, 1);
  lua_settop(L, 1);
  lua_pushinteger(L, at);
  return task_await(L, sleep_try);
}

/*** Let the other tasks that are ready run first. */
static int task_yield(lua_State *L) {
  return task_pass(L);
}

/*** Seconds of a clock that never goes back.
** @return number */
static int task_now(lua_State *L) {
  lua_pushnumber(L, (lua_Number)loop_now() / (lua_Number)KB_SECOND);
  return 1;
}

static int enter(lua_State *L, bool shield) {
  struct task *t = task_running(L);
  kb_time at = after(L, 1);
  struct task_scope *scope = bind_new(L, SCOPE, sizeof *scope, 1);
  task_push(L, t);
  lua_setiuservalue(L, -2, 1);
  task_scope_enter(t, scope, at, shield);
  return 1;
}

/*** Set the deadline of all waits until the scope closes:
** `local _ <close> = task.within(5)`. It never moves a deadline later. A scope
** that nobody closes ends when it is collected.
** @param seconds number: from now
** @return scope: to be closed */
static int task_within(lua_State *L) {
  return enter(L, false);
}

/*** Let cleanup wait although the task was cancelled or is past its deadline:
** `local _ <close> = task.shield(2)`.
** @param seconds number: the deadline of the waits inside
** @return scope: to be closed */
static int task_shield(lua_State *L) {
  return enter(L, true);
}

static int scope_close(lua_State *L) {
  task_scope_leave(luaL_checkudata(L, 1, SCOPE));
  return 0;
}

/*** Seconds until the running task's deadline.
** @return number, or nil when it has none */
static int task_left(lua_State *L) {
  task_running(L);
  kb_time at = task_deadline(L);
  if (at == KB_NEVER)
    return 0;
  lua_pushnumber(L, (lua_Number)(at - loop_now()) / (lua_Number)KB_SECOND);
  return 1;
}

/*** The running task.
** @return task */
static int task_current(lua_State *L) {
  task_push(L, task_running(L));
  return 1;
}

/*** What is alive, to prove that a test left nothing behind.
** @return table: tasks, watches, timers, children */
static int task_census(lua_State *L) {
  struct loop_census count;
  loop_count(task_loop(L), &count);
  lua_createtable(L, 0, 4);
  lua_pushinteger(L, (lua_Integer)task_count(L));
  lua_setfield(L, -2, "tasks");
  lua_pushinteger(L, (lua_Integer)count.watches);
  lua_setfield(L, -2, "watches");
  lua_pushinteger(L, (lua_Integer)count.timers);
  lua_setfield(L, -2, "timers");
  lua_pushinteger(L, (lua_Integer)count.children);
  lua_setfield(L, -2, "children");
  return 1;
}

/* Conditions */

/*** A thing to wait for: tasks that called wait go on when somebody calls
** notify. Check what you wait for in a loop around wait.
** @return condition: with wait, notify and notify_one */
static int task_condition(lua_State *L) {
  bind_new(L, CONDITION, sizeof(struct waiters), 0);
  return 1;
}

static int condition_try(lua_State *L) {
  if (lua_gettop(L) == 1) { /* the first time */
    lua_pushboolean(L, 1);
    return task_again(L, luaL_checkudata(L, 1, CONDITION));
  }
  return 1;
}

/*** Wait until the next notify.
** @return true, or nil, message, "ETIMEDOUT" */
static int condition_wait(lua_State *L) {
  luaL_checkudata(L, 1, CONDITION);
  lua_settop(L, 1);
  return task_await(L, condition_try);
}

/*** Wake all who wait. */
static int condition_notify(lua_State *L) {
  task_wake_all(luaL_checkudata(L, 1, CONDITION));
  return 0;
}

/*** Wake the one who waits longest. */
static int condition_notify_one(lua_State *L) {
  task_choose_one(luaL_checkudata(L, 1, CONDITION));
  return 0;
}

/* Signals */

struct signal_watch {
  struct signal_watches *all;
  int signo;
  int pending;
  struct waiters waiters;
};

/* The watches of this state, by number. */
struct signal_watches {
  struct signal_watch *by_number[65];
};

static const char watches_key; /* its address is the key in the registry */

static void signal_caught(void *arg, int signo) {
  struct signal_watch *watch = ((struct signal_watches *)arg)->by_number[signo];
  if (watch == NULL)
    return;
  watch->pending++;
  task_wake_all(&watch->waiters);
}

static const char *const signal_names[] = {"INT",  "TERM",  "HUP", "QUIT",
                                           "USR1", "WINCH", NULL};
static const int signal_numbers[] = {SIGINT,  SIGTERM, SIGHUP,
                                     SIGQUIT, SIGUSR1, SIGWINCH};

/*** Take a signal from its default action. INT, TERM and HUP also end a task
** that runs without ever waiting, so that nobody could hear of them.
** @param name string: INT, TERM, HUP, QUIT, USR1 or WINCH
** @return signal: with wait */
static int task_signal(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &watches_key);
  struct signal_watches *all = lua_touserdata(L, -1);
  int signo = signal_numbers[luaL_checkoption(L, 1, NULL, signal_names)];
  struct signal_watch *watch = bind_new(L, SIGNAL, sizeof *watch, 0);
  watch->signo = signo;
  if (loop_signal(task_loop(L), signo, signal_caught, all) < 0)
    return bind_fail(L, KB_ESYSTEM, "signal");
  task_endless_watch();
  watch->all = all;
  all->by_number[signo] = watch;
  return 1;
}

static int signal_try(lua_State *L) {
  struct signal_watch *watch = luaL_checkudata(L, 1, SIGNAL);
  if (watch->pending == 0)
    return task_again(L, &watch->waiters);
  watch->pending--;
  lua_pushboolean(L, 1);
  return 1;
}

/*** Wait until the signal has arrived.
** @return true */
static int signal_wait(lua_State *L) {
  luaL_checkudata(L, 1, SIGNAL);
  lua_settop(L, 1);
  return task_await(L, signal_try);
}

static int signal_gc(lua_State *L) {
  struct signal_watch *watch = luaL_checkudata(L, 1, SIGNAL);
  if (watch->all != NULL && watch->all->by_number[watch->signo] == watch)
    watch->all->by_number[watch->signo] = NULL;
  return 0;
}

static const luaL_Reg functions[] = {{"spawn", task_spawn_lua},
                                     {"background", task_background},
                                     {"sleep", task_sleep},
                                     {"yield", task_yield},
                                     {"now", task_now},
                                     {"within", task_within},
                                     {"shield", task_shield},
                                     {"left", task_left},
                                     {"current", task_current},
                                     {"census", task_census},
                                     {"condition", task_condition},
                                     {"signal", task_signal},
                                     {NULL, NULL}};
static const luaL_Reg no_functions[] = {{NULL, NULL}};
static const luaL_Reg condition_methods[] = {
    {"wait", condition_wait},
    {"notify", condition_notify},
    {"notify_one", condition_notify_one},
    {NULL, NULL}};
static const luaL_Reg signal_methods[] = {{"wait", signal_wait}, {NULL, NULL}};
static const luaL_Reg signal_meta[] = {{"__gc", signal_gc}, {NULL, NULL}};
static const luaL_Reg scope_meta[] = {
    {"__close", scope_close}, {"__gc", scope_close}, {NULL, NULL}};

/* The watches are in the registry: the loop holds their address. */
int luaopen_kb_task(lua_State *L) {
  bind_class(L, CONDITION, condition_methods, no_functions);
  bind_class(L, SIGNAL, signal_methods, signal_meta);
  bind_class(L, SCOPE, no_functions, scope_meta);
  luaL_newlibtable(L, functions);
  struct signal_watches *all = lua_newuserdatauv(L, sizeof *all, 0);
  *all = (struct signal_watches){{NULL}};
  lua_rawsetp(L, LUA_REGISTRYINDEX, &watches_key);
  luaL_setfuncs(L, functions, 0);
  return 1;
}
