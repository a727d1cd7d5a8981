--- Operations: pure plans that state their effect.
--
-- An operation's plan is given arguments and a way to ask facts. It returns nil and a reason when
-- there is nothing to do, or a change:
--
--     { title = "create directory /srv/www",        what is done, in few words
--       actions = { "mkdir -p /srv/www", ... },     shell text, { run = text, stdin = …,
--                                                   shown = what an error calls the command,
--                                                   private = true: nobody sees what it prints,
--                                                   since a secret comes of it },
--                                                   { put = { path = …, content = … } },
--                                                   { put_tree = { dir = …, path = … } }, or
--                                                   { call = function } on the operator's machine
--       diff = text,                                for people
--       effect = { { "file.stat", path, value }, … } }   the facts as they will be; {}: none.
--                                                   Absent: nobody knows
--       more = true                                 it changes more than its effect says
--       partial = true                              it may make more than its effect says, and
--                                                   changes nothing else
--       perhaps = reason                            a dry run cannot know whether it is needed: the
--                                                   effect is what will be true in either case
--
-- It changes nothing itself. The runner runs the actions, or in a dry run does not, and files the
-- effect among the host's facts.

local args = require "kb.args"
local err = require "kb.err"

local M = {}

local Op = { __name = "kb.op" }
Op.__index = Op

local ops = {} -- by name

local doubts = setmetatable({}, { __mode = "k" }) -- how a plan asks -> see M.doubting

-- What every operation takes.
local common = {
  { "timeout", "duration", "how long each of its commands may take", default = 600 },
  { "as", "string", "the user who does it, instead of the play's" },
}

--- Declare an operation.
-- @param o table: name (string "module.noun"), args (a declaration, see kb.args), plan
-- (function(args, fact) -> change, or nil and a reason; fact(name, ...) asks), and optionally:
-- facts (function(args) -> list of { name, args... } that the plan is sure to ask, fetched in one
-- round trip), prepare (function(host, args) -> args, for what needs the host's variables),
-- returns (list of the names of result fields that a dry run cannot know), evidence (function(args)
-- -> list of shell commands whose output explains a failure), always (boolean: it acts each time,
-- since nothing says that it has been done)
-- @return operation: call it with a host and arguments
function M.define(o)
  for _, field in ipairs { "name", "args", "plan" } do
    if o[field] == nil then
      error(("an operation needs '%s'"):format(field), 2)
    end
  end
  o.declared = table.move(common, 1, #common, #o.args + 1, table.move(o.args, 1, #o.args, 1, {}))
  ops[o.name] = setmetatable(o, Op)
  return o
end

--- Let plans that ask in this way be told why something that is missing may be there by then.
-- @param ask function(fact name, args...): as a plan gets it
-- @param doubt table: missing (function(message) -> string or nil) and may_appear (function(fact
-- name, args...) -> string or nil); or another such ask, whose doubt it is to be
-- @return ask
function M.doubting(ask, doubt)
  doubts[ask] = doubts[doubt] or doubt
  return ask
end

--- Why a dry run cannot exclude that there is by then what a fact says there is not.
-- @param ask function(fact name, args...)
-- @param ... the name and arguments of the fact
-- @return string: "known after …"; nil when it can
function M.may_appear(ask, ...)
  local doubt = doubts[ask]
  return doubt and doubt.may_appear(...)
end

--- What a plan needs is missing; see kb.missing.
-- @param ask function(fact name, args...)
-- @param message string
-- @param hint string
-- @return string: why a dry run takes it for granted
-- @raise kb.err of kind failed: it does not
function M.missing(ask, message, hint)
  local doubt = doubts[ask]
  return doubt and doubt.missing(message) or err.raise("failed", message, { hint = hint })
end

--- The declared operations by name.
-- @return table
function M.all()
  return ops
end

--- Check arguments without a host.
-- @param given table
-- @return table: clean arguments
-- @raise kb.err of kind usage
function Op:check(given)
  return args.check(self.declared, given, self.name)
end

--- Plan without a host: for tests and previews.
-- @param clean table: checked arguments
-- @param ask function(fact name, args...) -> value
-- @return change, or nil and a reason
function Op:decide(clean, ask)
  local change, reason = self.plan(clean, ask)
  if change == nil and type(reason) ~= "string" then
    error(("%s: a plan that changes nothing says why"):format(self.name))
  end
  if change then
    change.actions = change.actions or {}
    change.unstated = change.unstated or change.effect == nil
    change.effect = change.effect or {}
    change.title = change.title or self.name
  end
  return change, reason
end

--- Bring a host to the state that the arguments describe.
-- @param host host
-- @param given table: the arguments
-- @return result: changed (boolean), reason or title, and what the operation returns
-- @raise kb.err
function Op:__call(host, given)
  if type(host) ~= "table" or not host._step then
    err.raise("usage", ("%s: the first argument is the host"):format(self.name))
  end
  local file, line = err.position()
  local step = host:_step(self, file, line)
  return step:run(given)
end

return M
