-- Checks of what filters and methods are given.
local access = require "kb.template.access"
local data = require "kb.data"
local text = require "kb.template.text"
local values = require "kb.template.values"

local M = {}

local fail = values.fail

local function wrong(value, expected, what)
  if values.is_undefined(value) then values.fail_undefined(value) end
  fail(("%s must be %s, not '%s'"):format(what or "the value", expected, values.type_name(value)))
end

--- Give nil for null, and any other value as it is.
function M.given(value)
  if value ~= data.null then return value end
end

--- Check that a value is an integer (booleans count as 0 and 1), and give it.
function M.integer(value, what)
  if value == true then return 1 elseif value == false then return 0 end
  if math.type(value) ~= "integer" then wrong(value, "an integer", what) end
  return value
end

--- Check that a value is a number (booleans count as 0 and 1), and give it.
function M.number(value, what)
  if value == true then return 1 elseif value == false then return 0 end
  if type(value) ~= "number" then wrong(value, "a number", what) end
  return value
end

--- Check that a value is a string, and give it.
function M.string(value, what)
  if type(value) ~= "string" then wrong(value, "a string", what) end
  return value
end

--- Check that a value is a map, and give it.
function M.map(value, what)
  if values.kind(value) ~= "map" then wrong(value, "a map", what) end
  return value
end

--- Check that a value is a list, and give it.
function M.list(value, what)
  if values.kind(value) ~= "list" then wrong(value, "a list", what) end
  return value
end

--- Give a copy of the items of a value, as a Lua table, with its length.
function M.items(value)
  local items, count = access.items(value)
  return table.move(items, 1, count, 1, {}), count
end

local function itself(item) return item end

--- Make a function that reads an attribute of items, as Jinja's filters do.
-- @param attribute string such as "a.b.0", an integer, or nil for the item itself
-- @param default any or nil: for what has no such attribute
-- @param finish function or nil: applied to what was read
function M.getter(attribute, default, finish)
  attribute, default = M.given(attribute), M.given(default)
  if attribute == nil and default == nil then return finish or itself end
  local parts = {}
  if type(attribute) == "string" then
    for part in (attribute .. "."):gmatch("([^.]*)%.") do
      parts[#parts + 1] = part:find("^%d+$") and math.tointeger(tonumber(part)) or part
    end
  elseif attribute ~= nil then
    parts[1] = attribute
  end
  return function(item)
    for _, part in ipairs(parts) do
      item = access.item(item, part)
      if default ~= nil and values.is_undefined(item) then item = default end
    end
    if finish then return finish(item) end
    return item
  end
end

--- Turn strings into lower case, and leave other values.
function M.fold_case(value)
  if type(value) == "string" then return value:lower() end
  return value
end

--- Give the text of a value, as Python's str().
M.text = text.str

return M
