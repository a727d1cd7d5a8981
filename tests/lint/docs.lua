-- What others may call has a manual, with all its parameters.
local test = ...
local c = require "kb.doc.c"
local doc = require "kb.doc"
local embedded = require "kb.core.embedded"
local lua = require "kb.doc.lua"
local tree = require "lib.tree"

local function names_of(params)
  local list = {}
  for _, param in ipairs(params) do
    list[#list + 1] = param.name
  end
  return table.concat(list, ", ")
end

-- What is said of a Lua function against what it takes. Inside of a module a
-- sentence may do, but what is explained must be there.
local function parameter_fault(entry, inside)
  if entry.parameters == nil or entry.parameters == names_of(entry.params)
    or inside and #entry.params == 0 then
    return nil
  end
  return ("takes (%s), its comment explains (%s)"):format(entry.parameters, names_of(entry.params))
end

local function entry_fault(entry, inside)
  if entry.summary == "" then
    return "has no first sentence"
  elseif #entry.unknown > 0 then
    return "has the tag @" .. entry.unknown[1] .. ", which means nothing"
  end
  return parameter_fault(entry, inside)
end

local function check_module(path, name, findings)
  local documented = {}
  for _, entry in ipairs(lua.read(name, tree.text(path)).entries) do
    documented[entry.line] = true
    local fault = entry.kind ~= "method" and entry_fault(entry, not doc.is_public(name))
    if fault then
      findings[#findings + 1] = ("%s:%d: %s %s"):format(path, entry.line, entry.name, fault)
    end
  end
  for n, line in tree.lines(path) do
    local definition = lua.definition(line)
    if definition and definition.kind ~= "method" and definition.kind ~= "value"
      and not definition.key:find("^_") and not documented[n] then
      findings[#findings + 1] = ("%s:%d: M.%s has no comment (---)"):format(path, n, definition.key)
    end
  end
end

test("Lua: every public function, operation and fact", function()
  local findings = {}
  for _, path in ipairs(tree.files("^[lm][%w]+/.*%.lua$")) do
    if not path:find("/cases%.lua$") and not path:find("^lua/kb/command/") then
      local name = path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
      check_module(path, name, findings)
    end
  end
  tree.none(findings)
end)

-- The highest argument that each C function takes from the stack by a check.
local function arguments_taken()
  local taken = {}
  for _, path in ipairs(tree.files("^engine/.*%.c$")) do
    for name, body in tree.text(path):gmatch("\n[%w ]*int ([%w_]+)%(lua_State %*L%) (%b{})") do
      taken[name] = 0
      for index in body:gmatch("luaL_[co][hp][et]%w*%(L, (%d+)") do
        taken[name] = math.max(taken[name], math.tointeger(index))
      end
    end
  end
  return taken
end

test("C: every function and method that Lua can call", function()
  local findings, taken = {}, arguments_taken()
  local libraries = c.read(embedded.text("engine/comments"))
  assert(#libraries >= 4, "the libraries were not found")
  for _, library in ipairs(libraries) do
    for _, entry in ipairs(library.entries) do
      local least = (taken[entry.fn] or 0) - (entry.kind == "method" and 1 or 0)
      if entry.missing then
        findings[#findings + 1] = ("%s (%s) has no comment (/***)"):format(entry.name, entry.fn)
      elseif entry_fault(entry) then
        findings[#findings + 1] = ("%s (%s) %s"):format(entry.name, entry.fn, entry_fault(entry))
      elseif #entry.params < least then
        findings[#findings + 1] = ("%s (%s) takes %d arguments, its comment explains %d")
          :format(entry.name, entry.fn, least, #entry.params)
      end
    end
  end
  tree.none(findings)
end)

-- Arguments that are declared and not explained, or explained and not declared.
local function argument_faults(entry, findings)
  local said, declared = {}, {}
  for _, param in ipairs(entry.params) do
    said[param.name] = true
  end
  for _, argument in ipairs(entry.args) do
    declared[argument[1]] = true
    if not said[argument[1]] and (argument[3] or "") == "" then
      findings[#findings + 1] = ("%s: nothing says what %s is"):format(entry.name, argument[1])
    end
  end
  for name in pairs(said) do
    if not declared[name] then
      findings[#findings + 1] = ("%s has no argument %s"):format(entry.name, name)
    end
  end
end

test("operations explain the arguments that they declare, and no others", function()
  local findings = {}
  for _, module in ipairs(doc.modules()) do
    for _, entry in ipairs(module.entries) do
      if entry.args then
        argument_faults(entry, findings)
      elseif entry.kind == "operation" then
        findings[#findings + 1] = entry.name .. ": its module does not load"
      end
    end
  end
  tree.none(findings)
end)
