--- What a bundle is to hold, as people declare it.
--
--     arch: amd64                       # of packages and images; absent: amd64
--     protocols: [https]                # what URLs may begin with; http and file must be asked for
--     ca: ca.pem                        # certificates to trust instead of the system's
--     files:
--     - url: https://example.org/etcd-3.5.9.tgz    # or urls: several mirrors, tried in turn
--       name: etcd                      # absent: the file's name
--       version: 3.5.9                  # a new version is a new item
--       file: etcd.tgz                  # its name on hosts; absent: the last part of the URL
--       sha256: 0a1b...                 # absent: pinned when it is first fetched
--     - path: site.conf                 # a file of this machine
--     images:
--     - archive: images/*.tar           # of `docker save`, or OCI layouts
--     - name: registry.k8s.io/pause:3.9
--       from: [mirror.example.org/pause:3.9]       # where it is had; absent: the name itself
--       insecure: true                  # a registry without TLS, or with a certificate of its own
--     packages:
--       names: [docker.io, haproxy]     # with all that they depend on
--       debs: debs/*.deb                # packages of your own; what they depend on comes too
--       sources: ["deb https://example.org/debian bookworm main"]  # absent: this machine's
--       installed: base/status          # dpkg's list of what hosts have already; absent: nothing
--
-- Paths are relative to the declaration.
local data = require "kb.data"
local sys = require "kb.core.sys"
local yaml = require "kb.yaml"

local M = {}

local texts = { name = true, version = true, arch = true, file = true, sha256 = true, path = true,
  url = true, archive = true, installed = true, ca = true }
local lists = { urls = true, from = true, names = true, debs = true, sources = true,
  protocols = true }
local flags = { insecure = true }
local known = {
  top = { "arch", "protocols", "ca", "files", "images", "packages" },
  files = { "name", "version", "arch", "file", "sha256", "url", "urls", "path" },
  images = { "archive", "name", "from", "insecure" },
  packages = { "names", "debs", "sources", "installed" },
}

-- Raised as a table, so that a fault deep inside needs no handing up.
local function fault(context, collection, key, text, ...)
  local _, line = yaml.position(collection, key)
  error({ fault = ("%s%s: %s%s"):format(context.name, line and ":" .. line or "",
    key and key .. ": " or "", text:format(...)) }, 0)
end

local function set_of(list)
  local set = {}
  for _, name in ipairs(list) do
    set[name] = true
  end
  return set
end

-- An empty table may be either.
local function is_list(value)
  return data.kind(value) == "list" or type(value) == "table" and next(value) == nil
end

local function to_list(context, map, key)
  local value = map[key]
  if type(value) == "string" then
    return { value }
  elseif not is_list(value) then
    fault(context, map, key, "a text or a list of texts was expected")
  end
  for i, item in ipairs(value) do
    if type(item) ~= "string" then
      fault(context, map, key, "entry %d is not a text", i)
    end
  end
  return table.move(value, 1, #value, 1, {})
end

-- A version that YAML takes for a number is what was written: 1.10, not 1.1.
local function to_text(context, map, key)
  local value = map[key]
  if type(value) == "number" then
    return yaml.original(map, key) or tostring(value)
  end
  return type(value) == "string" and value or fault(context, map, key, "a text was expected")
end

-- A map of which all keys are known, each of its type.
local function clean(context, map, section)
  local allowed, out = set_of(known[section]), {}
  if data.kind(map) ~= "map" then
    fault(context, map, nil, "%s: a map was expected", section)
  end
  for key, value in data.pairs(map) do
    if not allowed[key] then
      fault(context, map, key, "not known here; known are %s", table.concat(known[section], ", "))
    elseif texts[key] then
      out[key] = to_text(context, map, key)
    elseif lists[key] then
      out[key] = to_list(context, map, key)
    elseif flags[key] and type(value) ~= "boolean" then
      fault(context, map, key, "true or false was expected")
    else
      out[key] = value
    end
  end
  return out
end

local function absolute(context, path)
  return path:find("^/") and path or context.dir .. "/" .. path
end

local function expand(context, map, key, patterns)
  local paths = {}
  for _, pattern in ipairs(patterns) do
    local found = sys.glob(absolute(context, pattern))
    if #found == 0 then
      fault(context, map, key, "no file is called %s", pattern)
    end
    table.move(found, 1, #found, #paths + 1, paths)
  end
  return paths
end

local function check_url(context, map, url, item)
  local protocol = url:match("^(%l+)://[^%s]+$")
  if not protocol then
    fault(context, map, nil, "%q is not a URL", url)
  elseif not context.protocols[protocol] then
    fault(context, map, nil, "%s is refused: say protocols: [https, %s] to allow it", url, protocol)
  elseif protocol == "http" and not item.sha256 then
    fault(context, map, nil, "%s may be changed on its way: give its sha256, or use https", url)
  elseif url:match("^%l+://([^/]*)"):find("@", 1, true) then
    fault(context, map, nil, "a URL is no place for a password: ~/.netrc is")
  end
end

local function file_of(context, map)
  local item = clean(context, map, "files")
  local urls = item.urls or { item.url }
  if (#urls > 0) == (item.path ~= nil) then
    fault(context, map, nil, "a file has either url (or urls) or path")
  elseif item.sha256 and not item.sha256:find("^" .. ("%x"):rep(64) .. "$") then
    fault(context, map, "sha256", "64 hexadecimal digits were expected")
  end
  for _, url in ipairs(urls) do
    check_url(context, map, url, item)
  end
  local last = (item.path or urls[1]):gsub("[?#].*$", ""):match("([^/]+)$")
  item.file = item.file or last
  item.name = item.name or item.file
  if not item.file or item.file:find("/", 1, true) or item.file:find("^%.") then
    fault(context, map, "file", "a plain name was expected, without directories")
  elseif item.file == "Packages" then
    fault(context, map, "file", "that is the name of apt's index, which is made")
  end
  return { kind = "file", name = item.name, version = item.version, arch = item.arch,
    file = item.file, sha256 = item.sha256 and item.sha256:lower(), urls = urls,
    path = item.path and absolute(context, item.path) }
end

local function images_of(context, map)
  local item = clean(context, map, "images")
  if (item.archive ~= nil) == (item.name ~= nil) then
    fault(context, map, nil, "an image has either name or archive")
  elseif item.archive then
    return expand(context, map, "archive", { item.archive }), nil
  end
  local from = item.from and #item.from > 0 and item.from or { item.name }
  return {}, { name = item.name, from = from, insecure = item.insecure }
end

local function packages_of(context, map)
  local item = clean(context, map, "packages")
  local debs = item.debs and expand(context, map, "debs", item.debs) or {}
  local installed = item.installed and absolute(context, item.installed)
  if installed and not sys.stat(installed) then
    fault(context, map, "installed", "there is no file %s", installed)
  end
  return { names = item.names or {}, debs = debs, sources = item.sources, installed = installed }
end

local function each(context, top, section, fn)
  local list = top[section]
  if list ~= nil and not is_list(list) then
    fault(context, top, section, "a list was expected")
  end
  for _, map in ipairs(list or {}) do
    fn(map)
  end
end

-- Two that would be one item.
local function unique(context, seen, map, kind, name)
  if seen[kind .. name] then
    fault(context, map, nil, "%s %s is declared twice", kind, name)
  end
  seen[kind .. name] = true
end

local function read(context, map)
  local top, seen = clean(context, map, "top"), {}
  local wanted = { arch = top.arch or "amd64", ca = top.ca and absolute(context, top.ca),
    files = {}, archives = {}, images = {}, packages = packages_of(context, top.packages or {}) }
  context.protocols = set_of(top.protocols or { "https" })
  wanted.protocols = table.concat(top.protocols or { "https" }, ",")
  wanted.redirect_protocols = context.protocols.http and "http,https" or "https"
  each(context, top, "files", function(file)
    local item = file_of(context, file)
    unique(context, seen, file, "file", item.file)
    wanted.files[#wanted.files + 1] = item
  end)
  each(context, top, "images", function(image)
    local archives, item = images_of(context, image)
    table.move(archives, 1, #archives, #wanted.archives + 1, wanted.archives)
    if item then
      unique(context, seen, image, "image", item.name)
      wanted.images[#wanted.images + 1] = item
    end
  end)
  return wanted
end

local function from_lua(path)
  local chunk, message = loadfile(path, "t", {})
  if not chunk then
    return nil, message, "EINVAL"
  end
  local ok, value = pcall(chunk)
  if not ok or type(value) ~= "table" then
    return nil, ("%s: %s"):format(path, ok and "it returns no table" or tostring(value)), "EINVAL"
  end
  return value
end

--- Check a declaration.
-- @param map table: as above
-- @param name string: what errors call it
-- @param dir string: what its paths are relative to
-- @return table: arch, ca, protocols, redirect_protocols, files (list of {name, version, arch,
--   file, urls or path, sha256}), archives (list of paths), images (list of {name, from,
--   insecure}), packages ({names, debs, sources, installed}); or nil, message, "EINVAL"
function M.check(map, name, dir)
  local ok, result = pcall(read, { name = name, dir = dir }, map)
  if ok then
    return result
  elseif type(result) == "table" and result.fault then
    return nil, result.fault, "EINVAL"
  end
  error(result, 0)
end

--- Read a declaration.
-- @param path string: a YAML file, or a Lua file that returns a table
-- @return as `check`
function M.load(path)
  local map, message, code
  if path:find("%.lua$") then
    map, message, code = from_lua(path)
  else
    map, message, code = yaml.load_file(path)
  end
  if map == nil then
    return nil, message, code
  end
  return M.check(map, path, path:match("^(.*)/[^/]*$") or ".")
end

return M
