--- Blobs to many hosts, over the operator's line once.
--
-- The operator sends each blob once, in one stream, to a relay: the bastion, or another host. There
-- it goes to a directory of the relay's own, and from it, while it is still arriving, to the nodes,
-- over SSH with a key that lives for this transfer only: made on the relay, in memory, one for each
-- node, and good there for one command, from the relay's address, and for connections of the next
-- minutes. The command writes into a pipe; kbrun's own shell on the node reads it, takes only what
-- was announced, and believes only digests. What a node or the relay has already is not sent, nor
-- is the part of a blob that has come before. Where the relay cannot do it, the operator sends to
-- each host itself.
--
-- Not taken: a chain from node to node (the slowest would hold up all, and one that dies those
-- behind it), a server on the relay that nodes fetch from (bare hosts have no client for one, and
-- nodes would need a key for the bastion), the operator's agent forwarded (then root of the bastion
-- has its keys), and a meeting of all hosts before the first byte (with `serial`, limits and hosts
-- that fail nobody knows who is to come: they come and go while the relay runs).

local receiver_of = require "kb.relay.receiver"
local spool_of = require "kb.relay.spool"
local task = require "kb.core.task"

local Relay = { __name = "kb.relay" }
Relay.__index = Relay

local M = {}

--- A relay; nothing is connected yet.
-- @param options table: name (what messages call it), open (function() -> kb.remote and who works
-- there, or nil, message), spawn (function(fn): runs fn in a task that outlives its caller)
-- @return relay
function M.new(options)
  return setmetatable({ options = options, name = options.name, sent = 0 }, Relay)
end

-- A node's place at the spool, which is made when there is none or the last one is about to end.
function Relay:_enter(changed)
  while self.spool and self.spool.closing and not self.spool.gone do
    self.spool:await_end()
  end
  if not self.spool or self.spool.over then
    self.spool = spool_of.open(self.options)
  end
  return self.spool:enter(changed)
end

-- Wait for something of the relay's, unless it ends: whether it came.
local function await(at, changed, has)
  while not has() do
    if at:trouble() then
      return false
    end
    changed:wait()
  end
  return true
end

-- What the relay comes to a node with: a key and its address; neither when they are the same host.
local function meet(at, node, changed)
  if node.is_relay then
    return {}
  end
  at:meet(node.address)
  local came = await(at, changed, function()
    return at.met
  end)
  if not came then
    return nil, at:trouble()
  elseif not at.met.key or not at.met.from then
    return nil, at.met.key and "it has no way to " .. node.address or "it cannot make a key"
  end
  return at.met
end

local function fit(node)
  for _, word in ipairs { node.address, node.login } do
    if not word:find("^[%w_.:%%][%w_.:%%@-]*$") then
      return nil, ("it cannot be told of %q"):format(word)
    end
  end
  return node.is_relay or node.host_key, "the node's host key is not known to us"
end

-- Let the relay feed a receiver until either is through.
local function feed(at, receiver, node, changed)
  while not receiver.ready and not receiver.over do
    changed:wait()
  end
  if receiver.over then
    return
  end
  at:start(receiver.wants, { address = node.address, port = node.port, login = node.login,
    host_key = node.host_key, pipe = node.is_relay and receiver:pipe() })
  while not receiver.over and not at:trouble() do
    changed:wait()
  end
  return not receiver.over and at:trouble() or nil
end

-- By way of the relay: true; false and why it has to be done without; or nil, message, code.
function Relay:_hand_on(node, changed)
  local ok, why = fit(node)
  if not ok then
    return false, why
  end
  local at <close> = self:_enter(changed)
  local ready = await(at, changed, function()
    return at.spool.ready
  end)
  if not ready then
    return false, at:trouble()
  end
  local room, met, message
  room, message = at:want(node.blobs)
  if not room then
    return false, message
  end
  met, message = meet(at, node, changed)
  if not met then
    return false, message
  end
  local receiver <close> = receiver_of.start(node, met, changed)
  why = feed(at, receiver, node, changed)
  if why then
    return false, why
  elseif receiver.code then
    return nil, receiver.message, receiver.code
  end
  ok, message = receiver:outcome()
  return ok or false, message
end

local function send_once(node)
  local changed = task.condition()
  local receiver <close> = receiver_of.start(node, nil, changed)
  while not receiver.over do
    changed:wait()
  end
  local ok, message, code = receiver:outcome()
  return ok, ok and receiver.sent or message, code, receiver.spoiled
end

--- Send a node what it lacks, straight from the operator.
-- @param node table: as for deliver
-- @return true and the bytes sent; or nil, message, code
function M.send(node)
  local ok, message, code, spoiled = send_once(node)
  if not ok and spoiled then -- a part from before was bad
    ok, message, code = send_once(node)
  end
  return ok, message, code
end

--- Bring a node what it lacks. Called for each node in a task of its own, whenever it comes.
-- @param node table: name, remote (kb.remote), user (who writes there; nil: who logs in), login
-- (who logs in), address and port (as the relay reaches them), host_key (a public key line),
-- is_relay (boolean: the relay is this host), path (the directory), blobs (list of { sha256,
-- size, file }), progress (function(done, total) bytes), notice (function(text))
-- @return true; or nil, message, code
function Relay:deliver(node)
  local ok, message, code = self:_hand_on(node, task.condition())
  if ok == false then
    node.notice(("%s cannot hand on (%s): sent directly"):format(self.name, message))
    ok, message, code = M.send(node)
  end
  if ok then
    return true
  end
  return nil, message, code
end

return M
