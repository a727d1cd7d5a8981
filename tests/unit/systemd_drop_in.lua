local test = ...
local check = require "lib.check"
local stub = require "lib.stub"
local systemd = require "modules.systemd"
local unknown = require "kb.unknown"

local DIR = "/etc/systemd/system/x.service.d"

-- What is stated of the unit's drop-ins.
local function stated(needs_reload)
  local op = systemd.drop_in
  local change = op:decide(op:check { "x", name = "b", content = "b\n" }, stub.facts {
    { "user.self", { name = "root", group = "root", home = "/root" } },
    { "unit.state", "x.service", { load = "loaded", active = "inactive", sub = "dead",
      enabled = "enabled", pid = 0, needs_reload = needs_reload, drop_ins = {},
      path = "/lib/systemd/system/x.service" } },
    { "file.stat", DIR, { kind = "directory", mode = 493, owner = "root", group = "root" } },
    { "file.stat", DIR .. "/b.conf", { kind = "absent" } },
  })
  for _, entry in ipairs(change.effect) do
    if type(entry) == "table" and entry[1] == "unit.state" then
      return rawget(entry[3], "drop_ins")
    end
  end
end

test("a unit's drop-ins are known, unless systemd has files to read that are not ours", function()
  check.equal(stated(false), { DIR .. "/b.conf" })
  check.equal(unknown.is(stated(true)), true)
end)
