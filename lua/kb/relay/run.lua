--- The relays of a run: by which host a host of a play is sent blobs.

local err = require "kb.err"
local machine = require "kb.machine"
local relay = require "kb.relay"

local M = {}

-- The bastion that the inventory knows no more of than that it is on the way.
local function stranger(run, name, jumps)
  if not run.machines[name] then
    local settings = setmetatable({ jumps = table.move(jumps, 1, #jumps - 1, 1, {}) },
      { __index = jumps[#jumps] })
    run.machines[name] = machine.new(run, name, settings)
  end
  return run.machines[name]
end

local function relay_machine(run, name, jumps)
  if not jumps or run.inventory:has(name) then
    return run:machine(name)
  end
  return stranger(run, name, jumps)
end

local function new_relay(host, name, jumps)
  local run, user = host.run, host.play.user
  local place = relay_machine(run, name, jumps)
  return relay.new { name = name,
    spawn = function(fn)
      run:serve(fn)
    end,
    open = function()
      local ok, remote = pcall(place.connection, place)
      if ok then
        return remote, user
      end
      return nil, err.wrap(remote).message
    end }
end

-- The bastions: hosts of the inventory that others are reached through.
local function bastions(run)
  if not run.bastions then
    run.bastions = {}
    for _, name in ipairs(run.inventory:hosts()) do
      local settings = run.inventory:connection(name)
      local jumps = settings and settings.jumps
      if jumps then
        run.bastions[jumps[#jumps].name] = true
      end
    end
  end
  return run.bastions
end

--- The relay by which a host gets its blobs. A bastion is its own: what it hands on it has.
-- @param host host
-- @param wanted string, or nil: a host of the inventory; nil means the last bastion on the way
-- @return relay; or nil when nothing is on the way
-- @raise kb.err of kind usage when the inventory has no such host
function M.of(host, wanted)
  local run, jumps = host.run, nil
  if not wanted then
    jumps = host.machine.settings.jumps
  end
  local name = wanted or jumps and jumps[#jumps].name
    or bastions(run)[host.name] and host.name
  if not name then
    return nil
  end
  run.relays = run.relays or {}
  run.relays[name] = run.relays[name] or new_relay(host, name, jumps)
  return run.relays[name]
end

--- A host of a play as a relay knows it; see kb.relay. Connects to it.
-- @param host host
-- @param user string or nil: who writes there
-- @param given table: path, blobs, progress, relay (kb.relay or nil)
-- @return node
-- @raise kb.err of kind unreachable
function M.node(host, user, given)
  local remote = host.machine:connection()
  local there = remote:place()
  return { name = host.name, remote = remote, user = user, login = there.user,
    address = there.address, port = there.port, host_key = there.host_key,
    is_relay = given.relay ~= nil and given.relay.name == host.name, path = given.path,
    blobs = given.blobs, progress = given.progress,
    notice = function(text)
      host:warn(text)
    end }
end

return M
