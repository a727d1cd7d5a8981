local attempt = require "modules.kubeadm.attempt"

local INIT = "kubeadm init --skip-token-print --config /c --skip-phases=addon/coredns "
  .. "--ignore-preflight-errors=NumCPU,Mem"

local function node(fields)
  local now = { master = false, joined = false, half = false, running = false }
  for k, v in pairs(fields or {}) do
    now[k] = v
  end
  return { "kubeadm.node", now }
end

local bare, master = node(), node { master = true, joined = true }
local half, running = node { master = true, half = true }, node { master = true, running = true }

return {
  { "kubeadm.init", "initialises", given = { bare },
    args = { "/c", skip_phases = { "addon/coredns" }, ignore = { "NumCPU", "Mem" } },
    actions = { { run = attempt.run(INIT), shown = INIT, fails = "kubeadm failed" } } },
  { "kubeadm.init", "is a master", given = { master }, args = { "/c" }, same = "already a master" },
  { "kubeadm.init", "was broken off", given = { half }, args = { "/c" },
    prepared = { reset = "RESET" }, refuses = "broken off in the middle" },
  { "kubeadm.init", "is under way", given = { running }, args = { "/c" },
    actions = { { run = attempt.wait(), shown = "kubeadm init --skip-token-print --config /c",
      fails = "kubeadm failed" } } },
  { "kubeadm.init", "failed at its end", args = { "/c" },
    given = { node { master = true, joined = true, half = true } }, prepared = { reset = "RESET" },
    refuses = "RESET puts this node alone back" },
  { "kubeadm.join", "joins", given = { bare }, args = { "/c", master = true },
    title = "join as a master" },
  { "kubeadm.join", "has joined", given = { master }, args = { "/c" }, same = "already in" },
  { "kubeadm.join", "was broken off", given = { half }, args = { "/c" },
    prepared = { reset = "RESET" }, refuses = "broken off in the middle" },
  { "kubeadm.absent", "resets a master", given = { master }, args = {},
    title = "reset what kubeadm made: /etc/kubernetes, /var/lib/kubelet, "
      .. "the pod network" },
  { "kubeadm.absent", "resets a broken attempt", given = { half }, args = {} },
  { "kubeadm.absent", "has nothing", given = { bare }, args = {}, same = "made nothing" },
  { "kubeadm.absent", "kubeadm is at work", given = { running }, args = {},
    refuses = "kubeadm is at work" },
  { "kubeadm.absent", "has no arguments of its own", args = { etcd = true },
    refuses = "no argument 'etcd'" },
  { "kubeadm.node_absent", "deletes it", args = { "w0" }, title = "delete node w0",
    given = { { "kubeadm.nodes", { w0 = "Ready", w1 = "Ready" } } },
    effect = { { "kubeadm.nodes", { w1 = "Ready" } } } },
  { "kubeadm.node_absent", "is gone", args = { "w0" }, same = "no such node",
    given = { { "kubeadm.nodes", { w1 = "Ready" } } } },
  { "kubeadm.node_absent", "the name is none", args = { "w0; rm" }, refuses = "not the name" },
  { "kubeadm.token", "makes one", args = { "2h" }, again = false, -- every call makes a new one
    title = "make a token to join with, for 2h" },
  { "kubeadm.token", "the time is none", args = { "two hours" }, refuses = "is no duration" },
  { "kubeadm.token_absent", "deletes it", args = { "abcdef" }, title = "delete the token abcdef",
    given = { { "kubeadm.tokens", { abcdef = true, ["012345"] = true } } },
    effect = { { "kubeadm.tokens", { ["012345"] = true } } } },
  { "kubeadm.token_absent", "is gone", args = { "abcdef" }, same = "no such token",
    given = { { "kubeadm.tokens", {} } } },
  { "kubeadm.token_absent", "the id is none", args = { "abcdef.0123456789abcdef" },
    refuses = "not the id of a token" },
  { "kubeadm.certificate_key", "uploads", args = { "/c.yaml" }, again = false,
    actions = { { run = "kubeadm init phase upload-certs --upload-certs --config /c.yaml",
      private = true, fails = "kubeadm could not upload the certificates" } } },
  { "kubeadm.certificate_key", "no configuration", args = { "/c" }, refuses = "is a .yaml" },
}
