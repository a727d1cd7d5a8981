--- The files of a store: names, reading, writing.
-- Keys and certificates lie side by side: NAME.crt and NAME.key, where NAME may have directories.
local core = require "kb.core.pki"
local sys = require "kb.core.sys"

local M = {}

--- Check a name of an item of a store.
-- @param name any
-- @return true; or nil, message, "EINVAL"
function M.check_name(name)
  if type(name) ~= "string" or name == "" then
    return nil, "an item of a PKI store needs a name, such as etcd/ca", "EINVAL"
  end
  for part in (name .. "/"):gmatch("([^/]*)/") do
    if part:find("^%.") or not part:find("^[%w._-]+$") then
      return nil, ("'%s' cannot be a name: letters, digits, '.', '_' and '-', and '/' between")
        :format(name), "EINVAL"
    end
  end
  return true
end

--- Read a file that may be absent.
-- @param path string
-- @return string; nil when there is none; or nil, message, code
function M.read(path)
  local text, message, code = sys.read_file(path)
  if not text and code ~= "ENOENT" then
    return nil, message, code
  end
  return text
end

--- Write a file whole or not at all, readable by its owner only.
-- @param path string: the directories above it are made, 0700
-- @param text string
-- @return true; or nil, message, code
function M.write(path, text)
  local ok, message, code = sys.mkdir(path:match("^(.*)/"), tonumber("700", 8))
  if not ok then
    return nil, message, code
  end
  return sys.write_file(path, text, tonumber("600", 8))
end

local function context(path, message, code)
  return nil, path .. ": " .. message, code
end

--- Read the certificates of a file.
-- @param path string
-- @return list of certificates, or nil when there is no file; or nil, message, code
function M.certificates(path)
  local text, message, code = M.read(path)
  if not text then
    return nil, message, code
  end
  local list
  list, message, code = core.certificates(text)
  if not list then
    return context(path, message, code)
  end
  return list
end

--- Read the private key of a file.
-- @param path string
-- @param passphrase string or nil
-- @return key, or nil when there is no file; or nil, message, code
function M.key(path, passphrase)
  local text, message, code = M.read(path)
  if not text then
    return nil, message, code
  end
  local key
  key, message, code = core.read_key(text, passphrase)
  if not key then
    return context(path, message, code)
  end
  return key
end

local function walk(dir, prefix, found)
  local names, message, code = sys.list(dir)
  if not names then
    return nil, message, code
  end
  for _, name in ipairs(names) do
    local path = dir .. "/" .. name
    local stat = sys.stat(path)
    if stat and stat.kind == "directory" and not name:find("^%.") then
      local ok
      ok, message, code = walk(path, prefix .. name .. "/", found)
      if not ok then
        return nil, message, code
      end
    elseif stat and stat.kind == "file" and not name:find("^%.") then
      found[#found + 1] = prefix .. name
    end
  end
  return true
end

--- All files below a directory, without those whose names begin with a dot.
-- @param dir string
-- @return list of paths below it, sorted; or nil, message, code
function M.list(dir)
  local found = {}
  local ok, message, code = walk(dir, "", found)
  if not ok then
    return nil, message, code
  end
  table.sort(found)
  return found
end

return M
