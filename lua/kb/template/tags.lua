-- The grammar of what stands between `{%` and `%}`: one pattern per tag, from
-- its name to a node with its fields.
local lpeg = require "lpeg"
local expression = require "kb.template.expression"

local P, V = lpeg.P, lpeg.V
local Cc, Cp, Ct = lpeg.Cc, lpeg.Cp, lpeg.Ct
local symbol, keyword, must = expression.symbol, expression.keyword, expression.must
local field, node = expression.field, expression.node

local M = {}

-- Targets of an assignment: a name, or a tuple of targets to unpack into.
local function target_of(at, ...)
  local items = { ... }
  local last = items[#items]
  if last == "," then
    items[#items] = nil
  elseif #items == 1 then
    return items[1]
  end
  return { kind = "targets", at = at, items = items }
end

expression.rules.target_item = node("name", field("name", expression.name))
  + symbol "(" * V "target" * must(symbol ")", "')'")
expression.rules.target = Cp() * V "target_item" * (symbol "," * V "target_item") ^ 0
  * (symbol "," * Cc ",") ^ -1 / target_of

local value = must(V "tuple", "an expression")
local name = must(expression.name, "a name")

local with_context = keyword "with" * keyword "context" * Cc(true)
  + keyword "without" * keyword "context" * Cc(false)

local parameter = Ct(field("name", expression.name)
  * (symbol "=" * field("default", must(V "expression", "a default value"))) ^ -1)
local parameters = must(symbol "(", "'('")
  * Ct((parameter * (symbol "," * parameter) ^ 0 * symbol "," ^ -1) ^ -1)
  * must(symbol ")", "')'")

local filter_chain = must(expression.filter_call, "the name of a filter")
  * (symbol "|" * must(expression.filter_call, "the name of a filter")) ^ 0

local attribute_target = node("attribute_target", field("base", expression.name)
  * symbol "." * field("name", must(expression.any_name, "the name of an attribute")))

local with_pair = Ct(field("target", V "target") * must(symbol "=", "'='")
  * field("value", must(V "expression", "an expression")))

local imported = Ct(field("name", expression.name)
  * (keyword "as" * field("as", name)) ^ -1)

local FIELDS = {
  ["for"] = field("target", must(V "target", "a name")) * must(keyword "in", "'in'")
    * field("iterable", must(V "plain_tuple", "something to go through"))
    * (keyword "if" * field("test", must(V "expression", "a condition"))) ^ -1
    * (keyword "recursive" * field("recursive", Cc(true))) ^ -1,
  ["if"] = field("test", must(V "plain_tuple", "a condition")),
  ["elif"] = field("test", must(V "plain_tuple", "a condition")),
  ["else"] = P(true),
  ["set"] = field("target", attribute_target + must(V "target", "a name"))
    * (symbol "=" * field("value", value)
      + symbol "|" * field("filters", Ct(filter_chain)) + P(true)),
  ["macro"] = field("name", name) * field("parameters", parameters),
  -- `call` may start with parameters in brackets, which are no expression.
  ["call"] = field("parameters", #P "(" * parameters) ^ -1
    * field("value", must(V "unary", "a call of a macro")),
  ["filter"] = field("filters", Ct(filter_chain)),
  ["block"] = field("name", name)
    * (keyword "scoped" * field("scoped", Cc(true))
      + keyword "required" * field("required", Cc(true))) ^ 0,
  ["extends"] = field("template", must(V "expression", "the name of a template")),
  ["include"] = field("template", must(V "expression", "the name of a template"))
    * (keyword "ignore" * keyword "missing" * field("ignore_missing", Cc(true))) ^ -1
    * field("with_context", with_context) ^ -1,
  ["import"] = field("template", must(V "expression", "the name of a template"))
    * must(keyword "as", "'as'") * field("as", name) * field("with_context", with_context) ^ -1,
  ["from"] = field("template", must(V "expression", "the name of a template"))
    * must(keyword "import", "'import'")
    * field("names", Ct(imported * (symbol "," * (imported - with_context)) ^ 0 * symbol "," ^ -1))
    * field("with_context", with_context) ^ -1,
  ["with"] = field("pairs", Ct((with_pair * (symbol "," * with_pair) ^ 0) ^ -1)),
  ["do"] = field("value", value),
  ["print"] = field("values", Ct(must(V "expression", "an expression")
    * (symbol "," * V "expression") ^ 0)),
  ["autoescape"] = field("value", value),
  ["break"] = P(true),
  ["continue"] = P(true),
  ["endblock"] = field("name", expression.name) ^ -1,
}

for _, tag in ipairs { "for", "if", "set", "macro", "call", "filter", "with", "autoescape" } do
  FIELDS["end" .. tag] = P(true)
end

local patterns = {}
for tag, fields in pairs(FIELDS) do
  patterns[tag] = expression.grammar(
    expression.space * node(tag, fields) * Cp())
end

--- Find the pattern of a tag.
-- @param tag string: its name
-- @return an lpeg pattern giving a node and the position after it, or nil
function M.pattern(tag)
  return patterns[tag]
end

--- What stands between `{{` and `}}`.
M.output = expression.grammar(
  expression.space * node("output", field("value", value)) * Cp())

--- List the names of all tags.
function M.names()
  local names = {}
  for tag in pairs(FIELDS) do names[#names + 1] = tag end
  table.sort(names)
  return names
end

return M
