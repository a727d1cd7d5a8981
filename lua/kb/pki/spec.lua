--- What the declarations of certificates, authorities and keys have in common.
local files = require "kb.pki.files"
local suggest = require "kb.suggest"

local M = {}

local DAY = 86400

-- What the fields of declarations must be; those not named here are checked where they are used.
local types = { name = "string", issuer = "string", hosts = "table", expiry = "string",
  key = "string", renew_days = "integer", read_by = "string", keep_key = "boolean",
  request = "string", path_length = "integer", usages = "table", import = "table",
  renew = "boolean", cluster = "string", server = "string", user = "string" }

local function type_of(value)
  return math.type(value) == "integer" and "integer" or type(value)
end

local function check_field(field, value, known)
  local found = false
  for _, name in ipairs(known) do
    found = found or name == field
  end
  if not found then
    return nil, ("there is no '%s'%s"):format(field, suggest.hint(tostring(field), known))
  end
  if types[field] and type_of(value) ~= types[field] then
    return nil, ("%s must be a %s, not %s"):format(field,
      types[field] == "table" and "list or map" or types[field], tostring(value))
  end
  return true
end

--- Check that a declaration has no field that nobody reads, values of the right types, and a name.
-- @param spec table
-- @param known list of strings: the fields there are
-- @return true; or nil, message, "EINVAL"
function M.check(spec, known)
  for field, value in pairs(spec) do
    local ok, message = check_field(field, value, known)
    if not ok then
      return nil, ("%s: %s"):format(spec.name or "?", message), "EINVAL"
    end
  end
  return files.check_name(spec.name)
end

--- Refuse what is declared under a name.
-- @return nil, message, code ("EINVAL" if absent)
function M.refuse(name, message, code)
  return nil, name .. ": " .. message, code or "EINVAL"
end

-- What each reader of keys makes of a type, by read_by; nil when it reads it.
local readers = {
  kubeadm = function(key_type)
    return key_type == "ed25519" and "kubeadm reads this key and refuses Ed25519 (\"neither in RSA "
      .. "nor ECDSA format\"); use ecdsa-p256 or rsa-2048"
  end,
  ["kubeadm-rsa"] = function(key_type)
    return not key_type:find("^rsa") and ("kubeadm reads this key as RSA alone (before 1.15, and "
      .. "later where it fetches it from the cluster), not %s"):format(key_type)
  end,
}

--- Check that who reads the key can. kubeadm loads RSA and ECDSA keys alone; it would stop in the
-- middle of an init.
-- @param spec table
-- @param key_type string
-- @return true; or nil, message
function M.check_reader(spec, key_type)
  if not spec.read_by then
    return true
  end
  local fault_of = readers[spec.read_by]
  if not fault_of then
    return nil, ("read_by is kubeadm, kubeadm-rsa or nothing, not '%s'"):format(spec.read_by)
  end
  local fault = fault_of(key_type)
  return not fault or nil, fault or nil
end

--- A length of time in the largest unit that fits.
-- @param seconds integer
-- @return string: "365 days"
function M.lifetime(seconds)
  for _, unit in ipairs({ { DAY, "days" }, { 3600, "hours" }, { 60, "minutes" } }) do
    if seconds % unit[1] == 0 then
      return ("%d %s"):format(seconds // unit[1], unit[2])
    end
  end
  return seconds .. " seconds"
end

--- A declaration with other fields besides.
-- @param spec table
-- @param more table
-- @return table: a new one
function M.with(spec, more)
  local all = {}
  for _, from in ipairs({ spec, more }) do
    for field, value in pairs(from) do
      all[field] = value
    end
  end
  return all
end

--- What was done and why, in one line.
-- @param outcome string: "kept", "issued", ...
-- @param reasons list of strings
-- @return string: "reissued: SAN m2 added, 3 days left"
function M.outcome(outcome, reasons)
  return outcome .. (#reasons > 0 and ": " .. table.concat(reasons, ", ") or "")
end

return M
