--- kubeadm: a first master, further masters, workers.

local cluster_pki = require "kb.pki.kubeadm"
local config = require "modules.kubeadm.config"
local files = require "modules.files"
local kb = require "kb"
local pki = require "modules.pki"

local M = {}

local INIT, JOIN = "/etc/kubernetes/kubeadm-init.yaml", "/etc/kubernetes/kubeadm-join.yaml"

-- Six letters or digits, a dot, and sixteen.
local TOKEN = "%f[%w]" .. ("%w"):rep(6) .. "%." .. ("%w"):rep(16) .. "%f[%W]"

local function evidence()
  return { "systemctl --no-pager status kubelet | head -15",
    "journalctl -u kubelet -n 30 --no-pager",
    "docker ps -a --filter status=exited --format '{{.Names}} {{.Status}}' 2>/dev/null | head -10",
    "ss -ltnp 'sport = :6443 or sport = :10250'" }
end

local function refuse_half(now)
  if now.half then
    kb.refuse("an earlier attempt of kubeadm was broken off in the middle on this host",
      "kbrun playbooks/reset.lua --limit HOST puts it back; then run again")
  end
end

-- What is there when kubeadm has done its work. The controller gives each node its pod network
-- when it sees it.
local function joined(as_master)
  return { "kubeadm.node", { master = as_master, joined = true, half = false } }
end

local function networks_to_come(name)
  if name == "kubeadm.pod_cidr" then
    return true, kb.unknown("known after the nodes have joined")
  end
end

--- The first master of a cluster.
-- @param config path: kubeadm's configuration on the host
-- @param skip_phases list: phases that are left out
-- @param ignore list: checks whose failure is accepted
M.init = kb.op {
  name = "kubeadm.init",
  args = { { "config", "path", "kubeadm's configuration on the host", at = 1, required = true },
    { "skip_phases", "list", "phases that are left out", default = {} },
    { "ignore", "list", "checks whose failure is accepted", default = {} } },
  facts = function()
    return { { "kubeadm.node" } }
  end,
  plan = function(args, fact)
    local now = fact("kubeadm.node")
    if now.master and now.joined then
      return nil, "already a master"
    end
    refuse_half(now)
    local command = "kubeadm init --config " .. kb.quote(args.config)
    if #args.skip_phases > 0 then
      command = command .. " --skip-phases=" .. table.concat(args.skip_phases, ",")
    end
    if #args.ignore > 0 then
      command = command .. " --ignore-preflight-errors=" .. table.concat(args.ignore, ",")
    end
    return { title = "initialise the control plane", effect = { joined(true), networks_to_come },
      actions = { { run = command, fails = "kubeadm init failed" } } }
  end,
  evidence = evidence,
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
  facts = function()
    return { { "kubeadm.node" } }
  end,
  plan = function(args, fact)
    local now = fact("kubeadm.node")
    if now.joined then
      return nil, "already in the cluster"
    end
    refuse_half(now)
    local command = "kubeadm join --config " .. kb.quote(args.config)
    if #args.ignore > 0 then
      command = command .. " --ignore-preflight-errors=" .. table.concat(args.ignore, ",")
    end
    return { title = args.master and "join as a master" or "join as a worker",
      effect = { joined(args.master), networks_to_come },
      actions = { { run = command, fails = "kubeadm join failed" } } }
  end,
  evidence = evidence,
}

--- No node of that name in the cluster, as this master's API sees it.
-- @param name string: the node
M.node_absent = kb.op {
  name = "kubeadm.node_absent",
  args = { { "name", "string", "the node", at = 1, required = true } },
  facts = function()
    return { { "kubeadm.nodes" } }
  end,
  plan = function(args, fact)
    if not args.name:find("^[%w.-]+$") then
      kb.refuse(("%q is not the name of a node"):format(args.name))
    end
    local nodes = fact("kubeadm.nodes")
    if not nodes or not nodes[args.name] then
      return nil, nodes and "there is no such node" or "no API answers here"
    end
    local left = {}
    for name, status in pairs(nodes) do
      left[name] = name ~= args.name and status or nil
    end
    return { title = "delete node " .. args.name, effect = { { "kubeadm.nodes", left } },
      actions = { "kubectl --kubeconfig /etc/kubernetes/admin.conf delete node "
        .. kb.quote(args.name) } }
  end,
}

-- What kubeadm reset leaves behind and is ours: never iptables rules, never etcd's data.
local LEFT = "rm -rf /etc/cni/net.d/10-bridge.conflist /etc/cni/pod-routes "
  .. "/etc/kubernetes/kubeadm-init.yaml /etc/kubernetes/kubeadm-join.yaml /root/.kube/config; "
  .. "systemctl disable -q --now pod-routes 2>/dev/null; "
  .. "rm -f /etc/systemd/system/pod-routes.service; systemctl daemon-reload; "
  .. "ip link delete cni0 2>/dev/null; true"

