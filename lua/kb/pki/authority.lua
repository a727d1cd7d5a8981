--- Authorities (see kb.pki.store).
local core = require "kb.core.pki"
local files = require "kb.pki.files"
local profile = require "kb.pki.profile"
local spec_of = require "kb.pki.spec"
local sys = require "kb.core.sys"
local want = require "kb.pki.want"

local M = {}

local known = { "name", "subject", "key", "expiry", "path_length", "issuer", "renew_days",
  "read_by", "usages", "import", "renew" }

-- As the authorities that kubeadm makes: ten years, and these usages.
local EXPIRY = "87600h"
local USAGES = { "digital signature", "key encipherment", "cert sign", "crl sign" }

-- What is asked for, or nil and a message.
local function resolve(spec)
  local form, message = profile.make { usages = spec.usages or USAGES,
    expiry = spec.expiry or EXPIRY, ca_constraint = { is_ca = true } }
  if not form then
    return nil, message
  end
  if spec.path_length and (math.type(spec.path_length) ~= "integer" or spec.path_length < 0) then
    return nil, "path_length is a whole number that is not negative"
  end
  form.path_length = spec.path_length
  return want.make(spec.subject or spec.name, {}, form, spec.key or "ecdsa-p256")
end

local function say_what_to_do(store, item, reasons)
  return spec_of.refuse(item.name, ("the authority in %s is not what is asked for: %s. It is not"
    .. " replaced silently, since all it has signed would be void: declare it as it is, or move its"
    .. " .crt and .key away to have a new one"):format(store.dir, table.concat(reasons, ", ")))
end

local function check_life(store, spec, item)
  local renew = spec.renew_days or store.renew_days
  local days = item:days_left()
  if days < renew then
    return spec_of.refuse(item.name, ("the authority %s (%s; asked for are %d days at least)."
      .. " Issue it anew for the same key, which what it signed outlives, with `kbrun pki issue"
      .. " --renew %s`, and give the new %s to all who trust it"):format(
        days < 0 and "has ended" or ("ends in %d days"):format(days),
        os.date("!%Y-%m-%d", item.fields.not_after), renew, item.name, item.certificate_path),
      "EINVAL")
  end
  return true
end

-- Everything that keeps a certificate from being an authority of ours; nil when nothing does.
local function unfit(item)
  local constraints = item.fields.basic_constraints or {}
  local usages = {}
  for _, usage in ipairs(item.fields.usages or { "cert sign" }) do
    usages[usage] = true
  end
  if not constraints.ca then
    return "it is no authority (basicConstraints says CA:FALSE)"
  elseif not usages["cert sign"] then
    return "it may not sign certificates (keyUsage)"
  elseif item.key and not item.certificate:matches(item.key) then
    return "the key is not that of the certificate"
  end
end

-- A root signs itself; what does not must lead to one of the roots.
local function check_chain(item, roots)
  if item.certificate:signed_by(item.certificate) then
    return true
  end
  if not roots then
    return nil, "it does not sign itself: name the file with its root in import.roots"
  end
  local list, message = files.certificates(roots)
  if not list then
    return nil, message or roots .. ": no such file"
  end
  local ok
  ok, message = core.verify { certificate = item.certificate, roots = list, between = item.between }
  return ok, message and "its chain: " .. message
end

local function read_import(store, spec)
  local from = spec.import
  if type(from) ~= "table" or not from.certificate then
    return nil, "import needs {certificate = path, key = path}"
  end
  local list, message = files.certificates(from.certificate)
  if not list then
    return nil, message or from.certificate .. ": no such file"
  end
  local key
  if from.key then
    key, message = files.key(from.key, from.passphrase)
    if not key then
      return nil, message or from.key .. ": no such file"
    end
  end
  local item = store:item(spec.name, list[1], key, table.move(list, 2, #list, 1, {}))
  local fault = unfit(item)
  if fault then
    return nil, ("%s: %s"):format(from.certificate, fault)
  end
  local ok
  ok, message = check_chain(item, from.roots)
  if not ok then
    return nil, ("%s: %s"):format(from.certificate, message)
  end
  return item
end

-- Once imported, the files that it came from may be gone.
local function keep_imported(store, spec, there)
  local ok, message, code = check_life(store, spec, there)
  if not ok then
    return nil, message, code
  end
  return store:keep(there, "kept", {})
end

local function import(store, spec, there)
  if there and not sys.stat(tostring((spec.import or {}).certificate)) then
    return keep_imported(store, spec, there)
  end
  local item, message = read_import(store, spec)
  if not item then
    return spec_of.refuse(spec.name, message)
  end
  if item.key then
    local ok, why = spec_of.check_reader(spec, item.key:type())
    if not ok then
      return spec_of.refuse(spec.name, why)
    end
  end
  if not there then
    return store:keep(item, "imported", { spec.import.certificate })
  end
  if there.fields.fingerprint ~= item.fields.fingerprint then
    return say_what_to_do(store, there, { spec.import.certificate .. " is another certificate" })
  end
  if item.key and not there.key then
    return store:keep(item, "imported", { "its key" })
  end
  return keep_imported(store, spec, there)
end

-- A new certificate for the key that is there; what it signed stays valid.
local function renew(store, item, wanted, issuer)
  if not item.key then
    return spec_of.refuse(item.name, item.key_path .. " is absent: it can be renewed only where its"
      .. " key is")
  end
  local new, message, code = store:issue(item.name, wanted, issuer, item.key)
  if not new then
    return nil, message, code
  end
  return store:keep(new, "renewed", { "same key" })
end

local function keep(store, spec, item, wanted, issuer)
  local reasons = want.differences(wanted, item.fields)
  local signer = issuer and issuer.certificate or item.certificate
  if not item.certificate:signed_by(signer) then
    reasons[#reasons + 1] = issuer and "issuer became " .. issuer.name or "it does not sign itself"
  end
  local fault = unfit(item)
  if fault then
    reasons[#reasons + 1] = fault
  end
  if #reasons > 0 then
    return say_what_to_do(store, item, reasons)
  end
  if spec.renew then
    return renew(store, item, wanted, issuer)
  end
  local ok, message, code = check_life(store, spec, item)
  if not ok then
    return nil, message, code
  end
  return store:keep(item, "kept", {})
end

-- A key that lies there without its certificate is from a run that was cut; it has signed nothing.
local function make(store, spec, wanted, issuer, key)
  if key and key:type() ~= wanted.key_type then
    return spec_of.refuse(spec.name, ("%s is there without its certificate and is %s, not %s; move"
      .. " it away"):format(store:path(spec.name, ".key"), key:type(), wanted.key_type))
  end
  local item, message, code = store:issue(spec.name, wanted, issuer, key)
  if not item then
    return nil, message, code
  end
  return store:keep(item, "issued", { "new" })
end

--- See Store:ca.
function M.ensure(store, spec)
  local ok, message, code = spec_of.check(spec, known)
  if not ok then
    return nil, message, code
  end
  local found, wanted, issuer
  found, message, code = store:load(spec.name)
  if not found then
    return nil, message, code
  end
  if spec.import then
    return import(store, spec, found.item)
  end
  wanted, message = resolve(spec)
  if wanted then
    ok, message = spec_of.check_reader(spec, wanted.key_type)
  end
  if ok and spec.issuer then
    issuer, message = store:issuer(spec.issuer)
    ok = issuer
  end
  if not wanted or not ok then
    return spec_of.refuse(spec.name, message)
  end
  if found.item then
    return keep(store, spec, found.item, wanted, issuer)
  end
  return make(store, spec, wanted, issuer, found.key)
end

return M
