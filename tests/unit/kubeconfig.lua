-- kubeconfigs in each other: what others have put there stays; kubectl reads the result.
local test = ...
local check = require "lib.check"
local config = require "modules.kubeconfig.config"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"

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

test("what names files of its machine is of no use on another", function()
  local text = "kind: Config\nusers: [{name: u, user: {client-key: /k%s}}]\n"
  check.raises("/c names a file of its machine (client-key: /k)", config.portable,
    config.read(text:format "", "/c"), "/c")
  check.ok(config.portable(config.read(text:format ", client-key-data: eA==", "/c"), "/c"))
  check.ok(config.portable(named "a", "a"))
end)

local playbook = [[
local kb = require "kb"
local kubeconfig = kb.use "kubeconfig"
kb.play { "merge", hosts = "localhost", function(host)
  local dir = host.vars.dir
  kubeconfig.merged(host, { dir .. "/.kube/config", content = kubeconfig.with_server(
    kubeconfig.fetched(host, dir .. "/" .. host.vars.from), "https://lb.example:6443") })
end }
]]

-- Fetch a kubeconfig of this machine and merge it into another; what was printed, and the status.
local function merge(dir, from)
  local path = dir.path .. "/merge.lua"
  check.ok(sys.write_file(path, playbook))
  check.ok(sys.write_file(dir.path .. "/inventory.yaml", "all: {hosts: {}}\n"))
  local r = program.run { program.kbrun, path, "-i", dir.path .. "/inventory.yaml", "--json", "-e",
    "dir=" .. dir.path, "-e", "from=" .. from }
  return r.out .. r.err, r.status
end

test("a kubeconfig is fetched and merged; what was there is kept beside it", function()
  local dir <close> = scratch()
  for _, name in ipairs { "a", "b" } do
    check.ok(sys.write_file(dir.path .. "/" .. name, config.text(named(name))))
  end
  local said, status = merge(dir, "a")
  check.equal(status, 0, said)
  check.equal(said:find("secret-of-a", 1, true), nil)
  local merged = dir.path .. "/.kube/config"
  local first = check.ok(sys.read_file(merged))
  check.contains(first, "server: https://lb.example:6443")
  check.equal(#sys.list(dir.path .. "/.kube"), 1)
  said, status = merge(dir, "b")
  check.equal(status, 0, said)
  local now = config.read(check.ok(sys.read_file(merged)), merged)
  check.equal(names(now, "clusters"), "a b")
  local kept = sys.glob(merged .. ".*")
  check.equal({ #kept, sys.read_file(kept[1]), sys.stat(kept[1]).mode, sys.stat(merged).mode },
    { 1, first, 384, 384 })
  merge(dir, "b")
  check.equal(#sys.glob(merged .. ".*"), 1)
  said, status = merge(dir, "none")
  check.equal(status, 4)
  check.contains(said, "there is no kubeconfig " .. dir.path .. "/none")
end)
