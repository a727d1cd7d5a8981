--- Plans for what kubeadm does on a host.

local attempt = require "modules.kubeadm.attempt"
local evidence = require "modules.evidence"
local kb = require "kb"

local M = {}

local KUBECONFIG = "/etc/kubernetes/admin.conf"

-- Six letters or digits, a dot, and sixteen.
local TOKEN = "%f[%w]" .. ("%w"):rep(6) .. "%." .. ("%w"):rep(16) .. "%f[%W]"

-- The key that kubeadm encrypts uploaded certificates with: 32 bytes.
local CERTIFICATE_KEY = "%f[%x]" .. ("%x"):rep(64) .. "%f[%X]"

local BARE = { master = false, joined = false, half = false, running = false }

--- What explains a failure of kubeadm.
function M.evidence()
  return { evidence.exited(), evidence.ports(6443, 10250), evidence.kubelet(),
    evidence.certificate "/etc/kubernetes/pki/apiserver.crt" }
end

local function refuse_half(now, args)
  if now.half then
    kb.refuse("an earlier attempt of kubeadm has failed or was broken off in the middle on this "
      .. "host, and it cannot take up where it stopped",
      ("%s puts this node alone back (certificates, images and etcd stay); then run again. %s/log "
        .. "has kubeadm's last words"):format(args.reset, attempt.dir), now.says)
  end
end

-- The controller gives each node its pod network when it sees it.
local function networks_to_come(name)
  if name == "kubeadm.pod_cidrs" then
    return true, kb.unknown("known after the nodes have joined")
  end
end

local function ignoring(command, list)
  return #list == 0 and command
    or ("%s --ignore-preflight-errors=%s"):format(command, kb.quote(table.concat(list, ",")))
end

-- The change that kubeadm makes; one that an earlier run has started is waited for.
local function change_of(now, args, title, command, as_master)
  local after = { master = as_master, joined = true, half = false, running = false }
  command = ignoring(command, args.ignore)
  return { title = now.running and "wait for the kubeadm that an earlier run has started" or title,
    effect = { { "kubeadm.node", after }, networks_to_come },
    actions = { { run = now.running and attempt.wait() or attempt.run(command), shown = command,
      fails = "kubeadm failed" } } }
end

--- Plan of kubeadm.init.
function M.init(args, fact)
  local now = fact("kubeadm.node")
  if now.master and now.joined and not now.half then
    return nil, "already a master"
  end
  refuse_half(now, args)
  local command = "kubeadm init --skip-token-print --config " .. kb.quote(args.config)
  if #args.skip_phases > 0 then
    command = command .. " --skip-phases=" .. kb.quote(table.concat(args.skip_phases, ","))
  end
  return change_of(now, args, "initialise the control plane", command, true)
end

--- Plan of kubeadm.join.
function M.join(args, fact)
  local now = fact("kubeadm.node")
  if now.joined and not now.half then
    return nil, "already in the cluster"
  end
  refuse_half(now, args)
  return change_of(now, args, args.master and "join as a master" or "join as a worker",
    "kubeadm join --config " .. kb.quote(args.config), args.master)
end

--- Plan of kubeadm.node_absent.
function M.node_absent(args, fact)
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
    actions = { ("kubectl --kubeconfig %s delete node %s"):format(KUBECONFIG,
      kb.quote(args.name)) } }
end

-- Without the phase that looks for etcd's data: external etcd is none of its business. Before 1.15
-- there are no phases, and etcd's data is touched only when etcd is a pod.
local RESET = "if kubeadm reset --help 2>&1 | grep -q skip-phases; "
  .. "then kubeadm reset -f --skip-phases=remove-etcd-member; else kubeadm reset -f; fi"

-- What kubeadm reset leaves behind and is ours: never iptables rules, never etcd's data.
local LEFT = "rm -rf /etc/cni/net.d/10-bridge.conflist /etc/cni/pod-routes "
  .. "/etc/kubernetes/kubeadm-init.yaml /etc/kubernetes/kubeadm-join.yaml /root/.kube/config "
  .. attempt.dir .. "; systemctl disable -q --now pod-routes 2>/dev/null; "
  .. "rm -f /etc/systemd/system/pod-routes.service; systemctl daemon-reload; "
  .. "ip link delete cni0 2>/dev/null; true"

--- Plan of kubeadm.absent.
function M.absent(_, fact)
  local now = fact("kubeadm.node")
  if now.running then
    kb.refuse("kubeadm is at work on this host", "wait until it has ended, or stop it: "
      .. "systemctl stop kbrun-kubeadm")
  elseif not (now.master or now.joined or now.half) then
    return nil, "kubeadm has made nothing of it"
  end
  return { title = "reset what kubeadm made: /etc/kubernetes, /var/lib/kubelet, the pod network",
    actions = { { run = RESET, fails = "kubeadm reset failed" }, LEFT },
    effect = { { "kubeadm.node", BARE }, networks_to_come } }
end

--- Plan of kubeadm.token.
function M.token(args)
  if not args.ttl:find("^[%dhms]+$") then
    kb.refuse(("ttl %q is no duration such as 2h0m0s"):format(args.ttl))
  end
  return { title = "make a token to join with, for " .. args.ttl,
    actions = { { private = true, run = ("kubeadm --kubeconfig %s token create --ttl %s"):format(
      KUBECONFIG, kb.quote(args.ttl)) } },
    effect = {}, -- no fact tells tokens
    result = function(outcomes)
      local token = outcomes[1].out:match(TOKEN) or kb.refuse("kubeadm printed no token")
      return { token = kb.secret(token) }
    end }
end

--- Plan of kubeadm.token_absent.
function M.token_absent(args, fact)
  if not args.id:find("^" .. ("[%l%d]"):rep(6) .. "$") then
    kb.refuse(("%q is not the id of a token: six small letters or digits"):format(args.id))
  end
  local tokens, left = fact("kubeadm.tokens"), {}
  if not tokens or not tokens[args.id] then
    return nil, tokens and "there is no such token" or "no API answers here"
  end
  for id in pairs(tokens) do
    left[id] = id ~= args.id or nil
  end
  return { title = "delete the token " .. args.id, effect = { { "kubeadm.tokens", left } },
    actions = { ("kubeadm --kubeconfig %s token delete %s"):format(KUBECONFIG, args.id) } }
end

--- Plan of kubeadm.certificate_key.
function M.certificate_key(args)
  if not args.config:find("%.yaml$") then
    kb.refuse(("%s: kubeadm's configuration is a .yaml file"):format(args.config))
  end
  return { title = "upload the certificates that masters share, encrypted",
    actions = { { private = true, fails = "kubeadm could not upload the certificates",
      run = ("kubeadm init phase upload-certs %s --config %s"):format(args.flag,
        kb.quote(args.config)) } },
    result = function(outcomes)
      local key = outcomes[1].out:match(CERTIFICATE_KEY)
        or kb.refuse("kubeadm printed no certificate key")
      return { key = kb.secret(key) }
    end }
end

return M
