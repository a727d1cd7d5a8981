--- Facts about commands.
local kb = require "kb"

local M = {}

--- Whether a command that only reads succeeds: exits with 0.
-- @param text string: POSIX sh; its output is thrown away
-- @param ... strings: the files and directories that the answer depends on, and nothing else; none:
-- it may depend on anything
-- @return boolean; of a bare machine false
M.test = kb.fact {
  name = "command.test",
  command = function(text)
    -- in a shell of its own, which a syntax error ends and not us
    return ("sh -c %s </dev/null >/dev/null 2>&1"):format(kb.quote(text))
  end,
  parse = function(_, code)
    if code == nil or code > 128 then
      return nil, "the test was killed"
    end
    return code == 0
  end,
  reads = function(_, ...)
    return ... and { ... } or nil
  end,
  bare = false,
}

return M
