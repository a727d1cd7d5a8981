--- IP addresses and networks as text and bytes.
local M = {}

local function v4_bytes(text)
  local bytes = {}
  for part in (text .. "."):gmatch("([^.]*)%.") do
    if not part:find("^%d%d?%d?$") or tonumber(part) > 255 or part:find("^0%d") then
      return nil
    end
    bytes[#bytes + 1] = math.tointeger(tonumber(part))
  end
  return #bytes == 4 and bytes or nil
end

-- The 16-bit groups of one side of "::", a dotted end counted as two.
local function groups(text)
  local list = {}
  if text == "" then
    return list
  end
  for part in (text .. ":"):gmatch("([^:]*):") do
    local v4 = part:find(".", 1, true) and v4_bytes(part)
    if v4 then
      list[#list + 1] = v4[1] << 8 | v4[2]
      list[#list + 1] = v4[3] << 8 | v4[4]
    elseif part:find("^%x%x?%x?%x?$") then
      list[#list + 1] = tonumber(part, 16)
    else
      return nil
    end
  end
  return list
end

local function v6_groups(text)
  local left, right = text:match("^(.-)::(.*)$")
  if not left then
    local all = groups(text)
    return all and #all == 8 and all or nil
  end
  local a, b = groups(left), groups(right)
  if not a or not b or #a + #b > 7 then
    return nil
  end
  for _ = 1, 8 - #a - #b do
    a[#a + 1] = 0
  end
  return table.move(b, 1, #b, #a + 1, a)
end

--- The bytes of an address.
-- @param text string: "10.0.0.1", "fd00::1"
-- @return list of 4 or 16 integers, or nil when it is no address
function M.bytes(text)
  if type(text) ~= "string" then
    return nil
  end
  if not text:find(":", 1, true) then
    return v4_bytes(text)
  end
  local list = v6_groups(text)
  if not list then
    return nil
  end
  local bytes = {}
  for _, group in ipairs(list) do
    bytes[#bytes + 1] = group >> 8
    bytes[#bytes + 1] = group & 255
  end
  return bytes
end

-- The first longest run of zero groups, of at least two (RFC 5952).
local function longest_zeros(list)
  local best, length, from = nil, 1, nil
  for i = 1, 9 do
    if list[i] == 0 then
      from = from or i
      if i - from + 1 > length then
        best, length = from, i - from + 1
      end
    else
      from = nil
    end
  end
  return best, length
end

local function v6_text(bytes)
  local list = {}
  for i = 1, 16, 2 do
    list[#list + 1] = bytes[i] << 8 | bytes[i + 1]
  end
  local best, length = longest_zeros(list)
  local function join(i, j)
    local parts = {}
    for k = i, j do
      parts[#parts + 1] = ("%x"):format(list[k])
    end
    return table.concat(parts, ":")
  end
  if not best then
    return join(1, 8)
  end
  return join(1, best - 1) .. "::" .. join(best + length, 8)
end

--- The text of an address.
-- @param bytes list of 4 or 16 integers
-- @return string, IPv6 as RFC 5952 has it
function M.text(bytes)
  return #bytes == 4 and table.concat(bytes, ".") or v6_text(bytes)
end

--- An address as it is written when nothing is left to choice.
-- @param text string
-- @return string, or nil when it is no address
function M.normal(text)
  local bytes = M.bytes(text)
  return bytes and M.text(bytes)
end

--- An address of a network, counted from its first: 1 is the Kubernetes service's.
-- @param network string: "10.96.0.0/12"
-- @param n integer: less than 2^16
-- @return string; or nil, message, "EINVAL"
function M.nth(network, n)
  local address, length = tostring(network):match("^(.-)/(%d+)$")
  local bytes = M.bytes(address)
  local bits = tonumber(length)
  if not bytes or bits > #bytes * 8 then
    return nil, ("'%s' is no network such as 10.96.0.0/12"):format(network), "EINVAL"
  end
  for i = 1, #bytes do
    local kept = math.max(0, math.min(8, bits - 8 * (i - 1)))
    bytes[i] = bytes[i] & (0xff << (8 - kept)) & 0xff
  end
  local sum = (bytes[#bytes - 1] << 8 | bytes[#bytes]) + n
  bytes[#bytes - 1], bytes[#bytes] = sum >> 8 & 255, sum & 255
  return M.text(bytes)
end

return M
