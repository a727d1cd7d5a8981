--- The plan of an archive that is unpacked.

local effect_of = require "modules.files.effect"
local kb = require "kb"
local plan = require "modules.files.plan"

local M = {}

local function name_of(args)
  return (args.source or args.from or ""):match("[^/]*$")
end

local function stamp_of(args)
  return ("%s/.%s.kbrun"):format(args.path, name_of(args))
end

--- The questions of files.archive.
function M.questions(args)
  local list = { { "file.stat", args.path }, { "file.content", stamp_of(args) }, { "user.self" } }
  if args.source then
    list[#list + 1] = { "file.digest", args.source }
  end
  return list
end

local function digest_of(args, fact)
  if args.from then
    return (kb.file_digest(args.from))
  end
  return fact("file.digest", args.source)
    or kb.refuse(("there is no archive %s on the host"):format(args.source))
end

-- GNU tar does not follow names out of the directory; an archive that has such is refused whole.
-- Directories that are there keep their modes: that of the archive's "." may be anything.
local UNPACK = [[
if tar -tf %s | grep -qE '^/|(^|/)\.\.(/|$)'; then
  echo 'the archive has names that lead out of the directory' >&2; exit 1
fi
tar -xf %s -C %s --no-overwrite-dir --no-same-owner --strip-components=%d]]

local function unpacking(args)
  local dir = kb.quote(args.path)
  local there = args.source or stamp_of(args) .. "-archive"
  local archive = kb.quote(there)
  local text = UNPACK:format(archive, archive, dir, args.strip)
  if args.source then
    return { text }
  end
  return { { put = { path = there, file = args.from, mode = tonumber("600", 8) } },
    ("(%s\n)\nrc=$?; rm -f -- %s; exit $rc"):format(text, archive) }
end

local function effect(args, stamp, text, self)
  local list = { effect_of.filled(args.path), { "file.exists", stamp, true },
    { "file.content", stamp, text }, { "file.stat", stamp, { kind = "file",
      mode = tonumber("644", 8), owner = self.name, group = self.group, size = #text } } }
  for _, name in ipairs(args.holds) do
    local path = args.path .. "/" .. name
    list[#list + 1] = { "file.exists", path, true }
  end
  return list
end

local function fill(args, stamp, text, source)
  return function(ask)
    local self = ask "user.self"
    local actions = unpacking(args)
    table.insert(actions, { put = { path = stamp, content = text, owner = self.name,
      group = self.group, mode = tonumber("644", 8) } })
    return { title = ("unpack %s to %s"):format(source, args.path), actions = actions,
      effect = effect(args, stamp, text, self) }
  end
end

--- The plan of files.archive.
-- @param args table
-- @param fact function
-- @return change, or nil and a reason
function M.plan(args, fact)
  if (args.from == nil) == (args.source == nil) then
    kb.refuse("files.archive needs 'from' or 'source', and not both")
  elseif args.strip < 0 then
    kb.refuse("strip counts directories: 0 or more")
  end
  local stamp = stamp_of(args)
  local text = ("%s strip %d\n"):format(digest_of(args, fact), args.strip)
  if fact("file.stat", args.path).kind == "directory" and fact("file.content", stamp) == text then
    return nil, "already unpacked"
  end
  return kb.sequence(fact, { function(ask)
    if ask("file.stat", args.path).kind == "directory" then
      return nil, "there"
    end
    return plan.directory({ path = args.path }, ask)
  end, fill(args, stamp, text, name_of(args)) }, ("unpack %s to %s"):format(name_of(args),
    args.path))
end

return M
