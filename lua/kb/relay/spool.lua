--- The relay: one stream to it brings each blob once, and it hands them on to the nodes.
--
-- Nodes may come and go while it runs. It is fed the largest blob that any of them still wants;
-- what it has, from now or from a run before, costs no more of the operator's line.

local before = require("kb.relay.receiver").before
local frames = require "kb.relay.frames"
local program = require "kb.shell.program"
local script = require "kb.relay.script"
local task = require "kb.core.task"

local Spool = { __name = "kb.relay.spool" }
Spool.__index = Spool

local Node = { __name = "kb.relay.node" }
Node.__index = Node

local M = {}

-- So many days a blob waits in the relay's own directory for hosts that come later.
local KEEP = 6

-- What the relay's disk keeps free.
local SPARE = 64 * 1024 * 1024

-- What the relay tells, a line each.
local tells = {}

function tells.have(self, name, size)
  local hash, part = name:match("^(%x+)(.*)$")
  if part == "" or part == ".part" and not self.have[hash] then
    self.have[hash] = { size = tonumber(size), whole = part == "" }
  end
end

function tells.ready(self, zstd, free)
  self.unpacks, self.free, self.ready = zstd == "1", tonumber(free), true
end

function tells.met(self, number, kind, key, address)
  local node = self.nodes[tonumber(number)]
  if node then
    node.met = { key = key and ("%s %s"):format(kind, key), from = address }
  end
end

function tells.whole(self, hash)
  self.have[hash].whole = true
end

-- What was left from a run before may be bad; it is sent again from its beginning, once.
function tells.bad(self, hash)
  local one = self.have[hash]
  self.have[hash] = nil
  self.taken = self.taken - one.came
  if not one.anew then
    self.failed[hash] = "its content is not what its name says"
  end
end

function tells.over(self, number, status, ...)
  local node = self.nodes[tonumber(number)]
  if node then
    node.over = { status = tonumber(status), message = table.concat({ ... }, " ") }
  end
end

function tells.fail(self, ...)
  self.message = table.concat({ ... }, " ")
end

function Spool:_stir()
  self.work:notify()
  for _, node in pairs(self.nodes) do
    node.changed:notify()
  end
end

-- The blob to send next: the largest that a node wants and the relay does not have.
function Spool:_choose()
  local best
  for hash, blob in pairs(self.wanted) do
    local there = self.have[hash]
    if not (there and (there.whole or there.sent)) and not self.failed[hash]
      and (not best or before(blob, best)) then
      best = blob
    end
  end
  return best
end

function Spool:_open(blob)
  local there = self.have[blob.sha256] or { size = 0, anew = false }
  there.came = 0
  there.anew = there.size > 0
  self.have[blob.sha256] = there
  local next_frame, file = frames.of(blob, math.min(there.size, blob.size), self.unpacks)
  if next_frame then
    self.current = { blob = blob, next = next_frame, file = file }
  else
    self.failed[blob.sha256] = file
    self:_stir()
  end
end

function Spool:_frame()
  local current = self.current
  local frame, at = current.next()
  if frame then
    local there = self.have[current.blob.sha256]
    local came = at - there.size
    there.size, there.came, self.taken = at, there.came + came, self.taken + came
    self.sent = self.sent + #frame
    return frame
  end
  current.file:close()
  self.current = nil
  self.have[current.blob.sha256].sent = true
  return ("whole %s\n"):format(current.blob.sha256)
end

-- What the relay is sent: orders first, then blobs, until nobody is left who wants any.
function Spool:_next()
  while not self.over do
    local blob
    if self.orders[1] then
      return table.remove(self.orders, 1)
    elseif self.closing then
      return nil
    elseif self.current then
      return self:_frame()
    elseif self.ready then
      blob = self:_choose()
    end
    if blob then
      self:_open(blob)
    else
      self.work:wait()
    end
  end
end

function Spool:_run(remote, user)
  local take = frames.events(tells, self, function()
    self:_stir()
  end)
  return remote:run(script.spool { id = self.id, keep = tostring(KEEP) }, {
    user = user, discard = true,
    stdin = function()
      return self:_next()
    end,
    on_end = function()
      self.over = true
      self:_stir()
    end,
    on_output = function(kind, piece)
      if kind == "out" then
        take(piece)
      else
        self.said = piece:match("([^\n]+)%s*$") or self.said
      end
    end })
end

-- Who may not become root on the relay spools as who logs in there.
function Spool:_work(open)
  local _ <close> = setmetatable({}, { __close = function()
    self.over, self.gone = true, true
    self.message = self.message or "it was ended"
    if self.current then
      self.current.file:close()
      self.current = nil
    end
    self:_stir()
  end })
  local remote, user = open()
  if not remote then
    self.message = user
    return
  end
  local result, message, code = self:_run(remote, user)
  if not result and code == "EAUTH" and user then
    result, message = self:_run(remote, nil)
  end
  self.message = self.message or message or self.said
    or result and result.code ~= 0 and "exit status " .. result.code or nil