--- A host without anything that kubeadm made of it; packages, images and etcd stay.
M.absent = kb.op {
  name = "kubeadm.absent",
  args = {},
  facts = function()
    return { { "kubeadm.node" } }
  end,
  plan = function(_, fact)
    local now = fact("kubeadm.node")
    if not (now.master or now.joined or now.half) then
      return nil, "kubeadm has made nothing of it"
    end
    return { title = "reset what kubeadm made: /etc/kubernetes, /var/lib/kubelet, the pod network",
      actions = { { run = "kubeadm reset -f --skip-phases=remove-etcd-member",
        fails = "kubeadm reset failed" }, LEFT },
      effect = { { "kubeadm.node", { master = false, joined = false, half = false } },
        networks_to_come } }
  end,
  evidence = evidence,
}

--- A token to join with, made on a master.
-- @param ttl string: how long it lives: "2h0m0s"
M.token = kb.op {
  name = "kubeadm.token",
  always = true,
  args = { { "ttl", "string", "how long it lives", at = 1, default = "2h0m0s" } },
  returns = { "token" },
  plan = function(args)
    if not args.ttl:find("^[%dhms]+$") then
      kb.refuse(("ttl %q is no duration such as 2h0m0s"):format(args.ttl))
    end
    return { title = "make a token to join with, for " .. args.ttl,
      actions = { "kubeadm --kubeconfig /etc/kubernetes/admin.conf token create --ttl "
        .. kb.quote(args.ttl) },
      result = function(outcomes)
        local token = outcomes[1].out:match(TOKEN) or kb.refuse("kubeadm printed no token")
        return { token = kb.secret(token) }
      end }
  end,
}

local function node_of(c, host, list)
  for _, node in ipairs(list) do
    if node.name == host.name then
      return node
    end
  end
end

--- What a master needs of the cluster's certificates before kubeadm makes the rest. The authority
-- of etcd is there already: a master is a member.
-- @param host host
-- @param c table: the cluster's settings
function M.shared_certificates(host, c)
  files.directory(host, { "/etc/kubernetes/pki", mode = "0755" })
  for _, file in ipairs(cluster_pki.shared_files { etcd = "external" }) do
    if file.name ~= "etcd-ca" then
      files.file(host, { file.to, content = pki.text(c.store, file.name, file.suffix),
        mode = file.mode, owner = "root", group = "root" })
    end
  end
end

--- Make a host the first master.
-- @param host host
-- @param c table: the cluster's settings
function M.first_master(host, c)
  M.shared_certificates(host, c)
  files.file(host, { INIT, content = config.init(c, node_of(c, host, c.masters)), mode = "0600" })
  M.init(host, { INIT, skip_phases = c.skip_phases, ignore = c.ignore_preflight })
end

-- One token for all that join in a run; made only when somebody joins.
local function token_for(host, c)
  return kb.once(host, "a token to join with", function()
    return kb.on(host, c.masters[1].name, function(master)
      local made = M.token(master, { c.token_ttl })
      return kb.after(made, function(result)
        return result.token
      end)
    end)
  end)
end

-- The configuration holds a token, which ends; it is written only when the host is to join.
local function join(host, c, node, as_master)
  if not host:fact("kubeadm.node").joined then
    local token, hash = token_for(host, c), pki.ca_hash(c.store, "ca")
    local content = kb.is_unknown(token) and token or kb.is_unknown(hash) and hash
      or kb.secret(config.join(c, node, kb.reveal(token), hash, as_master))
    files.directory(host, { "/etc/kubernetes" })
    files.file(host, { JOIN, content = content, mode = "0600" })
  end
  M.join(host, { JOIN, master = as_master, ignore = c.ignore_preflight })
end

--- Make a host a further master.
-- @param host host
-- @param c table: the cluster's settings
function M.further_master(host, c)
  M.shared_certificates(host, c)
  join(host, c, node_of(c, host, c.masters), true)
end

--- Make a host a worker.
-- @param host host
-- @param c table: the cluster's settings
function M.worker(host, c)
  join(host, c, node_of(c, host, c.workers), false)
end

--- Take a host out of the cluster: its node is deleted, as a master that is left sees it, and what
-- kubeadm made of it is reset.
-- @param host host
-- @param c table: the cluster's settings
function M.remove(host, c)
  for _, master in ipairs(c.masters) do
    if master.name ~= host.name then
      kb.on(host, master.name, function(other)
        M.node_absent(other, { host.name })
      end)
      break
    end
  end
  M.absent(host, {})
end

--- The gate: this master's API answers, and its node is known.
-- @param host host
-- @param c table: the cluster's settings
function M.gate(host, c)
  kb.gate(host, { "the API of " .. host.name .. " is ready", within = 180,
    fact = { "kubeadm.api", c.profile.health }, becomes = "ok",
    holds = function(answer)
      return answer == "ok"
    end,
    evidence = evidence() })
end

--- The gate: these nodes are Ready, as a master sees them.
-- @param host host: a master
-- @param names list of strings
function M.nodes_gate(host, names)
  local ready = {}
  for _, name in ipairs(names) do
    ready[name] = "Ready"
  end
  kb.gate(host, { ("%d nodes are Ready"):format(#names), within = 180, fact = { "kubeadm.nodes" },
    becomes = ready,
    holds = function(nodes)
      for _, name in ipairs(names) do
        if not nodes or nodes[name] ~= "Ready" then
          return false
        end
      end
      return true
    end,
    evidence = { "kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes,pods -A -o wide" } })
end

return M
