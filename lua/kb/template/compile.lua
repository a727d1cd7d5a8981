-- From a template's tree to Lua source: scopes, names and the source's frame.
--
-- The variables of the template's own level live in the table V, which fetches
-- from the context what it does not have. Inner scopes (loops, macros, blocks,
-- `with`) keep theirs in Lua locals. `out` and `n` are the output so far.
local expression = require "kb.template.compile_expression"
local statement = require "kb.template.compile_statement"
local walk = require "kb.template.walk"

local M = {}

local Compiler = {}
Compiler.__index = Compiler

-- The functions that compiled templates call, in the order they are passed.
M.helpers = {
  "TYPE", "INTS", "N", "O", "T", "TF", "FN", "PK", "UP", "A", "AM", "I", "SLICE", "CALL", "CALLM",
  "CALLN", "FC", "TA", "ALL", "SPREAD", "MERGE", "APPLY", "LIST", "TUPLE", "MAP", "ADD", "SUB",
  "MUL", "DIV", "FLOOR", "MOD", "POW", "NEG", "POS", "CAT", "EQ", "LT", "LE", "GT", "GE", "IN",
  "CHAIN", "UNDEF", "UNDEFINED", "NOTHING", "F", "TESTS", "ITEMS", "UNPACK", "CHARGE", "LOOP",
  "MACRO", "CONCAT", "SETATTR", "DERIVE", "BLOCK", "REQUIRED", "SUPER", "SELF", "EXTENDS",
  "PARENT", "INCLUDE", "IMPORT", "MEMBER",
}

function Compiler:refuse(at, message)
  error({ at = at, message = message }, 0)
end

function Compiler:line_of(at)
  return self.tree.line_of(at)
end

