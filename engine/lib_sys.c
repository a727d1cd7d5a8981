/* kb.core.sys: the operator's machine: files, environment, terminal, clock. */
#include "bind.h"
#include "libs.h"
#include "task.h"
#include "work.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static int done(lua_State *L, int rc, const char *subject) {
  if (rc < 0)
    return bind_fail(L, KB_ESYSTEM, "%s", subject);
  lua_pushboolean(L, 1);
  return 1;
}

/*** Read a whole file.
** @param path string
** @return string, or nil, message, code */
static int sys_read_file(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return bind_fail(L, KB_ESYSTEM, "%s", path);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  ssize_t n;
  do {
    char *room = luaL_prepbuffsize(&b, 65536);
    n = read(fd, room, 65536);
    if (n > 0)
      luaL_addsize(&b, (size_t)n);
  } while (n > 0 || (n < 0 && errno == EINTR));
  int err = errno;
  close(fd);
  luaL_pushresult(&b);
  errno = err;
  return n < 0 ? bind_fail(L, KB_ESYSTEM, "%s", path) : 1;
}

static int write_all(int fd, const char *data, size_t len) {
  while (len > 0) {
    ssize_t n = write(fd, data, len);
    if (n < 0 && errno != EINTR)
      return -1;
    if (n > 0) {
      data += n;
      len -= (size_t)n;
    }
  }
  return 0;
}

/* Sync a file or directory, with the mode that it is to have. Returns 0 or an
** errno. */
static int sync_path(const char *path, int flags, const mode_t *mode) {
  int fd = open(path, flags | O_CLOEXEC);
  if (fd < 0)
    return errno;
  int rc = mode != NULL ? fchmod(fd, *mode) : 0;
  int err = rc < 0 || fsync(fd) < 0 ? errno : 0;
  close(fd);
  return err;
}

/* Sync the directory of a path, which is changed. Not every file system can,
** and one may write into a directory without reading it. */
static int sync_directory(char *path) {
  int err = sync_path(dirname(path), O_RDONLY | O_DIRECTORY, NULL);
  return err == EINVAL || err == EACCES ? 0 : err;
}

/*** Replace a file whole or not at all: a temporary name in the same directory,
** synced, renamed, and the directory synced.
** @param path string
** @param data string
** @param mode integer: permission bits (0600)
** @return true, or nil, message, code */
static int sys_write_file(lua_State *L) {
  size_t len;
  const char *path = luaL_checkstring(L, 1);
  const char *data = luaL_checklstring(L, 2, &len);
  mode_t mode = (mode_t)luaL_optinteger(L, 3, 0600);
  char name[PATH_MAX];
  if (strlen(path) + 8 > sizeof name) {
    errno = ENAMETOOLONG;
    return bind_fail(L, KB_ESYSTEM, "%s", path);
  }
  strcpy(name, path);
  strcat(name, ".XXXXXX");
  int fd = mkostemp(name, O_CLOEXEC);
  if (fd < 0)
    return bind_fail(L, KB_ESYSTEM, "%s", path);
  bool ok =
      write_all(fd, data, len) == 0 && fchmod(fd, mode) == 0 && fsync(fd) == 0;
  ok = close(fd) == 0 && ok;
  if (!ok || rename(name, path) < 0) {
    int err = errno;
    unlink(name);
    errno = err;
    return bind_fail(L, KB_ESYSTEM, "%s", path);
  }
  errno = sync_directory(name);
  return done(L, errno != 0 ? -1 : 0, path);
}

struct placing {
  mode_t mode;
  int error;
  bool renaming; /* it is the new name that was refused */
  char from[PATH_MAX], to[PATH_MAX];
};

static void place_file(void *data) {
  struct placing *p = data;
  p->error = sync_path(p->from, O_RDONLY | O_NOFOLLOW, &p->mode);
  if (p->error != 0)
    return;
  p->renaming = true;
  p->error = rename(p->from, p->to) < 0 ? errno : sync_directory(p->to);
}

static int place_try(lua_State *L) {
  const struct placing *p = work_data(L, 4);
  if (!work_over(L, 4))
    return work_again(L, 4);
  errno = p->error;
  return done(L, p->error != 0 ? -1 : 0, lua_tostring(L, p->renaming ? 2 : 1));
}

