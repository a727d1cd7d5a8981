--- Gates and proofs: wait until a fact says what it must, or until a command succeeds, and show the
--- evidence when that never happens. Neither is a change.

local args = require "kb.args"
local err = require "kb.err"
local fact = require "kb.fact"
local task = require "kb.core.task"

local M = {}

local patience = {
  { "title", "string", "what is waited for", at = 1, required = true },
  { "within", "duration", "how long to wait", default = 60 },
  { "every", "duration", "how often to ask", default = 1 },
  { "evidence", "list", "shell commands whose output explains why it does not hold", default = {} },
}

local function declare(own)
  return table.move(own, 1, #own, #patience + 1, table.move(patience, 1, #patience, 1, {}))
end

local of_gate = declare {
  { "fact", "table", "the question: { name, args... }", required = true },
  { "holds", "function", "function(answer): whether it is so", required = true },
  { "becomes", "any", "the answer that a dry run takes for granted from here on" },
}

local of_proof = declare {
  { "run", "string", "shell text that proves it by its success", required = true },
  { "stdin", "content", "what it reads" },
  { "holds", "function", "function(result): whether what it printed is right, too" },
  { "timeout", "duration", "how long one attempt may take", default = 30 },
}

local function emit(host, gate, status, fields)
  fields = fields or {}
  fields.event, fields.status, fields.op, fields.title = "step", status, gate.op, gate.title
  fields.host, fields.play = host.name, host.play.name
  fields.id, fields.file, fields.line = gate.id, gate.file, gate.line
  fields.seconds = fields.seconds or 0
  host.run.report:emit(fields)
end

-- A run wants to know how it is now, not how it was when the fact was asked ahead of need: so a dry
-- run leaves no trail by which it would be.
local function ask(host, gate)
  if host.run.apply then
    return host:_ask_again(nil, table.unpack(gate.fact))
  end
  return host:_settled(nil, table.unpack(gate.fact))
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

-- Try until it is so: attempt() -> whether it is so, and what else an error is to tell.
local function wait(host, gate, attempt)
  local started = task.now()
  emit(host, gate, "running")
  local held, fields = attempt()
  while not held and task.now() - started <= gate.within do
    task.sleep(gate.every)
    held, fields = attempt()
  end
  if held then
    return task.now() - started, fields
  end
  fields = fields or {}
  fields.host, fields.op, fields.evidence = host.name, gate.op, host:_evidence(gate.evidence)
  err.raise("failed", ("%s: not so after %d s"):format(gate.title, gate.within), fields)
end

local function wait_and_tell(host, gate, attempt)
  local done, seconds, fields = xpcall(wait, err.keep_traceback, host, gate, attempt)
  if not done then
    seconds = err.wrap(seconds)
    seconds.file, seconds.line = seconds.file or gate.file, seconds.line or gate.line
    emit(host, gate, err.kind(seconds) == "cancelled" and "cancelled" or "failed",
      { error = seconds })
    error(seconds, 0)
  end
  host:_commit(nil, {}) -- others have changed the world meanwhile
  emit(host, gate, "same", { reason = ("%s (after %.1f s)"):format(gate.title, seconds),
    seconds = seconds })
  return fields
end

local function begin(host, declared, given, op)
  local gate = args.check(declared, given, "kb." .. op)
  gate.op = op
  gate.file, gate.line = err.position()
  gate.id = host:_step_id(op, gate.file, gate.line)
  return gate
end

-- How the question stands: whether it is as it must be. That it cannot be answered is no error yet.
local function stands(host, gate)
  local ok, answer = pcall(ask, host, gate)
  if ok then
    return gate.holds(answer)
  elseif err.kind(answer) ~= "failed" and (host.run.apply or err.kind(answer) ~= "unknown") then
    error(answer, 0)
  end
  return false
end

--- Wait at a gate. A dry run passes it: what was to make it hold has not been done.
-- @param host host
-- @param given table: the title, fact = { name, args... }, holds (function(answer)), within, every,
-- becomes, evidence
-- @raise kb.err of kind failed, with the evidence, when it does not hold in time
function M.wait(host, given)
  local gate = begin(host, of_gate, given, "gate")
  if stands(host, gate) then
    return emit(host, gate, "same", { reason = gate.title })
  end
  if not host.run.apply then
    host:_assume(gate.becomes ~= nil and { taken_for_granted(gate) } or {}, gate.title,
      "elsewhere")
    return emit(host, gate, "same", { reason = "would wait: " .. gate.title })
  end
  wait_and_tell(host, gate, function()
    return stands(host, gate)
  end)
end

-- One attempt of a proof: whether it succeeded; its result, or what an error is to tell.
local function prove_once(host, proof)
  local result, message = host:_execute({ run = proof.run, stdin = proof.stdin,
    timeout = proof.timeout })
  if not result then
    return false, { command = proof.run, output = message }
  end
  if result.code == 0 and (not proof.holds or proof.holds(result)) then
    return true, result
  end
  return false, { command = proof.run, status = "exit status " .. tostring(result.code),
    output = result.err .. result.out }
end

--- Prove something by doing it: shell text that is to succeed, tried until it does. It leaves the
--- host as asked, so it is no change; a dry run does not do it.
-- @param host host
-- @param given table: the title, run (shell text), stdin, holds (function(result)), timeout (of one
-- attempt), within, every, evidence
-- @return result: code, out, err; nil in a dry run
-- @raise kb.err of kind failed, with command, output and evidence, when it does not succeed in time
function M.prove(host, given)
  local proof = begin(host, of_proof, given, "prove")
  if not host.run.apply then
    return emit(host, proof, "same", { reason = "would prove: " .. proof.title })
  end
  return wait_and_tell(host, proof, function()
    return prove_once(host, proof)
  end)
end

return M
