--- What is wrong with the variable `cluster`: all of it at once, each with the path of the setting.

local args = require "kb.args"
local network = require "modules.cluster.network"
local profiles = require "modules.cluster.profiles"
local schema = require "modules.cluster.schema"
local suggest = require "kb.suggest"

local M = {}

local function names_of(declared)
  local names = {}
  for i, entry in ipairs(declared) do
    names[i] = entry[1]
  end
  return names
end

local function entry_named(declared, key)
  for _, entry in ipairs(declared) do
    if entry[1] == key then
      return entry
    end
  end
end

local function joined(path, key)
  local longer = table.move(path, 1, #path, 1, {})
  longer[#longer + 1] = key
  return longer
end

local read

-- One setting; nil when it is not as declared.
local function convert(entry, value, path, found)
  local ok, result = pcall(args.check, { { entry[1], entry[2] } }, { [entry[1]] = value },
    table.concat(path, "."))
  if not ok then
    local why = result.message:match("^.-: '.-' (must .*)$") or result.message
    found(path, (why:gsub("got [%w.]+: 0x.*", "got a map or a list")))
    return nil
  end
  result = result[entry[1]]
  return entry.fields and read(entry.fields, result, path, found) or result
end

-- A map of settings, with defaults.
function read(declared, given, path, found)
  local clean = {}
  for key, value in pairs(given) do
    local entry = entry_named(declared, key)
    if entry then
      clean[key] = convert(entry, value, joined(path, key), found)
    else
      found(joined(path, key), "there is no such setting" .. suggest.hint(tostring(key),
        names_of(declared)))
    end
  end
  for _, entry in ipairs(declared) do
    local name = entry[1]
    if given[name] == nil then
      if entry.required then
        found(path, ("'%s' is missing: %s"):format(name, entry[3]))
      elseif entry.default ~= nil then
        clean[name] = convert(entry, entry.default, joined(path, name), found)
      end
    end
  end
  return clean
end

local function check_version(c, found)
  local minor = tonumber((c.version or ""):match("^1%.(%d+)%.%d+$"))
  if c.version and not minor then
    found({ "version" }, ("an exact version such as 1.20.2 was expected, got %q")
      :format(c.version))
  elseif minor and (minor < profiles.oldest or minor > profiles.newest) then
    found({ "version" }, ("%s: 1.%d to 1.%d are known"):format(c.version, profiles.oldest,
      profiles.newest))
  elseif minor then
    c.minor = math.tointeger(minor)
    c.profile = profiles.of(c.minor)
  end
end

local function check_api(c, found)
  local apis = c.profile.apis
  c.kubeadm_api = c.kubeadm_api or apis[#apis]
  for _, api in ipairs(apis) do
    if api == c.kubeadm_api then
      return
    end
  end
  found({ "kubeadm_api" }, ("kubeadm %s reads %s, not %s"):format(c.version,
    table.concat(apis, ", "), c.kubeadm_api))
end

local function check_profile(c, found)
  c.runtime = c.runtime or c.profile.runtime
  if c.runtime == "docker" and not c.profile.docker then
    found({ "runtime" }, ("Kubernetes %s has no docker; say containerd"):format(c.version))
  end
  check_api(c, found)
  if c.certificates == "upload-certs" and (not c.profile.upload_certs_flag
    or c.kubeadm_api == "v1beta1" or c.kubeadm_api == "v1alpha3") then
    found({ "certificates" }, ("kubeadm %s with %s cannot upload certificates; say copy or "
      .. "init-each"):format(c.version, c.kubeadm_api))
  end
end

local function check_endpoints(c, found)
  for _, key in ipairs { "endpoint", "public_endpoint" } do
    local text = c[key] or ""
    local port = tonumber(text:match("^[^:/]+:(%d+)$") or text:match("^%[.+%]:(%d+)$"))
    if c[key] and (not port or port < 1 or port > 65535) then
      found({ key }, ("%q is no name or address with a port, such as 10.0.0.1:6443")
        :format(c[key]))
    end
  end
  local own = c.public_endpoint and c.public_endpoint:gsub(":%d+$", "")
  for _, name in ipairs(own and c.sans or {}) do
    own = own ~= name and own or nil
  end
  if own and own ~= (c.endpoint or ""):gsub(":%d+$", "") then
    found({ "public_endpoint" }, ("%s is not in sans: the API's certificate would not be good for "
      .. "it"):format(own))
  end
end

local function check_pods(c, pods, nodes, found)
  local mask = c.node_cidr_mask_size
  if mask < 16 or mask > 30 then
    return found({ "node_cidr_mask_size" }, ("/%d: between /16 and /30 is sensible"):format(mask))
  end
  local fit = mask >= pods.bits and 1 << (mask - pods.bits) or 0
  if fit < #nodes then
    found({ "pod_subnet" }, ("%s has room for %d networks of /%d, and there are %d nodes")
      :format(c.pod_subnet, fit, mask, #nodes))
  end
end

-- Networks that overlap each other or the nodes, or are too small.
local function check_networks(c, nodes, found)
  local ranges = {}
  for _, key in ipairs { "pod_subnet", "service_subnet" } do
    local range = c[key] and network.range(c[key])
    if c[key] and not (range and range.bits and c[key]:find("/")) then
      found({ key }, ("%q is no IPv4 network such as 10.244.0.0/16"):format(c[key]))
    elseif range then
      ranges[key] = range
      local inside = {}
      for _, node in ipairs(nodes) do
        inside[#inside + 1] = network.holds(range, node.address)
          and ("%s (%s)"):format(node.name, node.address) or nil
      end
      if #inside > 0 then
        found({ key }, ("%s holds the addresses of %s"):format(c[key], table.concat(inside, ", ")))
      end
    end
  end
  local pods, services = ranges.pod_subnet, ranges.service_subnet
  if pods and services and network.overlap(pods, services) then
    found({ "pod_subnet" }, ("%s and service_subnet %s overlap"):format(c.pod_subnet,
      c.service_subnet))
  end
  if services and services.bits > 27 then
    found({ "service_subnet" }, c.service_subnet .. " is too small: at least a /27 is needed")
  end
  if pods and c.node_cidr_mask_size then
    check_pods(c, pods, nodes, found)
  end
end

local function check_metallb(c, found)
  local metallb = c.addons and c.addons.metallb
  for i, text in ipairs(metallb and metallb.addresses or {}) do
    local range, path = network.range(text), { "addons", "metallb", "addresses", i }
    if not range then
      found(path, ("%q is neither a range of addresses nor a network"):format(text))
    end
    for _, key in ipairs { "pod_subnet", "service_subnet" } do
      local other = range and c[key] and network.range(c[key])
      if other and network.overlap(range, other) then
        found(path, ("%s overlaps %s %s"):format(text, key, c[key]))
      end
    end
  end
end

local function check_etcd(c, found)
  local etcd = c.etcd or {}
  if etcd.data_dir == "/var/lib/etcd" then
    found({ "etcd", "data_dir" }, "/var/lib/etcd is kubeadm's own, and its reset empties it")
  end
  if etcd.heartbeat_ms and etcd.election_ms and etcd.election_ms < 5 * etcd.heartbeat_ms then
    found({ "etcd", "election_ms" }, ("%d is less than five heartbeats of %d ms")
      :format(etcd.election_ms, etcd.heartbeat_ms))
  end
end

--- The settings with defaults, and what is wrong with them.
-- @param given table: the variable
-- @param nodes list of {name, address}: all that are or become nodes; empty: not known
-- @return settings table (whole only when nothing is wrong), list of { path, message }
function M.read(given, nodes)
  local findings = {}
  local function found(path, message)
    findings[#findings + 1] = { path = path, message = message }
  end
  if type(given) ~= "table" then
    return {}, { { path = {}, message = "a map of settings was expected" } }
  end
  local c = read(schema.settings, given, {}, found)
  check_version(c, found)
  if c.profile then
    check_profile(c, found)
  end
  check_endpoints(c, found)
  check_networks(c, nodes, found)
  check_metallb(c, found)
  check_etcd(c, found)
  return c, findings
end

return M
