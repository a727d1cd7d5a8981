--- Files of the operator's machine that a playbook names.

local crypto = require "kb.core.crypto"
local err = require "kb.err"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}

local digests = {} -- path -> { size, mtime, digest }

local hashing = {} -- path -> condition, while somebody hashes it: others wait for the digest

--- Find a file or directory that a play names: as it is when absolute, else in files/, templates/
-- or beside the playbook.
-- @param name string
-- @param dir string: the playbook's directory
-- @param kind string: "files" or "templates": a file, and which directory comes first; or
-- "directory": a directory, in files/ first
-- @return string: its path
-- @raise kb.err of kind usage when it is not there
function M.find(name, dir, kind)
  local directory = kind == "directory"
  local first = ("%s/%s/"):format(dir, directory and "files" or kind)
  local tried = {}
  for _, base in ipairs(name:find("^/") and { "" } or { first, dir .. "/" }) do
    local stat = sys.stat(base .. name)
    if stat and (stat.kind == "directory") == directory then
      return base .. name
    end
    tried[#tried + 1] = base .. name .. (stat and (" (it is a %s)"):format(stat.kind) or "")
  end
  err.raise("usage", ("there is no %s %s"):format(directory and kind or "file",
    table.concat(tried, " and no ")))
end

--- Read a file whole.
-- @param path string
-- @return string
-- @raise kb.err of kind usage
function M.read(path)
  local text, message = sys.read_file(path)
  if not text then
    err.raise("usage", message)
  end
  return text
end

-- A large file takes its time, in which other hosts go on and Ctrl-C is heard.
local function hash_file(path)
  local file <close> = io.open(path, "rb") or err.raise("usage", "cannot read " .. path)
  local hash = crypto.hash("sha256")
  hashing[path] = task.condition()
  local _ <close> = setmetatable({}, { __close = function()
    local waiting = hashing[path]
    hashing[path] = nil
    waiting:notify()
  end })
  for chunk in file:lines(1 << 20) do
    hash:update(chunk)
    task.yield()
  end
  return hash:final()
end

--- The SHA-256 of a file, and its size; computed again only when the file has changed.
-- @param path string
-- @return digest string (hexadecimal), size integer
-- @raise kb.err of kind usage
function M.digest(path)
  while hashing[path] do
    hashing[path]:wait()
  end
  local stat, message = sys.stat(path)
  if not stat then
    err.raise("usage", message)
  end
  local known = digests[path]
  if not known or known.size ~= stat.size or known.mtime ~= stat.mtime then
    known = { size = stat.size, mtime = stat.mtime, digest = hash_file(path) }
    digests[path] = known
  end
  return known.digest, known.size
end

--- The SHA-256 of a text.
-- @param text string
-- @return string: hexadecimal
function M.digest_of(text)
  return crypto.digest("sha256", text)
end

return M
