--- One request to a shell: how it is put, and what comes back.
local program = require "kb.shell.program"
local quote = require "kb.quote"
local secret = require "kb.secret"
local task = require "kb.core.task"

local M = {}

-- A request up to this length is read byte by byte, which costs less than starting the program
-- that reads in bulk.
local BYTEWISE = 4096

-- Status 128+n is how sh tells of a death by signal n; but a command may also exit with it.
local signals = {
  [1] = "HUP", [2] = "INT", [3] = "QUIT", [4] = "ILL", [5] = "TRAP", [6] = "ABRT", [7] = "BUS",
  [8] = "FPE", [9] = "KILL", [10] = "USR1", [11] = "SEGV", [12] = "USR2", [13] = "PIPE",
  [14] = "ALRM", [15] = "TERM", [24] = "XCPU", [25] = "XFSZ", [31] = "SYS",
}

local MOST_SIGNALS = 64

--- The name of the signal that a status of sh may tell of.
-- @param status integer
-- @return string or nil
function M.signal(status)
  local number = status - 128
  return signals[number] or number > 0 and number <= MOST_SIGNALS and tostring(number) or nil
end

-- Whether the list of jobs says that the process was killed; nil when it does not tell. Shells
-- write there what became of it: "Done(130)", or the name of a signal.
local function was_killed(jobs, pid)
  local state = (" " .. jobs):match("%D" .. pid .. " +(%a[%a ]*)")
  if not state or state:find("^Running") or state:find("^Stopped") then
    return nil
  end
  return not (state:find("^Done") or state:find("^Exit"))
end

-- A request: what is collected, and which of its markers have come.
local Request = {}
Request.__index = Request

--- A new request.
-- @param number integer: unlike that of any other of this shell
-- @param opts table: as for Shell:run
-- @return request
function M.new(number, opts)
  return setmetatable({
    number = tostring(number),
    out = {}, err = {},
    opts = opts,
    on_output = opts.on_output,
    streamed = opts.stdin ~= nil,
    seen = {},
    started = task.now(),
  }, Request)
end

--- Take a piece of the command's output.
-- @param kind string: "out" or "err"
-- @param data string
function Request:take(kind, data)
  if self.listing and kind == "out" then
    self.jobs = self.jobs .. data
    return
  end
  if not self.opts.discard then
    table.insert(self[kind], data)
  end
  if self.on_output then
    self.on_output(kind, data)
  end
end

--- Take a marker:
-- NUMBER on stderr; on stdout NUMBER:jobs:PID before the list of jobs, NUMBER:end:STATUS:LEFT
-- (the PID when processes of it are left), NUMBER:pid:PID, NUMBER:ready, from time to time
-- NUMBER:on, and from a new shell NUMBER:hello:UID:TOOLS.
-- @param kind string: "out" or "err"
-- @param text string: the marker without its prefix
function Request:mark(kind, text)
  local number, word, a, b = text:match("^(%d+):?([^:]*):?([^:]*):?(.*)$")
  if number ~= self.number then
    return
  end
  if kind == "err" then
    self.seen.err = true
  elseif word == "jobs" then
    self.listing, self.jobs, self.pid = true, "", a
  elseif word == "end" then
    self.listing = false
    self.status, self.left = tonumber(a), b ~= "" and b or nil
    self.seen.out = not self.streamed
    self.ended = true
    if self.opts.on_end then
      self.opts.on_end()
    end
  elseif word == "pid" then
    self.pid = a
  elseif word == "ready" then
    self.seen.out = true
  elseif word == "hello" then
    self.uid, self.tools = tonumber(a), b
    self.seen.out = true
  end
end

--- What has come of the command, after its end.
-- @return table: code, signal, maybe_signal, out, err, seconds
function Request:result()
  local signal, killed = M.signal(self.status), false
  if signal then
    killed = was_killed(self.jobs or "", self.pid or "")
  end
  return {
    code = self.status,
    signal = killed and signal or nil,
    maybe_signal = killed == nil and signal or nil,
    out = table.concat(self.out),
    err = table.concat(self.err),
    seconds = task.now() - self.started,
  }
end

-- What comes before the command: environment, directory.
local function prelude(opts)
  local lines = {}
  for name, value in pairs(opts.env or {}) do
    if secret.is(value) then
      error(("env.%s is a secret, which others on the host could read there: pass it as stdin")
        :format(name), 0)
    elseif type(name) ~= "string" or not name:find("^[%a_][%w_]*$") then
      error(("env: %q is not the name of a variable"):format(tostring(name)), 0)
    end
    lines[#lines + 1] = ("export %s=%s"):format(name, quote(value))
  end
  table.sort(lines)
  if opts.combine then
    lines[#lines + 1] = "exec 2>&1"
  end
  if opts.cwd then
    lines[#lines + 1] = "cd -- " .. quote(opts.cwd)
  end
  return table.concat(lines, "&&")
end

--- The line of a request, with the raw text behind it if it is long.
-- @param nonce string: the shell's
-- @param text string: the command
-- @return string
-- @raise when the environment cannot be set so
function Request:line(nonce, text)
  local verb = self.streamed and "stream" or "run"
  local before = program.one_line(prelude(self.opts))
  if #text <= BYTEWISE then
    return ("%s %s %s %s %s\n"):format(nonce, verb, self.number, program.one_line(text),
      before)
  end
  return ("%s t=$(take %d);%s %s \"$t\" %s\n"):format(nonce, #text, verb, self.number,
    before) .. text
end

return M
