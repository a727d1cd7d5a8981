--- A machine in a run: its connection and what is known of it, shared by all plays.

local ask = require "kb.ask"
local cache = require "kb.cache"
local err = require "kb.err"
local fact = require "kb.fact"
local task = require "kb.core.task"
local unknown = require "kb.unknown"

local Machine = { __name = "kb.machine" }
Machine.__index = Machine

local M = {}

-- How many questions may be asked ahead of need in one round trip. It falls to FEW when a change
-- made us forget what we knew, and doubles with every round trip after that.
local FEW, MANY = 4, 64

-- How often facts are asked when the machine changes again and again meanwhile.
local PATIENCE = 3

--- A machine of the inventory; nothing is connected yet.
-- @param run table: the run it belongs to; its open(settings) gives a kb.remote
-- @param name string
-- @param settings table: for kb.remote
-- @return machine
function M.new(run, name, settings)
  return setmetatable({ run = run, name = name, settings = settings, caches = {}, assumed = {},
    learnt = 0, changes = 0, trips = 0, ahead = MANY, lock = task.condition(),
    kept = {}, freed = task.condition(), asking = {}, answered = task.condition() }, Machine)
end

-- What is known to a user; what a dry run has foretold before holds for a new one, too.
function Machine:_cache(user)
  user = user or ""
  if not self.caches[user] then
    local known = cache.new()
    for _, change in ipairs(self.assumed) do
      known:assume(change.effect, change.title, change.scope)
    end
    self.caches[user] = known
  end
  return self.caches[user]
end

local function unreachable(machine, message, code)
  err.raise(err.of_code(code), message, { host = machine.name, code = code })
end

-- What trying again does not change.
local final = { EAUTH = true, EHOSTKEY = true, EINVAL = true }

-- Connect, also when a connection was lost, trying again with growing pauses when the host could
-- not be reached.
function Machine:_connect()
  local retries = self.run.retries or 0
  for attempt = 0, retries do
    local r, message, code
    if self.remote then
      r, message, code = self.remote:reach()
    else
      r, message, code = self.run.open(self.settings)
    end
    if r then
      return r
    end
    if attempt == retries or final[code] then
      unreachable(self, message, code)
    end
    self:_say_retry(message, attempt)
    task.sleep(math.min(2 ^ attempt, 30))
  end
end

function Machine:_say_retry(message, attempt)
  self.run.report:emit { event = "retry", host = self.name, message = message,
    attempt = attempt + 1 }
end

--- The connection, made when first asked for, and anew when it was lost while nothing ran over it.
-- @return kb.remote
-- @raise kb.err of kind unreachable
function Machine:connection()
  while self.connecting do
    self.lock:wait()
  end
  if self.remote and self.remote:alive() then
    return self.remote
  end
  self.connecting = true
  local ok, r = pcall(self._connect, self)
  self.connecting = false
  self.lock:notify()
  if not ok then
    error(r, 0)
  end
  self.remote = r
  return r
end

-- Do what may be done twice: when the connection is lost meanwhile, connect and do it again.
function Machine:_insist(fn)
  local retries = self.run.retries or 0
  for attempt = 0, retries do
    local result, message, code, so_far = fn(self:connection())
    if result or code ~= "ECLOSED" or attempt == retries then
      return result, message, code, so_far
    end
    self:_say_retry(message, attempt)
  end
end

-- Wait until nobody else asks as this user: what another play asks is answered sooner than there
-- would be another shell to ask in.
function Machine:_turn(user)
  while self.asking[user] do
    self.answered:wait()
  end
  self.asking[user] = true
  return setmetatable({}, { __close = function()
    self.asking[user] = nil
    self.answered:notify()
  end })
end

