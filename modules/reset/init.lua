--- Hosts back to what they were before they became a cluster.

local apt = require "modules.apt"
local facts = require "modules.reset.facts"
local files = require "modules.files"
local kb = require "kb"
local kubeadm = require "modules.kubeadm"
local systemd = require "modules.systemd"

local M = {}

-- Exact deletions, in one transaction for each tool: rules that lead into a chain of ours, then the
-- chains. What others have written is not even read again.
local RULES = [[for tool in %s; do
  command -v "$tool-restore" >/dev/null || continue
  "$tool-save" 2>/dev/null | awk '
    function flush() { if (n) printf "%%s\n%%s%%s%%sCOMMIT\n", table, rules, flushes, ends }
    /^\*/ { table = $0; n = 0; rules = flushes = ends = "" }
    /^:(KUBE|CNI)-/ { chain = substr($1, 2); n++
      flushes = flushes "-F " chain "\n"; ends = ends "-X " chain "\n" }
    /^-A / && $2 !~ /^(KUBE|CNI)-/ && / -[jg] (KUBE|CNI)-/ { n++
      rules = rules "-D" substr($0, 3) "\n" }
    /^COMMIT/ { flush() }' | "$tool-restore" --noflush || exit
done]]

--- No chains of Kubernetes and its pod network (KUBE-*, CNI-*) in the packet filter, and no rules
-- that lead into them. All other rules stay as they are.
M.rules = kb.op {
  name = "reset.rules",
  args = {},
  facts = function()
    return { { "kubeadm.node" }, { "reset.chains" } }
  end,
  plan = function(_, fact)
    local node = fact("kubeadm.node")
    if node.joined or node.master then
      kb.refuse("the host is a node: kube-proxy would only write its rules again",
        "playbooks/reset.lua takes it out of the cluster first")
    end
    local n = fact("reset.chains")
    if n == 0 then
      return nil, "there are none"
    end
    return { title = ("remove %d chains KUBE-* and CNI-* from the packet filter"):format(n),
      actions = { { run = RULES:format(facts.TOOLS), fails = "iptables refused" } },
      effect = { { "reset.chains", 0 } } }
  end,
  evidence = function()
    return { "iptables-save | grep -cE 'KUBE-|CNI-'" }
  end,
}

local function wants(host, name)
  local wanted = host:var(name, false)
  return wanted == true or wanted == "yes" or wanted == "true"
end

local function wants_etcd(host)
  return wants(host, "reset_etcd")
end

-- What site.lua installs, and what it writes beside that. The package of etcd takes its data with
-- it when it is purged.
local PACKAGES = { "kubelet", "kubeadm", "kubectl", "kubernetes-cni", "cri-tools", "docker.io",
  "containerd", "runc", "haproxy" }
local ETCD_PACKAGES = { "etcd-server", "etcd-client" }
local WRITTEN = { "/etc/docker", "/etc/containerd", "/etc/haproxy", "/etc/sysctl.d/90-kbrun.conf",
  "/etc/modules-load.d/overlay.conf", "/etc/modules-load.d/br_netfilter.conf",
  "/etc/systemd/system/kubelet.service.d", "/var/lib/kbrun" }

