-- The grammar of expressions, as Jinja has it, from text to a tree of nodes
-- `{ kind = ..., at = position, ... }`.
local lpeg = require "lpeg"
local literal = require "kb.template.literal"

local P, R, S, V = lpeg.P, lpeg.R, lpeg.S, lpeg.V
local C, Cc, Cf, Cg, Cmt, Cp, Ct = lpeg.C, lpeg.Cc, lpeg.Cf, lpeg.Cg, lpeg.Cmt, lpeg.Cp, lpeg.Ct

-- Each level of nested brackets takes some thirty entries of the matcher's
-- stack; this allows brackets about a hundred deep.
lpeg.setmaxstack(4000)

local M = {}

local RESERVED = {
  ["and"] = true, ["or"] = true, ["not"] = true, ["if"] = true, ["else"] = true,
  ["in"] = true, ["is"] = true,
}
local CONSTANTS = {
  ["true"] = "true", ["True"] = "true", ["false"] = "false", ["False"] = "false",
  ["none"] = "null", ["None"] = "null",
}

local letter = R("az", "AZ") + P "_" + R "\128\255"
local word_end = -(letter + R "09")
M.word = letter * (letter + R "09") ^ 0
M.space = S " \t\n\r\v\f" ^ 0
local space = M.space

local function refuse(what)
  return Cmt(P(true), function(_, at) error({ at = at, message = "expected " .. what }, 0) end)
end

--- Match a pattern, or stop with "expected WHAT" at this place.
function M.must(pattern, what)
  return pattern + refuse(what)
end
local must = M.must

--- Match a symbol and the space after it.
function M.symbol(text)
  return P(text) * space
end
local symbol = M.symbol

--- Match a whole word and the space after it.
function M.keyword(text)
  return P(text) * word_end * space
end
local keyword = M.keyword

local function node(kind, pattern)
  return Ct(Cg(Cp(), "at") * Cg(Cc(kind), "kind") * pattern)
end

local function field(name, pattern)
  return Cg(pattern, name)
end

local free_word = Cmt(C(M.word), function(_, at, word)
  if not RESERVED[word] then return at, word end
end)

--- A name that is no reserved word, and the space after it.
M.name = free_word * space
M.any_name = C(M.word) * space
M.node, M.field = node, field

-- `-%}` and its like end a tag, so that the sign is no operator there.
local tag_end = S "+-" * (P "%}" + P "}}")
local function operator(text, but)
  local pattern = P(text)
  if but then pattern = pattern - P(but) end
  return (C(pattern) - tag_end) * space
end

local function fold_binary(left, at, op, right)
  return { kind = "binary", at = at, op = op, left = left, right = right }
end

local function binary(inner, operators)
  local rest = Cg(Cp() * operators * must(inner, "an expression"))
  return Cf(inner * rest ^ 0, fold_binary)
end

local function logical(inner, word)
  local rest = Cg(Cp() * Cc(word) * keyword(word) * must(inner, "an expression"))
  return Cf(inner * rest ^ 0, function(left, at, op, right)
    return { kind = op, at = at, left = left, right = right }
  end)
end

local comparison_sign = operator "==" + operator "!=" + operator "<=" + operator ">="
  + operator "<" + operator ">"
local comparison_word = keyword "not" * keyword "in" / "not in" + keyword "in" / "in"

local function fold_compare(first, ...)
  local rest = { ... }
  if #rest == 0 then return first end
  local compare = { kind = "compare", at = first.at, first = first, rest = {} }
  for i = 1, #rest, 2 do
    table.insert(compare.rest, { op = rest[i], value = rest[i + 1] })
  end
  return compare
end

-- Postfixes are functions of the node they follow, folded from the left.
local function postfix(pattern)
  return Cg(pattern)
end

local function fold_postfix(base, node_after)
  node_after.base = base
  return node_after
end

local function constant_or_name(at, word)
  local constant = CONSTANTS[word]
  if constant then return { kind = constant, at = at } end
  return { kind = "name", at = at, name = word }
end

