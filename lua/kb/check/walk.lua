--- Walks the tree of a playbook with its scopes, and says what cannot be right.

local args = require "kb.args"
local err = require "kb.err"
local fact = require "kb.fact"
local methods = require "kb.check.methods"
local play = require "kb.play"
local suggest = require "kb.suggest"
local tables = require "kb.check.tables"

local Walk = { __name = "kb.check.walk" }
Walk.__index = Walk

local M = {}

--- A walk through one file.
-- @param file table: path, dir, line (function(pos)), plays (line -> play)
-- @param found function(line, message): called for each finding
-- @param variables table: missing(play, name) -> list of hosts, names(play) -> list of strings;
-- and template(path, play, given, line) which checks a template
-- @return walk
function M.new(file, found, variables)
  return setmetatable({ file = file, found = found, variables = variables }, Walk)
end

-- Nothing is found where there is no message.
function Walk:_at(node, message)
  if message then
    self.found(self.file.line(node.pos), message)
  end
end

-- What a name means here: { kind = "kb" }, { kind = "module", module = … }, { kind = "host", play =
-- … }, { kind = "function", node = … } or { kind = "value" }; nil when it is not defined.
local function lookup(scope, name)
  while scope do
    if scope[name] then
      return scope[name]
    end
    scope = getmetatable(scope).outer
  end
end

local function inside(scope)
  return setmetatable({}, { outer = scope })
end

local function meaning(node, scope)
  return node.tag == "Name" and lookup(scope, node.name) or nil
end

local function is_index_of(node, scope, kind)
  local of = node.tag == "Index" and meaning(node.object, scope)
  return of and of.kind == kind and of or nil
end

local visit = {} -- by tag: function(walk, node, scope)

function Walk:_node(node, scope)
  local fn = visit[node.tag]
  if fn then
    fn(self, node, scope)
  end
end

function Walk:_list(list, scope)
  for _, node in ipairs(list or {}) do
    self:_node(node, scope)
  end
end

function Walk:block(block, scope)
  self:_list(block, inside(scope))
end

function visit.Name(walk, node, scope)
  if not lookup(scope, node.name) and _G[node.name] == nil then
    walk:_at(node, ("'%s' is not defined"):format(node.name))
  end
end

function visit.Function(walk, node, scope)
  walk:_function(node, scope)
end

-- With a host binding, it is what the first parameter means.
function Walk:_function(node, scope, host)
  local own = inside(scope)
  for i, name in ipairs(node.params) do
    own[name] = i == 1 and host or { kind = "value" }
  end
  self:block(node.body, own)
end

function visit.Operation(walk, node, scope)
  walk:_list(node, scope)
end

function visit.Table(walk, node, scope)
  for _, item in ipairs(node.items) do
    if item.key and item.key.tag ~= "String" then
      walk:_node(item.key, scope)
    end
    walk:_node(item.value, scope)
  end
end

