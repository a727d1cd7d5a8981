-- The values templates compute with, beside plain Lua ones: what Python calls
-- None is `data.null`, dicts are maps, and tuples, undefined values and the
-- objects of the language (macros, loops, namespaces) have metatables of ours.
--
-- Objects keep their insides under integer keys. A template can only ever ask a
-- table for a string key directly, so it never sees them.
local data = require "kb.data"
local unknown = require "kb.unknown"

local M = {}

local null = data.null
local type, math_type, getmetatable, rawget = type, math.type, getmetatable, rawget

-- Values made by a template may be changed by it; those of the context never.
local LIST = { kb_kind = "list", made_here = true }
local TUPLE = { kb_kind = "list", made_here = true, tuple = true }
local UNDEFINED = { kb_kind = "undefined" }
local FAILURE = { __name = "kb.template.failure" }

FAILURE.__tostring = function(failure) return failure.message end

-- The metatable of most lists that templates meet, for asking for it first.
local CONTEXT_LIST = getmetatable(data.list {})
M.CONTEXT_LIST = CONTEXT_LIST

--- Stop the rendering with a message; the place is added by the renderer.
-- @param message string
-- @param name string or nil: the name of the variable that is at fault
function M.fail(message, name)
  error(setmetatable({ message = message, name = name }, FAILURE), 0)
end

--- Tell a failure raised by `fail` from any other error value.
function M.is_failure(value)
  return getmetatable(value) == FAILURE
end

--- Make a list that the template may change.
-- @param items table or nil: it is marked, not copied
function M.list(items)
  return setmetatable(items or {}, LIST)
end

--- Make a tuple; it differs from a list in how it prints and compares.
function M.tuple(items)
  return setmetatable(items or {}, TUPLE)
end

--- Say whether a value is a tuple.
function M.is_tuple(value)
  local meta = type(value) == "table" and getmetatable(value)
  return meta and meta.tuple or false
end

--- Make a map that the template may change.
function M.map(entries)
  local map = data.map(entries)
  getmetatable(map).made_here = true
  return map
end

--- Refuse to change a value that the template did not make itself.
function M.check_own(value)
  local meta = getmetatable(value)
  if not (meta and meta.made_here) then
    M.fail("a value of the context cannot be changed by a template; change a copy of it")
  end
end

--- Make an undefined value: an error as soon as it is used for anything but
-- a default or a test for being defined.
-- @param name string or nil: the variable or attribute
-- @param hint string or nil: the message, when there is a better one
function M.undefined(name, hint)
  return setmetatable({ name, hint }, UNDEFINED)
end

--- Say whether a value is an undefined one.
function M.is_undefined(value)
  return getmetatable(value) == UNDEFINED
end

--- Make what an inline `if` without `else` gives when it is false: undefined,
-- but nothing where it is printed, and false where it is asked.
function M.nothing()
  return setmetatable({ nil, "the inline 'if' is false and has no 'else'", true }, UNDEFINED)
end

--- Say whether a value is such a nothing.
function M.is_nothing(value)
  return getmetatable(value) == UNDEFINED and value[3] == true
end

--- Raise the error that an undefined value stands for.
function M.fail_undefined(value)
  local name, hint = value[1], value[2]
  M.fail(hint or ("'" .. tostring(name) .. "' is undefined"), name)
end

--- Say what a value is to a template.
-- @return string: "string", "integer", "float", "boolean", "null", "list",
--   "map", "undefined", "object" (of the language), or "foreign"
function M.kind(value)
  local kind = type(value)
  if kind == "table" then
    local meta = getmetatable(value)
    if meta == nil then return value[1] ~= nil and "list" or "map" end
    if meta == CONTEXT_LIST then return "list" end
    return type(meta) == "table" and rawget(meta, "kb_kind") or "foreign"
  end
  if kind == "number" then return math_type(value) end
  if kind == "string" or kind == "boolean" then return kind end
  return kind == "nil" and "null" or "foreign"
end

local PYTHON_NAMES = {
  string = "str", integer = "int", float = "float", boolean = "bool", null = "NoneType",
  list = "list", map = "dict", undefined = "AnsibleUndefined",
}

--- Stop at what a dry run does not know yet: it may be shown, not looked into.
function M.check_known(value)
  if unknown.is(value) then unknown.stop(value, "a template looks inside a value") end
end

--- Name the type of a value as Python does, for messages and `type_debug`.
function M.type_name(value)
  M.check_known(value)
  if M.is_tuple(value) then return "tuple" end
  local kind = M.kind(value)
  if kind == "object" then return getmetatable(value).name or "object" end
  return PYTHON_NAMES[kind] or type(value)
end

--- Make a class of objects of the language.
-- @param class table: `name`; `attribute(self, key)` or nil; `call(self, state,
--   named, ...)` or nil; `text(self)` or nil; `truth(self)` or nil
-- @return table: a metatable for its objects
function M.class(class)
  class.kb_kind = "object"
  return class
end

local BUILTIN = M.class {
  name = "builtin_function_or_method",
  call = function(self, ...) return self[1](...) end,
}

--- Wrap a function so that templates can call it.
-- @param call function(state, named, ...): `named` is nil or a map
function M.builtin(call)
  return setmetatable({ call }, BUILTIN)
end

--- Walk the named arguments of a call, in the order they were written.
-- Named arguments are a table that lists the names at 1..n and has their values
-- under the names.
-- @param named table or nil
-- @return the three values of a generic `for`: name and value at each step
function M.each_named(named)
  local place = 0
  return function()
    place = place + 1
    local name = named and named[place]
    if name ~= nil then return name, named[name] end
  end
end

--- Make a map of named arguments.
function M.named_map(named)
  local map = M.map()
  for name, value in M.each_named(named) do map[name] = value end
  return map
end

--- Turn Lua's nil into null, so that it can be an item.
function M.or_null(value)
  if value == nil then return null end
  return value
end

return M
