--- Facts about units of systemd.
local kb = require "kb"

local M = {}

local PROPERTIES = "LoadState,ActiveState,SubState,UnitFileState,MainPID,NeedDaemonReload,"
  .. "FragmentPath,DropInPaths,NRestarts,ActiveEnterTimestampMonotonic"

-- A unit that has stayed up for so long has come to rest: the usual RestartSec are seconds.
local REST = 60

-- Days since 1970-01-01 of a date of the Gregorian calendar; the year is made to begin in March,
-- so that the leap day is its last.
local function days(year, month, day)
  local y = month > 2 and year or year - 1
  local day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
  return 365 * y + y // 4 - y // 100 + y // 400 + day_of_year - 719468
end

-- Seconds since 1970 of a time in UTC as systemd prints it. Without its microseconds (before
-- systemd 247) it stands for the end of its second: what was changed in that same second came
-- before, as far as anybody knows.
local function moment(text)
  local year, month, day, hour, minute, second, rest =
    text:match("(%d+)-(%d+)-(%d+) (%d+):(%d+):(%d+)(%.?%d*)")
  if not year then
    return false
  end
  return days(math.tointeger(year), math.tointeger(month), math.tointeger(day)) * 86400
    + hour * 3600 + minute * 60 + second + (rest ~= "" and tonumber("0" .. rest) or 0.999999)
end

local function properties_of(out)
  local found = {}
  for key, value in out:gmatch("(%w+)=([^\n]*)\n") do
    found[key] = value
  end
  return found
end

local function words(text)
  local list = {}
  for word in text:gmatch("%S+") do
    list[#list + 1] = word
  end
  return list
end

-- Whether systemd starts it again and again by itself.
local function restless(p, uptime)
  local restarts = tonumber(p.NRestarts) or 0
  local entered = (tonumber(p.ActiveEnterTimestampMonotonic) or 0) / 1e6
  return p.ActiveState == "activating"
    or restarts > 0 and (p.ActiveState ~= "active" or (tonumber(uptime) or 0) - entered < REST)
end

-- Units that run on a server from the start.
local usual = {}
for name in ("cron.service dbus.service ssh.service systemd-journald.service "
  .. "systemd-logind.service systemd-timesyncd.service"):gmatch("%S+") do
  usual[name] = true
end

--- What systemd says of a unit.
-- @param unit string: with its suffix: "ssh.service"
-- @return table: load ("loaded", "not-found", "masked", …), active ("active", "inactive", "failed",
-- …), sub ("running", "exited", …), enabled ("enabled", "disabled", "static", "masked", …; "" of a
-- unit without a file), pid (integer, 0 for none), needs_reload (boolean: its files changed since
-- systemd read them), path (of its file, "" for none), drop_ins (list of paths), restless (boolean:
-- it is being started, or was started again by systemd itself in the last minute, so that active,
-- sub and pid may be others at any time)
M.state = kb.fact {
  name = "unit.state",
  command = function(unit)
    return ("systemctl show -p %s -- %s && read -r up rest </proc/uptime && echo \"up $up\"")
      :format(PROPERTIES, kb.quote(unit))
  end,
  parse = function(out, code)
    local p = properties_of(out)
    if code ~= 0 or not p.LoadState then
      return nil, "systemctl show failed"
    end
    return { load = p.LoadState, active = p.ActiveState, sub = p.SubState,
      enabled = p.UnitFileState or "", pid = math.tointeger(tonumber(p.MainPID or 0)),
      needs_reload = p.NeedDaemonReload == "yes", path = p.FragmentPath or "",
      drop_ins = words(p.DropInPaths or ""), restless = restless(p, out:match("up (%S+)\n$")) }
  end,
  bare = function(unit)
    local there = usual[unit]
    return { load = there and "loaded" or "not-found", active = there and "active" or "inactive",
      sub = there and "running" or "dead", enabled = there and "enabled" or "", pid = 0,
      needs_reload = false, path = there and "/lib/systemd/system/" .. unit or "", drop_ins = {},
      restless = false }
  end,
}

--- When a unit was last started, and when it last changed its state, which a reload does, too.
-- @param unit string
-- @return table: started, reloaded (seconds since 1970; false for never)
M.moments = kb.fact {
  name = "unit.moments",
  command = function(unit)
    local show = ("systemctl show -p ActiveEnterTimestamp,StateChangeTimestamp -- %s")
      :format(kb.quote(unit))
    return ("export TZ=UTC; %s 2>/dev/null || %s"):format(
      show:gsub("show", "show --timestamp=us+utc", 1), show)
  end,
  parse = function(out, code)
    if code ~= 0 then
      return nil, "systemctl show failed"
    end
    local p = properties_of(out)
    return { started = moment(p.ActiveEnterTimestamp or ""),
      reloaded = moment(p.StateChangeTimestamp or "") }
  end,
  bare = { started = false, reloaded = false },
}

return M
