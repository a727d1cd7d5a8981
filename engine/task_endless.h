/* Lua that never waits, such as an endless loop, keeps the event loop from
** hearing of signals. So a timer that counts our own use of the processor looks
** every now and then: where one task has run since the last look, and somebody
** wants us to end, it is interrupted where it is, also in a coroutine of its
** own. */
#ifndef TASK_ENDLESS_H
#define TASK_ENDLESS_H

#include <lua.h>

struct task;

/* From now on a task that never waits is cancelled, where it is, when one of
** SIGINT, SIGTERM and SIGHUP is blocked and nobody has come to read it. */
void task_endless_watch(void);

/* Resume the coroutine of a task, which is watched: lua_resume. */
int task_endless_resume(lua_State *L, lua_State *co, struct task *t, int nargs);

/* Give this state a coroutine.resume and coroutine.wrap that say which
** coroutine runs. */
void task_endless_open(lua_State *L);

#endif
