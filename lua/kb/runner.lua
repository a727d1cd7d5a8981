--- Runs a playbook: plays in the order of their needs, hosts of a play side by side.

local batch = require "kb.batch"
local current = require "kb.current"
local err = require "kb.err"
local exchange = require "kb.exchange"
local host_of = require "kb.host"
local machine = require "kb.machine"
local task = require "kb.core.task"
local trail = require "kb.trail"

local M = {}

local Run = { __name = "kb.run" }
Run.__index = Run

-- Hosts that are not to be worked on any more have one of these as their outcome.
-- ended: a preview that can look no further.
local outcomes = { failed = true, unreachable = true, ended = true }

local by_kind = { unknown = "ended", unreachable = "unreachable", cancelled = "cancelled" }

-- A host that another one was needed for and could not be reached has failed: we do reach it.
local function outcome_of(e, name)
  local kind = err.kind(e)
  return kind == "unreachable" and e.host ~= name and "failed" or by_kind[kind] or "failed"
end

--- The machine of a host name, shared by all plays.
function Run:machine(name)
  if not self.machines[name] then
    local settings, message = self.inventory:connection(name)
    if not settings then
      err.raise("usage", message, { host = name })
    end
    self.machines[name] = machine.new(self, name, settings)
  end
  return self.machines[name]
end

--- A host as a play sees it.
function Run:host(play, name)
  local vars = {}
  for _, layer in ipairs { self.inventory:magic(name), self.inventory:vars(name), play.vars,
    self.extra_vars or {} } do
    for k, v in pairs(layer) do
      vars[k] = v
    end
  end
  local groups = {}
  for _, group in ipairs(self.inventory:groups(name)) do
    groups[group] = true
  end
  return host_of.new(self:machine(name), play, vars, groups)
end

function Run:_emit(kind, fields)
  fields.event = kind
  self.report:emit(fields)
end

