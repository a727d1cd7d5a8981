/* Calls that may block for long (a slow disk), each in a thread of its own
** while the tasks go on. */
#ifndef WORK_H
#define WORK_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* What a thread does with its data; it must not touch Lua or the loop. */
typedef void work_fn(void *data);

/* Push a work, to be closed, and return its `size` zeroed bytes of data, which
** the caller fills; NULL, with errno set, when there is no memory. `drop`, or
** NULL, frees what the data holds when nobody needs it any more. */
void *work_new(lua_State *L, size_t size, work_fn *fn, work_fn *drop);

/* Begin the work at the index idx. Returns 0 or KB_ESYSTEM. The data is the
** thread's until it is over. When the task is cancelled the thread goes on to
** its end, unheeded. */
int work_start(lua_State *L, int idx);

/* For a try function: whether the work at idx is over. If not,
** `return work_again(L, idx)`. */
bool work_over(lua_State *L, int idx);
int work_again(lua_State *L, int idx);

/* The data of the work at idx. */
void *work_data(lua_State *L, int idx);

#endif
