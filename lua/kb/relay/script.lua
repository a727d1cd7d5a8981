--- What runs on hosts for a relay: POSIX sh, coreutils, awk, util-linux's flock and setsid, and on
-- the relay an OpenSSH client.
--
-- Both scripts read frames, a line of words and then the bytes that it announces, and print events,
-- a line each. The data of a frame is always the next of its blob. While a run works on a host it
-- has a directory in memory there, /dev/shm/kbrun-relay.ID, and holds a lock in it: a directory, or
-- a key with that ID as its comment, whose lock is free, was left behind by a run that died. What
-- must not stay is removed at the end by the script itself, and when it is killed, by a process
-- beside it that waits for the lock.

local quote = require "kb.quote"

local M = {}

local common = [==[
umask 022
r=/dev/shm/kbrun-relay.$id
export id r u edit tidy
fail() {
  printf 'fail %s\n' "$1"
  exit 1
}
sum() {
  x=
  [ "$(stat -c %s "$1")" -lt 4194304 ] || x=$(openssl dgst -sha256 -r <"$1" 2>/dev/null)
  [ -n "$x" ] || x=$(sha256sum <"$1") || return
  printf %s "${x%% *}"
}
room() {
  df -P -k . | awk 'NR == 2 { printf "%.0f", $4 * 1024 }'
}
bytes() {
  dd bs=65536 iflag=fullblock,count_bytes status=none count="$1" 2>"$r/error"
}
unpack() {
  zstd -dcq 2>"$r/error.zstd"
}
why() {
  cat "$r"/error* 2>/dev/null | grep . | tail -n 1
}
begin() {
  case $(stat -f -c %T /dev/shm) in
  tmpfs | ramfs) ;;
  *) fail 'it has no /dev/shm in memory' ;;
  esac
  sweep
  t=/dev/shm/.kbrun-relay.$id
  mkdir -m 711 "$t" && exec 9>"$t/lock" && flock -n 9 && mv "$t" "$r" || fail "$r cannot be made"
  (setsid /bin/sh -c 'exec 7<"$r/lock" && flock 7 && eval "$tidy"' </dev/null >/dev/null 2>&1 \
    3<&- 4<&- 8<&- 9<&- &)
  trap 'eval "$tidy"' EXIT
}
]==]

-- A run that died has left its directory, but not its lock. Everybody may write to /dev/shm: a link
-- there, which would lead us to a directory of ours that is something else, is not followed.
local sweep = [==[
sweep() {
  for old in /dev/shm/kbrun-relay.*/; do
    [ ! -L "${old%/}" ] && [ -O "$old" ] && flock -n "${old}lock" true && rm -rf "$old"
  done 2>/dev/null
}
]==]

