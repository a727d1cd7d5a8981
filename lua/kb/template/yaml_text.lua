-- YAML as Ansible's to_yaml and to_nice_yaml write it, to the byte.
local data = require "kb.data"
local scalar = require "kb.template.yaml_scalar"
local sorting = require "kb.template.sorting"
local text = require "kb.template.text"
local values = require "kb.template.values"

local M = {}

local kind_of = values.kind

local Writer = {}
Writer.__index = Writer

function Writer:put(piece)
  self.parts[#self.parts + 1] = piece
  self.column = self.column + text.length(piece)
end

function Writer:newline(indent)
  self.parts[#self.parts + 1] = "\n" .. (" "):rep(indent)
  self.column = indent
end

local FLOATS = { inf = ".inf", ["-inf"] = "-.inf", nan = ".nan" }

local function float_text(number)
  local written = text.float_text(number)
  if FLOATS[written] then return FLOATS[written] end
  if written:find("e") and not written:find("%.") then written = written:gsub("e", ".0e") end
  return written
end

local SCALARS = {
  null = function() return "null" end, integer = tostring, float = float_text,
  boolean = tostring,
}

function Writer:scalar(value, indent, in_flow, is_key)
  local kind = kind_of(value)
  if SCALARS[kind] then
    self:put(SCALARS[kind](value))
    return
  end
  if kind ~= "string" and kind ~= "foreign" then
    values.fail(("'%s' cannot become YAML"):format(values.type_name(value)))
  end
  scalar.write(self, text.str(value), indent, in_flow, is_key)
end

local function is_collection(value)
  local kind = kind_of(value)
  return kind == "list" or kind == "map"
end

-- Collections stand in one line when empty, when asked, and, with "leaves",
-- when they hold scalars only.
function Writer:is_flow(value)
  if next(value) == nil or self.flow == true then return true end
  if self.flow ~= "leaves" then return false end
  for key, item in data.pairs(value) do
    if is_collection(item) or is_collection(key) then return false end
  end
  return true
end

function Writer:keys(map)
  local keys = data.keys(map)
  return self.sort and sorting.sorted(keys) or keys
end

-- What stands between two items in flow style.
function Writer:next_flow_item(place, indent)
  if place > 1 then self:put(",") end
  if self.column > self.width then
    self:newline(indent)
  elseif place > 1 then
    self:put(" ")
  end
end

function Writer:flow_list(list, indent)
  local inner = indent + self.indent
  self:put("[")
  for place, item in ipairs(list) do
    self:next_flow_item(place, inner)
    self:flow_node(item, inner)
  end
  self:put("]")
end

function Writer:flow_map(map, indent)
  local inner = indent + self.indent
  self:put("{")
  for place, key in ipairs(self:keys(map)) do
    self:next_flow_item(place, inner)
    self:scalar(key, inner + self.indent, true, true)
    self:put(": ")
    self:flow_node(map[key], inner)
  end
  self:put("}")
end

function Writer:flow_node(value, indent)
  local kind = kind_of(value)
  if kind == "list" then
    self:flow_list(value, indent)
  elseif kind == "map" then
    self:flow_map(value, indent)
  else
    self:scalar(value, indent + self.indent, true, false)
  end
end

function Writer:block_list(list, indent)
  for place, item in ipairs(list) do
    if place > 1 then self:newline(indent) end
    self:put("-")
    if is_collection(item) and not self:is_flow(item) then
      self:put((" "):rep(self.indent - 1))
      self:block_node(item, indent + self.indent)
    else
      self:put(" ")
      self:block_node(item, indent)
    end
  end
end

function Writer:block_map(map, indent)
  for place, key in ipairs(self:keys(map)) do
    if place > 1 then self:newline(indent) end
    self:scalar(key, indent + self.indent, false, true)
    self:put(":")
    local item = map[key]
    if is_collection(item) and not self:is_flow(item) then
      local inner = kind_of(item) == "list" and indent or indent + self.indent
      self:newline(inner)
      self:block_node(item, inner)
    else
      self:put(" ")
      self:block_node(item, indent)
    end
  end
end

function Writer:block_node(value, indent)
  self.depth = self.depth + 1
  if self.depth > 200 then
    values.fail("the value is nested too deep for YAML, or holds itself")
  end
  if not is_collection(value) then
    self:scalar(value, indent + self.indent, false, false)
  elseif self:is_flow(value) then
    self:flow_node(value, indent)
  elseif kind_of(value) == "list" then
    self:block_list(value, indent)
  else
    self:block_map(value, indent)
  end
  self.depth = self.depth - 1
end

--- Write a value as a YAML document.
-- @param value any
-- @param options table: `indent`, `width`, `sort` (boolean), `flow` (true, false
--   or "leaves")
-- @return string
function M.dump(value, options)
  local writer = setmetatable({
    parts = {}, column = 0, depth = 0, indent = options.indent, width = options.width,
    sort = options.sort, flow = options.flow,
  }, Writer)
  writer:block_node(value, 0)
  writer:put("\n")
  return table.concat(writer.parts)
end

return M
