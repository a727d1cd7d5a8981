-- Ansible's `ipaddr` and its like, for what configurations ask: is this an
-- address, which network, which host of it.
local address = require "kb.template.address"
local signature = require "kb.template.signature"
local values = require "kb.template.values"

local M = {}

local fail = values.fail

local function define(names, parameters, call)
  signature.define(M, names, parameters, call)
end

local queries = {}

local function with_prefix(bytes, parsed)
  return ("%s/%d"):format(address.format(bytes), parsed.prefix)
end

local function is_host(parsed)
  return not parsed.given_prefix or not address.same(parsed.bytes, address.network(parsed))
    or parsed.prefix >= #parsed.bytes * 8 - 1
end

queries[""] = function(parsed, source) return source end
queries.address = function(parsed) return is_host(parsed) and address.format(parsed.bytes) end
queries.ip = queries.address
queries.host = function(parsed) return is_host(parsed) and with_prefix(parsed.bytes, parsed) end
queries["host/prefix"] = function(parsed)
  return parsed.given_prefix and is_host(parsed) and with_prefix(parsed.bytes, parsed)
end
queries["address/prefix"] = queries["host/prefix"]
queries["ip/prefix"] = queries["host/prefix"]
queries.net = function(parsed)
  return parsed.given_prefix and address.same(parsed.bytes, address.network(parsed))
    and with_prefix(parsed.bytes, parsed)
end
queries.network = function(parsed) return address.format(address.network(parsed)) end
queries["network/prefix"] = function(parsed) return with_prefix(address.network(parsed), parsed) end
queries.subnet = queries["network/prefix"]
queries.prefix = function(parsed) return parsed.prefix end
queries.netmask = function(parsed) return address.format(address.mask(parsed)) end
queries.broadcast = function(parsed)
  return #parsed.bytes == 4 and parsed.prefix < 31 and address.format(address.last(parsed))
end
queries.size = function(parsed)
  local bits = #parsed.bytes * 8 - parsed.prefix
  return bits < 63 and 1 << bits or fail("the size of this network does not fit into 64 bits")
end
queries.version = function(parsed) return #parsed.bytes == 4 and 4 or 6 end
queries.type = function(parsed) return is_host(parsed) and "address" or "network" end
queries.ipv4 = function(parsed, source) return #parsed.bytes == 4 and source end
queries.ipv6 = function(parsed, source) return #parsed.bytes == 16 and source end
queries.first_usable = function(parsed)
  local usable = #parsed.bytes * 8 - parsed.prefix > 1
  return address.format(address.plus(address.network(parsed), usable and 1 or 0))
end
queries.last_usable = function(parsed)
  local usable = #parsed.bytes == 4 and #parsed.bytes * 8 - parsed.prefix > 1
  return address.format(address.plus(address.last(parsed), usable and -1 or 0))
end
queries.revdns = function(parsed) return is_host(parsed) and address.reverse(parsed.bytes) end
queries.wrap = function(parsed, source)
  return #parsed.bytes == 16 and "[" .. address.format(parsed.bytes) .. "]"
    .. (parsed.given_prefix and "/" .. parsed.prefix or "") or source
end
queries.private = function(parsed, source) return address.is_private(parsed.bytes) and source end
queries.public = function(parsed, source) return not address.is_private(parsed.bytes) and source end

-- A number asks for so many addresses into the network, or back from its end.
local function nth(parsed, number)
  local from = number >= 0 and address.network(parsed) or address.last(parsed)
  local found = address.plus(from, number >= 0 and number or number + 1)
  if not address.within(found, parsed) then return false end
  return with_prefix(found, parsed)
end

local function ask(value, query, version)
  local parsed = type(value) == "string" and address.parse(value)
  if not parsed or version and #parsed.bytes ~= (version == 4 and 4 or 16) then return false end
  query = query or ""
  local number = math.type(query) == "integer" and query
    or type(query) == "string" and query:find("^-?%d+$") and math.tointeger(tonumber(query))
  if number then return nth(parsed, number) end
  local net = type(query) == "string" and query:find("/") and address.parse(query)
  if net then
    return #net.bytes == #parsed.bytes and address.within(parsed.bytes, net) and value
  end
  local answer = queries[query]
  if not answer then fail(("ipaddr: unknown query '%s'"):format(tostring(query))) end
  return answer(parsed, value)
end

-- A list gives the answers of its items, without those that have none.
local function define_query(names, version)
  define(names, "query?", function(value, query)
    if values.kind(value) ~= "list" then return ask(value, query, version) or false end
    local found = values.list()
    for _, item in ipairs(value) do
      local answer = ask(item, query, version)
      if answer then found[#found + 1] = answer end
    end
    return found
  end)
end
define_query("ipaddr", nil)
define_query("ipv4", 4)
define_query("ipv6", 6)

define("ipwrap", "", function(value)
  if values.kind(value) == "list" then
    local wrapped = values.list()
    for i, item in ipairs(value) do wrapped[i] = ask(item, "wrap") or item end
    return wrapped
  end
  return ask(value, "wrap") or value
end)

define("ipsubnet", "query? index?", function(value, query, index)
  local parsed = type(value) == "string" and address.parse(value)
  if not parsed then return false end
  local prefix = math.tointeger(tonumber(query))
  if not prefix then return queries.subnet(parsed) end
  local bits = prefix - parsed.prefix
  if bits < 0 or bits > 62 or prefix > #parsed.bytes * 8 then return false end
  local count = 1 << bits
  if index == nil then return count end
  if index < 0 then index = index + count end
  if index < 0 or index >= count then return false end
  local shift = #parsed.bytes * 8 - prefix
  if shift > 62 or index > 0 and (index << shift) >> shift ~= index then
    fail("ipsubnet: this network is too large to count its subnets")
  end
  local first = address.plus(address.network(parsed), index << shift)
  return ("%s/%d"):format(address.format(first), prefix)
end)

define("nthhost", "query?", function(value, query)
  local answer = ask(value, query or 0)
  return answer and answer:match("^[^/]+") or false
end)

define("network_in_network", "test", function(value, other)
  local outer = type(value) == "string" and address.parse(value)
  local inner = type(other) == "string" and address.parse(other)
  if not outer or not inner or #outer.bytes ~= #inner.bytes then return false end
  return address.within(address.network(inner), outer)
    and address.within(address.last(inner), outer)
end)

define("ipmath", "amount", function(value, amount)
  local parsed = address.parse(value)
  if not parsed then fail(("ipmath: '%s' is no address"):format(tostring(value))) end
  return address.format(address.plus(parsed.bytes, amount))
end)

return M