-- On the relay. Frames: `data BLOB BYTES`, `packed BLOB BYTES`, `whole BLOB`, `file NAME BYTES`,
-- `meet NODE ADDRESS` (makes a key for it, and tells that and which address of ours the node sees),
-- `start NODE ADDRESS PORT USER`, `here NODE FIFO` (the node is the relay itself), `stop NODE`. A
-- node's file NODE.list has the lines BLOB SIZE FROM of what it wants.
local spool = common .. sweep .. [==[
[ "$(id -u)" = 0 ] && d=/var/lib/kbrun/relay || d=${HOME%/}/.cache/kbrun/relay
for tool in ssh ssh-keygen ip getent flock setsid; do
  command -v "$tool" >/dev/null || fail "it has no program $tool"
done
mkdir -p "${d%/*}" && { [ -d "$d" ] || mkdir -m 700 "$d"; } && [ -O "$d" ] && cd "$d" &&
  chmod 700 . && mkdir -p blobs && exec 8>lock || fail "$d cannot be written"
flock -w 10 8 || fail 'another run uses it'
cd blobs || fail "$d cannot be used"
find . -type f -mtime +"$keep" -exec rm -f {} +
begin
umask 077
stat -c 'have %n %s' -- * 2>/dev/null
command -v zstd >/dev/null && z=1 || z=0
printf 'ready %s %s\n' "$z" "$(room)"

fast=aes128-gcm@openssh.com
pass() {
  n=$(($(stat -L -c %s /proc/self/fd/4) - $2))
  [ "$n" -le 4194304 ] || n=4194304
  [ "$n" -gt 0 ] || n=0
  [ "$n" -gt 0 ] || return 0
  printf 'data %s %s\n' "$1" "$n"
  dd bs=65536 iflag=skip_bytes,count_bytes,fullblock skip="$2" count="$n" <&4 2>/dev/null
}
send() {
  while read -r h s at; do
    while [ "$at" -lt "$s" ]; do
      [ -e "$1" ] || return
      n=0
      f=$h
      [ -e "$f" ] || f=$h.part
      [ ! -e "$f" ] || pass "$h" "$at" 4<"$f"
      at=$((at + n))
      [ "$n" -gt 0 ] || sleep 0.3
    done
  done <"$1"
}
# The cipher that costs least where the processor knows AES comes first, if there is one.
carry() {
  all=$(ssh -F /dev/null -T -G node | sed -n 's/^ciphers //p')
  case ,$all, in
  *,"$fast",*) all=$fast,$all ;;
  esac
  ssh -F /dev/null -T -a -x -i "$r/$1.key" -l "$4" -p "$3" -o IdentitiesOnly=yes \
    -o IdentityAgent=none -o BatchMode=yes -o PreferredAuthentications=publickey \
    -o StrictHostKeyChecking=yes -o UserKnownHostsFile="$r/$1.known" -o HostKeyAlias=node \
    -o GlobalKnownHostsFile=/dev/null -o ConnectTimeout=10 -o ServerAliveInterval=10 \
    -o ControlPath=none -o CheckHostIP=no -o LogLevel=ERROR \
    -o Ciphers="$all" -- "$2"
}
lead() {
  send "$r/$1.list" | {
    "$way" "$@" >/dev/null 2>"$r/$1.err"
    x=$?
    rm -f "$r/$1.list" "$r/$1.key"
    (exit "$x")
  }
  printf 'over %s %s %s\n' "$1" "$?" "$(tr -d '\r' <"$r/$1.err" | grep . | tail -n 1)"
}
into() {
  cat >"$2"
}
meet() {
  ssh-keygen -q -t ed25519 -N '' -C '' -f "$r/$1.key" </dev/null >/dev/null 2>&1
  a=$(getent ahosts "$2" | awk '{ print $1; exit }')
  printf 'met %s %s %s\n' "$1" "$(cat "$r/$1.key.pub")" "$(ip -o route get "$a" 2>/dev/null |
    sed -n 's/.* src \([^ ]*\).*/\1/p')"
}
check() {
  if [ "$(sum "$1.part")" = "$1" ]; then
    sync "$1.part" && mv -f "$1.part" "$1" && printf 'whole %s\n' "$1"
  else
    rm -f "$1.part"
    printf 'bad %s\n' "$1"
  fi
}
while read -r word a b c e; do
  case $word in
  data) bytes "$b" >>"$a.part" || fail "its disk: $(why)" ;;
  packed) bytes "$b" | unpack >>"$a.part" || fail "its disk: $(why)" ;;
  whole) check "$a" 8>&- 9>&- & ;;
  file) bytes "$b" >"$r/$a" || fail 'its memory is full' ;;
  meet) meet "$a" "$b" 8>&- 9>&- & ;;
  start) way=carry && lead "$a" "$b" "$c" "$e" </dev/null 8>&- 9>&- & ;;
  here) way=into && lead "$a" "$b" </dev/null 8>&- 9>&- & ;;
  stop) rm -f "$r/$a.list" ;;
  esac
