--- The static check of playbooks: what cannot be right is said before anything is connected.

local err = require "kb.err"
local parser = require "kb.check.parser"
local play = require "kb.play"
local suggest = require "kb.suggest"
local sys = require "kb.core.sys"
local template = require "kb.template"
local term = require "kb.term"
local declared = require "kb.variable"
local walk = require "kb.check.walk"

local M = {}

local function add(findings, file, line, message)
  local key = ("%s:%s: %s"):format(file, line, message)
  if not findings.seen[key] then
    findings.seen[key] = true
    findings[#findings + 1] = { file = file, line = line, message = message }
  end
end

-- An error that loading raised, as a finding.
local function add_error(findings, e, fallback)
  e = err.wrap(e)
  if e.kind == "bug" and not e.message:find("^[^\n]-:%d+:") then
    error(e, 0)
  end
  local file, line, message = e.message:match("^([^\n]-):(%d+): ([^\n]*)")
  add(findings, e.file or file or fallback, e.line or math.tointeger(tonumber(line)) or 0,
    message or e.message)
end

-- What is defined for the hosts of a play, by the inventory, the play and the command line.
local function variables_of(options)
  local known = {} -- play -> host -> set of names
  local function sets(p)
    if known[p] then
      return known[p]
    end
    known[p] = {}
    for _, name in ipairs(options.inventory and options.inventory:match(p.hosts) or {}) do
      local set = {}
      for _, layer in ipairs { options.inventory:magic(name), options.inventory:vars(name), p.vars,
        options.extra_vars or {} } do
        for key in pairs(layer) do
          set[key] = true
        end
      end
      known[p][name] = set
    end
    return known[p]
  end
  local variables = {}
  function variables.missing(p, variable)
    local list = {}
    for host, set in pairs(sets(p)) do
      if not set[variable] then
        list[#list + 1] = host
      end
    end
    table.sort(list)
    return list
  end
  function variables.names(p)
    local list = {}
    for _, set in pairs(sets(p)) do
      for name in pairs(set) do
        list[#list + 1] = name
      end
    end
    return list
  end
  return variables
end

-- Names that every template knows without a variable.
local builtin = { range = true, dict = true, lipsum = true, cycler = true, joiner = true,
  namespace = true, loop = true, caller = true, varargs = true, kwargs = true, self = true,
  omit = true }

local function check_template(findings, variables)
  return function(path, p, given)
    local text = sys.read_file(path)
    local references, e = template.references(text, { name = path })
    if not references then
      return add(findings, e.file, e.line, e.message)
    end
    for _, reference in ipairs(references) do
      local missing = not reference.optional and not given[reference.name]
        and not builtin[reference.name] and variables.missing(p, reference.name) or {}
      if #missing > 0 then
        add(findings, path, reference.line, ("variable '%s' is not defined for %s%s"):format(
          reference.name, table.concat(missing, " "),
          suggest.hint(reference.name, variables.names(p))))
      end
    end
  end
end

local function plays_in(playbook, path)
  local by_line = {}
  for _, p in ipairs(playbook and playbook.plays or {}) do
    if p.file == path then
      by_line[p.line] = p
    end
  end
  return by_line
end

local function check_file(findings, path, playbook, variables)
  local text = sys.read_file(path)
  local tree = text and parser.parse(text)
  if not tree then
    return -- load says why, better than we could
  end
  local real = sys.realpath(path)
  local file = { path = path, dir = real:match("^(.*)/"), line = parser.lines(text),
    plays = plays_in(playbook, path) }
  walk.new(file, function(line, what)
    add(findings, path, line, what)
  end, variables):block(tree, nil)
end

-- How the hosts are reached must be known before any of them is.
local function check_connections(findings, p, names, inventory, seen)
  for _, name in ipairs(names) do
    if not seen[name] then
      seen[name] = true
      local settings, message = inventory:connection(name)
      if not settings and not seen[message] then -- a bastion's error is that of all behind it
        seen[message] = true
        add(findings, p.file, p.line, ("play %q: %s: %s"):format(p.name, name, message))
      end
    end
  end
end

-- Plays that want the same that is not there are one finding, at the first of them.
local function add_patterns(findings, refused)
  for _, one in ipairs(refused) do
    local others = #one.plays - 1
    add(findings, one.plays[1].file, one.plays[1].line, ("play %q%s: %s"):format(one.plays[1].name,
      others == 0 and "" or others == 1 and (" and %q"):format(one.plays[2].name)
        or (" and %d others"):format(others), one.message))
  end
end

local function check_hosts(findings, playbook, inventory)
  local seen, refused = {}, {}
  for _, p in ipairs(playbook and inventory and playbook.plays or {}) do
    local names, message = inventory:match(p.hosts)
    if not names and not refused[message] then
      refused[message] = { message = message, plays = {} }
      refused[#refused + 1] = refused[message]
    end
    table.insert(names and {} or refused[message].plays, p)
    check_connections(findings, p, names or {}, inventory, seen)
  end
  add_patterns(findings, refused)
end

--- A finding as a line for people.
-- @param finding table: file, line, message
-- @return string
function M.line(finding)
  local place = finding.line > 0 and ("%s:%d"):format(finding.file, finding.line) or finding.file
  return ("%s: %s\n"):format(place, term.clean(finding.message))
end

--- Check playbooks without connecting to anything.
-- @param paths list of strings
-- @param options table: inventory (or nil: hosts and variables are not checked), extra_vars
-- @return list of findings { file, line, message }, in order of file and line; empty: none
-- @return the loaded playbook; nil when it cannot be loaded
function M.check(paths, options)
  local findings = { seen = {} }
  local ok, playbook = pcall(play.load, paths)
  if not ok then
    add_error(findings, playbook, paths[1])
    playbook = nil
  end
  local variables = variables_of(options)
  variables.template = check_template(findings, variables)
  for _, path in ipairs(playbook and playbook.files or paths) do
    check_file(findings, path, playbook, variables)
  end
  check_hosts(findings, playbook, options.inventory)
  if playbook and options.inventory then
    declared.check(playbook.plays, options, function(file, line, message)
      add(findings, file, line, message)
    end)
  end
  findings.seen = nil
  table.sort(findings, function(a, b)
    return a.file < b.file or a.file == b.file and a.line < b.line
  end)
  return findings, playbook
end

return M
