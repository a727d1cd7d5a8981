--- A node that receives blobs: what it wants, and how far it is.

local frames = require "kb.relay.frames"
local program = require "kb.shell.program"
local script = require "kb.relay.script"
local task = require "kb.core.task"

local Receiver = { __name = "kb.relay.receiver" }
Receiver.__index = Receiver

local M = {}

-- What the node tells, a line each.
local tells = {}

function tells.want(self, hash, size, at)
  local want = { sha256 = hash, size = tonumber(size), at = tonumber(at),
    file = self.files[hash].file }
  self.wants[#self.wants + 1] = want
  self.missing[hash] = want
  self.left = self.left + want.size - want.at
end

local function tell_progress(self)
  if self.node.progress then
    self.node.progress(self.total - self.left, self.total)
  end
end

function tells.ready(self, zstd)
  self.ready, self.unpacks = true, zstd == "1"
  tell_progress(self)
end

function tells.at(self, hash, at)
  local want = self.missing[hash]
  self.left = self.left - (tonumber(at) - want.at)
  want.at = tonumber(at)
  tell_progress(self)
end

function tells.done(self, hash)
  self.missing[hash] = nil
end

-- What is bad is gone there; the next attempt begins anew.
function tells.bad(self, hash)
  self.spoiled = true
  self.message = ("the content of %s came with another digest"):format(self.files[hash].file)
end

function tells.fail(self, ...)
  self.message = table.concat({ ... }, " ")
end

-- What the node is to have, in the order in which it is sent: the largest first, so that little is
-- left to do when the last has come.
local function list_of(blobs)
  local lines, files, total = {}, {}, 0
  local sorted = table.move(blobs, 1, #blobs, 1, {})
  table.sort(sorted, M.before)
  for _, blob in ipairs(sorted) do
    if not files[blob.sha256] then
      files[blob.sha256] = blob
      total = total + blob.size
      lines[#lines + 1] = ("%s %d\n"):format(blob.sha256, blob.size)
    end
  end
  return table.concat(lines) .. ".\n", files, total
end

--- The order in which blobs are sent.
-- @param a blob
-- @param b blob
-- @return boolean
function M.before(a, b)
  if a.size ~= b.size then
    return a.size > b.size
  end
  return a.sha256 < b.sha256
end

-- The list, and when the operator sends the blobs itself, their frames.
function Receiver:_input(list)
  local text, next_frame, at = list, nil, 1
  return function()
    if text then
      local first = text
      text = nil
      return first
    elseif self.relay then
      return nil
    end
    while not self.ready and not self.stopped do
      self.changed:wait()
    end
    while not self.stopped and self.wants[at] do
      if not next_frame then
        local want = self.wants[at]
        next_frame, self.open = frames.of(want, want.at, self.unpacks)
        if not next_frame then
          local message = self.open
          self.open = nil
          return nil, message, "EIO"
        end
      end
      local frame = next_frame()
      if frame then
        self.sent = self.sent + #frame
        return frame
      end
      self.open:close()
      next_frame, at, self.open = nil, at + 1, nil
    end
  end
end

function Receiver:_run(list)
  local node, relay = self.node, self.relay
  local result, message, code = node.remote:run(script.receive { id = self.id, d = node.path,
    u = node.login, from = relay and (relay.key and "relay" or "here") or "operator",
    key = relay and relay.key and ('from="%s" %s'):format(relay.from, relay.key) or "" }, {
    user = node.user, stdin = self:_input(list), discard = true,
    on_end = function()
      self.stopped = true
      self.changed:notify()
    end,
    on_output = function(kind, piece)
      if kind == "out" then
        self.take(piece)
      else
        self.said = piece
      end
    end })
  self.over = true
  self.result, self.code = result, code
  self.message = self.message or message
  self.changed:notify()
end

--- Let a node receive. Must be closed.
-- @param node table: remote (kb.remote), user (who writes there), login (who logs in), path (the
-- directory), blobs (list of {sha256, size, file}), progress (function(done, total))
-- @param relay table or nil: key (the public key that it comes with) and from (its address), or
-- nothing in it when it is this host; absent: the operator sends
-- @param changed condition: told of what the node tells
-- @return receiver: wants (list of {sha256, size, at}), ready, missing (set), over, and once over
-- result, message, code
function M.start(node, relay, changed)
  local list, files, total = list_of(node.blobs)
  local self = setmetatable({ node = node, id = program.nonce(), files = files, total = total,
    left = 0, sent = 0, wants = {}, missing = {}, changed = changed, relay = relay }, Receiver)
  self.take = frames.events(tells, self, function()
    self.changed:notify()
  end)
  self.task = task.background(self._run, self, list)
  return self
end

--- Whether the node has all, or why not.
-- @return true; or nil, message, code
function Receiver:outcome()
  if self.result and self.result.code == 0 and not next(self.missing) then
    return true
  end
  local message = self.message or self.said and self.said:match("([^\n]+)%s*$")
    or self.result and self.result.code ~= 0 and "exit status " .. self.result.code
    or "not all has arrived"
  return nil, message, self.code or "EIO"
end

--- The path of the pipe into which a relay on the same host writes.
-- @return string
function Receiver:pipe()
  return "/dev/shm/kbrun-relay." .. self.id .. "/in"
end

--- End it, whatever has come; what it left on the node is removed.
function Receiver:close()
  local _ <close> = task.shield(10)
  self.task:cancel("the transfer is over")
  pcall(self.task.join, self.task)
  if self.open then
    self.open:close()
  end
end

Receiver.__close = Receiver.close

return M
