--- Files from the network to the operator's machine, kept by their digest.

local curl = require "kb.core.curl"
local localfile = require "kb.localfile"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}

local pending = {} -- path -> condition of the task that fetches it

local function directory()
  local cache = sys.getenv("XDG_CACHE_HOME")
  if not cache or cache == "" then
    cache = sys.self().home .. "/.cache"
  end
  return cache .. "/kbrun/downloads"
end

--- Where a file with this digest is kept, whether it is there or not.
-- @param sha256 string
-- @return string
function M.path(sha256)
  return directory() .. "/" .. sha256
end

-- Whatever comes is compared with a digest, so that it does not matter who could change it.
local PROTOCOLS = "https,http,ftp,file"
local ATTEMPTS = 3

-- One attempt: true; or nil, message, code.
local function attempt(session, url, path)
  local file <close>, why = io.open(path, "wb")
  if not file then
    return nil, why, "EIO"
  end
  local transfer <close>, message, code = session:fetch { url = url, protocols = PROTOCOLS,
    redirect_protocols = "https,http" }
  while transfer do
    local piece
    piece, message, code = transfer:read()
    if not piece then
      break
    end
    local ok
    ok, why = file:write(piece)
    if not ok then
      return nil, why, "EIO"
    end
  end
  return not message or nil, message, code
end

local function download(url, path)
  local session <close> = curl.session()
  local ok, message, code
  for _ = 1, ATTEMPTS do
    ok, message, code = attempt(session, url, path)
    if ok or code ~= "ECLOSED" and code ~= "ETIMEDOUT" then
      break
    end
  end
  return ok, not ok and ("%s: %s"):format(url, message) or nil, code
end

local function fetch(url, sha256, path)
  local ok, message, code = sys.mkdir(directory(), tonumber("700", 8))
  if not ok then
    return nil, message, code
  end
  local part = path .. ".part"
  ok, message, code = download(url, part)
  if not ok then
    sys.remove(part)
    return nil, message, code
  end
  local found = localfile.digest(part)
  if found ~= sha256 then
    sys.remove(part)
    return nil, ("%s has the SHA-256 %s, not %s"):format(url, found, sha256), "EBADMSG"
  end
  return os.rename(part, path)
end

--- Fetch a file, unless it was fetched before. Several hosts that want it wait for one.
-- @param url string
-- @param sha256 string: hexadecimal; anything else is refused
-- @return true; or nil, message, code
function M.fetch(url, sha256)
  local path = M.path(sha256)
  while pending[path] do
    pending[path]:wait()
  end
  if sys.stat(path) and localfile.digest(path) == sha256 then
    return true
  end
  local condition = task.condition()
  pending[path] = condition
  local _ <close> = setmetatable({}, { __close = function()
    pending[path] = nil
    condition:notify()
  end })
  return fetch(url, sha256, path)
end

return M
