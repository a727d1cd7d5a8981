/* Tasks: Lua coroutines that wait by yielding to the event loop.
**
** Structured: a task ends after the tasks it has spawned. A task that fails
** cancels its children; a child's failure that nobody joined fails its parent.
** Cancelling raises at the task's next wait, and again at every wait after it,
** so that a stray pcall cannot swallow it; only a shield lets cleanup wait.
**
** A binding that may wait is written as a `try` function: it does what can be
** done now and returns its results, or returns task_again(L, queue) to be
** called again, with the same arguments on the stack, when the queue is woken.
** It keeps no state across the wait outside of its userdata and the stack. */
#ifndef TASK_H
#define TASK_H

#include "loop.h"

#include <lua.h>

struct task;

/* Tasks that wait for one thing. Zero-initialised it is empty. */
struct waiters {
  struct task *first, *last;
};

/* Set up the task runtime of this state on the loop, which must outlive it. */
void task_open(lua_State *L, struct loop *loop);

/* Run the function on the top of the stack (with nargs arguments above it) as
** the main task until it and all its descendants have ended. Pops them; leaves
** one value: nothing useful (true) on success, else the error.
** Returns LUA_OK or LUA_ERRRUN. */
int task_run(lua_State *L, int nargs);

/* The loop of this state. */
struct loop *task_loop(lua_State *L);

/* Run a try function to its end, waiting as often as it asks for. Returns the
** number of results: those of try, or nil, message, "ETIMEDOUT" when the task's
** deadline passes. Raises when cancelled, or outside of a task. */
int task_await(lua_State *L, lua_CFunction try);

/* For a try function: park in queue (or in none) until woken, or until the
** given time if that comes first. Returns what try must return. */
int task_again(lua_State *L, struct waiters *queue);
int task_again_until(lua_State *L, struct waiters *queue, kb_time at);

/* The deadline of the running task; KB_NEVER if it has none. */
kb_time task_deadline(lua_State *L);

/* A stretch of what a task does with a deadline of its own. The owner embeds
** it, and keeps the task's userdata alive as long as itself. */
struct task_scope {
  struct task *task; /* NULL when it was left */
  struct task_scope *outer;
  kb_time at;
  bool shield;
};

/* Begin a scope of t: its waits end at the given time, if not before; under a
** shield at that time even if later, and cancelling does not raise. */
void task_scope_enter(struct task *t, struct task_scope *scope, kb_time at,
                      bool shield);

/* End it, in whatever order; those that are left hold. Safe to repeat. */
void task_scope_leave(struct task_scope *scope);

/* An identity of the running task, to tell it from others; never dereferenced
** by callers. NULL outside of a task. */
struct task *task_self(lua_State *L);

/* The running task; raises outside of one. */
struct task *task_running(lua_State *L);

/* Whether the next wait of the task raises. */
bool task_is_cancelled(const struct task *t);

/* Cancel the task that runs, in L or in a coroutine around L, and raise. */
void task_interrupt(lua_State *L, struct task *t, const char *reason);

/* Push the userdata of a task that has not ended. */
void task_push(lua_State *L, struct task *t);

/* Start the function at idx with the arguments above it in a new task, a child
** of the running one, which is left on the stack in their place. One in the
** background is cancelled when its parent's body ends. */
struct task *task_start(lua_State *L, int idx, bool background);

/* Let the other ready tasks run first: `return task_pass(L)`. */
int task_pass(lua_State *L);

/* How many tasks have not ended. */
size_t task_count(lua_State *L);

/* Make all tasks (or the one longest waiting) in the queue runnable. */
void task_wake_all(struct waiters *queue);
void task_wake_one(struct waiters *queue);

/* Wake the one longest waiting, or the next one if by then it was cancelled or
** is past its deadline. The queue must live as long as any wait in it does. */
void task_choose_one(struct waiters *queue);

/* The library kb.core.task. */
int luaopen_kb_task(lua_State *L);

#endif
