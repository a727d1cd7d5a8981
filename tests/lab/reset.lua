-- A node, and then the whole cluster, goes back to what it was; what others wrote stays; and
-- site.lua makes a working cluster of it again.
local test = ...
local check = require "lib.check"
local events = require "lib.events"
local labs = require "lib.lab"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local function run(playbook, inventory, ...)
  local started = task.now()
  local r = program.run { program.kbrun, "playbooks/" .. playbook, "-i", inventory, "--json", ... }
  local told = events.read(r.out)
  check.equal(r.status, 0, table.concat(told.errors, "\n") .. r.err)
  io.write(("  # %s %s: %d changes in %.1f s\n"):format(playbook, table.concat({ ... }, " "),
    told.summary.steps.changed, task.now() - started))
  return told, r.out
end

-- What a node shows of a cluster, as root: rules of both kinds of tables, files, interfaces.
local TRACES = [[for t in iptables-nft iptables-legacy ip6tables-nft ip6tables-legacy; do
  $t-save 2>/dev/null
done | grep -v not-KUBE-SVC | grep -E 'KUBE-|CNI-'
ls -A /etc/kubernetes /var/lib/kubelet /etc/cni/net.d 2>/dev/null | grep -v : | grep .
ip link show cni0 2>/dev/null; docker ps -q; true]]

local FOREIGN = "iptables -t nat -A PREROUTING -p tcp --dport 81 "
  .. "-m comment --comment not-KUBE-SVC -j ACCEPT"

local function bare(lab, password, node)
  return lab:ssh(node, ("echo %s | sudo -S -p '' sh -c %s"):format(password,
    "'" .. TRACES:gsub("'", "'\\''") .. "'"))
end

local function one_node(lab, inventory)
  lab:ssh("w0", "sudo " .. FOREIGN)
  local said = run("reset.lua", inventory, "--limit", "w0", "--dry-run")
  check.ok(said.summary.steps.changed > 1)
  check.contains(lab:ssh("a0", "sudo kubectl get nodes -o name"), "node/w0")
  local _, text = run("reset.lua", inventory, "--limit", "w0", "--yes", "--verify")
  check.contains(text, "/var/lib/kubelet")
  check.equal(lab:ssh("a0", "sudo kubectl get nodes -o name"), "node/m0\n")
  check.equal(bare(lab, "", "w0"), "")
  check.contains(lab:ssh("w0", "sudo iptables-save -t nat"), "not-KUBE-SVC")
  local again = run("reset.lua", inventory, "--limit", "w0", "--yes", "--verify")
  check.equal(again.summary.steps.changed, 0)
  run("site.lua", inventory)
  check.contains(lab:ssh("w0", "sudo iptables-save -t nat"), "not-KUBE-SVC")
end

test("one node, then all, and each time a cluster again; then etcd's data and packages", function()
  local dir <close> = scratch()
  local lab <close> = labs.open("reset", { "a0", "m0", "w0" })
  local inventory = dir.path .. "/inventory.yaml"
  local text = lab:run("inventory", "--cluster")
  local password = text:match 'ansible_become_password: "(.-)"'
  check.ok(sys.write_file(inventory, text))
  run("site.lua", inventory)
  one_node(lab, inventory)

  lab:ssh("a0", "sudo kubectl create configmap kept --from-literal=word=stays")
  run("reset.lua", inventory, "--yes", "--verify")
  check.equal(bare(lab, password, "m0") .. bare(lab, "", "w0"), "")
  check.equal(lab:ssh("a0", "sudo ls -A /root/.kube"), "")
  run("site.lua", inventory) -- over what etcd has kept
  check.equal(lab:ssh("a0", "sudo kubectl get configmap kept -o jsonpath={.data.word}"), "stays")
  check.equal(run("site.lua", inventory).summary.steps.changed, 0)

  run("reset.lua", inventory, "--yes", "--verify", "--extra", "reset_etcd=yes", "--extra",
    "reset_packages=yes")
  check.equal(bare(lab, password, "m0") .. bare(lab, "", "w0"), "")
  check.equal(lab:ssh("m0", "ls -d /var/lib/etcd/kubernetes /var/lib/kbrun 2>/dev/null || true"),
    "")
  check.equal(lab:ssh("m0", "dpkg-query -W kubelet docker.io etcd-server 2>/dev/null || true"), "")
end)
