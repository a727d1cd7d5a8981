-- What compiled templates run on: the state of a rendering, and the functions
-- that the compiler's source calls.
local access = require "kb.template.access"
local data = require "kb.data"
local filters = require "kb.template.filters"
local methods = require "kb.template.methods"
local objects = require "kb.template.objects"
local operators = require "kb.template.operators"
local signature = require "kb.template.signature"
local tests = require "kb.template.tests"
local text = require "kb.template.text"
local values = require "kb.template.values"

local M = {}

local fail = values.fail

-- A template is stopped after this many rounds of its loops, and calls.
-- Loops go through values that exist, so only recursion could go on for ever;
-- counting rounds when a loop starts costs nothing in each round, where Lua's
-- instruction hook would slow everything.
M.MAX_ROUNDS = 10000000
-- Python stops a little above three hundred nested macros.
M.MAX_DEPTH = 200

local State = {}
State.__index = State

--- Make the state of one rendering.
-- @param loader function(name) -> template, or nil and a message
function M.state(loader)
  return setmetatable({
    shared = { left = M.MAX_ROUNDS, depth = 0, loader = loader }, blocks = {},
  }, State)
end

-- The state of an included or imported template: blocks of its own.
function State:derived()
  return setmetatable({ shared = self.shared, blocks = {} }, State)
end

local function charge(state, rounds)
  local shared = state.shared
  shared.left = shared.left - rounds - 1
  if shared.left < 0 then
    fail(("the template goes on for more than %d rounds"):format(M.MAX_ROUNDS))
  end
end

local function enter(state)
  local shared = state.shared
  local left, depth = shared.left - 2, shared.depth + 1
  shared.left, shared.depth = left, depth
  if left < 0 then charge(state, 0) end
  if depth > M.MAX_DEPTH then
    fail(("templates and macros are nested more than %d deep"):format(M.MAX_DEPTH))
  end
end

local function leave(state)
  local shared = state.shared
  shared.depth = shared.depth - 1
end
State.enter, State.leave = enter, leave

