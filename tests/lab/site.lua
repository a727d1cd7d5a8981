-- The main job: bare machines become a cluster, the dry run has said what would be done, the second
-- run does nothing, and one more worker joins. With docker on six nodes, with containerd on two.
local test = ...
local check = require "lib.check"
local events = require "lib.events"
local labs = require "lib.lab"
local program = require "lib.program"
local scratch = require "lib.scratch"
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

local function compare(said, done, least)
  local f = events.fidelity(said, done)
  note("fidelity: %d predicted and done, %d missed, %d extra, %d unknown", f.hit, f.missed,
    f.extra, f.unknown)
  check.equal(f.missed_ids, {})
  check.ok(f.hit > least, "hardly anything was done")
end

-- The inventory without a worker, as it was before that was bought.
local function without(inventory, name)
  local entry = ("        %s:\n          [^\n]*\n          [^\n]*\n"):format(name)
  local text, n = inventory:gsub(entry, "")
  check.equal(n, 1, "the lab's inventory has another form")
  return text
end

local function ready(lab)
  return select(2, lab:ssh("a0", "sudo kubectl get nodes --no-headers"):gsub("[mw]%d +Ready ", ""))
end

local function show(run)
  for _, play in ipairs(run.plays) do
    note("  %-16s %5.1f s", play.play, play.seconds)
  end
  for _, entry in ipairs(run.summary.path) do
    note("  path: %5.1f s  %s  %s  %s", entry.seconds, entry.play, entry.host, entry.step or "")
  end
end

-- One more worker: the same playbook, a longer inventory, and only the new one is worked on.
local function add_worker(lab, inventory, name)
  local added, adding = site(inventory, "--limit", name)
  note("a worker added in %.1f s", adding)
  check.ok(added.summary.steps.changed > 10)
  check.equal(ready(lab), 6)
  local r = program.run { program.kbrun, "playbooks/smoke.lua", "-i", inventory, "--json", "-v" }
  local proven = events.read(r.out)
  check.equal(r.status, 0, table.concat(proven.errors, "\n") .. r.err)
  check.equal(proven.summary.steps.changed, 0)
  check.contains(r.out, "a pod answers " .. name .. " under")
  check.contains(r.out, "the API answers while m2 hangs")
  check.equal(lab:ssh("a0", "sudo kubectl get pods,services,secrets -o name | grep -c smoke "
    .. "|| true"), "0\n")
end

-- Packages are installed in one go on each node: what comes second waits for apt's lock.
local function installed_once(run)
  local times = {}
  for step, status in pairs(run.steps) do
    local node = step:match("^([mw]%d) .*|bundle%.installed|")
    if node and status == "changed" then
      times[node] = (times[node] or 0) + 1
    end
  end
  for node, n in pairs(times) do
    check.equal(n, 1, "installations on " .. node)
  end
  check.equal(times.m0, 1)
end

-- What a slow line would make a second run wait for.
local function check_trips(run)
  local most = { a = 15, m = 25, w = 15 }
  for name, n in pairs(run.summary.trips) do
    note("  %-9s %3d round trips", name, n)
    check.ok(n <= (most[name:match("^(%l)%d$")] or 5), ("%s: %d round trips"):format(name, n))
  end
end

-- Dry run, run, second run.
local function builds(inventory, least)
  local said, saying = site(inventory, "--dry-run")
  local done, doing = site(inventory)
  note("dry run %.1f s, run %.1f s", saying, doing)
  show(done)
  compare(said, done, least)
  installed_once(done)
  local again, time = site(inventory)
  note("second run: %d changes in %.1f s", again.summary.steps.changed, time)
  show(again)
  check.equal(again.summary.steps.changed, 0)
  check.ok(time < 40, "less than 10 s on a quiet machine; even a busy one waits for nobody so long")
  check_trips(again)
end

test("site.lua: dry run, run, a second run that changes nothing, and one more worker", function()
  local lab <close> = labs.open("site", {})
  local dir <close> = scratch()
  local inventory = dir.path .. "/inventory.yaml"
  local whole = lab:run("inventory", "--cluster")
  check.ok(sys.write_file(inventory, without(whole, "w2")))
  builds(inventory, 150)
  check.equal(ready(lab), 5)
  check.ok(sys.write_file(inventory, whole))
  add_worker(lab, inventory, "w2")
end)

test("site.lua with containerd, of which no docker is seen", function()
  local lab <close> = labs.open("site", { "a0", "m0", "w0" })
  local dir <close> = scratch()
  local inventory = dir.path .. "/inventory.yaml"
  check.ok(sys.write_file(inventory, lab:run("inventory", "--cluster", "containerd")))
  builds(inventory, 50)
  check.equal(ready(lab), 2)
  check.contains(lab:ssh("a0", "sudo kubectl get nodes -o wide --no-headers"),
    "containerd://1.6")
  local r = program.run { program.kbrun, "images", "verify", "masters:workers", "-i", inventory }
  check.equal(r.status, 0, r.out .. r.err)
  check.contains(r.err, ", 0 not")
end)
