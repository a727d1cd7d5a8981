--- Many commands as one request: each in a subshell, told apart by markers of the batch's own.
local request = require "kb.shell.request"
local quote = require "kb.quote"

local M = {}

-- More than this is sent as several requests.
local LONGEST = 60 * 1024

--- Put commands into one text, as many as fit.
-- @param commands list of strings
-- @param first integer: where to begin in it
-- @param nonce string: hexadecimal digits
-- @return string, and the place of the last command that is in it
function M.compose(commands, first, nonce)
  local lines = { ([[b() { printf "\001%s:$?\n"; printf "\001%s:\n" >&2; }]]):format(nonce, nonce) }
  local length, last = 0, first - 1
  repeat
    last = last + 1
    lines[#lines + 1] = ("(eval %s); b"):format("'" .. quote.raw(commands[last]) .. "'")
    length = length + #lines[#lines]
  until last == #commands or length + #commands[last + 1] > LONGEST
  return table.concat(lines, "\n"), last
end

-- The pieces before each marker, what the markers say, and what follows the last one.
local function split(text, nonce)
  local prefix, pieces, words, from = "\1" .. nonce .. ":", {}, {}, 1
  while true do
    local at, stop = text:find(prefix, from, true)
    local line = stop and text:find("\n", stop, true)
    if not line then
      return pieces, words, text:sub(from)
    end
    pieces[#pieces + 1] = text:sub(from, at - 1)
    words[#words + 1] = text:sub(stop + 1, line - 1)
    from = line + 1
  end
end

--- Take the answer of a batch apart.
-- @param result table: as of Shell:run
-- @param nonce string: as for compose
-- @param wanted integer: how many commands were in it
-- @return list of results; fewer than wanted when one of them killed the batch's shell: the last is
-- then that one's
function M.parse(result, nonce, wanted)
  local out, codes, rest = split(result.out, nonce)
  local err, _, err_rest = split(result.err, nonce)
  local results = {}
  for i, text in ipairs(out) do
    local code = tonumber(codes[i])
    results[i] = { code = code, maybe_signal = request.signal(code), out = text, err = err[i] or "",
      seconds = result.seconds }
  end
  if #results < wanted then
    results[#results + 1] = { code = result.code, signal = result.signal,
      maybe_signal = result.maybe_signal, out = rest, err = err[#out + 1] or err_rest,
      seconds = result.seconds }
  end
  return results
end

return M
