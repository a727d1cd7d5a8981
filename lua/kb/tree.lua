--- Directories with all that is in them: what is here, what is on a host, and how they differ.

local source = require "kb.transfer.source"
local quote = require "kb.quote"
local sys = require "kb.core.sys"

local M = {}

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
      return nil, ("%s%s is a %s, which cannot be copied"):format(dir, path, entry.kind),
        "EINVAL"
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

--- What is in a directory of this machine.
-- @param dir string
-- @param modes table or nil: mode (of files), dir_mode (of directories), instead of their own
-- @return list of { path (below dir), kind, mode, size, mtime, digest (of a file), to (of a
-- link) }, each directory before what is in it; or nil, message, code
function M.read(dir, modes)
  local entries, message, code = walk(dir, "", {})
  if not entries then
    return nil, message, code
  end
  for _, entry in ipairs(entries) do
    if entry.kind == "file" then
      local file <close>, why, what = source.of_file(dir .. "/" .. entry.path)
      if not file then
        return nil, why, what
      end
      entry.digest, entry.size = file.digest, file.size
      entry.mode = modes and modes.mode or entry.mode
    elseif entry.kind == "directory" then
      entry.mode = modes and modes.dir_mode or entry.mode
    end
  end
  return entries
end

-- In records: E of everything, T and L of a link and what it points at, and the digests of files.
local STATE = [==[
p=%s
if [ -d "$p" ]; then
  cd "$p" &&
    find . -mindepth 1 -name '.kbrun.*' -prune -o \
      -printf 'E%%y %%m %%u %%g %%p\0' &&
    find . -name '.kbrun.*' -prune -o -type l -printf 'T%%p\0L%%l\0' &&
    find . -name '.kbrun.*' -prune -o -type f -exec sha256sum -z -- {} + && echo end
elif [ -e "$p" ] || [ -L "$p" ]; then
  echo other
else
  echo absent
fi
]==]

--- Shell text that says what is in a directory of a host.
-- @param path string
-- @return string
function M.question(path)
  return STATE:format(quote.quote(path))
end

local kinds = { f = "file", d = "directory", l = "link" }

--- What M.question's text has printed.
-- @param text string
-- @return table: path below the directory -> { kind ("file", "directory", "link" or "other"), mode,
-- owner, group, digest (of a file), to (of a link) }; "absent"; "other": it is no directory; or nil
-- when it could not be read whole
function M.parse(text)
  if text == "absent\n" or text == "other\n" then
    return text:sub(1, -2)
  elseif text:sub(-4) ~= "end\n" then
    return nil
  end
  local found, at = {}, nil
  for record in text:gmatch("(%Z*)%z") do
    local kind, mode, owner, group, path = record:match("^E(%a) (%d+) (%S+) (%S+) %./(.+)$")
    local digest, of = record:match("^(%x+)  %./(.+)$")
    if kind then
      found[path] = { kind = kinds[kind] or "other", mode = tonumber(mode, 8), owner = owner,
        group = group }
    elseif record:sub(1, 1) == "T" then
      at = record:sub(4)
    elseif record:sub(1, 1) == "L" and found[at] then
      found[at].to = record:sub(2)
    elseif digest and found[of] then
      found[of].digest = digest
    end
  end
  return found
end

local PERMISSIONS = tonumber("777", 8) -- of directories: what is above is inherited from others

local function same(entry, there, wanted)
  if not there or there.kind ~= entry.kind or wanted.owner and wanted.owner ~= there.owner
    or wanted.group and wanted.group ~= there.group then
    return false
  elseif entry.kind == "link" then
    return there.to == entry.to
  end
  local mask = entry.kind == "directory" and PERMISSIONS or -1
  return there.digest == entry.digest and there.mode & mask == entry.mode & mask
end

-- Whether what is there has to go before the entry can be put in its place.
local function in_the_way(entry, there)
  return there ~= nil and there.kind ~= entry.kind
    and (there.kind == "directory" or entry.kind == "directory")
end

local function is_below(gone, path)
  repeat
    path = path:match("^(.*)/")
  until not path or gone[path]
  return path ~= nil
end

--- How a directory of a host differs from what it is to hold.
-- @param entries list from M.read
-- @param there table from M.parse
-- @param wanted table: owner, group (each only if it matters)
-- @return differing: list of those entries that differ
-- @return extra: list of paths that the host has and we have not, without what is below them
-- @return blocked: list of paths where one has a directory and the other has not
function M.compare(entries, there, wanted)
  local ours, differing, blocked, extra, gone = {}, {}, {}, {}, {}
  for _, entry in ipairs(entries) do
    ours[entry.path] = true
    if in_the_way(entry, there[entry.path]) then
      blocked[#blocked + 1] = entry.path
      gone[entry.path] = true
    end
    if not same(entry, there[entry.path], wanted) then
      differing[#differing + 1] = entry
    end
  end
  local paths = {}
  for path in pairs(there) do
    paths[#paths + 1] = path
  end
  table.sort(paths)
  for _, path in ipairs(paths) do
    if not ours[path] and not is_below(gone, path) then
      extra[#extra + 1] = path
      gone[path] = true
    end
  end
  return differing, extra, blocked
end

return M
