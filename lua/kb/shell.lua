--- A persistent /bin/sh on a host: commands are requests to it, one round trip each.
--
-- kb.shell.program is what runs on the host. One request runs at a time; a command's end is
-- believed only when the marker behind its output has arrived, so a shell or connection that dies
-- is never taken for success.
local become = require "kb.become"
local program = require "kb.shell.program"
local quote = require "kb.quote"
local new_request = require("kb.shell.request").new
local scan = require "kb.shell.scan"
local secret = require "kb.secret"
local task = require "kb.core.task"

local M = {}

-- A command is one argument of /bin/sh on the host, which Linux limits to 128 KiB.
M.LONGEST = 100 * 1024

-- How long a command may take to end after TERM, and then after KILL.
local GRACE = 1

-- What is left of a command's input when it has ended early is sent all the same, to keep the
-- shell, unless it is more than this.
local MUCH = 1 << 20

-- How long the output of a shell that has ended may still be on its way.
local LAST_WORDS = 0.2

local Shell = {}
Shell.__index = Shell
Shell.__name = "kb.shell"

-- A new request of this shell.
function Shell:_request(opts)
  self.count = self.count + 1
  return new_request(self.count - 1, opts)
end

-- Read one stream until the request's marker on it, or its end.
local function read_one(self, kind, request)
  local stream = kind == "out" and self.channel.stdout or self.channel.stderr
  local function on_data(data)
    request:take(kind, data)
  end
  local function on_mark(mark)
    request:mark(kind, mark)
  end
  while not request.seen[kind] do
    if self.lost then -- by the task that feeds it, and its streams are closed
      return nil, "it was closed", "ECLOSED"
    end
    local chunk, message, code = stream:read()
    if not chunk then
      return nil, message or "its output ended", code or "ECLOSED"
    end
    self.received = self.received + #chunk
    self.scans[kind]:feed(chunk, on_data, on_mark)
  end
  return true
end

-- Wait for the end of the shell itself: a process that it left may hold its streams open.
local function read_end(self)
  local status, signal, message = self.channel:wait()
  if message and not status then
    return nil, message, "ECLOSED"
  end
  local _ <close> = task.shield(GRACE)
  task.sleep(LAST_WORDS)
  return nil, status and "it ended with status " .. status
    or ("it was ended by %s"):format(signal or "nobody knows what"), "ECLOSED"
end

-- Tasks that are ended with the scope, so that no two ever read or write the same stream.
local Helpers = {
  __close = function(self)
    for _, t in ipairs(self) do
      if not t:done() then
        local _ <close> = task.shield(GRACE)
        t:cancel("its command is over")
        pcall(t.join, t)
      end
    end
  end,
}

-- Run functions at the same time until all but the last are done or one fails.
local function together(...)
  local helpers <close> = setmetatable({}, Helpers)
  local ended, open, failed = task.condition(), select("#", ...) - 1, nil
  for _, fn in ipairs { ... } do
    helpers[#helpers + 1] = task.background(function()
      local result = table.pack(pcall(fn))
      open = open - 1
      if not result[1] then
        failed = failed or { raised = result[2] }
      elseif not result[2] then
        failed = failed or { message = result[3], code = result[4] }
      end
      ended:notify()
    end)
  end
  while open > 0 and not failed do
    local ok, message, code = ended:wait()
    if not ok then
      return nil, message, code
    end
  end
  if failed and failed.raised then
    error(failed.raised, 0)
  end
  return not failed, failed and failed.message, failed and failed.code
end

-- Read both streams until both markers have come: true; or nil, message, code.
function Shell:_await(request)
  local function reader(kind)
    return function()
      return read_one(self, kind, request)
    end
  end
  return together(reader "out", reader "err", function()
    return read_end(self)
  end)
end

function Shell:_write(data)
  self.sent = self.sent + #data
  local ok, message, code = self.channel.stdin:write(data)
  if not ok and code == "EPIPE" then
    code = "ECLOSED"
  end
  return ok, message, code
end

local function lose(self)
  if not self.lost then
    self.lost = true
    self.channel:close()
  end