done
rm -f "$r"/*.list
wait
]==]

-- Changes the user's authorized_keys: out goes what dead runs have left, and in comes a line. $1
-- are the IDs of the runs that live, $2 is the line or nothing.
local keys = [==[
umask 077
cd || exit 1
[ -d .ssh ] || [ -z "$2" ] || mkdir -p .ssh || exit 1
f=.ssh/authorized_keys
[ -d .ssh ] && exec 7<.ssh && flock 7 || exit 0
[ ! -L "$f" ] || f=$(readlink -f "$f")
[ -n "$2" ] || grep -q kbrun-relay: "$f" 2>/dev/null || exit 0
t=$(mktemp "${f%/*}/.kbrun.XXXXXXXX") || exit 1
trap 'rm -f "$t"' EXIT
if [ -e "$f" ]; then
  cp -p "$f" "$t" && awk -v live="$1" '
    $NF ~ /^kbrun-relay:/ && !index(live, " " substr($NF, 13) " ") { next }
    { print }' "$f" >"$t" || exit 1
fi
[ -z "$2" ] || printf '%s\n' "$2" >>"$t" || exit 1
if [ -s "$t" ]; then
  sync "$t" && mv -f "$t" "$f" || exit 1
  restorecon "$f" 2>/dev/null || :
else
  rm -f "$f"
fi
]==]

-- What is needed to change the keys: as the user, and knowing which runs live.
local keeper = [==[
export edit
live() {
  printf ' '
  for lock in /dev/shm/kbrun-relay.*/lock; do
    [ -e "$lock" ] && ! flock -n "$lock" true 2>/dev/null || continue
    one=${lock%/lock}
    one=${one##*/kbrun-relay.}
    [ "$one" = "$1" ] || printf '%s ' "$one"
  done
}
keys() {
  if [ "$(id -un)" = "$u" ]; then
    /bin/sh -c "$edit" sh "$1" "$2"
  else
    runuser -u "$u" -- env HOME="$(getent passwd "$u" | cut -d: -f6)" /bin/sh -c "$edit" sh \
      "$1" "$2" </dev/null
  fi
}
]==]

-- On a node. Its input is the list of what it shall have, lines BLOB SIZE and then a dot; then the
-- frames `data BLOB BYTES` and `packed BLOB BYTES UNPACKED`, unless they come from the relay.
local receive = common .. sweep .. keeper .. [==[
[ -d "$d" ] || mkdir -p "$d" || fail "$d cannot be made"
cd "$d" && exec 8>.lock || fail "$d cannot be written"
flock -w 900 8 || fail 'another run is still sending'
begin
while read -r h s && [ "$h" != . ]; do
  printf '%s %s\n' "$h" "$s"
done >"$r/list"
finish() {
  [ "$(stat -c %s "$1.part")" = "$2" ] || return 0
  if [ "$(sum "$1.part")" = "$1" ]; then
    sync "$1.part" && mv -f "$1.part" "$1" && printf 'done %s\n' "$1"
  else
    rm -f "$1.part"
    printf 'bad %s\n' "$1"
  fi
}
# A run that died between the last byte and the name has left a whole part: nothing of it will come.
stat -c '%n %s' -- *.part 2>/dev/null | while read -r h s; do
  if grep -qx "${h%.part} $s" "$r/list"; then
    finish "${h%.part}" "$s" >&2
  fi
done
stat -c '%n %s' -- * 2>/dev/null >"$r/there"
awk -v there="$r/there" '
  BEGIN { while ((getline <there) > 0) size[$1] = $2 }
  size[$1] == $2 { next }
  { part = size[$1 ".part"]; print $1, $2, part <= $2 ? part + 0 : 0 }' "$r/list" >"$r/want"
while read -r h s at; do
  [ "$at" != 0 ] || rm -f "$h.part"
  printf 'want %s %s %s\n' "$h" "$s" "$at"
done <"$r/want"
[ -s "$r/want" ] || exit 0
need=$(awk '{ n += $2 - $3 } END { printf "%.0f", n }' "$r/want")
[ "$need" -lt "$(room)" ] || fail "$d has only $(room) bytes free, $need are needed"
command -v zstd >/dev/null && z=1 || z=0
if [ "$from" != operator ]; then
  mkfifo -m 600 "$r/in" && chown "$u" "$r/in" || fail "$r/in cannot be made"
  until=$(date -d '+20 minutes' +%Y%m%d%H%M)
  [ "$from" = here ] || keys "$(live "")" \
    "restrict,expiry-time=\"$until\",command=\"exec cat >$r/in\",$key kbrun-relay:$id" >&2 ||
    fail "its authorized_keys cannot be written"
  printf 'ready %s\n' "$z"
  exec 3<"$r/in" || exit 1
else
  printf 'ready %s\n' "$z"
  exec 3<&0
fi
next() {
  case $1 in
  *[!0-9a-f]* | '') fail 'what comes is no blob' ;;
  esac
  h=$1
  set -- $(grep "^$h " "$r/want")
  [ $# = 3 ] || fail "nobody wants $h, which comes"
  s=$2 at=$3
}
store() {
  if [ "$1" = data ]; then
    bytes "$2" <&3
  else
    bytes "$2" <&3 | unpack
  fi
}
h=
while read -r word blob n more <&3; do
  [ "$blob" = "$h" ] || next "$blob"
  case $word$n$more in
  data*[!0-9]* | packed*[!0-9]*) fail 'what comes is damaged' ;;
  data?*) ;;
  packed?*) [ "$from" = operator ] || fail 'what comes is packed, which only we do' ;;
  *) fail 'what comes is damaged' ;;
  esac
  at=$((at + ${more:-$n}))
  [ "$at" -le "$s" ] || fail "$h comes with more than it has"
  store "$word" "$n" >>"$h.part" || fail "$d: $(why)"
  printf 'at %s %s\n' "$h" "$at"
  [ "$at" -lt "$s" ] || finish "$h" "$s" 3<&- 8>&- 9>&- &
