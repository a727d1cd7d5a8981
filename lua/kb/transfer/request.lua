--- A transfer's requests to the host, and the time it may take.
local ending = require "kb.ending"
local script = require "kb.transfer.script"
local task = require "kb.core.task"

local M = {}

local function failed(remote, path, result)
  local why = result.err:gsub("%s+$", "")
  return nil, ("%s: %s: %s"):format(remote.name, path, why ~= "" and why or ending.of(result)),
    script.codes[result.code] or "EIO"
end

--- Run one of the scripts on the host.
-- @param remote kb.remote
-- @param spec table: of the transfer: path, user
-- @param name string: which script
-- @param values table: its variables
-- @param opts table or nil: as for kb.remote's run; discarded error output is in its field err
-- @return result; or nil, message, code when it gave up, too
function M.run(remote, spec, name, values, opts)
  opts = opts or {}
  opts.user = spec.user
  local result, message, code = remote:run(script.text(name, values), opts)
  if not result then
    return nil, message, code
  elseif result.code ~= 0 then
    result.err = opts.err and opts.err() or result.err
    return failed(remote, spec.path, result)
  end
  return result
end

--- Do a transfer under its own deadline.
-- @param remote kb.remote
-- @param spec table: path, timeout (seconds or nil)
-- @param fn function(remote, spec): the transfer
-- @return what fn returns; a deadline of ours is told as such
function M.within(remote, spec, fn)
  if not spec.timeout then
    return fn(remote, spec)
  end
  local ours <const> = task.now() + spec.timeout
  local _ <close> = task.within(spec.timeout)
  local ok, info, code = fn(remote, spec)
  if not ok and code == "ETIMEDOUT" and task.now() >= ours then
    info = ("%s: %s: the transfer timed out after %g s"):format(remote.name, spec.path,
      spec.timeout)
  end
  return ok, info, code
end

return M
