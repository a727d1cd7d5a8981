/* kb.core.proc: child processes. */
#include "bind.h"
#include "libs.h"
#include "stream.h"
#include "task.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESS "kb.process"

extern char **environ;

struct process {
  struct loop_child child; /* pid is 0 until started */
  bool done;
  int status;
  struct waiters waiters;
};

static void ended(struct loop_child *child, int status) {
  struct process *p = KB_OWNER(child, struct process, child);
  p->done = true;
  p->status = status;
  task_wake_all(&p->waiters);
}

/* Push an array of C strings, ended by NULL, made of the list at idx; it lives
** as long as the list and the pushed value. */
static char **strings(lua_State *L, int idx, const char *what) {
  lua_Integer n = luaL_len(L, idx);
  char **list = lua_newuserdatauv(L, (size_t)(n + 1) * sizeof *list, 0);
  for (lua_Integer i = 1; i <= n; i++) {
    if (lua_rawgeti(L, idx, i) != LUA_TSTRING)
      luaL_error(L, "%s[%I]: string expected, got %s", what, (LUAI_UACINT)i,
                 luaL_typename(L, -1));
    list[i - 1] = (char *)(uintptr_t)lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  list[n] = NULL;
  return list;
}

/* The three ends that the child gets, and those that we keep (-1: none). */
struct ends {
  int theirs[3], ours[3];
};

static void close_all(const int *fds) {
  for (int i = 0; i < 3; i++)
    if (fds[i] > STDERR_FILENO)
      close(fds[i]);
}

static int open_end(struct ends *e, int i, const char *mode) {
  int pair[2];
  e->theirs[i] = i;
  e->ours[i] = -1;
  if (strcmp(mode, "inherit") == 0)
    return 0;
  if (strcmp(mode, "null") == 0) {
    e->theirs[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
    return e->theirs[i] < 0 ? KB_ESYSTEM : 0;
  }
  if (pipe2(pair, O_CLOEXEC) < 0)
    return KB_ESYSTEM;
  e->theirs[i] = pair[i == 0 ? 0 : 1];
  e->ours[i] = pair[i == 0 ? 1 : 0];
  return 0;
}

/* One socket as the child's stdin and stdout; ours is in the place of stdin. */
static int open_socket(struct ends *e) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
    return KB_ESYSTEM;
  e->ours[0] = pair[0];
  e->theirs[0] = pair[1];
  e->theirs[1] = fcntl(pair[1], F_DUPFD_CLOEXEC, 3);
  return e->theirs[1] < 0 ? KB_ESYSTEM : 0;
}

static int open_ends(lua_State *L, struct ends *e, bool socket) {
  static const char *const names[] = {"stdin", "stdout", "stderr"};
  memset(e, -1, sizeof *e);
  if (socket && open_socket(e) < 0) {
    close_all(e->theirs);
    close_all(e->ours);
    return KB_ESYSTEM;
  }
  for (int i = socket ? 2 : 0; i < 3; i++) {
    const char *mode = bind_field_string(L, 1, names[i], "pipe");
    if (open_end(e, i, mode) < 0) {
      close_all(e->theirs);
      close_all(e->ours);
      return KB_ESYSTEM;
    }
  }
  return 0;
}

/* Start argv with the ends as 0, 1, 2, signals as new, in its own session if
** asked for. Returns 0 or an errno. */
static int start(pid_t *pid, char **argv, char **env, const char *cwd,
                 bool session, const struct ends *e) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attr;
  sigset_t none, usual;
  short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  sigemptyset(&none);
  sigemptyset(&usual);
  sigaddset(&usual, SIGPIPE);
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attr);
  for (int i = 0; i < 3; i++)
    posix_spawn_file_actions_adddup2(&actions, e->theirs[i], i);
  if (cwd != NULL)
    posix_spawn_file_actions_addchdir_np(&actions, cwd);
  posix_spawnattr_setsigmask(&attr, &none);
  posix_spawnattr_setsigdefault(&attr, &usual);
  posix_spawnattr_setflags(&attr,
                           (short)(flags | (session ? POSIX_SPAWN_SETSID : 0)));
  int err = posix_spawnp(pid, argv[0], &actions, &attr, argv, env);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attr);
  return err;
}

static void push_end(lua_State *L, struct ends *e, int i, const char *name) {
  if (e->ours[i] < 0)
    return;
  stream_push(L, e->ours[i]);
  e->ours[i] = -1;
  lua_setfield(L, -2, name);
}

