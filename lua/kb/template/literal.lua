-- Number and string literals of expressions.
local lpeg = require "lpeg"

local P, R, S = lpeg.P, lpeg.R, lpeg.S
local C, Cc, Cg, Cp, Cs, Ct = lpeg.C, lpeg.Cc, lpeg.Cg, lpeg.Cp, lpeg.Cs, lpeg.Ct

local M = {}

local function digits_of(set)
  return set * (P "_" ^ -1 * set) ^ 0
end
local digits = digits_of(R "09")
local exponent = S "eE" * S "+-" ^ -1 * digits
local fraction = P "." * digits

local function number(kind, pattern)
  return Ct(Cg(Cp(), "at") * Cg(Cc(kind), "kind")
    * Cg(pattern / function(text) return (text:gsub("_", "")) end, "text"))
end

local hexadecimal = P "0" * S "xX" * P "_" ^ -1 * digits_of(R("09", "af", "AF"))
local function in_base(base, mark, set)
  local text = P "0" * S(mark) * P "_" ^ -1 * C(digits_of(set))
  return text / function(figures)
    return string.format("%d", tonumber((figures:gsub("_", "")), base))
  end
end
local based = in_base(8, "oO", R "07") + in_base(2, "bB", R "01")

-- Decimal integers are written without leading zeros, but for zero itself.
local whole = R "19" * (P "_" ^ -1 * R "09") ^ 0 + P "0" * (P "_" ^ -1 * P "0") ^ 0
local word_byte = R("az", "AZ", "09", "\128\255") + P "_"

M.number = number("float", C(digits * (fraction * exponent ^ -1 + exponent)))
  + (number("integer", C(hexadecimal)) + number("integer", based)
    + number("integer", C(whole))) * -word_byte

local SIMPLE = {
  n = "\n", t = "\t", r = "\r", a = "\a", b = "\b", f = "\f", v = "\v",
  ["\\"] = "\\", ["'"] = "'", ['"'] = '"', ["\n"] = "",
}

local function code_point(hex)
  return utf8.char(tonumber(hex, 16))
end

local hex = R("09", "af", "AF")
local function hex_digits(count)
  local pattern = P(true)
  for _ = 1, count do pattern = pattern * hex end
  return C(pattern)
end

-- What follows a backslash that means nothing stays as written, with it.
local escape = P "\\" / "" * (
  S "ntrabfv\\'\"\n" / SIMPLE
  + P "x" * hex_digits(2) / code_point
  + P "u" * hex_digits(4) / code_point
  + P "U" * hex_digits(8) / code_point
  + C(R "07" * R "07" ^ -2) / function(octal) return utf8.char(tonumber(octal, 8)) end
  + Cc "\\")

local function quoted(quote)
  return quote * Cs((escape + (P(1) - S("\\" .. quote))) ^ 0) * quote
end

--- A string in single or double quotes, to the text it stands for.
M.string = quoted "'" + quoted '"'

return M
