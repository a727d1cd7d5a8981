-- IPv4 and IPv6 addresses as lists of 4 or 16 bytes, with the length of the
-- network's prefix.
local M = {}

local function parse_v4(text)
  local bytes = { text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$") }
  if #bytes ~= 4 then return nil end
  for i, digits in ipairs(bytes) do
    bytes[i] = math.tointeger(tonumber(digits))
    if bytes[i] > 255 or #digits > 1 and digits:sub(1, 1) == "0" then return nil end
  end
  return bytes
end

local function append_groups(text, bytes)
  if text == "" then return true end
  local groups = {}
  for group in (text .. ":"):gmatch("([^:]*):") do groups[#groups + 1] = group end
  for i, group in ipairs(groups) do
    local v4 = i == #groups and parse_v4(group)
    if v4 then
      table.move(v4, 1, 4, #bytes + 1, bytes)
    else
      if not group:find("^%x%x?%x?%x?$") then return false end
      local number = tonumber(group, 16)
      bytes[#bytes + 1], bytes[#bytes + 2] = number >> 8, number & 255
    end
  end
  return true
end

local function parse_v6(text)
  local head, tail = text:match("^(.-)::(.*)$")
  local first, last = {}, {}
  if not append_groups(head or text, first) or not append_groups(tail or "", last) then
    return nil
  end
  local missing = 16 - #first - #last
  if missing < 0 or not head and missing > 0 or head and missing < 2 then return nil end
  for _ = 1, missing do first[#first + 1] = 0 end
  return table.move(last, 1, #last, #first + 1, first)
end

local function prefix_of_mask(text)
  local bytes = parse_v4(text)
  if not bytes then return nil end
  local bits = bytes[1] << 24 | bytes[2] << 16 | bytes[3] << 8 | bytes[4]
  for prefix = 0, 32 do
    if bits == (0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF then return prefix end
  end
end

--- Read an address, with or without a prefix or netmask after a slash.
-- @return table: `bytes`, `prefix`, `given_prefix`; or nil
function M.parse(text)
  local host, suffix = text:match("^%s*([^/%s]+)/?([^/%s]*)%s*$")
  if not host or text:find("/%s*$") then return nil end
  local bytes = parse_v4(host) or host:find(":") and parse_v6(host)
  if not bytes then return nil end
  local bits = #bytes * 8
  if suffix == "" then return { bytes = bytes, prefix = bits, given_prefix = false } end
  local prefix = suffix:find("^%d+$") and math.tointeger(tonumber(suffix))
    or #bytes == 4 and prefix_of_mask(suffix)
  if not prefix or prefix > bits then return nil end
  return { bytes = bytes, prefix = prefix, given_prefix = true }
end

-- The longest run of zero groups, the first of equals; one alone is not shortened.
local function longest_zeros(groups)
  local best_from, best_length, from = nil, 1, nil
  for i = 1, #groups + 1 do
    if groups[i] == 0 then
      from = from or i
    else
      if from and i - from > best_length then best_from, best_length = from, i - from end
      from = nil
    end
  end
  return best_from, best_length
end

local function format_groups(groups, from, to)
  local parts = {}
  for i = from, to do parts[#parts + 1] = ("%x"):format(groups[i]) end
  return table.concat(parts, ":")
end

--- Write an address in its usual form.
function M.format(bytes)
  if #bytes == 4 then return table.concat(bytes, ".") end
  local groups = {}
  for i = 1, 16, 2 do groups[#groups + 1] = bytes[i] << 8 | bytes[i + 1] end
  local from, length = longest_zeros(groups)
  if not from then return format_groups(groups, 1, 8) end
  return format_groups(groups, 1, from - 1) .. "::" .. format_groups(groups, from + length, 8)
end

--- Give the netmask of a prefix, as bytes.
function M.mask(parsed)
  local bytes = {}
  for i = 1, #parsed.bytes do
    local bits = math.max(0, math.min(8, parsed.prefix - (i - 1) * 8))
    bytes[i] = (0xFF << (8 - bits)) & 0xFF
  end
  return bytes
end

--- Give the first address of a network, as bytes.
function M.network(parsed)
  local mask, bytes = M.mask(parsed), {}
  for i, byte in ipairs(parsed.bytes) do bytes[i] = byte & mask[i] end
  return bytes
end

--- Give the last address of a network, as bytes.
function M.last(parsed)
  local mask, bytes = M.mask(parsed), {}
  for i, byte in ipairs(parsed.bytes) do bytes[i] = byte | (~mask[i] & 0xFF) end
  return bytes
end

--- Add a number to an address; it wraps around.
function M.plus(bytes, number)
  local sum = {}
  for i = #bytes, 1, -1 do
    number = number + bytes[i]
    sum[i] = number & 0xFF
    number = number >= 0 and number >> 8 or -((-number + 255) >> 8)
  end
  return sum
end

--- Say whether two addresses are the same.
function M.same(a, b)
  return table.concat(a, ".") == table.concat(b, ".")
end

--- Say whether an address lies in a network.
function M.within(bytes, net)
  return M.same(M.network { bytes = bytes, prefix = net.prefix }, M.network(net))
end

--- Give the name that reverse DNS has for an address.
function M.reverse(bytes)
  local parts = {}
  for i = #bytes, 1, -1 do
    if #bytes == 4 then
      parts[#parts + 1] = tostring(bytes[i])
    else
      parts[#parts + 1] = ("%x.%x"):format(bytes[i] & 15, bytes[i] >> 4)
    end
  end
  return table.concat(parts, ".") .. (#bytes == 4 and ".in-addr.arpa." or ".ip6.arpa.")
end

local PRIVATE = {}
for i, net in ipairs { "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7" } do
  PRIVATE[i] = M.parse(net)
end

--- Say whether an address belongs to a private network.
function M.is_private(bytes)
  for _, net in ipairs(PRIVATE) do
    if #net.bytes == #bytes and M.within(bytes, net) then return true end
  end
  return false
end

return M
