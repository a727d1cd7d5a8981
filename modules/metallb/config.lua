--- What MetalLB is told: a ConfigMap before 0.13, resources of its own from it on.

local data = require "kb.data"
local yaml = require "kb.yaml"

local M = {}

local function number(version)
  local major, minor = version:match("^v?(%d+)%.(%d+)")
  return major and tonumber(major) * 1000 + tonumber(minor)
end

--- Whether a version reads resources of its own (IPAddressPool), not a ConfigMap.
-- @param version string: "0.13.2"
-- @return boolean
function M.has_resources(version)
  return (number(version) or 0) >= 13
end

--- Whether a version's speakers want a secret that somebody makes: 0.9 to 0.12. Older ones have
-- none, newer ones make it.
-- @param version string
-- @return boolean
function M.wants_secret(version)
  local n = number(version) or 0
  return n >= 9 and n < 13
end

local function metadata(name, namespace)
  return { "metadata", data.map { { "name", name }, { "namespace", namespace } } }
end

-- An address alone is a network of one.
local function addresses(metallb)
  local list = data.list()
  for i, text in ipairs(metallb.addresses) do
    list[i] = text:find("[/-]") and text or text .. "/32"
  end
  return list
end

local function config_map(metallb)
  local text = yaml.dump(data.map { { "address-pools", data.list { data.map {
    { "name", "default" }, { "protocol", "layer2" }, { "addresses", addresses(metallb) } } } } })
  return { data.map { { "apiVersion", "v1" }, { "kind", "ConfigMap" },
    metadata("config", metallb.namespace), { "data", data.map { { "config", text } } } } }
end

local function resources(metallb)
  local api = { "apiVersion", "metallb.io/v1beta1" }
  return {
    data.map { api, { "kind", "IPAddressPool" }, metadata("default", metallb.namespace),
      { "spec", data.map { { "addresses", addresses(metallb) }, { "autoAssign", true } } } },
    data.map { api, { "kind", "L2Advertisement" }, metadata("default", metallb.namespace),
      { "spec", data.map { { "ipAddressPools", data.list { "default" } } } } },
  }
end

--- The manifest that gives MetalLB its addresses, announced on layer 2.
-- @param metallb table: the cluster's setting addons.metallb
-- @return string: YAML
function M.pool(metallb)
  return yaml.dump_all(M.has_resources(metallb.version) and resources(metallb)
    or config_map(metallb))
end

return M
