-- From expressions to Lua source. Every expression becomes one Lua expression,
-- evaluated lazily where Jinja does so, without closures:
--   a or b       ->  TF(a) or b            TF: the value if true, else false
--   a and b      ->  UP(FN(a) or b)        FN: nil if true, else the value
--   a if c else b -> UP(c and PK(a) or b)  PK, UP: carry a false through
-- Each function returns the source and, where it is certain, the type:
-- "boolean", "string" or "integer".
local filters = require "kb.template.filters"
local methods = require "kb.template.methods"
local signature = require "kb.template.signature"
local tests = require "kb.template.tests"

local M = {}

local makers = {}

local function quoted(text)
  return (("%q"):format(text):gsub("\\\n", "\\n"):gsub("\r", "\\r"))
end
M.quoted = quoted

--- Turn an expression into source.
-- A source line starts anew, with a mark, where the template's line changes.
function M.value(compiler, node)
  local line = compiler:line_of(node.at)
  local mark = ""
  if line ~= compiler.line then
    compiler.line = line
    mark = ("\n--[[%d]] "):format(line)
  end
  local source, kind = makers[node.kind](compiler, node)
  return mark .. source, kind
end
local value = M.value

-- The source that reads an attribute of a loop's variable, which is nil when that has none of the
-- name; nil when there is no such source.
local function read_of_table(compiler, node)
  local found = node.base.kind == "name" and compiler:find(node.base.name)
  if found and found.table and not methods.of_maps(node.name) then
    return ("%s[%s]"):format(found.table, quoted(node.name))
  end
end

--- Turn an expression into source that is a Lua boolean.
function M.condition(compiler, node)
  if node.kind == "and" or node.kind == "or" then
    return ("(%s %s %s)"):format(
      M.condition(compiler, node.left), node.kind, M.condition(compiler, node.right))
  elseif node.kind == "not" then
    return ("(not %s)"):format(M.condition(compiler, node.value))
  end
  local quick = node.kind == "attribute" and read_of_table(compiler, node)
  if quick then
    return ("TA(%s, %s, %s)"):format(quick, value(compiler, node.base), quoted(node.name))
  end
  local source, kind = value(compiler, node)
  return kind == "boolean" and source or ("T(%s)"):format(source)
end

local function all(compiler, nodes)
  local sources = {}
  for i, node in ipairs(nodes) do sources[i] = value(compiler, node) end
  return table.concat(sources, ", ")
end

makers["true"] = function() return "true", "boolean" end
makers["false"] = function() return "false", "boolean" end
makers["null"] = function() return "N" end
makers["string"] = function(_, node) return quoted(node.text), "string" end
makers["float"] = function(_, node) return node.text end

makers["integer"] = function(compiler, node)
  local number = math.tointeger(tonumber(node.text))
  if not number then compiler:refuse(node.at, "this number does not fit into 64 bits") end
  return ("(%d)"):format(number), "integer"
end

makers["name"] = function(compiler, node)
  return compiler:load(node)
end

makers["list"] = function(compiler, node)
  return ("LIST{%s}"):format(all(compiler, node.items))
end

makers["tuple"] = function(compiler, node)
  return ("TUPLE{%s}"):format(all(compiler, node.items))
end

makers["map"] = function(compiler, node)
  local entries = {}
  for i, pair in ipairs(node.pairs) do
    entries[i] = ("{%s, %s}"):format(value(compiler, pair[1]), (value(compiler, pair[2])))
  end
  return ("MAP{%s}"):format(table.concat(entries, ", "))
end

local BINARY = {
  ["+"] = "ADD", ["-"] = "SUB", ["*"] = "MUL", ["/"] = "DIV", ["//"] = "FLOOR", ["%"] = "MOD",
  ["**"] = "POW",
}

makers["binary"] = function(compiler, node)
  return ("%s(%s, %s)"):format(
    BINARY[node.op], value(compiler, node.left), (value(compiler, node.right)))
end

makers["join"] = function(compiler, node)
  return ("CAT(%s)"):format(all(compiler, node.items)), "string"
end

makers["negative"] = function(compiler, node)
  return ("NEG(%s)"):format((value(compiler, node.value)))
end

makers["positive"] = function(compiler, node)
  return ("POS(%s)"):format((value(compiler, node.value)))
end

makers["not"] = function(compiler, node)
  return M.condition(compiler, node), "boolean"
end

makers["or"] = function(compiler, node)
  return ("(TF(%s) or %s)"):format(value(compiler, node.left), (value(compiler, node.right)))
end

