-- From macros, and calls with a body, to Lua source.
local expression = require "kb.template.compile_expression"
local walk = require "kb.template.walk"

local M = {}

local value, quoted = expression.value, expression.quoted

-- More pieces of text than these are quicker to collect.
local MOST_JOINED = 40

-- What a body may have for its text to be joined as it comes: nothing that goes round.
local JOINED = { text = true, output = true, ["if"] = true }

local function is_joined(body)
  for _, node in ipairs(body) do
    if not JOINED[node.kind] then return false end
    for _, branch in ipairs(node.branches or {}) do
      if not is_joined(branch.body) then return false end
    end
    if node.otherwise and not is_joined(node.otherwise) then return false end
  end
  return #body <= MOST_JOINED
end

-- A macro is mostly short, and called often: then its text needs no table.
local function emit_macro_body(compiler, body)
  local in_root, outer = compiler.in_root, compiler.joins
  compiler.in_root, compiler.joins = false, is_joined(body)
  compiler:emit(compiler.joins and 'local text = ""' or "local out, n = {}, 0")
  compiler:declare_assigned(body)
  compiler:body(body)
  compiler:emit(compiler.joins and "return text end)" or "return CONCAT(out, n) end)")
  compiler.in_root, compiler.joins = in_root, outer
end

-- The function behind a macro or the body of a call, as a source. The names
-- that the body asks for beyond its parameters decide what it accepts.
local function emit_macro(compiler, node, name, target)
  local scope = compiler:open_scope()
  local names, variables = {}, {}
  for i, parameter in ipairs(node.parameters) do
    names[i] = quoted(parameter.name)
    variables[i] = compiler:declare(parameter.name)
  end
  local accepts = {}
  for _, extra in ipairs { "varargs", "kwargs", "caller" } do
    local declared = scope.names[extra] ~= nil
    accepts[#accepts + 1] = tostring(declared or walk.mentions(node.body, extra))
    variables[#variables + 1] = declared and "_" or compiler:declare(extra)
  end
  compiler:emit(("%s = MACRO(R, %s, {%s}, %s, function(%s)"):format(
    target, name, table.concat(names, ", "), table.concat(accepts, ", "),
    table.concat(variables, ", ")))
  for i, parameter in ipairs(node.parameters) do
    local default = ("UNDEF(%s, %s)"):format(names[i],
      quoted(("parameter '%s' was not provided"):format(parameter.name)))
    if parameter.default then default = value(compiler, parameter.default) end
    compiler:emit(("if %s == nil then %s = %s end"):format(variables[i], variables[i], default))
  end
  emit_macro_body(compiler, node.body)
  compiler:close_scope()
end

--- Emit the definition of a macro.
function M.macro(compiler, node)
  emit_macro(compiler, node, quoted(node.name), compiler:load_plain(node.name))
end

--- Emit the call of a macro with a body that it can call back.
function M.call(compiler, node)
  if node.value.kind ~= "call" then
    compiler:refuse(node.value.at, "the tag 'call' needs the call of a macro")
  end
  compiler:emit("do")
  node.parameters = node.parameters or {}
  emit_macro(compiler, node, quoted "caller", "local caller")
  local source = expression.call(compiler, node.value, { { "caller", "caller" } })
  compiler:emit(("out[n + 1] = O(%s) n = n + 1 end"):format(source))
end

return M
