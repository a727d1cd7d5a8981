--- Proving to each other who one is: the server's host key, then the user.
local identity = require "kb.transport.identity"
local known_hosts = require "kb.transport.known_hosts"
local methods = require "kb.transport.methods"
local secret = require "kb.secret"

local M = {}

local DEFAULT_FILES = { "~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts" }

-- The host key methods of libssh2 that it can really verify, best first. In
-- several versions it knows host certificates by name only.
local HOST_KEY_METHODS = {
  "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
  "rsa-sha2-512", "rsa-sha2-256", "ssh-rsa",
}

-- Host keys

local function store_of(target)
  local paths = {}
  for i, path in ipairs(target.known_hosts or DEFAULT_FILES) do
    paths[i] = identity.expand(path)
  end
  return known_hosts.load(paths)
end

local function name_of(target)
  return target.host_key_alias or target.address
end

-- The keys that the inventory pins: public key lines or fingerprints.
local function pinned_types(target)
  local types = {}
  for _, line in ipairs(target.host_key or {}) do
    types[#types + 1] = line:match "^%s*([%w@.%-]+)%s"
  end
  return types
end

--- The host key methods to ask for, the types that are known for the host first.
-- @param target table
-- @return string: comma list
function M.host_key_methods(target)
  local types = target.host_key and pinned_types(target)
    or store_of(target):types(name_of(target), target.port)
  local wanted, list = {}, {}
  for _, kind in ipairs(types) do
    wanted[kind] = true
  end
  local function collect(known)
    for _, method in ipairs(HOST_KEY_METHODS) do
      local kind = method:find "^rsa" and "ssh-rsa" or method
      if (wanted[kind] or false) == known then
        list[#list + 1] = method
      end
    end
  end
  collect(true)
  collect(false)
  return methods.among("host_key", list)
end

local function shown(blob)
  return ("%s %s"):format(known_hosts.type(blob), known_hosts.fingerprint(blob))
end

local function check_pinned(target, blob)
  local wanted = {}
  for _, line in ipairs(target.host_key) do
    local pinned = line:find "^SHA256:" and line or nil
    if not pinned then
      local key, message = known_hosts.parse_key(line)
      if not key then
        return nil, "the pinned host key " .. message, "EINVAL"
      end
      pinned = known_hosts.fingerprint(key)
    end
    if pinned == known_hosts.fingerprint(blob) then
      return true
    end
    wanted[#wanted + 1] = pinned
  end
  return nil,
    ("it shows %s, but the inventory pins %s"):format(shown(blob), table.concat(wanted, ", ")),
    "EHOSTKEY"
end

local function describe(lines)
  local texts = {}
  for i, line in ipairs(lines) do
    local where = line.number and (" (%s:%d)"):format(line.path, line.number) or ""
    texts[i] = shown(line.blob) .. where
  end
  return table.concat(texts, ", ")
end

local function accept_new(target, store, blob)
  local ok, message =
    store:add(name_of(target), target.port, blob, target.hash_known_hosts or false)
  if not ok then
    return nil, "its key cannot be written down: " .. message, "EHOSTKEY"
  end
  return true
end

-- A key of a type of which none is known: nobody can tell whether it is an old one. libssh2 cannot
-- ask every server for a key of a known type; libssh2 1.10 has SHA-1 alone for "ssh-rsa".
local function changed(target, blob, lines)
  local same_type = false
  for _, line in ipairs(lines) do
    same_type = same_type or line.type == known_hosts.type(blob)
  end
  if not same_type then
    return ("it shows %s, but known are keys of other types alone: %s; compare the fingerprint on "
      .. "the machine itself and add the key, or use the ssh program (transport = openssh)")
      :format(shown(blob), describe(lines))
  end
  return ("the key has CHANGED: it shows %s, but known is %s; if the machine was set up anew, "
    .. "remove the old key (ssh-keygen -R '%s'), else somebody is in between")
    :format(shown(blob), describe(lines), known_hosts.name(name_of(target), target.port))
end

local function unknown(blob, store)
  local text = ("its key is unknown: %s; compare the fingerprint on the machine itself, then add "
    .. "the key to %s, pin it in the inventory (host_key), or allow host_key_policy = accept-new")
    :format(shown(blob), store.paths[1])
  return #store.warnings == 0 and text or text .. "; " .. table.concat(store.warnings, "; ")
end

--- Whether a server's host key is the one that it must have.
-- @param target table: host_key, host_key_policy, known_hosts, host_key_alias
-- @param blob string: the key that the server has shown
-- @return true; or nil, message, "EHOSTKEY"
function M.check_host_key(target, blob)
  if target.host_key and #target.host_key > 0 then
    return check_pinned(target, blob)
  end
  local store = store_of(target)
  local verdict, lines = store:check(name_of(target), target.port, blob)
  if verdict == "match" then
    return true
  elseif verdict == "revoked" then
    return nil, ("its key is revoked: %s"):format(describe(lines)), "EHOSTKEY"
  elseif verdict == "changed" then
    return nil, changed(target, blob, lines), "EHOSTKEY"
  elseif store.unreadable then -- the key that is known may be there
    return nil, ("its key cannot be looked up: %s"):format(store.unreadable), "EHOSTKEY"
  elseif target.host_key_policy == "accept-new" then
    return accept_new(target, store, blob)
  end
  return nil, unknown(blob, store), "EHOSTKEY"
end

-- The user

local Attempt = {}
Attempt.__index = Attempt

function Attempt:note(format, ...)
  self.tried[#self.tried + 1] = format:format(...)
end

-- Each way returns true, false when the server refuses, or nil, message, code.
local function verdict(ok, message, code)
  if ok then
    return ok
  elseif code == "EREFUSED" then
    return false
  end
  return nil, message, code
end

function Attempt:offer(one)
  local session, user = self.session, self.target.user
  local blob, algorithm = one.blob, identity.algorithm(one)
  local name = algorithm ~= known_hosts.type(blob) and algorithm or nil
  local data, message, code = verdict(session:auth_key(user, blob, nil, name))
  if type(data) ~= "string" then
    self:note("key %s %s was refused", one.name, known_hosts.fingerprint(one.blob))
    return data, message, code
  end
  local signature, why = identity.sign(one, data, algorithm)
  if not signature then
    self:note("key %s cannot sign: %s", one.name, why)
    -- libssh2 waits for the signature; an empty one brings it to an end.
    return verdict(session:auth_key(user, blob, "", name))
  end
  local ok
  ok, message, code = verdict(session:auth_key(user, blob, signature, name))
  if ok == false then
    self:note("key %s: the signature was not enough", one.name)
  end
  return ok, message, code
end

function Attempt:keys()
  local list, notes = identity.list(self.target)
  for _, one in ipairs(list) do
    local ok, message, code = self:offer(one)
    if ok ~= false then
      return ok, message, code
    end
  end
  for _, note in ipairs(notes) do
    self:note("%s", note)
  end
  if #list == 0 and #notes == 0 then
    self:note("there is no key to offer")
  end
  return false
end

local function password_of(target)
  local password = target.password
  if type(password) == "function" then
    password = password(target)
  end
  return secret.reveal(password)
end

function Attempt:by_password(password)
  local ok, message, code = self.session:auth_password(self.target.user, password)
  if not ok and code == "EREFUSED" then
    self:note("the password was refused%s", message:find "[Ee]xpired" and ": it has expired" or "")
  end
  return verdict(ok, message, code)
end

-- The password goes to the first question that is asked without echo, and only
-- once: a question that comes again says that it was wrong.
function Attempt:by_dialogue(password)
  local given, strange = false, nil
  local ok, message, code = self.session:auth_interactive(self.target.user, function(prompts)
    local answers = {}
    for i, prompt in ipairs(prompts) do
      answers[i] = ""
      if not prompt.echo and not given then
        answers[i], given = password, true
      else
        strange = prompt.text
      end
    end
    return answers
  end)
  if not ok and code == "EREFUSED" then
    self:note("the password was refused%s", strange and (" (asked: %q)"):format(strange) or "")
  end
  return verdict(ok, message, code)
end

function Attempt:passwords(offered)
  local password = password_of(self.target)
  if not password then
    self:note("there is no password to give")
    return false
  end
  if offered.password then
    return self:by_password(password)
  end
  return self:by_dialogue(password)
end

local function set_of(list)
  local set = {}
  for name in list:gmatch "[^,]+" do
    set[name] = true
  end
  return set
end

function Attempt:run(offers)
  local offered = set_of(offers)
  if offered.publickey then
    local ok, message, code = self:keys()
    if ok ~= false then
      return ok, message, code
    end
    if not (offered.password or offered["keyboard-interactive"]) and self.target.password then
      -- A server that wants a key and then a password tells so only now.
      offers, message, code = self.session:auth_methods(self.target.user)
      if offers == true or not offers then
        return offers, message, code
      end
      offered = set_of(offers)
    end
  end
  if offered.password or offered["keyboard-interactive"] then
    return self:passwords(offered)
  end
  return false
end

--- Log in: by key, then by password.
-- @param session session: after its handshake
-- @param target table: user, keys, agent, passphrase, password, ...
-- @return true; or nil, message, code: "EAUTH" when the server refuses all
function M.authenticate(session, target)
  local self = setmetatable({ session = session, target = target, tried = {} }, Attempt)
  local offers, message, code = session:auth_methods(target.user)
  if offers == true then
    return true
  elseif not offers then
    return nil, message, code
  end
  local ok
  ok, message, code = self:run(offers)
  if ok then
    return true
  elseif ok == nil and (code ~= "ECLOSED" or #self.tried == 0) then
    return nil, message, code
  end
  local tried = table.concat(self.tried, "; ")
  return nil,
    ("%suser %s is not let in (the server offers %s): %s"):format(
      message and message .. "; " or "", target.user, offers, tried), "EAUTH"
end

return M
