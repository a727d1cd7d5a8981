--- Networks as ranges of addresses: what overlaps, what is large enough. IPv4 alone, since the pod
--- networks here are.

local M = {}

local function number(address)
  local n, parts = 0, 0
  for part in ((address:match("^%d+%.%d+%.%d+%.%d+$") or "") .. "."):gmatch("(%d+)%.") do
    n, parts = n << 8 | math.tointeger(tonumber(part)), parts + 1
    if tonumber(part) > 255 then
      return nil
    end
  end
  return parts == 4 and n or nil
end

--- A network, or a range of addresses as MetalLB writes it.
-- @param text string: "10.0.0.0/16", "10.0.0.1-10.0.0.9", "10.0.0.1"
-- @return table: first, last (integers), bits (of a network); nil when it is none
function M.range(text)
  local from, to = text:match("^([%d.]+)%s*%-%s*([%d.]+)$")
  if from then
    local first, last = number(from), number(to)
    return first and last and first <= last and { first = first, last = last } or nil
  end
  local address, bits = text:match("^([%d.]+)/(%d+)$")
  local n = number(address or text)
  bits = tonumber(bits) or 32
  if not n or bits > 32 then
    return nil
  end
  local size = 1 << (32 - bits)
  return { first = n // size * size, last = n // size * size + size - 1, bits = bits }
end

--- Whether two ranges have addresses in common.
-- @param a table
-- @param b table
-- @return boolean
function M.overlap(a, b)
  return a.first <= b.last and b.first <= a.last
end

--- Whether an address of a text lies in a range; a name lies nowhere.
-- @param range table
-- @param address string
-- @return boolean
function M.holds(range, address)
  local n = number(address)
  return n ~= nil and n >= range.first and n <= range.last
end

return M
