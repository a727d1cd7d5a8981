--- kubeadm: a first master, further masters, workers.

local cluster_pki = require "kb.pki.kubeadm"
local config = require "modules.kubeadm.config"
local etcd = require "modules.etcd"
local evidence = require "modules.evidence"
local files = require "modules.files"
local kb = require "kb"
local minimums = require "modules.kubeadm.minimums"
local pki = require "modules.pki"
local plan = require "modules.kubeadm.plan"

local M = {}

local KUBECONFIG = "/etc/kubernetes/admin.conf"
local INIT, JOIN = "/etc/kubernetes/kubeadm-init.yaml", "/etc/kubernetes/kubeadm-join.yaml"

-- The API servers' own copy of the authority of etcd: kubeadm may write it where it uploads
-- certificates, and the members' must not change with it.
local ETCD_CA = "/etc/etcd/pki/apiserver-etcd-ca.crt"

local function asks_node()
  return { { "kubeadm.node" } }
end

-- With the command that puts the host back, should that be the only way.
local function with_reset(host, args)
  args.reset = kb.command(host, "reset.lua", "--limit", host.name)
  return args
end

--- The first master of a cluster, or with the same authorities also a further one.
-- kubeadm goes on to its end also when we are lost; the next run waits for it. What has failed or
-- was broken off in the middle is refused, since only a reset of the node helps.
-- @param config path: kubeadm's configuration on the host
-- @param skip_phases list: phases that are left out
-- @param ignore list: checks whose failure is accepted
M.init = kb.op {
  name = "kubeadm.init",
  args = { { "config", "path", "kubeadm's configuration on the host", at = 1, required = true },
    { "skip_phases", "list", "phases that are left out", default = {} },
    { "ignore", "list", "checks whose failure is accepted", default = {} } },
  facts = asks_node,
  prepare = with_reset,
  plan = plan.init,
  evidence = plan.evidence,
}

--- Another node of a cluster: a worker, or a further master.
-- @param config path: kubeadm's configuration on the host
-- @param master boolean: with a control plane
-- @param ignore list: checks whose failure is accepted
M.join = kb.op {
  name = "kubeadm.join",
  args = { { "config", "path", "kubeadm's configuration on the host", at = 1, required = true },
    { "master", "boolean", "with a control plane", default = false },
    { "ignore", "list", "checks whose failure is accepted", default = {} } },
  facts = asks_node,
  prepare = with_reset,
  plan = plan.join,
  evidence = plan.evidence,
}

--- No node of that name in the cluster, as this master's API sees it.
-- @param name string: the node
M.node_absent = kb.op {
  name = "kubeadm.node_absent",
  args = { { "name", "string", "the node", at = 1, required = true } },
  facts = function()
    return { { "kubeadm.nodes" } }
  end,
  plan = plan.node_absent,
}

--- A host without anything that kubeadm made of it; packages, images and etcd stay.
M.absent = kb.op {
  name = "kubeadm.absent",
  args = {},
  facts = asks_node,
  plan = plan.absent,
  evidence = plan.evidence,
}

--- A token to join with, made on a master.
-- @param ttl string: how long it lives: "2h0m0s"
M.token = kb.op {
  name = "kubeadm.token",
  always = true,
  args = { { "ttl", "string", "how long it lives", at = 1, default = "2h0m0s" } },
  returns = { "token" },
  plan = plan.token,
}

--- No token of that id to join with.
-- @param id string: the part of the token before the dot, which is no secret
M.token_absent = kb.op {
  name = "kubeadm.token_absent",
  args = { { "id", "string", "the part of the token before the dot", at = 1, required = true } },
  facts = function()
    return { { "kubeadm.tokens" } }
  end,
  plan = plan.token_absent,
}

--- The certificates that masters share, uploaded to the cluster by this master, encrypted with a
-- key that further masters read them with. Kubernetes keeps them for two hours.
-- @param config path: kubeadm's configuration on the host
-- @param flag string: what the version calls it
M.certificate_key = kb.op {
  name = "kubeadm.certificate_key",
  always = true,
  args = { { "config", "path", "kubeadm's configuration on the host", at = 1, required = true },
    { "flag", { "--upload-certs", "--experimental-upload-certs" }, "what the version calls it",
      default = "--upload-certs" } },
  returns = { "key" },
  plan = plan.certificate_key,
}