/*** Put a file that is complete in the place of another, in the same directory:
** it is synced, renamed, and the directory synced. Others go on meanwhile.
** @param from string: the file
** @param path string: its new name
** @param mode integer: permission bits
** @return true, or nil, message, code */
static int sys_place(lua_State *L) {
  size_t from_len, to_len;
  const char *from = luaL_checklstring(L, 1, &from_len);
  const char *to = luaL_checklstring(L, 2, &to_len);
  mode_t mode = (mode_t)luaL_checkinteger(L, 3);
  luaL_argcheck(L, from_len < PATH_MAX, 1, "too long");
  luaL_argcheck(L, to_len < PATH_MAX, 2, "too long");
  lua_settop(L, 3);
  struct placing *p = work_new(L, sizeof *p, place_file, NULL);
  if (p == NULL)
    return bind_fail(L, KB_ESYSTEM, "%s", to);
  p->mode = mode;
  strcpy(p->from, from);
  strcpy(p->to, to);
  if (work_start(L, 4) < 0)
    return bind_fail(L, KB_ESYSTEM, "%s", to);
  return task_await(L, place_try);
}

/*** Append a line to a file under an exclusive lock; the file is made, 0600.
** @param path string
** @param line string: without its newline
** @return true, or nil, message, code */
static int sys_append_line(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  luaL_checkstring(L, 2);
  lua_settop(L, 2);
  lua_pushliteral(L, "\n");
  lua_concat(L, 2);
  size_t len;
  const char *line = lua_tolstring(L, 2, &len);
  int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return bind_fail(L, KB_ESYSTEM, "%s", path);
  int rc = flock(fd, LOCK_EX) == 0 ? write_all(fd, line, len) : -1;
  int err = errno;
  close(fd);
  errno = err;
  return done(L, rc, path);
}

static const char *kind_of(mode_t mode) {
  switch (mode & S_IFMT) {
  case S_IFREG:
    return "file";
  case S_IFDIR:
    return "directory";
  case S_IFLNK:
    return "link";
  case S_IFSOCK:
    return "socket";
  default:
    return "other";
  }
}

/*** What is at a path.
** @param path string
** @param follow boolean: look at what a link points to (true)
** @return table: kind ("file", "directory", "link", "socket", "other"), size,
** mode (permission bits), mtime (seconds), uid, gid; or nil, message, code */
static int sys_stat(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  bool follow = lua_isnoneornil(L, 2) || lua_toboolean(L, 2);
  struct stat st;
  if (fstatat(AT_FDCWD, path, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
    return bind_fail(L, KB_ESYSTEM, "%s", path);
  lua_createtable(L, 0, 6);
  lua_pushstring(L, kind_of(st.st_mode));
  lua_setfield(L, -2, "kind");
  lua_pushinteger(L, st.st_size);
  lua_setfield(L, -2, "size");
  lua_pushinteger(L, st.st_mode & 07777);
  lua_setfield(L, -2, "mode");
  lua_pushnumber(L, (lua_Number)st.st_mtim.tv_sec +
                        (lua_Number)st.st_mtim.tv_nsec / 1e9);
  lua_setfield(L, -2, "mtime");
  lua_pushinteger(L, st.st_uid);
  lua_setfield(L, -2, "uid");
  lua_pushinteger(L, st.st_gid);
  lua_setfield(L, -2, "gid");
  return 1;
}

/*** The names in a directory, sorted, without "." and "..".
** @param path string
** @return list of strings, or nil, message, code */
static int sys_list(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct dirent **names;
  int n = scandir(path, &names, NULL, alphasort);
  if (n < 0)
    return bind_fail(L, KB_ESYSTEM, "%s", path);
  lua_createtable(L, n, 0);
  lua_Integer kept = 0;
  for (int i = 0; i < n; i++) {
    const char *name = names[i]->d_name;
    if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
      lua_pushstring(L, name);
      lua_rawseti(L, -2, ++kept);
    }
    free(names[i]);
  }
  free(names);
  return 1;
}

/*** Make a directory and those above it.
** @param path string
** @param mode integer: permission bits of what is made (0777 less the umask)
** @return true, or nil, message, code */
static int sys_mkdir(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  mode_t mode = (mode_t)luaL_optinteger(L, 2, 0777);
  char part[PATH_MAX];
  luaL_argcheck(L, strlen(path) < sizeof part, 1, "too long");
  strcpy(part, path);
  for (char *p = part + 1; (p = strchr(p, '/')) != NULL; p++) {
    *p = '\0';
    if (mkdir(part, mode) < 0 && errno != EEXIST)
      return bind_fail(L, KB_ESYSTEM, "%s", part);
    *p = '/';
  }
  if (mkdir(path, mode) < 0 && errno != EEXIST)
    return bind_fail(L, KB_ESYSTEM, "%s", path);
  struct stat st;
  if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
    errno = ENOTDIR;
    return bind_fail(L, KB_ESYSTEM, "%s", path);
  }
  return done(L, 0, path);
}

