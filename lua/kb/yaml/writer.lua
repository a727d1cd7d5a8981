-- Values as YAML that every reader takes for the same: what YAML 1.1 or 1.2
-- would take for something else than text is quoted.
local core = require "kb.core.yaml"
local data = require "kb.data"
local schema = require "kb.yaml.schema"
local places = require "kb.yaml.places"

local M = {}

local writer = {}
writer.__index = writer

-- YAML 1.1 wants a dot in a float and a sign in its exponent.
local function float_text(value)
  if value ~= value then return ".nan" end
  if value == math.huge then return ".inf" end
  if value == -math.huge then return "-.inf" end
  local text
  for digits = 15, 17 do
    text = ("%." .. digits .. "g"):format(value)
    if tonumber(text) == value then break end
  end
  if not text:find "[.]" then
    text = text:find "e" and text:gsub("e", ".0e") or text .. ".0"
  end
  return text
end

function writer:needs_quotes(text)
  if self.version then
    local value = schema.resolve(text, self.version)
    return type(value) ~= "string" or text == "=" or text == "<<"
      or self.version == "1.1" and schema.ambiguous(text) and text:find "^%d%d%d%d%-" ~= nil
  end
  return schema.ambiguous(text) or type(schema.resolve(text, "1.2")) ~= "string"
end

-- A literal block cannot hold these, or would hold them where nobody sees them.
local function fits_block(text)
  return not text:find "[ \t\r]\n" and not text:find "[ \t\r]$" and not text:find "^\n"
    and not text:find "[%z\1-\8\11-\31\127]"
end

function writer:text(text, is_key)
  local style = "plain"
  if self:needs_quotes(text) then
    style = "single"
  elseif self.blocks and not is_key and text:find("\n", 1, true) and fits_block(text) then
    style = "literal"
  end
  self.emitter:scalar(text, style)
end

function writer:scalar(value, collection, key)
  local written = collection and places.original(collection, key)
  if written and not schema.ambiguous(written) then
    self.emitter:scalar(written, "plain")
  elseif math.type(value) == "float" then
    self.emitter:scalar(float_text(value), "plain")
  else
    self.emitter:scalar(tostring(value), "plain")
  end
end

-- Whether nothing in it is a collection.
local function leaf(value)
  for _, item in data.pairs(value) do
    local kind = data.kind(item)
    if kind == "map" or kind == "list" then return false end
  end
  return true
end

function writer:flows(value)
  if self.flow == "leaves" then return leaf(value) end
  return self.flow
end

local function by_text(a, b) return tostring(a) < tostring(b) end

function writer:map(map)
  self.emitter:mapping(self:flows(map))
  local keys = data.keys(map)
  if self.sort then table.sort(keys, by_text) end
  for _, key in ipairs(keys) do
    self:value(key, nil, nil, true)
    self:value(map[key], map, key)
  end
  self.emitter:close()
end

function writer:list(list)
  self.emitter:sequence(self:flows(list))
  for i, item in ipairs(list) do self:value(item, list, i) end
  self.emitter:close()
end

function writer:value(value, collection, key, is_key)
  local kind = data.kind(value)
  if kind == "map" or kind == "list" then
    return self[kind](self, value)
  elseif kind == "string" then
    return self:text(value, is_key)
  elseif kind == "number" or kind == "boolean" then
    return self:scalar(value, collection, key)
  elseif kind == "null" then
    return self.emitter:scalar("null", "plain")
  elseif self.other then
    return self:text(self.other(value), is_key)
  end
  error(("a %s cannot be written as YAML"):format(kind), 0)
end

--- Write documents.
-- @param values list
-- @param options table: see kb.yaml.dump
-- @return string
function M.write(values, options)
  local self = setmetatable({
    emitter = core.emit { indent = options.indent, width = options.width, ascii = options.ascii },
    flow = options.flow or false, sort = options.sort, other = options.other,
    blocks = options.blocks ~= false, version = options.version,
  }, writer)
  local explicit = options.explicit or #values > 1
  for _, value in ipairs(values) do
    self.emitter:document(explicit)
    self:value(value)
    self.emitter:document_end()
  end
  return self.emitter:finish()
end

return M
