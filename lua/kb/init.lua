--- The playbook API: `local kb = require "kb"`.

local again = require "kb.again"
local confirm = require "kb.confirm"
local diff = require "kb.diff"
local err = require "kb.err"
local fact = require "kb.fact"
local fetch = require "kb.fetch"
local gate = require "kb.gate"
local localfile = require "kb.localfile"
local op = require "kb.op"
local play = require "kb.play"
local quote = require "kb.quote"
local runner = require "kb.runner"
local secret = require "kb.secret"
local sequence = require "kb.sequence"
local sys = require "kb.core.sys"
local tree = require "kb.tree"
local unknown = require "kb.unknown"
local values = require "kb.value"
local variable = require "kb.variable"

local M = {}

--- Declare a play: `kb.play { "name", hosts = "web*", function(host) … end }`.
-- @param given table: name first, then hosts, needs, serial, max_fail, forks, tags, become, vars,
-- and the function that is run for each host
-- @return play
function M.play(given)
  return play.play(given)
end

--- Declare the plays of another playbook here.
-- @param path string: relative to this playbook
function M.include(path)
  return play.include(path)
end

--- Modules by name: `local files, apt = kb.use("files", "apt")`.
-- @param ... strings
-- @return a table of operations for each
function M.use(...)
  return play.use(...)
end

--- Declare an operation; see kb.op.
-- @param o table
-- @return operation
function M.op(o)
  return op.define(o)
end

--- Declare a fact; see kb.fact.
-- @param f table
-- @return fact
function M.fact(f)
  return fact.define(f)
end

--- Declare what a variable must be: a playbook that uses the module is refused before anything is
--- connected when a host's is not so, with file and line.
-- @param name string
-- @param check function(value, hosts) -> list of { path = list of keys, message }; hosts.match
-- (pattern) gives names, hosts.var(name, variable) a host's variable
function M.variable(name, check)
  variable.declare(name, check)
end

--- Do something on another host from within a play: `kb.on(host, "m0", function(m0) … end)`.
-- @param host host: the one at work
-- @param name string: the other one
-- @param fn function(other)
-- @return what fn returns
function M.on(host, name, fn)
  return runner.on(host, name, fn)
end

--- Do something once in a run: the first host to come does it, the others wait for its results.
-- @param host host
-- @param key string: what it is
-- @param fn function()
-- @return what fn returned
-- @raise what fn raised, for all
function M.once(host, key, fn)
  return runner.once(host, key, fn)
end

--- A value that one host gives and others wait for: `local token = kb.value "the join token"`, then
-- `token:set(v)` and `token:get()`.
-- @param name string: what it is, for errors
-- @return value
function M.value(name)
  return values.new(name)
end

--- Wait until a fact says what it must: a gate between steps. A dry run passes it.
-- For what no fact says there is `command.test`, which tells whether a command succeeds:
-- `kb.gate(host, { "the site answers", fact = { "command.test", "curl -fs localhost" },
-- holds = function(ok) return ok end })`.
-- @param host host
-- @param given table: title, fact, holds, within, every, becomes, evidence; see kb.gate
-- @raise kb.err of kind failed, with the evidence, when it does not hold in time
function M.gate(host, given)
  return gate.wait(host, given)
end

--- Prove something by doing it: shell text that succeeds and leaves the host as it was. It is no
--- change, and a dry run does not do it; see kb.gate.
-- @param host host
-- @param given table: title, run, stdin, holds, timeout, within, every, evidence
-- @return result: code, out, err; nil in a dry run
-- @raise kb.err of kind failed, with the evidence, when it does not succeed in time
function M.prove(host, given)
  return gate.prove(host, given)
end

--- Ask before something that cannot be undone, once in a run: a play that says `asks = true`, and
-- there a person at the terminal or `--yes`. A dry run shows the text and does not ask.
-- @param host host
-- @param given table: the question, text (what one must know to answer)
-- @raise kb.err of kind failed when the answer is not yes
function M.confirm(host, given)
  return confirm.confirm(host, given)
