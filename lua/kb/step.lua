--- One operation on one host: decide, do or foretell, check, report.

local ending = require "kb.ending"
local err = require "kb.err"
local fact = require "kb.fact"
local operation = require "kb.op"
local task = require "kb.core.task"
local term = require "kb.term"
local unknown = require "kb.unknown"

local Step = { __name = "kb.step" }
Step.__index = Step

local M = {}

--- A step that is about to begin.
-- @param host host
-- @param op operation
-- @param file string: where the playbook calls it
-- @param line integer
-- @return step
function M.new(host, op, file, line)
  return setmetatable({ host = host, op = op, file = file, line = line,
    id = host:_step_id(op.name, file, line), started = task.now() }, Step)
end

function Step:_event(status, fields)
  local event = { event = "step", status = status, id = self.id, host = self.host.name,
    play = self.host.play.name, op = self.op.name, file = self.file, line = self.line,
    seconds = task.now() - self.started }
  for k, v in pairs(fields or {}) do
    event[k] = v
  end
  self.host.run.report:emit(event)
end

-- Say where and on what it went wrong, whatever it was.
function Step:_blame(e)
  e = err.wrap(e)
  e.host = e.host or self.host.name
  e.op = e.op or self.op.name
  if self.file then
    e.file, e.line = e.file or self.file, e.line or self.line
  end
  return e
end

-- Asked where a command says that there is no space: what it says names no disk.
local DISKS = [[# disks that are full: size, used, free; or inodes
for what in h i; do df -${what}P -x squashfs 2>/dev/null | awk '$5 + 0 >= 97'; done]]

local function lacks_space(output)
  return output:find("No space left on device", 1, true) ~= nil
end

