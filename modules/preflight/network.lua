--- IPv4 addresses and networks as numbers.

local M = {}

--- An address as a number.
-- @param address string: "10.0.0.1"
-- @return integer; nil when it is no IPv4 address
function M.number(address)
  local n, parts = 0, 0
  for part in (address:match("^[%d.]+$") or ""):gmatch("%d+") do
    n, parts = n << 8 | math.tointeger(tonumber(part)), parts + 1
    if tonumber(part) > 255 then
      return nil
    end
  end
  return parts == 4 and n or nil
end

--- A network as a range of numbers.
-- @param cidr string: "10.244.0.0/16"
-- @return table: first, last, bits (integers); nil when it is none
function M.range(cidr)
  local address, bits = cidr:match("^(.-)/(%d+)$")
  local n = address and M.number(address)
  bits = math.tointeger(tonumber(bits))
  if not n or bits > 32 then
    return nil
  end
  local size = 1 << (32 - bits)
  return { first = n // size * size, last = n // size * size + size - 1, bits = bits }
end

--- Whether an address is inside a range.
-- @param range table
-- @param n integer
-- @return boolean
function M.contains(range, n)
  return n >= range.first and n <= range.last
end

return M
