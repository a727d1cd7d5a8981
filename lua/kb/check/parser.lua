--- Lua source as a tree, for the static check of playbooks.
--
-- A node is a table with `tag` and `pos` (an offset in the text):
-- Name {name}, String {value}, Number {text}, Literal {text} (nil, true, false, ...),
-- Function {params, body},
-- Table {items: {pos, key, value}}, Index {object, key}, Call {callee, args}, Method {object, name,
-- args}, Operation {list of operands};
-- Local {names, values}, LocalFunction {name, value}, Assign {targets, values}, Do {body},
-- If {parts: conditions and blocks}, While/Repeat {condition, body}, For {names, values, body},
-- Return {values}, Expression {value}. A block is a list of statements.

local lpeg = require "lpeg"

local P, R, S, V = lpeg.P, lpeg.R, lpeg.S, lpeg.V
local C, Cc, Cf, Cg, Cp, Ct, Cmt = lpeg.C, lpeg.Cc, lpeg.Cf, lpeg.Cg, lpeg.Cp, lpeg.Ct, lpeg.Cmt

local M = {}

lpeg.setmaxstack(2000)

-- Long brackets: [==[ text ]==], also of comments.
local function long_bracket(capture)
  local open = "[" * Cg(P "=" ^ 0, "level") * "["
  local close = "]" * C(P "=" ^ 0) * "]"
  local same = Cmt(close * lpeg.Cb "level", function(_, _, a, b)
    return a == b
  end)
  local text = P "\n" ^ -1 * C((P(1) - same) ^ 0) * same
  return open * text / (capture and function(s)
    return s
  end or 0)
end

local comment = "--" * (long_bracket(false) + (P(1) - "\n") ^ 0)
local space = (S " \t\r\n\f\v" + comment) ^ 0
local alnum = R("az", "AZ", "09") + "_"
local letter = R("az", "AZ") + "_"

local keywords = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
  return then true until while]]):gmatch "%a+" do
  keywords[word] = true
end

local function symbol(text)
  return P(text) * space
end

local function keyword(word)
  return P(word) * -alnum * space
end

local identifier = Cmt(C(letter * alnum ^ 0), function(_, at, word)
  return not keywords[word] and at, word
end) * space

local escapes = { a = "\a", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", v = "\v",
  ["\\"] = "\\", ["'"] = "'", ['"'] = '"', ["\n"] = "\n" }

local escape = P "\\" / "" * (S "abfnrtv\\'\"\n" / escapes
  + "x" * C(R("09", "af", "AF") * R("09", "af", "AF")) / function(hex)
    return string.char(tonumber(hex, 16))
  end
  + "z" * S " \t\r\n" ^ 0 / ""
  + C(R "09" * R "09" ^ -2) / function(code)
    return string.char(tonumber(code) % 256)
  end
  + "u{" * C(R("09", "af", "AF") ^ 1) * "}" / function(hex)
    return utf8.char(tonumber(hex, 16))
  end)

local function quoted(mark)
  return mark * lpeg.Cs((escape + (P(1) - S("\\\n" .. mark))) ^ 0) * mark
end

local text = (quoted '"' + quoted "'" + long_bracket(true)) * space
local number = (("0" * S "xX" * (R("09", "af", "AF") + S "." + S "pP" * S "+-" ^ -1) ^ 1)
  + (R "09" ^ 1 * ("." * R "09" ^ 0) ^ -1 + "." * R "09" ^ 1)
    * (S "eE" * S "+-" ^ -1 * R "09" ^ 1) ^ -1)
  * -letter * space

-- A node of the tag with named fields: node("Name", { "name" }, pattern of one capture each).
local function node(tag, fields, pattern)
  return Ct(Cg(Cp(), "pos") * Ct(pattern)) / function(t)
    local made = { tag = tag, pos = t.pos }
    for i, field in ipairs(fields) do
      made[field] = t[1][i]
    end
    return made
  end
end

local function list(pattern, separator)
  return Ct((pattern * (separator * pattern) ^ 0) ^ -1)
end

-- a.b, a[b], a(b), a:b(c): each suffix is folded over what stands before it.
local function fold_suffix(object, suffix)
  if not suffix then
    return object
  end
  suffix.pos = suffix.pos or object.pos
  if suffix.tag == "Call" then
    suffix.callee = object
  else
    suffix.object = object
  end
  return suffix
end

local binary = symbol "//" + symbol "==" + symbol "~=" + symbol "<=" + symbol ">=" + symbol "<<"
  + symbol ">>" + symbol ".." + S "+-*/%^&|~<>" * space + keyword "and" + keyword "or"
local unary = keyword "not" + (S "-#" + "~" * -P "=") * space

local comma = symbol ","
local equals = symbol "=" * -P "="
local nothing = Cc(nil)

