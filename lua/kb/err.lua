--- Errors above the engine: values that say what, where and what next.

local M = {}

local Error = { __name = "kb.err" }
Error.__index = Error

-- The rest of what an error knows, in the order in which it is shown.
local details = { "op", "command", "status", "output", "evidence", "hint" }

-- A script is shown by its beginning: what it printed says more.
local MOST_LINES = 3

local function shortened(command)
  local _, breaks = command:gsub("\n", "")
  if breaks < MOST_LINES then
    return command
  end
  return ("%s\n… %d lines more, shown with -v"):format(command:match("^%s*([^\n]*)"), breaks)
end

--- An error's text.
-- @param whole boolean: with commands that are scripts in full
-- @return string
function Error:text(whole)
  local at = self.file and ("%s:%s: "):format(self.file, self.line or "?") or ""
  local lines = { at .. (self.host and self.host .. ": " or "") .. self.message }
  for _, name in ipairs(details) do
    local value = self[name]
    if value ~= nil and value ~= "" then
      value = tostring(value)
      value = name == "command" and not whole and shortened(value) or value
      lines[#lines + 1] = ("  %s: %s"):format(name, (value:gsub("\n", "\n    ")))
    end
  end
  return table.concat(lines, "\n")
end

function Error:__tostring()
  return self:text(false)
end

--- Make an error value.
-- @param kind string: usage (the playbook or the command line is wrong), unreachable, failed
-- (a command or a check on a host), verify (an effect did not come true), unknown (the preview
-- cannot look further), cancelled
-- @param message string: what went wrong, with names and values
-- @param fields table: host, op, command, status, output, evidence, hint, file, line, complete
-- (boolean: the message says what was done, too)
-- @return kb.err
function M.new(kind, message, fields)
  local e = setmetatable({ kind = kind, message = message }, Error)
  for k, v in pairs(fields or {}) do
    e[k] = v
  end
  return e
end

--- Raise an error value.
-- @param kind string
-- @param message string
-- @param fields table
-- @raise kb.err
function M.raise(kind, message, fields)
  error(M.new(kind, message, fields), 0)
end

--- The kind of anything that was raised: "bug" for what is not ours.
-- @param e any
-- @return string
function M.kind(e)
  return type(e) == "table" and e.kind or "bug"
end

--- Turn whatever was raised into an error value.
-- @param e any
-- @return kb.err
function M.wrap(e)
  if getmetatable(e) == Error then
    return e
  end
  if type(e) == "table" and e.kind then
    return M.new(e.kind, tostring(e.message), e)
  end
  return M.new("bug", tostring(e))
end

-- Codes of the layers below that mean that the host could not be reached or was lost.
local unreachable = { EUNREACHABLE = true, EAUTH = true, EHOSTKEY = true, ECLOSED = true,
  ECONNREFUSED = true, ECONNRESET = true, EHOSTUNREACH = true, ENETUNREACH = true, EPIPE = true }

--- The kind of error that a code of the layers below stands for.
-- @param code string
-- @return string: unreachable or failed
function M.of_code(code)
  return unreachable[code] and "unreachable" or "failed"
end

--- A message as it stands behind the name of its host, which it need not say again.
-- @param message string: "web1: no shell there", "web1 (10.0.0.5): connect: no answer"
-- @param host string
-- @return string: "no shell there", "10.0.0.5: connect: no answer"
function M.without_host(message, host)
  if message:sub(1, #host + 2) == host .. ": " then
    return message:sub(#host + 3)
  elseif message:sub(1, #host + 2) == host .. " (" then
    return (message:sub(#host + 2):gsub("^%((.-)%)", "%1"))
  end
  return message
end

--- A message handler for xpcall: keeps the traceback of what is not an error of ours.
-- @param e any
-- @return any
function M.keep_traceback(e)
  if type(e) == "string" then
    return M.new("bug", e, { traceback = debug.traceback(nil, 2) })
  end
  return e
end

--- The file and line of the nearest caller that is not part of kbrun: the playbook, or a module of
-- the user's own. (What is embedded in the binary has no file.)
-- @return file string, line integer; nil when there is none
function M.position()
  for level = 2, 40 do
    local info = debug.getinfo(level, "Sl")
    if not info then
      return nil
    end
    local source = info.source
    if source:sub(1, 1) == "@" and not source:find("/lua/kb/", 1, true) then
      return source:sub(2), info.currentline
    end
  end
end

return M
