--- Facts about docker.
local kb = require "kb"

local M = {}

--- The version of the docker daemon that is installed.
-- @return string "20.10.24"; false when there is none
M.version = kb.fact {
  name = "docker.version",
  command = function()
    return "dockerd --version 2>/dev/null"
  end,
  parse = function(out)
    return out:match("%sv?(%d+%.%d+%.%d+)") or false
  end,
  bare = false,
}

return M
