--- Templates: Jinja2 as Ansible's template module configures it.
-- Blocks are trimmed, nothing is escaped, what is undefined is an error, and
-- the text ends in as many newlines as the template at least. `do`, `break` and
-- `continue` are there. The first line may be `#jinja2: lstrip_blocks: True`.
-- A template reaches only its context, the filters and the tests; values are
-- never taken for templates, and those of the context cannot be changed.
--
-- Where this differs from Ansible: integers have 64 bits, and more is an error;
-- letters beyond ASCII keep their case; `safe` and `escape` give plain strings,
-- so that escaping twice escapes twice; unknown filters, tests and arguments are
-- errors before anything is rendered; a change of a value of the context is an
-- error, where Ansible changes a copy; `random` with a seed chooses otherwise;
-- regular expressions lack conditional groups and verbose mode; `pprint` writes
-- one line; there are no lookups, and nothing that reads files, the clock's
-- `now` or vaults: the filters `fileglob`, `realpath`, `expanduser`, `expandvars`,
-- `vault`, `to_datetime`, `urlize`, and the tests on files.
local compile = require "kb.template.compile"
local expression = require "kb.template.expression"
local objects = require "kb.template.objects"
local options_line = require "kb.template.options"
local runtime = require "kb.template.runtime"
local scanner = require "kb.template.scanner"
local tree = require "kb.template.tree"
local values = require "kb.template.values"
local lpeg = require "lpeg"

local M = {}

-- Compiled chunks by their chunk name, to find the template of a stack frame.
local chunks = setmetatable({}, { __mode = "v" })
local chunk_count = 0

local Error = { __name = "kb.template.error" }
Error.__index = Error

function Error:__tostring()
  return ("%s:%d: %s"):format(self.file, self.line, self.message)
end

local function new_error(file, line, message, name, trace)
  return setmetatable(
    { file = file, line = line, message = message, name = name, trace = trace }, Error)
end