--- Add a line of source that stands for the present line of the template.
function Compiler:emit(source)
  self.code[#self.code + 1] = ("--[[%d]] %s"):format(self.line, source)
end

function Compiler:id()
  self.last_id = self.last_id + 1
  return self.last_id
end

--- Keep a value for all rounds and calls of the template.
-- @param source string: what makes it
-- @return string: the source that stands for it
function Compiler:constant(source)
  table.insert(self.constants, source)
  return ("K[%d]"):format(#self.constants)
end

--- Open a scope below the present one.
function Compiler:open_scope()
  self.scope = { outer = self.scope, names = {}, order = {} }
  return self.scope
end

function Compiler:close_scope()
  self.scope = self.scope.outer
end

--- Make a Lua local for a template's variable in the present scope.
-- @return string: the local's name
function Compiler:declare(name)
  local plain = name:gsub("[^%w_]", "_")
  local variable = ("l%d_%s"):format(self:id(), plain)
  self.scope.names[name] = { variable = variable }
  table.insert(self.scope.order, name)
  return variable
end

--- Find what a name stands for in the scopes around; nil when it is in V.
function Compiler:find(name)
  local scope = self.scope
  while scope do
    if scope.names[name] then return scope.names[name] end
    scope = scope.outer
  end
end

--- Declare the names that a body assigns, as locals of the present scope.
function Compiler:declare_assigned(body)
  local names = {}
  for name in pairs(walk.assigned(body)) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    if not self.scope.names[name] then
      local outer = walk.needs_outer(body, name) and self:load_plain(name)
      self:emit(("local %s%s"):format(self:declare(name), outer and " = " .. outer or ""))
    end
  end
end

--- Give the source that reads a name, without noting it as a reference.
function Compiler:load_plain(name)
  local found = self:find(name)
  if found and found.variable then return found.variable end
  return ("V[%s]"):format(expression.quoted(name))
end

local SPECIAL = { self = true, super = true }

--- Give the source that reads the variable of a name node.
function Compiler:load(node)
  local name = node.name
  local found = self:find(name)
  if found then return found.variable or found.source end
  if SPECIAL[name] and not self.root_names[name] then
    if name == "self" then return "SELF(R, V)" end
    if self.block then
      return ("SUPER(R, %s, V, level)"):format(expression.quoted(self.block))
    end
  end
  if not self.root_names[name] and not self.globals[name] then
    table.insert(self.references,
      { name = name, line = self:line_of(node.at), optional = self.guarded or false })
  end
  return ("V[%s]"):format(expression.quoted(name))
end

local COUNTERS = {
  index = { "I", "integer" }, index0 = { "(I - 1)", "integer" },
  revindex = { "(C - I + 1)", "integer" }, revindex0 = { "(C - I)", "integer" },
  first = { "(I == 1)", "boolean" }, last = { "(I == C)", "boolean" },
  length = { "C", "integer" },
}

--- Give the source of `loop.index` and its like, where no loop object is made.
function Compiler:loop_counter(node)
  if node.base.kind ~= "name" or node.base.name ~= "loop" then return nil end
  local found = self:find("loop")
  if not (found and found.counter) or not COUNTERS[node.name] then return nil end
  local counter = COUNTERS[node.name]
  return (counter[1]:gsub("[IC]", { I = found.counter, C = found.count })), counter[2]
end

--- Give the source of a table with the locals visible here, or nil for none.
function Compiler:visible_locals()
  local entries, seen, scope = {}, {}, self.scope
  while scope do
    for _, name in ipairs(scope.order) do
      if not seen[name] then
        seen[name] = true
        entries[#entries + 1] = ("[%s] = %s"):format(
          expression.quoted(name), scope.names[name].variable)
      end
    end
    scope = scope.outer
  end
  return #entries > 0 and "{" .. table.concat(entries, ", ") .. "}" or nil
end

--- Give the source of the variables that another template gets to see.
function Compiler:visible_variables()
  local locals = self:visible_locals()
  return locals and ("DERIVE(V, %s)"):format(locals) or "V"
end

Compiler.body = statement.body

local function compile_block(compiler, name, block)
  compiler.line = compiler:line_of(block.at)
  compiler.block, compiler.in_root = name, false
  compiler:emit(("B[%s] = function(R, V, out, n, level)"):format(expression.quoted(name)))
  compiler:open_scope()
  compiler:declare_assigned(block.body)
  compiler:body(block.body)
  compiler:close_scope()
  compiler:emit("return n end")
  compiler.block = nil
end

local function compile_root(compiler, body)
  compiler.line, compiler.in_root = 1, true
  compiler:emit("local function root(R, V, out, n)")
  if compiler.has_extends then compiler:emit("local P, kept") end
  compiler:body(body)
  if compiler.has_extends then
    compiler:emit("if P then return (PARENT(R, P, V, out, kept)) end")
  end
  compiler:emit("return n end")
end

local function sorted_blocks(blocks)
  local names = {}
  for name in pairs(blocks) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- What comes before all else, once the rest is known.
local function emit_head(compiler)
  compiler:emit("local " .. table.concat(M.helpers, ", ") .. " = ...")
  compiler:emit(("local B, K = {}, {%s}"):format(table.concat(compiler.constants, ", ")))
end

--- Make Lua source of a template's tree.
-- @param tree table: `body`, `blocks`, `line_of`
-- @param globals table: names that every template knows
-- @return table: `source`; `exports`, a list of names; `references`, a list of
--   `{ name, line, optional }`; `templates`, a list of `{ name, line }`
-- @raise `{ at = position, message = text }`
function M.compile(tree, globals)
  local compiler = setmetatable({
    tree = tree, globals = globals, code = {}, line = 1, last_id = 0, references = {},
    templates = {}, root_names = walk.assigned(tree.body), constants = {},
    has_extends = walk.any(tree.body, function(node) return node.kind == "extends" end),
  }, Compiler)
  for _, name in ipairs(sorted_blocks(tree.blocks)) do
    compile_block(compiler, name, tree.blocks[name])
  end
  compile_root(compiler, tree.body)
  compiler:emit("return root, B")
  local code = compiler.code
  compiler.code, compiler.line = {}, 1
  emit_head(compiler)
  table.move(code, 1, #code, #compiler.code + 1, compiler.code)
  return {
    source = table.concat(compiler.code, "\n"), exports = sorted_blocks(compiler.root_names),
    references = compiler.references, templates = compiler.templates,
  }
end

--- Make Lua source of one expression: a function of R and V.
function M.expression(node, line_of, globals)
  local compiler = setmetatable({
    tree = { line_of = line_of }, globals = globals, code = {}, line = 1, last_id = 0,
    references = {}, templates = {}, root_names = {}, constants = {},
  }, Compiler)
  local source = expression.value(compiler, node)
  emit_head(compiler)
  compiler:emit("return function(R, V) return (" .. source .. ") end")
  return { source = table.concat(compiler.code, "\n"), references = compiler.references }
end

--- List which line of the template each line of the source stands for.
function M.line_map(source)
  local map = {}
  for line in source:gmatch("[^\n]+") do
    map[#map + 1] = math.tointeger(tonumber(line:match("^%-%-%[%[(%d+)%]%]"))) or map[#map]
  end
  return map
end

return M
