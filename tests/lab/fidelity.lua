-- What a dry run foretells is what a run then does: forty steps on bare machines.
local test = ...
local check = require "lib.check"
local json = require "kb.json"
local labs = require "lib.lab"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local NODES = { "a0", "m0", "m1", "m2", "w0", "w1", "w2" }
local STEPS = 40

-- Run a shell text here and expect success.
local function sh(text, dir)
  local r = program.run({ "sh", "-ec", text }, { cwd = dir })
  check.equal(r.status, 0, r.err)
  return r.out
end

-- Two packages and an archive, for the playbook.
local function material(dir)
  sh([[for p in tools data; do
    mkdir -p $p/DEBIAN $p/usr/share/forty
    echo $p >$p/usr/share/forty/$p
    printf 'Package: forty-%s\nVersion: 1.0\nArchitecture: all\nMaintainer: %s\nDescription: %s\n' \
      $p 'Nobody <nobody@example.org>' $p >$p/DEBIAN/control
    dpkg-deb --root-owner-group --build $p $p.deb
  done
  mkdir static; echo 'p { margin: 0 }' >static/style.css; tar -C static -cf static.tar .]], dir)
end

-- A lab, its inventory and the playbook's material, and how to run the playbook there.
local function ground(lab, dir)
  material(dir)
  local inventory = lab:run("inventory")
  check.ok(sys.write_file(dir .. "/inventory.yaml", inventory))
  local password = inventory:match 'ansible_become_password: "(.-)"'
  local g = {}

  -- Run a shell text as root on a node, not by kbrun.
  function g.root(node, text)
    local r = program.run({ "tests/lab/lab", "--name", lab.name, "ssh", node,
      "sudo -S -p '' sh -c '" .. text .. "'" }, { input = password .. "\n" })
    check.equal(r.status, 0, r.out .. r.err)
    return r.out
  end

  -- Run the playbook; returns its exit status, steps and summary.
  function g.play(...)
    local r = program.run { program.kbrun, "tests/lab/playbooks/forty.lua", "--json",
      "-i", dir .. "/inventory.yaml", "-e", "material=" .. dir, ... }
    local steps, summary = {}, nil
    for line in r.out:gmatch "[^\n]+" do
      local event = check.ok(json.decode(line))
      if event.event == "step" and event.status ~= "running" then
        steps[#steps + 1] = event
      elseif event.event == "summary" then
        summary = event
      end
    end
    return r.status, steps, check.ok(summary, r.out .. r.err)
  end
  return g
end

-- All that is below some directories, with its metadata, and what dpkg and systemd say.
local FINGERPRINT = [[
find /etc /srv /opt -xdev -printf "%p %y %m %U %G %s %T@ %C@ %l\n" -type f -exec sha256sum {} + |
  sort
sha256sum /var/lib/dpkg/status
hostname
systemctl show -P MainPID -P ActiveEnterTimestamp -P UnitFileState forty.service forty.timer]]

-- Of all nodes, which are asked side by side.
local function fingerprints(g)
  local asked, list = {}, {}
  for _, node in ipairs(NODES) do
    asked[node] = task.spawn(g.root, node, FINGERPRINT)
  end
  for node, t in pairs(asked) do
    list[node] = t:join()
    check.contains(list[node], "/etc/hostname f 644 0 0")
  end
  return list
end

local function by_step(steps)
  local map = {}
  for _, step in ipairs(steps) do
    map[step.host .. " " .. step.id] = step
  end
  return map
end

-- What differs in how a change was foretold and made; what was said to be unknown may differ.
local function told_otherwise(predicted, done)
  for _, field in ipairs { "title", "diff" } do
    local told = predicted[field] or ""
    if not told:find("(known ", 1, true) and told ~= (done[field] or "") then
      return ("%s on %s: %s: foretold\n%s\ndone\n%s"):format(done.id, done.host, field, told,
        done[field] or "")
    end
  end
end

-- Compare the steps of a dry run with those of the run.
local function compare(dry, real)
  local count = { done = 0, missed = 0, extra = 0, unknown = 0 }
  local predicted, notes = by_step(dry), {}
  local function note(kind, step)
    count[kind] = count[kind] + 1
    notes[#notes + 1] = ("%s: %s %s"):format(kind, step.host, step.title or step.id)
  end
  for key, step in pairs(by_step(real)) do
    local told = predicted[key]
    if told and told.status == "unknown" then
      note("unknown", step)
    elseif step.status == "changed" and (told or {}).status ~= "changed" then
      note("missed", step)
    elseif step.status == "same" and (told or {}).status ~= "same" then
      note("extra", step)
    elseif step.status == "changed" then
      count.done = count.done + 1
      notes[#notes + 1] = told_otherwise(told, step)
    end
  end
  return count, table.concat(notes, "\n")
end

test("forty steps that build on each other are foretold, done, and then done with", function()
  local dir <close> = scratch()
  local lab <close> = labs.open("fidelity", NODES)
  local g = ground(lab, dir.path)
  local bare = fingerprints(g)
  local status, dry, summary = g.play("--dry-run", "--exit-code")
  check.equal(status, 10, "the dry run")
  check.equal(summary.counts, { failed = 0, unreachable = 0, ended = 0 })
  check.equal(fingerprints(g), bare, "the dry run changed something")

  local real
  status, real, summary = g.play("--verify")
  check.equal(status, 0, "the run")
  check.equal(summary.steps.changed, STEPS * #NODES)
  local count, notes = compare(dry, real)
  print(("  # fidelity: %d predicted and done, %d missed, %d extra, %d unknown")
    :format(count.done, count.missed, count.extra, count.unknown))
  check.equal(notes, "")
  check.equal(count.done, STEPS * #NODES)

  local done = fingerprints(g)
  check.equal(g.root("w0", "test -e /opt/forty/stamp && dpkg-query -W forty-data"),
    "forty-data\t1.0\n")
  status, real, summary = g.play("--verify")
  check.equal(status, 0, "the third run")
  check.equal({ #real, summary.steps.same }, { STEPS * #NODES, STEPS * #NODES })
  check.equal(fingerprints(g), done, "the third run changed something")
end)
