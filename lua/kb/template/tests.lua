-- All tests by name: what may follow `is`.
local access = require "kb.template.access"
local arguments = require "kb.template.arguments"
local data = require "kb.data"
local operators = require "kb.template.operators"
local regex = require "kb.template.regex"
local signature = require "kb.template.signature"
local text = require "kb.template.text"
local values = require "kb.template.values"
local version = require "kb.template.version"

local M = {}
M.registry = {}

local kind_of, truth = values.kind, operators.truth

local function define(names, parameters, call)
  signature.define(M.registry, names, parameters, call)
end

define("defined", "", function(value) return not values.is_undefined(value) end)
define("undefined", "", values.is_undefined)
define("none", "", function(value) return value == data.null end)
define("boolean", "", function(value) return type(value) == "boolean" end)
define("true", "", function(value) return value == true end)
define("false", "", function(value) return value == false end)
define("integer", "", function(value) return math.type(value) == "integer" end)
define("float", "", function(value) return math.type(value) == "float" end)
define("number", "", function(value) return operators.number_of(value) ~= nil end)
define("string", "", function(value) return type(value) == "string" end)
define("mapping", "", function(value) return kind_of(value) == "map" end)

local SEQUENCES = { string = true, list = true, map = true }
define("sequence", "", function(value) return SEQUENCES[kind_of(value)] or false end)
define("iterable", "", function(value)
  if values.is_undefined(value) then values.fail_undefined(value) end
  return SEQUENCES[kind_of(value)] or false
end)

define("callable", "", function(value)
  if kind_of(value) == "object" then return getmetatable(value).call ~= nil end
  return type(value) == "function" or values.is_undefined(value)
end)

define("odd", "", function(value) return operators.modulo(value, 2) == 1 end)
define("even", "", function(value) return operators.modulo(value, 2) == 0 end)
define("divisibleby", "num", function(value, number)
  return operators.modulo(value, number) == 0
end)

define("eq equalto ==", "other", operators.equal)
define("ne !=", "other", function(a, b) return not operators.equal(a, b) end)
define("lt lessthan <", "other", operators.less)
define("gt greaterthan >", "other", operators.greater)
define("le <=", "other", operators.less_equal)
define("ge >=", "other", operators.greater_equal)
define("in", "seq", function(value, container) return operators.contains(container, value) end)
define("contains", "value", operators.contains)

define("sameas", "other", function(a, b)
  return rawequal(a, b) and math.type(a) == math.type(b)
end)

define("lower", "", function(value)
  value = text.str(value)
  return value:find("%l") ~= nil and not value:find("%u")
end)
define("upper", "", function(value)
  value = text.str(value)
  return value:find("%u") ~= nil and not value:find("%l")
end)
define("escaped", "", function() return false end)

define("filter", "", function(name)
  return require("kb.template.filters").registry[name] ~= nil
end)
define("test", "", function(name) return M.registry[name] ~= nil end)

local function matching(names, anchor)
  define(names, "pattern? ignorecase? multiline?", function(value, pattern, ignorecase, multiline)
    local compiled = regex.compile(pattern or "", {
      ignorecase = ignorecase and truth(ignorecase), multiline = multiline and truth(multiline) })
    return compiled:exec(text.str(value), 1, anchor) ~= nil
  end)
end
matching("match", "start")
matching("search", nil)

define("regex", "pattern? ignorecase? multiline? match_type?",
  function(value, pattern, ignorecase, multiline, match_type)
    local compiled = regex.compile(pattern or "", {
      ignorecase = ignorecase and truth(ignorecase), multiline = multiline and truth(multiline) })
    local anchors = { match = "start", fullmatch = "whole" }
    return compiled:exec(text.str(value), 1, anchors[match_type]) ~= nil
  end)

define("version version_compare", "version operator? strict? version_type?",
  function(value, other, operator, strict, version_type)
    if strict ~= nil and strict ~= data.null then
      if version_type ~= nil then values.fail("'strict' and 'version_type' exclude each other") end
      version_type = truth(strict) and "strict" or "loose"
    end
    return version.compare(text.str(value), text.str(other), operator or "eq",
      arguments.given(version_type) or "loose")
  end)

define("any", "", function(value)
  local items, count = access.items(value)
  for i = 1, count do if truth(items[i]) then return true end end
  return false
end)
define("all", "", function(value)
  local items, count = access.items(value)
  for i = 1, count do if not truth(items[i]) then return false end end
  return true
end)

local WORDS = {
  yes = true, on = true, y = true, t = true, ["1"] = true, ["true"] = true,
  no = false, off = false, n = false, f = false, ["0"] = false, ["false"] = false,
}

local function truthy(value, convert)
  if convert and truth(convert) and type(value) == "string" then
    local word = WORDS[value:lower():match("^%s*(.-)%s*$")]
    if word ~= nil then return word end
  end
  return truth(value)
end
define("truthy", "convert_bool?", truthy)
define("falsy", "convert_bool?", function(value, convert) return not truthy(value, convert) end)

local function is_subset(a, b)
  local items, count = access.items(a)
  for i = 1, count do
    if not operators.contains(b, items[i]) then return false end
  end
  return true
end
define("subset issubset", "other", is_subset)
define("superset issuperset", "other", function(a, b) return is_subset(b, a) end)

define("nan isnan", "", function(value) return value ~= value end)
define("abs is_abs", "", function(value) return arguments.string(value):sub(1, 1) == "/" end)

local function is_uri(value, schemes)
  if type(value) ~= "string" then return false end
  if schemes == nil then return true end
  local scheme = value:match("^(%a[%w+.-]*):") or ""
  return operators.contains(schemes, scheme:lower())
end
define("uri", "schemes?", is_uri)
define("url", "schemes?", function(value, schemes)
  if not is_uri(value, schemes) then return false end
  return value:find("^%a[%w+.-]*://[^/]") ~= nil or value:find("^file:") ~= nil
    or value:find("^//[^/]") ~= nil
end)
define("urn", "", function(value) return is_uri(value, values.list { "urn" }) end)

-- The results of operations, as Ansible's playbooks ask for them.
local function flag(names, key, wanted)
  define(names, "", function(result)
    local value = arguments.map(result)[key]
    return (value ~= nil and truth(value)) == wanted
  end)
end
flag("failed failure", "failed", true)
flag("succeeded success successful", "failed", false)
flag("unreachable", "unreachable", true)
flag("reachable", "unreachable", false)
flag("skipped skip", "skipped", true)
flag("changed change", "changed", true)

return M
