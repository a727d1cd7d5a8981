--- TCP connections to a host that may have several addresses.
local net = require "kb.core.net"
local task = require "kb.core.task"

local M = {}

-- RFC 8305: how long an attempt may take before the next address is tried too.
local STAGGER = 0.25

-- The two families in turn, beginning with that of the first address.
local function interleave(addresses)
  local first, second = {}, {}
  for _, address in ipairs(addresses) do
    local list = address.family == addresses[1].family and first or second
    list[#list + 1] = address
  end
  local mixed = {}
  for i = 1, math.max(#first, #second) do
    mixed[#mixed + 1] = first[i]
    mixed[#mixed + 1] = second[i]
  end
  return mixed
end

-- All addresses, each after a pause or at once when those before have failed.
local function race(addresses)
  local changed = task.condition()
  local won, failures, pending = nil, {}, 0
  local attempts = {}
  local function attempt(address)
    local stream, message, code = net.connect(address)
    pending = pending - 1
    if stream and not won then
      won = stream
    elseif stream then
      stream:close()
    else
      failures[#failures + 1] = { text = address.text, message = message, code = code }
    end
    changed:notify()
  end
  for _, address in ipairs(addresses) do
    local failed = #failures
    pending = pending + 1
    attempts[#attempts + 1] = task.background(attempt, address)
    local _ <close> = task.within(STAGGER)
    while not won and #failures == failed and (task.left() or 1) > 0 do
      changed:wait()
    end
    if won then
      break
    end
  end
  while not won and pending > 0 and (task.left() or 1) > 0 do
    changed:wait()
  end
  for _, other in ipairs(attempts) do
    other:cancel "another address has answered"
  end
  return won, failures
end

local function explain(failures, host)
  local first = failures[1]
  if not first then
    return nil, "no answer", "ETIMEDOUT"
  end
  local texts = {}
  for i, failure in ipairs(failures) do
    local reason = failure.message:gsub("^connect: ", "")
    texts[i] = failure.text == host and reason or ("%s: %s"):format(failure.text, reason)
  end
  return nil, table.concat(texts, "; "), first.code
end

--- Connect to a host: its addresses are tried one after the other, without much
-- waiting, and the first that answers wins.
-- @param host string: a name or an address
-- @param port integer
-- @param family string: "any" (the default), "ipv4" or "ipv6"
-- @return stream; or nil, message, code
function M.connect(host, port, family)
  local addresses, message, code = net.resolve(host, port, family)
  if not addresses then
    return nil, ("its name cannot be looked up: %s"):format(message), code
  end
  local stream, failures = race(interleave(addresses))
  if stream then
    return stream
  end
  return explain(failures, host)
end

return M
