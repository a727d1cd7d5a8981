-- From tags and text to Lua source. Each maker emits lines through the compiler.
local expression = require "kb.template.compile_expression"
local macro = require "kb.template.compile_macro"
local walk = require "kb.template.walk"

local M = {}

local makers = {}
local value, condition, quoted = expression.value, expression.condition, expression.quoted

-- The most pieces that become one concatenation: each takes a Lua local.
local MAX_PIECES = 40

local function is_call(node)
  return node.kind == "call"
end

-- Give the source of a piece of output as a string. What may be no string goes
-- through a local, so that strings, which most are, cost no call of ours.
local function piece_source(compiler, node, ordered)
  compiler.line = compiler:line_of(node.at)
  if node.kind == "text" then return quoted(node.text) end
  local source, kind = value(compiler, node.value)
  if kind == "integer" then return ("INTS[%s]"):format(source) end
  local variable = ("v%d"):format(compiler:id())
  if ordered or kind == "string" then
    compiler:emit(("local %s = %s"):format(variable, kind == "string" and source
      or ("O(%s)"):format(source)))
    return variable
  end
  compiler:emit(("local %s = %s"):format(variable, source))
  return ('(TYPE(%s) == "string" and %s or\n--[[%d]] O(%s))'):format(
    variable, variable, compiler:line_of(node.at), variable)
end

-- A run of text and outputs becomes one concatenation. When a call among them
-- might change what another shows, each is turned into text at its turn.
local function emit_pieces(compiler, body, from)
  local guard = compiler.in_root and compiler.has_extends
  local to = from
  while to - from < MAX_PIECES and body[to + 1]
    and (body[to + 1].kind == "text" or body[to + 1].kind == "output") do
    to = to + 1
  end
  local run = table.move(body, from, to, 1, {})
  local ordered = walk.any(run, is_call)
  compiler:emit(guard and "if not P then" or "do")
  local sources = {}
  for i, node in ipairs(run) do sources[i] = piece_source(compiler, node, ordered) end
  compiler:emit((compiler.joins and "text = text .. %s end" or "n = n + 1 out[n] = %s end")
    :format(table.concat(sources, " .. ")))
  return to + 1
end

--- Emit the nodes of a body, one after the other.
function M.body(compiler, body)
  local place = 1
  while body[place] do
    local node = body[place]
    if node.kind == "text" or node.kind == "output" then
      place = emit_pieces(compiler, body, place)
    else
      compiler.line = compiler:line_of(node.at)
      makers[node.kind](compiler, node)
      place = place + 1
    end
  end
end

-- Emit a body with a scope and an output of its own into a Lua local.
local function captured(compiler, body)
  local result = ("r%d"):format(compiler:id())
  compiler:emit(("local %s do local out, n = {}, 0"):format(result))
  local in_root = compiler.in_root
  compiler.in_root = false
  compiler:open_scope()
  compiler:declare_assigned(body)
  compiler:body(body)
  compiler:close_scope()
  compiler.in_root = in_root
  compiler:emit(("%s = CONCAT(out, n) end"):format(result))
  return result
end

