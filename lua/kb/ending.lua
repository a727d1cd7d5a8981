--- How a command ended, in words.
local M = {}

--- Say how a command ended.
-- @param result table: as of kb.remote's run: code, signal, maybe_signal
-- @return string: "exit status 3", "killed by signal KILL"; both where the host did not tell which
function M.of(result)
  if result.signal then
    return "killed by signal " .. result.signal
  elseif result.maybe_signal then
    return ("exit status %d, or killed by signal %s"):format(result.code, result.maybe_signal)
  end
  return "exit status " .. tostring(result.code)
end

return M
