--- Pod networks from a manifest of their makers: the same manifest, with our pod network in it.

local data = require "kb.data"
local kb = require "kb"
local yaml = require "kb.yaml"

local M = {}

local workloads = { DaemonSet = true, Deployment = true }

-- Set an environment variable of every container of a name; how many there were.
local function set_variable(documents, container_name, variable, value)
  local count = 0
  for _, document in ipairs(documents) do
    local pod = workloads[document.kind] and document.spec.template.spec
    for _, container in ipairs(pod and pod.containers or {}) do
      if container.name == container_name then
        count = count + 1
        local kept = data.list()
        for _, entry in ipairs(container.env or {}) do
          if entry.name ~= variable then
            kept[#kept + 1] = entry
          end
        end
        kept[#kept + 1] = data.map { { "name", variable }, { "value", value } }
        container.env = kept
      end
    end
  end
  return count
end

local function by_variable(container, variable)
  return function(documents, c)
    return set_variable(documents, container, variable, c.pod_subnet) > 0
      or kb.refuse(("the manifest has no container %s, which is to know %s"):format(container,
        variable))
  end
end

-- Flannel reads its network from a ConfigMap.
local function flannel(documents, c)
  for _, document in ipairs(documents) do
    local text = document.kind == "ConfigMap" and (document.data or {})["net-conf.json"]
    if text then
      local changed, count = text:gsub('("Network"%s*:%s*")[^"]*(")', "%1" .. c.pod_subnet .. "%2")
      document.data["net-conf.json"] = count > 0 and changed
        or kb.refuse("the manifest's net-conf.json names no Network")
      return true
    end
  end
  kb.refuse("the manifest has no ConfigMap with net-conf.json")
end

-- How each is told our pod network. Weave gives out addresses of its own and ignores the nodes'
-- networks, so that it must use the range which kube-proxy takes for the pods'.
local ranges = {
  weave = by_variable("weave", "IPALLOC_RANGE"),
  calico = by_variable("calico-node", "CALICO_IPV4POOL_CIDR"),
  flannel = flannel,
}

-- What nodes must let each other through to, for firewalls (the makers' documentation).
M.ports = {
  weave = "TCP 6783, UDP 6783 and 6784", flannel = "UDP 8472", calico = "TCP 179, UDP 4789",
}

--- A manifest with the cluster's pod network in it.
-- @param documents list of maps, which are changed
-- @param c table: the cluster's settings
-- @return string: YAML
-- @raise kb.err of kind failed when the manifest has no place for it
function M.text(documents, c)
  ranges[c.cni](documents, c)
  return yaml.dump_all(documents)
end

return M
