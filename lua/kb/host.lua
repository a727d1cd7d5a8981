--- A host as a play sees it.
-- Fields: `name`, `groups` (set of names), `vars` (its variables; an undefined one is an error).

local err = require "kb.err"
local localfile = require "kb.localfile"
local step = require "kb.step"
local suggest = require "kb.suggest"
local template = require "kb.template"
local unknown = require "kb.unknown"
local variables = require "kb.vars"

local Host = { __name = "kb.host" }
Host.__index = Host

local M = {}

local function names_of(vars)
  local names = {}
  for name in pairs(vars) do
    names[#names + 1] = tostring(name)
  end
  return names
end

local function refuse(host, name, e)
  if err.kind(e) ~= "bug" then
    error(e, 0)
  end
  err.raise("usage", ("variable '%s': %s"):format(name, tostring(e)), { host = host.name })
end

--- The variables of a host as a template sees them: rendered when read (kb.vars).
-- @param host host
-- @return table
function M.context(host)
  return host._view
end

local function strict_vars(host)
  return setmetatable({}, { __index = function(_, name)
    local value = host._view[name]
    if value == nil then
      err.raise("usage", ("variable '%s' is not defined for %s%s"):format(tostring(name), host.name,
        suggest.hint(tostring(name), names_of(host._raw))))
    end
    return value
  end, __newindex = function(_, name)
    error(("variables are set in the inventory or the play, not by vars.%s = …"):format(name), 2)
  end, __pairs = function()
    return pairs(host._view)
  end })
end

--- A machine in a play.
-- @param machine kb.machine
-- @param play play
-- @param vars table: the host's variables, merged
-- @param groups set of group names
-- @return host
function M.new(machine, play, vars, groups)
  local host = setmetatable({ name = machine.name, machine = machine, play = play,
    run = machine.run, groups = groups, _raw = vars }, Host)
  host._view = variables.view(vars, function(name, e)
    refuse(host, name, e)
  end)
  host.vars = strict_vars(host)
  return host
end

--- A variable, or something else when it is not defined.
-- @param name string
-- @param fallback any
-- @return any
function Host:var(name, fallback)
  local value = self._view[name]
  if value == nil then
    return fallback
  end
  return value
end

--- Render a template; see kb.render.
function Host:_render(name, vars)
  local path = localfile.find(name, self.play.dir, "templates")
  local compiled, e = template.file(path, { self.play.dir .. "/templates", self.play.dir })
  local text
  if compiled then
    local context = M.context(self)
    text, e = compiled:render(setmetatable({}, { __index = function(_, key)
      local own = vars and vars[key]
      if own ~= nil then
        return own
      end
      return context[key]
    end }))
  end
  if not text then
    error(err.kind(e) ~= "bug" and e or err.new("usage", tostring(e), { host = self.name }), 0)
  end
  return text
end

--- The same host, acting as another user: `host:as("root"):fact("unit.state", "etcd.service")`.
-- @param user string
-- @return host
function Host:as(user)
  return setmetatable({ user = user }, { __index = self, __name = Host.__name })
end

function Host:_user(as)
  return as or self.user or self.play.user
end

--- Ask a fact: `host:fact("file.stat", "/etc/hosts")`.
-- @param name string
-- @param ... the fact's arguments
-- @return the fact's answer; false says that there is none
-- @raise kb.err; of kind unknown when a dry run cannot know, also when something is not there that
-- an earlier step may make
function Host:fact(name, ...)
  return self:_settled(self.play.trail, name, ...)
end

-- The same, noted in a trail or, with nil, nowhere.
function Host:_settled(trail, name, ...)
  local value = self.machine:fact(self:_user(), trail, name, ...)
  local soon = value == false and not self.run.apply
    and self:_may_be_made(nil, false, name, ...)
  if soon then
    unknown.stop(soon, ("the playbook asks %s; there is none now, and may be one"):format(
      table.concat({ name, ... }, " ")))
  end
  return value
end

function Host:_fact(as, name, ...)
  return self.machine:fact(self:_user(as), self.play.trail, name, ...)
end

--- Ask several facts in one round trip, so that asking each of them afterwards costs nothing.
-- @param questions list of { name, args... }
function Host:facts(questions, as)
  self.machine:ask(self:_user(as), questions, self.play.trail)
end

-- What is not known of a command that reads, in a dry run.
function Host:_unread(options)
  if self.run.offline then
    return unknown.new("not known without a host")
  end
  return not self.run.apply and self.machine:doubt(self:_user(), options.reads) or nil
end

-- Why a dry run cannot exclude that something is there which is not there now; see
-- kb.machine's may_be_made.
function Host:_may_be_made(as, others, ...)
  return self.machine:may_be_made(self:_user(as), others, ...)
end

--- Run a command that only reads; a dry run runs it, too.
-- Once a dry run has foretold a change, it does not know the result; `reads` says which changes
-- matter.
-- @param command string: POSIX sh
-- @param options table: timeout (seconds), ok (list of accepted exit statuses, {0}), reads (list of
-- paths: the files and directories that the result depends on, and nothing else)
-- @return result: code, out, err
-- @raise kb.err when it fails
function Host:read(command, options)
  options = options or {}
  local why = self:_unread(options)
  if why then
    return unknown.guard { code = why, out = why, err = why }
  end
  local result, message, code = self:_execute({ run = command, reads = true,
    timeout = options.timeout or 60 })
  if not result then
    err.raise(err.of_code(code), message, { host = self.name, command = command })
  end
  for _, accepted in ipairs(options.ok or { 0 }) do
    if result.code == accepted then
      return result
    end
  end
  err.raise("failed", "a command that reads failed", { host = self.name, command = command,
    status = "exit status " .. tostring(result.code), output = result.err .. result.out })
end

--- Stop with a message: for what a playbook itself finds wrong.
-- @param message string
-- @param fields table: hint, evidence (text, or a list of commands that only read: what they print)
-- @raise kb.err
function Host:fail(message, fields)
  local file, line = err.position()
  local e = err.new("failed", message, fields)
  e.host, e.file, e.line = self.name, file, line
  e.evidence = type(e.evidence) == "table" and self:_evidence(e.evidence) or e.evidence
  error(e, 0)
end

--- Say what is worth a look and stops nothing; a dry run says it, too.
-- @param message string
function Host:warn(message)
  local file, line = err.position()
  self.run.report:emit { event = "warning", host = self.name, play = self.play.name,
    message = message, file = file, line = line }
end

--- Whether this is a run; a dry run changes nothing. For what must be asked before it is done, and
-- for nothing else: a playbook that does other things in a dry run makes it lie.
-- @return boolean
function Host:applies()
  return self.run.apply
end

--- What a playbook may call of a host.
-- @return table: names of methods -> function
function M.methods()
  local public = {}
  for name, value in pairs(Host) do
    public[name] = not name:find("^_") and value or nil
  end
  return public
end

--- Whether the host is in a group.
-- @param group string
-- @return boolean
function Host:in_group(group)
  return self.groups[group] == true
end

function Host:_step(op, file, line)
  return step.new(self, op, file, line)
end

--- What names a step: the same in a dry run and in the run, and in each only once.
-- @param op string: the operation's name
-- @param file string or nil: where the playbook calls it
-- @param line integer or nil
-- @return string
function Host:_step_id(op, file, line)
  local place = ("%s:%s"):format(file or "?", line or "?")
  return ("%s|%s|%s|%d"):format(self.play.name, place, op,
    self.run:count(self.play, self.name, place .. op))
end

function Host:_execute(action, as)
  return self.machine:execute(self:_user(as), action, function(kind, chunk)
    if not action.private or kind == "err" then
      self.run.report:output(self.name, kind, chunk)
    end
  end, function(done, total)
    self.run.report:progress(self.name, done, total)
  end)
end

-- What explains an error: commands, and what they print. A script that begins with a comment is
-- shown as that: what it asks, in words. One that finds nothing to say has nothing to show; one
-- that could not be asked is the last.
function Host:_evidence(commands, as)
  local parts = {}
  for _, command in ipairs(commands) do
    local result, message = self.machine:execute(self:_user(as), { run = command, timeout = 15 })
    local text = (result and result.out .. result.err or message):gsub("%s+$", "")
    local asked = command:match("^# [^\n]*") or "$ " .. command
    parts[#parts + 1] = text ~= "" and asked .. "\n" .. text or nil
    if not result then
      break
    end
  end
  return table.concat(parts, "\n")
end

function Host:_commit(as, effect)
  self.machine:commit(self:_user(as), effect)
end

function Host:_assume(effect, title, scope)
  self.machine:assume(effect, title, scope)
end

function Host:_ask_again(as, ...)
  return self.machine:ask_again(self:_user(as), ...)
end

return M
