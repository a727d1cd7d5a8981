-- Jinja's filters on text.
local arguments = require "kb.template.arguments"
local data = require "kb.data"
local methods = require "kb.template.methods_string"
local operators = require "kb.template.operators"
local signature = require "kb.template.signature"
local text = require "kb.template.text"
local values = require "kb.template.values"
local wrap = require "kb.template.wrap"

local M = {}

local str, given = text.str, arguments.given
local upper, lower = string.upper, string.lower

local function define(names, parameters, call)
  signature.define(M, names, parameters, call)
end

local function method(name)
  local call = methods[name].call
  return function(value, ...) return call(str(value), ...) end
end

define("upper", "", function(value)
  return upper(type(value) == "string" and value or str(value))
end)
define("lower", "", function(value)
  return lower(type(value) == "string" and value or str(value))
end)
define("capitalize", "", method "capitalize")
define("trim", "chars?", method "strip")
define("center", "width?", function(value, width)
  return methods.center.call(str(value), width or 80)
end)

-- Words begin after white space, hyphens and opening brackets.
define("title", "", function(value)
  return (str(value):gsub("[^%-%s({%[<]+", function(word)
    local first = utf8.len(word) and word:match("^" .. utf8.charpattern) or word:sub(1, 1)
    return first:upper() .. word:sub(#first + 1):lower()
  end))
end)

define("replace", "old new count?", function(value, old, new, count)
  return methods.replace.call(str(value), str(old), str(new), given(count))
end)

local function lines_of(value)
  return methods.splitlines.call(value)
end

define("indent", "width? first? blank?", function(value, width, first, blank)
  width = width or 4
  local margin = type(width) == "string" and width
    or text.repeated(" ", arguments.integer(width, "the width"))
  -- The line end added here is dropped again by the cut into lines.
  local lines = lines_of(arguments.string(value) .. "\n")
  blank = blank and operators.truth(blank)
  for i = 2, #lines do
    if blank or lines[i] ~= "" then lines[i] = margin .. lines[i] end
  end
  local result = table.concat(lines, "\n")
  if first and operators.truth(first) then return margin .. result end
  return result
end)

define("wordcount", "", function(value)
  local _, count = str(value):gsub("[%w_\128-\255]+", "")
  return count
end)

define("wordwrap", "width? break_long_words? wrapstring? break_on_hyphens?",
  function(value, width, break_long, wrapstring, hyphens)
    local wrapped = {}
    for _, line in ipairs(lines_of(arguments.string(value))) do
      local parts = wrap.wrap(line, width or 79, break_long ~= false, hyphens ~= false)
      wrapped[#wrapped + 1] = table.concat(parts, given(wrapstring) or "\n")
    end
    return table.concat(wrapped, given(wrapstring) or "\n")
  end)

define("truncate", "length? killwords? end? leeway?",
  function(value, length, kill_words, ending, leeway)
    value, length, ending = arguments.string(value), length or 255, ending or "..."
    leeway = given(leeway) or 5
    if text.length(value) <= length + leeway then return value end
    local cut = text.sub(value, 1, length - text.length(ending))
    if not (kill_words and operators.truth(kill_words)) then
      cut = cut:match("^(.*) [^ ]*$") or cut
    end
    return cut .. ending
  end)

define("format", "**", function(value, named, ...)
  local first = ...
  if named and first ~= nil then
    values.fail("'format' takes values by place or by name, not both")
  end
  return require("kb.template.format").percent(str(value),
    named and values.named_map(named) or values.tuple { ... })
end)

local function percent_encode(value, safe)
  return (str(value):gsub("[^%w_.~-]", function(byte)
    if safe:find(byte, 1, true) then return byte end
    return ("%%%02X"):format(byte:byte())
  end))
end

local function encode_for_query(value)
  return (percent_encode(value, " "):gsub(" ", "+"))
end

define("urlencode", "", function(value)
  local kind = values.kind(value)
  if kind ~= "map" and kind ~= "list" then return percent_encode(value, "/") end
  local parts = {}
  for key, item in data.pairs(value) do
    if kind == "list" then key, item = require("kb.template.access").unpack(item, 2) end
    parts[#parts + 1] = encode_for_query(key) .. "=" .. encode_for_query(item)
  end
  return table.concat(parts, "&")
end)

define("urldecode", "", function(value)
  return (str(value):gsub("+", " "):gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end)

return M
