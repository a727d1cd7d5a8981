--- kbrun template: render a Jinja2 template, or say what it needs.
local common = require "kb.command.common"
local extra_vars = require "kb.command.extra_vars"
local inventory = require "kb.inventory"
local secret = require "kb.secret"
local suggest = require "kb.suggest"
local template = require "kb.template"
local variables = require "kb.vars"

-- The variables of the host, its magic ones too; none without a host.
local function host_vars(opts, raw)
  if not opts.host then
    return true
  end
  local inv, names
  local paths, message = inventory.sources(opts.inventory)
  if paths then
    inv, message = inventory.load(paths)
  end
  if not inv then
    return nil, message
  end
  names = inv:hosts()
  for _, name in ipairs(names) do
    if name == opts.host then
      for _, layer in ipairs { inv:magic(name), inv:vars(name) } do
        for key, value in pairs(layer) do
          raw[key] = value
        end
      end
      return true
    end
  end
  return nil, ("--host: the inventory has no host %s%s"):format(opts.host,
    suggest.hint(opts.host, names))
end

-- What the template sees: the host's variables, and those of --extra over them,
-- rendered where they are templates themselves.
local function context(opts)
  local raw = {}
  local ok, message = host_vars(opts, raw)
  if not ok then
    return nil, message
  end
  for key, value in pairs(extra_vars(opts.extra)) do
    raw[key] = value
  end
  return variables.view(raw, function(name, problem)
    error({ refused = ("variable %s: %s"):format(name, tostring(problem)) }, 0)
  end)
end

local function load(path)
  if path == "-" then
    return template.compile(io.read("a"), { name = "-", loader = template.loader { "." } })
  end
  return template.file(path)
end

local function show_needs(compiled)
  for _, reference in ipairs(compiled.references) do
    io.write(("%d\tvariable\t%s%s\n"):format(reference.line, reference.name,
      reference.optional and "\toptional" or ""))
  end
  for _, named in ipairs(compiled.templates) do
    io.write(("%d\ttemplate\t%s%s\n"):format(named.line, named.name,
      named.optional and "\toptional" or ""))
  end
end

local function render(compiled, seen)
  local ok, text, problem = pcall(compiled.render, compiled, seen)
  if not ok then
    return nil, type(text) == "table" and text.refused or tostring(text)
  end
  return text, problem and tostring(problem)
end

local function run(opts, args)
  local seen, message = context(opts)
  if not seen then
    return nil, message
  end
  for _, path in ipairs(args) do
    local text
    local compiled, problem = load(path)
    if not compiled then
      return nil, tostring(problem)
    elseif opts.needs then
      show_needs(compiled)
    else
      text, message = render(compiled, seen)
      if not text then
        return nil, message
      end
      io.write(secret.mask(text))
    end
  end
  return common.exit.done
end

return {
  name = "template",
  summary = "render a template here, or say what it needs",
  description = [[
Renders Jinja2 templates as playbooks do and prints the text. Without --host a template sees only
what --extra gives; what is undefined is an error with its file and line. Passwords are masked.]],
  arguments = {
    { name = "FILE", list = true, help = "the template; - reads it from stdin" },
  },
  options = common.options(common.only(common.inventory, "inventory"), {
    { long = "host", short = "H", value = "NAME", help = "with the variables of this host" },
    { long = "extra", short = "e", value = "NAME=VALUE", list = true,
      help = "a variable over those of the host; @FILE reads many from YAML" },
    { long = "needs", help = "list the variables and templates that it names, with their lines" },
  }),
  run = run,
}
