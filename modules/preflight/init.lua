--- Checks before a cluster is built: all of a host's findings are told at once.

local bundle = require "modules.bundle"
local M = {}

-- kubeadm's own minimum is 2 cores and 1700 MB for a master.
local MEMORY, DISK, SKEW = 900, 4000, 5

local machine_ids = {} -- id -> the host that has it

local function number(address)
  local n = 0
  for part in (address:match("^%d+%.%d+%.%d+%.%d+$") or ""):gmatch("%d+") do
    n = n << 8 | math.tointeger(tonumber(part))
  end
  return n > 0 and n or nil
end

local function range(cidr)
  local address, bits = cidr:match("^(.-)/(%d+)$")
  local n = address and number(address)
  if not n or tonumber(bits) > 32 then
    return nil
  end
  local size = 1 << (32 - tonumber(bits))
  return n // size * size, n // size * size + size - 1, tonumber(bits)
end

-- Networks that overlap, or are too small for a /24 on each node.
local function network_findings(c, found)
  local first, last, bits = range(c.pod_subnet)
  local service_first, service_last = range(c.service_subnet)
  if not first or not service_first then
    return found("networks", "pod_subnet and service_subnet must be IPv4 networks: 10.244.0.0/16")
  end
  if first <= service_last and service_first <= last then
    found("networks", ("pod_subnet %s and service_subnet %s overlap"):format(c.pod_subnet,
      c.service_subnet))
  end
  local nodes = #c.masters + #c.workers
  if bits > 24 or 1 << (24 - bits) < nodes then
    found("networks", ("pod_subnet %s has no /24 for each of %d nodes"):format(c.pod_subnet, nodes))
  end
  for _, list in ipairs { c.masters, c.workers } do
    for _, node in ipairs(list) do
      local n = number(node.address)
      if n and (n >= first and n <= last or n >= service_first and n <= service_last) then
        found("networks", ("%s's address %s is inside the pods' or services' network")
          :format(node.name, node.address))
      end
    end
  end
end

local function cluster_findings(c, found)
  network_findings(c, found)
  if #c.members % 2 == 0 then
    found("etcd", ("%d members: an even number is no safer than one less"):format(#c.members))
  end
  if c.runtime == "docker" and not c.profile.docker then
    found("runtime", ("Kubernetes %s has no docker: say runtime: containerd"):format(c.version))
  end
  local has = {}
  for _, image in ipairs(bundle.images(c.bundle)) do
    has[image.name] = true
  end
  for _, name in ipairs { "kube-apiserver", "kube-controller-manager", "kube-scheduler",
    "kube-proxy" } do
    local image = ("%s/%s:v%s"):format(c.image_repository, name, c.version)
    if not has[image] then
      found("bundle", ("%s has no image %s"):format(c.bundle, image))
    end
  end
end

local function host_findings(host, c, found)
  local now = host:fact("preflight.host")
  if not now.root then
    found("privileges", "we are not root: become, or its password, is missing")
  end
  if now.id ~= "debian" and now.id ~= "ubuntu" then
    found("system", ("%s %s: Debian or Ubuntu was expected"):format(now.id, now.version))
  end
  if now.arch ~= "x86_64" then
    found("architecture", now.arch .. ": the bundle is for x86_64")
  end
  if now.memory < MEMORY and not host:in_group("bastion") then
    found("memory", ("%d MB, at least %d are needed"):format(now.memory, MEMORY))
  end
  if now.disk < DISK then
    found("disk", ("%d MB free below /var/lib, at least %d are needed"):format(now.disk, DISK))
  end
  if now.skew > SKEW then
    found("clock", ("%d s from this machine's: certificates would not be valid"):format(now.skew))
  end
  local other = machine_ids[now.machine_id]
  if other and other ~= host.name and now.machine_id ~= "" then
    found("machine id", ("the same as %s's: a copied disk? systemd-machine-id-setup makes "
      .. "a new one"):format(other))
  end
  machine_ids[now.machine_id] = host.name
  if not host:in_group("bastion") and host:in_group("masters") and now.cores < 2
    and not table.concat(c.ignore_preflight, " "):find("NumCPU") then
    found("cores", "1 core: a master needs 2, or ignore_preflight: [NumCPU]")
  end
end

--- Check a host and, on the first one, the cluster's settings.
-- @param host host
-- @param c table: the cluster's settings
-- @raise kb.err of kind failed with all findings
function M.check(host, c)
  local findings = {}
  local function found(what, text)
    findings[#findings + 1] = ("%s: %s"):format(what, text)
  end
  if host.name == c.masters[1].name then
    cluster_findings(c, found)
  end
  host_findings(host, c, found)
  if #findings > 0 then
    host:fail(("%d checks before the installation failed"):format(#findings),
      { evidence = table.concat(findings, "\n") })
  end
end

return M
