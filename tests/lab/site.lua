-- The main job: seven bare machines become a cluster, the dry run has said what would be done, and
-- the second run does nothing.
local test = ...
local check = require "lib.check"
local events = require "lib.events"
local labs = require "lib.lab"
local program = require "lib.program"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local function note(text, ...)
  io.write("  # ", text:format(...), "\n")
end

-- Run site.lua; what it told, its exit status, and how long it took.
local function site(inventory, ...)
  local started = task.now()
  local r = program.run { program.kbrun, "playbooks/site.lua", "-i", inventory, "--json", ... }
  local run = events.read(r.out)
  check.equal(r.status, 0, table.concat(run.errors, "\n") .. r.err)
  return run, task.now() - started
end

local function compare(said, done)
  local f = events.fidelity(said, done)
  note("fidelity: %d predicted and done, %d missed, %d extra, %d unknown", f.hit, f.missed,
    f.extra, f.unknown)
  check.equal(f.missed_ids, {})
  check.ok(f.hit > 150, "hardly anything was done")
end

test("site.lua: dry run, run, and a second run that changes nothing", function()
  local lab <close> = labs.open("site", {})
  local dir = check.ok(sys.mkdtemp("/tmp/kbrun-test-"))
  local _ <close> = setmetatable({}, { __close = function()
    program.run { "rm", "-rf", dir }
  end })
  local inventory = dir .. "/inventory.yaml"
  check.ok(sys.write_file(inventory, lab:run("inventory", "--cluster")))
  local said, saying = site(inventory, "--dry-run")
  local done, doing = site(inventory)
  note("dry run %.1f s, run %.1f s", saying, doing)
  for _, play in ipairs(done.plays) do
    note("  %-16s %5.1f s", play.play, play.seconds)
  end
  compare(said, done)
  local again, time = site(inventory)
  note("second run: %d changes in %.1f s", again.summary.steps.changed, time)
  check.equal(again.summary.steps.changed, 0)
  local nodes = lab:ssh("a0", "sudo kubectl get nodes --no-headers")
  check.equal(select(2, nodes:gsub("[mw]%d +Ready ", "")), 6, nodes)
end)
