--- The plan of a unit's state.

local kb = require "kb"

local M = {}

-- Suffixes of units; a name without one of them is a service.
local suffixes = {}
for suffix in ("service socket target timer mount automount swap path slice scope device")
  :gmatch("%S+") do
  suffixes[suffix] = true
end

--- Where an administrator's units lie.
M.DIR = "/etc/systemd/system/"

--- A unit's name with its suffix.
-- @param name string
-- @return string
function M.full_name(name)
  return suffixes[name:match("%.(%w+)$")] and name or name .. ".service"
end

--- The questions of systemd.unit.
function M.questions(args)
  local unit = M.full_name(args.name)
  local list = { { "unit.state", unit } }
  if args.state ~= "stopped" then
    list[2] = { "unit.moments", unit }
    for _, paths in ipairs { args.watch, args.reload } do
      for _, path in ipairs(paths) do
        list[#list + 1] = { "file.changed", path }
      end
    end
  end
  return list
end

--- What is known of a unit after systemd has (re)started or reloaded it.
-- @param unit string
-- @return function: an entry of an effect
function M.renewed(unit)
  local moment = kb.later()
  return function(name, of)
    if name == "unit.moments" and of == unit then
      return true, { started = moment, reloaded = moment }
    end
  end
end

-- The first of some paths that was changed after a moment.
local function changed_since(paths, moment, fact)
  for _, path in ipairs(moment and paths or {}) do
    local changed = fact("file.changed", path)
    if changed and changed > moment then
      return path
    end
  end
end

-- The files of an administrator that define the unit.
local function own_files(state)
  local list = {}
  -- of a unit that a package is going to bring, neither is known
  local own, drop_ins = rawget(state, "path") or "", rawget(state, "drop_ins") or {}
  for _, path in ipairs { own, table.unpack(drop_ins) } do
    if path:sub(1, #M.DIR) == M.DIR then
      list[#list + 1] = path
    end
  end
  return list
end

-- What makes a running unit stale: the verb that helps, and the file.
local function stale(args, unit, state, fact)
  local moments = fact("unit.moments", unit)
  local path = changed_since(args.watch, moments.started, fact)
    or changed_since(own_files(state), moments.started, fact)
  if path then
    return "restart", path
  end
  path = changed_since(args.reload, moments.reloaded, fact)
  return path and "reload", path
end

-- What is to be done with a running or stopped unit, and why.
local function activity(args, unit, state, fact)
  local runs = state.active == "active" or state.active == "reloading"
  if args.state == "stopped" then
    local ended = state.active == "inactive" or state.active == "failed"
    return not ended and "stop" or nil
  elseif args.state == "running" and not runs then
    -- one that waits for its next try would only be waited for by `start`
    return state.active == "activating" and "restart" or "start"
  elseif runs then
    return stale(args, unit, state, fact)
  end
end

local function enablement(args, unit, state)
  local is = state.enabled
  if args.enabled == true then
    if is == "static" then
      kb.refuse(unit .. " cannot be enabled: its file has no [Install] section",
        "leave out 'enabled', or enable the unit that starts it")
    end
    local already = is:find("^enabled") or is == "alias" or is == "indirect" or is == "generated"
    return not already and "enable" or nil
  elseif args.enabled == false then
    return (is:find("^enabled") or is:find("^linked")) and "disable" or nil
  end
end

local function title_of(todo, unit, because)
  local verbs = {}
  for _, verb in ipairs(todo) do
    verbs[#verbs + 1] = verb ~= "daemon-reload" and verb or nil
  end
  if #verbs == 0 then
    return "take in the changed files of " .. unit
  end
  local title = table.concat(verbs, ", ") .. " " .. unit
  return because and ("%s: %s has changed"):format(title, because) or title
end

-- Whether a unit is asked for that can be used.
local function wants_it(args)
  return args.state == "running" or args.enabled == true
end

-- What will be true of a unit of which it is not known what it is like now.
local function effect_in_either_case(args, unit)
  local soon = kb.unknown "known once systemd was asked"
  local active = { running = "active", stopped = "inactive" }
  local enabled = soon
  if args.enabled ~= nil then
    enabled = args.enabled and "enabled" or "disabled"
  end
  return { { "unit.state", unit, { load = args.masked and "masked" or "loaded",
    active = active[args.state] or soon, enabled = args.masked and "masked" or enabled, sub = soon,
    pid = soon, path = soon, drop_ins = soon, needs_reload = false } }, M.renewed(unit) }
end

-- Refuse what cannot be; say when a unit that is not there is already as asked.
local function check(args, unit, state)
  if state.load == "not-found" and args.masked == nil then
    return "there is no unit " .. unit
  end
  local masked = args.masked
  if masked == nil then
    masked = state.load == "masked"
  end
  if masked and wants_it(args) then
    kb.refuse(("%s is masked: it can neither be started nor enabled"):format(unit),
      "say masked = false")
  end
end

-- Services without a way to say that they are ready count as started at once, even when their
-- program cannot be run; they are watched for a second.
local function start(verb, unit)
  local u = kb.quote(unit)
  return ("systemctl %s -- %s || exit\n"
    .. "case $(systemctl show -p Type -- %s) in Type=simple|Type=exec|Type=idle)\n"
    .. "for i in 1 2 3 4 5; do sleep 0.2; systemctl is-active --quiet -- %s || {\n"
    .. "echo 'it was started and did not stay' >&2; exit 1; }; done;;\n"
    .. "Type=notify*|Type=forking|Type=dbus) systemctl is-active --quiet -- %s || {\n"
    .. "echo 'it was started and does not run' >&2; exit 1; };; esac"):format(verb, u, u, u, u)
end

local function actions_of(todo, unit)
  local u, list = kb.quote(unit), {}
  for _, verb in ipairs(todo) do
    if verb == "daemon-reload" then
      list[#list + 1] = "systemctl daemon-reload"
    elseif verb == "start" or verb == "restart" then
      list[#list + 1] = { run = start(verb, unit), fails = ("%s did not %s"):format(unit, verb) }
    elseif verb == "stop" then
      -- programs that end by the signal count as failed until that is forgotten
      list[#list + 1] = ("systemctl stop -- %s && { systemctl reset-failed -- %s 2>/dev/null "
        .. "|| :; }"):format(u, u)
    else
      list[#list + 1] = ("systemctl %s -- %s"):format(verb, u)
    end
  end
  return list
end

-- What is asked of a unit that is not there yet.
local function wanted_of(args)
  local wanted = { args.enabled and "enable" or nil }
  wanted[#wanted + 1] = args.state == "running" and "start" or nil
  return wanted
end

-- Of a unit that a package is going to bring: what it will be like before this step is not known.
local function plan_of_missing(args, unit, fact)
  local doubt = kb.missing(fact, "there is no unit " .. unit, "write its file with "
    .. "systemd.unit_file; if a package of an earlier step brings it, say so there: "
    .. "apt.packages(host, { …, units = { \"" .. unit .. "\" } })")
  return { title = title_of(wanted_of(args), unit), perhaps = doubt,
    effect = effect_in_either_case(args, unit) }
end

-- Whether there is a file for the unit, or for the template that it is made of.
local function has_file(unit, fact)
  local kind = fact("file.stat", M.DIR .. unit:gsub("@.*(%.%w+)$", "@%1")).kind
  return kind == "file" or kind == "link"
end

-- Of a unit whose file is there and that systemd does not know: an earlier step of a dry run has
-- written it, as a file like any other.
local function plan_of_unread(args, unit)
  local wanted = wanted_of(args)
  local actions = actions_of(wanted, unit)
  table.insert(actions, 1, "systemctl daemon-reload")
  return { title = title_of(wanted, unit), actions = actions,
    effect = effect_in_either_case(args, unit) }
end

--- A copy of a unit's state once systemd has read its files; what is not known stays so. Of a unit
-- that systemd starts again and again nobody can say whether it runs.
-- @param state table
-- @return table
function M.copy(state)
  local after = {}
  for _, field in ipairs { "load", "active", "sub", "enabled", "pid", "path", "drop_ins" } do
    local value = rawget(state, field)
    after[field] = value == nil and kb.unknown "known once systemd says" or value
  end
  if rawget(state, "restless") then
    local soon = kb.unknown "known once it has come to rest"
    after.active, after.sub, after.pid = soon, soon, soon
  end
  after.needs_reload = false
  return after
end

local function state_after(todo, state)
  local after = M.copy(state)
  for _, verb in ipairs(todo) do
    if verb == "start" or verb == "restart" then
      after.active, after.sub, after.pid = "active", kb.unknown "known once it runs",
        kb.unknown "known once it runs"
    elseif verb == "stop" then
      after.active, after.sub, after.pid = "inactive", "dead", 0
    elseif verb == "enable" or verb == "disable" then
      after.enabled = verb .. "d"
    elseif verb == "mask" then
      after.load, after.enabled = "masked", "masked"
      after.path = kb.unknown "where the mask is"
    elseif verb == "unmask" then
      after.load = kb.unknown "known once it is unmasked"
      after.enabled, after.path = after.load, after.load
    end
  end
  return after
end

local function plan_of_unit(args, unit, fact)
  local state = fact("unit.state", unit)
  if state.load == "not-found" and args.masked == nil and wants_it(args) then
    local of_file = has_file(unit, fact) and plan_of_unread or plan_of_missing
    return of_file(args, unit, fact)
  end
  local reason = check(args, unit, state)
  if reason then
    return nil, reason
  end
  local todo = {}
  local function add(verb)
    todo[#todo + 1] = verb
  end
  add(args.masked == false and state.load == "masked" and "unmask" or nil)
  add(state.needs_reload and "daemon-reload" or nil)
  local unmasked = todo[1] == "unmask"
  add(unmasked and args.enabled and "enable" or not unmasked and enablement(args, unit, state)
    or nil)
  local verb, because = activity(args, unit, state, fact)
  add(verb)
  add(args.masked and state.load ~= "masked" and "mask" or nil)
  if #todo == 0 then
    return nil, ("%s is %s%s"):format(unit, state.active,
      state.enabled ~= "" and " and " .. state.enabled or "")
  end
  return { title = title_of(todo, unit, because), actions = actions_of(todo, unit),
    effect = { { "unit.state", unit, state_after(todo, state) },
      (verb == "start" or verb == "restart" or verb == "reload") and M.renewed(unit) or nil } }
end

--- The plan of systemd.unit.
-- @param args table
-- @param fact function
-- @return change, or nil and a reason
function M.unit(args, fact)
  local unit = M.full_name(args.name)
  return kb.perhaps(fact, function(ask)
    return plan_of_unit(args, unit, ask)
  end, function()
    return "bring up to date " .. unit, effect_in_either_case(args, unit)
  end)
end

return M
