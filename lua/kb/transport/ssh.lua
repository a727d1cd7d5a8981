--- Connections over SSH by libssh2: direct, or through bastions, whose one
-- connection carries all hosts behind them.
--
-- A transport gives `open(target) -> connection`, `connection:exec(command) ->
-- channel`, `alive` and `close`. A target is a table: name (what the user calls
-- the host), address, port (22), user, keys (list of paths), identities_only,
-- agent (a socket's path, or false), password, passphrase (strings, secrets or
-- functions), host_key (list of pinned public keys or fingerprints),
-- host_key_policy ("strict" or "accept-new"), known_hosts (list of paths),
-- host_key_alias, hash_known_hosts, family, jumps (list of targets, the first
-- hop first), proxy_command, timeouts (seconds: connect, banner, kex, auth,
-- open), keepalive (seconds), ssh_config (see kb.transport.ssh_config, which
-- fills in what is left open).
--
-- Errors name the host, the hop and the phase. Codes: EUNREACHABLE, EHOSTKEY,
-- EAUTH, EUNSUPPORTED (this libssh2 cannot speak with the server; the ssh
-- program may), ETIMEDOUT, ECLOSED, EPROTO.
local channel = require "kb.transport.channel"
local crypto = require "kb.core.crypto"
local gate = require "kb.transport.gate"
local hops = require "kb.transport.hop"
local known_hosts = require "kb.transport.known_hosts"
local ssh_config = require "kb.transport.ssh_config"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}

local TIMEOUTS = { connect = 10, banner = 15, kex = 15, auth = 20, open = 15 }

-- Connections that have not logged in yet: servers refuse many (MaxStartups),
-- and refuse those who come and go (PerSourcePenalties).
local everywhere = gate.new(50)
local PER_SERVER = 8
local servers = setmetatable({}, { __mode = "v" })

-- A server that is overrun is asked again after about so many seconds, each
-- time doubled.
local BACK_OFF, ATTEMPTS = 0.25, 7

local function server_gate(chain, i)
  local parts = {}
  for n = 1, i do
    parts[n] = ("%s:%d"):format(chain[n].address, chain[n].port)
  end
  local name = table.concat(parts, ">")
  servers[name] = servers[name] or gate.new(PER_SERVER)
  return servers[name]
end

-- Log in at a hop; a server that is overrun is tried again, later and later.
local function reach(parent, chain, i)
  local hop = chain[i]
  local delay = BACK_OFF
  local message, code
  for n = 1, ATTEMPTS do
    local session
    do
      local server <close>, why, what = server_gate(chain, i):enter()
      if not server then
        return nil, ("%s: %s"):format(hops.place(chain, i), why), what
      end
      local all <close>, late, too_late = everywhere:enter()
      if not all then
        return nil, ("%s: %s"):format(hops.place(chain, i), late), too_late
      end
      session, message, code = hops.login(parent, hop)
    end
    if session then
      return session
    elseif code ~= "EBUSY" then
      break
    end
    code = "ECLOSED"
    if n < ATTEMPTS and not task.sleep(delay * (0.5 + math.random())) then
      break
    end
    delay = delay * 2
  end
  return nil, ("%s: %s"):format(hops.place(chain, i), message), code
end

-- Connections, and those that are shared because others go through them

local Connection = {}
Connection.__index = Connection
Connection.__name = "kb.ssh_connection"

local shared = {} -- identity of the way there -> entry