/*** Make a directory with a name of its own, mode 0700.
** @param prefix string: the path's beginning
** @return its path, or nil, message, code */
static int sys_mkdtemp(lua_State *L) {
  char path[PATH_MAX];
  const char *prefix = luaL_checkstring(L, 1);
  luaL_argcheck(L, strlen(prefix) + 7 < sizeof path, 1, "too long");
  strcpy(path, prefix);
  strcat(path, "XXXXXX");
  if (mkdtemp(path) == NULL)
    return bind_fail(L, KB_ESYSTEM, "%s", prefix);
  lua_pushstring(L, path);
  return 1;
}

/*** Remove a file, a link or an empty directory.
** @param path string
** @return true, or nil, message, code */
static int sys_remove(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  return done(L, remove(path), path);
}

/*** Set permission bits.
** @param path string
** @param mode integer
** @return true, or nil, message, code */
static int sys_chmod(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  return done(L, chmod(path, (mode_t)luaL_checkinteger(L, 2)), path);
}

/*** Make a symbolic link.
** @param target string: what it points to
** @param path string: where it lives
** @return true, or nil, message, code */
static int sys_symlink(lua_State *L) {
  const char *target = luaL_checkstring(L, 1);
  const char *path = luaL_checkstring(L, 2);
  return done(L, symlink(target, path), path);
}

/*** What a symbolic link points to.
** @param path string
** @return string, or nil, message, code */
static int sys_readlink(lua_State *L) {
  char target[PATH_MAX];
  const char *path = luaL_checkstring(L, 1);
  ssize_t n = readlink(path, target, sizeof target);
  if (n < 0)
    return bind_fail(L, KB_ESYSTEM, "%s", path);
  lua_pushlstring(L, target, (size_t)n);
  return 1;
}

/*** The absolute path without links, "." and "..".
** @param path string
** @return string, or nil, message, code */
static int sys_realpath(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  char *real = realpath(path, NULL);
  if (real == NULL)
    return bind_fail(L, KB_ESYSTEM, "%s", path);
  lua_pushstring(L, real);
  free(real);
  return 1;
}