-- Assign a source to a target: a name, an attribute, or names to unpack into.
local function assign(compiler, target, source)
  if target.kind == "attribute_target" then
    local base = compiler:load({ name = target.base, at = target.at })
    compiler:emit(("SETATTR(%s, %s, %s)"):format(base, quoted(target.name), source))
  elseif target.kind == "name" then
    compiler:emit(("%s = %s"):format(compiler:load_plain(target.name), source))
  else
    local parts = {}
    for i = 1, #target.items do parts[i] = ("p%d"):format(compiler:id()) end
    compiler:emit(("local %s = UNPACK(%s, %d)"):format(
      table.concat(parts, ", "), source, #target.items))
    for i, item in ipairs(target.items) do assign(compiler, item, parts[i]) end
  end
end

local function declare_targets(compiler, target)
  if target.kind == "name" then
    compiler:emit("local " .. compiler:declare(target.name))
  else
    for _, item in ipairs(target.items) do declare_targets(compiler, item) end
  end
end

-- A target in a scope of its own: simple ones become locals at once.
local function declare_and_assign(compiler, target, source)
  if target.kind == "name" then
    compiler:emit(("local %s = %s"):format(compiler:declare(target.name), source))
    return
  end
  local flat = true
  for _, item in ipairs(target.items) do flat = flat and item.kind == "name" end
  if flat then
    local names = {}
    for i, item in ipairs(target.items) do names[i] = compiler:declare(item.name) end
    compiler:emit(("local %s = UNPACK(%s, %d)"):format(table.concat(names, ", "), source, #names))
  else
    declare_targets(compiler, target)
    assign(compiler, target, source)
  end
end

makers["set"] = function(compiler, node)
  -- The lines of unpacking are locals: a block keeps them from piling up.
  compiler:emit("do")
  local source
  if node.value then
    source = value(compiler, node.value)
  else
    source = captured(compiler, node.body)
    for _, filter in ipairs(node.filters or {}) do
      source = expression.filter(compiler, filter, source)
    end
  end
  assign(compiler, node.target, source)
  compiler:emit("end")
end

makers["do"] = function(compiler, node)
  compiler:emit(("do local _ = %s end"):format((value(compiler, node.value))))
end

makers["print"] = function(compiler, node)
  local outputs = {}
  for i, item in ipairs(node.values) do
    outputs[i] = { kind = "output", at = node.at, value = item }
  end
  M.body(compiler, outputs)
end

makers["if"] = function(compiler, node)
  for i, branch in ipairs(node.branches) do
    compiler.line = compiler:line_of(branch.test.at)
    local test = condition(compiler, branch.test)
    compiler:emit(("%s %s then"):format(i == 1 and "if" or "elseif", test))
    compiler:body(branch.body)
  end
  if node.otherwise then
    compiler:emit("else")
    compiler:body(node.otherwise)
  end
  compiler:emit("end")
end

-- Attributes of a loop's variable are read without a call, from a local that
-- certainly is a table.
local function guard_target(compiler, node, body)
  local name = node.target.kind == "name" and node.target.name
  if not name or walk.assigned(node.body)[name] or not walk.reads_attribute(body, name) then
    return
  end
  local entry = compiler.scope.names[name]
  entry.table = entry.variable .. "_table"
  compiler:emit(('local %s = TYPE(%s) == "table" and %s or {}'):format(
    entry.table, entry.variable, entry.variable))
end

-- Keep only the items that pass the loop's `if`.
local function emit_filter(compiler, node, names)
  compiler:emit(("local kept, m = {}, 0 for i = 1, %s do"):format(names.count))
  compiler:open_scope()
  declare_and_assign(compiler, node.target, names.items .. "[i]")
  guard_target(compiler, node, node.test)
  compiler:emit(("if %s then m = m + 1 kept[m] = %s[i] end end"):format(
    condition(compiler, node.test), names.items))
  compiler:close_scope()
  compiler:emit(("%s, %s = kept, m"):format(names.items, names.count))
end

local function emit_rounds(compiler, node, names)
  local use = node.recursive and "full" or walk.loop_use(node.body)
  local scope = compiler:open_scope()
  if use == "full" then
    compiler:emit(("local %s = LOOP(%s, %s, %s)"):format(
      names.loop, names.items, names.count, names.recursion or "nil, 0"))
    scope.names.loop = { variable = names.loop }
    table.insert(scope.order, "loop")
  else
    scope.names.loop = { counter = names.counter, count = names.count }
  end
  compiler:emit(("for %s = 1, %s do"):format(names.counter, names.count))
  if use == "full" then compiler:emit(("%s[1] = %s"):format(names.loop, names.counter)) end
  local continues = walk.continues(node.body)
  if continues then compiler:emit("do") end
  declare_and_assign(compiler, node.target, ("%s[%s]"):format(names.items, names.counter))
  guard_target(compiler, node, node.body)
  compiler:declare_assigned(node.body)
  local outer = compiler.continue_label
  compiler.continue_label = names.label
  compiler:body(node.body)
  compiler.continue_label = outer
  if continues then compiler:emit(("end ::%s::"):format(names.label)) end
  compiler:emit("end")
  compiler:close_scope()
end

local function loop_names(compiler)
  local id = compiler:id()
  return {
    items = "items" .. id, count = "count" .. id, counter = "i" .. id, loop = "loop" .. id,
    label = "continue" .. id, call = "loop_call" .. id,
  }
end

local function emit_loop(compiler, node, names, source)
  compiler:emit(("local %s, %s = ITEMS(%s) CHARGE(R, %s)"):format(
    names.items, names.count, source, names.count))
  if node.test then emit_filter(compiler, node, names) end
  emit_rounds(compiler, node, names)
  if node.otherwise then
    compiler:emit(("if %s == 0 then"):format(names.count))
    compiler:open_scope()
    compiler:declare_assigned(node.otherwise)
    compiler:body(node.otherwise)
    compiler:close_scope()
    compiler:emit("end")
  end
end

makers["for"] = function(compiler, node)
  local names = loop_names(compiler)
  compiler:emit("do")
  local source = value(compiler, node.iterable)
  if node.recursive then
    names.recursion = names.call .. ", depth"
    compiler:emit(("local function %s(items, depth) local out, n = {}, 0"):format(names.call))
    emit_loop(compiler, node, names, "items")
    compiler:emit("return CONCAT(out, n) end")
    compiler:emit(("out[n + 1] = %s(%s, 0) n = n + 1"):format(names.call, source))
  else
    emit_loop(compiler, node, names, source)
  end
  compiler:emit("end")
end

makers["break"] = function(compiler) compiler:emit("do break end") end

makers["continue"] = function(compiler)
  compiler:emit(("goto %s"):format(compiler.continue_label))
end

makers["macro"], makers["call"] = macro.macro, macro.call

makers["filter"] = function(compiler, node)
  compiler:emit("do")
  local source = captured(compiler, node.body)
  for _, filter in ipairs(node.filters) do
    source = expression.filter(compiler, filter, source)
  end
  compiler:emit(("out[n + 1] = O(%s) n = n + 1 end"):format(source))
end

makers["with"] = function(compiler, node)
  compiler:emit("do")
  local sources = {}
  for i, pair in ipairs(node.pairs) do
    sources[i] = ("w%d"):format(compiler:id())
    compiler:emit(("local %s = %s"):format(sources[i], (value(compiler, pair.value))))
  end
  compiler:open_scope()
  for i, pair in ipairs(node.pairs) do declare_and_assign(compiler, pair.target, sources[i]) end
  compiler:declare_assigned(node.body)
  compiler:body(node.body)
  compiler:close_scope()
  compiler:emit("end")
end

makers["autoescape"] = function(compiler, node)
  if node.value.kind ~= "false" then
    compiler:refuse(node.value.at, "autoescape is not supported, only 'autoescape false'")
  end
  compiler:body(node.body)
end

makers["block"] = function(compiler, node)
  local name = quoted(node.name)
  local guard = compiler.in_root and compiler.has_extends
  if guard then compiler:emit("if not P then") end
  if node.required then compiler:emit(("REQUIRED(R, %s)"):format(name)) end
  local variables = node.scoped and compiler:visible_variables() or "V"
  compiler:emit(("n = BLOCK(R, %s, %s, out, n)%s"):format(
    name, variables, guard and " end" or ""))
end

-- Note which template a tag names, when it is not computed.
local function note_template(compiler, node)
  local named = node.template
  if named.kind == "string" then
    table.insert(compiler.templates, {
      name = named.text, line = compiler:line_of(node.at), tag = node.kind,
      optional = node.ignore_missing or false,
    })
  end
  return (value(compiler, named))
end

makers["extends"] = function(compiler, node)
  local source = note_template(compiler, node)
  compiler:emit(("P = EXTENDS(R, P, %s) kept = n"):format(source))
end

makers["include"] = function(compiler, node)
  local variables = node.with_context == false and "nil" or compiler:visible_variables()
  local source = note_template(compiler, node)
  local guard = compiler.in_root and compiler.has_extends and "if not P then " or "do "
  compiler:emit(("%sn = INCLUDE(R, %s, %s, %s, out, n) end"):format(
    guard, source, variables, tostring(node.ignore_missing or false)))
end

local function import_source(compiler, node)
  local variables = node.with_context and compiler:visible_variables() or "nil"
  return ("IMPORT(R, %s, %s)"):format(note_template(compiler, node), variables)
end

makers["import"] = function(compiler, node)
  compiler:emit(("%s = %s"):format(
    compiler:load_plain(node.as), import_source(compiler, node)))
end

makers["from"] = function(compiler, node)
  compiler:emit(("do local module = %s"):format(import_source(compiler, node)))
  for _, import in ipairs(node.names) do
    compiler:emit(("%s = MEMBER(module, %s)"):format(
      compiler:load_plain(import.as or import.name), quoted(import.name)))
  end
  compiler:emit("end")
end

return M
