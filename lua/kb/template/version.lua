-- Comparison of version numbers, in the ways Ansible's `version` test knows.
local values = require "kb.template.values"

local M = {}

local fail = values.fail

local OPERATORS = {
  ["=="] = "eq", ["="] = "eq", ["<"] = "lt", ["<="] = "le", [">"] = "gt", [">="] = "ge",
  ["!="] = "ne", ["<>"] = "ne",
}
local ANSWERS = {
  eq = function(order) return order == 0 end, ne = function(order) return order ~= 0 end,
  lt = function(order) return order < 0 end, le = function(order) return order <= 0 end,
  gt = function(order) return order > 0 end, ge = function(order) return order >= 0 end,
}

local function order_of(a, b)
  if a == b then return 0 end
  return a < b and -1 or 1
end

-- Loose: runs of digits and runs of lower-case letters, in turn.
local function loose_parts(version)
  local parts = {}
  for _, run in version:gsub("(%d+)", "\0%1\0"):gsub("(%l+)", "\0%1\0")
    :gsub("%.", "\0"):gmatch("()(%Z+)") do
    parts[#parts + 1] = math.tointeger(tonumber(run)) or run
  end
  return parts
end

local function compare_parts(a, b)
  for i = 1, math.max(#a, #b) do
    local x, y = a[i], b[i]
    if x == nil then return -1 elseif y == nil then return 1 end
    if type(x) ~= type(y) then
      fail(("Version comparison failed: '%s' against '%s'"):format(x, y))
    end
    if x ~= y then return order_of(x, y) end
  end
  return 0
end

local function compare_loose(a, b)
  return compare_parts(loose_parts(a), loose_parts(b))
end

-- Strict: two or three numbers, and perhaps `a` or `b` with a number.
local function strict_parts(version)
  local major, minor, patch, tag, number = version:match("^(%d+)%.(%d+)%.?(%d*)([ab]?)(%d*)$")
  if not major or (tag == "") ~= (number == "") then
    fail(("invalid version number '%s'"):format(version))
  end
  -- What has no tag comes after what has one.
  return { tonumber(major), tonumber(minor), tonumber(patch) or 0,
    tag == "" and "z" or tag, tonumber(number) or 0 }
end

local function compare_strict(a, b)
  return compare_parts(strict_parts(a), strict_parts(b))
end

local function semantic_parts(version)
  local major, minor, patch, rest = version:match("^(%d+)%.(%d+)%.(%d+)(.*)$")
  local release = rest and rest:match("^%-([%w.-]+)")
  if not major or rest ~= "" and not rest:find("^[-+]") then
    fail(("invalid semantic version '%s'"):format(version))
  end
  local before = {}
  for part in (release or ""):gmatch("[^.]+") do before[#before + 1] = part end
  return { tonumber(major), tonumber(minor), tonumber(patch) }, before
end

local function compare_identifiers(a, b)
  local x, y = tonumber(a), tonumber(b)
  if x and y then return order_of(x, y) end
  if x or y then return x and -1 or 1 end
  return order_of(a, b)
end

local function compare_semantic(a, b)
  local core_a, before_a = semantic_parts(a)
  local core_b, before_b = semantic_parts(b)
  local order = compare_parts(core_a, core_b)
  if order ~= 0 then return order end
  if #before_a == 0 or #before_b == 0 then
    return order_of(#before_a == 0 and 1 or 0, #before_b == 0 and 1 or 0)
  end
  for i = 1, math.min(#before_a, #before_b) do
    order = compare_identifiers(before_a[i], before_b[i])
    if order ~= 0 then return order end
  end
  return order_of(#before_a, #before_b)
end

local KINDS = {
  loose = compare_loose, strict = compare_strict,
  semver = compare_semantic, semantic = compare_semantic,
}

--- Compare two versions.
-- @param a string
-- @param b string
-- @param operator string: "eq", "<=", ...
-- @param kind string: "loose", "strict", "semver" or "semantic"
-- @return boolean
function M.compare(a, b, operator, kind)
  if a == "" or b == "" then fail("a version to compare cannot be empty") end
  local answer = ANSWERS[OPERATORS[operator] or operator]
  if not answer then fail(("no operator '%s' for versions"):format(tostring(operator))) end
  local compare = KINDS[kind]
  if not compare then
    fail(("no version type '%s', only loose, strict, semver, semantic"):format(tostring(kind)))
  end
  return answer(compare(a, b))
end

return M
