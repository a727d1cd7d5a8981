--- OpenSSH's configuration, as `ssh -G` understands it: what a target leaves open
-- is taken from there. Without the ssh program, or a configuration of the user's
-- or the site's own, targets stay as they are.
local gate = require "kb.transport.gate"
local identity = require "kb.transport.identity"
local proc = require "kb.core.proc"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}

-- `Match exec` may run anything; this is enough for what is sensible.
local SECONDS = 10

-- A chain of jumps that comes from configuration is no longer than this.
local MOST_HOPS = 8

local KILL = 9

-- So many processes at a time: plays begin with all hosts at once.
local asking = gate.new(16)

local answers = {} -- arguments -> settings

local function read_all(stream)
  local parts = {}
  for part in function()
    return stream:read()
  end do
    parts[#parts + 1] = part
  end
  return table.concat(parts)
end

local function parse(text)
  local settings = {}
  for key, value in text:gmatch "([^\n ]+) ([^\n]*)" do
    settings[key] = settings[key] or {}
    table.insert(settings[key], value)
  end
  return settings
end

-- How ssh ended, when it did not end well and said nothing.
local function why(process, signal, code)
  if code then
    process:kill(KILL, true) -- with what it waits for
  end
  return code and signal or signal and "ended by signal " .. signal or "no reason given"
end

local function ask(argv)
  local pass <close>, late = asking:enter()
  if not pass then
    return nil, ("%s: %s"):format(table.concat(argv, " "), late)
  end
  local _ <close> = task.within(SECONDS)
  local process, streams, code = proc.spawn { argv = argv, stdin = "null", stderr = "pipe",
    session = true }
  if not process and code == "ENOENT" then
    return false -- no ssh here
  elseif not process then
    return nil, ("%s: %s"):format(table.concat(argv, " "), streams)
  end
  local text, errors = read_all(streams.stdout), read_all(streams.stderr):gsub("%s+$", "")
  streams.stdout:close()
  streams.stderr:close()
  local status, signal
  status, signal, code = process:wait()
  if status ~= 0 then
    return nil, ("%s: %s"):format(table.concat(argv, " "),
      errors ~= "" and errors or why(process, signal, code))
  end
  return parse(text)
end

local function has_configuration()
  return sys.stat(identity.expand "~/.ssh/config") ~= nil
    or #sys.glob "/etc/ssh/ssh_config.d/*.conf" > 0
end

local function settings_for(target)
  if target.ssh_config == false or (not target.ssh_config and not has_configuration()) then
    return false
  end
  local argv = { "ssh", "-G", "-T" }
  local function add(option, value)
    if value then
      argv[#argv + 1] = option
      argv[#argv + 1] = tostring(value)
    end
  end
  add("-F", target.ssh_config)
  add("-l", target.user)
  add("-p", target.port)
  add("--", target.address)
  local key = table.concat(argv, "\0")
  if answers[key] == nil then
    local settings, message = ask(argv)
    if settings == nil then
      return nil, message, "EINVAL"
    end
    answers[key] = settings
  end
  return answers[key]
end

--- Forget what ssh has said, so that it is asked again.
function M.forget()
  answers = {}
end

local function first(settings, key)
  local value = settings[key] and settings[key][1]
  return value ~= "none" and value or nil
end

-- Without a setting, ssh lists the files that it tries by default.
local function keys_of(settings)
  local keys = {}
  for _, path in ipairs(settings.identityfile or {}) do
    if not path:find "^~/%.ssh/id_[%w_]+$" and path ~= "none" then
      keys[#keys + 1] = path
    end
  end
  return #keys > 0 and keys or nil
end

local function agent_of(settings)
  local value = (settings.identityagent or {})[1]
  if value == "none" then
    return false
  elseif not value or value == "SSH_AUTH_SOCK" then
    return nil
  end
  local variable = value:match "^%${?([%w_]+)}?$"
  return variable and sys.getenv(variable) or not variable and identity.expand(value) or nil
end

-- New keys are written to the first, so a user's file must be there also when it is to be none.
local function known_hosts_of(settings)
  local paths = {}
  for _, key in ipairs { "userknownhostsfile", "globalknownhostsfile" } do
    for path in ((settings[key] or {})[1] or ""):gmatch "%S+" do
      paths[#paths + 1] = path == "none" and "/dev/null" or path
    end
  end
  return #paths > 0 and paths or nil
end

local POLICIES = { ["accept-new"] = "accept-new", ["false"] = "accept-new", no = "accept-new",
  off = "accept-new" }
local FAMILIES = { inet = "ipv4", inet6 = "ipv6" }

local function timeouts_of(settings, target)
  local seconds = tonumber(first(settings, "connecttimeout"))
  if not seconds or seconds <= 0 or target.timeouts and target.timeouts.connect then
    return target.timeouts
  end
  local timeouts = { connect = seconds }
  for name, value in pairs(target.timeouts or {}) do
    timeouts[name] = value
  end
  return timeouts
end

local function command_of(settings, target)
  local command = first(settings, "proxycommand")
  local values = { h = first(settings, "hostname"), n = target.address, p = first(settings, "port"),
    r = first(settings, "user"), ["%"] = "%" }
  return command and command:gsub("%%(.)", values) or nil
end

-- What the target leaves open, from the settings.
local function fill(target, settings)
  local filled = { timeouts = timeouts_of(settings, target) }
  local alive = tonumber(first(settings, "serveraliveinterval")) or 0
  local offered = {
    port = tonumber(first(settings, "port")),
    user = first(settings, "user"),
    keys = keys_of(settings),
    agent = agent_of(settings),
    identities_only = first(settings, "identitiesonly") == "yes" or nil,
    known_hosts = known_hosts_of(settings),
    host_key_policy = POLICIES[first(settings, "stricthostkeychecking")],
    host_key_alias = first(settings, "hostkeyalias"),
    hash_known_hosts = first(settings, "hashknownhosts") == "yes" or nil,
    family = FAMILIES[first(settings, "addressfamily")],
    keepalive = alive > 0 and alive or nil,
    proxy_command = command_of(settings, target),
  }
  for key, value in pairs(target) do
    filled[key] = filled[key] or value
  end
  for key, value in pairs(offered) do
    if filled[key] == nil then
      filled[key] = value
    end
  end
  filled.address = first(settings, "hostname") or target.address
  filled.name = target.name or target.address
  return filled
end

-- "user@host:port" or "ssh://user@host:port", host in brackets if it has colons.
local function parse_hop(text, target)
  text = text:gsub("^ssh://", "")
  local user, rest = text:match "^(.-)@([^@]*)$"
  rest = rest or text
  local host, port = rest:match "^%[(.-)%]:?(%d*)$"
  if not host then
    host, port = rest:match "^([^:]+):?(%d*)$"
  end
  if not host then
    return nil, ("ProxyJump %q is no host"):format(text)
  end
  return { address = host, user = user, port = tonumber(port), ssh_config = target.ssh_config,
    timeouts = target.timeouts, passphrase = target.passphrase }
end

local complete

local function jumps_of(text, target, depth)
  local jumps = {}
  for part in text:gmatch "[^,%s]+" do
    local hop, message, code = parse_hop(part, target)
    if hop then
      hop, message, code = complete(hop, depth + 1)
    end
    if not hop then
      return nil, message, code or "EINVAL"
    end
    -- Only the first hop may have jumps of its own; the others come after it.
    if #jumps == 0 then
      table.move(hop.jumps or {}, 1, #(hop.jumps or {}), 1, jumps)
    end
    hop.jumps = nil
    jumps[#jumps + 1] = hop
  end
  return jumps
end

complete = function(target, depth)
  local settings, message, code = settings_for(target)
  if settings == nil then
    return nil, message, code
  elseif not settings then
    return target
  end
  local filled = fill(target, settings)
  local jump = first(settings, "proxyjump")
  if not target.jumps and jump then
    if depth >= MOST_HOPS then
      return nil, ("%s: its ProxyJump goes in a circle"):format(target.address), "EINVAL"
    end
    filled.jumps, message, code = jumps_of(jump, target, depth)
    if not filled.jumps then
      return nil, ("%s: %s"):format(filled.name, message), code
    end
  end
  return filled
end

--- Fill in what a target leaves open: HostName, Port, User, IdentityFile,
-- IdentitiesOnly, IdentityAgent, ProxyJump, ProxyCommand, UserKnownHostsFile,
-- GlobalKnownHostsFile, StrictHostKeyChecking, HostKeyAlias, HashKnownHosts,
-- ConnectTimeout, AddressFamily, ServerAliveInterval.
-- @param target table: see kb.transport.ssh; ssh_config is a file to read in
-- place of the user's, or false for none
-- @return target: the same, or a new one; or nil, message, code
function M.complete(target)
  return complete(target, 0)
end

return M
