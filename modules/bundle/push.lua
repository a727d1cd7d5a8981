--- Blobs of a bundle on many hosts, by way of a relay.

local facts = require "modules.bundle.facts"
local kb = require "kb"
local relay = require "kb.relay"
local relays = require "kb.relay.run"
local script = require "kb.relay.script"

local M = {}

-- So often a view is told how far a transfer is, in seconds.
local OFTEN = 1

local function duration(seconds)
  return seconds < 90 and ("%d s"):format(seconds // 1) or ("%d min"):format(seconds // 60)
end

-- Tell the views how far it is, how fast and how long it will take.
local function progress_of(host)
  local started, first, last = kb.now(), nil, 0
  return function(done, total)
    local now = kb.now()
    first = first or done
    if now - last < OFTEN and done < total then
      return
    end
    last = now
    local rate = (done - first) / math.max(now - started, 0.001)
    local left = rate > 0 and (", %s left"):format(duration((total - done) / rate)) or ""
    host.run.report:output(host.name, "out", ("%d %% of %d MB, %.1f MB/s%s\n"):format(
      total > 0 and done * 100 // total or 100, total // 1000000, rate / 1e6, left))
  end
end

-- Bring blobs to a host, by a relay or straight from here.
local function deliver(host, user, by, blobs)
  local node = relays.node(host, user, { path = facts.BLOBS, blobs = blobs, relay = by,
    progress = progress_of(host) })
  if by then
    return by:deliver(node)
  end
  return relay.send(node)
end

-- The blobs that a host has not, their bytes, and what it will have.
local function missing(wanted, there)
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
  args.login = relays.login(host)
  args.deliver = function(blobs)
    return deliver(host, args.as or host.play.user, by, blobs)
  end
  return args
end

--- The facts that the plan asks.
-- @param args table
-- @return list
function M.facts(args)
  return { { "bundle.blobs" }, { "bundle.leftovers", args.login } }
end

--- The plan of bundle.pushed.
-- @param args table: also login, relay_name and deliver, from `prepare`
-- @param fact function
-- @param blobs list: what the host is to have
-- @return change, or nil and a reason
function M.plan(args, fact, blobs)
  local list, bytes, after = missing(blobs, fact "bundle.blobs")
  local left = fact("bundle.leftovers", args.login)
  local titles, change = {}, { actions = {}, effect = {} }
  if #left > 0 then
    titles[1] = "remove what a transfer that died has left: " .. table.concat(left, ", ")
    change.actions[1] = script.tidy(args.login)
    change.effect[1] = { "bundle.leftovers", args.login, {} }
  end
  if #list > 0 then
    titles[#titles + 1] = ("send %d blobs, %.1f MB%s"):format(#list, bytes / 1e6,
      args.relay_name and ", by way of " .. args.relay_name or "")
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
