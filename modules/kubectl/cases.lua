local SUM = ("0"):rep(64)

local function asked(state, text)
  return { "kubectl.difference", "/m.yaml", SUM, "/etc/kubernetes/admin.conf", false,
    { state = state, text = text or "" } }
end

local args = { "/m.yaml", sha256 = SUM }

return {
  { "kubectl.applied", "applies what differs", given = { asked("different", "-a\n+b") },
    args = args, title = "apply /m.yaml", diff = "-a\n+b",
    actions = { { run = "kubectl --kubeconfig /etc/kubernetes/admin.conf apply -f /m.yaml",
      fails = "kubectl apply failed" } }, effect = { asked "same" } },
  { "kubectl.applied", "the file is only going to be there", given = { asked "stale" },
    args = args, title = "apply /m.yaml" },
  { "kubectl.applied", "is there", given = { asked "same" }, args = args, same = "as asked" },
  { "kubectl.applied", "a kind that it defines itself", given = { asked("unknown kind", "no X") },
    args = { "/m.yaml", sha256 = SUM, brings_kinds = true } },
  { "kubectl.applied", "a kind that nobody defines", given = { asked("unknown kind", "no X") },
    args = args, refuses = "does not know a resource" },
  { "kubectl.applied", "no API answers", given = { asked("unreachable", "connection refused") },
    args = args, refuses = "connection refused" },
  { "kubectl.applied", "no digest", args = { "/m.yaml", sha256 = "abc" },
    refuses = "64 hexadecimal digits" },
}
