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
-- hop first), timeouts (seconds: connect, banner, kex, auth, open), keepalive
-- (seconds).
--
-- Errors name the host, the hop and the phase. Codes: EUNREACHABLE, EHOSTKEY,
-- EAUTH, EUNSUPPORTED (this libssh2 cannot speak with the server; the ssh
-- program may), ETIMEDOUT, ECLOSED, EPROTO.
local channel = require "kb.transport.channel"
local dial = require "kb.transport.dial"
local gate = require "kb.transport.gate"
local login = require "kb.transport.login"
local methods = require "kb.transport.methods"
local ssh = require "kb.core.ssh"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}

local TIMEOUTS = { connect = 10, banner = 15, kex = 15, auth = 20, open = 15 }
local KEEPALIVE = 15

-- aes-ctr with a separate MAC is libssh2's oldest and least troubled code, and
-- it is present in all versions; the rest follows for servers without it.
local CIPHERS = { "aes128-ctr", "aes256-ctr", "aes192-ctr", "chacha20-poly1305@openssh.com",
  "aes128-gcm@openssh.com", "aes256-gcm@openssh.com" }
local MACS = { "hmac-sha2-256", "hmac-sha2-512", "hmac-sha2-256-etm@openssh.com",
  "hmac-sha2-512-etm@openssh.com", "hmac-sha1" }

-- Connections that have not logged in yet: servers refuse many (MaxStartups),
-- and refuse those who come and go (PerSourcePenalties).
local everywhere = gate.new(50)
local PER_SERVER = 8
local servers = setmetatable({}, { __mode = "v" })

-- A server that is overrun is asked again after about so many seconds, each
-- time doubled.
local BACK_OFF, ATTEMPTS = 0.25, 7

-- How long an opening may keep others waiting before it goes to the end of the
-- queue: a bastion opens one at a time, and a dead host must not hold it up.
local PATIENCE = 1.5

-- Naming

local function where(hop)
  local address = hop.address:find ":" and ("[%s]"):format(hop.address) or hop.address
  local place = hop.port == 22 and address or ("%s:%d"):format(address, hop.port)
  if hop.name and hop.name ~= hop.address then
    return ("%s (%s)"):format(hop.name, place)
  end
  return place
end