end

--- How many changes the run has made so far; in a dry run, would have made.
-- @param host host
-- @return integer
function M.changes(host)
  return host.run.report.counts.changed
end

--- Whether a play is the only one of the run: it was asked for by itself.
-- @param host host
-- @return boolean
function M.alone(host)
  local only = next(host.run.plays)
  return only == host.play.name and next(host.run.plays, only) == nil
end

--- Whether another host is one of the hosts of this run: --limit leaves hosts out.
-- @param host host: any one of the run
-- @param name string
-- @return boolean
function M.is_chosen(host, name)
  return host.run.part[name] == true
end

--- Whether another host is one of those of this run that have not failed so far.
-- @param host host: any one of the run
-- @param name string
-- @return boolean
function M.takes_part(host, name)
  return host.run.part[name] == true and not host.run.lost[name]
end

--- The hosts that match a pattern and have not failed in this run.
-- @param host host: any one of the run
-- @param pattern string
-- @return list of strings
-- @raise kb.err of kind usage
function M.working(host, pattern)
  local names = {}
  for _, name in ipairs(M.hosts(host, pattern)) do
    names[#names + 1] = not host.run.lost[name] and name or nil
  end
  return names
end

--- Something computed from a result: in a dry run it is unknown when it looks at what is not known.
-- @param value any: given to fn
-- @param fn function(value)
-- @return what fn returns, or an unknown
function M.after(value, fn)
  local ok, result = pcall(fn, value)
  if ok then
    return result
  end
  if err.kind(result) == "unknown" then
    return unknown.new(result.message:match("which is (.*)$") or result.message)
  end
  error(result, 0)
end

--- A plan where a dry run may not know what is there: the preview of the host does not end then,
-- but the step is shown as one that may be needed.
-- @param ask function(fact name, args...): as a plan gets it
-- @param plan function(ask) -> change, or nil and a reason
-- @param either function() -> title string, effect list: what will be true in either case, when the
-- plan asks for what is not known
-- @return change, or nil and a reason
function M.perhaps(ask, plan, either)
  local planned = M.after(ask, function()
    return table.pack(plan(ask))
  end)
  if not unknown.is(planned) then
    return table.unpack(planned, 1, planned.n)
  end
  local title, effect = either()
  return { title = title, effect = effect,
    perhaps = "whether it is needed is " .. unknown.reason(planned) }
end

--- The names of hosts that match a pattern, in the inventory's order.
-- @param host host: any one of the run
-- @param pattern string
-- @return list of strings
-- @raise kb.err of kind usage
function M.hosts(host, pattern)
  local names, message = host.run.inventory:match(pattern)
  return names or err.raise("usage", message)
end

--- Another host, for its variables and facts.
-- @param host host: any one of the run
-- @param name string
-- @return host
function M.host(host, name)
  return host.run:host(host.play, name)
end

--- A secret: a string that no output shows.
-- @param text string
-- @return secret
function M.secret(text)
  return secret.new(text)
end

--- The text of a secret, for a module that builds another secret of it.
-- @param value any
-- @return any: other values as they are
function M.reveal(value)
  return secret.reveal(value)
end

--- Quote a value as one word of shell text.
-- @param text string, or an unknown, which stays one
-- @return string
function M.quote(text)
  return unknown.is(text) and text or quote.quote(text)
end

--- Quote several values as words of shell text.
-- @param texts list of strings
-- @return string
function M.words(texts)
  return quote.list(texts)
end

--- The command that runs another playbook as this run was started, for hints; see kb.again.
M.command = again.command

--- Refuse within an operation's plan: what is asked cannot or should not be done.
-- @param message string
-- @param hint string: what to do about it
-- @param evidence string or nil: what was found
-- @raise kb.err of kind failed
function M.refuse(message, hint, evidence)
  err.raise("failed", message, { hint = hint, evidence = evidence })
end

--- What a plan needs is not there: refuse. But in a dry run that has foretold something that may
-- bring it, such as packages, go on as if it were there; the step then says so.
-- @param ask function(fact name, args...): as the plan gets it
-- @param message string: "the directory /x does not exist"
-- @param hint string: what to do about it
-- @return string: what is taken for granted, and why; for `perhaps` when the need is not known
-- @raise kb.err of kind failed
M.missing = op.missing

--- Why a dry run cannot exclude that there is by then what a fact says there is not: packages that
-- are going to be installed may bring it.
-- @param ask function(fact name, args...): as a plan gets it
-- @param ... the name and arguments of the fact
-- @return string: "known after …"; nil when it can
M.may_appear = op.may_appear

--- The difference of two texts, in unified form.
-- @param before string
-- @param after string
-- @return string
function M.diff(before, after)
  return diff.unified(before, after)
end

--- A file on the operator's machine that the play of a host names: absolute, or in files/ or
-- templates/ beside the playbook, or beside it.
-- @param host host
-- @param name string
-- @param kind string: "files", "templates", or "directory": a directory, in files/ or beside it
-- @return string: its path
-- @raise kb.err of kind usage when it is not there
function M.find_file(host, name, kind)
  return localfile.find(name, host.play.dir, kind)
end

--- Directories with all that is in them, here and on hosts; see kb.tree.
M.tree = tree

--- The SHA-256 and size of a file on the operator's machine.
-- @param path string
-- @return digest string, size integer
function M.file_digest(path)
  return localfile.digest(path)
end

--- Read a file on the operator's machine.
-- @param path string
-- @return string
function M.read_file(path)
  return localfile.read(path)
end

--- The SHA-256 of a text or secret.
-- @param text string or secret
-- @return string: hexadecimal
function M.digest(text)
  return localfile.digest_of(secret.reveal(text))
end

--- An action that fetches a file from the network to the operator's machine, and where it is then.
-- @param url string
-- @param sha256 string: hexadecimal; nothing else is accepted
-- @return action for a change, path string
function M.fetch(url, sha256)
  return { call = function()
    return fetch.fetch(url, sha256)
  end }, fetch.path(sha256)
end

--- Whether a value is a secret.
-- @param value any
-- @return boolean
function M.is_secret(value)
  return secret.is(value)
end

--- Whether a value is unknown in this dry run.
-- @param value any
-- @return boolean
function M.is_unknown(value)
  return unknown.is(value)
end

--- When an unknown will be known.
-- @param value unknown
-- @return string: "known after …"
function M.reason(value)
  return unknown.reason(value)
end

--- One change made of several plans, each of which knows what those before it will have done.
-- @param ask function(fact name, args...): as a plan gets it
-- @param plans list of functions(ask) -> change, or nil and a reason
-- @param title string or nil: of the whole; absent: the titles of the parts
-- @return change, or nil and the reason of the last plan
function M.sequence(ask, plans, title)
  return sequence.combine(ask, plans, title)
end

--- The plan of an operation, as part of another one's.
-- @param operation operation
-- @param ask function(fact name, args...): as a plan gets it
-- @param given table: the operation's arguments
-- @return change, or nil and a reason
function M.plan(operation, ask, given)
  return operation:decide(operation:check(given), ask)
end

--- A moment that is after all that was found so far and all earlier results of this function, in
-- the seconds since 1970 that facts use: for effects on when something was changed or started.
-- @return number
function M.later()
  return sequence.later()
end

--- The time on the operator's machine.
-- @return number: seconds since 1970, with a fraction
function M.now()
  return sys.time()
end

--- Render a Jinja2 template with the variables of a host.
-- @param host host
-- @param name string: a file, found as kb.find_file does
-- @param vars table: variables over those of the host
-- @return string
-- @raise kb.err of kind usage with file, line and name
function M.render(host, name, vars)
  return host:_render(name, vars)
end

--- Mark a value as unknown in the effect of an operation of your own.
-- @param reason string: when it will be known
-- @return unknown
function M.unknown(reason)
  return unknown.new(reason)
end

return M
