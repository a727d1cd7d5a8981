--- The keys to offer to a server, from files and from an agent, in OpenSSH's order.
-- A file is read, and decrypted, once per run.
local agent = require "kb.transport.agent"
local key = require "kb.core.key"
local known_hosts = require "kb.transport.known_hosts"
local secret = require "kb.secret"
local sys = require "kb.core.sys"

local M = {}

local DEFAULTS = { "~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa" }

-- OpenSSH's server hangs up after MaxAuthTries, 6 by default.
local MOST = 5

local loaded = {} -- path -> { key =, why = }

--- A path with ~ for the home directory.
-- @param path string
-- @return string
function M.expand(path)
  return (path:gsub("^~/", sys.self().home .. "/"))
end

local function passphrase_of(target, path)
  local given = target.passphrase
  if type(given) == "function" then
    given = given(path)
  end
  return secret.reveal(given)
end

local function load(path, target)
  local entry = loaded[path]
  if entry and (entry.key or entry.passphrase == target.passphrase) then
    return entry
  end
  entry = { passphrase = target.passphrase }
  loaded[path] = entry
  local text, message = sys.read_file(path)
  if not text then
    entry.why = message
    return entry
  end
  local code
  entry.key, message, code = key.parse(text)
  if not entry.key and code == "EREFUSED" and target.passphrase then
    entry.key, message = key.parse(text, passphrase_of(target, path))
  end
  if entry.key then
    entry.blob, message = entry.key:public()
  end
  entry.why = not entry.blob and ("%s: %s"):format(path, message) or nil
  return entry
end

--- Forget the keys that were read.
function M.forget()
  loaded = {}
end

-- The public half that lies beside a private key, for a key that an agent holds.
local function public_of(path)
  local text = sys.read_file(path .. ".pub")
  return text and known_hosts.parse_key(text)
end

local function agent_path(target)
  if target.agent == nil then
    return sys.getenv "SSH_AUTH_SOCK"
  end
  return target.agent or nil
end

local function agent_keys(target, notes)
  local path = agent_path(target)
  if not path then
    return {}
  end
  local keys, message = agent.keys(path)
  if not keys then
    notes[#notes + 1] = message
    return {}
  end
  for _, k in ipairs(keys) do
    k.agent = path
    k.name = ("%s (agent)"):format(k.comment ~= "" and k.comment or "a key")
  end
  return keys
end

local function existing_defaults()
  local paths = {}
  for _, path in ipairs(DEFAULTS) do
    if sys.stat(M.expand(path)) then
      paths[#paths + 1] = path
    end
  end
  return paths
end

local function from_file(path, target, notes)
  local entry = load(path, target)
  if entry.why then
    notes[#notes + 1] = entry.why
    return nil
  end
  return { blob = entry.blob, key = entry.key, name = path }
end

--- The identities to offer, best first: those of the target's key files (by way
-- of the agent where it holds them), then the agent's others.
-- @param target table: keys, identities_only, agent, passphrase
-- @return list of identities (name, blob), and a list of notes on keys that
-- cannot be used
function M.list(target)
  local list, notes, offered = {}, {}, {}
  local held = {}
  local from_agent = agent_keys(target, notes)
  for _, k in ipairs(from_agent) do
    held[k.blob] = k
  end
  local function offer(identity)
    if identity and not offered[identity.blob] and #list < MOST then
      offered[identity.blob] = true
      list[#list + 1] = identity
    end
  end
  local function offer_files(paths)
    for _, path in ipairs(paths) do
      path = M.expand(path)
      local public = public_of(path)
      offer(public and held[public] or from_file(path, target, notes))
    end
  end
  if target.keys then
    offer_files(target.keys)
  end
  if not target.identities_only then
    for _, k in ipairs(from_agent) do
      offer(k)
    end
  end
  if not target.keys then
    offer_files(existing_defaults())
  end
  return list, notes
end

--- The algorithm by which an identity signs: RSA keys do it with SHA-2.
-- @param identity table
-- @return string
function M.algorithm(identity)
  local kind = known_hosts.type(identity.blob)
  return kind == "ssh-rsa" and "rsa-sha2-256" or kind
end

--- Sign with an identity.
-- @param identity table
-- @param data string
-- @param algorithm string: of M.algorithm
-- @return string: the signature; or nil, message, code
function M.sign(identity, data, algorithm)
  if identity.key then
    return identity.key:sign(data, algorithm)
  end
  return agent.sign(identity.agent, identity.blob, data, algorithm)
end

return M
