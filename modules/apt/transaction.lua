--- One run of apt-get as a change.

local kb = require "kb"

local M = {}

local ENV = { DEBIAN_FRONTEND = "noninteractive", APT_LISTCHANGES_FRONTEND = "none",
  NEEDRESTART_SUSPEND = "1", UCF_FORCE_CONFFOLD = "1" }

-- What temporary things a transaction makes, it removes however it ends.
local PREAMBLE = [[
t= policy= kept=
trap 'rc=$?; [ -z "$t" ] || rm -rf "$t"
if [ -n "$kept" ]; then mv -f "$kept" "$policy"
elif [ -n "$policy" ]; then rm -f "$policy"; fi; exit $rc' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
]]

-- Maintainer scripts ask this program whether they may start services; 101 says no. One that is
-- there already is kept aside, unless it was left by a run that was ended.
local NO_START = [[
policy=/usr/sbin/policy-rc.d
if [ -e $policy ] && ! grep -qs 'for kbrun' $policy; then
  kept=$policy.kept; mv -f $policy "$kept" || exit
fi
printf '#!/bin/sh\n# for kbrun\nexit 101\n' >$policy && chmod 755 $policy || exit
]]

--- Shell text that declares `finish_dpkg`: what an installation that was broken off has left half
-- configured is finished. The dpkg of a run that was killed may still be at work, for which dpkg
-- does not wait as apt does.
M.FINISH = [[
finish_dpkg() {
  for i in $(seq 300); do
    said=$(dpkg --force-confdef --force-confold --configure -a 2>&1) && return
    case $said in *"locked by another process"*) sleep 1 ;; *) break ;; esac
  done
  printf '%s\n' "$said" >&2
  return 1
}
]]

local function names_of(items, with_version)
  local names = {}
  for i, item in ipairs(items) do
    names[i] = item.name .. (with_version and item.pin and "=" .. item.pin or "")
  end
  return names
end

local function apt_get(given, verb, items)
  local options = { "-y -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "
    .. "-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "
    .. "--allow-change-held-packages",
    given.recommends and "--install-recommends" or "--no-install-recommends",
    given.downgrade and "--allow-downgrades" or nil }
  table.insert(options, given.options)
  return ("apt-get %s %s -- %s || exit\n"):format(table.concat(options, " "), verb,
    kb.words(names_of(items, verb == "install")))
end

local function is_broken(items)
  for _, item in ipairs(items) do
    if item.now.status:find("^.[UFHWt]") then
      return true
    end
  end
end

local function hold_lines(given)
  if given.held == nil then
    return ""
  end
  local all = table.move(given.install, 1, #given.install, 1, {})
  table.move(given.hold, 1, #given.hold, #all + 1, all)
  return #all == 0 and "" or ("apt-mark %s -- %s || exit\n"):format(
    given.held and "hold" or "unhold", kb.words(names_of(all)))
end

local function script(given)
  local parts = { PREAMBLE }
  if #given.install + #given.remove > 0 then
    table.insert(parts, given.prepare or "")
    table.insert(parts, given.start == false and NO_START or "")
  end
  if is_broken(given.install) then
    table.insert(parts, M.FINISH .. "finish_dpkg || exit\n")
  end
  if #given.install > 0 then
    table.insert(parts, apt_get(given, "install", given.install))
  end
  if #given.remove > 0 then
    table.insert(parts, apt_get(given, given.purge and "purge" or "remove", given.remove))
  end
  table.insert(parts, hold_lines(given))
  return "(" .. table.concat(parts) .. ")"
end

local function installed(given, item)
  local held = item.now.held
  if given.held ~= nil then
    held = given.held
  end
  local version = item.version
  if version == nil then
    version = kb.unknown "known once it is installed"
  end
  return { installed = true, version = version, held = held, status = held and "hi" or "ii" }
end

local function effect_of(given)
  local effect = {}
  for _, item in ipairs(given.install) do
    effect[#effect + 1] = { "dpkg.package", item.name, installed(given, item) }
  end
  for _, item in ipairs(given.hold) do
    effect[#effect + 1] = { "dpkg.package", item.name, { installed = item.now.installed,
      version = rawget(item.now, "version"), held = given.held,
      status = given.held and "hi" or "ii" } }
  end
  for _, item in ipairs(given.remove) do
    effect[#effect + 1] = { "dpkg.package", item.name, { installed = false, held = false,
      version = "", status = kb.unknown "known once it is removed" } }
  end
  return effect
end

-- The units that packages bring, as they are once those are installed.
local function add_units(given, effect)
  local soon = kb.unknown "known once the package is installed"
  local moment = kb.later()
  for _, unit in ipairs(#given.install > 0 and given.units or {}) do
    local runs = given.start ~= false
    effect[#effect + 1] = { "unit.state", unit, { load = "loaded", enabled = "enabled",
      active = runs and "active" or "inactive", sub = soon, pid = soon, path = soon,
      drop_ins = soon, needs_reload = false } }
    effect[#effect + 1] = function(name, of)
      if name == "unit.moments" and of == unit then
        return true, { started = runs and moment, reloaded = runs and moment }
      end
    end
  end
end

local function summary(given)
  local titles, diff = {}, {}
  local function say(verb, items, sign)
    if #items > 0 then
      titles[#titles + 1] = verb .. " " .. table.concat(names_of(items), ", ")
    end
    for _, item in ipairs(sign and items or {}) do
      local old = rawget(item.now, "version")
      if item.now.installed and old then
        diff[#diff + 1] = ("-%s %s"):format(item.name, old)
      end
      if sign == "+" then
        diff[#diff + 1] = ("+%s %s"):format(item.name, tostring(item.version or ""))
      end
    end
  end
  say("install", given.install, "+")
  say(given.purge and "purge" or "remove", given.remove, "-")
  say(given.held and "hold" or "unhold", given.hold)
  return table.concat(titles, "; "), #diff > 0 and table.concat(diff, "\n") or nil
end

--- A change that installs, removes and holds packages; see apt.transaction.
-- @param given table
-- @return change
function M.change(given)
  given.install, given.remove, given.hold = given.install or {}, given.remove or {},
    given.hold or {}
  local title, diff = summary(given)
  local effect = effect_of(given)
  add_units(given, effect)
  return { title = title, diff = diff, actions = { { run = script(given), env = ENV } },
    effect = effect, more = #given.install > 0 or nil }
end

return M
