-- kubeconfigs in each other: what others have put there stays; kubectl reads the result.
local test = ...
local check = require "lib.check"
local config = require "modules.kubeconfig.config"

local function named(name, authority)
  return config.read(([[
clusters: [{name: %s, cluster: {certificate-authority-data: %s, server: "https://%s.example"}}]
contexts: [{name: "u@%s", context: {cluster: %s, user: u}}]
users: [{name: "u-%s", user: {token: secret-of-%s}}]
current-context: "u@%s"
]]):format(name, authority or name, name, name, name, name, name, name), name)
end

local function names(config_of, section)
  local list = {}
  for i, entry in ipairs(config_of[section]) do
    list[i] = entry.name
  end
  return table.concat(list, " ")
end

test("what is merged comes beside what is there, and the current context stays", function()
  local merged = config.merge(named "a", named "b", { path = "/c" })
  check.equal({ names(merged, "clusters"), names(merged, "contexts"), names(merged, "users") },
    { "a b", "u@a u@b", "u-a u-b" })
  check.equal(merged["current-context"], "u@a")
  check.equal(config.merge(named "a", named "b", { current = true })["current-context"], "u@b")
  check.equal(config.merge(config.read("", "x"), named "b", {})["current-context"], "u@b")
end)

test("what an entry has that we know nothing of stays", function()
  local there = config.read([[
apiVersion: v1
kind: Config
preferences: {colors: true}
clusters: []
users:
- name: cloud
  user: {exec: {command: cloud-login, args: [--x]}}
]], "there")
  local text = config.text(config.merge(there, named "b", {}))
  for _, words in ipairs { "colors: true", "command: cloud-login", "- --x", "secret-of-b" } do
    check.contains(text, words)
  end
end)

test("the same cluster again replaces its entries; another of its name is refused", function()
  local merged = config.merge(named "a", named "a", { path = "/c" })
  check.equal(names(merged, "clusters"), "a")
  check.raises("/c has another cluster that is called a", config.merge, named "a",
    named("a", "other"), { path = "/c" })
  check.equal(config.merge(named "a", named("a", "other"), { replace = true })
    .clusters[1].cluster["certificate-authority-data"], "other")
end)

test("another server, the same certificates; what is no kubeconfig is refused", function()
  local text = config.with_server(config.text(named "a"), "https://lb.example:6443")
  check.contains(text, "server: https://lb.example:6443")
  check.contains(text, "certificate-authority-data: a")
  check.raises("is no kubeconfig", config.read, "kind: Pod\n", "x")
  check.raises("is no kubeconfig", config.read, "- 1\n", "x")
end)