-- What the operation offers to explain a failure; and where a disk is full, which one that is.
function Step:_evidence(args, output)
  local commands = self.op.evidence and self.op.evidence(args) or {}
  if lacks_space(output) then
    commands = table.move(commands, 1, #commands, 2, { DISKS })
  end
  return self.host:_evidence(commands, args.as)
end

local function tail(text, lines)
  local kept = {}
  for line in (text:gsub("%s+$", "") .. "\n"):gmatch("(.-)\n") do
    kept[#kept + 1] = line
  end
  local first = math.max(1, #kept - lines + 1)
  return (first > 1 and ("… %d lines before\n"):format(first - 1) or "")
    .. table.concat(kept, "\n", first)
end

local function printed(action, result)
  local out = action.private and "" or result.out
  local gap = result.err:find "[^\n]$" and out ~= "" and "\n" or ""
  return result.err .. gap .. out
end

function Step:_refused(action, result, args)
  err.raise("failed", action.fails or ("%s failed"):format(term.cut(self.title)), {
    command = action.shown or action.run, status = ending.of(result),
    complete = action.fails ~= nil or nil,
    output = tail(printed(action, result), 40),
    evidence = self:_evidence(args, printed(action, result)) })
end

local function as_action(action)
  return type(action) == "string" and { run = action } or action
end

local function accepted(action, result)
  for _, code in ipairs(action.ok or { 0 }) do
    if result.code == code then
      return true
    end
  end
  return false
end

function Step:_do(change, args)
  local outcomes = {}
  for i, action in ipairs(change.actions) do
    action = as_action(action)
    action.timeout = action.timeout or args.timeout
    local result, message, code, so_far = self.host:_execute(action, args.as)
    if not result then
      err.raise(err.of_code(code), ("%s: %s"):format(term.cut(change.title), message),
        { command = action.shown or action.run,
          output = so_far and tail(printed(action, so_far), 40),
          evidence = (code == "ETIMEDOUT" or not action.call and lacks_space(message))
            and self:_evidence(args, message) or nil })
    end
    if not accepted(action, result) then
      self:_refused(action, result, args)
    end
    outcomes[i] = result
  end
  return outcomes
end

local function differences(stated, found, path, list)
  if unknown.is(stated) then
    return list
  elseif type(stated) ~= "table" or type(found) ~= "table" then
    if stated ~= found then
      list[#list + 1] = ("%s: stated %s, found %s"):format(path, tostring(stated), tostring(found))
    end
    return list
  end
  for k, v in pairs(stated) do
    differences(v, found[k], ("%s.%s"):format(path, k), list)
  end
  return list
end

-- Ask again what the change has stated, and raise when it did not come true.
function Step:_verify(change, args)
  local list = {}
  for _, entry in ipairs(change.effect) do
    if type(entry) == "table" and not unknown.is(entry[#entry]) then
      local found = self.host:_ask_again(args.as, table.unpack(entry, 1, #entry - 1))
      local name = fact.show(fact.key(table.unpack(entry, 1, #entry - 1)))
      differences(entry[#entry], found, name, list)
    end
  end
  if #list > 0 then
    err.raise("verify", ("%s: the effect did not come true"):format(term.cut(change.title)),
      { evidence = table.concat(list, "\n") })
  end
end

function Step:_result(change, outcomes)
  local result = { changed = true, title = change.title }
  local values = outcomes and change.result and change.result(outcomes) or change.preview
  for k, v in pairs(values or {}) do
    result[k] = v
  end
  if not outcomes and not change.preview then
    self:_leave_unknown(result, change)
  end
  return unknown.guard(result)
end

function Step:_leave_unknown(result, change)
  local why = unknown.new(("known after: %s on %s"):format(change.title, self.host.name))
  for _, field in ipairs(self.op.returns or {}) do
    result[field] = why
  end
end

-- Whether the effect says all that the change will have changed.
local function scope_of(change)
  return change.unstated and "anything" or change.more and "more" or change.partial and "made"
    or "host"
end

-- A dry run cannot know whether the change is needed.
function Step:_perhaps(change)
  self.host:_assume(change.effect, change.title, scope_of(change))
  self:_event("unknown", { title = change.title, reason = change.perhaps, diff = change.diff })
  local result = { title = change.title,
    changed = unknown.new(("known after: %s on %s"):format(change.title, self.host.name)) }
  self:_leave_unknown(result, change)
  return unknown.guard(result)
end

-- Who plans is told what a dry run cannot exclude, and it is remembered what was taken for granted.
function Step:_asker(args)
  local host = self.host
  local function ask(name, ...)
    return host:_fact(args.as, name, ...)
  end
  self.granted = {}
  return not host.run.apply and operation.doubting(ask, { missing = function(message)
    local why = host:_may_be_made(args.as, false)
    local text = why and ("%s now; %s"):format(message, unknown.reason(why))
    table.insert(self.granted, text)
    return text
  end, may_appear = function(...)
    local why = host:_may_be_made(args.as, true, ...)
    return why and unknown.reason(why)
  end }) or ask
end

function Step:_plan(given)
  local op, host = self.op, self.host
  local args = op:check(given)
  if op.prepare then
    args = op.prepare(host, args) or args
  end
  if op.facts then
    host:facts(op.facts(args), args.as)
  end
  local change, reason = op:decide(args, self:_asker(args))
  if change and #self.granted > 0 then
    change.reason = change.reason or table.concat(self.granted, "; ")
  end
  return args, change, reason
end

-- The files that a change writes.
local function paths_of(change)
  local paths = {}
  for _, action in ipairs(change.actions) do
    local put = type(action) == "table" and (action.put or action.put_tree)
    paths[#paths + 1] = put and put.path or nil
  end
  return paths
end

function Step:_attempt(given)
  local run = self.host.run
  local args, change, reason = self:_plan(given)
  if not change then
    self:_event("same", { reason = reason })
    return { changed = false, reason = reason }
  end
  self.title = change.title
  if run.apply then
    local kept <close> = self.host.machine:keep(paths_of(change))
    if not kept then
      return self:_attempt(given)
    end
    return self:_apply(change, args)
  elseif change.perhaps then
    return self:_perhaps(change)
  end
  self.host:_assume(change.effect, change.title, scope_of(change))
  self:_changed(change)
  return self:_result(change)
end

function Step:_changed(change)
  self:_event("changed", { title = change.title, diff = change.diff, reason = change.reason,
    unstated = change.unstated or nil })
end

function Step:_apply(change, args)
  self:_event("running", { title = change.title })
  local outcomes = self:_do(change, args)
  self.host:_commit(args.as, change.effect)
  if self.host.run.verify then
    self:_verify(change, args)
  end
  self:_changed(change)
  return self:_result(change, outcomes)
end

--- Do the step.
-- @param given table: arguments as the playbook gave them
-- @return result
-- @raise kb.err
function Step:run(given)
  local ok, result = xpcall(self._attempt, err.keep_traceback, self, given)
  if ok then
    return result
  end
  local e = self:_blame(result)
  self:_event(e.kind == "unknown" and "unknown" or e.kind == "cancelled" and "cancelled"
    or "failed", { title = self.title, error = e })
  error(e, 0)
end

return M
