--- Facts about swap.
local kb = require "kb"

local M = {}

--- What is used as swap.
-- @return list of tables: path, unit (the unit of systemd that turns it on)
M.active = kb.fact {
  name = "swap.active",
  command = function()
    return "tail -n +2 /proc/swaps | while read -r path rest; do printf '%s\\t' \"$path\"; "
      .. "systemd-escape --path --suffix=swap -- \"$path\" 2>/dev/null || echo; done"
  end,
  parse = function(out)
    local list = {}
    for path, unit in out:gmatch("([^\t\n]+)\t([^\n]*)\n") do
      -- a blank in a path is written as in octal
      path = path:gsub("\\(%d%d%d)", function(digits)
        return string.char(tonumber(digits, 8))
      end)
      list[#list + 1] = { path = path, unit = unit }
    end
    return list
  end,
  bare = {},
}

return M
