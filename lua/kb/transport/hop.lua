--- One hop on the way to a host: from nothing, or from a bastion's session, to a
-- session that is logged in.
local dial = require "kb.transport.dial"
local login = require "kb.transport.login"
local methods = require "kb.transport.methods"
local place = require "kb.transport.place"
local proc = require "kb.core.proc"
local ssh = require "kb.core.ssh"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}

local KEEPALIVE = 15

-- aes-ctr with a separate MAC is libssh2's oldest and least troubled code, and
-- it is present in all versions; the rest follows for servers without it.
local CIPHERS = { "aes128-ctr", "aes256-ctr", "aes192-ctr", "chacha20-poly1305@openssh.com",
  "aes128-gcm@openssh.com", "aes256-gcm@openssh.com" }
local MACS = { "hmac-sha2-256", "hmac-sha2-512", "hmac-sha2-256-etm@openssh.com",
  "hmac-sha2-512-etm@openssh.com", "hmac-sha1" }

-- How long an opening may keep others waiting before it goes to the end of the
-- queue: a bastion opens one at a time, and a dead host must not hold it up.
local PATIENCE = 1.5

-- So many bytes of what a ProxyCommand said last are told.
local MOST_SAID = 500

-- Naming

--- What an error calls a hop: "web1: bastion a0 (10.0.0.1)", "web1 (10.0.0.5) via
-- a0".
-- @param chain list of targets
-- @param i integer: which of them
-- @return string
function M.place(chain, i)
  local hop, last = chain[i], chain[#chain]
  if i < #chain then
    return ("%s: bastion %s"):format(last.name or last.address, place.of(hop))
  elseif i > 1 then
    return ("%s via %s"):format(place.of(hop), chain[i - 1].name or chain[i - 1].address)
  end
  return place.of(hop)
end

--- Run one phase of getting through to a hop, under its own deadline.
-- @param hop table
-- @param name string: of its timeout
-- @param fn function: returns something, or nil, message, code
-- @return what fn returns, the message with the phase's name
function M.phase(hop, name, fn)
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

-- The programs that carry sessions, which end with them.
local carriers = setmetatable({}, { __mode = "k" })

-- What a ProxyCommand says while one logs in by it, in a file that is then removed: nobody reads
-- on later, and it may say much.
local Said = {}
Said.__index = Said

function Said:__close()
  sys.remove(self.path)
  sys.remove(self.dir)
end

function Said:text()
  return (sys.read_file(self.path) or ""):sub(-MOST_SAID):gsub("%s+$", ""):gsub("%s*\n%s*", "; ")
end

local function listen()
  local dir, message, code = sys.mkdtemp "/tmp/kbrun-proxy-"
  return dir and setmetatable({ dir = dir, path = dir .. "/said" }, Said), message, code
end

local function run_command(hop)
  local said, message, code = listen()
  if not said then
    return nil, message, code
  end
  local process, streams
  process, streams, code = proc.spawn {
    argv = { "/bin/sh", "-c", ("exec 2>%s; exec %s"):format(said.path, hop.proxy_command) },
    socket = true,
    stderr = "null",
    session = true,
  }
  if not process then
    said:__close()
    return nil, streams, code
  end
  return { stream = streams.socket, process = process, said = said }
end

local function connect_directly(hop)
  if hop.proxy_command then
    return run_command(hop)
  end
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
  if session then
    carriers[session] = through.process
  end
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
  local ok, message, code = M.phase(hop, "banner", function()
    return greet(session)
  end)
  if not ok then
    return nil, message, code
  end
  ok, message, code = M.phase(hop, "kex", function()
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
  return M.phase(hop, "auth", function()
    return login.authenticate(session, hop)
  end)
end

--- Get through to a hop and log in there: one attempt.
-- @param parent table or nil: the bastion: session, and opening (its gate)
-- @param hop table: a target, complete
-- @return session; or nil, message, code: "EBUSY" when one may try again later
function M.login(parent, hop)
  local through, message, code
  if parent then
    through, message, code = connect_through(parent, hop)
    message = not through and "connect: " .. message or nil
  else
    through, message, code = M.phase(hop, "connect", function()
      return connect_directly(hop)
    end)
  end
  if not through then
    return nil, message, code
  end
  local said <close> = through.said
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
    local text = said and said:text() or ""
    return nil, text == "" and message or ("%s; the ProxyCommand says: %s"):format(message, text),
      code
  end
  session:keepalive(hop.keepalive or KEEPALIVE)
  failed.session = nil
  return session
end

return M