-- A function from positions in a text to its lines.
local function line_counter(text, first_line)
  local ends = {}
  for at in text:gmatch("()\n") do ends[#ends + 1] = at end
  return function(at)
    local low, high = 1, #ends + 1
    while low < high do
      local middle = (low + high) // 2
      if ends[middle] < at then low = middle + 1 else high = middle end
    end
    return low + first_line - 1
  end
end

-- Run a stage of compilation; what it refuses becomes an error with a place.
local function stage(file, line_of, run, ...)
  local ok, result = pcall(run, ...)
  if ok then return result end
  if type(result) == "table" and result.at then
    return nil, new_error(file, line_of(result.at), result.message)
  end
  local message = tostring(result)
  if message:find("stack overflow", 1, true) then
    message = "brackets are nested too deep, or an expression is too long"
  end
  return nil, new_error(file, 1, message)
end

-- Lua refuses what goes beyond its own limits: two hundred variables of a scope
-- or levels of nesting, or as many arguments of a call.
local function refuse_source(owner, problem)
  -- Whoever called us may have a handler of errors that makes tables of them.
  problem = tostring(problem):match("^[^\n]*")
  local at, reason = problem:match(":(%d+): (.*)$")
  return nil, new_error(owner.name, owner.lines[math.tointeger(tonumber(at))] or 1,
    "this part is too large, divide it: " .. (reason or problem))
end

local function load_source(owner, source)
  chunk_count = chunk_count + 1
  local chunk_name = "=template " .. chunk_count
  owner.lines = compile.line_map(source)
  local chunk, problem = load(source, chunk_name, "t", {})
  if not chunk then return refuse_source(owner, problem) end
  local helpers = {}
  for i, name in ipairs(compile.helpers) do helpers[i] = runtime.helpers[name] end
  chunks[chunk_name] = owner
  return chunk(table.unpack(helpers, 1, #compile.helpers))
end

-- The places in templates that the stack leads through, innermost first.
local function template_frames()
  local frames = {}
  for level = 3, 1000 do
    local info = debug.getinfo(level, "Sl")
    if not info then break end
    local owner = chunks[info.source]
    local line = owner and owner.lines[info.currentline]
    local last = frames[#frames]
    if line and not (last and last.file == owner.name and last.line == line) then
      frames[#frames + 1] = { file = owner.name, line = line }
    end
  end
  return frames
end

-- Errors that values of the context raise themselves pass through as they are.
local function locate(problem)
  if type(problem) ~= "string" and not values.is_failure(problem) then return problem end
  local message, name = problem, nil
  if values.is_failure(problem) then
    message, name = problem.message, problem.name
  else
    message = message:gsub("^[^\n]-:%d+: ", "")
  end
  local frames = template_frames()
  local place = table.remove(frames, 1) or { file = "template", line = 1 }
  return new_error(place.file, place.line, message, name, frames)
end

local Template = {}
Template.__index = Template

-- Counted from the end: a pattern would try every place in the text.
local function newlines_at_end(text)
  local at = #text
  while at > 0 and text:byte(at) == 10 do at = at - 1 end
  return #text - at
end

-- Ansible keeps at least as many newlines at the end as the template has.
local function with_newlines(text, wanted)
  if type(text) ~= "string" then return text end
  return text .. ("\n"):rep(wanted - newlines_at_end(text))
end

-- The table that the last rendering collected its output in: to let one grow takes a tenth of the
-- time of a rendering.
local spare
local LARGEST_SPARE = 2000 -- pieces of text that stay in memory

--- Render a template.
-- @param context table: its variables; plain values, see `kb.data`
-- @return string, or an unknown when it shows one; or nil and an error with
--   `file`, `line`, `message`, `name` (of the variable at fault, or nil) and
--   `trace` (places that led there); an error value raised by a value of the
--   context is returned as it is
function Template:render(context)
  local state = runtime.state(self.loader)
  state:add_blocks(self)
  local ok, result = xpcall(function()
    local out = spare or {}
    spare = nil
    local n = self.root(state, runtime.variables(context or {}), out, 0)
    spare = n < LARGEST_SPARE and out or nil
    return runtime.helpers.CONCAT(out, n)
  end, locate)
  if not ok then return nil, result end
  return with_newlines(result, self.newlines)
end

local function no_loader(name)
  return nil, ("template '%s' cannot be loaded: there is no loader"):format(name)
end

-- A loader gives templates or texts; a broken template stops who asked for it.
local function wrap_loader(loader)
  if loader == nil then return no_loader end
  return function(name)
    local found, problem
    if type(loader) == "table" then found = loader[name] else found, problem = loader(name) end
    if type(found) == "string" then
      found, problem = M.compile(found, { name = name, loader = loader })
    end
    if found then return found end
    if getmetatable(problem) == Error then error(problem, 0) end
    return nil, problem
  end
end

-- Compiled templates by their text and what else they depend on.
local cache, cached = {}, 0
local CACHE_SIZE = 500

local function remember(key, template)
  if cached >= CACHE_SIZE then cache, cached = {}, 0 end
  cache[key] = template
  cached = cached + 1
  return template
end

local function parse(text, options)
  local settings, body, skipped = options_line.read(text, options)
  if not settings then
    return nil, new_error(options.name, 1, body)
  end
  local normal = scanner.normalise(body)
  local line_of = line_counter(normal, 1 + skipped)
  return stage(options.name, line_of, function()
    local built = tree.build(scanner.scan(normal, settings), line_of)
    built.line_of = line_of
    return compile.compile(built, objects.globals)
  end)
end

local function compile_text(text, options)
  local compiled, problem = parse(text, options)
  if not compiled then return nil, problem end
  local template = setmetatable({
    name = options.name, exports = compiled.exports, newlines = newlines_at_end(text),
    references = compiled.references, templates = compiled.templates,
  }, Template)
  local root, blocks = load_source(template, compiled.source)
  if not root then return nil, blocks end
  template.root, template.blocks = root, blocks
  return template
end

--- Compile a template. The same text is compiled only once.
-- @param text string
-- @param options table or nil: `name` for errors; `loader`, a table of texts by
--   name, or a function(name) that gives a text or a template, or nil and a
--   message; `trim_blocks` (true), `lstrip_blocks` (false)
-- @return a template with `:render(context)`; or nil and an error with `file`,
--   `line` and `message`
function M.compile(text, options)
  options = options or {}
  local name = options.name or "template"
  local settings = {
    name = name, trim_blocks = options.trim_blocks ~= false,
    lstrip_blocks = options.lstrip_blocks or false,
  }
  local key = table.concat({
    tostring(settings.trim_blocks), tostring(settings.lstrip_blocks), name, text }, "\0")
  local compiled = cache[key]
  if not compiled then
    local problem
    compiled, problem = compile_text(text, settings)
    if not compiled then return nil, problem end
    remember(key, compiled)
  end
  local template = setmetatable({ loader = wrap_loader(options.loader) }, {
    __index = compiled })
  return template
end

local function read_file(path)
  local file, problem = io.open(path, "rb")
  if not file then return nil, problem end
  local text = file:read("a")
  file:close()
  -- Reading a directory succeeds in opening and fails in reading.
  if not text then return nil, path .. ": cannot be read" end
  return text
end

local function find_file(name, search_paths)
  if name:sub(1, 1) == "/" then return read_file(name), name end
  for _, directory in ipairs(search_paths) do
    local path = directory .. "/" .. name
    local text = read_file(path)
    if text then return text, path end
  end
end

--- Make a loader that finds templates in directories, in their order.
-- @param search_paths list of strings
-- @return function(name) -> template, or nil and an error or a message
function M.loader(search_paths)
  local loader
  loader = function(name)
    local text, path = find_file(name, search_paths)
    if not text then
      return nil, ("template '%s' not found in %s"):format(
        name, table.concat(search_paths, ", "))
    end
    return M.compile(text, { name = path, loader = loader })
  end
  return loader
end

--- Compile a template file.
-- @param path string
-- @param search_paths list of strings or nil: where to look for it when the path
--   is not absolute, and for what it includes; its own directory comes last
-- @return a template; or nil and an error
function M.file(path, search_paths)
  local text, found = find_file(path, search_paths or { "." })
  if not text then
    return nil, new_error(path, 1, ("template '%s' not found in %s"):format(
      path, table.concat(search_paths or { "." }, ", ")))
  end
  local directories = table.move(search_paths or {}, 1, #(search_paths or {}), 1, {})
  table.insert(directories, found:match("^(.*)/[^/]*$") or ".")
  return M.compile(text, { name = found, loader = M.loader(directories) })
end

--- List what a template needs, without rendering it.
-- @param text string
-- @param options table or nil: as for `compile`
-- @return list of `{ name, line, optional }`, a variable each time it is read;
--   `optional` when its absence is provided for; and list of `{ name, line, tag,
--   optional }`, the templates it names; or nil and an error
function M.references(text, options)
  local template, problem = M.compile(text, options)
  if not template then return nil, problem end
  return template.references, template.templates
end

local Expression = {}
Expression.__index = Expression

--- Evaluate an expression.
-- @param context table: its variables
-- @return the value (`data.null` for None); or nil and an error
function Expression:evaluate(context)
  local ok, result = xpcall(function()
    local value = self.run(runtime.state(no_loader), runtime.variables(context or {}))
    if values.is_undefined(value) then values.fail_undefined(value) end
    return value
  end, locate)
  if not ok then return nil, result end
  return result
end

local whole_expression = expression.grammar(
  expression.space * lpeg.V "tuple" * expression.must(lpeg.P(-1), "the end of the expression"))

--- Compile a single expression, as it would stand between `{{` and `}}`.
-- @param text string
-- @param options table or nil: `name` for errors
-- @return an expression with `:evaluate(context)` and `.references`; or nil and
--   an error
function M.expression(text, options)
  local name = options and options.name or "expression"
  local line_of = line_counter(text, 1)
  local compiled, problem = stage(name, line_of, function()
    local node = whole_expression:match(text)
    if not node then error({ at = 1, message = "expected an expression" }, 0) end
    return compile.expression(node, line_of, objects.globals)
  end)
  if not compiled then return nil, problem end
  local result = setmetatable({ name = name, references = compiled.references }, Expression)
  result.run, problem = load_source(result, compiled.source)
  return result.run and result, problem
end

return M
