--- containerd's files from one declaration: its configuration in the format that each version
-- reads, and what it is to know of a registry.

local data = require "kb.data"
local kb = require "kb"
local toml = require "modules.containerd.toml"

local M = {}

local MARK = "# Written whole by kbrun: what is changed here is changed back.\n"

-- Version 2 of the format is read by containerd 1.3 and later, version 3 by 2.0 and later, which
-- also converts the older one, but then its own `config dump` is the only place to see what holds.
local function format_of(version)
  local major, minor = version:match("^v?(%d+)%.(%d+)")
  major, minor = tonumber(major), tonumber(minor)
  if not major then
    kb.refuse(("containerd's version %q is none"):format(version), "such as 1.6.20")
  elseif major < 1 or major == 1 and minor < 3 then
    kb.refuse(("containerd %s reads no configuration of version 2"):format(version),
      "1.3 is the oldest that can be configured")
  end
  return major >= 2 and 3 or 2
end

local function runc(args)
  return data.map { { "runtimes", data.map { { "runc", data.map {
    { "runtime_type", "io.containerd.runc.v2" },
    { "options", data.map { { "SystemdCgroup", args.systemd_cgroup } } } } } } } }
end

local function registry(args)
  return data.map { { "config_path", args.registries } }
end

local function version_2(args)
  local cri = data.map { { "sandbox_image", args.sandbox_image }, { "containerd", runc(args) },
    { "registry", registry(args) } }
  return data.map { { "version", 2 },
    { "plugins", data.map { { "io.containerd.grpc.v1.cri", cri } } } }
end

local function version_3(args)
  local images = data.map {
    { "pinned_images", args.sandbox_image and data.map { { "sandbox", args.sandbox_image } } },
    { "registry", registry(args) } }
  return data.map { { "version", 3 }, { "plugins", data.map {
    { "io.containerd.cri.v1.images", images },
    { "io.containerd.cri.v1.runtime", data.map { { "containerd", runc(args) } } } } } }
end

--- The text of config.toml.
-- @param version string: containerd's
-- @param args table: systemd_cgroup, sandbox_image or nil, registries, extra
-- @return string; and the version of the format, an integer
function M.config(version, args)
  local format = format_of(version)
  local tree = format == 3 and version_3(args) or version_2(args)
  return MARK .. toml.encode(data.merge(tree, args.extra)), format
end

local mirror_fields = { url = "string", capabilities = "table", ca = "string", client = "table",
  skip_verify = "boolean", override_path = "boolean", header = "table" }

local function check_mirror(mirror)
  for field, value in pairs(mirror) do
    if type(value) ~= mirror_fields[field] then
      kb.refuse(("a mirror's %s must be %s"):format(tostring(field),
        mirror_fields[field] and "a " .. mirror_fields[field] or "one of url, capabilities, ca, "
        .. "client, skip_verify, override_path, header"))
    end
  end
  if not (mirror.url or ""):find("^https?://[^/]") then
    kb.refuse(("a mirror's url %q does not begin with http:// or https:// and a host"):format(
      tostring(mirror.url)))
  end
end

local function mirror_of(given)
  local mirror = type(given) == "string" and { url = given } or given
  if type(mirror) ~= "table" then
    kb.refuse("a mirror is a url, or a table with one")
  end
  check_mirror(mirror)
  local fields = data.map { { "capabilities", mirror.capabilities or { "pull", "resolve" } } }
  for field, value in data.pairs(mirror) do
    if field ~= "url" and field ~= "capabilities" then
      fields[field] = value
    end
  end
  return mirror.url, fields
end

--- The text of a registry's hosts.toml: mirrors are asked in the order given, then the registry.
-- @param args table: server or nil, mirrors
-- @return string
function M.hosts(args)
  local hosts = data.map {}
  for _, given in ipairs(args.mirrors) do
    local url, fields = mirror_of(given)
    hosts[url] = fields
  end
  return MARK .. toml.encode(data.map { { "server", args.server }, { "host", hosts } })
end

return M