end

-- Kill what outlives a command that was to end. What it has written until then is not taken for the
-- next command's; if it does not go, the shell is not used again.
local function kill_left(self, pid)
  local r = self:run(("for i in 1 2 3 4 5; do kill -KILL -%s 2>/dev/null || exit 0; sleep 0.1; done"
    .. "; exit 1"):format(pid), { discard = true, timeout = GRACE })
  self.dirty = not r or r.code ~= 0
end

-- End the command of a request that is not over: by TERM, then by KILL. When that is not to be had,
-- the shell is closed, upon which its watcher ends the command.
local function stop(self, request)
  local _ <close> = task.shield(4 * GRACE)
  for _, signal in ipairs { "TERM", "KILL" } do
    local _ <close> = task.within(GRACE)
    if request.streamed and not request.fed or not self:_write(signal .. "\n") then
      break
    end
    if self:_await(request) then
      return request.left and kill_left(self, request.left)
    end
  end
  self.orphan = request.pid
  lose(self)
end

local Running = {
  __close = function(self)
    if not self.over then
      self.request.on_output = nil
      stop(self.shell, self.request)
    end
  end,
}

-- The pieces of a command's input.
local function pieces(source)
  if type(source) == "function" then
    return source
  end
  local text = source
  return function()
    local all = text
    text = nil
    return all
  end
end