/*** Start a program.
** @param options table: argv (list; argv[1] is looked up in PATH), env (list of
** NAME=value; ours if absent), cwd, session (boolean: a session of its own),
** stdin, stdout, stderr ("pipe", the default, "null" or "inherit"), socket
** (boolean: one socket as both stdin and stdout)
** @return process, and a table with the streams stdin, stdout, stderr that are
** pipes, and socket; or nil, message, code */
static int proc_spawn(lua_State *L) {
  struct ends e;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  struct process *p = bind_new(L, PROCESS, sizeof *p, 0); /* at 2 */
  const char *cwd = bind_field_string(L, 1, "cwd", NULL);
  bool session = bind_field_boolean(L, 1, "session", 0) != 0;
  luaL_argcheck(L, lua_getfield(L, 1, "argv") == LUA_TTABLE, 1,
                "argv must be a list");
  char **argv = strings(L, 3, "argv");
  luaL_argcheck(L, argv[0] != NULL, 1, "argv is empty");
  char **env = environ;
  if (lua_getfield(L, 1, "env") == LUA_TTABLE)
    env = strings(L, lua_gettop(L), "env");
  bool socket = bind_field_boolean(L, 1, "socket", 0) != 0;
  if (open_ends(L, &e, socket) < 0)
    return bind_fail(L, KB_ESYSTEM, "pipes for %s", argv[0]);
  int err = start(&p->child.pid, argv, env, cwd, session, &e);
  close_all(e.theirs);
  if (err != 0) {
    close_all(e.ours);
    errno = err;
    return bind_fail(L, KB_ESYSTEM, "cannot run %s", argv[0]);
  }
  p->child.done = ended;
  if (loop_adopt(task_loop(L), &p->child) < 0) { /* out of descriptors */
    err = errno;
    kill(p->child.pid, SIGKILL);
    waitpid(p->child.pid, NULL, 0);
    p->child.pid = 0;
    close_all(e.ours);
    errno = err;
    return bind_fail(L, KB_ESYSTEM, "cannot watch %s", argv[0]);
  }
  lua_pushvalue(L, 2);
  lua_createtable(L, 0, 3);
  push_end(L, &e, 0, socket ? "socket" : "stdin");
  push_end(L, &e, 1, "stdout");
  push_end(L, &e, 2, "stderr");
  return 2;
}

static int wait_try(lua_State *L) {
  struct process *p = luaL_checkudata(L, 1, PROCESS);
  if (!p->done)
    return task_again(L, &p->waiters);
  if (WIFSIGNALED(p->status)) {
    lua_pushnil(L);
    lua_pushstring(L, sigabbrev_np(WTERMSIG(p->status)));
    return 2;
  }
  lua_pushinteger(L, WEXITSTATUS(p->status));
  return 1;
}

/*** Wait until the process has ended.
** @return its exit status; or nil and the signal's name ("KILL") that ended it;
** or nil, message, "ETIMEDOUT" */
static int process_wait(lua_State *L) {
  luaL_checkudata(L, 1, PROCESS);
  lua_settop(L, 1);
  return task_await(L, wait_try);
}

/*** Send a signal to the process, or to its whole group.
** @param signo integer: 15 if absent
** @param group boolean: to every process of its session's group
** @return true, or nil, message, code */
static int process_kill(lua_State *L) {
  struct process *p = luaL_checkudata(L, 1, PROCESS);
  int signo = (int)luaL_optinteger(L, 2, SIGTERM);
  pid_t to = lua_toboolean(L, 3) ? -p->child.pid : p->child.pid;
  if ((p->done && to > 0) || kill(to, signo) < 0) {
    errno = p->done ? ESRCH : errno;
    return bind_fail(L, KB_ESYSTEM, "kill");
  }
  lua_pushboolean(L, 1);
  return 1;
}

/*** The process id.
** @return integer */
static int process_pid(lua_State *L) {
  struct process *p = luaL_checkudata(L, 1, PROCESS);
  lua_pushinteger(L, p->child.pid);
  return 1;
}

/* A process that nobody holds any more is ended: it is not to outlive us. */
static int process_gc(lua_State *L) {
  struct process *p = luaL_checkudata(L, 1, PROCESS);
  if (p->child.pid == 0 || p->done)
    return 0;
  loop_disown(&p->child);
  kill(p->child.pid, SIGKILL);
  waitpid(p->child.pid, NULL, 0);
  p->done = true;
  return 0;
}

static const luaL_Reg functions[] = {{"spawn", proc_spawn}, {NULL, NULL}};
static const luaL_Reg methods[] = {{"wait", process_wait},
                                   {"kill", process_kill},
                                   {"pid", process_pid},
                                   {NULL, NULL}};
static const luaL_Reg meta[] = {{"__gc", process_gc}, {NULL, NULL}};

int luaopen_kb_proc(lua_State *L) {
  bind_class(L, PROCESS, methods, meta);
  luaL_newlib(L, functions);
  return 1;
}
