--- Facts about a host's name.
local kb = require "kb"

local M = {}

--- The name that a host gives itself now.
-- @return string
M.running = kb.fact {
  name = "hostname.running",
  command = function()
    return "uname -n"
  end,
  parse = function(out)
    return out:match("^(%S+)\n$")
  end,
  bare = "localhost",
}

return M