-- "web1: hop a0 (10.0.0.1): " or "web1 (10.0.0.5) via a0: ".
local function place_of(chain, i)
  local hop, last = chain[i], chain[#chain]
  if i < #chain then
    return ("%s: bastion %s"):format(last.name or last.address, where(hop))
  elseif i > 1 then
    return ("%s via %s"):format(where(hop), chain[i - 1].name or chain[i - 1].address)
  end
  return where(hop)
end

-- One phase of getting through to a hop, under its own deadline.
local function phase(hop, name, fn)
  local seconds = hop.timeouts[name]
  local ours <const> = task.now() + seconds
  local _ <close> = task.within(seconds)
  local result, message, code = fn()
  if result then
    return result
  end
  if code == "ETIMEDOUT" and message == "timed out" then
    message = task.now() >= ours and ("no answer within %g s"):format(seconds)
      or "no answer before the deadline"
  end
  return nil, ("%s: %s"):format(name, message), code
end

-- Through to the server's port

local function connect_directly(hop)
  local stream, message, code = dial.connect(hop.address, hop.port, hop.family)
  if not stream then
    return nil, message, code == "ETIMEDOUT" and code or "EUNREACHABLE"
  end
  return { stream = stream }
end

-- One attempt of the bastion to connect; false when it must let others go first.
local function attempt(parent, hop, left)
  local pass <close>, message, code = parent.opening:enter()
  if not pass then
    return nil, message, code
  end
  local crowded = parent.opening:waiting() > 0
  local _ <close> = task.within(crowded and math.min(left, PATIENCE) or left)
  local raw
  raw, message, code = parent.session:open(hop.address, hop.port)
  return raw, message, code
end

local function connect_through(parent, hop)
  local left = hop.timeouts.connect
  while true do
    local before = task.now()
    local raw, message, code = attempt(parent, hop, left)
    if raw then
      return { channel = raw }
    elseif code == "EREFUSED" then
      return nil, ("the bastion cannot connect there: %s"):format(message), "EUNREACHABLE"
    elseif code ~= "ETIMEDOUT" then
      return nil, message, code
    end
    left = left - math.min(task.now() - before, PATIENCE)
    if left <= 0 or (task.left() or 1) <= 0 then
      return nil, ("no answer within %g s"):format(hop.timeouts.connect), "ETIMEDOUT"
    end
  end
end

-- Speaking SSH

local function new_session(hop, through)
  local session, message, code = ssh.session {
    stream = through.stream,
    channel = through.channel,
    name = hop.name or hop.address,
    methods = {
      host_key = login.host_key_methods(hop),
      cipher = methods.among("cipher", CIPHERS),
      mac = methods.among("mac", MACS),
    },
  }
  return session, message, code
end

-- What a server says instead of a version: one line of text at most.
local function refusal_of(session)
  local text = session:first():gsub("[%c\128-\255]+", " "):match "^%s*(.-)%s*$"
  return text ~= "" and not text:find "^SSH%-" and text:sub(1, 200) or nil
end

local function greet(session)
  local ok, message, code = session:greeting()
  if ok then
    return true
  end
  local said = refusal_of(session)
  if said then
    message = ("the server says %q"):format(said)
  end
  -- A server that hangs up now without a word has too much to do.
  local busy = not said or said:find "MaxStartups" or said:find "Not allowed at this time"
  return nil, message, code == "ECLOSED" and busy and "EBUSY" or code
end

local function exchange_keys(session, hop)
  local ok, message, code = session:handshake()
  if ok then
    return true
  end
  local why = code ~= "ETIMEDOUT" and methods.explain(session:first())
  if why then
    return nil, why .. "; the ssh program may have one (transport = openssh)", "EUNSUPPORTED"
  end
  return nil, message, code
end

local function speak(hop, session)
  local ok, message, code = phase(hop, "banner", function()
    return greet(session)
  end)
  if not ok then
    return nil, message, code
  end
  ok, message, code = phase(hop, "kex", function()
    return exchange_keys(session, hop)
  end)
  if not ok then
    return nil, message, code
  end
  local blob
  blob, message, code = session:host_key()
  if blob then
    ok, message, code = login.check_host_key(hop, blob)
  end
  if not blob or not ok then
    return nil, "host key: " .. message, code
  end
  return phase(hop, "auth", function()
    return login.authenticate(session, hop)
  end)
end

-- One attempt to get through to a hop and to log in there.
local function try_hop(parent, hop)
  local through, message, code
  if parent then
    through, message, code = connect_through(parent, hop)
    message = not through and "connect: " .. message or nil
  else
    through, message, code = phase(hop, "connect", function()
      return connect_directly(hop)
    end)
  end
  if not through then
    return nil, message, code
  end
  local session
  session, message, code = new_session(hop, through)
  if not session then
    return nil, message, code == "EREFUSED" and "EUNSUPPORTED" or code
  end
  local failed <close> = setmetatable({ session = session }, {
    __close = function(self)
      if self.session then
        self.session:close()
      end
    end,
  })
  local ok
  ok, message, code = speak(hop, session)
  if not ok then
    return nil, message, code
  end
  session:keepalive(hop.keepalive or KEEPALIVE)
  failed.session = nil
  return session
end

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
        return nil, ("%s: %s"):format(place_of(chain, i), why), what
      end
      local all <close>, late, too_late = everywhere:enter()
      if not all then
        return nil, ("%s: %s"):format(place_of(chain, i), late), too_late
      end
      session, message, code = try_hop(parent, hop)
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
  return nil, ("%s: %s"):format(place_of(chain, i), message), code
end

-- Connections, and those that are shared because others go through them

local Connection = {}
Connection.__index = Connection
Connection.__name = "kb.ssh_connection"

local shared = {} -- identity of the way there -> entry

-- Everything by which two connections to the same place may differ.
local function way(chain, upto)
  local parts = {}
  for i = 1, upto do
    local hop = chain[i]
    parts[#parts + 1] = ("%s@%s:%d %s %s"):format(
      hop.user, hop.address, hop.port, table.concat(hop.keys or {}, ","), tostring(hop.agent))
  end
  return table.concat(parts, " > ")
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
      return nil, ("%s: connect: %s"):format(place_of(chain, i), message), code
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

--- Connect and log in.
-- @param target table: see above
-- @return connection: exec, alive, stats, close; or nil, message, code
function M.open(target)
  local chain = {}
  for i, jump in ipairs(target.jumps or {}) do
    chain[i] = complete(jump)
  end
  chain[#chain + 1] = complete(target)
  local session, parent, code = through_to(chain, #chain)
  if not session then
    return nil, parent, code
  end
  local place = place_of(chain, #chain)
  return setmetatable({
    session = session,
    parent = parent,
    place = place,
    hop = chain[#chain],
  }, Connection)
end

local function start(self, command)
  local raw, message, code = self.session:open()
  if not raw then
    if code == "EREFUSED" then
      message = ("the server opens no more sessions (%s)"):format(message)
    end
    return nil, message, code
  end
  local ok
  ok, message, code = raw:exec(command)
  if not ok then
    raw:close()
    return nil, message, code
  end
  return raw
end

--- Run a command by the user's login shell.
-- @param command string
-- @return channel: stdin, stdout, stderr, wait, close; or nil, message, code
function Connection:exec(command)
  if not self.session then
    return nil, self.place .. ": the connection is closed", "ECLOSED"
  end
  local raw, message, code = phase(self.hop, "open", function()
    return start(self, command)
  end)
  if not raw then
    return nil, ("%s: %s"):format(self.place, message), code
  end
  return channel.wrap(raw)
end

--- Whether the connection can still be used.
-- @return boolean, and if not, why
function Connection:alive()
  if not self.session then
    return false, "it was closed"
  end
  return self.session:alive()
end

--- What it has carried.
-- @return table: bytes_in, bytes_out, channels, queued_in, queued_out
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