end

--- Begin to spool.
-- @param options table: open (function() -> kb.remote and who works there; or nil, message),
-- spawn (function(fn): runs it in a task that outlives the one at work)
-- @return spool
function M.open(options)
  local self = setmetatable({ id = program.nonce(), have = {}, wanted = {}, failed = {},
    nodes = {}, orders = {}, sent = 0, users = 0, numbers = 0, work = task.condition(),
    taken = 0 }, Spool) -- taken: of its disk's room, since it told of that
  options.spawn(function()
    self:_work(options.open)
  end)
  return self
end

function Spool:_order(format, ...)
  self.orders[#self.orders + 1] = format:format(...)
  self.work:notify()
end

function Spool:_file(name, content)
  self:_order("file %s %d\n%s", name, #content, content)
end

-- Bytes that its disk must take yet for what is wanted.
function Spool:_needs()
  local bytes = 0
  for hash, blob in pairs(self.wanted) do
    local there = self.have[hash]
    bytes = bytes + blob.size - (there and there.size or 0)
  end
  return bytes
end

--- Come to it as a node, to be closed when nothing more is wanted from it.
-- @param changed condition: told of what happens
-- @return node: number
function Spool:enter(changed)
  self.numbers, self.users = self.numbers + 1, self.users + 1
  local node = setmetatable({ spool = self, number = self.numbers, changed = changed }, Node)
  self.nodes[node.number] = node
  return node
end

--- Have a key made for a node. It comes into `met`: key (the public one) and from (the address of
-- the relay that the node sees).
-- @param address string: the node's
function Node:meet(address)
  self.spool:_order("meet %d %s\n", self.number, address)
end

-- Nobody else wants what only this node wanted.
local function forget(spool)
  local wanted = {}
  for _, node in pairs(spool.nodes) do
    for _, want in ipairs(node.wants or {}) do
      wanted[want.sha256] = want
    end
  end
  spool.wanted = wanted
end

--- Begin to bring to the relay what a node wants, when the relay is ready.
-- @param blobs list of {sha256, size, file}
-- @return true; or nil, message
function Node:want(blobs)
  local spool = self.spool
  self.wants = blobs
  for _, blob in ipairs(blobs) do
    spool.wanted[blob.sha256] = spool.wanted[blob.sha256] or blob
  end
  local needs, free = spool:_needs() + SPARE, spool.free - spool.taken
  if needs > free then
    self.wants = nil
    forget(spool)
    return nil, ("its disk has %d MB free, %d are needed"):format(free // 1000000,
      needs // 1000000)
  end
  spool.work:notify()
  return true
end

--- Have what a node wants sent to it.
-- @param wants list of {sha256, size, at}: what of it is not there
-- @param to table: address, port, login, host_key; or pipe, when the relay is the node itself
function Node:start(wants, to)
  local spool, lines = self.spool, {}
  for i, want in ipairs(wants) do
    lines[i] = ("%s %d %d\n"):format(want.sha256, want.size, want.at)
  end
  spool:_file(self.number .. ".list", table.concat(lines))
  if to.pipe then
    spool:_order("here %d %s\n", self.number, to.pipe)
  else
    spool:_file(self.number .. ".known", "node " .. to.host_key .. "\n")
    spool:_order("start %d %s %d %s\n", self.number, to.address, to.port, to.login)
  end
end

--- Why it will not get what it wants.
-- @return string or nil
function Node:trouble()
  local spool = self.spool
  if spool.over then
    return spool.message or "it has ended"
  elseif self.over and self.over.status ~= 0 then
    local why = self.over.message
    return why ~= "" and why or "exit status " .. self.over.status
  end
  for _, want in ipairs(self.wants or {}) do
    if spool.failed[want.sha256] then
      return ("%s: %s"):format(want.file, spool.failed[want.sha256])
    end
  end
end

--- Leave. The last one to leave ends the spool, and waits until nothing of it is left there.
function Node:close()
  local spool = self.spool
  spool.nodes[self.number] = nil
  spool.users = spool.users - 1
  forget(spool)
  if spool.users > 0 then
    return spool:_order("stop %d\n", self.number)
  end
  spool.closing = true
  spool.work:notify()
  local _ <close> = task.shield(15)
  spool:await_end()
end

Node.__close = Node.close

--- Wait until it has ended.
function Spool:await_end()
  while not self.gone and self.work:wait() do end
end

return M