local function node_of(c, host)
  for _, list in ipairs { c.masters, c.workers } do
    for _, node in ipairs(list) do
      if node.name == host.name then
        return node
      end
    end
  end
  host:fail(("%s is in neither of the groups masters and workers"):format(host.name))
end

local function store_file(host, c, file, to)
  files.file(host, { to or file.to, content = pki.text(c.store, file.name, file.suffix),
    mode = file.mode, owner = "root", group = "root" })
end

--- What a master needs of the cluster's certificates before kubeadm makes the rest: the
-- authorities and the service accounts' key, and what the API server needs to reach etcd.
-- @param host host
-- @param c table: the cluster's settings
function M.shared_certificates(host, c)
  files.directory(host, { "/etc/kubernetes/pki", mode = "0755" })
  for _, file in ipairs(cluster_pki.shared_files { etcd = "external" }) do
    store_file(host, c, file, file.name == "etcd-ca" and ETCD_CA or file.to)
  end
end

local function initialised(host, c)
  minimums.check(host, c)
  files.file(host, { INIT, content = config.init(c, node_of(c, host)), mode = "0600" })
  return M.init(host, { INIT, skip_phases = c.skip_phases, ignore = c.ignore_preflight })
end

--- Make a host the first master.
-- @param host host
-- @param c table: the cluster's settings
-- @return result of kubeadm.init
function M.first_master(host, c)
  M.shared_certificates(host, c)
  return initialised(host, c)
end

-- What the first master gives to those that join, once in a run, and only when somebody joins.
local function from_first_master(host, c, what, field, make)
  return kb.once(host, what, function()
    return kb.on(host, c.masters[1].name, function(master)
      return kb.after(make(master), function(result)
        return result[field]
      end)
    end)
  end)
end

local function token_for(host, c)
  return from_first_master(host, c, "a token to join with", "token", function(master)
    return M.token(master, { c.token_ttl })
  end)
end

local function certificate_key_for(host, c)
  return from_first_master(host, c, "a key to the uploaded certificates", "key", function(master)
    return M.certificate_key(master, { INIT, flag = c.profile.upload_certs_flag })
  end)
end

-- The first unknown of some values, of which any may be nil.
local function unknown_of(...)
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if kb.is_unknown(value) then
      return value
    end
  end
end

-- The configuration holds a token, which ends; it is written only when the host is to join.
local function join(host, c, as_master)
  minimums.check(host, c)
  local now = host:fact("kubeadm.node")
  if not (now.joined or now.running or now.half) then
    local token, hash = token_for(host, c), pki.ca_hash(c.store, "ca")
    local key = as_master and c.certificates == "upload-certs" and certificate_key_for(host, c)
      or nil
    local content = unknown_of(token, hash, key) or kb.secret(config.join(c, node_of(c, host),
      { token = kb.reveal(token), ca_hash = hash, master = as_master,
        certificate_key = kb.reveal(key) }))
    files.directory(host, { "/etc/kubernetes" })
    files.file(host, { JOIN, content = content, mode = "0600" })
  end
  return M.join(host, { JOIN, master = as_master, ignore = c.ignore_preflight })
end

--- Give a further master what it needs before its turn comes: the shared certificates, where the
-- setting `certificates` has them copied from the store (`copy`), or it is to be initialised over
-- the same authorities (`init-each`). With `upload-certs` kubeadm fetches them from the cluster.
-- @param host host
-- @param c table: the cluster's settings
function M.prepared_master(host, c)
  if c.certificates ~= "upload-certs" then
    M.shared_certificates(host, c)
  end
end

--- Make a prepared host a further master, in the way that the setting `certificates` says: it
-- joins, or with `init-each` is initialised like the first one.
-- @param host host
-- @param c table: the cluster's settings
-- @return result of kubeadm.join or kubeadm.init
function M.further_master(host, c)
  if c.certificates == "init-each" then
    return initialised(host, c)
  end
  return join(host, c, true)
end

--- Make a host a worker.
-- @param host host
-- @param c table: the cluster's settings
-- @return result of kubeadm.join
function M.worker(host, c)
  return join(host, c, false)
end

-- The node is deleted as one of the other masters sees it; those that cannot be reached are of no
-- help, and where none can, there is nobody left who would miss the node.
local function forgotten(host, c)
  for _, master in ipairs(c.masters) do
    if master.name ~= host.name then
      local ok, e = pcall(kb.on, host, master.name, function(other)
        M.node_absent(other, { host.name })
      end)
      if ok then
        return
      elseif type(e) ~= "table" or e.kind ~= "unreachable" then
        error(e, 0)
      end
    end
  end
