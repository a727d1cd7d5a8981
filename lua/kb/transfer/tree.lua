--- A directory with all that is in it, sent to a host as one stream.
--
-- It is unpacked beside its place, compared by digests, and then each file is renamed into place;
-- a whole new directory is renamed at once. Files that are there already are not sent. What the
-- host has and we have not stays; so do the mode of the place itself, and the owners of directories
-- unless others are asked for.
local ending = require "kb.ending"
local program = require "kb.shell.program"
local quote = require "kb.quote"
local request = require "kb.transfer.request"
local source = require "kb.transfer.source"
local sys = require "kb.core.sys"
local tar = require "kb.tar"
local task = require "kb.core.task"

local M = {}

-- The name of the list of digests in the archive; no file of ours can have it, having a slash.
local SUMS = ".kbrun.sums"

local PIECE = 256 * 1024

-- p the place, u and g owner and group, n a word of this transfer's own. First the state of what is
-- there, in records: E of everything, T and L of a link and what it points at, and the digests of
-- files.
local state_script = [==[
[ -e "$p" ] || exit 0
[ -d "$p" ] || { printf '%s is not a directory\n' "$p" >&2; exit 61; }
cd "$p" || exit 65
find . ! -name '.kbrun.*' -printf 'E%y %m %u %g %p\0'
find . -type l ! -name '.kbrun.*' -printf 'T%p\0L%l\0'
find . -type f ! -name '.kbrun.*' -exec sha256sum -z -- {} +
]==]

