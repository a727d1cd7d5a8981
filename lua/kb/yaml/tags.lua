-- What `!!int`, `!!binary` and their like make of a value. A tag nobody knows
-- is an error: to ignore it would be to read something else than was written.
local data = require "kb.data"
local schema = require "kb.yaml.schema"

local M = {}

local STANDARD = "tag:yaml.org,2002:"

local function short(tag)
  if tag:sub(1, #STANDARD) == STANDARD then return "!!" .. tag:sub(#STANDARD + 1) end
  return tag
end

local function unknown(reader, event)
  local tag = short(event.tag)
  if tag:find "^!!python/" then
    reader:fail(event, "the tag %s would make a Python object; only plain data is read", tag)
  elseif tag == "!vault" then
    reader:fail(event, "this value is encrypted by Ansible's vault; "
      .. "vault files are not supported yet")
  end
  reader:fail(event, "the tag %s is not known here", tag)
end

local function typed(wanted)
  return function(reader, event)
    local value = schema.resolve(event.value, reader.version)
    if wanted == "float" and math.type(value) == "integer" then value = value + 0.0 end
    local found = value == data.null and "null" or math.type(value) or type(value)
    if found ~= wanted then
      reader:fail(event, "%q is not a value of the type %s", event.value, short(event.tag))
    end
    return value
  end
end

local alphabet = {}
for i, letter in utf8.codes "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" do
  alphabet[string.char(letter)] = i - 1
end

alphabet["="] = 0

local function binary(reader, event)
  local text = event.value:gsub("%s", "")
  if #text % 4 ~= 0 or text:find "=[^=]" or text:find "[^%w+/=]" or text:find "===" then
    reader:fail(event, "this is not base64")
  end
  local out = text:gsub("(.)(.)(.)(.)", function(a, b, c, d)
    local bits = alphabet[a] << 18 | alphabet[b] << 12 | alphabet[c] << 6 | alphabet[d]
    return string.char(bits >> 16, bits >> 8 & 255, bits & 255)
      :sub(1, c == "=" and 1 or d == "=" and 2 or 3)
  end)
  return out
end

local function as_text(_, event) return event.value end

local scalars = {
  ["!"] = as_text,
  ["!!str"] = as_text,
  ["!!timestamp"] = as_text,
  ["!!int"] = typed "integer",
  ["!!float"] = typed "float",
  ["!!bool"] = typed "boolean",
  ["!!null"] = typed "null",
  ["!!binary"] = binary,
}

--- The value of a scalar that has a tag.
-- @param reader table: of kb.yaml.reader
-- @param event table
-- @return the value
function M.scalar(reader, event)
  local make = reader.tags[short(event.tag)]
  if make then return make(event.value, reader.name, event.line) end
  return (scalars[short(event.tag)] or unknown)(reader, event)
end

--- The value of a sequence, which may have a tag.
function M.sequence(reader, event, list)
  local tag = event.tag and short(event.tag)
  if tag and tag ~= "!" and tag ~= "!!seq" then unknown(reader, event) end
  return list
end

--- The value of a mapping, which may have a tag.
function M.mapping(reader, event, map)
  local tag = event.tag and short(event.tag)
  if tag and tag ~= "!" and tag ~= "!!map" and tag ~= "!!set" then unknown(reader, event) end
  return map
end

return M
