--- Files from the network to the operator's machine, kept by their digest.

local localfile = require "kb.localfile"
local proc = require "kb.core.proc"
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

local tools = {
  { "curl", "--fail", "--silent", "--show-error", "--location", "--retry", "3",
    "--connect-timeout", "15", "--output" },
  { "wget", "--no-verbose", "--timeout=15", "--output-document" },
}

local function download(url, path)
  for _, tool in ipairs(tools) do
    local argv = table.move(tool, 1, #tool, 1, {})
    table.move({ path, "--", url }, 1, 3, #argv + 1, argv)
    local process, streams, code = proc.spawn { argv = argv, stdin = "null", stdout = "null" }
    if process then
      local said = {}
      for piece in function() return (streams.stderr:read()) end do
        said[#said + 1] = piece
      end
      streams.stderr:close()
      if process:wait() == 0 then
        return true
      end
      return nil, ("%s: %s"):format(url, table.concat(said):gsub("%s+$", "")), "EIO"
    elseif code ~= "ENOENT" then
      return nil, streams, code
    end
  end
  return nil, "neither curl nor wget is installed here to fetch " .. url, "ENOENT"
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
