--- A linter of certificates: files, directories and stores against the rules of kb.pki.rules.
local core = require "kb.core.pki"
local files = require "kb.pki.files"
local kubeconfig = require "kb.pki.kubeconfig"
local rules = require "kb.pki.rules"
local sys = require "kb.core.sys"

local M = {}

local function is_certificate(path)
  return path:find("%.crt$") or path:find("%.pem$") or path:find("%.cer$") or path:find("%.der$")
    or path:find("%.conf$") or path:find("%.cert$")
end

-- The paths to look at: a directory stands for all in it that looks like a certificate.
local function expand(paths)
  local list = {}
  for _, path in ipairs(paths) do
    local stat, message, code = sys.stat(path)
    if not stat then
      return nil, message, code
    end
    if stat.kind == "directory" then
      local names
      names, message, code = files.list(path)
      if not names then
        return nil, message, code
      end
      for _, name in ipairs(names) do
        list[#list + 1] = is_certificate(name) and path .. "/" .. name or nil
      end
    else
      list[#list + 1] = path
    end
  end
  return list
end

-- A bare PEM of a key is no certificate; a directory may hold such, and they are passed over.
local function holds_only_keys(text)
  return text:find("%-%-%-%-%-BEGIN [%u ]*KEY%-%-%-%-%-")
    and not text:find("-----BEGIN CERTIFICATE-----", 1, true)
end

local function inside(text)
  if text:find("\nkind: Config", 1, true) or text:find("^kind: Config") then
    local parts = kubeconfig.embedded(text)
    return parts.certificate, parts.key
  end
  return text
end

local function load_one(path, found)
  local text, message, code = sys.read_file(path)
  if not text then
    return nil, message, code
  end
  if holds_only_keys(text) then
    return true
  end
  local pem, key = inside(text)
  if not pem then
    return true -- a kubeconfig that names files or tokens
  end
  local list
  list, message, code = core.certificates(pem)
  if not list then
    return nil, path .. ": " .. message, code
  end
  for i, certificate in ipairs(list) do
    found[#found + 1] = { path = path, place = i, certificate = certificate,
      fields = certificate:fields(), key_text = i == 1 and key or nil }
  end
  return true
end

--- Read the certificates of files and directories.
-- @param paths list of strings
-- @return list of {path, place (1 for the first in its file), certificate, fields, key_text (of a
--   kubeconfig)}; or nil, message, code
function M.load(paths)
  local list, message, code = expand(paths)
  if not list then
    return nil, message, code
  end
  local found = {}
  for _, path in ipairs(list) do
    local ok
    ok, message, code = load_one(path, found)
    if not ok then
      return nil, message, code
    end
  end
  return found
end

--- A name in one line: "CN=m0, O=etcd".
-- @param name list of {field, text}
-- @return string
function M.name(name)
  local parts = {}
  for i, entry in ipairs(name) do
    parts[i] = entry[1] .. "=" .. entry[2]
  end
  return table.concat(parts, ", ")
end

-- The issuer among the others; without one that signed, the name of one that should have.
local function issuer_of(entry, all)
  local namesake
  for _, other in ipairs(all) do
    if M.name(other.fields.subject) == M.name(entry.fields.issuer) then
      if entry.certificate:signed_by(other.certificate) then
        return other
      end
      namesake = namesake or other.path
    end
  end
  return nil, namesake
end

local function key_of(entry)
  local path = entry.path:gsub("%.%w+$", "") .. ".key"
  if entry.place > 1 or path == entry.path then
    return nil
  end
  if entry.key_text then
    return entry.key_text, entry.path
  end
  return files.read(path), path
end

local function look_at_key(entry, around)
  local text, path = key_of(entry)
  if not text then
    return
  end
  around.key_path, around.key_mode = path, sys.stat(path).mode
  local key, message = core.read_key(text)
  if not key and not text:find("ENCRYPTED", 1, true) then
    around.key_fault = ("%s: %s"):format(path, message)
  elseif key and not entry.certificate:matches(key) then
    around.key_fault = path .. " is the key of another certificate"
  end
end

--- Check certificates, each also against the others.
-- @param list list from `load`
-- @param options table or nil: now (seconds since 1970), days (30: how long they must be valid yet)
-- @return list of {path, place, subject, rule, message}
function M.check(list, options)
  options = options or {}
  local findings = {}
  for _, entry in ipairs(list) do
    local issuer, namesake = issuer_of(entry, list)
    local around = { now = options.now or os.time(), days = options.days or 30,
      issuer = issuer and issuer.fields, namesake = namesake,
      self_signed = entry.certificate:signed_by(entry.certificate) }
    look_at_key(entry, around)
    for _, rule in ipairs(rules) do
      local message = rule.check(entry.fields, around)
      if message then
        findings[#findings + 1] = { path = entry.path, place = entry.place, rule = rule.name,
          subject = M.name(entry.fields.subject), message = message }
      end
    end
  end
  return findings
end

return M
