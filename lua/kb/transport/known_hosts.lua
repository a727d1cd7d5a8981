--- Which host keys are known, from OpenSSH's known_hosts files.
-- A file is read once per run. A line that cannot be understood is remembered as
-- a warning and does not spoil the others.
local crypto = require "kb.core.crypto"
local sys = require "kb.core.sys"

local M = {}

local Store = {}
Store.__index = Store

--- The name under which a host's key is kept: [host]:port unless the port is 22.
-- @param host string
-- @param port integer
-- @return string
function M.name(host, port)
  host = host:lower()
  return port == 22 and host or ("[%s]:%d"):format(host, port)
end

--- What people compare: the SHA-256 fingerprint of a public key in wire form.
-- @param blob string
-- @return string: "SHA256:..."
function M.fingerprint(blob)
  return "SHA256:" .. crypto.base64_encode(crypto.digest("sha256", blob, true)):gsub("=+$", "")
end

--- The type that a public key in wire form names first.
-- @param blob string
-- @return string: "ssh-ed25519"; or nil when it is none
function M.type(blob)
  local ok, name = pcall(string.unpack, ">s4", blob)
  return ok and name or nil
end

--- A public key line ("ssh-ed25519 AAAA... comment") in wire form.
-- @param line string
-- @return string; or nil, message
function M.parse_key(line)
  local kind, text = line:match "^%s*([%w@.%-]+)%s+([%w+/=]+)"
  local blob = text and crypto.base64_decode(text)
  if not blob or M.type(blob) ~= kind then
    return nil, ("%q is no public key"):format(line)
  end
  return blob
end

-- Patterns

local function glob_matches(pattern, name)
  pattern = pattern:lower():gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".")
  return name:find("^" .. pattern .. "$") ~= nil
end

local function hash_matches(pattern, name)
  local salt, hash = pattern:match "^|1|([^|]+)|(.+)$"
  salt = salt and crypto.base64_decode(salt)
  return salt ~= nil and crypto.base64_encode(crypto.hmac("sha1", salt, name, true)) == hash
end

-- A line speaks of a name when one of its patterns matches and no negated one.
local function speaks_of(line, name)
  local found = false
  for _, pattern in ipairs(line.patterns) do
    if pattern:sub(1, 1) == "!" then
      if glob_matches(pattern:sub(2), name) then
        return false
      end
    elseif pattern:sub(1, 1) == "|" then
      found = found or hash_matches(pattern, name)
    else
      found = found or glob_matches(pattern, name)
    end
  end
  return found
end

-- Reading

local markers = { ["@revoked"] = "revoked", ["@cert-authority"] = "authority" }

