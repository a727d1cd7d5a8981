--- What a certificate should say, worked out from its declaration, and how one that is there
-- differs from it.
local ip = require "kb.pki.ip"
local suggest = require "kb.suggest"

local M = {}

-- The fields of a subject in the order in which they are written.
local subject_fields = { "C", "ST", "L", "O", "OU", "CN" }

-- The keys whose holder cannot encipher a key with them: ECDSA and Ed25519 only sign.
local function only_signs(key_type)
  return not key_type:find("^rsa")
end

local function is_subject_field(field)
  for _, known in ipairs(subject_fields) do
    if known == field then
      return true
    end
  end
  return false
end

--- A subject as a list of {field, text}.
-- @param subject string (the CN) or table: CN, O, OU, L, ST, C, each a string or a list of them
-- @return list; or nil, message, "EINVAL"
function M.subject(subject)
  if type(subject) == "string" then
    subject = { CN = subject }
  end
  for field in pairs(subject) do
    if not is_subject_field(field) then
      return nil, ("a subject has no '%s'%s; it has %s"):format(field,
        suggest.hint(tostring(field), subject_fields), table.concat(subject_fields, ", ")), "EINVAL"
    end
  end
  local list = {}
  for _, field in ipairs(subject_fields) do
    local values = subject[field] or {}
    for _, value in ipairs(type(values) == "table" and values or { values }) do
      list[#list + 1] = { field, tostring(value) }
    end
  end
  return list
end

local kinds = { dns = true, ip = true, email = true, uri = true }

-- The kind of a name that is written bare, as cfssl tells them apart; but digits and dots are meant
-- to be an address also when they are none.
local function guess(text)
  if ip.normal(text) or text:find("^[%d.]+$") then
    return "ip"
  elseif text:find("^[%a][%w+.-]*://") then
    return "uri"
  end
  return text:find("@", 1, true) and "email" or "dns"
end

local function label_ok(label, first)
  if label == "*" then
    return first
  end
  return #label <= 63 and label:find("^%w[%w-]*$") and not label:find("%-$")
end

-- A host name as RFC 1123 has it, with "*" allowed as the first label.
local function dns_ok(text)
  if #text > 253 then
    return false
  end
  local first = true
  for label in (text .. "."):gmatch("([^.]*)%.") do
    if not label_ok(label, first) then
      return false
    end
    first = false
  end
  return true
end

local function one_name(text)
  local kind, rest = tostring(text):match("^(%l+):(.+)$")
  if not kinds[kind] or rest:find("^//") then
    kind, rest = guess(text), text
  end
  if kind == "ip" then
    local normal = ip.normal(rest)
    return normal and { "ip", normal }, ("'%s' is no IP address"):format(rest)
  elseif kind == "dns" then
    return dns_ok(rest) and { "dns", rest:lower() },
      ("'%s' is no DNS name: letters, digits and hyphens, labels of at most 63"):format(rest)
  elseif rest:find("[%c%s\x80-\xff]") then
    return false, ("'%s' has letters that no %s can have"):format(rest, kind)
  end
  return { kind, rest }
end

--- Names as a list of {kind, text}, each once, in the order given.
-- @param hosts list of strings: DNS names, addresses, e-mail addresses and URIs, told apart by
--   their form, or with the kind before them: "dns:m0", "ip:10.0.0.1", "email:...", "uri:..."
-- @return list; or nil, message, "EINVAL"
function M.names(hosts)
  local list, seen = {}, {}
  for _, text in ipairs(hosts or {}) do
    local name, message = one_name(text)
    if not name then
      return nil, message, "EINVAL"
    end
    local id = name[1] .. ":" .. name[2]
    if not seen[id] then
      seen[id] = true
      list[#list + 1] = name
    end
  end
  return list
end

--- What a certificate of this profile and key should say.
-- Key encipherment is left out for keys that can only sign (RFC 8813), whatever the profile says.
-- @param subject string or table: see `subject`
-- @param hosts list of strings: see `names`
-- @param profile table from kb.pki.profile
-- @param key_type string: "ecdsa-p256"
-- @return table: subject, names, usages, extended, ca, path_length, key_type, seconds, backdate;
--   or nil, message, "EINVAL"
function M.make(subject, hosts, profile, key_type)
  local want = { key_type = key_type, extended = profile.extended, ca = profile.ca,
    path_length = profile.path_length, seconds = profile.seconds, backdate = profile.backdate }
  local message
  want.subject, message = M.subject(subject)
  if not want.subject then
    return nil, message, "EINVAL"
  end
  want.names, message = M.names(hosts)
  if not want.names then
    return nil, message, "EINVAL"
  end
  if #want.subject == 0 and #want.names == 0 then
    return nil, "a certificate needs a subject or hosts, or it names nobody", "EINVAL"
  end
  want.usages = {}
  for _, usage in ipairs(profile.usages) do
    if usage ~= "key encipherment" or not only_signs(key_type) then
      want.usages[#want.usages + 1] = usage
    end
  end
  return want
end

local function texts(pairs_list)
  local list = {}
  for i, pair in ipairs(pairs_list or {}) do
    list[i] = pair[1] .. "=" .. pair[2]
  end
  return table.concat(list, ", ")
end

-- The list's members as a set, named by what shows them to the user.
local function set_of(list, shown)
  local set = {}
  for _, item in ipairs(list or {}) do
    set[shown and shown(item) or item] = true
  end
  return set
end

-- Add "SAN m2 added" and the like to the reasons, in a stable order.
local function compare_sets(reasons, what, want, have)
  for _, case in ipairs({ { want, have, "added" }, { have, want, "removed" } }) do
    local found = {}
    for name in pairs(case[1]) do
      if not case[2][name] then
        found[#found + 1] = ("%s %s %s"):format(what, name, case[3])
      end
    end
    table.sort(found)
    table.move(found, 1, #found, #reasons + 1, reasons)
  end
end

local function with_kind(name)
  return name[1] .. ":" .. (name[1] == "ip" and ip.normal(name[2]) or name[2])
end

local function name_text(name)
  return (with_kind(name):gsub("^dns:", ""):gsub("^ip:", ""))
end

-- A name whose kind alone changed ("dns:10.0.0.1" that became an address) is shown with it.
local function compare_names(reasons, want, have)
  local before = #reasons
  compare_sets(reasons, "SAN", set_of(want, name_text), set_of(have, name_text))
  if #reasons == before then
    compare_sets(reasons, "SAN", set_of(want, with_kind), set_of(have, with_kind))
  end
end

--- How a certificate differs from what is wanted.
-- @param want table from `make`
-- @param have table: the fields of the certificate
-- @return list of strings, such as "SAN m2 added", empty when nothing differs
function M.differences(want, have)
  local reasons = {}
  local subject, subject_now = texts(want.subject), texts(have.subject)
  if subject ~= subject_now then
    reasons[#reasons + 1] = ("subject %s became %s"):format(subject_now, subject)
  end
  compare_names(reasons, want.names, have.names)
  compare_sets(reasons, "usage", set_of(want.usages), set_of(have.usages))
  compare_sets(reasons, "usage", set_of(want.extended), set_of(have.extended))
  if want.key_type ~= have.key_type then
    reasons[#reasons + 1] = ("key %s became %s"):format(have.key_type, want.key_type)
  end
  local constraints = have.basic_constraints or {}
  if (constraints.ca or false) ~= (want.ca or false) then
    reasons[#reasons + 1] = want.ca and "it became a CA" or "it is no CA any more"
  elseif constraints.path_length ~= want.path_length then
    reasons[#reasons + 1] = ("path length %s became %s"):format(
      constraints.path_length or "unlimited", want.path_length or "unlimited")
  end
  return reasons
end

return M
