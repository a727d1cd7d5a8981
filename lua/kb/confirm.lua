--- Ask before something that cannot be undone.

local args = require "kb.args"
local err = require "kb.err"
local proc = require "kb.core.proc"
local runner = require "kb.runner"

local M = {}

local declared = {
  { "question", "string", "what is asked: yes is the only answer that goes on", at = 1,
    required = true },
  { "text", "string", "what one must know to answer", default = "" },
}

-- Read by a program, so that the run goes on meanwhile and Ctrl-C ends it.
local function read_line()
  local process, io = proc.spawn { argv = { "sh", "-c", "IFS= read -r l; printf %s \"$l\"" },
    stdin = "inherit", stderr = "inherit" }
  if not process then
    return nil
  end
  local parts = {}
  for chunk in function() return (io.stdout:read()) end do
    parts[#parts + 1] = chunk
  end
  io.stdout:close()
  process:wait()
  return table.concat(parts)
end

local function ask(host, given)
  local report = host.run.report
  report:emit { event = "ask", play = host.play.name, question = given.question,
    text = given.text, answered = host.run.yes and "yes, by --yes" or not host.run.apply
      and "a dry run does not ask" or nil }
  if host.run.yes or not host.run.apply then
    return
  end
  local answer = read_line()
  report:emit { event = "answer", play = host.play.name }
  if answer ~= "yes" then
    err.raise("failed", "the answer was not yes: nothing was done")
  end
end

--- Ask once in a run, whichever host comes first; the others wait for the answer. See kb.confirm.
-- @param host host: in a play that says `asks = true`
-- @param given table: the question, text
-- @raise kb.err of kind failed when the answer is not yes
function M.confirm(host, given)
  given = args.check(declared, given, "kb.confirm")
  if not host.play.asks then
    local file, line = err.position()
    err.raise("usage", "kb.confirm: the play must say asks = true, so that it is known before it "
      .. "begins whether anybody can answer", { file = file, line = line })
  end
  runner.once(host, "confirm " .. given.question, function()
    ask(host, given)
  end)
end

--- Why plays that ask cannot be run, or nil.
-- @param plays list of plays
-- @param answered boolean: whether somebody, or --yes, can answer
-- @return string or nil
function M.refusal(plays, answered)
  for _, play in ipairs(plays) do
    if play.asks and not answered then
      return ("%s:%s: play %q asks before it acts, and there is no terminal: say --yes")
        :format(play.file, play.line, play.name)
    end
  end
end

return M
