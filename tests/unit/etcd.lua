-- What site.lua asks of etcd, and when.
local test = ...
local check = require "lib.check"
local play = require "kb.play"
local stub = require "lib.stub"

local RENEWED = [[
local kb = require "kb"
local etcd = require "modules.etcd"
kb.play { "p", hosts = "all", serial = 1, function(host)
  etcd.renewed(host, { members = { { name = "h1", address = "10.0.0.1" },
    { name = "h2", address = "10.0.0.2" }, { name = "h3", address = "10.0.0.3" } } })
end }
]]

local MEMBERS = [[
1a, started, h1, https://10.0.0.1:2380, https://10.0.0.1:2379, false
2b, started, h2, https://10.0.0.2:2380, https://10.0.0.2:2379, false
3c, started, h3, https://10.0.0.3:2380, https://10.0.0.3:2379, false
https://10.0.0.1:2379 is healthy: ok
https://10.0.0.2:2379 is healthy: ok
https://10.0.0.3:2379 is healthy: ok
"Leader" : 26
]]

-- A member that was started at noon; its settings were changed at another time.
local function member(changed, done)
  local function answer(command)
    if command:find("ActiveState", 1, true) then
      return "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\n"
    elseif command:find("ActiveEnterTimestamp", 1, true) then
      return "ActiveEnterTimestamp=Mon 2026-11-23 12:00:00.000000 UTC\n"
    elseif command:find("find /etc/default/etcd", 1, true) then
      return changed .. "\n"
    elseif command:find("etcdctl", 1, true) then
      done[#done + 1] = "asked"
      return MEMBERS
    end
    return ""
  end
  return { run = function(_, command)
    done[#done + 1] = command:find("restart", 1, true) and "restarted" or command
    return { code = 0, out = "", err = "" }
  end, batch = function(_, commands)
    local results = {}
    for i, command in ipairs(commands) do
      results[i] = { code = 0, out = answer(command), err = "" }
    end
    return results
  end, stats = function()
    return { trips = 0 }
  end, alive = function() return true end, close = function() end }
end

local function renewed(changed)
  local done = {}
  local _, summary = stub.run(RENEWED, { hosts = { "h1", "h2" }, open = function()
    return member(changed, done)
  end })
  check.equal(summary.counts.failed, 0, summary.failures[1] and summary.failures[1].text)
  return done
end

test("members are asked how they are only behind one that was started again", function()
  check.equal(renewed(1795430000), {})
  -- who is healthy, the restart, and the gate, for one member after the other
  check.equal(renewed(1795450000), { "asked", "restarted", "asked", "asked", "restarted", "asked" })
end)

-- All plays of site.lua that must be done before one of them.
local function before(name)
  local playbook, list = play.load { "playbooks/site.lua" }, {}
  local function visit(of)
    for _, needed in ipairs(playbook.by_name[of].needs) do
      if not list[needed] then
        list[needed] = true
        visit(needed)
      end
    end
  end
  visit(name)
  return list
end

test("who waits for whom: etcd for no worker, what prepares masters not for the first", function()
  local list = before "etcd"
  check.ok(list.runtime, "two installations would wait for apt's lock")
  check.equal({ list["runtime of workers"], list.images, list["images to hosts"] }, {})
  check.ok(before("first master")["runtime of workers"])
  check.equal(before("preparation of masters")["first master"], nil)
end)
