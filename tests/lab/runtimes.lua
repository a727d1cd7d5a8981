-- The container runtimes and their images on a real node, as tests/lab/modules.lua does it for the
-- others: foretold, done and found true, not done again.
local test = ...
local check = require "lib.check"
local events = require "lib.events"
local json = require "kb.json"
local labs = require "lib.lab"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"

local PLAYBOOK = "tests/lab/modules.d/runtimes.lua"
local PAUSE, WEB = "k8s.gcr.io/pause:3.2", "docker.io/lab/web:1.0"

local function made_bundle()
  local r = program.run { "tests/lab/bundle" }
  check.equal(r.status, 0, r.err)
  return r.out:gsub("\n", "")
end

local function run(ground, ...)
  local r = program.run { program.kbrun, PLAYBOOK, "-i", ground.inventory, "--json", "-e",
    "bundle=" .. ground.bundle, ... }
  local run_of = events.read(r.out)
  check.equal(r.status, 0, table.concat(run_of.errors, "\n") .. r.err)
  return run_of
end

-- What `kbrun images verify` says of the node: image -> state, and its exit status.
local function verified(ground, ...)
  local r = program.run { program.kbrun, "images", "verify", "all", "-i", ground.inventory,
    "--json", ... }
  local states = {}
  for _, row in ipairs(check.ok(json.decode(r.out))) do
    states[row.image] = row.state
  end
  return states, r.status
end

-- An image goes, a name goes: what is lacking is told, and what is needed is done.
local function mends(ground, lab)
  local manifest = ground.dir .. "/pod.yaml"
  check.ok(sys.write_file(manifest, "spec: {containers: [{name: w, image: 'lab/web:1.0'}]}\n"))
  local states, status = verified(ground, "--manifest", manifest)
  check.equal({ states, status }, { { [WEB] = "there" }, 0 })
  lab:ssh("a0", "sudo docker rmi -f " .. WEB .. " >/dev/null")
  states, status = verified(ground, "--manifest", manifest)
  check.equal({ states, status }, { { [WEB] = "missing" }, 4 })
  check.equal(run(ground, "--verify").summary.steps.changed, 1)
  lab:ssh("a0", "sudo docker tag " .. PAUSE .. " " .. WEB .. "; sudo systemctl stop docker.socket "
    .. "docker; sudo ctr -n k8s.io images rm " .. PAUSE .. " >/dev/null")
  states, status = verified(ground)
  check.equal({ states, status }, { { [PAUSE] = "missing" }, 4 })
end

-- The CRI, asked as the kubelet of 1.20 asks it, has the images and the sandbox's settings.
local function serves_the_kubelet(lab)
  local found = lab:ssh("a0", "sudo crictl images; sudo crictl info; sudo crictl version; "
    .. "sudo containerd config dump")
  for _, words in ipairs { PAUSE, WEB, "RuntimeReady true", "containerd 1.6.", "v1alpha2",
    "SystemdCgroup = true", 'sandbox_image = "' .. PAUSE .. '"', 'level = "info"' } do
    check.contains(found, words)
  end
end

test("containerd and docker: configured, started, and given the images they lack", function()
  local dir <close> = scratch()
  local ground = { dir = dir.path, inventory = dir.path .. "/inventory.yaml",
    bundle = made_bundle() }
  local lab <close> = labs.open("runtimes", { "a0" })
  check.ok(sys.write_file(ground.inventory, lab:run "inventory"))
  -- a configuration that is there stays while the package that has one of its own is installed
  lab:ssh("a0", "sudo mkdir -p /etc/containerd/certs.d/old.example; "
    .. "sudo touch /etc/containerd/certs.d/old.example/hosts.toml; "
    .. "echo version = 2 | sudo tee /etc/containerd/config.toml >/dev/null")
  local said = run(ground, "--dry-run")
  local done = run(ground, "--verify")
  local fidelity = events.fidelity(said, done)
  check.equal({ fidelity.missed_ids, fidelity.extra_ids, fidelity.unknown }, { {}, {}, 0 })
  check.ok(fidelity.hit > 10, fidelity.hit)
  serves_the_kubelet(lab)
  check.equal(run(ground, "--verify").summary.steps.changed, 0)
  mends(ground, lab)
end)
