--- Checks of one host, from what it was found to be.

local M = {}

-- What a worker needs (MB); a master's minimum is in the profile of its version.
local MEMORY = 900
-- Images, packages and what runs from them; a node that has them needs room for logs only.
local DISK, DISK_LATER = 4000, 500
-- Seconds that hosts may differ: etcd and leases take more, people who compare logs do not.
local SKEW = 5
-- Certificates are valid from five minutes before they are made on.
local OPERATOR_SKEW = 290

local function ignores(c, name)
  for _, ignored in ipairs(c.ignore_preflight) do
    if ignored == name or ignored == "all" then
      return true
    end
  end
  return false
end

local function check_system(node, c, found)
  local now = node.host
  if now.id ~= "debian" and now.id ~= "ubuntu" then
    found("system", ("%s %s: Debian or Ubuntu was expected"):format(now.id, now.version))
  end
  local wanted = c.architectures
  if wanted and next(wanted) and not wanted[now.arch] then
    local names = {}
    for name in pairs(wanted) do
      names[#names + 1] = name
    end
    found("architecture", ("%s: the bundle is for %s"):format(now.arch, table.concat(names, ", ")))
  end
end

local function check_size(node, c, found)
  local now = node.host
  local memory = node.roles.masters and not ignores(c, "Mem") and c.profile.memory or MEMORY
  if (node.roles.masters or node.roles.workers) and now.memory < memory then
    found("memory", ("%d MB, at least %d are needed"):format(now.memory, memory))
  end
  if node.roles.masters and now.cores < c.profile.cores and not ignores(c, "NumCPU") then
    found("cores", ("%d: a master needs %d, or ignore_preflight: [NumCPU]"):format(now.cores,
      c.profile.cores))
  end
  local disk = (not node.marks or node.marks.joined or node.roles.bastion) and DISK_LATER or DISK
  if now.disk < disk then
    found("disk", ("%d MB free below /var/lib, at least %d are needed"):format(now.disk, disk))
  end
end

local function median(offsets)
  table.sort(offsets)
  return offsets[(#offsets + 1) // 2]
end

local function check_clock(node, others, found)
  local offsets = { node.host.offset }
  for _, other in ipairs(others) do
    offsets[#offsets + 1] = other.host.offset
  end
  local middle = median(offsets)
  local apart = node.host.offset - middle
  if math.abs(apart) > SKEW then
    found("clock", ("%.0f s %s the other hosts': certificates and leases would not be valid")
      :format(math.abs(apart), apart < 0 and "behind" or "ahead of"))
  elseif math.abs(middle) > OPERATOR_SKEW then
    found("clock", ("this machine's is %.0f s %s the hosts': certificates that it makes would not "
      .. "be valid there"):format(math.abs(middle), middle < 0 and "ahead of" or "behind"))
  end
end

local function mac_of(node)
  local interface = node.host.interfaces[node.address]
  return interface and interface.mac or ""
end

local shared = {
  { "names", "host name", function(node) return node.host.hostname end,
    "kubeadm tells nodes apart by it" },
  { "machine-id", "machine id", function(node) return node.host.machine_id end,
    "a copied disk? rm /etc/machine-id; systemd-machine-id-setup makes a new one" },
  { "hardware-id", "product_uuid", function(node) return node.marks and node.marks.uuid or "" end,
    "give the copied virtual machine one of its own" },
  { "hardware-id", "MAC address", mac_of, "give the copied virtual machine one of its own" },
}

-- What no two hosts may have alike.
local function check_identity(node, others, found)
  local label = "^[a-z0-9][a-z0-9.-]*$"
  if not node.name:find(label) or #node.name > 63 then
    found("names", ("%q is no name of a node: small letters, digits, dots and dashes")
      :format(node.name))
  end
  for _, rule in ipairs(shared) do
    local check, what, value_of, advice = table.unpack(rule)
    for _, other in ipairs(others) do
      if value_of(node) ~= "" and value_of(node) == value_of(other) then
        found(check, ("the %s %s is %s's, too: %s"):format(what, value_of(node), other.name,
          advice))
      end
    end
  end
end

-- etcd and the API listen on the node's address; one that a cloud translates is not the node's.
local function check_address(node, found)
  local any = next(node.host.interfaces)
  if any and not node.roles.bastion and node.address:find("^[%d.]+$")
    and not node.host.interfaces[node.address] then
    local own = {}
    for address, interface in pairs(node.host.interfaces) do
      if interface.name ~= "lo" and not address:find("^fe80:") then
        own[#own + 1] = address
      end
    end
    table.sort(own)
    found("address", ("%s is on none of its interfaces, which have %s: say node_address"):format(
      node.address, table.concat(own, ", ")))
  end
end

-- Ports of each role, and the names of those who may hold them.
local OURS = {
  masters = { [6443] = "kube-apiserver", [2379] = "etcd", [2380] = "etcd", [10250] = "kubelet",
    [10257] = "kube-controller", [10259] = "kube-scheduler" },
  workers = { [10250] = "kubelet" },
}

local function check_listeners(node, c, found)
  local wanted = {}
  for role, ports in pairs(OURS) do
    for port, name in pairs(node.roles[role] and ports or {}) do
      wanted[#wanted + 1] = { port = port, name = name }
    end
  end
  if node.roles.bastion then
    local port = math.tointeger(tonumber(c.endpoint:match(":(%d+)$")))
    wanted[#wanted + 1] = port and { port = port, name = "haproxy" } or nil
  end
  table.sort(wanted, function(a, b)
    return a.port < b.port
  end)
  for _, want in ipairs(wanted) do
    local holder = node.listeners[want.port]
    if holder and holder.name:sub(1, 15) ~= want.name
      and not (holder.name == "haproxy" and node.roles.bastion) then
      found("port-holders", ("%d is held by %s (pid %d): %s needs it"):format(want.port,
        holder.name, holder.pid, want.name))
    end
  end
end

-- What an earlier cluster left: its certificates, its data.
local function check_history(node, c, found)
  local marks, known = node.marks, c.authorities
  if marks.authority and marks.authority ~= known.ca then
    found("other-cluster", "it belongs to another cluster: /etc/kubernetes/pki/ca.crt is not the "
      .. "authority in " .. c.store .. "; playbooks/reset.lua makes the host bare")
  end
  for _, dir in ipairs(marks.data) do
    local own = marks.etcd_authority and marks.etcd_authority == known.etcd
    if node.roles.masters and not own then
      found("etcd", ("%s holds the data of an etcd that is not this cluster's; if nobody needs it: "
        .. "playbooks/reset.lua --extra reset_etcd=yes"):format(dir))
    end
  end
end

--- All checks of one host.
-- @param node table: name, address, roles (set of group names), host, marks, listeners (facts; the
-- last two are nil when we cannot be root there), sudo (why we cannot, or nil)
-- @param others list of nodes: the other hosts of the cluster, as far as they are known
-- @param c table: the cluster's settings, and architectures, authorities
-- @param found function(check, text)
function M.check(node, others, c, found)
  if node.sudo then
    found("sudo", node.sudo)
  end
  check_system(node, c, found)
  check_size(node, c, found)
  check_clock(node, others, found)
  check_identity(node, others, found)
  check_address(node, found)
  if node.listeners then
    check_listeners(node, c, found)
  end
  if node.marks then
    check_history(node, c, found)
  end
end

return M
