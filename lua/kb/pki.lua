--- Certificates: a store of them, declarations, and checks (X.509, for TLS inside a cluster).
local core = require "kb.core.pki"
local data = require "kb.data"
local kubeadm = require "kb.pki.kubeadm"
local spec_of = require "kb.pki.spec"
local store = require "kb.pki.store"

local M = {}

--- Open a store of certificates and keys; see kb.pki.store.
M.store = store.open

--- Declare the certificates of a Kubernetes cluster; see kb.pki.kubeadm.
M.kubeadm = kubeadm

--- The SHA-256 of the public key of an authority, as `kubeadm join --discovery-token-ca-cert-hash`
-- wants it.
-- @param pem string: the certificate
-- @return string "sha256:..."; or nil, message, code
function M.ca_hash(pem)
  local list, message, code = core.certificates(pem)
  if not list then
    return nil, message, code
  end
  return "sha256:" .. list[1]:hash()
end

-- The parts of a declaration in the order in which they need each other.
local parts = { { "authorities", "ca" }, { "key_pairs", "key_pair" }, { "certificates", "leaf" },
  { "kubeconfigs", "kubeconfig" } }

local known = { authorities = true, key_pairs = true, certificates = true, kubeconfigs = true,
  profiles = true, kubeadm = true }

local function join(declaration)
  if not declaration.kubeadm then
    return declaration
  end
  local made, message, code = kubeadm.declare(declaration.kubeadm)
  if not made then
    return nil, message, code
  end
  local all = {}
  for _, part in ipairs(parts) do
    local name = part[1]
    all[name] = table.move(made[name], 1, #made[name], 1, {})
    local own = declaration[name] or {}
    table.move(own, 1, #own, #all[name] + 1, all[name])
  end
  return all
end

local function check(declaration)
  if type(declaration) ~= "table" then
    return nil, "a declaration is a map of authorities, certificates, key_pairs, kubeconfigs"
  end
  for field in pairs(declaration) do
    if not known[field] then
      return nil, ("a declaration has no '%s'; it has authorities, certificates, key_pairs,"
        .. " kubeconfigs, profiles, kubeadm"):format(field)
    end
  end
  return true
end

-- The declaration in plain tables, without the nulls of YAML: an empty field is an absent one.
local function plain(value)
  if type(value) ~= "table" then
    return value
  end
  local copy = {}
  for key, item in pairs(value) do
    if item ~= data.null then
      copy[key] = plain(item)
    end
  end
  return copy
end

-- A name may be declared once: two requests for it would reissue it in turn.
local function check_names(declaration)
  local seen = {}
  for _, part in ipairs(parts) do
    for i, spec in ipairs(declaration[part[1]] or {}) do
      if type(spec) ~= "table" then
        return nil, ("%s[%d] is not a map"):format(part[1], i)
      end
      local id = tostring(spec.name) .. (part[1] == "kubeconfigs" and ".conf" or "")
      if seen[id] then
        return nil, ("%s is declared twice"):format(id)
      end
      seen[id] = true
    end
  end
  return true
end

local function check_renewed(authorities, name)
  for _, spec in ipairs(authorities or {}) do
    if spec.name == name then
      return true
    end
  end
  return nil, ("there is no authority %s to renew in the declaration"):format(name)
end

local function apply_all(to, declaration, renew)
  local done = {}
  for _, part in ipairs(parts) do
    for _, spec in ipairs(declaration[part[1]] or {}) do
      if part[2] == "ca" and renew[spec.name] then
        spec = spec_of.with(spec, { renew = true })
      end
      local item, message, code = to[part[2]](to, spec)
      if not item then
        return nil, message, code
      end
      done[#done + 1] = item
    end
  end
  return done
end

--- Make a store hold what a declaration asks for.
-- @param to store
-- @param declaration table: authorities, key_pairs, certificates, kubeconfigs (lists of what
--   Store:ca, key_pair, leaf and kubeconfig take), profiles (as in a ca-config.json), kubeadm
--   (options of kb.pki.kubeadm's declare, whose declaration is added)
-- @param renew table or nil: the names of authorities to issue anew, as keys
-- @return list of items with name, outcome and changed; or nil, message, code: then nothing was
--   written, unless it is a file that could not be
function M.apply(to, declaration, renew)
  declaration = plain(declaration)
  local ok, message, code = check(declaration)
  local all
  if ok then
    all, message, code = join(declaration)
  end
  if all then
    ok, message = check_names(all)
  end
  if not all or not ok then
    return nil, message, code or "EINVAL"
  end
  for name in pairs(renew or {}) do
    ok, message = check_renewed(all.authorities, name)
    if not ok then
      return nil, message, "EINVAL"
    end
  end
  to.profiles = declaration.profiles or to.profiles
  return to:together(function()
    return apply_all(to, all, renew or {})
  end)
end

return M
