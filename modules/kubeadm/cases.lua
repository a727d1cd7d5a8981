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
  { "kubeadm.token", "makes one", args = { "2h" }, again = false, -- every call makes a new one
    title = "make a token to join with, for 2h" },
  { "kubeadm.token", "the time is none", args = { "two hours" }, refuses = "is no duration" },
}