local unpack_script = [==[
umask 022
d=${p%/*}
[ -n "$d" ] || d=/
[ -e "$p" ] || [ -d "$d" ] || { printf 'there is no directory %s\n' "$d" >&2; exit 62; }
[ -d "$p" ] && d=$p
t=$d/.kbrun.$n
mkdir -m 700 "$t" || exit 65
trap 'rm -rf "$t"' EXIT
trap 'exit 65' HUP INT TERM
mkdir "$t/new" && cd "$t/new" || exit 65
tar -x -p -f - || exit 65
mv .kbrun.sums ../sums || exit 65
[ ! -s ../sums ] || sha256sum -c --quiet --strict ../sums >&2 || exit 64
if [ -n "$u$g" ]; then
  find . -type f -perm -4000 -print0 >../setuid && find . -type f -perm -2000 -print0 >../setgid &&
    chown -h -R "$u${g:+:$g}" . && xargs -0 -r chmod u+s -- <../setuid &&
    xargs -0 -r chmod g+s -- <../setgid || exit 65
fi
sync -f . || exit 65
if [ ! -d "$p" ]; then
  mv -T "$t/new" "$p" || exit 65
else
  find . -type d -exec sh -c '
    p=$1 o=$2 found={
    shift 2
    for d do
      [ -d "$d" ] || continue # moved with the one above it
      if [ ! -d "$p/$d" ]; then
        mv -T "$d" "$p/$d" || exit 1
      else
        { [ "$d" = . ] || chmod --reference="$d" "$p/$d"; } &&
          { [ -z "$o" ] || chown -- "$o" "$p/$d"; } &&
          find "$d" -mindepth 1 -maxdepth 1 ! -type d -exec mv -f -t "$p/$d" -- "$found}" + ||
          exit 1
      fi
    done' sh "$p" "$u${g:+:$g}" {} + || exit 65
fi
sync -f "$p"
]==]

-- A command whose input fails is killed at once, and leaves what it was about.
local clean_script = [==[
d=${p%/*}
rm -rf -- "$d/.kbrun.$n" "$p/.kbrun.$n"
]==]

local codes = { [61] = "ENOTDIR", [62] = "ENOENT", [64] = "EBADMSG" }

-- All entries below a directory, each directory before what is in it.
local function walk(dir, below, entries)
  local names, message, code = sys.list(dir .. below)
  if not names then
    return nil, message, code
  end
  for _, name in ipairs(names) do
    local path = below .. "/" .. name
    local entry
    entry, message, code = sys.stat(dir .. path, false)
    if not entry then
      return nil, message, code
    elseif entry.kind ~= "file" and entry.kind ~= "directory" and entry.kind ~= "link" then
      return nil, ("%s%s is a %s, which cannot be copied"):format(dir, path, entry.kind), "EINVAL"
    end
    entry.path = path:sub(2)
    entry.to = entry.kind == "link" and sys.readlink(dir .. path) or nil
    entries[#entries + 1] = entry
    if entry.kind == "directory" then
      local ok
      ok, message, code = walk(dir, path, entries)
      if not ok then
        return nil, message, code
      end
    end
  end
  return entries
end

local function digest_all(dir, entries)
  for _, entry in ipairs(entries) do
    if entry.kind == "file" then
      local file <close>, message, code = source.of_file(dir .. "/" .. entry.path)
      if not file then
        return nil, message, code
      end
      entry.digest, entry.size = file.digest, file.size
    end
  end
  return true
end

local kinds = { f = "file", d = "directory", l = "link" }

-- path -> { kind, mode, owner, group, digest, to } from what state_script printed.
local function parse_state(text)
  local found, at = {}, nil
  for record in text:gmatch("(%Z*)%z") do
    local kind, mode, owner, group, path = record:match("^E(%a) (%d+) (%S+) (%S+) %./(.+)$")
    local digest, of = record:match("^(%x+)  %./(.+)$")
    if kind then
      found[path] = { kind = kinds[kind], mode = tonumber(mode, 8), owner = owner, group = group }
    elseif record:sub(1, 1) == "T" then
      at = record:sub(4)
    elseif record:sub(1, 1) == "L" then
      found[at].to = record:sub(2)
    elseif digest and found[of] then
      found[of].digest = digest
    end
  end
  return found
end

local PERMISSIONS = tonumber("777", 8) -- of directories: what is above is inherited from others

local function same(entry, there, spec)
  if not there or there.kind ~= entry.kind then
    return false
  elseif entry.kind == "link" then
    return there.to == entry.to
  end
  local mask = entry.kind == "directory" and PERMISSIONS or -1
  return there.digest == entry.digest and there.mode & mask == entry.mode & mask
    and (not spec.owner or spec.owner == there.owner)
    and (not spec.group or spec.group == there.group)
end

-- What is to be sent: directories and links always, they are small; files that differ.
local function choose(entries, there, spec)
  local chosen, sums, bytes, changed = {}, {}, 0, false
  for _, entry in ipairs(entries) do
    local differs = not same(entry, there[entry.path], spec)
    changed = changed or differs
    if entry.kind ~= "file" then
      chosen[#chosen + 1] = entry
    elseif differs then
      chosen[#chosen + 1] = entry
      bytes = bytes + entry.size
      local path = entry.path:gsub("[\\\n]", { ["\\"] = "\\\\", ["\n"] = "\\n" })
      local mark = path ~= entry.path and "\\" or ""
      sums[#sums + 1] = ("%s%s  ./%s\n"):format(mark, entry.digest, path)
    end
  end
  return chosen, table.concat(sums), bytes, changed
end

-- The content of a file: true; or nil, message.
local function send_file(dir, entry, yield)
  local path = dir .. "/" .. entry.path
  local file <close>, message = io.open(path, "rb")
  if not file then
    return nil, message
  end
  local left = entry.size
  while left > 0 do
    local piece, why = file:read(math.min(PIECE, left))
    if not piece then
      return nil, ("%s: %s"):format(path, why or "it became shorter while it was read")
    end
    left = left - #piece
    yield(piece, #piece)
  end
  yield(tar.padding(entry.size), 0)
  return true
end

-- All of the archive: true; or nil, message.
local function produce(dir, chosen, sums, yield)
  local list = { path = SUMS, kind = "file", mode = 384, mtime = 0, size = #sums }
  yield(tar.header(list) .. sums .. tar.padding(#sums), 0)
  for _, entry in ipairs(chosen) do
    yield(tar.header(entry), 0)
    if entry.kind == "file" then
      local ok, message = send_file(dir, entry, yield)
      if not ok then
        return nil, message
      end
    end
  end
  yield(tar.ending, 0)
  return true
end

-- The archive as a function giving pieces of about PIECE bytes.
local function archive(dir, chosen, sums, progress, total)
  local done, held, size, over = 0, {}, 0, false
  local next_piece = coroutine.wrap(function()
    local ok, message = produce(dir, chosen, sums, function(piece, bytes)
      held[#held + 1], size, done = piece, size + #piece, done + bytes
      if size >= PIECE then
        coroutine.yield(table.concat(held))
        held, size = {}, 0
      end
    end)
    over = true
    if not ok then
      return nil, message, "EIO"
    end
    return table.concat(held)
  end)
  return function()
    if over then
      return nil
    end
    local piece, message, code = next_piece()
    if progress and piece then
      progress(done, total)
    end
    return piece, message, code
  end
end

local function run(remote, spec, script, opts)
  local values = ("p=%s\nu=%s\ng=%s\nn=%s\n"):format(quote(spec.path), quote(spec.owner or ""),
    quote(spec.group or ""), quote(opts.nonce or ""))
  opts.user = spec.user
  local result, message, code = remote:run(values .. script, opts)
  if result and result.code ~= 0 then
    local why = result.err:gsub("%s+$", "")
    return nil, ("%s: %s: %s"):format(remote.name, spec.path,
      why ~= "" and why or ending.of(result)), codes[result.code] or "EIO"
  end
  return result, message, code
end

local function put(remote, spec)
  if not spec.path:find("^/.") then
    error("put_tree needs an absolute path other than /", 0)
  end
  local dir = spec.dir:gsub("/+$", "")
  local entries, message, code = walk(dir, "", {})
  local ok, result
  if entries then
    ok, message, code = digest_all(dir, entries)
  end
  if ok then
    result, message, code = run(remote, spec, state_script, {})
  end
  if not result then
    return nil, message, code
  end
  local chosen, sums, bytes, changed = choose(entries, parse_state(result.out), spec)
  if not changed and result.out ~= "" then
    return true, { changed = false, sent = 0 }
  end
  local nonce = program.nonce()
  result, message, code = run(remote, spec, unpack_script, { nonce = nonce,
    stdin = archive(dir, chosen, sums, spec.progress, bytes) })
  if not result and code ~= "ECLOSED" then
    local _ <close> = task.shield(5)
    run(remote, spec, clean_script, { nonce = nonce, timeout = 5 })
  end
  if not result then
    return nil, message, code
  end
  return true, { changed = true, sent = bytes }
end

--- Put a directory's content on a host; see Remote:put_tree.
-- @param remote kb.remote
-- @param spec table
-- @return true and a table; or nil, message, code
function M.put(remote, spec)
  return request.within(remote, spec, put)
end

return M