makers["and"] = function(compiler, node)
  return ("UP(FN(%s) or %s)"):format(value(compiler, node.left), (value(compiler, node.right)))
end

makers["choice"] = function(compiler, node)
  local test = M.condition(compiler, node.test)
  local yes, kind_yes = value(compiler, node.yes)
  if not node.no then
    return ("UP(%s and PK(%s) or NOTHING())"):format(test, yes)
  end
  local no, kind_no = value(compiler, node.no)
  local kind = kind_yes == kind_no and kind_yes or nil
  if kind_yes == "string" or kind_yes == "integer" then
    return ("(%s and %s or %s)"):format(test, yes, no), kind
  end
  return ("UP(%s and PK(%s) or %s)"):format(test, yes, no), kind
end

local NATIVE = {
  ["=="] = "==", ["!="] = "~=", ["<"] = "<", ["<="] = "<=", [">"] = ">", [">="] = ">=",
}

local COMPARE = {
  ["=="] = "EQ(%s, %s)", ["!="] = "(not EQ(%s, %s))", ["<"] = "LT(%s, %s)", ["<="] = "LE(%s, %s)",
  [">"] = "GT(%s, %s)", [">="] = "GE(%s, %s)", ["in"] = "IN(%s, %s)",
  ["not in"] = "(not IN(%s, %s))",
}

