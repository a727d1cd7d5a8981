--- The files of the source tree, for the tests that read them.
local sys = require "kb.core.sys"

local M = {}

local function is_ours(name)
  return not name:find("^build") and name ~= ".git" and name ~= "install"
end

local function walk(path, found)
  for _, name in ipairs(assert(sys.list(path == "" and "." or path))) do
    local file = path == "" and name or path .. "/" .. name
    local kind = is_ours(name) and assert(sys.stat(file, false)).kind
    if kind == "directory" then
      walk(file, found)
    elseif kind == "file" then
      found[#found + 1] = file
    end
  end
  return found
end

local all

--- The paths of all files from the top of the tree, where tests run.
-- @param pattern string or nil: only those that match this Lua pattern
-- @return list of strings
function M.files(pattern)
  all = all or walk("", {})
  local list = {}
  for _, file in ipairs(all) do
    if not pattern or file:find(pattern) then
      list[#list + 1] = file
    end
  end
  return list
end

--- The text of a file.
-- @param path string
-- @return string
function M.text(path)
  return assert(sys.read_file(path))
end

--- Walk the lines of a file.
-- @param path string
-- @return iterator of number and line
function M.lines(path)
  local text, n = M.text(path), 0
  if text:sub(-1) ~= "\n" then
    text = text .. "\n"
  end
  local next_line = text:gmatch("(.-)\n")
  return function()
    local line = next_line()
    n = n + 1
    return line and n, line
  end
end

--- Fail with all findings of a check, if there are any.
-- @param findings list of strings
function M.none(findings)
  if #findings > 0 then
    error(#findings .. " found:\n" .. table.concat(findings, "\n"), 2)
  end
end

return M