local grammar = P { "chunk",
  chunk = space * (P "#" * (P(1) - "\n") ^ 0 * space) ^ -1 * V "block" * -1,
  block = Ct((V "statement" + symbol ";") ^ 0 * V "return" ^ -1),
  ["return"] = node("Return", { "values" }, keyword "return" * V "values" * symbol ";" ^ -1),
  statement = V "local_function" + V "local" + V "if" + V "while" + V "repeat" + V "for" + V "do"
    + V "function" + V "jump" + V "assign" + node("Expression", { "value" }, V "suffixed"),
  jump = (keyword "break" + keyword "goto" * identifier / 0
      + "::" * space * identifier / 0 * symbol "::")
    * Cc { tag = "Jump" },
  ["local"] = node("Local", { "names", "values" }, keyword "local" * list(identifier
    * (symbol "<" * identifier / 0 * symbol ">") ^ -1, comma) * (equals * V "values" + Ct "")),
  local_function = node("LocalFunction", { "name", "value" }, keyword "local" * keyword "function"
    * identifier * V "function_body"),
  ["function"] = node("Assign", { "targets", "values" }, keyword "function" * Ct(V "function_name")
    * Ct(V "function_body")),
  function_name = Cf(V "name" * (symbol "." * V "dot_key" + symbol ":" * V "dot_key") ^ 0,
    fold_suffix),
  dot_key = node("Index", { "key" }, node("String", { "value" }, identifier)),
  assign = node("Assign", { "targets", "values" }, Ct(V "suffixed" * (comma * V "suffixed") ^ 0)
    * equals * V "values"),
  ["do"] = node("Do", { "body" }, keyword "do" * V "block" * keyword "end"),
  ["while"] = node("While", { "condition", "body" }, keyword "while" * V "expression" * keyword "do"
    * V "block" * keyword "end"),
  ["repeat"] = node("Repeat", { "body", "condition" }, keyword "repeat" * V "block"
    * keyword "until" * V "expression"),
  ["if"] = node("If", { "parts" }, Ct(keyword "if" * V "expression" * keyword "then" * V "block"
    * (keyword "elseif" * V "expression" * keyword "then" * V "block") ^ 0
    * (keyword "else" * V "block") ^ -1) * keyword "end"),
  ["for"] = node("For", { "names", "values", "body" }, keyword "for"
    * (Ct(identifier) * equals + list(identifier, comma) * keyword "in") * V "values" * keyword "do"
    * V "block" * keyword "end"),
  values = list(V "expression", comma),
  expression = Cf(Cc { tag = "Operation" } * V "operand" * (binary * V "operand") ^ 0,
    function(whole, operand)
      if whole.tag ~= "Operation" or not whole[1] then
        return whole[1] == nil and { tag = "Operation", pos = operand.pos, operand } or whole
      end
      whole[#whole + 1] = operand
      return whole
    end) / function(whole)
      return #whole == 1 and whole[1] or whole
    end,
  operand = unary ^ 0 * V "simple",
  simple = node("Function", { "params", "body" }, keyword "function" * V "parameters") + V "literal"
    + V "suffixed",
  literal = node("Number", { "text" }, C(number)) + node("String", { "value" }, text) + V "table"
    + node("Literal", { "text" }, C(keyword "nil" + keyword "true" + keyword "false"
      + symbol "...")),
  name = node("Name", { "name" }, identifier),
  suffixed = Cf((V "name" + symbol "(" * V "expression" * symbol ")") * V "suffix" ^ 0,
    fold_suffix),
  suffix = symbol "." * -P "." * V "dot_key"
    + node("Index", { "key" }, symbol "[" * V "expression" * symbol "]")
    + node("Method", { "name", "args" }, symbol ":" * -P ":" * identifier * V "arguments")
    + node("Call", { "args" }, V "arguments"),
  arguments = symbol "(" * V "values" * symbol ")" + Ct(V "table")
    + Ct(node("String", { "value" }, text)),
  ["function_body"] = node("Function", { "params", "body" }, V "parameters"),
  parameters = symbol "(" * Ct((identifier * (comma * identifier) ^ 0 * (comma * symbol "...") ^ -1
    + symbol "...") ^ -1) * symbol ")" * V "block" * keyword "end",
  table = node("Table", { "items" }, symbol "{"
    * Ct((V "item" * ((comma + symbol ";") * V "item") ^ 0 * (comma + symbol ";") ^ -1) ^ -1)
    * symbol "}"),
  item = node("Item", { "key", "value" }, symbol "[" * V "expression" * symbol "]" * equals
    * V "expression" + node("String", { "value" }, identifier) * equals * V "expression"
    + nothing * V "expression"),
}

--- Parse Lua source that `load` accepts.
-- @param source string
-- @return list of statements; nil when this parser cannot read it
function M.parse(source)
  return grammar:match(source)
end

--- A function from offsets in a text to its lines.
-- @param source string
-- @return function(pos) -> integer
function M.lines(source)
  local starts = { 1 }
  for at in source:gmatch "\n()" do
    starts[#starts + 1] = at
  end
  return function(pos)
    local low, high = 1, #starts
    while low < high do
      local middle = (low + high + 1) // 2
      if starts[middle] <= pos then
        low = middle
      else
        high = middle - 1
      end
    end
    return low
  end
end

return M
