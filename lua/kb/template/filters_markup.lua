-- Jinja's filters for HTML and XML. Nothing is ever escaped on its own, and
-- escaped text is plain text: escaping it again escapes it twice.
local arguments = require "kb.template.arguments"
local data = require "kb.data"
local json = require "kb.template.json"
local signature = require "kb.template.signature"
local text = require "kb.template.text"
local values = require "kb.template.values"

local M = {}

local function define(names, parameters, call)
  signature.define(M, names, parameters, call)
end

local ENTITIES = {
  ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ["'"] = "&#39;", ['"'] = "&#34;",
}

local function escape(value)
  return (text.str(value):gsub("[&<>'\"]", ENTITIES))
end

define("escape e forceescape", "", escape)

local NAMED = { amp = "&", lt = "<", gt = ">", quot = '"', apos = "'", nbsp = "\194\160" }

local function unescape(entity)
  local hex, decimal = entity:match("^#[xX](%x+)$"), entity:match("^#(%d+)$")
  local point = hex and tonumber(hex, 16) or tonumber(decimal)
  return point and utf8.char(point) or NAMED[entity]
end

define("striptags", "", function(value)
  local plain = text.str(value):gsub("<!%-%-.-%-%->", ""):gsub("<[^>]*>", "")
  plain = plain:gsub("%s+", " "):gsub("^ ", ""):gsub(" $", "")
  return (plain:gsub("&(#?%w+);", unescape))
end)

define("xmlattr", "autospace?", function(value, autospace)
  local parts = {}
  for key, item in data.pairs(arguments.map(value)) do
    if text.str(key):find("[%s/>=]") then
      values.fail("invalid character in attribute name: " .. text.str(key))
    end
    if item ~= data.null and not values.is_undefined(item) then
      parts[#parts + 1] = ('%s="%s"'):format(escape(key), escape(item))
    end
  end
  local all = table.concat(parts, " ")
  if all ~= "" and autospace ~= false then return " " .. all end
  return all
end)

local HTML_SAFE = { ["<"] = "\\u003c", [">"] = "\\u003e", ["&"] = "\\u0026", ["'"] = "\\u0027" }

define("tojson", "indent?", function(value, indent)
  local encoded = json.encode(value, { indent = arguments.given(indent), sort = true })
  return (encoded:gsub("[<>&']", HTML_SAFE))
end)

return M