-- Send the command's input: each piece behind its length, or one length before all of them. When
-- the source fails the command must not take what it got for the whole: it is killed. In the midst
-- of a length that was promised, only the shell's end can do that.
local function feed(self, request, source, size)
  local ok, chunk, message, code
  local left = size or 0
  if left > 0 and not self:_write(left .. "\n") then
    return
  end
  repeat
    ok, chunk, message, code = pcall(source)
    if ok and chunk and type(chunk) ~= "string" then
      message = "a piece of it is a " .. type(chunk)
    end
    local text = not message and ok and chunk or ""
    local data = text ~= "" and not size and #text .. "\n" .. text or text
    left = left - (size and #data or 0)
    if ok and not message and size and (left < 0 or not chunk and left > 0) then
      message = ("it was %d bytes too %s"):format(math.abs(left), left < 0 and "long" or "short")
    end
    if not ok or message then
      request.source_error = { ok and message or chunk, code }
      return size and lose(self) or self:_write("KILL\n0\n")
    elseif request.ended and left > MUCH then
      request.abandoned = true
      return lose(self)
    elseif not self:_write(data) then
      return
    end
  until not chunk or request.ended and left == 0
  request.fed = self:_write("0\n") or false
end

local function lost(self, message)
  lose(self)
  return nil, ("%s: the shell was lost while the command ran, so its outcome is not known: %s")
    :format(self.name, message), "ECLOSED"
end

local function refuse(self, text, opts)
  if self.lost then
    return nil, self.name .. ": the shell is closed", "ECLOSED"
  elseif #text > M.LONGEST then
    return nil, ("%s: the command is %d bytes long, at most %d are possible; pass data as stdin")
      :format(self.name, #text, M.LONGEST), "EINVAL"
  elseif opts.stdin and not self.tools.pipe then
    return nil, self.name .. ": /proc is not mounted on the host, so no data can be piped to a "
      .. "command there", "EINVAL"
  end
end

-- How a request that did not come to its end is told.
local function broken(self, request, opts, message, code)
  if code == "ETIMEDOUT" and message == "timed out" then -- by our deadline, not by its silence
    stop(self, request)
    local what = opts.timeout and ("timed out after %g s"):format(opts.timeout) or "timed out"
    return nil, ("%s: the command %s and was ended"):format(self.name, what), code,
      { out = table.concat(request.out), err = table.concat(request.err) }
  end
  return lost(self, message)
end

--- Run a command and wait for its end.
-- @param text string: POSIX shell text; it runs in a /bin/sh of its own
-- @param opts table: stdin (string, secret or function giving pieces, then nil), size (of the
-- pieces together, if known: cheaper), env, cwd, timeout (seconds), on_output (function of "out" or
-- "err" and a piece), discard (do not collect output),
-- combine (stderr goes into stdout, in order), on_end (called when it has ended: a function that
-- gives pieces need not wait for more)
-- @return table: code, signal (the name of the one that killed it; code is then 128 + its number),
-- maybe_signal (the name of one that may have, where the host's shell does not tell that from an
-- exit with such a status), out, err, seconds; or nil, message, code, and when it timed out a table
-- with out and err so far
function Shell:run(text, opts)
  opts = opts or {}
  quote(text)
  local no, message, code = refuse(self, text, opts)
  if message then
    return no, message, code
  end
  local request = self:_request(opts)
  local line = request:line(self.nonce, text)
  local running <close> = setmetatable({ shell = self, request = request }, Running)
  local _ <close> = task.within(opts.timeout or math.huge)
  local ok
  ok, message, code = self:_write(line)
  if ok and request.streamed then
    local _ <close> = setmetatable({
      task.background(feed, self, request, pieces(secret.reveal(opts.stdin)), opts.size),
    }, Helpers)
    ok, message, code = self:_await(request)
  elseif ok then
    ok, message, code = self:_await(request)
  end
  running.over = true
  if request.abandoned then
    ok = true
  elseif ok and self.lost then -- closed meanwhile, by which the command was ended
    ok, message, code = nil, "it was closed", "ECLOSED"
  end
  if request.source_error then
    local why = request.source_error
    return nil, ("%s: its input failed: %s"):format(self.name, why[1]), why[2] or "EINVAL"
  elseif not ok then
    return broken(self, request, opts, message, code)
  end
  self.dirty = request.left ~= nil
  return request:result()
end

--- Whether the shell can take a request.
-- After a command that left processes behind it is not used again: their output would mix with
-- that of later commands.
-- @return boolean
function Shell:usable()
  return not self.lost and not self.dirty
end

--- End the shell. What commands have left in the background lives on.
function Shell:close()
  lose(self)
end

Shell.__close = Shell.close

local function tools(text)
  local has = {}
  for name in text:gmatch("[^,]+") do
    has[name] = true
  end
  return has
end

local function listen(self, nonce)
  self.count = 0
  self.scans = { out = scan.new("\1" .. nonce .. ":"), err = scan.new("\1" .. nonce .. ":") }
end

local function start(self, opts)
  local ok, message, code
  if opts.become then
    local nonce = program.nonce() -- the real one does not appear in the host's list of processes
    listen(self, nonce)
    ok, message, code = become.enter(self, opts, nonce)
    if not ok then
      return nil, message, code
    end
  end
  listen(self, self.nonce)
  local request = self:_request {}
  local written, why, how = self:_write(program.start(self.nonce))
  ok, message, code = self:_await(request) -- also when it ended before: it may have said why
  if not written then
    ok, message, code = nil, why, how
  end
  if ok then
    self.uid, self.tools = request.uid, tools(request.tools)
    return true
  end
  local said = table.concat(request.err) .. table.concat(request.out)
  return nil, ("%s: no shell there: %s%s"):format(self.name, message,
    said ~= "" and "; it said: " .. said:gsub("%s+$", "") or ""), code
end

--- Start a shell over a connection.
-- @param connection table: its exec is called once
-- @param opts table: name (for messages), become ("sudo" or "su"), become_user, become_password
-- (string, secret or function), timeout (seconds until it must answer; 30)
-- @return shell; or nil, message, code (EAUTH when becoming the user was refused), and true when
-- the connection would not start another command
function M.open(connection, opts)
  local _ <close> = task.within(opts.timeout or 30)
  local channel, message, code = connection:exec(program.boot)
  if not channel then
    return nil, message, code, true
  end
  local self = setmetatable({
    name = opts.name or "host", channel = channel, nonce = program.nonce(), sent = 0, received = 0,
  }, Shell)
  local ok
  ok, message, code = start(self, opts)
  if not ok then
    self:close()
    return nil, message, code
  end
  return self
end

return M
