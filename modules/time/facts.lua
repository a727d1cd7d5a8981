--- Facts about a host's clock.
local kb = require "kb"

local M = {}

--- How far the host's clock is from the operator's.
-- It is measured when the answer arrives, so that it is as exact as the way from the host is short.
-- @return number: seconds; positive when the host's clock is ahead
M.clock = kb.fact {
  name = "time.clock",
  costly = true, -- asked by itself: commands before and after it would count as time on the way
  command = function()
    return "date +%s.%N"
  end,
  parse = function(out)
    local there = tonumber(out:match("^%d+%.%d+"))
    return there and there - kb.now()
  end,
  bare = 0.0,
}

--- Whether the kernel says that something keeps its clock right.
-- @return boolean
M.synchronised = kb.fact {
  name = "time.kept",
  command = function()
    return "timedatectl show -p NTPSynchronized --value"
  end,
  parse = function(out, code)
    if code ~= 0 then
      return nil, "timedatectl failed"
    end
    return out == "yes\n"
  end,
  bare = false,
}

return M
