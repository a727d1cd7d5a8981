--- The kubelet of a node: its arguments, its configuration, its service.

local config = require "modules.kubelet.config"
local data = require "kb.data"
local files = require "modules.files"
local evidence = require "modules.evidence"
local kb = require "kb"
local systemd = require "modules.systemd"
local yaml = require "kb.yaml"

local M = {}

local CONFIG = "/var/lib/kubelet/config.yaml"
local DROP_IN = "/etc/systemd/system/kubelet.service.d/20-kbrun.conf"

local function drop_in_args(args)
  return { "kubelet", name = "20-kbrun", content = config.drop_in(args) }
end

--- The kubelet's arguments beside those that kubeadm chooses. Labels and taints count when the node
-- is made; later they are changed in the cluster. A running kubelet takes them up when it is
-- started again: kubelet.service sees to that.
-- @param node_ip string: the address that the node is known by
-- @param labels map: the node's labels
-- @param taints list: the node's taints: "dedicated=db:NoSchedule"
-- @param args map: more arguments: name without dashes = value
M.arguments = kb.op {
  name = "kubelet.arguments",
  args = { { "node_ip", "string", "the address that the node is known by" },
    { "labels", "map", "the node's labels", default = {} },
    { "taints", "list", "the node's taints", default = {} },
    { "args", "map", "more arguments", default = {} } },
  facts = function()
    return { { "file.stat", DROP_IN }, { "file.digest", DROP_IN }, { "user.self" } }
  end,
  plan = function(args, fact)
    for _, taint in ipairs(args.taints) do
      if not taint:find("^[%w./-]+=?[%w.-]*:%a+$") then
        kb.refuse(("%q is no taint such as dedicated=db:NoSchedule"):format(taint))
      end
    end
    return kb.plan(systemd.drop_in, fact, drop_in_args(args))
  end,
}

--- Values in the kubelet's configuration, which kubeadm writes when the node joins; what is not
-- named stays.
-- @param values map: KubeletConfiguration's fields: { maxPods = 50 }
-- @param path path: where the configuration is
M.config = kb.op {
  name = "kubelet.config",
  args = { { "values", "map", "KubeletConfiguration's fields", at = 1, required = true },
    { "path", "path", "where the configuration is", default = CONFIG } },
  facts = function(args)
    return { { "file.stat", args.path }, { "file.content", args.path },
      { "file.digest", args.path }, { "user.self" } }
  end,
  plan = function(args, fact)
    local text = fact("file.stat", args.path).kind == "file" and fact("file.content", args.path)
    if not text then
      kb.refuse(("there is no %s"):format(args.path), "kubeadm writes it when the node joins")
    end
    local document, message = yaml.load(text, { name = args.path })
    if not document or data.kind(document) ~= "map" then
      kb.refuse(message or args.path .. " holds no settings")
    end
    local same = true
    for key, value in data.pairs(args.values) do
      same = same and data.equal(document[key], value)
      document[key] = value
    end
    if same then
      return nil, "all values are as asked"
    end
    return kb.plan(files.file, fact, { args.path, content = yaml.dump(document) })
  end,
}

local function literal(address)
  return (address:find("^%d+%.%d+%.%d+%.%d+$") or address:find(":", 1, true)) and address or nil
end

--- Give a node's kubelet its arguments, before kubeadm starts it.
-- @param host host
-- @param c table: the cluster's settings
function M.configured(host, c)
  for _, list in ipairs { c.masters, c.workers } do
    for _, node in ipairs(list) do
      if node.name == host.name then
        M.arguments(host, { node_ip = literal(node.address), labels = node.labels,
          taints = node.taints, args = c.kubelet.extra_args })
      end
    end
  end
end

--- The service of a node that has joined: it runs, starts at boot, and has been started after its
-- arguments and its configuration were written. A gate behind it waits until it is well.
-- @param host host
-- @param fresh boolean or nil: kubeadm has started it in this run, after writing both
function M.service(host, fresh)
  if not fresh then
    systemd.unit(host, { "kubelet", state = "running", enabled = true,
      watch = { DROP_IN, CONFIG } })
  end
  kb.gate(host, { "the kubelet is well", within = 60, fact = { "kubelet.healthy" },
    becomes = true,
    holds = function(answer)
      return answer
    end,
    evidence = { evidence.kubelet(), evidence.ports(10248, 10250) } })
end

return M
