local bare = { "kubeadm.node", { master = false, joined = false, half = false } }
local worker = { "kubeadm.node", { master = false, joined = true, half = false } }

return {
  { "reset.rules", "removes chains", given = { bare, { "reset.chains", 12 } }, args = {},
    title = "remove 12 chains KUBE-* and CNI-* from the packet filter",
    effect = { { "reset.chains", 0 } } },
  { "reset.rules", "has none", given = { bare, { "reset.chains", 0 } }, args = {},
    same = "there are none" },
  { "reset.rules", "is a node", given = { worker, { "reset.chains", 12 } }, args = {},
    refuses = "the host is a node" },
}
