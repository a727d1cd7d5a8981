# shellcheck shell=bash
# What every script under tests/ shares: messages with times, errors, and the
# cache. Source it; it sets the shell's options too.

set -euo pipefail
# Without this a failing command inside $( ) goes unnoticed.
shopt -s inherit_errexit

# Build products live outside the tree, so that a fresh clone is warm, and
# outside /tmp, so that they survive a reboot.
KBRUN_CACHE=${KBRUN_CACHE:-/var/cache/kbrun}

# Seconds since some fixed moment; only differences mean anything.
clock() {
  local up
  read -r up _ </proc/uptime
  echo "${up%.*}"
}

COMMON_STARTED=$(clock)

# Progress goes to stderr, because stdout often carries a result.
say() {
  printf '[%4ds] %s\n' "$(($(clock) - COMMON_STARTED))" "$*" >&2
}

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# step TITLE COMMAND...: run it and say how long it took.
step() {
  local title=$1 begun
  shift
  begun=$(clock)
  "$@"
  say "$title ($(($(clock) - begun)) s)"
}

need_root() {
  [ "$(id -u)" = 0 ] || die "must run as root (nodes are containers); try: sudo $0"
}

# A background process must not keep its starter's pipes and locks open.
close_inherited() {
  local fd
  for fd in "/proc/$BASHPID/fd"/*; do
    fd=${fd##*/}
    # bash keeps 255 for the script itself
    [ "$fd" -le 2 ] || [ "$fd" = 255 ] || exec {fd}>&-
  done
}

# Wait until a command succeeds: await SECONDS WHAT COMMAND...
# The deadline is wall-clock; a failure names what was waited for.
await() {
  local limit=$1 what=$2 begun
  shift 2
  begun=$(clock)
  until "$@"; do
    [ $(($(clock) - begun)) -lt "$limit" ] ||
      die "waited ${limit}s for $what, in vain"
    sleep 0.2
  done
}

# Print the path of a cache entry, making it first if it is missing:
# cached NAME MAKER ARGS... runs `MAKER DIR ARGS...` on an empty directory.
# The entry appears by rename, so it is whole or absent; a lock makes a second
# caller wait for the first instead of doing the work twice.
cached() {
  local name=$1 maker=$2 entry=$KBRUN_CACHE/$1 lock
  shift 2
  if [ ! -d "$entry" ]; then
    mkdir -p "$KBRUN_CACHE"
    exec {lock}>"$KBRUN_CACHE/.$name.lock"
    flock "$lock"
    [ -d "$entry" ] || cache_make "$entry" "$maker" "$@"
    exec {lock}>&-
  fi
  echo "$entry"
}

# The work directory's name is fixed: the lock is held, so what is found there
# is left from a maker that was killed.
cache_make() {
  local entry=$1 maker=$2 work=$KBRUN_CACHE/.making-${1##*/}
  shift 2
  rm -rf --one-file-system "$work"
  mkdir -p "$work/entry"
  (cd "$work" && "$maker" "$work/entry" "$@") >&2
  mv -T "$work/entry" "$entry"
  rm -rf --one-file-system "$work"
}