end

--- Take a host out of the cluster: its node is deleted, as a master that is left sees it, and what
-- kubeadm made of it is reset.
-- @param host host
-- @param c table: the cluster's settings
function M.remove(host, c)
  forgotten(host, c)
  M.absent(host, {})
end

-- The last that kubeadm does to a master is to mark it as one.
local function role_gate(host, c)
  kb.gate(host, { host.name .. " has the role of a master in the cluster", within = 60,
    fact = { "kubectl.get", "/etc/kubernetes/admin.conf", "node", host.name, "" },
    holds = function(node)
      for _, label in ipairs(c.profile.labels) do
        if not node or ((node.metadata or {}).labels or {})[label] == nil then
          return false
        end
      end
      return true
    end,
    evidence = { "kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes --show-labels" } })
end

-- The API server's certificate is good for every name that it is called by.
local function names_gate(host, c)
  local node = node_of(c, host)
  local names = { node.name, node.address, (c.endpoint:gsub(":%d+$", "")),
    table.unpack(c.sans) }
  if c.minor < 18 then -- --tls-server-name came with 1.18
    return
  end
  local all, becomes = table.concat(names, " "), {}
  for _, name in ipairs(names) do
    becomes[name] = true
  end
  kb.gate(host, { ("%s serves a certificate for %s"):format(host.name, all), within = 30,
    fact = { "kubeadm.serves", node.address, all }, becomes = becomes,
    holds = function(good)
      for _, name in ipairs(names) do
        if not good[name] then
          return false
        end
      end
      return true
    end,
    evidence = { evidence.served(node.address .. ":6443") } })
end

--- The gate: this master's API answers that it is ready, with a certificate for all its names, and
-- the cluster knows it as a master.
-- @param host host
-- @param c table: the cluster's settings
function M.gate(host, c)
  kb.gate(host, { "the API of " .. host.name .. " is ready", within = 180,
    fact = { "kubeadm.api", c.profile.health }, becomes = "ok",
    holds = function(answer)
      return answer == "ok"
    end,
    evidence = { evidence.etcd(c), etcd.warnings(4), table.unpack(plan.evidence()) } })
  names_gate(host, c)
  role_gate(host, c)
end

-- These nodes are Ready, as a master sees them.
local function nodes_gate(master, names)
  local ready = {}
  for _, name in ipairs(names) do
    ready[name] = "Ready"
  end
  kb.gate(master, { ("%d nodes are Ready"):format(#names), within = 180, fact = { "kubeadm.nodes" },
    becomes = ready,
    holds = function(nodes)
      for _, name in ipairs(names) do
        if not nodes or nodes[name] ~= "Ready" then
          return false
        end
      end
      return true
    end,
    evidence = { evidence.nodes(KUBECONFIG), evidence.pods(KUBECONFIG) } })
end

-- Why a node is not Ready is known to its kubelet; what keeps it so often is its disk.
local NOT_READY = { evidence.kubelet(), "df -h /var/lib", "ls /etc/cni/net.d" }

--- The gate: the node is Ready, as a master sees it. All nodes of the run are waited for together;
-- one that does not become Ready fails by itself.
-- @param host host
-- @param c table: the cluster's settings
function M.ready(host, c)
  local names = {}
  for _, name in ipairs(kb.working(host, "masters:workers")) do
    names[#names + 1] = kb.takes_part(host, name) and name or nil
  end
  local function of_first(what, fn)
    return kb.once(host, what, function()
      return kb.on(host, c.masters[1].name, fn)
    end)
  end
  local ok, e = pcall(of_first, "nodes are ready", function(master)
    nodes_gate(master, names)
  end)
  if ok then
    return
  elseif type(e) ~= "table" or e.kind ~= "failed" then
    error(e, 0)
  end
  local nodes = of_first("nodes that are ready", function(master)
    return master:fact("kubeadm.nodes")
  end)
  if not nodes then
    error(e, 0) -- nobody knows: the API does not answer
  elseif nodes[host.name] ~= "Ready" then
    host:fail(("the node is %s after 180 s"):format(nodes[host.name] or "not there"),
      { evidence = NOT_READY })
  end
end

return M
