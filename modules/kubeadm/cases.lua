local bare = { "kubeadm.node", { master = false, joined = false, half = false } }
local master = { "kubeadm.node", { master = true, joined = true, half = false } }
local half = { "kubeadm.node", { master = true, joined = false, half = true } }

return {
  { "kubeadm.init", "initialises", given = { bare },
    args = { "/c", skip_phases = { "addon/coredns" }, ignore = { "NumCPU", "Mem" } },
    actions = { { run = "kubeadm init --config /c --skip-phases=addon/coredns "
      .. "--ignore-preflight-errors=NumCPU,Mem", fails = "kubeadm init failed" } } },
  { "kubeadm.init", "is a master", given = { master }, args = { "/c" }, same = "already a master" },
  { "kubeadm.init", "was broken off", given = { half }, args = { "/c" },
    refuses = "broken off in the middle" },
  { "kubeadm.join", "joins", given = { bare }, args = { "/c", master = true },
    title = "join as a master" },
  { "kubeadm.join", "has joined", given = { master }, args = { "/c" }, same = "already in" },
  { "kubeadm.join", "was broken off", given = { half }, args = { "/c" },
    refuses = "broken off in the middle" },
  { "kubeadm.absent", "resets a master", given = { master }, args = {},
    title = "reset what kubeadm made: /etc/kubernetes, /var/lib/kubelet, "
      .. "the pod network" },
  { "kubeadm.absent", "resets a broken attempt", given = { half }, args = {} },
  { "kubeadm.absent", "has nothing", given = { bare }, args = {}, same = "made nothing" },
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
}