local function tuple_or_single(at, ...)
  local items = { ... }
  local last = items[#items]
  if last == "," then
    items[#items] = nil
  elseif #items == 1 then
    return items[1]
  end
  return { kind = "tuple", at = at, items = items }
end

-- A list without brackets: one item, or a tuple when there is a comma.
local function tuple_of(item)
  return Cp() * item * (symbol "," * item) ^ 0 * (C "," * space) ^ -1 / tuple_or_single
end

-- Finish a part at once: lpeg allows two hundred captures within each other, and
-- each level of brackets has a dozen.
local function at_once(pattern)
  return Cmt(pattern, function(_, at, ...) return at, ... end)
end

local function list_of(item)
  return (item * (symbol "," * item) ^ 0 * symbol "," ^ -1) ^ -1
end

local closing = { ["("] = ")", ["["] = "]", ["{"] = "}" }
local function bracketed(open, inner)
  return symbol(open) * at_once(inner) * must(symbol(closing[open]), "'" .. closing[open] .. "'")
end

local argument = Ct(symbol "**" * field("spread_map", V "expression"))
  + Ct(symbol "*" * field("spread", V "expression"))
  + Ct(field("name", M.any_name) * symbol "=" * -P "=" * field("value", V "expression"))
  + Ct(field("value", V "expression"))
M.arguments = bracketed("(", Ct(list_of(argument)))

local dotted_name = C(M.word * (space * "." * space * M.word) ^ 0) / function(name)
  return (name:gsub("%s", ""))
end * space

local filter_call = node("filter", field("name", dotted_name)
  * field("arguments", M.arguments) ^ -1)

local test_argument = (V "primary_only" - (keyword "else" + keyword "or" + keyword "and"))
local single_argument = Ct(Ct(field("value", test_argument)))
local test_call = node("test", field("negated", keyword "not" * Cc(true)) ^ -1
  * field("name", must(dotted_name, "the name of a test"))
  * field("arguments", M.arguments + single_argument) ^ -1)

-- What stands in square brackets: a key, or the bounds of a slice, of which each
-- may be left out.
local bound = V "expression" + Cc(false)
local subscript = Cp() * (V "tuple" + Cc(false))
  * (symbol ":" * Cc(true) * bound * (symbol ":" * bound) ^ -1) ^ -1
  / function(at, key, is_slice, to, step)
    if not is_slice then return key or nil end
    return { kind = "slice", at = at, from = key or nil, to = to or nil, step = step or nil }
  end
local subscript_or_refusal = Cmt(subscript, function(_, at, key)
  if not key then error({ at = at, message = "expected a key" }, 0) end
  return at, key
end)

local access = symbol "." * node("attribute", field("name", M.any_name))
  + symbol "." * node("item", field("key", node("integer", field("text", C(R "09" ^ 1)) * space)))
  + bracketed("[", node("item", field("key", subscript_or_refusal)))
  + node("call", field("arguments", M.arguments))

local filters = P "|" * space * must(filter_call, "the name of a filter")
local filter_or_test = filters + keyword "is" * test_call
  + node("call", field("arguments", M.arguments))

local pair = Ct(V "expression" * must(symbol ":", "':'") * V "expression")

M.rules = {
  expression = V "condition",
  condition = Cf(V "either" * Cg(keyword "if" * must(V "either", "a condition")
    * (keyword "else" * must(V "condition", "an expression")) ^ -1) ^ 0,
    function(yes, test, no)
      return { kind = "choice", at = yes.at, test = test, yes = yes, no = no }
    end),
  either = logical(V "both", "or"),
  both = logical(V "negation", "and"),
  negation = node("not", keyword "not" * field("value", V "negation")) + V "comparison",
  comparison = V "sum" * ((comparison_sign + comparison_word)
    * must(V "sum", "an expression")) ^ 0 / fold_compare,
  sum = binary(V "joined", operator "+" + operator "-"),
  joined = Cf(V "product" * (symbol "~" * must(V "product", "an expression")) ^ 0,
    function(left, right)
      if left.kind ~= "join" then left = { kind = "join", at = left.at, items = { left } } end
      table.insert(left.items, right)
      return left
    end),
  product = binary(V "power", operator "//" + operator("*", "**") + operator "/"
    + operator "%" - tag_end - P "%}"),
  power = binary(V "unary", operator "**"),
  unary = Cf(V "signed" * postfix(filter_or_test) ^ 0, fold_postfix),
  signed = node("negative", symbol "-" * field("value", V "signed"))
    + node("positive", symbol "+" * field("value", V "signed"))
    + V "primary_only",
  primary_only = Cf(V "primary" * postfix(access) ^ 0, fold_postfix),
  primary = literal.number * space + V "strings" + Cp() * M.name / constant_or_name
    + V "parentheses" + node("list", field("items", bracketed("[", Ct(list_of(V "expression")))))
    + node("map", field("pairs", bracketed("{", Ct(list_of(pair))))),
  strings = node("string", field("text",
    Cf((literal.string * space) ^ 1, function(a, b) return a .. b end))),
  parentheses = node("tuple", symbol "(" * symbol ")" * field("items", Ct(P(true))))
    + bracketed("(", V "tuple"),
  tuple = tuple_of(V "expression"),
  plain_tuple = tuple_of(V "either"),
}

M.filter_call = filter_call

--- Make a pattern from one that uses the rules above.
-- @param pattern lpeg pattern: it may name the rules, e.g. V "expression"
function M.grammar(pattern)
  local rules = { "start", start = pattern }
  for name, rule in pairs(M.rules) do rules[name] = rule end
  return P(rules)
end

return M
