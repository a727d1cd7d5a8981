#include "task_endless.h"

#include "bind.h"
#include "task.h"

#include <signal.h>
#include <sys/time.h>

enum { LOOK_EVERY = 500000 /* microseconds */ };

static struct task *volatile task;
static lua_State *volatile running;  /* the innermost coroutine of the task */
static volatile sig_atomic_t looked; /* since something else began to run */

static void interrupt(lua_State *L, lua_Debug *at) {
  (void)at;
  lua_sethook(L, NULL, 0, 0);
  if (task != NULL)
    task_interrupt(L, task,
                   "interrupted while it ran without waiting for anything");
}

/* Whether nobody has come to read a signal that ends us, or the task was
** cancelled before it began to run on and on. */
static bool is_to_end(void) {
  sigset_t pending;
  if (task_is_cancelled(task))
    return true;
  return sigpending(&pending) == 0 &&
         (sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM) ||
          sigismember(&pending, SIGHUP));
}

static void look(int signo) {
  (void)signo;
  if (running == NULL || !looked)
    looked = 1;
  else if (is_to_end())
    lua_sethook(running, interrupt,
                LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

void task_endless_watch(void) {
  struct sigaction action = {.sa_handler = look, .sa_flags = SA_RESTART};
  struct itimerval every = {{0, LOOK_EVERY}, {0, LOOK_EVERY}};
  sigaction(SIGVTALRM, &action, NULL);
  setitimer(ITIMER_VIRTUAL, &every, NULL);
}

int task_endless_resume(lua_State *L, lua_State *co, struct task *t,
                        int nargs) {
  int nres = 0;
  looked = 0;
  task = t;
  running = co;
  int status = lua_resume(co, L, nargs, &nres);
  running = NULL;
  task = NULL;
  return status;
}

/* Coroutines of a task's own */

/* Resume co with the nargs values at the top, which are taken. Returns how many
** results are there instead, or -1: an error is. */
static int resume_inside(lua_State *L, lua_State *co, int nargs) {
  lua_State *outside = running;
  int nres = 0;
  luaL_argcheck(L, lua_checkstack(co, nargs), 1, "too many arguments");
  lua_xmove(L, co, nargs);
  running = co;
  int status = lua_resume(co, L, nargs, &nres);
  running = outside;
  if (status != LUA_OK && status != LUA_YIELD)
    nres = 1;
  luaL_checkstack(L, nres + 1, "too many results");
  lua_xmove(co, L, nres);
  return status == LUA_OK || status == LUA_YIELD ? nres : -1;
}

static int inside_resume(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTHREAD);
  lua_State *co = lua_tothread(L, 1);
  int nres = resume_inside(L, co, lua_gettop(L) - 1);
  lua_pushboolean(L, nres >= 0);
  lua_insert(L, 2);
  return nres >= 0 ? nres + 1 : 2;
}

/* Run what is still to be closed in a coroutine that has failed. */
static void close_failed(lua_State *co) {
  lua_State *outside = running;
  if (lua_status(co) == LUA_OK || lua_status(co) == LUA_YIELD)
    return; /* it could not be resumed at all */
  running = co;
  lua_resetthread(co);
  running = outside;
  lua_settop(co, 0);
}

static int wrapped(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  int nres = resume_inside(L, co, lua_gettop(L));
  if (nres >= 0)
    return nres;
  close_failed(co);
  if (lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int inside_wrap(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, wrapped, 1);
  return 1;
}

void task_endless_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"resume", inside_resume}, {"wrap", inside_wrap}, {NULL, NULL}};
  lua_getglobal(L, "coroutine");
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
