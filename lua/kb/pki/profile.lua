--- Profiles of certificates: what a certificate is for and how long it lives.
-- They are written as the profiles of cfssl's ca-config.json are, so that such a file can be used
-- as it is: usages (key usages and extended ones mixed), expiry, backdate, ca_constraint.
local suggest = require "kb.suggest"

local M = {}

-- The words of cfssl and the key usages they stand for.
local key_usages = {
  ["signing"] = "digital signature",
  ["digital signature"] = "digital signature",
  ["content committment"] = "content commitment", -- cfssl's own spelling
  ["content commitment"] = "content commitment",
  ["key encipherment"] = "key encipherment",
  ["data encipherment"] = "data encipherment",
  ["key agreement"] = "key agreement",
  ["cert sign"] = "cert sign",
  ["crl sign"] = "crl sign",
  ["encipher only"] = "encipher only",
  ["decipher only"] = "decipher only",
}

-- The words of cfssl and OpenSSL's names of the extended usages they stand for.
local extended_usages = {
  ["any"] = "anyExtendedKeyUsage",
  ["server auth"] = "serverAuth",
  ["client auth"] = "clientAuth",
  ["code signing"] = "codeSigning",
  ["email protection"] = "emailProtection",
  ["s/mime"] = "emailProtection",
  ["ipsec end system"] = "ipsecEndSystem",
  ["ipsec tunnel"] = "ipsecTunnel",
  ["ipsec user"] = "ipsecUser",
  ["timestamping"] = "timeStamping",
  ["ocsp signing"] = "OCSPSigning",
  ["microsoft sgc"] = "msSGC",
  ["netscape sgc"] = "nsSGC",
}

local YEAR = 365 * 86400
local BACKDATE = 300 -- five minutes, as cfssl and kubeadm do: clocks of hosts differ

--- The profiles that are there without being declared; `default` is cfssl's own.
M.builtin = {
  default = { usages = { "signing", "key encipherment", "server auth", "client auth" } },
  server = { usages = { "signing", "key encipherment", "server auth" } },
  client = { usages = { "signing", "key encipherment", "client auth" } },
  peer = { usages = { "signing", "key encipherment", "server auth", "client auth" } },
}

local units = { s = 1, m = 60, h = 3600, d = 86400 }

--- Read a length of time as Go and cfssl write it, with days besides: "8760h", "1h30m", "365d".
-- @param text string
-- @return integer of seconds; or nil, message, "EINVAL"
function M.seconds(text)
  local sum, rest = 0, tostring(text)
  while rest ~= "" do
    local n, unit, after = rest:match("^(%d+)([smhd])(.*)$")
    if not n then
      return nil, ('"%s" is no length of time; write it as 8760h, 365d or 1h30m'):format(text),
        "EINVAL"
    end
    sum, rest = sum + math.tointeger(tonumber(n)) * units[unit], after
  end
  if sum == 0 then
    return nil, "a length of time must be more than nothing", "EINVAL"
  end
  return sum
end

local function known_words()
  local words = {}
  for word in pairs(key_usages) do
    words[#words + 1] = word
  end
  for word in pairs(extended_usages) do
    words[#words + 1] = word
  end
  table.sort(words)
  return words
end

-- Sort the words into the two extensions; each usage once.
local function split_usages(words)
  local usages, extended, seen = {}, {}, {}
  for _, word in ipairs(words) do
    local usage, purpose = key_usages[word], extended_usages[word]
    if not usage and not purpose and tostring(word):find("^%d+%.[%d.]*%d$") then
      purpose = word
    end
    local list = usage and usages or extended
    local name = usage or purpose
    if not name then
      return nil, ("there is no usage '%s'%s"):format(word, suggest.hint(word, known_words()))
    end
    if not seen[name] then
      seen[name] = true
      list[#list + 1] = name
    end
  end
  return usages, extended
end

local fields = { usages = true, expiry = true, backdate = true, ca_constraint = true,
  -- What cfssl has besides and what does not change our certificates.
  auth_key = true, auth_remote_name = true }

local function check_fields(raw)
  for field in pairs(raw) do
    if not fields[field] then
      local known = { "usages", "expiry", "backdate", "ca_constraint" }
      return nil, ("a profile has no '%s'%s"):format(field, suggest.hint(tostring(field), known))
    end
  end
  return true
end

local function constraint(profile, raw)
  local ca = raw.ca_constraint or {}
  profile.ca = ca.is_ca == true
  if profile.ca then
    local length = ca.max_path_len
    if length and (length > 0 or ca.max_path_len_zero) then
      profile.path_length = math.tointeger(length)
    elseif ca.max_path_len_zero then
      profile.path_length = 0
    end
  end
end

--- Make a profile of its declaration.
-- @param raw table: usages (list of cfssl's words), expiry ("8760h"; a year if absent), backdate
--   ("5m" if absent), ca_constraint {is_ca, max_path_len, max_path_len_zero}
-- @param default table or nil: where an absent expiry or backdate is taken from
-- @return table: usages, extended (lists of the engine's words), seconds, backdate, ca,
--   path_length; or nil, message, "EINVAL"
function M.make(raw, default)
  local ok, message = check_fields(raw)
  if not ok then
    return nil, message, "EINVAL"
  end
  if not raw.usages or #raw.usages == 0 then
    return nil, "a profile needs usages, such as [signing, key encipherment, server auth]", "EINVAL"
  end
  local usages, extended = split_usages(raw.usages)
  if not usages then
    return nil, extended, "EINVAL"
  end
  local profile = { usages = usages, extended = extended, backdate = BACKDATE, seconds = YEAR }
  for _, pair in ipairs({ { "expiry", "seconds" }, { "backdate", "backdate" } }) do
    local text = raw[pair[1]] or default and default[pair[1]]
    if text then
      local seconds, why = M.seconds(text)
      if not seconds then
        return nil, pair[1] .. ": " .. why, "EINVAL"
      end
      profile[pair[2]] = seconds
    end
  end
  constraint(profile, raw)
  return profile
end

local function names_of(...)
  local names = {}
  for _, set in ipairs({ ... }) do
    for name in pairs(set) do
      names[#names + 1] = name
    end
  end
  return names
end

--- Find a profile by name, or make one of a table.
-- @param wanted string or table
-- @param declared table or nil: the content of a ca-config.json ({signing = {default, profiles}})
-- @return table as `make` gives it; or nil, message, "EINVAL"
function M.find(wanted, declared)
  local signing = declared and declared.signing or {}
  local profiles = signing.profiles or {}
  if type(wanted) == "table" then
    return M.make(wanted, signing.default)
  end
  local raw = profiles[wanted] or wanted == "default" and signing.default or M.builtin[wanted]
  if not raw then
    return nil, ("there is no profile '%s'%s"):format(wanted,
      suggest.hint(wanted, names_of(profiles, M.builtin))), "EINVAL"
  end
  local profile, message, code = M.make(raw, signing.default)
  if not profile then
    return nil, ("profile %s: %s"):format(wanted, message), code
  end
  return profile
end

return M
