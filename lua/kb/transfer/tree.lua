--- A directory with all that is in it, sent to a host as one stream.
--
-- It is unpacked beside its place, compared by digests, and then each file is renamed into place;
-- a whole new directory is renamed at once. Files that are there already are not sent. What the
-- host has and we have not stays, unless it is to be deleted; so do the mode of the place itself,
-- and the owners of directories unless others are asked for.
local ending = require "kb.ending"
local program = require "kb.shell.program"
local quote = require "kb.quote"
local request = require "kb.transfer.request"
local tar = require "kb.tar"
local task = require "kb.core.task"
local trees = require "kb.tree"

local M = {}

-- The names of lists in the archive: of digests, and of what is deleted.
local SUMS, GONE = ".kbrun.sums", ".kbrun.gone"

local PIECE = 256 * 1024

-- p the place, u and g owner and group, n a word of this transfer's own.
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
mv .kbrun.sums ../sums && mv .kbrun.gone ../gone || exit 65
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
  [ ! -s ../gone ] || (cd "$p" && xargs -0 rm -rf --one-file-system --) <../gone || exit 65
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

local codes = { [62] = "ENOENT", [64] = "EBADMSG" }

-- What is to be sent: directories always, they hold the rest; files and links that differ.
local function choose(entries, differing)
  local differs, chosen, sums, bytes = {}, {}, {}, 0
  for _, entry in ipairs(differing) do
    differs[entry] = true
  end
  for _, entry in ipairs(entries) do
    if entry.kind == "directory" or differs[entry] then
      chosen[#chosen + 1] = entry
    end
    if entry.kind == "file" and differs[entry] then
      bytes = bytes + entry.size
      local path = entry.path:gsub("[\\\n]", { ["\\"] = "\\\\", ["\n"] = "\\n" })
      local mark = path ~= entry.path and "\\" or ""
      sums[#sums + 1] = ("%s%s  ./%s\n"):format(mark, entry.digest, path)
    end
  end
  return chosen, table.concat(sums), bytes
end

-- The paths to delete before anything is put in place, as xargs -0 takes them.
local function deleted(extra, blocked, spec)
  local list = {}
  for _, paths in ipairs(spec.delete and { extra, blocked } or {}) do
    for _, path in ipairs(paths) do
      list[#list + 1] = "./" .. path .. "\0"
    end
  end
  return table.concat(list)
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
local function produce(dir, chosen, lists, yield)
  for _, name in ipairs { SUMS, GONE } do
    local text = lists[name]
    local list = { path = name, kind = "file", mode = 384, mtime = 0, size = #text }
    yield(tar.header(list) .. text .. tar.padding(#text), 0)
  end
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
local function archive(dir, chosen, lists, progress, total)
  local done, held, size, over = 0, {}, 0, false
  local next_piece = coroutine.wrap(function()
    local ok, message = produce(dir, chosen, lists, function(piece, bytes)
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

-- What is there: a table of entries; or nil, message, code.
local function look(remote, spec)
  local result, message, code = run(remote, spec, trees.question(spec.path), {})
  local there = result and trees.parse(result.out)
  if not result then
    return nil, message, code
  elseif there == "other" then
    return nil, ("%s: %s is not a directory"):format(remote.name, spec.path), "ENOTDIR"
  elseif not there then
    return nil, ("%s: %s cannot be read: %s"):format(remote.name, spec.path, result.err), "EIO"
  end
  return there == "absent" and {} or there, there == "absent"
end

local function put(remote, spec)
  if not spec.path:find("^/.") then
    error("put_tree needs an absolute path other than /", 0)
  end
  local dir = spec.dir:gsub("/+$", "")
  local entries, message, code = trees.read(dir, spec)
  if not entries then
    return nil, message, code
  end
  local there, is_new, why = look(remote, spec)
  if not there then
    return nil, is_new, why
  end
  local differing, extra, blocked = trees.compare(entries, there, spec)
  local gone = deleted(extra, blocked, spec)
  if #differing == 0 and gone == "" and is_new ~= true then
    return true, { changed = false, sent = 0 }
  end
  local chosen, sums, bytes = choose(entries, differing)
  local nonce, lists = program.nonce(), { [SUMS] = sums, [GONE] = gone }
  local result
  result, message, code = run(remote, spec, unpack_script, { nonce = nonce,
    stdin = archive(dir, chosen, lists, spec.progress, bytes) })
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