-- Ask what is missing, and with it what the trail says will be asked next.
function Machine:_ask_ahead(user, known, missing, trail)
  local last = missing[#missing]
  for _, question in ipairs(trail and trail:after(last, self.name, user or "", self.ahead) or {}) do
    if pcall(ask.command, question) then -- an old trail's arguments may be wrong by now
      missing[#missing + 1] = question
    end
  end
  self.ahead = math.min(self.ahead * 2, MANY)
  self:_fetch(user, known, ask.unanswered(known, missing))
end

--- Ask facts in one round trip; those known already cost nothing.
-- @param user string or nil: as whom
-- @param questions list of { name, args... }
-- @param trail kb.trail or nil: where it says what will be asked next
function Machine:ask(user, questions, trail)
  local known = self:_cache(user)
  for _, question in ipairs(trail and questions or {}) do
    trail:note(question, self.name, user or "")
  end
  local missing = ask.unanswered(known, questions)
  if ask.any_costly(missing) then -- it takes long, and may be measuring time
    self:_fetch(user, known, missing)
  elseif #missing > 0 then
    local _ <close> = self:_turn(user or "")
    missing = ask.unanswered(known, questions)
    if #missing > 0 then
      self:_ask_ahead(user, known, missing, trail)
    end
  end
end

-- Another play may change the machine while we ask: what was answered before is old then.
function Machine:_batch(user, commands)
  local results, message, code
  for _ = 1, PATIENCE do
    local before = self.changes
    results, message, code = self:_insist(function(r)
      return r:batch(commands, { user = user, timeout = 300 })
    end)
    if not results then
      unreachable(self, message, code)
    elseif before == self.changes then
      break
    end
  end
  return results
end

function Machine:_fetch(user, known, questions)
  if self.run.offline then
    return self:_imagine(known, questions)
  end
  local commands = {}
  for i, question in ipairs(questions) do
    commands[i] = ask.command(question)
  end
  local results = self:_batch(user, commands)
  for i, question in ipairs(questions) do
    known:answer(fact.key(table.unpack(question)), ask.answer(question, results[i], self.name))
  end
end

function Machine:_imagine(known, questions)
  for _, question in ipairs(questions) do
    local has, value = fact.find(question[1]):of_bare(table.unpack(question, 2))
    if not has then
      value = unknown.new("not known without a host: " .. table.concat(question, " "))
    end
    known:answer(fact.key(table.unpack(question)), unknown.guard(value))
  end
end

--- The answer to one question.
-- @param user string or nil
-- @param trail kb.trail or nil
-- @param name string
-- @param ... the fact's arguments
-- @return any
-- @raise kb.err when it cannot be answered; of kind unknown when a dry run cannot know
function Machine:fact(user, trail, name, ...)
  self:ask(user, { { name, ... } }, trail)
  return self:_answer(user, name, ...)
end

function Machine:_answer(user, name, ...)
  local key = fact.key(name, ...)
  local _, value = self:_cache(user):look(key, name, ...)
  if unknown.is(value) then
    unknown.stop(value, "the playbook asks " .. fact.show(key))
  end
  if type(value) == "table" and getmetatable(value) and err.kind(value) == "failed" then
    error(value, 0)
  end
  return value
end

--- Ask the host, whatever is known.
-- @param user string or nil
-- @param name string
-- @param ... the fact's arguments
-- @return any
-- @raise kb.err when it cannot be answered
function Machine:ask_again(user, name, ...)
  self:_fetch(user, self:_cache(user), { { name, ... } })
  return self:_answer(user, name, ...)
end

--- A change was made: keep what it stated, forget the rest.
-- @param user string or nil: whose change
-- @param effect list
function Machine:commit(user, effect)
  self:_cache(user)
  for other, known in pairs(self.caches) do
    known:commit(other == (user or "") and effect or {})
  end
  self.changes = self.changes + 1
  self.ahead = FEW
end

--- Keep files for a step that is going to write what it has planned by what is in them: of two
-- plays that edit one file side by side, neither may undo what the other does.
-- @param paths list of strings
-- @return scope, to be closed; nil when another step had one of them, and now has not: what this
-- one has planned is old
function Machine:keep(paths)
  for _, path in ipairs(paths) do
    if self.kept[path] then
      self.freed:wait()
      return nil
    end
  end
  for _, path in ipairs(paths) do
    self.kept[path] = true
  end
  return setmetatable({}, { __close = function()
    for _, path in ipairs(paths) do
      self.kept[path] = nil
    end
    self.freed:notify()
  end })
end

--- A dry run foretells a change.
-- @param effect list
-- @param title string
-- @param scope string: see Cache:assume
function Machine:assume(effect, title, scope)
  local change = { effect = effect, title = title, scope = scope }
  self.assumed[#self.assumed + 1] = change
  for _, known in pairs(self.caches) do
    known:assume(effect, title, scope)
  end
  if scope ~= "elsewhere" then
    table.insert(self.run.foretold, { title = title, machine = self })
  end
end

--- A dry run comes to a place where this machine comes after what others have done so far: what it
-- answers to a test of anything at all is not known when something was foretold of them.
-- @param so_far integer or nil: how much of it counts; nil: all
function Machine:learn(so_far)
  local foretold = self.run.foretold
  so_far = so_far or #foretold
  for i = so_far, self.learnt + 1, -1 do
    local change = foretold[i]
    if change.machine ~= self then
      self:assume({}, ("%s on %s"):format(change.title, change.machine.name), "elsewhere")
      break
    end
  end
  self.learnt = math.max(self.learnt, so_far)
end

--- Whether a dry run has foretold something that may make what is not there.
-- @param user string or nil
-- @param others boolean: leave out commands, which make what belongs to them
-- @param ... the name and arguments of the fact whose answer is that there is none; nothing: any
-- @return unknown, or nil
function Machine:may_be_made(user, others, ...)
  local change = self:_cache(user):making(others, ...)
  return change and change.unknown
end

--- Whether a dry run has foretold something that may alter what a user reads here.
-- @param user string or nil
-- @param paths list of strings: where it is read from; nil: from anything at all
-- @return unknown, or nil
function Machine:doubt(user, paths)
  local change = self:_cache(user):touching(paths, 0)
  return change and change.unknown
end

-- Lua that acts on the operator's machine: nil and a message is its refusal.
local function call(action, on_output)
  local ok, message, code = action.call(on_output or function() end)
  if ok == nil then
    return nil, message, code
  end
  return { code = 0, out = "", err = "" }
end

-- Input that tells how much of it has been sent, when it is known how much it will be.
local function told(action, on_progress)
  if not action.size or not on_progress or type(action.stdin) ~= "function" then
    return action.stdin
  end
  local done = 0
  return function()
    local piece, message, code = action.stdin()
    if piece then
      done = done + #piece
      on_progress(done, action.size)
    end
    return piece, message, code
  end
end

--- Run an action: { run = shell text, stdin, size (of stdin in bytes, if known), env, timeout,
-- ok }, { put = { path, … } }, { put_tree = { dir, path, … } } or { call = function(on_output) } on
-- the operator's machine.
-- When the connection is lost meanwhile, a transfer goes on over a new one, and so does a command
-- that says `reads = true`; of others it is not known whether they were done: that is a failure.
-- @param user string or nil
-- @param action table
-- @param on_output function(kind, chunk) or nil
-- @param on_progress function(done, total) or nil: of a transfer, or of input of known size, in
-- bytes
-- @return result as kb.remote gives it; or nil, message, code
function Machine:execute(user, action, on_output, on_progress)
  if action.call then
    return call(action, on_output)
  end
  local kind = action.put and "put" or action.put_tree and "put_tree"
  if kind then
    local spec = setmetatable({ user = user, timeout = action.timeout, progress = on_progress },
      { __index = action[kind] })
    return call { call = function()
      return self:_insist(function(r)
        return r[kind](r, spec)
      end)
    end }
  end
  local function run(r)
    return r:run(action.run, { user = user, stdin = told(action, on_progress), env = action.env,
      cwd = action.cwd, timeout = action.timeout, on_output = on_output })
  end
  if action.reads then
    return self:_insist(run)
  end
  return run(self:connection())
end

--- End the connection, and keep count of its requests in `trips`: they are what a slow line makes
-- a run wait for.
function Machine:close()
  if self.remote then
    self.trips = self.trips + self.remote:stats().trips
    self.remote:close()
    self.remote = nil
  end
end

return M
