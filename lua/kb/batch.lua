--- How many hosts of a play at a time.

local err = require "kb.err"

local M = {}

--- "30%" of n, rounded down; a number as it is.
-- @param value integer or string
-- @param n integer: how many there are
-- @return integer
-- @raise kb.err of kind usage
function M.share(value, n)
  local percent = tostring(value):match("^(%d+)%%$")
  local count = percent and n * tonumber(percent) // 100 or math.tointeger(value)
  if not count or count < 0 then
    err.raise("usage", ('"%s" is neither a number nor a percentage'):format(tostring(value)))
  end
  return math.tointeger(count)
end

--- Split hosts as `serial` says; the last of a list of sizes holds for the rest.
-- @param names list of strings
-- @param serial integer, string, a list of them or nil
-- @return list of lists of strings
-- @raise kb.err of kind usage
function M.split(names, serial)
  if not serial then
    return { names }
  end
  local sizes = type(serial) == "table" and serial or { serial }
  local list, from = {}, 1
  while from <= #names do
    local size = math.max(1, M.share(sizes[math.min(#list + 1, #sizes)], #names))
    list[#list + 1] = table.move(names, from, math.min(from + size - 1, #names), 1, {})
    from = from + size
  end
  return list
end

return M
