-- The objects of the template language: loops, macros, namespaces, imported
-- templates, and the globals that every template knows.
local data = require "kb.data"
local access = require "kb.template.access"
local operators = require "kb.template.operators"
local text = require "kb.template.text"
local values = require "kb.template.values"

local M = {}

local fail = values.fail
local null = data.null

-- Loop: 1 the round, 2 how many, 3 the items, 4 the function of a recursive
-- loop, 5 the depth, 6 what `changed` saw last.
local loop_attributes = {
  index = function(loop) return loop[1] end,
  index0 = function(loop) return loop[1] - 1 end,
  revindex = function(loop) return loop[2] - loop[1] + 1 end,
  revindex0 = function(loop) return loop[2] - loop[1] end,
  first = function(loop) return loop[1] == 1 end,
  last = function(loop) return loop[1] == loop[2] end,
  length = function(loop) return loop[2] end,
  depth = function(loop) return loop[5] + 1 end,
  depth0 = function(loop) return loop[5] end,
  previtem = function(loop)
    return loop[3][loop[1] - 1] or values.undefined("previtem", "there is no previous item")
  end,
  nextitem = function(loop)
    if loop[1] == loop[2] then return values.undefined("nextitem", "there is no next item") end
    return loop[3][loop[1] + 1]
  end,
  cycle = function(loop)
    return values.builtin(function(_, _, ...)
      local count = select("#", ...)
      if count == 0 then fail("no items for cycling given") end
      return (select((loop[1] - 1) % count + 1, ...))
    end)
  end,
  changed = function(loop)
    return values.builtin(function(_, _, ...)
      local now = values.tuple { ... }
      local before = loop[6]
      loop[6] = now
      return before == nil or not operators.equal(before, now)
    end)
  end,
}

local LOOP = values.class {
  name = "LoopContext",
  attribute = function(loop, key)
    local read = loop_attributes[key]
    return read and read(loop)
  end,
  call = function(loop, state, _, items)
    if not loop[4] then fail("this loop is not recursive: it lacks the word 'recursive'") end
    state:enter()
    local result = loop[4](items, loop[5] + 1)
    state:leave()
    return result
  end,
}

--- Make the object `loop` of a loop; its round is set by the loop itself.
function M.loop(items, count, recursion, depth)
  return setmetatable({ 0, count, items, recursion, depth }, LOOP)
end

-- Macro: 1 its function, 2 its name, 3 the names of its parameters, 4 to 6
-- whether it takes more arguments by place, by name, and a caller, 7 the places
-- of the names, 8 its functions for calls with names.
local MACRO

local function bind_names(macro, arguments, named)
  local extra = macro[5] and values.map()
  local places = macro[7]
  for i = 1, named and #named or 0 do
    local name = named[i]
    local place, value = places[name], named[name]
    if place then
      if arguments[place] ~= nil then
        fail(("macro '%s' got the argument '%s' twice"):format(macro[2], name))
      end
      arguments[place] = value
    elseif name ~= "caller" then
      if not macro[5] then
        fail(("macro '%s' has no argument '%s'"):format(macro[2], name))
      end
      extra[name] = value
    end
  end
  return extra
end

local function bind_caller(macro, named)
  local caller = named and named.caller
  if caller ~= nil and not macro[6] then
    fail(("macro '%s' takes no caller: it never uses 'caller'"):format(macro[2]))
  end
  return caller or macro[6] and values.undefined("caller", "No caller defined")
end

local function call_macro(macro, state, named, ...)
  local count, accepted = select("#", ...), #macro[3]
  if not named and count <= accepted and not (macro[4] or macro[5] or macro[6]) then
    state:enter()
    local result = macro[1](...)
    state:leave()
    return result
  end
  local arguments = { ... }
  local rest = macro[4] and values.tuple {}
  if count > accepted then
    if not rest then
      fail(("macro '%s' takes not more than %d arguments"):format(macro[2], accepted))
    end
    table.move(arguments, accepted + 1, count, 1, rest)
  end
  local extra = bind_names(macro, arguments, named)
  arguments[accepted + 1], arguments[accepted + 2] = rest, extra
  arguments[accepted + 3] = bind_caller(macro, named)
  state:enter()
  local result = macro[1](table.unpack(arguments, 1, accepted + 3))
  state:leave()
  return result
end

-- Makers of functions that take a call's arguments in its order and pass them on in a macro's.
local reorderings = {}

