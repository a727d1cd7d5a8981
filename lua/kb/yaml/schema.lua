-- What a plain (unquoted) scalar is: the core schema of YAML 1.2, and YAML 1.1
-- as PyYAML, and so Ansible, reads it.
local lpeg = require "lpeg"
local data = require "kb.data"

local M = {}

local P, R, S, C, Cc = lpeg.P, lpeg.R, lpeg.S, lpeg.C, lpeg.Cc
local digit, octal, hex = R "09", R "07", R("09", "af", "AF")
local sign = S "+-" ^ -1
local END = -P(1)

local function words(...)
  local pattern = P(false)
  for _, word in ipairs { ... } do pattern = pattern + P(word) end
  return pattern * END
end

-- A whole number that 64 bits cannot hold would silently change as a float.
local function integer(text, base)
  local negative = text:sub(1, 1) == "-"
  local value = 0
  for digit_text in text:gsub("^[+-]", ""):gmatch "." do
    local d = tonumber(digit_text, 16)
    if value > (math.maxinteger - d) // base then
      return nil, "the whole number " .. text .. " does not fit in 64 bits; quote it if it is text"
    end
    value = value * base + d
  end
  return negative and -value or value
end

local function decimal(text) return integer(text, 10) end
local function real(text) return tonumber(text) end

local function special(text)
  local letter = text:sub(-1):lower()
  if letter == "n" then return 0 / 0 end
  return text:sub(1, 1) == "-" and -math.huge or math.huge
end

-- Each alternative captures a maker and the text it is given.
local function read_by(maker, pattern) return Cc(maker) * C(pattern) * END end
local function constant(value) return function() return value end end

local null = read_by(constant(data.null), P "null" + "Null" + "NULL" + "~" + "")
local infinity = sign * (P ".inf" + ".Inf" + ".INF") + P ".nan" + ".NaN" + ".NAN"

local exponent = S "eE" * sign * digit ^ 1
local core = null
  + read_by(constant(true), P "true" + "True" + "TRUE")
  + read_by(constant(false), P "false" + "False" + "FALSE")
  + read_by(decimal, sign * digit ^ 1)
  + P "0o" * read_by(function(text) return integer(text, 8) end, octal ^ 1)
  + P "0x" * read_by(function(text) return integer(text, 16) end, hex ^ 1)
  + read_by(real, sign * (P "." * digit ^ 1 + digit ^ 1 * (P "." * digit ^ 0) ^ -1) * exponent ^ -1)
  + read_by(special, infinity)

local function bare(text) return (text:gsub("_", "")) end

-- 0b, 0x, a leading 0 for octal, and 60 as a base: 22:30 is 1350.
local function integer_11(text)
  local negative, digits = text:match "^([+-]?)(.*)$"
  digits = bare(digits)
  local base = 10
  if digits:find "^0b" then base, digits = 2, digits:sub(3)
  elseif digits:find "^0x" then base, digits = 16, digits:sub(3)
  elseif digits:find "^0." then base, digits = 8, digits:sub(2) end
  if digits == "" then return nil, "a number without digits: " .. text end
  return integer((negative == "-" and "-" or "") .. digits, base)
end

local function sexagesimal(text)
  local negative, places = text:match "^([+-]?)(.*)$"
  local value = 0
  for place in bare(places):gmatch "[^:]+" do
    local number = place:find(".", 1, true) and real(place) or integer(place, 10)
    if not number or (math.type(value) == "integer" and value > math.maxinteger // 60 - 60) then
      return nil, "the number " .. text .. " does not fit in 64 bits; quote it if it is text"
    end
    value = value * 60 + number
  end
  return negative == "-" and -value or value
end

local digit_ = digit + "_"
local signed_exponent = S "eE" * S "+-" * digit ^ 1
local minutes = (P ":" * (R "05" * digit + digit)) ^ 1

local legacy = null
  + read_by(constant(true), P "yes" + "Yes" + "YES" + "true" + "True" + "TRUE" + "on" + "On" + "ON")
  + read_by(constant(false),
    P "no" + "No" + "NO" + "false" + "False" + "FALSE" + "off" + "Off" + "OFF")
  + read_by(integer_11, sign * (P "0b" * S "01_" ^ 1 + P "0x" * (hex + "_") ^ 1))
  + read_by(integer_11, sign * P "0" * (octal + "_") ^ 1)
  + read_by(integer_11, sign * (R "19" * digit_ ^ 0 + P "0"))
  + read_by(sexagesimal, sign * R "19" * digit_ ^ 0 * minutes)
  + read_by(function(text) return real(bare(text)) end,
    sign * digit * digit_ ^ 0 * "." * digit_ ^ 0 * signed_exponent ^ -1
    + P "." * digit * digit_ ^ 0 * signed_exponent ^ -1)
  + read_by(sexagesimal, sign * digit * digit_ ^ 0 * minutes * "." * digit_ ^ 0)
  + read_by(special, infinity)

local schemas = { ["1.2"] = core, ["1.1"] = legacy }

-- Anything else is text in both: the quick way out for nearly all scalars.
local may_be_other = S "+-.0123456789~nNtTfFyYoO" + END

--- Say what a plain scalar is.
-- @param text string
-- @param version string: "1.2" or "1.1"
-- @return the value: the text itself, a number, a boolean or `data.null`; nil
--   and a message when it is a number that cannot be held
function M.resolve(text, version)
  if not may_be_other:match(text) then return text end
  local maker, part = schemas[version]:match(text)
  if not maker then return text end
  return maker(part)
end

local date = digit ^ 4 * "-" * digit * digit ^ -1 * "-" * digit * digit ^ -1
local yes_or_no = words("y", "Y", "n", "N") -- text to PyYAML, though not to all
local ambiguous = yes_or_no + words("=", "<<") + date

--- Whether another reader of YAML could take a plain scalar for something
-- other than what it is here: one of the other version, a date, y and n.
-- @param text string
-- @return boolean
function M.ambiguous(text)
  if not (may_be_other + S "<="):match(text) then return false end
  if ambiguous:match(text) then return true end
  local new, old = M.resolve(text, "1.2"), M.resolve(text, "1.1")
  return not (rawequal(new, old) and math.type(new) == math.type(old)) and new == new
end

local function say(value)
  if type(value) == "string" then return "text" end
  return tostring(value)
end

--- What to warn of in a plain scalar: that the versions differ, or that a
-- number is written as versions of software are.
-- @param text string
-- @param version string: the one it is read by
-- @return string or nil
-- @return string or nil: "boolean", "number", "date" or "version"
function M.warning(text, version)
  if not may_be_other:match(text) then return nil end
  local new, old = M.resolve(text, "1.2"), M.resolve(text, "1.1")
  if text:find "^%d+%.%d*0$" then
    return ("%s is the number %s; quote it if it is a version"):format(text, new), "version"
  end
  if date:match(text) then
    return text .. " is a date to YAML 1.1 and text here; quote it", "date"
  end
  if yes_or_no:match(text) or not M.ambiguous(text) then return nil end
  return ("%s is %s to YAML 1.1 and %s to YAML 1.2; read as %s here: quote it, or write it "
    .. "so that it is the same in both"):format(text, say(old), say(new), version),
    type(old) == "boolean" and "boolean" or "number"
end

return M
