local kb = require "kb"

local function config(name, ca, server)
  return ([[
apiVersion: v1
kind: Config
clusters:
- name: %s
  cluster:
    certificate-authority-data: %s
    server: %s
contexts:
- name: admin@%s
  context:
    cluster: %s
    user: admin-%s
current-context: admin@%s
users:
- name: admin-%s
  user:
    token: %s
]]):format(name, ca, server, name, name, name, name, name, name)
end

local me = { "user.self", { name = "op", group = "op" } }
local dir = { kind = "directory", mode = 448, owner = "op", group = "op" }

local function has(text)
  return { { "file.stat", "/h/.kube/config", { kind = text and "file" or "absent", mode = 384,
      owner = "op", group = "op", size = text and #text or nil } },
    { "file.content", "/h/.kube/config", text or false },
    { "file.digest", "/h/.kube/config", text and kb.digest(text) or false },
    { "file.stat", "/h/.kube", text and dir or { kind = "absent" } },
    { "file.stat", "/h", dir }, me }
end

local a, b = config("a", "QQ==", "https://a.example:6443"), config("b", "Qg==", "https://b.example")
local title = "merge the cluster's kubeconfig into /h/.kube/config"

return {
  { "kubeconfig.merged", "there was none", given = has(nil), title = title,
    args = { "/h/.kube/config", content = a } },
  { "kubeconfig.merged", "others stay", given = has(a), title = title,
    args = { "/h/.kube/config", content = b } },
  { "kubeconfig.merged", "is in there", given = has(a), same = "as asked",
    args = { "/h/.kube/config", content = a } },
  { "kubeconfig.merged", "the server has changed", given = has(a), title = title,
    args = { "/h/.kube/config", content = (a:gsub("a.example", "c.example")) } },
  { "kubeconfig.merged", "another cluster of that name", given = has(a),
    args = { "/h/.kube/config", content = (a:gsub("QQ==", "Qw==")) },
    refuses = "has another cluster that is called a" },
  { "kubeconfig.merged", "which may go", given = has(a), title = title,
    args = { "/h/.kube/config", content = (a:gsub("QQ==", "Qw==")), replace = true } },
  { "kubeconfig.merged", "what is there is none", given = has "a: [1", title = title,
    args = { "/h/.kube/config", content = a }, refuses = "/h/.kube/config" },
}