-- Note how a host came out of a play.
function Run:_settle(play, name, e)
  local outcome = e and outcome_of(e, name) or "done"
  if outcome == "cancelled" then
    self.cancelled[#self.cancelled + 1] = name
  elseif outcomes[outcome] and not self.lost[name] then -- by another play, side by side
    self.lost[name] = { outcome = outcome, error = e, play = play }
    self.counts[outcome] = self.counts[outcome] + 1
  end
  if outcome == "failed" or outcome == "unreachable" then
    play.failed = (play.failed or 0) + 1
  end
  local m = self.machines[name]
  self:_emit("host", { host = name, play = play.name, status = outcome, error = e,
    address = m and m.settings.address })
end

function Run:_too_many_failed(play)
  return play.max_fail ~= nil and (play.failed or 0) > batch.share(play.max_fail, #play.names)
end

--- In a dry run: the host of the running task comes after what the others have done.
-- @param so_far integer or nil: only after so much of it
function Run:learn(so_far)
  local at_work = not self.apply and self.at_work[coroutine.running()]
  if at_work then
    at_work:learn(so_far)
  end
end

function Run:_host_body(play, name, so_far)
  local ok, e = xpcall(function()
    self:_emit("start", { host = name, play = play.name })
    self.at_work[coroutine.running()] = self:machine(name)
    self:learn(so_far)
    play.body(self:host(play, name))
  end, err.keep_traceback)
  if not ok then
    e = err.wrap(e)
    e.host = e.host or name
  end
  self:_settle(play, name, not ok and e or nil)
  if self:_too_many_failed(play) then
    play.stopped = true
    for _, t in ipairs(play.complete and {} or play.tasks) do
      t:cancel(("the play stops: %d of its hosts failed"):format(play.failed))
    end
  end
end

-- Work on some hosts side by side, no more at once than the play and the run want. Those that have
-- to wait for that come after none of the others.
function Run:_batch(play, names)
  local slots, free = task.condition(), math.min(play.forks, self.forks or math.huge)
  local so_far = #self.foretold
  play.tasks = {}
  local function work(name)
    while free == 0 do
      local _ <close> = self.exchange:idle()
      slots:wait()
    end
    free = free - 1
    local _ <close> = setmetatable({}, { __close = function()
      free = free + 1
      slots:notify_one()
    end })
    self:_host_body(play, name, so_far)
  end
  for _, name in ipairs(names) do
    play.tasks[#play.tasks + 1] = self:_spawn(work, name)
  end
  local _ <close> = self.exchange:idle()
  for _, t in ipairs(play.tasks) do
    local ok, e = pcall(t.join, t)
    if not ok and err.kind(e) ~= "cancelled" then
      error(e, 0)
    end
  end
end

function Run:_spawn(fn, ...)
  self.exchange:busy(1)
  return task.spawn(function(...)
    local _ <close> = setmetatable({}, { __close = function()
      self.exchange:busy(-1)
    end })
    fn(...)
  end, ...)
end

function Run:_remaining(names)
  local left = {}
  for _, name in ipairs(names) do
    if not self.lost[name] then
      left[#left + 1] = name
    end
  end
  return left
end

function Run:_play(play)
  local started, left = task.now(), self:_remaining(play.names)
  if #left == 0 then
    play.skipped = #play.names > 0
    return self:_emit("play", { play = play.name, status = "skipped",
      reason = play.skipped and "none of its hosts is left" or "it has no hosts" })
  end
  self:_emit("play", { play = play.name, status = "started", hosts = #left, needs = play.needs })
  for _, names in ipairs(batch.split(play.names, play.serial)) do
    if play.stopped then
      break
    end
    self:_batch(play, self:_remaining(names))
  end
  play.seconds = task.now() - started
  self:_emit("play", { play = play.name, status = play.stopped and "stopped" or "done",
    seconds = play.seconds })
end

-- Wait for the plays that this one needs; the first of them that came to nothing, if any.
function Run:_await_needs(play)
  for _, name in ipairs(play.needs) do
    local needed = self.plays[name]
    while needed and not needed.over do
      local _ <close> = self.exchange:idle()
      self.progress:wait()
    end
    if needed and (needed.stopped or needed.skipped) then
      return name
    end
  end
end

function Run:_when_due(play)
  local _ <close> = setmetatable({}, { __close = function(_, e)
    play.stopped = play.stopped or e ~= nil
    play.over = true
    self.progress:notify()
  end })
  local missing = self:_await_needs(play)
  if missing then
    play.skipped = true
    self:_emit("play", { play = play.name, status = "skipped", needed = missing,
      reason = ("needs %q, which did not get done"):format(missing) })
  else
    self:_play(play)
  end
end

--- Do something in a task that ends with the run, whatever becomes of who asked for it.
-- @param fn function()
function Run:serve(fn)
  self.services[#self.services + 1] = fn
  self.served:notify()
end

function Run:_serve()
  while true do
    while self.services[1] do
      task.background(table.remove(self.services, 1))
    end
    self.served:wait()
  end
end

--- Run plays.
-- @param plays list of plays, as kb.play's load and tagged give them
-- @param options table: inventory, report, open (function(settings) -> kb.remote), limit (pattern
-- or nil), apply (boolean: false is a dry run), offline, verify, retries, forks (hosts of a play
-- at once, at most), extra_vars, trails (table: play name -> kb.trail), again (list of strings: the
-- options by which another command means the same hosts)
-- @return summary: counts (failed, unreachable, ended), lost (host -> outcome), cancelled (list of
-- hosts whose play was ended), interrupted (boolean: this task was cancelled), trips (host ->
-- requests), seconds
-- @raise kb.err of kind usage before anything is connected
function M.run(plays, options)
  local run = setmetatable({ machines = {}, lost = {}, plays = {}, part = {},
    passed = {}, foretold = {}, cancelled = {}, at_work = setmetatable({}, { __mode = "k" }),
    counts = { failed = 0, unreachable = 0, ended = 0 }, progress = task.condition(),
    exchange = exchange.new(), services = {}, served = task.condition() }, Run)
  for k, v in pairs(options) do
    run[k] = v
  end
  run:_choose(plays)
  current.run = run
  local started = task.now()
  local tasks = { task.background(run.exchange.watch, run.exchange),
    task.background(run._serve, run) }
  local first = #tasks + 1
  for _, play in ipairs(plays) do
    tasks[#tasks + 1] = run:_spawn(run._when_due, run, play)
  end
  local ok, e = pcall(function()
    for i = first, #tasks do
      tasks[i]:join()
    end
  end)
  run:_end(tasks)
  if not ok and err.kind(e) ~= "cancelled" then
    error(e, 0)
  end
  return { counts = run.counts, lost = run.lost, cancelled = run.cancelled, interrupted = not ok,
    trips = run:_trips(), seconds = task.now() - started }
end

-- How many requests each machine has had, once its connection has ended.
function Run:_trips()
  local trips = {}
  for name, m in pairs(self.machines) do
    trips[name] = m.trips
  end
  return trips
end

-- Find each play's hosts, and refuse what cannot be meant, before anything is connected.
function Run:_choose(plays)
  local limit
  if self.limit then
    limit = {}
    for _, name in ipairs(self:_match(self.limit, "--limit")) do
      limit[name] = true
    end
  end
  for _, play in ipairs(plays) do
    play.names = {}
    for _, name in ipairs(self:_match(play.hosts, ("play %q"):format(play.name), play)) do
      if not limit or limit[name] then
        play.names[#play.names + 1] = name
        self.part[name] = true
      end
    end
    batch.split(play.names, play.serial)
    batch.share(play.max_fail or 0, #play.names)
    play.trail = self.trails and self.trails[play.name] or trail.new()
    self.plays[play.name] = play
  end
end

function Run:_match(pattern, where, play)
  local names, message = self.inventory:match(pattern)
  if not names or #names == 0 and not play then
    err.raise("usage", ("%s: %s"):format(where, message or "no host matches " .. pattern), play and
      { file = play.file, line = play.line })
  end
  return names
end

-- How long remote commands may take to end before the connections are closed all the same.
local GRACE = 15

-- What still runs is ended first, while there are connections to end it by.
function Run:_end(tasks)
  local _ <close> = task.shield(GRACE)
  for _, t in ipairs(tasks) do
    t:cancel("interrupted")
  end
  for _, t in ipairs(tasks) do
    pcall(t.join, t)
  end
  for _, m in pairs(self.machines) do
    pcall(m.close, m)
  end
  current.run = nil
end

--- Do something on another host. See kb.on.
-- @param host host
-- @param name string
-- @param fn function(other)
-- @return what fn returns
function M.on(host, name, fn)
  local run, lost = host.run, host.run.lost[name]
  if lost and not (lost.play.complete and lost.outcome == "failed") then
    err.raise("failed", ("%s has %s and cannot be asked"):format(name, lost.outcome),
      { host = host.name })
  end
  if not run.apply then
    run:machine(name):learn()
  end
  local results = table.pack(fn(run:host(host.play, name)))
  run:learn()
  return table.unpack(results, 1, results.n)
end

-- How often a host has passed a place of a play, however often it was entered by kb.on.
function Run:count(play, name, place)
  local key = table.concat({ play.name, name, place }, "\0")
  self.passed[key] = (self.passed[key] or 0) + 1
  return self.passed[key]
end

--- Do something once in a run. See kb.once.
-- @param host host
-- @param key string
-- @param fn function()
-- @return what fn returned
function M.once(host, key, fn)
  local results = table.pack(host.run.exchange:once(key, fn))
  host.run:learn()
  return table.unpack(results, 1, results.n)
end

return M
