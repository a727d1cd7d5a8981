local DIR = "/etc/systemd/system/kubelet.service.d"
local PATH = DIR .. "/20-kbrun.conf"
local CONFIG = "/var/lib/kubelet/config.yaml"
local me = { "user.self", { name = "root", group = "root" } }
local dir = { "file.stat", DIR, { kind = "directory", mode = 493, owner = "root", group = "root" } }
local unit = { "unit.state", "kubelet.service", { load = "loaded", active = "active",
  sub = "running", enabled = "enabled", pid = 7, needs_reload = false, drop_ins = {},
  path = "/lib/systemd/system/kubelet.service" } }
local gone = { { "file.stat", PATH, { kind = "absent" } }, { "file.digest", PATH, false }, dir, me,
  unit }

local function config(text)
  return { { "file.stat", CONFIG, { kind = "file", mode = 420, owner = "root", group = "root",
    size = #text } }, { "file.content", CONFIG, text },
    { "file.digest", CONFIG, require("kb").digest(text) },
    { "file.stat", "/var/lib/kubelet", { kind = "directory" } }, me }
end

local text = '[Service]\nEnvironment="KUBELET_EXTRA_ARGS=--node-ip=10.0.0.1 --node-labels=disk=ssd '
  .. '--v=2"\n'
local asked = { node_ip = "10.0.0.1", labels = { disk = "ssd" }, args = { v = 2 } }

return {
  { "kubelet.arguments", "writes the drop-in", given = gone, args = asked },
  { "kubelet.arguments", "is there", args = asked, same = "as asked", given = {
    { "file.stat", PATH, { kind = "file", mode = 420, owner = "root", group = "root" } },
    { "file.digest", PATH, require("kb").digest(text) }, dir, me, unit } },
  { "kubelet.arguments", "a taint that is none", args = { taints = "dedicated" }, given = gone,
    refuses = "is no taint" },
  { "kubelet.arguments", "a quote", args = { args = { x = 'a"b' } }, given = gone,
    refuses = "a quote in it" },
  { "kubelet.config", "changes a value", given = config "maxPods: 110\nkind: K\n",
    args = { { maxPods = 50 } }, title = "change " .. CONFIG },
  { "kubelet.config", "has it", given = config "maxPods: 50\n", args = { { maxPods = 50 } },
    same = "as asked" },
  { "kubelet.config", "the node has not joined", args = { { maxPods = 50 } }, given = {
    { "file.stat", CONFIG, { kind = "absent" } } }, refuses = "there is no " .. CONFIG },
}
