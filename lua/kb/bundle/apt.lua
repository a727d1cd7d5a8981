--- Debian packages with all that they depend on, by the operator's apt in a root of its own: its
-- lists, its downloads and what it takes for installed have nothing to do with this machine's.
local crypto = require "kb.core.crypto"
local json = require "kb.json"
local program = require "kb.bundle.program"
local sys = require "kb.core.sys"

local M = {}

local function options_of(root, request)
  local options = {
    "Dir::State::Lists=" .. root .. "/lists", "Dir::Cache=" .. root,
    "Dir::Cache::archives=" .. root .. "/archives", "Dir::Cache::pkgcache=",
    "Dir::Cache::srcpkgcache=", "Dir::State::status=" .. root .. "/status",
    "Dir::State::extended_states=" .. root .. "/extended_states",
    "APT::Architecture=" .. request.arch, "APT::Architectures=" .. request.arch,
    "APT::Sandbox::User=root", "Acquire::Languages=none", "Acquire::ForceHash=SHA256",
    "Acquire::Retries=3", "Debug::NoLocking=1",
  }
  if request.sources then
    options[#options + 1] = "Dir::Etc::SourceList=" .. root .. "/sources.list"
    options[#options + 1] = "Dir::Etc::SourceParts=/dev/null"
  end
  return options
end

local function apt(root, request, ...)
  local argv = { "apt-get", "-q" }
  for _, option in ipairs(options_of(root, request)) do
    argv[#argv + 1] = "-o"
    argv[#argv + 1] = option
  end
  return program.run(table.move({ ... }, 1, select("#", ...), #argv + 1, argv),
    { env = { LC_ALL = "C", DEBIAN_FRONTEND = "noninteractive" } })
end

-- Steps that each say true, or nil, message, code.
local function all(...)
  for _, step in ipairs { ... } do
    local ok, message, code = step()
    if not ok then
      return nil, message, code
    end
  end
  return true
end

local function prepare(root, request)
  return all(function()
    return sys.mkdir(root .. "/lists/partial")
  end, function()
    return sys.mkdir(root .. "/archives/partial")
  end, function()
    local text, message, code = "", nil, nil
    if request.installed then
      text, message, code = sys.read_file(request.installed)
    end
    if not text then
      return nil, message, code
    end
    return sys.write_file(root .. "/status", text)
  end, function()
    return sys.write_file(root .. "/sources.list",
      table.concat(request.sources or {}, "\n") .. "\n")
  end, function()
    return apt(root, request, "update")
  end)
end

-- Where a file: URI leads; nil for others.
local function local_path(uri)
  local path = uri:match("^file:/*(/.*)$")
  return path and (path:gsub("%%(%x%x)", function(digits)
    return string.char(tonumber(digits, 16))
  end))
end

-- 'URI' NAME SIZE SHA256:HEX: what apt would fetch, a line each, those of one's own among them.
local function parse(text, own)
  local list, is_own = {}, {}
  for _, path in ipairs(own) do
    is_own[path] = true
  end
  for uri, name, size, hash in text:gmatch("'([^'\n]+)' (%S+) (%d+) ?(%S*)") do
    if not is_own[local_path(uri) or ""] then
      list[#list + 1] = { source = uri, name = name, size = math.tointeger(tonumber(size)),
        sha256 = hash:match("^SHA256:(%x+)$") }
    end
  end
  return list
end

local function words_of(request)
  local words = { "install", "--no-install-recommends", "--allow-downgrades",
    "--allow-change-held-packages", "-y" }
  table.move(request.names, 1, #request.names, #words + 1, words)
  return table.move(request.debs, 1, #request.debs, #words + 1, words)
end

--- What tells one request from another: the same one has been answered already.
-- @param request table: names, sources, installed, arch, and own (texts that tell packages of one's
--   own)
-- @return string: a digest
function M.key(request)
  local installed = request.installed and crypto.digest("sha256",
    sys.read_file(request.installed) or "") or ""
  return crypto.digest("sha256", json.encode({ request.arch, request.names, request.own,
    request.sources or {}, installed }, { compact = true }))
end

--- Work out which packages a request comes to, by fresh lists.
-- @param root string: a directory for apt
-- @param request table: names, debs (paths of packages of one's own), sources (lines of
--   sources.list; absent: this machine's), installed (dpkg's status of what hosts have already),
--   arch
-- @return list of { source, name, size, sha256 } without those of one's own; or nil, message, code
function M.resolve(root, request)
  local ok, message, code = prepare(root, request)
  if not ok then
    return nil, message, code
  end
  local text
  text, message, code = apt(root, request, "--print-uris", table.unpack(words_of(request)))
  return text and parse(text, request.debs), message, code
end

--- Fetch the packages of a request that was resolved, by apt, which checks them by signed lists.
-- @param root string
-- @param request table
-- @return true; or nil, message, code
function M.download(root, request)
  local out, message, code = apt(root, request, "--download-only",
    table.unpack(words_of(request)))
  return out and true, message, code
end

--- Where a package is after `download`.
-- @param root string
-- @param package table from `resolve`
-- @return string
function M.file(root, package)
  return local_path(package.source) or root .. "/archives/" .. package.name
end

return M
