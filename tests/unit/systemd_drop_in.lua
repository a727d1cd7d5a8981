local test = ...
local check = require "lib.check"
local stub = require "lib.stub"
local systemd = require "modules.systemd"
local unknown = require "kb.unknown"

local DIR = "/etc/systemd/system/x.service.d"

-- What a drop-in's plan states of its unit, and of when that was started.
local function stated(over)
  local op = systemd.drop_in
  local state = { load = "loaded", active = "active", sub = "running", enabled = "enabled",
    pid = 7, needs_reload = false, drop_ins = {}, path = "/lib/systemd/system/x.service",
    restless = false }
  for field, value in pairs(over) do
    state[field] = value
  end
  local change = op:decide(op:check { "x", name = "b", content = "b\n" }, stub.facts {
    { "user.self", { name = "root", group = "root", home = "/root" } },
    { "unit.state", "x.service", state },
    { "unit.moments", "x.service", { started = 100, reloaded = 100 } },
    { "file.stat", DIR, { kind = "directory", mode = 493, owner = "root", group = "root" } },
    { "file.stat", DIR .. "/b.conf", { kind = "absent" } },
  })
  local of = {}
  for _, entry in ipairs(change.effect) do
    if type(entry) == "table" then
      of[entry[1]] = entry[3]
    end
  end
  return of["unit.state"], of["unit.moments"]
end

local function drop_ins(over)
  return rawget(stated(over), "drop_ins")
end

test("a unit's drop-ins are known, unless systemd has files to read that are not ours", function()
  check.equal(drop_ins {}, { DIR .. "/b.conf" })
  check.equal(unknown.is(drop_ins { needs_reload = true }), true)
end)

test("of a unit that is started again and again it is not stated whether it runs", function()
  local state, moments = stated {}
  check.equal({ state.active, state.sub, state.pid, moments.started },
    { "active", "running", 7, 100 })
  state, moments = stated { restless = true }
  for _, field in ipairs { "active", "sub", "pid" } do
    check.equal(unknown.is(rawget(state, field)), true, field)
  end
  check.equal({ rawget(state, "drop_ins"), moments }, { { DIR .. "/b.conf" } })
end)
