--- A run without an inventory file and without SSH: hosts whose commands run here, or facts that
--- are simply given.
local cache = require "kb.cache"
local fact = require "kb.fact"
local play = require "kb.play"
local proc = require "kb.core.proc"
local report = require "kb.report"
local runner = require "kb.runner"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"
local task = require "kb.core.task"
local unknown = require "kb.unknown"

local M = {}

--- Run shell text here.
-- @return result as kb.remote gives it
function M.shell(command, stdin)
  local p, io = assert(proc.spawn { argv = { "sh", "-c", command } })
  local feeder = task.spawn(function()
    io.stdin:write(stdin or "")
    io.stdin:shutdown()
  end)
  local function all(stream)
    local parts = {}
    for chunk in function() return (stream:read()) end do
      parts[#parts + 1] = chunk
    end
    stream:close()
    return table.concat(parts)
  end
  local err = task.spawn(all, io.stderr)
  local out = all(io.stdout)
  err = err:join()
  feeder:join()
  local code, signal = p:wait()
  return { code = code, signal = not code and signal or nil, out = out, err = err }
end

local Remote = {}
Remote.__index = Remote

function Remote:run(command, opts)
  self.log[#self.log + 1] = command
  return M.shell(command, opts.stdin)
end

function Remote:batch(commands)
  self.trips = self.trips + 1
  local results = {}
  for i, command in ipairs(commands) do
    results[i] = M.shell(command)
  end
  return results
end

function Remote:stats()
  return { trips = self.trips }
end

function Remote:put(put)
  self.log[#self.log + 1] = "put " .. put.path
  assert(sys.write_file(put.path, put.content or assert(sys.read_file(put.file)), put.mode))
  return true
end

function Remote:alive()
  return not self.closed
end

function Remote:close()
  self.closed = true
end

--- An inventory of names; all are in the group `all`.
-- @param names list of strings
-- @param vars table or nil: variables of every host
function M.inventory(names, vars)
  return {
    match = function(_, pattern)
      if pattern == "all" then
        return names
      end
      for _, name in ipairs(names) do
        if name == pattern then
          return { name }
        end
      end
      return nil, ("no host or group is called '%s'"):format(pattern)
    end,
    vars = function()
      return vars or {}
    end,
    magic = function(_, name)
      return { inventory_hostname = name }
    end,
    groups = function()
      return { "all" }
    end,
    connection = function(_, name)
      return { name = name }
    end,
  }
end

--- Run a function with a directory, which is gone afterwards.
-- @param fn function(path)
function M.with_dir(fn)
  local dir <close> = scratch()
  fn(dir.path)
end

--- Run a playbook given as text.
-- @param text string: Lua
-- @param options table: hosts (list of names), vars, apply, verify, offline, forks, retries, open,
-- dir
-- @return events (list), summary, remotes (by host)
function M.run(text, options)
  local dir = options.dir or assert(sys.mkdtemp("/tmp/kbrun-test-"))
  local path = dir .. "/playbook.lua"
  assert(sys.write_file(path, text))
  local events, remotes = {}, {}
  local view = { event = function(_, event)
    events[#events + 1] = event
  end }
  local rep = report.new { view }
  local ok, summary = pcall(function()
    return runner.run(play.load({ path }).plays, {
      inventory = M.inventory(options.hosts or { "h1" }, options.vars), report = rep,
      forks = options.forks, apply = options.apply ~= false, verify = options.verify,
      offline = options.offline, trails = options.trails, retries = options.retries,
      open = options.open or function(settings)
        remotes[settings.name] = setmetatable({ log = {}, trips = 0 }, Remote)
        return remotes[settings.name]
      end })
  end)
  sys.remove(path)
  if not options.dir then
    sys.remove(dir)
  end
  if not ok then
    error(summary, 0)
  end
  rep:finish(summary)
  return events, summary, remotes
end

--- The steps among events, as "status title" (or the reason).
function M.steps(events)
  local list = {}
  for _, e in ipairs(events) do
    if e.event == "step" and e.status ~= "running" then
      list[#list + 1] = ("%s %s"):format(e.status, e.title or e.reason
        or e.error and e.error.message)
    end
  end
  return list
end

--- The reason of an unknown that a case gives; asking for it ends the preview.
M.later = "given as unknown"

--- Answer facts from a list of { name, args..., value }.
-- @return function(name, args...) as a plan gets it, and a function(entry) that adds an effect
function M.facts(given)
  local known = cache.new()
  known:assume(given, "given")
  return function(name, ...)
    local has, value = known:look(fact.key(name, ...), name, ...)
    if not has then
      error(("the case does not give the fact %s"):format(table.concat({ name, ... }, " ")), 0)
    elseif unknown.is(value) and unknown.reason(value) == M.later then
      unknown.stop(value, "the plan asks " .. name)
    end
    return value
  end
end

return M
