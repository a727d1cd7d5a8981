-- Faults in the middle of site.lua: the others carry on where they may, the message names the
-- cause, and after the repair the same command makes a whole cluster. KBRUN_SOAK_FAULT chooses one
-- of these stories by a word of its name.
local test = ...
local check = require "lib.check"
local events = require "lib.events"
local json = require "kb.json"
local labs = require "lib.lab"
local proc = require "kb.core.proc"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local chosen = sys.getenv "KBRUN_SOAK_FAULT" or ""

local function note(text, ...)
  io.write("  # ", text:format(...), "\n")
  io.flush()
end

-- The lines of a stream, as they come.
local function lines(stream)
  local rest = ""
  return function()
    while true do
      local line, after = rest:match("^([^\n]*)\n(.*)$")
      if line then
        rest = after
        return line
      end
      local chunk = stream:read()
      if not chunk then
        return nil
      end
      rest = rest .. chunk
    end
  end
end

-- Run a playbook; inject() is called once, beside it, when a play begins.
local function run(playbook, inventory, play, inject, ...)
  local started = task.now()
  local process, pipes = proc.spawn { argv = { program.kbrun, "playbooks/" .. playbook,
    "-i", inventory, "--json", ... }, stdin = "null", stderr = "inherit" }
  check.ok(process, pipes)
  local all, injecting = {}, nil
  for line in lines(pipes.stdout) do
    all[#all + 1] = line
    local event = json.decode(line)
    if inject and not injecting and event.event == "play" and event.play == play
      and event.status == "started" then
      injecting = task.spawn(inject)
    end
  end
  pipes.stdout:close()
  if injecting then
    injecting:join()
  end
  check.ok(not inject or injecting, ("the play %q did not begin"):format(tostring(play)))
  local text = table.concat(all, "\n") .. "\n"
  local told = events.read(text)
  note("%s: exit status %d after %.0f s, %d changes", playbook, process:wait(),
    task.now() - started, told.summary.steps.changed)
  return process:wait(), told, text
end

-- The failures as they are on the operator's screen, which the log of the test keeps.
local function failures_of(told)
  local parts = {}
  for _, failure in ipairs(told.summary.failures) do
    parts[#parts + 1] = ("%s %s\n%s\n"):format(failure.status:upper(),
      table.concat(failure.hosts, " "), failure.text)
  end
  local text = table.concat(parts, "\n")
  note("%s", (text:gsub("\n", "\n  # ")))
  return text
end

-- What a cluster of a lab is in the end, by the same command as ever; smoke.lua is part of it.
local function whole(g)
  local status, told, text = run("site.lua", g.inventory, nil, nil, "-v")
  check.equal(status, 0, table.concat(told.errors, "\n"))
  check.ok(told.summary.steps.changed == 0 or text:find("nothing of it is left", 1, true),
    "the cluster was changed and not proven to work")
  local nodes = g.lab:ssh("a0", "sudo kubectl get nodes --no-headers")
  check.equal(select(2, nodes:gsub("[mw]%d +Ready ", "")), 3, nodes)
end

local function said(text, words)
  check.ok(text:find(words), ("%q is not in what was shown"):format(words))
end

local function as_root(g, node, text)
  return g.lab:ssh(node, ("echo %s | sudo -S -p '' sh -c '%s'"):format(g.password, text))
end

local faults = {}

-- What the lab does to a worker, and undoes: the others go on without it.
local function of_worker(done, undone, says)
  return { at = "runtime", says = says, ready = { "m0", "w0" },
    inject = function(g)
      g.lab:run(done, "w1")
    end,
    repair = function(g)
      g.lab:run(undone, "w1")
    end }
end

faults.power = of_worker("kill", "start", "UNREACHABLE w1\n")
faults.disk = of_worker("fill", "unfill", "[Nn]o space left on device")

faults.port = { at = "etcd",
  inject = function(g)
    as_root(g, "m0", "systemd-run -q --unit=squatter perl -MIO::Socket::INET -e "
      .. "\"@s = IO::Socket::INET->new(Listen => 5, LocalPort => 6443) or die; sleep\"")
    labs.await(10, "the port to be taken", function()
      return g.lab:ssh("m0", "ss -H -ltn 'sport = :6443'") ~= ""
    end)
  end,
  repair = function(g)
    as_root(g, "m0", "systemctl stop squatter")
  end,
  says = '6443 users:%(%("perl"', ready = {} }

-- A master that lost its power in the middle of kubeadm. Its next run offers to put it back, and
-- nothing more.
faults.half = { at = "first master",
  inject = function(g)
    labs.await(120, "kubeadm to be in the middle", function()
      return as_root(g, "m0", "ls /etc/kubernetes/manifests 2>/dev/null || true") ~= ""
    end)
    g.lab:run("kill", "m0")
  end,
  says = "UNREACHABLE m0\n",
  repair = function(g)
    g.lab:run("start", "m0")
    local status, told = run("site.lua", g.inventory)
    check.equal(status, 4)
    said(failures_of(told), "playbooks/reset.lua %-i .- %-%-limit m0 puts this node alone back")
    check.equal(run("reset.lua", g.inventory, nil, nil, "--limit", "m0", "--yes"), 0)
  end }

faults.bastion = { at = "runtime",
  inject = function(g)
    local rule = "INPUT -p tcp --dport 22 -j REJECT --reject-with tcp-reset"
    g.lab:ssh("a0", ("sudo sh -c 'systemd-run -q --on-active=30 "
      .. "--timer-property=AccuracySec=1s iptables -D %s; "
      .. "nohup sh -c \"sleep 0.5; iptables -I %s\" >/dev/null 2>&1 &'"):format(rule, rule))
  end,
  repair = function(g)
    labs.await(60, "the bastion to answer again", function()
      return g.lab:try("ssh", "a0", "-o", "ConnectTimeout=2", "true").status == 0
    end)
  end,
  may_survive = true, says = "a0" }

faults.password = { before = function(g)
    check.ok(sys.write_file(g.inventory, (g.text:gsub("(        m0:\n)",
      "%1          ansible_become_password: mistaken-0\n"))))
  end,
  repair = function(g)
    check.ok(sys.write_file(g.inventory, g.text))
  end,
  says = "sudo: m0: sudo to root: wrong password", ready = {}, untouched = true }

faults.image = { before = function(g)
    local bundle = g.text:match "bundle: (%S+)"
    local copy = g.dir .. "/bundle"
    local r = program.run { "sh", "-ec", ("mkdir %s; ln -s %s/blobs %s/blobs; "
      .. "sed s,kube-proxy:,kube-prexy:, %s/bundle.yaml >%s/bundle.yaml"):format(copy, bundle, copy,
      bundle, copy) }
    check.equal(r.status, 0, r.err)
    check.ok(sys.write_file(g.inventory, (g.text:gsub("bundle: %S+", "bundle: " .. copy))))
  end,
  repair = function(g)
    check.ok(sys.write_file(g.inventory, g.text))
  end,
  says = "has no image k8s.gcr.io/kube%-proxy:v1.20.2", ready = {}, untouched = true }

local RIGHT, WRONG = "/etc/etcd/pki/apiserver-etcd-client", "/etc/kubernetes/pki/front-proxy-client"

local function replace_certificate(g, from, to)
  as_root(g, "m0", ("sed -i /--etcd-/s,%s,%s, /etc/kubernetes/manifests/kube-apiserver.yaml")
    :format(from, to))
end

-- An API server that worked, and is then given a certificate that etcd does not accept.
faults.certificate = { before = function(g)
    check.equal(run("site.lua", g.inventory), 0)
    replace_certificate(g, RIGHT, WRONG)
  end,
  repair = function(g)
    replace_certificate(g, WRONG, RIGHT)
  end,
  says = "the API of m0 is ready: not so after 180 s.*rejected connection.*"
    .. "k8s_kube%-apiserver[^\n]* ended with 1 at" }

-- The nodes that are Ready, asked of the bastion; none where there is no cluster.
local function ready_nodes(g)
  local r = g.lab:try("ssh", "a0", "sudo kubectl get nodes --no-headers 2>/dev/null")
  local names = {}
  for name in r.out:gmatch "([mw]%d) +Ready " do
    names[#names + 1] = name
  end
  return names
end

local function suffer(g, fault)
  if fault.before then
    fault.before(g)
  end
  local status, told = run("site.lua", g.inventory, fault.at, fault.inject and function()
    fault.inject(g)
  end)
  if not (fault.may_survive and status == 0) then
    check.ok(status == 3 or status == 4, "exit status " .. status)
    said(failures_of(told), fault.says)
  end
  if fault.untouched then
    check.equal(told.summary.steps.changed, 0)
  end
  if fault.ready then
    check.equal(ready_nodes(g), fault.ready)
  end
  fault.repair(g)
end

-- A lab that suffers some faults, one after the other, and then becomes whole.
local function story(name, ...)
  local list = { ... }
  if not name:find(chosen, 1, true) then
    return
  end
  test(name .. ": the others go on, the cause is named, the next run is whole", function()
    local dir <close> = scratch()
    local lab <close> = labs.open("soak", { "a0", "m0", "w0", "w1" })
    local g = { lab = lab, dir = dir.path, inventory = dir.path .. "/inventory.yaml",
      text = lab:run("inventory", "--cluster") }
    g.password = g.text:match 'ansible_become_password: "(.-)"'
    check.ok(sys.write_file(g.inventory, g.text))
    for _, fault in ipairs(list) do
      suffer(g, fault)
    end
    whole(g)
  end)
end

story("a worker without power, a full disk, a bastion that refuses connections for 30 s",
  faults.power, faults.disk, faults.bastion)
story("a wrong password, an image missing, a port taken, half of kubeadm, a wrong certificate",
  faults.password, faults.image, faults.port, faults.half, faults.certificate)