-- Those of the packages that are there.
local function packages_of(host)
  local names, questions = {}, {}
  for _, list in ipairs { PACKAGES, wants_etcd(host) and ETCD_PACKAGES or {} } do
    for _, name in ipairs(list) do
      questions[#questions + 1] = { "bundle.package", name }
    end
  end
  host:facts(questions)
  for _, question in ipairs(questions) do
    names[#names + 1] = host:fact(table.unpack(question)) and question[2] or nil
  end
  return names
end

--- What there is on a host, in words: what is removed, and what stays.
-- @param host host
-- @param c table: the cluster's settings
-- @return list of strings
function M.found(host, c)
  local found, chains = host:fact("reset.found", c.etcd.data_dir), host:fact("reset.chains")
  local lines = {}
  for _, path in ipairs(found.paths) do
    lines[#lines + 1] = path
  end
  for _, name in ipairs(found.interfaces) do
    lines[#lines + 1] = "the interface " .. name
  end
  if found.pods > 0 then
    lines[#lines + 1] = ("its %d pods"):format(found.pods)
  end
  if chains > 0 then
    lines[#lines + 1] = ("%d chains KUBE-* and CNI-* of the packet filter"):format(chains)
  end
  local packages = wants(host, "reset_packages") and packages_of(host) or {}
  if #packages > 0 then
    lines[#lines + 1] = "the packages " .. table.concat(packages, ", ")
  end
  for _, path in ipairs(wants(host, "reset_packages") and WRITTEN or {}) do
    lines[#lines + 1] = host:fact("file.stat", path).kind ~= "absent" and path or nil
  end
  if found.etcd and wants_etcd(host) then
    lines[#lines + 1] = ("etcd's data in %s, %d MB"):format(c.etcd.data_dir, found.etcd)
  elseif found.etcd then
    lines.stays = ("etcd and its data in %s, %d MB (--extra reset_etcd=yes removes it)")
      :format(c.etcd.data_dir, found.etcd)
  end
  return lines
end

--- Text for the question: what will be removed, by host.
-- @param all table: host name -> what M.found gave
-- @param c table: the cluster's settings
-- @return string
function M.listing(all, c)
  local names, lines = {}, {}
  for name in pairs(all) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local list = all[name]
    lines[#lines + 1] = ("%s: %s"):format(name, #list > 0 and "removed is" or "nothing to remove")
    for _, what in ipairs(list) do
      lines[#lines + 1] = "  " .. what
    end
    lines[#lines + 1] = list.stays and "  what stays: " .. list.stays or nil
  end
  lines[#lines + 1] = "What is not named here stays: packages, images, the bundle, settings of the "
    .. "system (--extra\nreset_packages=yes removes them), all other rules of the packet filter; "
    .. "and the\ncertificates in " .. c.store .. "."
  return table.concat(lines, "\n")
end

--- Take a node out of the cluster, and remove what the cluster made of it.
-- @param host host
-- @param c table: the cluster's settings
function M.node(host, c)
  kubeadm.remove(host, c)
  M.rules(host, {})
  files.absent(host, { "/etc/kubernetes", recurse = true }) -- kubeadm leaves empty directories
  files.absent(host, { "/var/lib/kbrun/smoke" })
end

--- The packages that site.lua installs and the settings that it writes, when the variable
-- `reset_packages` says so.
-- @param host host
function M.packages(host)
  if not wants(host, "reset_packages") then
    return
  end
  local names = packages_of(host)
  if #names > 0 then
    apt.packages(host, { names, state = "absent", purge = true })
  end
  for _, path in ipairs(WRITTEN) do
    files.absent(host, { path, recurse = true })
  end
end

-- A member that loses its data while the others live breaks the cluster; all of them, or none.
local function check_all_members(host, c, all)
  for _, member in ipairs(c.members) do
    if not all[member.name] then
      host:fail(("reset_etcd removes the data of all members, and %s is not one of the hosts")
        :format(member.name), { hint = "run it for all masters, without --limit" })
    end
  end
end

--- etcd's data, when the variable `reset_etcd` says so.
-- @param host host: a member
-- @param c table: the cluster's settings
function M.etcd(host, c)
  if wants_etcd(host) and host:fact("unit.state", "etcd.service").load == "loaded" then
    systemd.unit(host, { "etcd", state = "stopped", enabled = false })
  end
  if wants_etcd(host) then
    files.absent(host, { c.etcd.data_dir, recurse = true })
    files.absent(host, { "/etc/etcd/pki", recurse = true })
  end
end

--- Refuse what must not be begun, before anybody is asked.
-- @param host host
-- @param c table: the cluster's settings
-- @param all table: host name -> what M.found gave
function M.check(host, c, all)
  if wants_etcd(host) then
    check_all_members(host, c, all)
  end
end

--- What the bastion has of the cluster.
-- @param host host
function M.bastion(host)
  files.absent(host, { "/root/.kube/config" })
  files.absent(host, { "/root/.kube/cache", recurse = true }) -- kubectl keeps it
  files.absent(host, { "/var/lib/kbrun/smoke" })
end

return M
