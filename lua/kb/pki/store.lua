--- A store of certificates and keys on the operator's machine: a directory, 0700, of files, 0600.
--
-- What is asked for is compared with what is there: nothing is issued anew unless the request
-- changed or the certificate ends soon, and an authority is never replaced silently. A key is
-- written before its certificate, so that a run that is cut in between leaves a pair that does not
-- match, which the next run sees. Nothing here waits: a call is one step to other tasks.
local authority = require "kb.pki.authority"
local core = require "kb.core.pki"
local files = require "kb.pki.files"
local kubeconfig = require "kb.pki.kubeconfig"
local leaf = require "kb.pki.leaf"
local pair = require "kb.pki.pair"
local spec_of = require "kb.pki.spec"
local sys = require "kb.core.sys"

local M = {}

local DAY = 86400
local RENEW_DAYS = 30

local Store = {}
Store.__index = Store

--- Open a store; the directory is made when something is first written.
-- @param dir string
-- @param options table or nil: profiles (the content of a ca-config.json), write (boolean: false
--   to issue in memory only, for previews), renew_days (30), now (function that tells the time)
-- @return store; or nil, message, code
function M.open(dir, options)
  options = options or {}
  local stat = sys.stat(dir)
  if stat and stat.kind ~= "directory" then
    return nil, dir .. " is not a directory", "ENOTDIR"
  end
  return setmetatable({
    dir = dir,
    profiles = options.profiles,
    writes = options.write ~= false,
    renew_days = options.renew_days or RENEW_DAYS,
    now = options.now or os.time,
    items = {}, -- what this run has issued or read, by name
    pairs = {}, -- the same for pairs of keys
  }, Store)
end

--- Run a function while no other kbrun changes the store.
-- @param fn function
-- @param ... its arguments
-- @return what it returns; or nil, message, code
function Store:locked(fn, ...)
  if not self.writes or self.held then
    return fn(...)
  end
  local ok, message, code = sys.mkdir(self.dir, tonumber("700", 8))
  if not ok then
    return nil, message, code
  end
  local lock
  lock, message, code = sys.lock(self.dir .. "/.lock")
  if not lock then
    return nil, message or ("%s is in use by another kbrun; try again when it has ended")
      :format(self.dir), code or "EBUSY"
  end
  self.held = true
  local result = table.pack(pcall(fn, ...))
  self.held = nil
  sys.unlock(lock)
  if not result[1] then
    error(result[2], 0)
  end
  return table.unpack(result, 2, result.n)
end

-- Write what was put off, in that order.
local function write_pending(pending)
  for _, file in ipairs(pending) do
    local ok, message, code = files.write(file.path, file.text)
    if not ok then
      return nil, message, code
    end
  end
  return true
end

--- Run a function that issues many things: files are written when all of it went well, none
-- otherwise, and no other kbrun changes the store meanwhile.
-- @param fn function: returns something; or nil, message, code
-- @return what it returns; or nil, message, code
function Store:together(fn)
  return self:locked(function()
    local pending = {}
    local items, key_pairs = spec_of.with(self.items, {}), spec_of.with(self.pairs, {})
    self.pending = pending
    local ran, result, message, code = pcall(fn)
    self.pending = nil
    if ran and result then
      local ok
      ok, message, code = write_pending(pending)
      result = ok and result
    end
    if not ran or not result then
      self.items, self.pairs = items, key_pairs -- of what is not written nothing is remembered
    end
    if not ran then
      error(result, 0)
    end
    return result or nil, message, code
  end)
end

--- Write a file of the store, unless nothing is to be written.
-- @param path string
-- @param text string
-- @return true; or nil, message, code
function Store:write(path, text)
  if not self.writes then
    return true
  elseif self.pending then
    table.insert(self.pending, { path = path, text = text })
    return true
  end
  return files.write(path, text)
end

--- The path of a file of the store.
-- @param name string: "etcd/ca"
-- @param suffix string: ".crt", ".key", ".pub" or ".conf"
-- @return string
function Store:path(name, suffix)
  return self.dir .. "/" .. name .. suffix
end

local Item = {}
Item.__index = Item

