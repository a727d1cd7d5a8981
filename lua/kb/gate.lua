--- Gates: wait until a fact says what it must, and show the evidence when it never does.

local args = require "kb.args"
local err = require "kb.err"
local fact = require "kb.fact"
local task = require "kb.core.task"

local M = {}

local declared = {
  { "title", "string", "what is waited for", at = 1, required = true },
  { "fact", "table", "the question: { name, args... }", required = true },
  { "holds", "function", "function(answer): whether it is so", required = true },
  { "within", "duration", "how long to wait", default = 60 },
  { "every", "duration", "how often to ask", default = 1 },
  { "becomes", "any", "the answer that a dry run takes for granted from here on" },
  { "evidence", "list", "shell commands whose output explains why it does not hold", default = {} },
}

local function emit(host, gate, status, fields)
  fields = fields or {}
  fields.event, fields.status, fields.op, fields.title = "step", status, "gate", gate.title
  fields.host, fields.play = host.name, host.play.name
  fields.id, fields.file, fields.line = gate.id, gate.file, gate.line
  fields.seconds = fields.seconds or 0
  host.run.report:emit(fields)
end

local function evidence_of(host, gate)
  local parts = {}
  for _, command in ipairs(gate.evidence) do
    local result = host:_ask_quietly(command)
    parts[#parts + 1] = result and ("$ %s\n%s%s"):format(command, result.out, result.err) or nil
  end
  return table.concat(parts, "\n")
end

-- A run wants to know how it is now, not how it was when the fact was asked ahead of need.
local function ask(host, gate)
  if host.run.apply then
    return host:_ask_again(nil, table.unpack(gate.fact))
  end
  return host:fact(table.unpack(gate.fact))
end

-- The rule for a dry run. It is not a change: what else there is of the same subject stays.
local function taken_for_granted(gate)
  local key = fact.key(table.unpack(gate.fact))
  return function(name, ...)
    if name == gate.fact[1] and fact.key(name, ...) == key then
      return true, gate.becomes
    end
  end
end

local function wait(host, gate)
  local started = task.now()
  emit(host, gate, "running")
  repeat
    local ok, answer = pcall(ask, host, gate)
    if ok and gate.holds(answer) then
      return task.now() - started
    elseif not ok and err.kind(answer) ~= "failed" then
      error(answer, 0)
    end
    task.sleep(gate.every)
  until task.now() - started > gate.within
  err.raise("failed", ("%s: not so after %d s"):format(gate.title, gate.within),
    { host = host.name, op = "gate", evidence = evidence_of(host, gate) })
end

--- Wait at a gate. A dry run passes it: what was to make it hold has not been done.
-- @param host host
-- @param given table: the title, fact = { name, args... }, holds (function(answer)), within, every,
-- becomes, evidence
-- @raise kb.err of kind failed, with the evidence, when it does not hold in time
function M.wait(host, given)
  local gate = args.check(declared, given, "kb.gate")
  gate.file, gate.line = err.position()
  gate.id = host:_step_id("gate", gate.file, gate.line)
  local ok, answer = pcall(ask, host, gate)
  if ok and gate.holds(answer) then
    return emit(host, gate, "same", { reason = gate.title })
  elseif not ok and err.kind(answer) ~= "failed" and err.kind(answer) ~= "unknown" then
    error(answer, 0)
  end
  if not host.run.apply then
    host:_assume(gate.becomes ~= nil and { taken_for_granted(gate) } or {}, gate.title,
      "elsewhere")
    return emit(host, gate, "same", { reason = "would wait: " .. gate.title })
  end
  local done, seconds = xpcall(wait, err.keep_traceback, host, gate)
  if not done then
    seconds.file, seconds.line = gate.file, gate.line
    emit(host, gate, "failed", { error = seconds })
    error(seconds, 0)
  end
  host:_commit(nil, {}) -- others have changed the world meanwhile
  emit(host, gate, "same", { reason = ("%s (after %.1f s)"):format(gate.title, seconds),
    seconds = seconds })
end

return M
