--- What runs on a host to receive and send files: POSIX sh, given its values as variables.
--
-- f the path, d its directory, h and s the SHA-256 (empty: not known yet) and size that the content
-- must have, k and n the place and the content in the name of what is kept of it when it does not
-- come to its end, u, g and m
-- the owner, group and mode wanted (empty: as before, or whose who writes it and 644), v a check of
-- the temporary file $t, b the suffix of a backup, z a decompressor or cat.
local quote = require "kb.quote"

local M = {}

--- Statuses with which the scripts tell why they gave up.
M.codes = {
  [61] = "EISDIR", [62] = "ENOENT", [63] = "EINVAL", [64] = "EBADMSG", [65] = "EIO",
}

-- openssl's SHA-256 is several times as fast, but takes longer to start.
local common = [==[
fail() {
  printf '%s\n' "$2" >&2
  exit "$1"
}
sum() {
  x=
  [ "$s" -lt 4194304 ] || x=$(openssl dgst -sha256 -r <"$1" 2>/dev/null)
  [ -n "$x" ] || x=$(sha256sum <"$1") || return
  printf %s "${x%% *}"
}
dress() {
  [ -z "$u$g" ] || chown "$u${g:+:$g}" "$1" || exit 65
  chmod "${m:-644}" "$1" || exit 65
}
target() {
  [ ! -d "$f" ] || [ -L "$f" ] || fail 61 "$f is a directory"
  [ ! -e "$f" ] || [ -f "$f" ] || [ -L "$f" ] || fail 61 "$f is not a regular file"
  [ -d "$d" ] || fail 62 "there is no directory $d"
}
same() {
  [ -f "$f" ] && [ ! -L "$f" ] && [ "$(stat -c %s "$f")" = "$s" ] || return 0
  if [ -z "$h" ]; then
    printf digest
    exit 0
  fi
  [ "$(sum "$f")" = "$h" ] || return 0
  [ -n "$m" ] || m=$(stat -c %a "$f")
  dress "$f"
  printf same
  exit 0
}
as_before() {
  [ -f "$f" ] && [ ! -L "$f" ] || return 0
  [ -n "$u" ] || u=$(stat -c %u "$f")
  [ -n "$g" ] || g=$(stat -c %g "$f")
  [ -n "$m" ] || m=$(stat -c %a "$f")
}
# With SELinux a file keeps its label, and a new one gets that of its name.
labelled() {
  [ -e /sys/fs/selinux/enforce ]
}
place() {
  as_before
  dress "$t"
  new=
  [ -e "$f" ] || new=1
  if labelled && [ -z "$new" ]; then chcon "--reference=$f" "$t" || exit 65; fi
  [ -z "$v" ] || (eval "$v") >&2 || fail 63 "$f: the check of the new content failed"
  [ -z "$b" ] || [ ! -e "$f" ] || ln -f "$f" "$f$b" || exit 65
  sync "$t" || exit 65
  mv -f -T "$t" "$f" || exit 65
  if labelled && [ -n "$new" ]; then restorecon "$f" || exit 65; fi
  sync "$d" 2>/dev/null || :
}
]==]

-- The whole content comes with the request.
local small = [==[
target
same
umask 077
t=$(mktemp "$d/.kbrun.XXXXXXXX") || exit 65
trap 'rm -f "$t"' EXIT
trap 'exit 65' HUP INT TERM
cat >"$t" || exit 65
[ "$(stat -c %s "$t")" = "$s" ] && [ "$(sum "$t")" = "$h" ] || fail 64 "$f arrived damaged"
place
printf changed
]==]

-- A part that came before is kept under a name of its own (kb.transfer.part). It is used only when
-- nobody else can have made it.
local part = [==[
t=$d/.kbrun.$k.$n.part
mine() {
  [ -f "${1:-$t}" ] && [ ! -L "${1:-$t}" ] && [ -O "${1:-$t}" ]
}
]==]