--- The chain to send in a handshake: the certificate and those between it and its root.
-- @return string: PEM
function Item:chain()
  local parts = { self.certificate:pem() }
  for i, certificate in ipairs(self.between) do
    parts[i + 1] = certificate:pem()
  end
  return table.concat(parts)
end

--- Whole days until the certificate ends; negative after that.
-- @return integer
function Item:days_left()
  return (self.fields.not_after - self.store.now()) // DAY
end

--- Make an item of a certificate; nothing is written.
-- @param name string
-- @param certificate certificate
-- @param key key or nil
-- @param between list of certificates: those between it and its root
-- @return item
function Store:item(name, certificate, key, between)
  return setmetatable({
    store = self,
    name = name,
    certificate = certificate,
    fields = certificate:fields(),
    key = key,
    between = between,
    certificate_path = self:path(name, ".crt"),
    key_path = self:path(name, ".key"),
  }, Item)
end

--- What is there under a name.
-- @param name string
-- @return found table: item (absent without a certificate), key (also one that lies there alone);
--   or nil, message, code
function Store:load(name)
  if self.items[name] then
    return { item = self.items[name], key = self.items[name].key }
  end
  local list, message, code = files.certificates(self:path(name, ".crt"))
  if message then
    return nil, message, code
  end
  local key
  key, message, code = files.key(self:path(name, ".key"))
  if message then
    return nil, message, code
  end
  if not list then
    return { key = key }
  end
  return { item = self:item(name, list[1], key, table.move(list, 2, #list, 1, {})), key = key }
end

--- Look an item up.
-- @param name string
-- @return item: name, certificate, key (absent when the store has none), fields, between,
--   certificate_path, key_path; or nil, message, code
function Store:get(name)
  local ok, message, code = files.check_name(name)
  if not ok then
    return nil, message, code
  end
  local found
  found, message, code = self:load(name)
  if not found then
    return nil, message, code
  end
  if not found.item then
    return nil, ("there is no certificate %s in %s"):format(name, self.dir), "ENOENT"
  end
  return found.item
end

--- Write an item, key first, and remember it with its outcome.
-- @param item item
-- @param outcome string: "kept", "issued", "reissued", "imported", "renewed"
-- @param reasons list of strings
-- @return the item; or nil, message, code
function Store:keep(item, outcome, reasons)
  item.changed = outcome ~= "kept"
  item.outcome = spec_of.outcome(outcome, reasons)
  if item.changed then
    local ok, message, code = true, nil, nil
    if item.key then
      ok, message, code = self:write(item.key_path, item.key:pem())
    end
    if ok then
      ok, message, code = self:write(item.certificate_path, item:chain())
    end
    if not ok then
      return nil, message, code
    end
  end
  self.items[item.name] = item
  return item
end

--- Sign what is wanted; the certificate ends with its issuer at the latest.
-- @param wanted table from kb.pki.want
-- @param key key or request
-- @param issuer item, or nil to sign with the key itself
-- @return certificate; or nil, message, code
function Store:sign_wanted(wanted, key, issuer)
  local from = self.now() - wanted.backdate
  local to = from + wanted.seconds
  if issuer and issuer.fields.not_after < to then
    to = issuer.fields.not_after
  end
  return core.sign {
    subject = wanted.subject, names = wanted.names, usages = wanted.usages,
    extended = wanted.extended, ca = wanted.ca, path_length = wanted.path_length,
    key = key, issuer = issuer and issuer.certificate, issuer_key = issuer and issuer.key,
    not_before = from, not_after = to,
  }
end

--- The certificates to send besides one of this issuer: those that are no root.
-- @param issuer item or nil
-- @return list of certificates
function Store:between(issuer)
  if not issuer or issuer.certificate:signed_by(issuer.certificate) then
    return {}
  end
  return table.move(issuer.between, 1, #issuer.between, 2, { issuer.certificate })
end

--- Issue a certificate in memory.
-- @param name string
-- @param wanted table from kb.pki.want
-- @param issuer item or nil
-- @param key key or nil: one is made
-- @return item; or nil, message, code
function Store:issue(name, wanted, issuer, key)
  local message, code
  if not key then
    key, message, code = core.generate(wanted.key_type)
    if not key then
      return spec_of.refuse(name, message, code)
    end
  end
  local certificate
  certificate, message, code = self:sign_wanted(wanted, key, issuer)
  if not certificate then
    return spec_of.refuse(name, message, code)
  end
  return self:item(name, certificate, key, self:between(issuer))
end

local function issuer_fault(item, now)
  if not (item.fields.basic_constraints or {}).ca then
    return "is not an authority"
  elseif not item.key then
    return ("has no key here (%s is absent): sign where the key is, or import it")
      :format(item.key_path)
  elseif not item.certificate:matches(item.key) then
    return ("has the key of another certificate in %s"):format(item.key_path)
  elseif item.fields.not_after <= now then
    return "has ended on " .. os.date("!%Y-%m-%d", item.fields.not_after)
  end
end

--- The authority that is to sign: it must be there, with its key, and not have ended.
-- @param name string
-- @return item; or nil, message, code
function Store:issuer(name)
  if name == nil then
    return nil, "it needs an issuer: the name of an authority", "EINVAL"
  end
  local item, message, code = self:get(name)
  if not item then
    return nil, "its issuer: " .. message, code
  end
  local fault = issuer_fault(item, self.now())
  if fault then
    return nil, ("its issuer %s %s"):format(name, fault), "EINVAL"
  end
  return item
end

--- A certificate with its key: issued when it is not there, reissued when the request changed or
-- it ends soon, kept otherwise.
-- @param spec table: name, issuer (an authority's name), profile (name or table; "default"),
--   subject (the CN, or a table), hosts (list), key ("ecdsa-p256"), expiry (instead of the
--   profile's), renew_days (30, or a third of a shorter life), keep_key (boolean: reissue for the
--   same key), read_by ("kubeadm": only keys it can read; "kubeadm-rsa": where that is RSA alone)
-- @return item with outcome ("kept", "issued: new", "reissued: SAN m2 added") and changed
--   (boolean); or nil, message, code
function Store:leaf(spec)
  return self:locked(leaf.ensure, self, spec)
end

--- Sign the request of somebody who keeps the key. Its names are not taken over: what the
-- certificate says is what the declaration asks for.
-- @param spec table: as for leaf, with request (PEM) instead of key
-- @return item without a key, with outcome and changed; or nil, message, code
function Store:sign(spec)
  return self:locked(leaf.sign, self, spec)
end

--- An authority: made or imported when it is not there, kept otherwise. When what is there is not
-- what is asked for, or ends soon, that is an error that says what to do: an authority is never
-- replaced silently.
-- @param spec table: name, subject (the CN, or a table), key ("ecdsa-p256"), expiry ("87600h"),
--   path_length, issuer (an authority's name, for one that is not a root), renew_days, read_by,
--   usages, import ({certificate = path, key = path or nil, passphrase, roots = path of the roots
--   that a certificate which does not sign itself leads to}), renew (boolean: issue it anew for
--   the same key and subject now, so that what it signed stays valid)
-- @return item with outcome and changed; or nil, message, code
function Store:ca(spec)
  return self:locked(authority.ensure, self, spec)
end

--- A pair of keys without a certificate, such as the one that signs service accounts' tokens:
-- NAME.key and NAME.pub. A pair that is there is kept; another type is refused, since tokens that
-- the old key signed would be void.
-- @param spec table: name, key ("ecdsa-p256"), read_by
-- @return table: name, key, key_path, public_path, outcome, changed; or nil, message, code
function Store:key_pair(spec)
  return self:locked(pair.ensure, self, spec)
end

--- A kubeconfig with a client certificate of its own, in NAME.conf: written when it is not there,
-- anew when the request, the server or the authority changed or the certificate ends soon.
-- @param spec table: name, cluster, server, user, issuer, and subject (the user's name if absent),
--   profile ("client"), expiry, key, renew_days, read_by as for leaf
-- @return table: name, path, text (it holds a private key), outcome, changed; or nil, message, code
function Store:kubeconfig(spec)
  return self:locked(kubeconfig.ensure, self, spec)
end

return M