/*** The paths that match a shell pattern, sorted.
** @param pattern string
** @return list of strings, empty when there is none */
static int sys_glob(lua_State *L) {
  glob_t found;
  int rc = glob(luaL_checkstring(L, 1), GLOB_TILDE, NULL, &found);
  lua_newtable(L);
  for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++) {
    lua_pushstring(L, found.gl_pathv[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  if (rc != GLOB_NOMATCH)
    globfree(&found);
  return 1;
}

/*** An environment variable.
** @param name string
** @return string or nil */
static int sys_getenv(lua_State *L) {
  lua_pushstring(L, getenv(luaL_checkstring(L, 1)));
  return 1;
}

/*** Set or, without a value, remove an environment variable of ours, which
** programs that are started inherit.
** @param name string
** @param value string or nil */
static int sys_setenv(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const char *value = luaL_optstring(L, 2, NULL);
  return done(L, value ? setenv(name, value, 1) : unsetenv(name), name);
}

/*** Who runs kbrun, and where.
** @return table: user, home, uid, pid, cwd, hostname */
static int sys_self(lua_State *L) {
  char buf[PATH_MAX] = "";
  const struct passwd *pw = getpwuid(getuid());
  lua_createtable(L, 0, 6);
  lua_pushstring(L, pw != NULL ? pw->pw_name : "unknown");
  lua_setfield(L, -2, "user");
  const char *home = getenv("HOME");
  lua_pushstring(L, home != NULL ? home : pw != NULL ? pw->pw_dir : "/");
  lua_setfield(L, -2, "home");
  lua_pushinteger(L, getuid());
  lua_setfield(L, -2, "uid");
  lua_pushinteger(L, getpid());
  lua_setfield(L, -2, "pid");
  lua_pushstring(L, getcwd(buf, sizeof buf) != NULL ? buf : "/");
  lua_setfield(L, -2, "cwd");
  gethostname(buf, sizeof buf - 1);
  lua_pushstring(L, buf);
  lua_setfield(L, -2, "hostname");
  return 1;
}

/*** Seconds since 1970, with a fraction.
** @return number */
static int sys_time(lua_State *L) {
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  lua_pushnumber(L, (lua_Number)ts.tv_sec + (lua_Number)ts.tv_nsec / 1e9);
  return 1;
}

/*** Whether a descriptor is a terminal.
** @param fd integer: 0, 1 or 2
** @return boolean */
static int sys_isatty(lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
  return 1;
}

/*** The size of the terminal on a descriptor.
** @param fd integer
** @return columns, rows; nothing when it is no terminal */
static int sys_terminal_size(lua_State *L) {
  struct winsize size;
  if (ioctl((int)luaL_checkinteger(L, 1), TIOCGWINSZ, &size) < 0)
    return 0;
  lua_pushinteger(L, size.ws_col);
  lua_pushinteger(L, size.ws_row);
  return 2;
}

static volatile sig_atomic_t ending; /* the signal that came at a prompt */

static void note_ending(int signo) {
  ending = signo;
}

/* Wait for a line. False when a signal came first, which is let in only here:
** none can come unseen between a look at `ending` and the wait. */
static bool line_came(int fd, const sigset_t *let_in) {
  struct pollfd line = {.fd = fd, .events = POLLIN};
  while (ending == 0)
    if (ppoll(&line, 1, NULL, let_in) > 0)
      return true;
  return false;
}

/* Read a line while nothing is shown of it. A signal that ends us does so once
** the terminal shows again what is typed. */
static const char *read_hidden(FILE *tty, const char *prompt, char *line,
                               int room) {
  static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
  struct sigaction note = {.sa_handler = note_ending}, usual[4];
  struct termios shown, hidden;
  sigset_t held, before, let_in;
  int fd = fileno(tty);
  ending = 0;
  sigemptyset(&held);
  for (size_t i = 0; i < KB_COUNT(signals); i++)
    sigaddset(&held, signals[i]);
  sigprocmask(SIG_BLOCK, &held, &before);
  let_in = before;
  for (size_t i = 0; i < KB_COUNT(signals); i++) {
    sigdelset(&let_in, signals[i]);
    sigaction(signals[i], &note, &usual[i]);
  }
  tcgetattr(fd, &shown);
  hidden = shown;
  hidden.c_lflag &= ~(tcflag_t)ECHO;
  tcsetattr(fd, TCSAFLUSH, &hidden); /* first: an answer may come at once */
  fputs(prompt, tty);
  fflush(tty);
  const char *got = line_came(fd, &let_in) ? fgets(line, room, tty) : NULL;
  tcsetattr(fd, TCSAFLUSH, &shown);
  fputs("\n", tty);
  fflush(tty);
  for (size_t i = 0; i < KB_COUNT(signals); i++)
    sigaction(signals[i], &usual[i], NULL);
  sigprocmask(SIG_SETMASK, &before, NULL);
  if (ending != 0)
    raise(ending);
  return got;
}

/*** Ask on the terminal without echo. Blocks the whole program: for use before
** a run starts.
** @param prompt string
** @return string, or nil, message, code without a terminal */
static int sys_ask_secret(lua_State *L) {
  const char *prompt = luaL_checkstring(L, 1);
  char line[1024];
  FILE *tty = fopen("/dev/tty", "r+e");
  if (tty == NULL)
    return bind_fail(L, KB_ESYSTEM, "no terminal to ask for a password");
  setvbuf(tty, NULL, _IONBF, 0); /* no copy of it stays behind */
  const char *got = read_hidden(tty, prompt, line, sizeof line);
  fclose(tty);
  if (got == NULL)
    return bind_fail(L, KB_ECLOSED, "no password was given");
  lua_pushlstring(L, line, strcspn(line, "\n"));
  explicit_bzero(line, sizeof line);
  return 1;
}

/*** Take a file as a lock that ends with this process.
** @param path string: made if absent
** @return the lock's descriptor; false when another holds it; or nil, message,
** code */
static int sys_lock(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return bind_fail(L, KB_ESYSTEM, "%s", path);
  if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
    int err = errno;
    close(fd);
    errno = err;
    if (err != EWOULDBLOCK)
      return bind_fail(L, KB_ESYSTEM, "%s", path);
    lua_pushboolean(L, 0);
    return 1;
  }
  lua_pushinteger(L, fd);
  return 1;
}

/*** Give back what lock took.
** @param descriptor integer
** @return true, or nil, message, code */
static int sys_unlock(lua_State *L) {
  return done(L, close((int)luaL_checkinteger(L, 1)), "unlock");
}

static const luaL_Reg functions[] = {{"append_line", sys_append_line},
                                     {"ask_secret", sys_ask_secret},
                                     {"chmod", sys_chmod},
                                     {"getenv", sys_getenv},
                                     {"glob", sys_glob},
                                     {"isatty", sys_isatty},
                                     {"list", sys_list},
                                     {"lock", sys_lock},
                                     {"mkdir", sys_mkdir},
                                     {"mkdtemp", sys_mkdtemp},
                                     {"place", sys_place},
                                     {"read_file", sys_read_file},
                                     {"readlink", sys_readlink},
                                     {"realpath", sys_realpath},
                                     {"remove", sys_remove},
                                     {"self", sys_self},
                                     {"setenv", sys_setenv},
                                     {"stat", sys_stat},
                                     {"symlink", sys_symlink},
                                     {"terminal_size", sys_terminal_size},
                                     {"time", sys_time},
                                     {"unlock", sys_unlock},
                                     {"write_file", sys_write_file},
                                     {NULL, NULL}};

int luaopen_kb_sys(lua_State *L) {
  luaL_newlib(L, functions);
  return 1;
}
