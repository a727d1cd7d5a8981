--- Checks before a cluster is built. All of them are made, on all hosts, and all that was found is
--- told: nothing has been touched by then.

local cluster = require "modules.cluster"
local kb = require "kb"
local nodes = require "modules.preflight.nodes"
local settings = require "modules.preflight.settings"
local suggest = require "kb.suggest"
local ways = require "modules.preflight.ways"

local M = {}

--- The names of the checks, for the variable `preflight_skip` of hosts and groups.
M.names = { "sudo", "system", "architecture", "cores", "memory", "disk", "clock", "names",
  "machine-id", "hardware-id", "address", "ports", "port-holders", "other-cluster", "etcd",
  "etcd-members", "bundle" }

local GROUPS = { "bastion", "masters", "workers" }

-- A refusal of the host; what ends the play of this one is not swallowed.
local function attempt(fn, ...)
  local ok, result = pcall(fn, ...)
  if ok then
    return result
  elseif type(result) ~= "table" or result.kind ~= "failed" and result.kind ~= "unreachable" then
    error(result, 0)
  end
  return nil, result
end

-- What a host is, asked as root, and where that is refused as who logs in. The first who asks does
-- it, for all.
local function seen(host, name)
  return kb.once(host, "preflight of " .. name, function()
    return kb.on(host, name, function(other)
      local node = { name = name, address = cluster.address(other), roles = {} }
      for _, group in ipairs(GROUPS) do
        node.roles[group] = other:in_group(group)
      end
      local root = other:as("root")
      local found, refusal = attempt(root.fact, root, "preflight.host")
      node.host = found or other:fact("preflight.host")
      if found then
        root:facts { { "preflight.marks" }, { "preflight.listeners" } }
        node.marks, node.listeners = root:fact("preflight.marks"), root:fact("preflight.listeners")
      else
        node.sudo = refusal.message
      end
      return node
    end)
  end)
end

local function everybody(host)
  local names, taken = {}, {}
  for _, group in ipairs(GROUPS) do
    for _, name in ipairs(kb.hosts(host, group)) do
      names[#names + 1] = not taken[name] and name or nil
      taken[name] = true
    end
  end
  return names
end

-- The other hosts that a host is compared with: those of the run, and all masters. One that does
-- not answer is told of by its own play.
local function others_of(host)
  local list, masters = {}, {}
  for _, name in ipairs(kb.hosts(host, "masters")) do
    masters[name] = true
  end
  for _, name in ipairs(everybody(host)) do
    if name ~= host.name and (masters[name] or kb.is_chosen(host, name)) then
      list[#list + 1] = attempt(seen, host, name)
    end
  end
  return list
end

-- Names of hosts are written to /etc/hosts later on; now it takes their addresses.
local function endpoint_of(host, c)
  local name, port = c.endpoint:match("^(.*):(%d+)$")
  for _, other in ipairs(everybody(host)) do
    if other == name then
      name = cluster.address(kb.host(host, other))
    end
  end
  return ("%s:%s"):format(name, port)
end

local function reached(host, list)
  local targets, reach = {}, {}
  for _, w in ipairs(list) do
    targets[w.from] = (targets[w.from] and targets[w.from] .. " " or "") .. w.target
  end
  for from, text in pairs(targets) do
    reach[from] = attempt(kb.on, host, from, function(other)
      return other:fact("preflight.reach", text)
    end)
  end
  return reach
end

-- The SHA-256 of the authorities in the store; nil where there is none so far.
local function authorities(c)
  local function digest(name)
    local ok, text = pcall(kb.read_file, ("%s/%s.crt"):format(c.store, name))
    return ok and kb.digest(text) or nil
  end
  return { ca = digest "ca", etcd = digest "etcd-ca" }
end

local function check_settings(c, found)
  for _, check in ipairs { settings.addresses, settings.members, settings.bundle } do
    check(c, found)
  end
end

local function skipped(host)
  local skip, known = {}, {}
  for _, name in ipairs(M.names) do
    known[name] = true
  end
  for _, name in ipairs(host:var("preflight_skip", {})) do
    if not known[name] then
      host:fail(("preflight_skip: there is no check '%s'%s"):format(tostring(name),
        suggest.hint(tostring(name), M.names)))
    end
    skip[name] = true
  end
  return skip
end

--- Make all checks of a host, and with the first one those of the settings.
-- @param host host: in a play without `become`, so that what needs no root is checked without it
-- @param c table: the cluster's settings
-- @raise kb.err of kind failed with everything that was found
function M.check(host, c)
  local findings, skip = {}, skipped(host)
  local function found(check, text)
    if not skip[check] then
      findings[#findings + 1] = ("%s: %s"):format(check, text)
    end
  end
  kb.once(host, "preflight of the settings", function()
    check_settings(c, found) -- before anything waits: they are findings of the first host
  end)
  local node, others = seen(host, host.name), others_of(host)
  c.architectures, c.authorities = settings.architectures(c), authorities(c)
  nodes.check(node, others, c, found)
  if not (node.marks and node.marks.joined) then -- the cluster itself tells of those of its nodes
    local list = ways.of(node, c, kb.hosts(host, "bastion"), endpoint_of(host, c))
    ways.check(list, reached(host, list), found)
  end
  if #findings > 0 then
    host:fail(("%d %s before the installation failed; nothing was touched"):format(#findings,
      #findings == 1 and "check" or "checks"), { evidence = table.concat(findings, "\n") })
  end
end

return M