local function parse_line(text)
  local line = { marker = "key", patterns = {} }
  local marker, rest = text:match "^(@%S+)%s+(.*)$"
  if marker then
    line.marker = markers[marker]
    text = rest
  end
  local names, key = text:match "^(%S+)%s+(.+)$"
  line.blob = key and M.parse_key(key)
  if not line.marker or not line.blob then
    return nil
  end
  for pattern in names:gmatch "[^,]+" do
    line.patterns[#line.patterns + 1] = pattern
  end
  line.type = M.type(line.blob)
  return line
end

-- Lines of plain names are found by name; only the others are tried in turn.
local function add(store, line)
  for _, pattern in ipairs(line.patterns) do
    if pattern:find "^[!|]" or pattern:find "[*?]" then
      store.others[#store.others + 1] = line
      return
    end
  end
  for _, name in ipairs(line.patterns) do
    name = name:lower()
    store.by_name[name] = store.by_name[name] or {}
    table.insert(store.by_name[name], line)
  end
end

local ABSENT = { ENOENT = true, ENOTDIR = true }

local function read(store, path)
  local n = 0
  local all, message, code = sys.read_file(path)
  if not all and not ABSENT[code] then
    store.unreadable = store.unreadable or message
  end
  for text in ((all or "") .. "\n"):gmatch "([^\n]*)\n" do
    n = n + 1
    text = text:match "^%s*(.-)%s*$"
    if text ~= "" and text:sub(1, 1) ~= "#" then
      local line = parse_line(text)
      if line then
        line.path, line.number = path, n
        add(store, line)
      else
        store.warnings[#store.warnings + 1] = ("%s:%d: not a known host's line"):format(path, n)
      end
    end
  end
end

local stores = {}

--- The keys in some files; a file that does not exist holds none.
-- @param paths list of strings
-- @return store: check, types, add; its field warnings lists lines not understood, and unreadable
-- says why one that exists cannot be read
function M.load(paths)
  local key = table.concat(paths, "\0")
  local store = stores[key]
  if not store then
    store = setmetatable({ by_name = {}, others = {}, warnings = {}, paths = paths }, Store)
    for _, path in ipairs(paths) do
      read(store, path)
    end
    stores[key] = store
  end
  return store
end

--- Forget what was read, so that files are read again.
function M.forget()
  stores = {}
end

-- Asking

local function lines_of(store, name)
  local found = {}
  table.move(store.by_name[name] or {}, 1, #(store.by_name[name] or {}), 1, found)
  for _, line in ipairs(store.others) do
    if speaks_of(line, name) then
      found[#found + 1] = line
    end
  end
  return found
end

local function judge(lines, blob)
  local verdict, known = "unknown", {}
  for _, line in ipairs(lines) do
    if line.marker == "revoked" and line.blob == blob then
      return "revoked", { line }
    elseif line.marker == "key" then
      known[#known + 1] = line
      verdict = (line.blob == blob or verdict == "match") and "match" or "changed"
    end
  end
  return verdict, known
end

--- What is known of a host's key. Another key is "changed" also when it is of a
-- type of which none was known: a server prefers what we ask for, and we ask for
-- the known types first.
-- @param host string: as it is connected to
-- @param port integer
-- @param blob string: the key in wire form
-- @return "match", "unknown", "changed" or "revoked", and the list of the lines
-- that say so (path, number, type, blob)
function Store:check(host, port, blob)
  local verdict, lines = judge(lines_of(self, M.name(host, port)), blob)
  if verdict == "unknown" and port ~= 22 then
    -- As OpenSSH does: a key that is known for the host is good at any port.
    local plain, plain_lines = judge(lines_of(self, M.name(host, 22)), blob)
    if plain == "match" or plain == "revoked" then
      return plain, plain_lines
    end
  end
  return verdict, lines
end

--- The types of key that are known for a host.
-- @param host string
-- @param port integer
-- @return list of strings
function Store:types(host, port)
  local types, seen = {}, {}
  local function collect(name)
    for _, line in ipairs(lines_of(self, name)) do
      if line.marker == "key" and not seen[line.type] then
        seen[line.type] = true
        types[#types + 1] = line.type
      end
    end
  end
  collect(M.name(host, port))
  if #types == 0 and port ~= 22 then
    collect(M.name(host, 22))
  end
  return types
end

local function hashed(name)
  local salt = crypto.random(20)
  local hash = crypto.hmac("sha1", salt, name, true)
  return ("|1|%s|%s"):format(crypto.base64_encode(salt), crypto.base64_encode(hash))
end

--- Write a host's key to the first of the files; nothing in it is rewritten.
-- @param host string
-- @param port integer
-- @param blob string
-- @param hash boolean: so that the file does not tell the name
-- @return true; or nil, message, code
function Store:add(host, port, blob, hash)
  local path = self.paths[1]
  local name = M.name(host, port)
  local shown = hash and hashed(name) or name
  local text = ("%s %s %s"):format(shown, M.type(blob), crypto.base64_encode(blob))
  local before = sys.read_file(path)
  if not before then
    sys.mkdir(path:match "^(.*)/" or ".", tonumber("700", 8))
  elseif before ~= "" and before:sub(-1) ~= "\n" then
    text = "\n" .. text
  end
  local ok, message, code = sys.append_line(path, text)
  if not ok then
    return nil, message, code
  end
  add(self, { marker = "key", patterns = { name }, type = M.type(blob), blob = blob, path = path })
  return true
end

return M