makers["compare"] = function(compiler, node)
  local first, first_kind = value(compiler, node.first)
  if #node.rest == 1 then
    local step = node.rest[1]
    local second, second_kind = value(compiler, step.value)
    if first_kind == "integer" and second_kind == "integer" and NATIVE[step.op] then
      return ("(%s %s %s)"):format(first, NATIVE[step.op], second), "boolean"
    end
    return COMPARE[step.op]:format(first, second), "boolean"
  end
  local parts = { first }
  for i, step in ipairs(node.rest) do
    local source = value(compiler, step.value)
    parts[#parts + 1] = quoted(step.op)
    parts[#parts + 1] = i == 1 and source or ("function() return %s end"):format(source)
  end
  return ("CHAIN(%s)"):format(table.concat(parts, ", ")), "boolean"
end

makers["attribute"] = function(compiler, node)
  local counter, kind = compiler:loop_counter(node)
  if counter then return counter, kind end
  local name = quoted(node.name)
  local base = value(compiler, node.base)
  if methods.of_maps(node.name) then return ("AM(%s, %s)"):format(base, name) end
  local read = read_of_table(compiler, node)
  local call = ("A(%s, %s)"):format(base, name)
  return read and ("(%s or %s)"):format(read, call) or call
end

makers["item"] = function(compiler, node)
  local base = value(compiler, node.base)
  if node.key.kind ~= "slice" then
    return ("I(%s, %s)"):format(base, (value(compiler, node.key)))
  end
  local bounds = {}
  for i, bound in ipairs { "from", "to", "step" } do
    bounds[i] = node.key[bound] and value(compiler, node.key[bound]) or "nil"
  end
  return ("SLICE(%s, %s)"):format(base, table.concat(bounds, ", "))
end

-- The arguments of a call, as source: the named ones (see `values.each_named`)
-- or "nil", and the rest with a comma before each. `given` holds pairs of a name
-- and a source that a tag adds.
local function call_arguments(compiler, arguments, given)
  local places, named, spread, merged = {}, {}, false, nil
  for _, pair in ipairs(given or {}) do
    named[#named + 1] = ("%s, [%s] = %s"):format(quoted(pair[1]), quoted(pair[1]), pair[2])
  end
  for _, argument in ipairs(arguments) do
    if argument.spread then
      spread = true
      places[#places + 1] = ("{ALL(%s)}"):format((value(compiler, argument.spread)))
    elseif argument.spread_map then
      merged = value(compiler, argument.spread_map)
    elseif argument.name then
      local name = quoted(argument.name)
      named[#named + 1] = ("%s, [%s] = %s"):format(
        name, name, (value(compiler, argument.value)))
    else
      local source = value(compiler, argument.value)
      places[#places + 1] = source
    end
  end
  local names = #named > 0 and ("{%s}"):format(table.concat(named, ", ")) or "nil"
  if merged then names = ("MERGE(%s, %s)"):format(names, merged) end
  if spread then
    for i, place in ipairs(places) do
      if place:sub(1, 5) ~= "{ALL(" then places[i] = "{" .. place .. "}" end
    end
    return names, (", SPREAD(%s)"):format(table.concat(places, ", "))
  end
  return names, #places > 0 and ", " .. table.concat(places, ", ") or ""
end

-- Whether some arguments have names, and all of these are in the template.
local function names_are_known(arguments)
  local named = false
  for _, argument in ipairs(arguments) do
    if argument.spread or argument.spread_map then return false end
    named = named or argument.name ~= nil
  end
  return named
end

-- The list of names is the same in all rounds, so that macros can prepare for it.
local function call_by_names(compiler, base, arguments)
  local callee = value(compiler, base)
  local names, by_place, by_name = {}, {}, {}
  for _, argument in ipairs(arguments) do
    local list = argument.name and by_name or by_place
    list[#list + 1] = (value(compiler, argument.value))
    names[#names + 1] = argument.name and quoted(argument.name)
  end
  local constant = compiler:constant(
    ("{places = %d, %s}"):format(#by_place, table.concat(names, ", ")))
  table.move(by_name, 1, #by_name, #by_place + 1, by_place)
  return ("CALLN(R, %s, %s, %s)"):format(callee, constant, table.concat(by_place, ", "))
end

--- Turn a call into source.
-- @param compiler table
-- @param node table: the call
-- @param given list of { name, source } or nil: arguments that the tag adds
function M.call(compiler, node, given)
  local base = node.base
  if not given and base.kind ~= "attribute" and names_are_known(node.arguments) then
    return call_by_names(compiler, base, node.arguments)
  end
  local names, places = call_arguments(compiler, node.arguments, given)
  if base.kind == "attribute" and not compiler:loop_counter(base) then
    return ("CALLM(R, %s, %s, %s%s)"):format(
      value(compiler, base.base), quoted(base.name), names, places)
  end
  return ("CALL(R, %s, %s%s)"):format(value(compiler, base), names, places)
end

makers["call"] = M.call

-- Arguments of filters and tests are matched with their parameters here, so
-- that wrong ones are found before anything is rendered.
local function static_arguments(compiler, node, entry)
  local names, places = {}, {}
  for _, argument in ipairs(node.arguments or {}) do
    if argument.spread or argument.spread_map then return nil end
    if argument.name then names[#names + 1] = argument.name
    else places[#places + 1] = (value(compiler, argument.value)) end
  end
  local complaint = signature.complaint(entry, #places, names)
  if complaint then compiler:refuse(node.at, complaint) end
  if entry.takes_names then
    local named, rest = call_arguments(compiler, node.arguments or {})
    return ", " .. named .. rest
  end
  local last = #places
  for _, argument in ipairs(node.arguments or {}) do
    if argument.name then
      local place = entry.places[argument.name]
      places[place] = (value(compiler, argument.value))
      last = math.max(last, place)
    end
  end
  local source = ""
  for place = 1, last do source = source .. ", " .. (places[place] or "nil") end
  return source
end

local function find_entry(compiler, node, registry, what)
  local name = node.name:gsub("^ansible%.builtin%.", ""):gsub("^ansible%.utils%.", "")
  local entry = registry[name]
  if not entry then compiler:refuse(node.at, ("no %s named '%s'"):format(what, node.name)) end
  return entry, name
end

local function apply(compiler, node, base, registry, what, source_name)
  local entry, name = find_entry(compiler, node, registry, what)
  local arguments = static_arguments(compiler, node, entry)
  if arguments then
    local call = source_name == "F" and "FC[%s](%s%s)" or source_name .. "[%s].call(%s%s)"
    return call:format(quoted(name), base, arguments)
  end
  local names, places = call_arguments(compiler, node.arguments)
  return ("APPLY(%s[%s], %s, %s%s)"):format(source_name, quoted(name), base, names, places)
end

--- Turn a filter applied to some source into source.
function M.filter(compiler, node, base)
  local entry = find_entry(compiler, node, filters.registry, "filter")
  return apply(compiler, node, base, filters.registry, "filter", "F"), entry.gives
end

local GUARDS = { default = true, d = true, defined = true, undefined = true }

-- A value that is asked whether it is there need not be there.
local function guarded(compiler, node)
  local outer = compiler.guarded
  compiler.guarded = outer or GUARDS[node.name] or false
  local base = value(compiler, node.base)
  compiler.guarded = outer
  return base
end

makers["filter"] = function(compiler, node)
  return M.filter(compiler, node, guarded(compiler, node))
end

makers["test"] = function(compiler, node)
  local base = guarded(compiler, node)
  local source
  if node.name == "defined" then
    source = ("(not UNDEFINED(%s))"):format(base)
  else
    source = apply(compiler, node, base, tests.registry, "test", "TESTS")
  end
  return node.negated and ("(not %s)"):format(source) or source, "boolean"
end

return M
