--- Directories of a test's own.
local program = require "lib.program"
local sys = require "kb.core.sys"

--- Make a directory that is gone when the value closes.
-- @return table: path
return function()
  local path = assert(sys.mkdtemp("/tmp/kbrun-test-"))
  return setmetatable({ path = path }, { __close = function()
    program.run { "rm", "-rf", path }
  end })
end
