local function there(namespace, has)
  return { "metallb.secret", namespace, has }
end

local MAKE = "head -c 96 /dev/urandom | base64 -w 0 | kubectl --kubeconfig "
  .. "/etc/kubernetes/admin.conf --namespace lb create secret generic memberlist "
  .. "--from-file=secretkey=/dev/stdin"

return {
  { "metallb.secret", "makes it", given = { there("lb", false) }, args = { "lb" },
    title = "make the secret of MetalLB's speakers", effect = { there("lb", true) },
    actions = { { run = MAKE, fails = "the secret of MetalLB's speakers could not be made" } } },
  { "metallb.secret", "is there", given = { there("metallb-system", true) }, args = {},
    same = "have their secret" },
  { "metallb.secret", "a name that is none", args = { "lb; id" },
    refuses = "is not the name of a namespace" },
}