local function reordering(order)
  local given, passed = {}, {}
  for place, from in ipairs(order) do
    if from then given[#given + 1] = "a" .. #given + 1 end
    passed[place] = from and "a" .. from or "nil"
  end
  local source = ("local body = ... return function(%s) return body(%s) end"):format(
    table.concat(given, ", "), table.concat(passed, ", "))
  reorderings[source] = reorderings[source] or load(source)
  return reorderings[source]
end

-- Where each parameter of a macro comes from: the place of an argument, or false. Nil when the
-- macro does not take them all, or in another way than by its parameters.
local function order_of(macro, names)
  local order, count = {}, #macro[3]
  for place = 1, count do order[place] = place <= names.places and place end
  for i, name in ipairs(names) do
    local place = macro[7][name]
    if not place or order[place] then return nil end
    order[place] = names.places + i
  end
  return names.places <= count and order
end

--- Give the function of a macro for calls whose arguments are places and names known before.
-- @param callee any
-- @param names list of strings, with `places`, how many arguments come before them
-- @return function; nil when it must be called in the general way
function M.direct(callee, names)
  if getmetatable(callee) ~= MACRO or callee[4] or callee[5] or callee[6] then return nil end
  local made = callee[8][names]
  if made == nil then
    local order = order_of(callee, names)
    made = order and reordering(order)(callee[1]) or false
    callee[8][names] = made
  end
  return made
end

local macro_attributes = {
  name = function(macro) return macro[2] end,
  arguments = function(macro) return values.tuple(table.move(macro[3], 1, #macro[3], 1, {})) end,
  catch_varargs = function(macro) return macro[4] end,
  catch_kwargs = function(macro) return macro[5] end,
  caller = function(macro) return macro[6] end,
}

MACRO = values.class {
  name = "Macro",
  attribute = function(macro, key)
    local read = macro_attributes[key]
    return read and read(macro)
  end,
  call = call_macro,
  text = function(macro) return ("<Macro %s>"):format(text.repr(macro[2])) end,
}

--- Make a macro; its function takes all parameters, then what else it accepts.
function M.macro(_, name, parameters, more_places, more_names, caller, body)
  local places = {}
  for place, parameter in ipairs(parameters) do places[parameter] = place end
  return setmetatable(
    { body, name, parameters, more_places, more_names, caller, places, {} }, MACRO)
end

-- Namespace: its attributes are its string keys.
local NAMESPACE = values.class { name = "Namespace" }

function NAMESPACE.text(namespace)
  local map = values.map()
  for _, key in ipairs(namespace[1]) do map[key] = namespace[key] end
  return ("<Namespace %s>"):format(text.repr(map))
end

--- Set an attribute of a namespace.
function M.set_attribute(object, key, value)
  if getmetatable(object) ~= NAMESPACE then
    if values.is_undefined(object) then values.fail_undefined(object) end
    fail("only the attributes of a namespace can be set")
  end
  if object[key] == nil then table.insert(object[1], key) end
  object[key] = value
end

local function namespace(_, named, initial)
  local object = setmetatable({ {} }, NAMESPACE)
  for key, value in data.pairs(initial or {}) do M.set_attribute(object, key, value) end
  for key, value in values.each_named(named) do M.set_attribute(object, key, value) end
  return object
end

-- Module: what an imported template exports, as string keys; 1 its output, 2 its name.
local MODULE = values.class {
  name = "TemplateModule",
  text = function(module) return module[1] end,
}

--- Make the object of an imported template.
function M.module(exports, output, name)
  exports[1], exports[2] = output, name
  return setmetatable(exports, MODULE)
end

--- Give what a template exports under a name, or an undefined value.
function M.member(module, name)
  local found = module[name]
  if found ~= nil then return found end
  return values.undefined(name,
    ("template '%s' does not export '%s'"):format(tostring(module[2]), name))
end

-- Cycler: 1 the items, 2 the present place.
local CYCLER = values.class {
  name = "Cycler",
  attribute = function(cycler, key)
    if key == "current" then return cycler[1][cycler[2]] end
    if key == "next" then
      return values.builtin(function()
        local item = cycler[1][cycler[2]]
        cycler[2] = cycler[2] % #cycler[1] + 1
        return item
      end)
    elseif key == "reset" then
      return values.builtin(function() cycler[2] = 1 return null end)
    end
  end,
}

local function cycler(_, _, ...)
  if select("#", ...) == 0 then fail("cycler needs at least one item") end
  return setmetatable({ { ... }, 1 }, CYCLER)
end

-- Joiner: 1 the separator, 2 whether it was called before.
local JOINER = values.class {
  name = "Joiner",
  call = function(joiner)
    if joiner[2] then return joiner[1] end
    joiner[2] = true
    return ""
  end,
}

local function joiner(_, named, separator)
  return setmetatable({ separator or named and named.sep or ", ", false }, JOINER)
end

-- More items than Jinja's own sandbox allows are a mistake, not a template.
local MAX_RANGE = 100000

local function range(_, _, from, to, step)
  if to == nil then from, to = 0, from end
  step = step or 1
  for _, bound in ipairs { from, to, step } do
    if math.type(bound) ~= "integer" then
      if values.is_undefined(bound) then values.fail_undefined(bound) end
      fail(("range needs integers, not '%s'"):format(values.type_name(bound)))
    end
  end
  if from == nil then fail("range needs an integer") end
  if step == 0 then fail("the step of a range cannot be zero") end
  local count = step > 0 and (to - from + step - 1) // step or (from - to - step - 1) // -step
  if count > MAX_RANGE then fail(("a range of more than %d items"):format(MAX_RANGE)) end
  local items = {}
  for i = 1, count do items[i] = from + (i - 1) * step end
  return values.list(items)
end

local function dict(_, named, initial)
  local map = values.map()
  if initial ~= nil then
    if values.kind(initial) == "map" then
      for key, value in data.pairs(initial) do map[key] = value end
    else
      local items, count = access.items(initial)
      for i = 1, count do
        local key, value = access.unpack(items[i], 2)
        map[key] = value
      end
    end
  end
  for key, value in values.each_named(named) do map[key] = value end
  return map
end

local function undef(_, named, hint)
  hint = hint or named and named.hint
  return values.undefined(nil, hint or "Mandatory variable has not been overridden")
end

--- What every template knows besides its context.
M.globals = {
  range = values.builtin(range), dict = values.builtin(dict),
  namespace = values.builtin(namespace), cycler = values.builtin(cycler),
  joiner = values.builtin(joiner), undef = values.builtin(undef),
}

return M
