--- Blobs of a bundle on many hosts, by way of a relay.

local facts = require "modules.bundle.facts"
local relay = require "kb.relay"
local relays = require "kb.relay.run"
local script = require "kb.relay.script"

local M = {}

-- Bring blobs to a host, by a relay or straight from here.
local function deliver(host, user, by, blobs)
  local node = relays.node(host, user, { path = facts.BLOBS, blobs = blobs, relay = by,
    progress = function(done, total)
      host.run.report:progress(host.name, done, total)
    end })
  if by then
    return by:deliver(node)
  end
  return relay.send(node)
end

--- The blobs that a host has not.
-- @param wanted list of {sha256, size, file}
-- @param there table: what it has, as the fact bundle.blobs tells
-- @return list, their bytes, and what the host will have
function M.missing(wanted, there)
  local list, bytes, after = {}, 0, {}
  for sha256, size in pairs(there) do
    after[sha256] = size
  end
  for _, blob in ipairs(wanted) do
    if there[blob.sha256] ~= blob.size then
      list[#list + 1] = blob
      bytes = bytes + blob.size
      after[blob.sha256] = blob.size
    end
  end
  return list, bytes, after
end

--- What the plan needs to know of the host.
-- @param host host
-- @param args table
-- @return table: the arguments
function M.prepare(host, args)
  local by = args.relay ~= false and relays.of(host, args.relay) or nil
  args.relay_name = by and by.name
  args.deliver = function(blobs)
    return deliver(host, args.as or host.play.user, by, blobs)
  end
  return args
end

--- The facts that the plan asks.
-- @return list
function M.facts()
  return { { "bundle.blobs" }, { "relay.leftovers" } }
end

--- The plan of bundle.pushed.
-- @param args table: also relay_name and deliver, from `prepare`
-- @param fact function
-- @param blobs list: what the host is to have
-- @return change, or nil and a reason
function M.plan(args, fact, blobs)
  local list, bytes, after = M.missing(blobs, fact "bundle.blobs")
  local left = fact "relay.leftovers"
  local titles, change = {}, { actions = {}, effect = {} }
  if #left > 0 then
    titles[1] = "remove what a transfer that died has left: " .. table.concat(left, ", ")
    change.actions[1] = script.tidy()
    change.effect[1] = { "relay.leftovers", {} }
  end
  if #list > 0 then
    local way = args.relay_name and ", by way of " .. args.relay_name or ""
    titles[#titles + 1] = ("send %d blob%s, %.1f MB%s"):format(#list, #list == 1 and "" or "s",
      bytes / 1e6, way)
    table.insert(change.actions, { call = function()
      return args.deliver(list)
    end })
    table.insert(change.effect, { "bundle.blobs", after })
  end
  if #titles == 0 then
    return nil, #blobs == 0 and "it is to have none" or ("all %d blobs are there"):format(#blobs)
  end
  change.title = table.concat(titles, "; ")
  return change
end

return M