--- Add a template's blocks behind those of the templates that extend it.
function State:add_blocks(template)
  for name, block in pairs(template.blocks) do
    local chain = self.blocks[name] or {}
    self.blocks[name] = chain
    chain[#chain + 1] = block
  end
end

function State:load(name)
  if values.is_undefined(name) then values.fail_undefined(name) end
  if type(name) ~= "string" then
    fail(("the name of a template must be a string, not '%s'"):format(values.type_name(name)))
  end
  local template, problem = self.shared.loader(name)
  if template then return template end
  return nil, problem or ("template '%s' not found"):format(name)
end

local function load_first(state, name)
  if values.kind(name) ~= "list" then return state:load(name) end
  for _, one in ipairs(name) do
    local template = state:load(one)
    if template then return template end
  end
  return nil, "none of the templates was found: " .. text.repr(name)
end

local function fallback(globals)
  return function(_, name)
    local value = globals[name]
    if value ~= nil then return value end
    return values.undefined(name)
  end
end
local GLOBALS_ONLY = { __index = fallback(objects.globals) }

--- Make the table of variables over a context.
-- What was looked up once stays in it for the rest of the rendering.
function M.variables(context)
  return setmetatable({}, { __index = function(variables, name)
    local value = context[name]
    if value == nil then value = objects.globals[name] end
    if value == nil then value = values.undefined(name) end
    variables[name] = value
    return value
  end })
end

local function derive(variables, locals)
  return setmetatable(locals, { __index = variables })
end

local function variables_for(variables)
  if variables then return derive(variables, {}) end
  return setmetatable({}, GLOBALS_ONLY)
end

-- Compiled templates number their output themselves, so that what a parent
-- template takes back needs no clearing.
local function concat(out, count)
  if count == 1 then return out[1] elseif count == 2 then return out[1] .. out[2] end
  local ok, whole = pcall(table.concat, out, "", 1, count)
  return ok and whole or text.fold(out, count)
end

local H = {}
M.helpers = H

function H.BLOCK(state, name, variables, out, n)
  enter(state)
  n = state.blocks[name][1](state, variables, out, n, 1)
  leave(state)
  return n
end

function H.REQUIRED(state, name)
  if #state.blocks[name] < 2 then
    fail(("block '%s' is required, and no template fills it"):format(name))
  end
end

local function render_block(state, variables, name, level)
  enter(state)
  local out = {}
  local n = state.blocks[name][level](state, variables, out, 0, level)
  leave(state)
  return concat(out, n)
end

local SUPER
SUPER = values.class {
  name = "BlockReference",
  attribute = function(super, key)
    if key == "super" then return H.SUPER(super[1], super[2], super[3], super[4]) end
  end,
  call = function(super)
    return render_block(super[1], super[3], super[2], super[4])
  end,
}

function H.SUPER(state, name, variables, level)
  if not state.blocks[name][level + 1] then
    return values.undefined("super", ("there is no parent block called '%s'"):format(name))
  end
  return setmetatable({ state, name, variables, level + 1 }, SUPER)
end

local SELF = values.class {
  name = "TemplateReference",
  attribute = function(self, name)
    if not self[1].blocks[name] then return nil end
    return values.builtin(function() return render_block(self[1], self[2], name, 1) end)
  end,
}

function H.SELF(state, variables)
  return setmetatable({ state, variables }, SELF)
end

function H.EXTENDS(state, parent, name)
  if parent then fail("a template cannot extend two others") end
  local template, problem = state:load(name)
  return template or fail(problem, name)
end

function H.PARENT(state, parent, variables, out, n)
  enter(state)
  state:add_blocks(parent)
  n = parent.root(state, variables, out, n)
  leave(state)
  return n
end

function H.INCLUDE(state, name, variables, ignore_missing, out, n)
  local template, problem = load_first(state, name)
  if not template then
    return ignore_missing and n or fail(problem)
  end
  enter(state)
  local own = state:derived()
  own:add_blocks(template)
  n = template.root(own, variables_for(variables), out, n)
  leave(state)
  return n
end

function H.IMPORT(state, name, variables)
  local template, problem = state:load(name)
  if not template then fail(problem) end
  enter(state)
  local own, scope, out = state:derived(), variables_for(variables), {}
  own:add_blocks(template)
  local n = template.root(own, scope, out, 0)
  leave(state)
  local exports = {}
  for _, export in ipairs(template.exports) do
    local value = rawget(scope, export)
    if export:sub(1, 1) ~= "_" and not values.is_undefined(value) then exports[export] = value end
  end
  return objects.module(exports, concat(out, n), name)
end

function H.CALL(state, callee, named, ...)
  if type(callee) == "function" then
    if not named then return values.or_null(callee(...)) end
    local arguments = table.pack(...)
    arguments[arguments.n + 1] = values.named_map(named)
    return values.or_null(callee(table.unpack(arguments, 1, arguments.n + 1)))
  end
  local meta = getmetatable(callee)
  if type(meta) == "table" and meta.kb_kind == "object" and meta.call then
    return meta.call(callee, state, named, ...)
  end
  if values.is_undefined(callee) then values.fail_undefined(callee) end
  fail(("'%s' object is not callable"):format(values.type_name(callee)))
end

--- Call with arguments by place and then those that `names` lists, which has their names, and how
-- many others come before them in `places`. Macros take them without a table being made.
function H.CALLN(state, callee, names, ...)
  local direct = objects.direct(callee, names)
  if direct then
    enter(state)
    local result = direct(...)
    leave(state)
    return result
  end
  local given, named = { ... }, {}
  for i, name in ipairs(names) do
    named[i], named[name] = name, given[names.places + i]
  end
  return H.CALL(state, callee, named, table.unpack(given, 1, names.places))
end

function H.CALLM(state, object, name, named, ...)
  local entry = methods.find(object, name)
  if entry then return values.or_null(signature.apply(entry, object, named, ...)) end
  return H.CALL(state, access.attribute(object, name), named, ...)
end

function H.ALL(value)
  local items, count = access.items(value)
  return table.unpack(items, 1, count)
end

function H.SPREAD(...)
  local all = {}
  for _, part in ipairs { ... } do table.move(part, 1, #part, #all + 1, all) end
  return table.unpack(all)
end

function H.MERGE(named, more)
  if values.kind(more) ~= "map" then
    if values.is_undefined(more) then values.fail_undefined(more) end
    fail("what follows '**' must be a map")
  end
  local merged = named or {}
  for name, value in data.pairs(more) do
    if type(name) ~= "string" then fail("the names of arguments must be strings") end
    if merged[name] ~= nil then fail(("the argument '%s' is given twice"):format(name)) end
    merged[#merged + 1] = name
    merged[name] = value
  end
  return merged
end

local COMPARISONS = {
  ["=="] = operators.equal, ["<"] = operators.less, [">"] = operators.greater,
  ["<="] = operators.less_equal, [">="] = operators.greater_equal,
  ["!="] = function(a, b) return not operators.equal(a, b) end,
  ["in"] = function(a, b) return operators.contains(b, a) end,
  ["not in"] = function(a, b) return not operators.contains(b, a) end,
}

--- Compare in a chain: a value, then operators and values in turn. The values
-- from the third on are functions, called only while the chain holds.
function H.CHAIN(left, op, right, ...)
  local rest = { ... }
  for i = 1, #rest + 1, 2 do
    if not COMPARISONS[op](left, right) then return false end
    if rest[i] then left, op, right = right, rest[i], rest[i + 1]() end
  end
  return true
end

function H.IN(item, container) return operators.contains(container, item) end

--- The truth of an attribute, of which `value` is what the table itself has.
function H.TA(value, object, key)
  if value == true or value == false then return value end
  if value == nil then value = access.attribute(object, key) end
  return operators.truth(value)
end

H.TYPE, H.INTS = type, text.integers
H.N, H.F, H.TESTS = data.null, filters.registry, tests.registry
H.FC = setmetatable({}, { __index = function(calls, name)
  calls[name] = filters.registry[name].call
  return calls[name]
end })
H.O, H.CAT, H.CONCAT = text.output, text.join, concat
H.T, H.TF, H.FN = operators.truth, operators.true_or_false, operators.false_or_nil
H.PK, H.UP = operators.packed, operators.unpacked
H.A, H.AM, H.I, H.SLICE = access.attribute, access.attribute_or_method, access.item, access.slice
H.ITEMS, H.UNPACK = access.items, access.unpack
H.APPLY, H.CHARGE, H.DERIVE = signature.apply, charge, derive
H.LIST, H.TUPLE, H.MAP = values.list, values.tuple, values.map
H.ADD, H.SUB, H.MUL, H.POW = operators.add, operators.subtract, operators.multiply, operators.power
H.DIV, H.FLOOR, H.MOD = operators.divide, operators.floor_divide, operators.modulo
H.NEG, H.POS = operators.negative, operators.positive
H.EQ, H.LT, H.LE = operators.equal, operators.less, operators.less_equal
H.GT, H.GE = operators.greater, operators.greater_equal
H.UNDEF, H.UNDEFINED, H.NOTHING = values.undefined, values.is_undefined, values.nothing
H.LOOP, H.MACRO, H.SETATTR, H.MEMBER =
  objects.loop, objects.macro, objects.set_attribute, objects.member

return M