-- Everything by which two connections may differ in where they lead, as whom, and in what a server
-- must prove.
local function way(chain, upto)
  local parts = {}
  for i = 1, upto do
    local hop = chain[i]
    for _, value in ipairs { hop.user, hop.address, hop.port, tostring(hop.proxy_command),
      tostring(hop.family), tostring(hop.agent), tostring(hop.host_key_policy),
      tostring(hop.host_key_alias), table.concat(hop.keys or {}, "\0"),
      table.concat(hop.host_key or {}, "\0"), table.concat(hop.known_hosts or {}, "\0") } do
      parts[#parts + 1] = value
    end
  end
  return table.concat(parts, "\n")
end

local function release(entry)
  if not entry then
    return
  end
  entry.users = entry.users - 1
  if entry.users == 0 then
    if shared[entry.key] == entry then
      shared[entry.key] = nil
    end
    if entry.session then
      entry.session:close()
    end
    release(entry.parent)
  end
end

local bastion

-- Connect to hop i; its way there is counted as used by the result.
local function through_to(chain, i)
  local parent, message, code
  if i > 1 then
    parent, message, code = bastion(chain, i - 1)
    if not parent then
      return nil, message, code
    end
  end
  local kept <close> = setmetatable({}, {
    __close = function(self)
      if not self.parent then
        release(parent)
      end
    end,
  })
  local session
  session, message, code = reach(parent, chain, i)
  if not session then
    return nil, message, code
  end
  kept.parent = parent
  return session, parent
end

-- The first who needs a bastion connects to it...
local function connect_bastion(entry, chain, i)
  local _ <close> = setmetatable({}, {
    __close = function()
      entry.settled = true
      if not entry.session and shared[entry.key] == entry then
        shared[entry.key] = nil
      end
      entry.changed:notify()
    end,
  })
  local session, parent, code = through_to(chain, i)
  if session then
    entry.session, entry.parent = session, parent
    return entry
  end
  entry.message, entry.code = parent, code
  return nil, parent, code
end

-- ... and the others wait for that.
bastion = function(chain, i)
  local key = way(chain, i)
  local entry = shared[key]
  if entry and entry.session and not entry.session:alive() then
    entry = nil
  end
  if not entry then
    entry = { key = key, users = 1, opening = gate.new(1), changed = task.condition() }
    shared[key] = entry
    return connect_bastion(entry, chain, i)
  end
  entry.users = entry.users + 1
  while not entry.settled do
    local ok, message, code = entry.changed:wait()
    if not ok then
      release(entry)
      return nil, ("%s: connect: %s"):format(hops.place(chain, i), message), code
    end
  end
  if entry.session then
    return entry
  elseif entry.message then
    return nil, entry.message:gsub("^[^:]+", chain[#chain].name or chain[#chain].address, 1),
      entry.code
  end
  return bastion(chain, i) -- the first was cancelled
end

-- Opening

local function complete(target)
  local hop = setmetatable({}, { __index = target })
  if type(target.address) ~= "string" or target.address == "" then
    error("a target needs an address", 3)
  end
  hop.port = target.port or 22
  hop.user = target.user or sys.self().user
  hop.timeouts = setmetatable({}, {
    __index = function(_, name)
      return target.timeouts and target.timeouts[name] or TIMEOUTS[name]
    end,
  })
  return hop
end

-- All hops to a target and the target itself, nothing left open.
local function chain_of(target)
  local chain = {}
  local filled, message, code = ssh_config.complete(target)
  if not filled then
    return nil, message, code
  end
  for i, jump in ipairs(filled.jumps or {}) do
    local hop = jump
    if target.jumps then
      hop, message, code = ssh_config.complete(jump)
      if not hop then
        return nil, message, code
      end
    end
    if i == 1 then -- how to get to the first may be a matter of configuration
      for _, before in ipairs(hop.jumps or {}) do
        chain[#chain + 1] = complete(before)
      end
    end
    chain[#chain + 1] = complete(hop)
  end
  chain[#chain + 1] = complete(filled)
  return chain
end

--- Connect and log in.
-- @param target table: see above
-- @return connection: exec, alive, stats, close; or nil, message, code
function M.open(target)
  local chain, why, what = chain_of(target)
  if not chain then
    return nil, why, what
  end
  local session, parent, code = through_to(chain, #chain)
  if not session then
    return nil, parent, code
  end
  local place = hops.place(chain, #chain)
  return setmetatable({
    session = session,
    parent = parent,
    place = place,
    hop = chain[#chain],
    closed_at = -math.huge, -- when a channel was
  }, Connection)
end

-- How long a server may count a session that it has closed, until it notices that
-- its command has ended.
local LINGER = 2

-- A server that allows no more sessions may do so when those that we have closed
-- are closed there too.
local function open_session(connection)
  local session = connection.session
  while true do
    local raw, message, code = session:open()
    if raw or code ~= "EREFUSED" then
      return raw, message, code
    end
    local hope = session:stats().closing > 0 or task.now() < connection.closed_at + LINGER
    if not hope or not task.sleep(0.02) then
      return nil, ("the server opens no more sessions (%s)"):format(message), code
    end
  end
end

-- Dropbear, when a command has just been ended by a signal, now and then closes the next channel
-- instead of answering, and not the one after it.
local function start(connection, command, again)
  local raw, message, code = open_session(connection)
  if not raw then
    return nil, message, code
  end
  local ok
  ok, message, code = raw:exec(command)
  if ok then
    return raw
  end
  raw:close()
  if code == "ECLOSED" and not again and connection.session:alive() then
    return start(connection, command, true)
  end
  return nil, message, code
end

--- Run a command by the user's login shell.
-- @param command string
-- @return channel: stdin, stdout, stderr, wait, close; or nil, message, code
function Connection:exec(command)
  if not self.session then
    return nil, self.place .. ": the connection is closed", "ECLOSED"
  end
  local raw, message, code = hops.phase(self.hop, "open", function()
    return start(self, command)
  end)
  if not raw then
    return nil, ("%s: %s"):format(self.place, message), code
  end
  return channel.wrap(raw, function()
    self.closed_at = task.now()
  end)
end

--- Whether the connection can still be used.
-- @return boolean, and if not, why
function Connection:alive()
  if not self.session then
    return false, "it was closed"
  end
  return self.session:alive()
end

--- Where it goes, and the host key that the server has proved to have.
-- @return table: address, port, user, host_key (a public key line; absent when it is closed)
function Connection:where()
  local blob = self.session and self.session:host_key()
  return { address = self.hop.address, port = self.hop.port, user = self.hop.user,
    host_key = blob and ("%s %s"):format(known_hosts.type(blob), crypto.base64_encode(blob)) }
end

--- What it has carried.
-- @return table: see stats of sessions in kb.core.ssh
function Connection:stats()
  return self.session and self.session:stats() or {}
end

--- Close it and what runs on it, without waiting; a bastion's connection ends
-- with the last one that goes through it.
function Connection:close()
  local session, parent = self.session, self.parent
  self.session, self.parent = nil, nil
  if session then
    session:close()
    release(parent)
  end
end

Connection.__close = Connection.close
Connection.__gc = Connection.close

return M
