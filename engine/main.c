/* kbrun: start the runtime and hand over to kb.cli. */
#include "bind.h"
#include "libs.h"
#include "task.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Exit status when the runtime itself fails; kb.cli has the other ones. */
enum { EXIT_BROKEN = 70 };

/* kb.cli.main(arguments) -> exit status, in the main task. */
static int run_cli(lua_State *L, int argc, char **argv) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "kb.cli");
  if (lua_pcall(L, 1, 1, 0) != LUA_OK)
    return LUA_ERRRUN;
  lua_getfield(L, -1, "main");
  lua_remove(L, -2);
  lua_createtable(L, argc, 0);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  return task_run(L, 1);
}

static int exit_status(lua_State *L, int status) {
  if (status == LUA_OK && lua_istable(L, -1)) {
    lua_rawgeti(L, -1, 1);
    return (int)lua_tointeger(L, -1);
  }
  const char *text = luaL_tolstring(L, -1, NULL);
  fprintf(stderr, "kbrun: %s\n", text);
  if (lua_istable(L, -2) && lua_getfield(L, -2, "traceback") == LUA_TSTRING)
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
  return EXIT_BROKEN;
}

/* A descriptor that we were started without would be given to the first socket
** or file that is opened, and what is meant for people would be written into
** it. */
static void fill_standard_descriptors(void) {
  int fd;
  do
    fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd > STDERR_FILENO)
    close(fd);
}

/* Whether who reads our output has gone, as `head` does: then the rest was not
** wanted. */
static int reader_gone(void) {
  struct pollfd out = {.fd = STDOUT_FILENO};
  return poll(&out, 1, 0) > 0 && (out.revents & POLLERR) != 0;
}

/* The exit status, once all that was printed has gone out. */
static int after_output(int status) {
  errno = 0;
  int written = fflush(stdout) == 0 && !ferror(stdout);
  if (written || reader_gone())
    return status;
  fprintf(stderr, "kbrun: not all could be written to standard output%s\n",
          errno == ENOSPC ? ": the disk is full" : "");
  return status == 0 ? EXIT_BROKEN : status;
}

/* Every host costs a descriptor or more: take what the hard limit allows. */
static void raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

/* The pieces of a file that is sent are soon more than all else there is, and a
** collection for each few of them was a tenth of the cost of sending: so the
** memory may grow to this percentage of what is in use before the next one. */
enum { GC_PAUSE = 400 };

/* With --lua DIR as the first arguments, modules come from DIR. */
static const char *take_override(int *argc, char ***argv) {
  if (*argc < 3 || strcmp((*argv)[1], "--lua") != 0)
    return NULL;
  const char *dir = (*argv)[2];
  (*argv)[2] = (*argv)[0];
  *argc -= 2;
  *argv += 2;
  return dir;
}

int main(int argc, char **argv) {
  const char *override_dir = take_override(&argc, &argv);
  fill_standard_descriptors();
  struct loop *loop = loop_new();
  lua_State *L = luaL_newstate();
  if (loop == NULL || L == NULL) {
    fprintf(stderr, "kbrun: not enough memory or descriptors to start\n");
    return EXIT_BROKEN;
  }
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_DFL); /* ignored, it would take our children's statuses */
  prctl(PR_SET_DUMPABLE, 0); /* secrets are in our memory */
  raise_descriptor_limit();
  lua_gc(L, LUA_GCINC, GC_PAUSE, 0, 0);
  libs_open(L, override_dir);
  task_open(L, loop);
  int status = exit_status(L, run_cli(L, argc, argv));
  lua_close(L);
  loop_free(loop);
  return after_output(status);
}
