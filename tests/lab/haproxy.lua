-- HAProxy on a real node: its configuration from data, asked of itself before it is used; what it
-- thinks of the servers behind it; and a configuration that it refuses.
local test = ...
local check = require "lib.check"
local events = require "lib.events"
local json = require "kb.json"
local labs = require "lib.lab"
local pki = require "kb.pki"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"

local PLAYBOOK = "tests/lab/modules.d/haproxy.lua"

-- A certificate with its key, as HAProxy wants to have them.
local function write_pem(dir)
  local store = check.ok(pki.store(dir .. "/store"))
  check.ok(store:ca { name = "ca" })
  local item = check.ok(store:leaf { name = "api", issuer = "ca", profile = "server",
    hosts = { "127.0.0.1" } })
  check.ok(sys.write_file(dir .. "/api.pem", item:chain() .. item.key:pem()))
end

local function run(ground, ...)
  return program.run { program.kbrun, PLAYBOOK, "-i", ground.inventory, "--json", "-e",
    "bundle=" .. ground.bundle, "-e", "pem=" .. ground.dir .. "/api.pem", ... }
end

local function done(ground, ...)
  local r = run(ground, ...)
  local told = events.read(r.out)
  check.equal(r.status, 0, table.concat(told.errors, "\n") .. r.err)
  return told, r.out
end

local function titles(out)
  local list = {}
  for line in out:gmatch "[^\n]+" do
    local event = json.decode(line)
    if event.event == "step" and event.status == "changed" then
      list[#list + 1] = event.title
    end
  end
  return list
end

-- What is not to change when a configuration is refused.
local function state(lab)
  return lab:ssh("a0", "systemctl show -p MainPID,StateChangeTimestamp haproxy; "
    .. "sha256sum /etc/haproxy/haproxy.cfg; ls /etc/haproxy")
end

test("HAProxy: configured, watched, drained, reloaded, and asked before it is", function()
  local dir <close> = scratch()
  local made = program.run { "tests/lab/bundle" }
  check.equal(made.status, 0, made.err)
  local ground = { dir = dir.path, inventory = dir.path .. "/inventory.yaml",
    bundle = made.out:gsub("\n", "") }
  write_pem(dir.path)
  local lab <close> = labs.open("haproxy", { "a0" })
  check.ok(sys.write_file(ground.inventory, lab:run "inventory"))
  local said = done(ground, "--dry-run")
  local fidelity = events.fidelity(said, (done(ground, "--verify")))
  check.equal({ fidelity.missed_ids, fidelity.extra_ids }, { {}, {} })
  check.equal(done(ground, "--verify").summary.steps.changed, 0)
  local before = state(lab)

  local refused = run(ground, "-e", "more=two words")
  check.equal(refused.status, 4, refused.out)
  check.contains(refused.out, "'server masters/two' : unknown keyword") -- its own words
  check.equal(state(lab), before)

  local _, out = done(ground, "-e", "more=m3", "--verify")
  local list = titles(out)
  check.equal(list[1], "change /etc/haproxy/haproxy.cfg")
  check.contains(list[2], "reload haproxy.service")
  local pid = "MainPID=%d+"
  check.equal(state(lab):match(pid), before:match(pid))
end)
