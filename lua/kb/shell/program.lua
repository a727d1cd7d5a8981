--- The shell program that waits on a host for requests: the other end of kb.shell.
--
-- It is POSIX sh and reads lines from its standard input byte by byte (as `read` must), so that
-- raw data may follow a line at once. A line is obeyed only when it begins with the nonce of this
-- shell; so data that was taken for a line by mistake is never run.
--
-- Each command runs in a session of its own. Beside it a watcher reads the same input: it obeys
-- orders to signal the command's processes, and ends them when the input ends, which is how a lost
-- operator is noticed. When the command has ended, a marker on both of its streams says so; it
-- begins with byte 1 and the nonce, which nobody on the host knows.
--
-- A command that gets data may not read it, and then the watcher cannot read on to the end of the
-- input. So there is a beat beside it, which writes a marker each second, and ends the command when
-- nobody is there to read it. Both close what they do not need by themselves: a shell that calls a
-- function with redirections keeps what was there before, and what feeds the command would then
-- wait for ever for itself to read.
--
-- A status above 128 may be a death by a signal or an exit with such a status. The list of jobs
-- tells which: dash and busybox keep an ended job there until the next one is started.

local crypto = require "kb.core.crypto"
local quote = require "kb.quote"

local M = {}

-- What a login shell of any kind (fish and csh too) runs the same way.
M.boot = [[exec /bin/sh -c 'IFS= read -r l;eval "$l"']]

local PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

-- $1 of run, script and stream is the request's number, $2 the command, $3 what comes before it
-- (environment, directory).
local program = [==[
n=$(printf '\n.')
n=${n%.}
umask 022
setsid=$(command -v setsid)
exec 3<&0 6>&1 7>&2 0</dev/null 1>/dev/null 2>/dev/null
cd || cd /
stop() {
  kill "-$1" "-$2" || kill "-$1" "$2"
  [ "$1" = KILL ] || return 0
  for stat in /proc/[0-9]*/stat; do
    read -r line <"$stat" || continue
    pid=${line%% *}
    set -- "$1" "$2" ${line##*) }
    [ "$6" = "$2" ] && kill -KILL "$pid"
  done
}
watch() {
  while read -r order <&3; do
    stop "$order" "$1"
  done
  finish "$1"
}
finish() {
  stop TERM "$1"
  kill -0 "-$1" || exit
  sleep 1
  stop KILL "$1"
}
report() {
  kill -0 "-$u" && left=$u || left=
  printf "\001$mark:%s\n" "$1" >&7
  if [ "$s" -gt 128 ]; then
    printf "\001$mark:%s:jobs:%s\n" "$1" "$u" >&6
    jobs -l >&6
  fi
  printf "\001$mark:%s:end:%s:%s\n" "$1" "$s" "$left" >&6
}
run() {
  (eval "$3" || exit 126
    exec $setsid /bin/sh -c "$2") </dev/null >&6 2>&7 3<&- 6>&- 7>&- &
  u=$!
  watch "$u" 6>&- 7>&- &
  w=$!
  wait "$u"
  s=$?
  kill -KILL "$w"
  wait "$w"
  report "$1"
}
take() {
  dd bs=65536 count="$1" iflag=fullblock,count_bytes <&3
}
feed() {
  exec 6>&- 7>&- 8<&-
  while read -r order <&3; do
    case $order in
    0) break ;;
    [1-9]*) take "$order" >&9 ;;
    *) stop "$order" "$1" ;;
    esac
  done
  [ "$order" = 0 ] || stop KILL "$1"
  exec 9>&-
  watch "$1"
}
beat() {
  exec 3<&- 7>&- 8<&- 9>&-
  trap "" PIPE
  while sleep 1 6>&- && printf "\001$mark:%s:on\n" "$2" >&6; do
    :
  done
  finish "$1"
}
stream() {
  : | {
    exec 8<&0 9>/proc/self/fd/0 0</dev/null
    (eval "$3" || exit 126
      exec $setsid /bin/sh -c "$2") <&8 >&6 2>&7 3<&- 6>&- 7>&- 8<&- 9>&- &
    u=$!
    printf "\001$mark:%s:pid:%s\n" "$1" "$u" >&6
    feed "$u" &
    w=$!
    beat "$u" "$1" &
    b=$!
    exec 9>&-
    wait "$u"
    s=$?
    report "$1"
    cat <&8
    kill -KILL "$w" "$b"
    wait "$w" "$b"
    printf "\001$mark:%s:ready\n" "$1" >&6
  }
}
has=
command -v zstd && has=$has,zstd
command -v openssl && has=$has,openssl
command -v setsid && has=$has,setsid
(: | exec 9>/proc/self/fd/0) && has=$has,pipe
printf "\001$mark:0\n" >&7
printf "\001$mark:0:hello:%s:%s\n" "$(id -u)" "$has" >&6
while IFS= read -r l <&3; do
  case $l in
  "$mark "*) eval "${l#* }" ;;
  esac
done
]==]

-- Indentation is for readers here; the host is sent the bare lines.
program = program:gsub("\n +", "\n")

--- Digits that nobody can guess.
-- @return string: 32 hexadecimal digits
function M.nonce()
  return (crypto.random(16):gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end))
end

--- Quote a text into one word on one line; the shell has a line break in $n.
-- @param text string
-- @return string
function M.one_line(text)
  return "'" .. quote.raw(text):gsub("\n", [['"$n"']]) .. "'"
end

--- The lines that make a fresh /bin/sh, started with M.boot, into the waiting shell.
-- The first replaces the environment, whatever the login shell's files made of it.
-- @param nonce string: hexadecimal digits
-- @return string
function M.start(nonce)
  local clean = M.clean() .. " " .. M.boot:gsub("^exec ", "") .. "\n"
  local break_line = [[n=$(printf '\n.');n=${n%.};]]
  return clean .. break_line .. "mark=" .. nonce .. ";eval " .. M.one_line(program) .. "\n"
end

--- The beginning of a command that runs a program in an environment of its own.
-- @return string
function M.clean()
  return "exec env -i PATH=" .. PATH
    .. [[ HOME="${HOME:-/}" USER="${USER:-$(id -un)}"]]
    .. [[ LOGNAME="${LOGNAME:-$(id -un)}" LC_ALL=C]]
end

return M