done
wait
]==]

-- The users whose keys root, or who else asks, can see.
local users = [==[
users() {
  if [ "$(id -u)" = 0 ]; then
    getent passwd
  else
    getent passwd "$(id -un)"
  fi | {
    bad=
    while IFS=: read -r u _ _ _ _ home _; do
      [ ! -f "$home/.ssh/authorized_keys" ] || "$1" "$home/.ssh/authorized_keys" </dev/null || bad=1
    done
    [ -z "$bad" ]
  }
}
]==]

-- Puts what dead runs have left out of the way, or tells of it: `key ID of USER`, `directory DIR`.
local tidy = sweep .. keeper .. users .. [==[
clear() {
  grep -q kbrun-relay: "$1" 2>/dev/null || return 0
  keys "$(live "")" "" && return
  printf '%s cannot be changed: keys that a transfer has left stay in it\n' "$1" >&2
  return 1
}
sweep
users clear
]==]

local leftovers = keeper .. users .. [==[
for old in /dev/shm/kbrun-relay.*/; do
  [ ! -L "${old%/}" ] && [ -O "$old" ] && flock -n "${old}lock" true 2>/dev/null &&
    printf 'directory %s\n' "$old"
done
show() {
  ! grep -q kbrun-relay: "$1" 2>/dev/null || awk -v live="$(live "")" -v user="$u" '
    $NF ~ /^kbrun-relay:/ && !index(live, " " substr($NF, 13) " ") {
      print "key", substr($NF, 13), "of", user }' "$1"
}
users show
]==]

local function text(script, values)
  local lines = {}
  for name, value in pairs(values) do
    lines[#lines + 1] = name .. "=" .. quote(value)
  end
  table.sort(lines)
  return table.concat(lines, "\n") .. "\n" .. script
end

local FORGET = 'rm -rf "$r"'

--- The script that spools on the relay.
-- @param values table: id (of the run), keep (days that a blob may wait for those who want it)
-- @return string
function M.spool(values)
  return text(spool, { id = values.id, keep = values.keep, tidy = FORGET })
end

--- The script that receives on a node.
-- @param values table: id (of this delivery), d (directory), u (who logs in there), from ("relay",
-- "here" when the relay is this host, or "operator"), key (of a relay: option `from` and the key)
-- @return string
function M.receive(values)
  local tidy_up = FORGET
  if values.from == "relay" then
    tidy_up = keeper .. 'keys "$(live "$id")" ""\n' .. FORGET
  end
  return text(receive, { id = values.id, d = values.d, u = values.u, key = values.key,
    from = values.from, edit = keys, tidy = tidy_up })
end

--- The script that asks what runs that died have left on a host.
-- @return string
function M.leftovers()
  return leftovers
end

--- The script that removes it.
-- @return string
function M.tidy()
  return text(tidy, { edit = keys })
end

return M
