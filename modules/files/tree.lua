--- The plan of a directory with all that is in it.

local effect_of = require "modules.files.effect"
local kb = require "kb"
local plan = require "modules.files.plan"

local M = {}

--- The questions of files.tree.
function M.questions(args)
  return { { "file.stat", args.path }, { "file.tree", args.path }, { "user.self" } }
end

-- What is asked for, compared with what is there.
local function compared(args, there)
  local entries, message = kb.tree.read(args.from, args)
  if not entries then
    kb.refuse(message)
  end
  local differing, extra, blocked = kb.tree.compare(entries, there, args)
  if #blocked > 0 and not args.delete then
    kb.refuse(("%s/%s is a directory either here or on the host, and not on the other side"):format(
      args.path, blocked[1]), "say delete = true if it may go, or remove it first: files.absent")
  end
  return { differing = differing, extra = args.delete and extra or {},
    blocked = blocked, there = there }
end

-- What is another about an entry that is there.
local function reasons(entry, before, args)
  local list = {}
  if entry.kind ~= before.kind then
    list[1] = ("was a %s"):format(before.kind)
  elseif entry.kind == "link" then
    list[1] = entry.to ~= before.to and "was " .. tostring(before.to) or nil
  else
    list[1] = entry.digest ~= before.digest and "content" or nil
    list[#list + 1] = entry.mode ~= before.mode and ("mode %04o"):format(entry.mode) or nil
  end
  for _, field in ipairs { "owner", "group" } do
    list[#list + 1] = args[field] and args[field] ~= before[field] and ("%s %s"):format(field,
      args[field]) or nil
  end
  return " (" .. table.concat(list, ", ") .. ")"
end

local marks = { directory = "/", link = " -> ", file = "" }

local function line_of(entry, before, args)
  return (before and "~" or "+") .. entry.path .. marks[entry.kind] .. (entry.to or "")
    .. (before and reasons(entry, before, args) or "")
end

-- What changes, a line for each file, link and directory.
local function listed(found, args)
  local lines, made, changed = {}, 0, 0
  for _, path in ipairs(found.extra) do
    lines[#lines + 1] = { path, "-" .. path }
  end
  for _, entry in ipairs(found.differing) do
    local before = found.there[entry.path]
    made, changed = made + (before and 0 or 1), changed + (before and 1 or 0)
    lines[#lines + 1] = { entry.path, line_of(entry, before, args) }
  end
  table.sort(lines, function(a, b)
    return a[1] < b[1]
  end)
  for i, line in ipairs(lines) do
    lines[i] = line[2]:gsub("\n", "\\n")
  end
  local counts = {}
  for _, what in ipairs { { made, "new" }, { changed, "changed" }, { #found.extra, "removed" } } do
    counts[#counts + 1] = what[1] > 0 and ("%d %s"):format(what[1], what[2]) or nil
  end
  return table.concat(lines, "\n") .. "\n", table.concat(counts, ", ")
end

-- How an entry is once it was sent. What is new belongs to who writes it, a directory that was
-- there to whom it belonged.
local function settled(entry, before, args, self)
  local kept = before and before.kind == "directory" and entry.kind == "directory" and before or nil
  local inherited = kb.unknown "known once it is there"
  local group = args.group or kept and kept.group or self.name == "root" and self.group or inherited
  local mode = entry.mode
  if entry.kind == "link" then
    mode = tonumber("777", 8)
  elseif kept and kept.mode > tonumber("777", 8) then
    mode = inherited
  end
  return { kind = entry.kind, mode = mode, owner = args.owner or kept and kept.owner or self.name,
    group = group, digest = entry.digest, to = entry.to }
end

local function is_below(path, paths)
  for _, above in ipairs(paths) do
    if path == above or path:sub(1, #above + 1) == above .. "/" then
      return true
    end
  end
end

-- What file.tree will say.
local function afterwards(found, args, self)
  local after = {}
  for path, entry in pairs(found.there) do
    after[path] = not is_below(path, found.extra) and not is_below(path, found.blocked) and entry
      or nil
  end
  for _, entry in ipairs(found.differing) do
    after[entry.path] = settled(entry, found.there[entry.path], args, self)
  end
  return after
end

local answers = {
  ["file.stat"] = function(entry)
    return { kind = entry.kind, mode = entry.mode, owner = entry.owner, group = entry.group,
      target = entry.to, size = kb.unknown "known once it is there" }
  end,
  ["file.exists"] = function()
    return true
  end,
  ["file.digest"] = function(entry)
    return entry.digest or false
  end,
}

-- The facts about what is in the directory, of what changes.
local function inside(args, found, after)
  local changed, prefix = {}, args.path .. "/"
  for _, entry in ipairs(found.differing) do
    changed[entry.path] = true
  end
  return function(name, of)
    local path = name:find("^file%.") and type(of) == "string" and of:sub(1, #prefix) == prefix
      and of:sub(#prefix + 1)
    if not path then
      return false
    elseif changed[path] then
      local answer = answers[name]
      return true, answer and answer(after[path]) or not answer and kb.unknown(
        "known once " .. args.path .. " is filled") or false
    elseif is_below(path, found.extra) then
      return true, name == "file.stat" and { kind = "absent" } or false
    end
    return false
  end
end

local function fill(args, found)
  return function(ask)
    local diff, counts = listed(found, args)
    local self, place = ask "user.self", ask("file.stat", args.path)
    local after = afterwards(found, args, self)
    return { title = ("fill %s: %s"):format(args.path, counts), diff = diff,
      actions = { { put_tree = { dir = args.from, path = args.path, owner = args.owner,
        group = args.group, mode = args.mode, dir_mode = args.dir_mode, delete = args.delete } } },
      effect = { effect_of.touched(args.path .. "/."), inside(args, found, after),
        { "file.stat", args.path, { kind = "directory", mode = place.mode, owner = place.owner,
          group = place.group } }, { "file.tree", args.path, after } } }
  end
end

-- The directory itself, which is made with those above it.
local function place(args)
  return function(ask)
    return plan.directory({ path = args.path, owner = args.owner, group = args.group,
      mode = args.dir_mode }, ask)
  end
end

local function known(args, fact)
  if args.path == "/" then
    kb.refuse("/ is not filled: name the directories in it, each in a step of its own")
  end
  local there = fact("file.tree", args.path)
  if there == "other" then
    kb.refuse(args.path .. " is not a directory", "remove it first, if it may go: files.absent")
  end
  local found = compared(args, there == "absent" and {} or there)
  local plans = { place(args) }
  if #found.differing + #found.extra > 0 then
    plans[2] = fill(args, found)
  end
  return kb.sequence(fact, plans)
end

--- The plan of files.tree.
-- @param args table
-- @param fact function
-- @return change, or nil and a reason
function M.plan(args, fact)
  return kb.perhaps(fact, function(ask)
    return known(args, ask)
  end, function()
    return "fill " .. args.path, { effect_of.filled(args.path) }
  end)
end

return M
