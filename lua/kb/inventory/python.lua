-- The literals of Python that values in an INI inventory may be: numbers,
-- quoted strings, True, False, None, lists, tuples and dicts. Anything else is
-- text as it stands.
local lpeg = require "lpeg"
local data = require "kb.data"

local M = {}

local P, R, S, V = lpeg.P, lpeg.R, lpeg.S, lpeg.V
local C, Cc, Cf, Cg, Cs, Ct = lpeg.C, lpeg.Cc, lpeg.Cf, lpeg.Cg, lpeg.Cs, lpeg.Ct

local space = S " \t" ^ 0
local digits = R "09" * (P "_" ^ -1 * R "09") ^ 0

local function number(text)
  text = text:gsub("_", "")
  return math.tointeger(tonumber(text, 10)) or tonumber(text)
end

local function based(base)
  return function(text) return tonumber((text:gsub("_", "")), base) end
end

local exponent = S "eE" * S "+-" ^ -1 * digits
local real = (digits * "." * digits ^ -1 + "." * digits) * exponent ^ -1 + digits * exponent
-- A whole number of Python does not begin with 0 unless it is 0: 0644 is text.
local whole = R "19" * (P "_" ^ -1 * R "09") ^ 0 + P "0" ^ 1 * -R "09"
local unsigned = P "0" * S "xX" * (C(R("09", "af", "AF") ^ 1) / based(16))
  + P "0" * S "oO" * (C(R "07" ^ 1) / based(8))
  + P "0" * S "bB" * (C(S "01" ^ 1) / based(2))
  + C(real) / function(text) return tonumber((text:gsub("_", ""))) end
  + C(whole) / number

local function negate(value) return -value end

local escapes = { n = "\n", t = "\t", r = "\r", ["\\"] = "\\", ["'"] = "'", ['"'] = '"',
  a = "\a", b = "\b", f = "\f", v = "\v", ["0"] = "\0" }
local escape = P "\\" / "" * (S "ntr\\'\"abfv" / escapes
  + P "x" / "" * (R("09", "af", "AF") * R("09", "af", "AF")) / function(hex)
    return utf8.char(tonumber(hex, 16))
  end) + P "\\" -- an unknown escape is what it is

local function quoted(quote)
  return P(quote) / "" * (escape + (P(1) - quote)) ^ 0 * (P(quote) / "")
end

local function add(map, key, value)
  map[key] = value
  return map
end

local function empty_map() return data.map() end

local word_end = -(R("az", "AZ", "09") + "_")
local comma = space * "," * space

local literal = P {
  V "value" * space * -P(1),
  value = space * (V "string" + V "number" + V "constant" + V "list" + V "tuple" + V "dict"),
  number = (P "-" * space * unsigned / negate + P "+" ^ -1 * space * unsigned) * word_end,
  string = Cs(((quoted "'" + quoted '"') * (space / "")) ^ 1),
  constant = P "True" * word_end * Cc(true) + P "False" * word_end * Cc(false)
    + P "None" * word_end * Cc(data.null),
  items = (V "value" * (comma * V "value") ^ 0 * comma ^ -1) ^ -1 * space,
  list = P "[" * space * (Ct(V "items") / data.list) * "]",
  tuple = P "(" * space * (Ct((V "value" * comma) ^ 1 * V "value" ^ -1 * space) / data.list) * ")"
    + P "(" * V "value" * space * ")",
  pair = Cg(V "value" * space * ":" * V "value"),
  dict = P "{" * space * Cf((Cc(nil) / empty_map) * (V "pair" * (comma * V "pair") ^ 0 * comma ^ -1)
    ^ -1, add) * space * "}",
}

--- Read a value of an INI inventory.
-- @param text string
-- @return a number, string, boolean, `data.null`, list or map; the text itself
--   when it is no literal
function M.value(text)
  local value = literal:match(text)
  if value == nil then return text end
  return value
end

return M
