--- The plans of files that define units.

local files = require "modules.files"
local kb = require "kb"
local plan = require "modules.systemd.plan"

local M = {}

local DIR = plan.DIR

-- foo@.service is not a unit: units are made of it.
local function is_template(unit)
  return unit:find("@%.%w+$") ~= nil
end

local function path_of_unit(unit)
  if unit:find("/", 1, true) or plan.full_name(unit) ~= unit then
    kb.refuse(("%q is not the name of a unit's file"):format(unit),
      'a name with its suffix, such as "backup.service"')
  end
  return DIR .. unit
end

--- Facts of systemd.unit_file.
function M.unit_file_facts(args)
  local list = { { "file.stat", DIR .. args.name }, { "file.digest", DIR .. args.name },
    { "user.self" }, { "file.stat", DIR:sub(1, -2) } }
  if not is_template(args.name) then
    list[#list + 1] = { "unit.state", args.name }
  end
  return list
end

-- What a unit's file says of being enabled, before anybody has enabled it.
local function enablement(content)
  if kb.is_unknown(content) then
    return kb.unknown "known once its file is"
  end
  local text = "\n" .. (kb.is_secret(content) and "" or content)
  return text:find("\n%[Install%]%s*\n.-%u%a+=") and "disabled" or "static"
end

-- The unit after its file was written and read by systemd.
local function defined(state, path, content)
  local after = plan.copy(state)
  after.load, after.path = "loaded", path
  if not state.enabled:find("^enabled") then
    after.enabled = enablement(content)
  end
  return after
end

local function reload(effect)
  return { title = "daemon-reload", actions = { "systemctl daemon-reload" }, effect = effect }
end

-- What a unit will be once systemd has read its files. Where it had not read them for some time, it
-- may find drop-ins that it has not told us of.
local function read_again(state, after)
  local new = after(state)
  if state.needs_reload then
    new.drop_ins = kb.unknown("known after systemd has read its files")
  end
  return new
end

-- Write a file and have systemd read it; also when an earlier run wrote it and got no further.
local function written(ask, unit, plans, after)
  local state = not is_template(unit) and ask("unit.state", unit) or nil
  local change, reason = kb.sequence(ask, plans)
  if not change and not (state and state.needs_reload) then
    return nil, reason
  end
  local effect = state and { { "unit.state", unit, read_again(state, change and after
    or plan.copy) } } or {}
  local rests = state and not rawget(state, "restless")
  if rests and rawget(state, "active") == "active" then -- reading its files does not restart it
    effect[2] = { "unit.moments", unit, ask("unit.moments", unit) }
  end
  if not change then
    local whole = reload(effect)
    whole.title = "take in the changed files of " .. unit
    return whole
  end
  table.insert(change.actions, "systemctl daemon-reload")
  table.move(effect, 1, #effect, #change.effect + 1, change.effect)
  return change
end

local function removal(ask, path)
  local change, reason = kb.plan(files.absent, ask, { path })
  if change then
    table.insert(change.actions, "systemctl daemon-reload")
  end
  return change, reason
end

local function need_content(args)
  if args.content == nil then
    kb.refuse("'content' is missing: the text of the file")
  end
end

local function unit_file_gone(args, fact, path)
  local change, reason = removal(fact, path)
  if change and not is_template(args.name) then
    if fact("unit.state", args.name).enabled:find("^enabled") then
      table.insert(change.actions, 1, "systemctl disable -- " .. kb.quote(args.name))
    end
    table.insert(change.effect, { "unit.state", args.name,
      kb.unknown("known after the removal of " .. path) })
  end
  return change, reason
end

--- The plan of systemd.unit_file.
-- @param args table
-- @param fact function
-- @return change, or nil and a reason
function M.unit_file(args, fact)
  local path = path_of_unit(args.name)
  if args.state == "absent" then
    return unit_file_gone(args, fact, path)
  end
  need_content(args)
  return written(fact, args.name, { function(ask)
    return kb.plan(files.file, ask, { path, content = args.content, mode = args.mode })
  end }, function(state)
    return defined(state, path, args.content)
  end)
end

local function place_of_drop_in(args)
  if args.name:find("/", 1, true) then
    kb.refuse(("%q is not the name of a file"):format(args.name))
  end
  local unit = plan.full_name(args.unit)
  local dir = DIR .. unit .. ".d"
  return unit, dir, dir .. "/" .. args.name:gsub("%.conf$", "") .. ".conf"
end

--- Facts of systemd.drop_in.
function M.drop_in_facts(args)
  local unit, dir, path = place_of_drop_in(args)
  local list = { { "file.stat", path }, { "file.digest", path }, { "user.self" },
    { "file.stat", dir } }
  if not is_template(unit) then
    list[#list + 1] = { "unit.state", unit }
  end
  return list
end

-- The order in which systemd takes drop-ins.
local function by_file_name(a, b)
  return a:match("[^/]*$") < b:match("[^/]*$")
end

local function without_drop_in(state, path)
  local after = plan.copy(state)
  after.drop_ins = {}
  for _, other in ipairs(rawget(state, "drop_ins") or {}) do
    after.drop_ins[#after.drop_ins + 1] = other ~= path and other or nil
  end
  return after
end

local function drop_in_gone(fact, path, unit)
  local change, reason = removal(fact, path)
  if change and not is_template(unit) then
    table.insert(change.effect, { "unit.state", unit,
      without_drop_in(fact("unit.state", unit), path) })
  end
  return change, reason
end

--- The plan of systemd.drop_in.
-- @param args table
-- @param fact function
-- @return change, or nil and a reason
function M.drop_in(args, fact)
  local unit, dir, path = place_of_drop_in(args)
  if args.state == "absent" then
    return drop_in_gone(fact, path, unit)
  end
  need_content(args)
  return written(fact, unit, { function(ask)
    return kb.plan(files.directory, ask, { dir, mode = "0755" })
  end, function(ask)
    return kb.plan(files.file, ask, { path, content = args.content, mode = args.mode })
  end }, function(state)
    local after = without_drop_in(state, path)
    if state.load ~= "not-found" then
      table.insert(after.drop_ins, path)
      table.sort(after.drop_ins, by_file_name)
    end
    return after
  end)
end

return M
