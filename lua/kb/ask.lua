--- Questions to a host, { name, args... } of a fact: what is to be run for them, and what the
--- output answers.

local err = require "kb.err"
local fact = require "kb.fact"

local M = {}

--- The shell text that answers a question.
-- @param question { name, args... }
-- @return string
function M.command(question)
  return fact.find(question[1]):ask(table.unpack(question, 2))
end

--- What the output of the command says. When that cannot be parsed it is an error only when
-- somebody looks at it: it may have been asked ahead of need.
-- @param question { name, args... }
-- @param result table: out, err, code
-- @param host string: the name of the host, for errors
-- @return any: not nil; a kb.err when there is no answer
function M.answer(question, result, host)
  local f = fact.find(question[1])
  local ok, value, message = pcall(f.parse, result.out, result.code, table.unpack(question, 2))
  if ok and value ~= nil then
    return value
  end
  return err.new("failed", ("fact %s: %s"):format(table.concat(question, " "),
    ok and message or not ok and value or "no answer"), { host = host,
    command = M.command(question), status = "exit status " .. tostring(result.code),
    output = result.err ~= "" and result.err or result.out })
end

--- The questions that have no answer yet, each once.
-- @param known kb.cache
-- @param questions list of { name, args... }
-- @return list
function M.unanswered(known, questions)
  local list, taken = {}, {}
  for _, question in ipairs(questions) do
    local key = fact.key(table.unpack(question))
    if not taken[key] and not known:look(key, table.unpack(question)) then
      taken[key] = true
      list[#list + 1] = question
    end
  end
  return list
end

--- Whether one of them is of a costly fact.
-- @param questions list of { name, args... }
-- @return boolean
function M.any_costly(questions)
  for _, question in ipairs(questions) do
    if fact.find(question[1]).costly then
      return true
    end
  end
  return false
end

return M