local function names_in(module)
  local names = {}
  for name in pairs(module) do
    names[#names + 1] = name
  end
  return names
end

function visit.Index(walk, node, scope)
  local key = node.key.tag == "String" and node.key.value
  if is_index_of(node, scope, "kb") and key and require("kb")[key] == nil then
    walk:_at(node, ("kb has no function '%s'%s"):format(key,
      suggest.hint(key, names_in(require "kb"))))
  end
  if is_index_of(node, scope, "host") and key then
    walk:_at(node, methods.fault(key, false))
  end
  local of_vars = node.object.tag == "Index" and node.object.key.value == "vars"
    and is_index_of(node.object, scope, "host")
  if of_vars and key then
    walk:_variable(of_vars.play, key, node)
  end
  walk:_node(node.object, scope)
  if not key then
    walk:_node(node.key, scope)
  end
end

function Walk:_variable(p, name, node)
  local missing = p and self.variables.missing(p, name) or {}
  if #missing > 0 then
    self:_at(node, ("variable '%s' is not defined for %s%s"):format(name,
      table.concat(missing, " "), suggest.hint(name, self.variables.names(p))))
  end
end

local function declared_as(declared, key)
  for _, entry in ipairs(declared) do
    if entry[1] == key or entry.at == key then
      return entry
    end
  end
end

function Walk:_argument(o, key, value, host)
  local entry = declared_as(o.declared, key)
  local known, given = tables.constant(value)
  if entry and not known then
    return entry
  end
  local shown = known and given or not known and "" -- false is a value, too
  -- an undeclared one is refused by the whole declaration, with a suggestion
  local declared = entry and { entry } or o.declared
  local ok, e = pcall(args.check, declared, { [key] = shown }, o.name)
  if not ok then
    self:_at(value, err.wrap(e).message)
  elseif entry[2] == "mode" and type(given) == "number" then
    self:_at(value, ('%s: %s = %d is a decimal number; permission bits are written "%04d"')
      :format(o.name, entry[1], given, given))
  end
  if entry and entry.file and type(given) == "string" then
    self:_local_file(entry, given, value, host)
  end
  return entry
end

function Walk:_local_file(entry, name, node, host)
  local ok, path = pcall(require("kb.localfile").find, name, self.file.dir, entry.file)
  if not ok then
    self:_at(node, err.wrap(path).message)
  elseif entry.file == "templates" and host and host.play then
    self.variables.template(path, host.play, self.given_vars, self.file.line(node.pos))
  end
end

-- A call of an operation: its arguments are those that it declares.
function Walk:_operation(o, node, scope)
  local given = node.args[2]
  if not given or given.tag ~= "Table" then
    return
  end
  local items = tables.items(given)
  if not items then
    return
  end
  local computed
  self.given_vars, computed = tables.names_of_vars(items)
  local host = node.args[1] and meaning(node.args[1], scope)
  local seen = {}
  for key, value in pairs(items) do
    local entry = self:_argument(o, key, value, not computed and host or nil)
    seen[entry and entry[1] or key] = true
  end
  for _, entry in ipairs(o.declared) do
    if entry.required and not seen[entry[1]] then
      self:_at(node, ("%s needs '%s': %s"):format(o.name, entry[1], entry[3]))
    end
  end
end

function Walk:_module_call(of, node, scope)
  local name = node.callee.key.value
  local ok, o = pcall(function()
    return of.module[name]
  end)
  if not ok then
    self:_at(node, err.wrap(o).message)
  elseif type(o) == "table" and o.declared then
    self:_operation(o, node, scope)
  end
end

-- kb.play { …, function(host) … end }: the function's parameter is a host.
function Walk:_play(node, scope)
  local given = node.args[1]
  if not given or given.tag ~= "Table" then
    return self:_list(node.args, scope)
  end
  local p = self.file.plays[self.file.line(node.pos)]
  local host = { kind = "host", play = p }
  for _, item in ipairs(given.items) do
    local of = not item.key and meaning(item.value, scope)
    if item.value.tag == "Function" then
      self:_function(item.value, scope, host)
    elseif of and of.kind == "function" then
      self:_function(of.node, of.scope, host)
    else
      self:_node(item.value, scope)
    end
  end
end

-- The name of a fact, where it is written out.
function Walk:_fact_name(node)
  if node and node.tag == "String" then
    local ok, e = pcall(fact.find, node.value)
    if not ok then
      self:_at(node, err.wrap(e).message)
    end
  end
end

-- kb.gate(host, { "title", fact = { "name", … }, … })
function Walk:_gate(node)
  local given = node.args[2]
  local items = given and given.tag == "Table" and tables.items(given) or {}
  if items.fact and items.fact.tag == "Table" then
    self:_fact_name((tables.items(items.fact) or {})[1])
  end
end

function Walk:_kb_call(name, node, scope)
  if name == "play" then
    return self:_play(node, scope)
  elseif name == "gate" then
    self:_gate(node)
  end
  for i, arg in ipairs(node.args) do
    local is_host = name == "on" and i == 3 and arg.tag == "Function"
    if is_host then
      self:_function(arg, scope, { kind = "host" })
    else
      self:_node(arg, scope)
    end
  end
end

function visit.Call(walk, node, scope)
  local of_module = is_index_of(node.callee, scope, "module")
  if of_module and node.callee.key.tag == "String" then
    walk:_module_call(of_module, node, scope)
    return walk:_list(node.args, scope)
  end
  walk:_node(node.callee, scope)
  if is_index_of(node.callee, scope, "kb") and node.callee.key.tag == "String" then
    return walk:_kb_call(node.callee.key.value, node, scope)
  end
  walk:_list(node.args, scope)
end

function visit.Method(walk, node, scope)
  local of = meaning(node.object, scope)
  if of and of.kind == "host" then
    walk:_at(node, methods.fault(node.name, true))
  end
  if of and of.kind == "host" and node.name == "fact" then
    walk:_fact_name(node.args[1])
  end
  walk:_node(node.object, scope)
  walk:_list(node.args, scope)
end

local function is_call_of(node, scope, name)
  return node and node.tag == "Call" and is_index_of(node.callee, scope, "kb")
    and node.callee.key.value == name
end

local function is_require_kb(node)
  return node and node.tag == "Call" and node.callee.tag == "Name" and node.callee.name == "require"
    and node.args[1] and node.args[1].value == "kb"
end

-- local files, apt = kb.use("files", "apt")
function Walk:_use(node, names, scope)
  for i, arg in ipairs(node.args) do
    local _, name = tables.constant(arg)
    local ok, module = pcall(play.module, tostring(name or ""), self.file.dir)
    if not ok and arg.tag == "String" then
      self:_at(arg, err.wrap(module).message)
    end
    if names[i] then
      scope[names[i]] = ok and { kind = "module", module = module } or { kind = "value" }
    end
  end
end

function visit.Local(walk, node, scope)
  walk:_list(node.values, scope)
  for i, name in ipairs(node.names) do
    local value = node.values[i]
    if is_require_kb(value) then
      scope[name] = { kind = "kb" }
    elseif value and value.tag == "Function" then
      scope[name] = { kind = "function", node = value, scope = scope }
    else
      scope[name] = { kind = "value" }
    end
  end
  if is_call_of(node.values[1], scope, "use") then
    walk:_use(node.values[1], node.names, scope)
  end
end

function visit.LocalFunction(walk, node, scope)
  scope[node.name] = { kind = "function", node = node.value, scope = scope }
  walk:_node(node.value, scope)
end

function visit.Assign(walk, node, scope)
  walk:_list(node.values, scope)
  for _, target in ipairs(node.targets) do
    if target.tag == "Name" and not lookup(scope, target.name) then
      walk:_at(target, ("'%s' would be a global variable: write local before it")
        :format(target.name))
    else
      walk:_node(target, scope)
    end
  end
end

function visit.Expression(walk, node, scope)
  walk:_node(node.value, scope)
end

function visit.Return(walk, node, scope)
  walk:_list(node.values, scope)
end

function visit.Do(walk, node, scope)
  walk:block(node.body, scope)
end

function visit.While(walk, node, scope)
  walk:_node(node.condition, scope)
  walk:block(node.body, scope)
end

function visit.Repeat(walk, node, scope)
  local own = inside(scope)
  walk:_list(node.body, own)
  walk:_node(node.condition, own)
end

function visit.If(walk, node, scope)
  for _, part in ipairs(node.parts) do
    if part.tag then
      walk:_node(part, scope)
    else
      walk:block(part, scope)
    end
  end
end

function visit.For(walk, node, scope)
  walk:_list(node.values, scope)
  local own = inside(scope)
  for _, name in ipairs(node.names) do
    own[name] = { kind = "value" }
  end
  walk:block(node.body, own)
end

return M
