--- The keys of an ssh-agent, over its socket, without blocking anybody.
local net = require "kb.core.net"
local task = require "kb.core.task"

local M = {}

-- Message numbers and flags of the agent's protocol.
local REQUEST_IDENTITIES, IDENTITIES = 11, 12
local SIGN_REQUEST, SIGN_RESPONSE = 13, 14
local FLAGS = { ["rsa-sha2-256"] = 2, ["rsa-sha2-512"] = 4 }

-- An agent may ask its owner to confirm; a minute is what that may take.
local SECONDS = 60

local function read_exactly(stream, n)
  local parts, have = {}, 0
  while have < n do
    local part, message = stream:read(n - have)
    if not part then
      return nil, message or "it closed the connection"
    end
    parts[#parts + 1] = part
    have = have + #part
  end
  return table.concat(parts)
end

local function exchange(path, request)
  local _ <close> = task.within(SECONDS)
  local stream <close>, why = net.unix(path)
  if not stream then
    return nil, why
  end
  local ok, message = stream:write(string.pack(">s4", request))
  if not ok then
    return nil, message
  end
  local head, head_why = read_exactly(stream, 4)
  if not head then
    return nil, head_why
  end
  local length = string.unpack(">I4", head)
  if length > 1 << 18 then
    return nil, "its answer is too long"
  end
  return read_exactly(stream, length)
end

local function fail(path, message)
  return nil, ("agent %s: %s"):format(path, message), "EPROTO"
end

--- The public keys that an agent holds.
-- @param path string: the agent's socket
-- @return list of tables: blob (wire form), comment; or nil, message, code
function M.keys(path)
  local answer, message = exchange(path, string.char(REQUEST_IDENTITIES))
  if not answer then
    return fail(path, message)
  end
  local keys = {}
  local ok = pcall(function()
    local kind, count, at = string.unpack(">BI4", answer)
    assert(kind == IDENTITIES)
    for i = 1, count do
      local blob, comment
      blob, comment, at = string.unpack(">s4s4", answer, at)
      keys[i] = { blob = blob, comment = comment }
    end
  end)
  if not ok then
    return fail(path, "it does not answer as an agent")
  end
  return keys
end

--- Let the agent sign.
-- @param path string: the agent's socket
-- @param blob string: the public key
-- @param data string
-- @param algorithm string: "rsa-sha2-256" or "rsa-sha2-512" for RSA, else the
-- key's type
-- @return string: the signature without its wrapping; or nil, message, code
function M.sign(path, blob, data, algorithm)
  local request = string.pack(">Bs4s4I4", SIGN_REQUEST, blob, data, FLAGS[algorithm] or 0)
  local answer, message = exchange(path, request)
  if not answer then
    return fail(path, message)
  end
  local ok, kind, wrapped = pcall(string.unpack, ">Bs4", answer)
  if not ok or kind ~= SIGN_RESPONSE then
    return fail(path, "it refused to sign")
  end
  local unwrapped, used, signature = pcall(string.unpack, ">s4s4", wrapped)
  if not unwrapped or used ~= algorithm then
    return fail(path, ("it signed by another algorithm than %s"):format(algorithm))
  end
  return signature
end

return M
