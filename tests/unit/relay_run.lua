-- By which host the hosts of a run are sent blobs.
local test = ...
local check = require "lib.check"
local inventory = require "kb.inventory"
local machine = require "kb.machine"
local relays = require "kb.relay.run"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"

local INVENTORY = [[
all:
  hosts:
    a0: {ansible_host: 10.0.0.1}
    alone: {ansible_host: 10.0.0.9}
    m0: {ansible_host: 10.1.0.1, jump: a0}
    w0: {ansible_host: 10.1.0.2, jump: "ops@10.0.0.7,ops@10.0.0.8:2222"}
    w1: {ansible_host: 10.1.0.3, jump: "ops@10.0.0.7,ops@10.0.0.8:2222"}
]]

-- A run that connects to nothing, but notes with which settings it would.
local function run_of(text)
  local dir <close> = scratch()
  check.ok(sys.write_file(dir.path .. "/inventory.yaml", text))
  local run = { machines = {}, asked = {}, inventory = check.ok(inventory.load {
    dir.path .. "/inventory.yaml" }), serve = function(_, fn) fn() end }
  function run.machine(self, name)
    self.machines[name] = self.machines[name] or machine.new(self, name,
      check.ok(self.inventory:connection(name)))
    return self.machines[name]
  end
  function run.open(settings)
    table.insert(run.asked, settings)
    return nil, "no way there", "EUNREACHABLE"
  end
  return run
end

local function host_of(run, name)
  return { name = name, run = run, machine = run:machine(name), play = { user = "root" } }
end

test("the last bastion on the way, and a bastion itself", function()
  local run = run_of(INVENTORY)
  check.equal(relays.of(host_of(run, "m0")).name, "a0")
  check.equal(relays.of(host_of(run, "a0")).name, "a0")
  check.equal(relays.of(host_of(run, "alone")), nil)
  check.equal(relays.of(host_of(run, "alone"), "m0").name, "m0")
  check.equal(relays.of(host_of(run, "m0")), relays.of(host_of(run, "a0")))
  check.raises("m9", relays.of, host_of(run, "m0"), "m9")
end)

test("a bastion that the inventory does not know is reached as on the way to the host", function()
  local run = run_of(INVENTORY)
  local relay = relays.of(host_of(run, "w0"))
  check.equal(relay.name, "10.0.0.8")
  check.equal(relays.of(host_of(run, "w1")), relay)
  local remote, message = relay.options.open()
  check.equal({ remote, message }, { nil, "no way there" })
  local settings = run.asked[1]
  check.equal({ settings.address, settings.port, settings.user }, { "10.0.0.8", 2222, "ops" })
  check.equal({ #settings.jumps, settings.jumps[1].address }, { 1, "10.0.0.7" })
end)
