/* Byte streams over a descriptor (pipe, socket, terminal) as a Lua class. */
#ifndef STREAM_H
#define STREAM_H

#include <lua.h>

/* Push a stream that owns fd, which is made non-blocking. If it cannot be made,
** fd is closed and the error raised. */
void stream_push(lua_State *L, int fd);

/* The descriptor of the open stream at idx, which stays the stream's. Raises
** when it is closed or no stream. */
int stream_fd(lua_State *L, int idx);

/* Take the descriptor out of the stream at idx, which is closed thereafter. */
int stream_detach(lua_State *L, int idx);

/* The library kb.core.stream: only the class. */
int luaopen_kb_stream(lua_State *L);

#endif
