-- Plain values with two things Lua tables lack: an order of keys, and a
-- difference between an empty list and an empty map. Inventories, facts and
-- templates all speak in these values; reading them is ordinary table access.
local M = {}

--- The null of YAML and JSON: a value that is there and says "nothing".
-- Lua's nil cannot be stored, so `null` stands for it inside maps and lists.
M.null = setmetatable({}, {
  kb_kind = "null",
  __tostring = function() return "null" end,
  __newindex = function() error("data.null cannot be given fields", 2) end,
})

local LIST = { kb_kind = "list", __name = "kb.list" }

-- The metatable of a map holds its keys in order at 1..n, and in `at` where
-- each key stands. A key set to nil keeps its place here until it is set
-- again; iteration passes over it.
local function map_add(map, key, value)
  if value == nil then return end
  local order = getmetatable(map)
  local at = order.at
  if at[key] then
    table.remove(order, at[key])
    for i = at[key], #order do at[order[i]] = i end
  end
  local place = #order + 1
  order[place] = key
  at[key] = place
  rawset(map, key, value)
end

local function map_next(state)
  local order, map = state.order, state.map
  local place = state.place
  local key
  repeat
    place = place + 1
    key = order[place]
    if key == nil then return nil end
  until map[key] ~= nil
  state.place = place
  return key, map[key]
end

local function map_pairs(map)
  return map_next, { map = map, order = getmetatable(map), place = 0 }
end

--- Make a map that keeps its keys in the order they were first set.
-- Assigning to a key that is there keeps its place; assigning nil removes it.
-- `pairs` walks it in order too.
-- @param entries table or nil: a sequence of `{ key, value }` to start with
-- @return table: the map
function M.map(entries)
  local map = setmetatable({}, {
    kb_kind = "map",
    __name = "kb.map",
    __newindex = map_add,
    __pairs = map_pairs,
    at = {},
  })
  for _, entry in ipairs(entries or {}) do map[entry[1]] = entry[2] end
  return map
end

--- Mark a sequence as a list, so that it is one also when it is empty.
-- @param sequence table or nil: the values at 1..n; it is marked, not copied
-- @return table: the same table
function M.list(sequence)
  return setmetatable(sequence or {}, LIST)
end

--- Say what a value is.
-- A table without a mark is a list when it has a value at 1, and a map when it
-- has none. A metatable may say `kb_kind` for values of its own.
-- @param value any
-- @return string: "map", "list", "null", "object" (a table with a metatable
--   that does not say), or Lua's own type name
function M.kind(value)
  local kind = type(value)
  if kind ~= "table" then return kind end
  local meta = getmetatable(value)
  if type(meta) == "table" then return rawget(meta, "kb_kind") or "object" end
  return value[1] ~= nil and "list" or "map"
end

local function key_before(a, b)
  local kind_a, kind_b = type(a), type(b)
  if kind_a ~= kind_b then return kind_a < kind_b end
  if kind_a == "number" or kind_a == "string" then return a < b end
  return tostring(a) < tostring(b)
end

--- The keys of a plain table, sorted.
-- @param plain table
-- @return list
function M.sorted_keys(plain)
  local keys = {}
  for key in next, plain do keys[#keys + 1] = key end
  table.sort(keys, key_before)
  return keys
end

--- Walk a map in its order, a list by place, and a plain table by sorted keys.
-- Sorted, so that what is printed from a plain table is the same in every run.
-- The map must not gain keys while it is walked.
-- @param value table
-- @return the three values of a generic `for`: key and value at each step
function M.pairs(value)
  local meta = getmetatable(value)
  if meta and meta.__pairs then return pairs(value) end
  if M.kind(value) == "list" then return ipairs(value) end
  local keys, place = M.sorted_keys(value), 0
  return function()
    place = place + 1
    local key = keys[place]
    if key ~= nil then return key, value[key] end
  end
end

--- Collect the keys of a map in the order `pairs` of this module has.
-- @param map table
-- @return table: a list of keys
function M.keys(map)
  local keys = M.list {}
  for key in M.pairs(map) do keys[#keys + 1] = key end
  return keys
end

--- Count the entries of a list or a map.
-- @param value table
-- @return integer
function M.length(value)
  if M.kind(value) == "list" then return #value end
  local count = 0
  for _ in M.pairs(value) do count = count + 1 end
  return count
end

local function copy(value, seen)
  local kind = M.kind(value)
  if kind ~= "map" and kind ~= "list" then return value end
  if seen[value] then return seen[value] end
  local twin = kind == "map" and M.map() or M.list {}
  seen[value] = twin
  for key, item in M.pairs(value) do twin[key] = copy(item, seen) end
  return twin
end

--- Copy a value with everything in it.
-- Maps and lists become new ones of the same order; other values are shared.
-- What was one table in several places is one table in the copy.
-- @param value any
-- @return any
function M.copy(value)
  return copy(value, {})
end

--- Lay one map over another.
-- What is a map in both is merged in the same way; all else is that of the
-- second, where it has it.
-- @param below table: a map
-- @param above table: a map
-- @return table: a new map
function M.merge(below, above)
  local merged = M.map()
  for key, value in M.pairs(below) do merged[key] = value end
  for key, value in M.pairs(above) do
    local both = M.kind(value) == "map" and M.kind(merged[key]) == "map"
    merged[key] = both and M.merge(merged[key], value) or value
  end
  return merged
end

--- Compare two values by content.
-- The order of a map's keys does not count. Values that hold themselves are
-- not supported.
-- @param a any
-- @param b any
-- @return boolean
function M.equal(a, b)
  if a == b then return true end
  local kind = M.kind(a)
  if kind ~= M.kind(b) or (kind ~= "map" and kind ~= "list") then return false end
  if M.length(a) ~= M.length(b) then return false end
  for key, item in M.pairs(a) do
    local other = b[key]
    if other == nil or not M.equal(item, other) then return false end
  end
  return true
end

return M