local probe = part .. [==[
target
same
at=0
mine && at=$(stat -c %s "$t")
[ "$at" -le "$s" ] || at=0
free=$(df -P -k "$d" | awk 'NR == 2 { print $4 }')
[ $(((s - at) / 1024)) -lt "${free:-9999999999}" ] ||
  fail 65 "$d has only $free KiB free, $(((s - at) / 1024)) are needed"
command -v zstd >/dev/null && x=zstd || x=
printf 'have %s %s' "$at" "$x"
]==]

-- The digest is made of what comes while it comes, after the part from before; and it is written to
-- the disk meanwhile, so that the end need not wait for all of it.
local receive = part .. [==[
hasher=sha256sum
openssl dgst -sha256 -r </dev/null >/dev/null 2>&1 && hasher="openssl dgst -sha256 -r"
umask 077
for x in "$d/.kbrun.$k."*.part; do
  [ "$x" = "$t" ] || ! mine "$x" || rm -f "$x"
done
if [ "$at" = 0 ]; then
  rm -f "$t"
  set -C
  : >"$t" || exit 65
  set +C
fi
mine && [ "$(stat -c %s "$t")" = "$at" ] || fail 64 "$t has changed meanwhile"
write_out() {
  trap 'kill "$!"; exit' TERM
  while sleep 1 & wait "$!"; do sync -d "$t"; done
}
arrive() {
  if [ "$z" = cat ]; then tee -a "$t"; else $z | tee -a "$t"; fi
}
write_out &
w=$!
x=$({ [ "$at" = 0 ] || cat "$t"; arrive; } | $hasher)
status=$?
kill "$w"
wait "$w"
[ "$status" = 0 ] || exit 65
size=$(stat -c %s "$t")
[ "$size" = "$s" ] || fail 65 "only $size of $s bytes are in $t"
printf 'got %s' "${x%% *}"
]==]

local settle = part .. [==[
target
mine && [ "$(stat -c %s "$t")" = "$s" ] || fail 64 "$t has changed meanwhile"
place
printf changed
]==]

local drop = part .. [==[
mine && rm -f "$t"
]==]

-- First line of the answer: what there is. Up to $most bytes come along behind it; of more only is
-- told by what the file is known again, and whether compressing the first part of it saves enough.
-- Of a file that has our size we must know the digest of ours ("digest").
local offer = [==[
[ ! -d "$f" ] || fail 61 "$f is a directory"
[ -f "$f" ] || fail 62 "there is no file $f"
mine=$s
s=$(stat -L -c %s "$f") || exit 65
if [ "$s" = "$mine" ]; then
  if [ -z "$h" ]; then
    printf 'digest\n'
    exit 0
  fi
  if [ "$(sum "$f")" = "$h" ]; then
    printf 'same\n'
    exit 0
  fi
fi
if [ "$s" -le "$most" ]; then
  printf 'size %s\n' "$s"
  cat "$f" || exit 65
  sum "$f" >&2
  exit 0
fi
x=
if command -v zstd >/dev/null; then
  n=$(head -c "$sample" "$f" | zstd -1 -c 2>/dev/null | wc -c)
  [ "$((n * 100))" -ge "$((sample * $keep))" ] || x=zstd
fi
printf 'large %s %s %s\n' "$s" "$(stat -L -c %d.%i.%Y "$f")" "$x"
]==]

-- dd moves in the file, and $z reads on from there. The digest of all of it is made beside that and
-- is the last word on stderr.
local send = [==[
sum "$f" >&2 &
{ [ "$at" = 0 ] || dd bs=1 skip="$at" count=0 2>/dev/null; $z; } <"$f" || {
  kill "$!"
  exit 65
}
wait "$!" || exit 65
]==]

local scripts = { small = small, probe = probe, receive = receive, settle = settle, drop = drop,
  offer = offer, send = send }

--- A script with its values before it.
-- @param name string: "small", or "probe", "receive" and "settle" or "drop" to receive; "offer" and
-- "send" to send
-- @param values table: the variables
-- @return string
function M.text(name, values)
  local lines, names = {}, {}
  for variable in pairs(values) do
    names[#names + 1] = variable
  end
  table.sort(names)
  for _, variable in ipairs(names) do
    lines[#lines + 1] = variable .. "=" .. quote(values[variable])
  end
  return table.concat(lines, "\n") .. "\n" .. common .. scripts[name]
end

return M
