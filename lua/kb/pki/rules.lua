--- What is demanded of a certificate, one rule at a time (RFC 5280 and what browsers and Go add).
--
-- A rule looks at the fields of a certificate and at what is known around it: its issuer, its key,
-- the time. It answers nothing when all is well, or what is wrong.
local ip = require "kb.pki.ip"

local M = {}

local DAY = 86400

local function has(list, wanted)
  for _, item in ipairs(list or {}) do
    if item == wanted then
      return true
    end
  end
  return false
end

local function extension(fields, name)
  for _, found in ipairs(fields.extensions or {}) do
    if found.name == name then
      return found
    end
  end
end

local function is_ca(fields)
  return fields.basic_constraints ~= nil and fields.basic_constraints.ca
end

local function serves(fields)
  return has(fields.extended, "serverAuth")
end

local function subject(fields, field)
  local values = {}
  for _, entry in ipairs(fields.subject) do
    if entry[1] == field then
      values[#values + 1] = entry[2]
    end
  end
  return values
end

local function rule(name, summary, check)
  M[#M + 1] = { name = name, summary = summary, check = check }
end

rule("malformed", "every extension can be read", function(fields)
  return fields.malformed and fields.malformed .. " cannot be read"
end)

rule("version", "the version is 3", function(fields)
  return fields.version ~= 3 and ("it is version %d"):format(fields.version)
end)

rule("serial-positive", "the serial number is positive", function(fields)
  return (fields.serial:find("^%-") or fields.serial:find("^0*$"))
    and ("the serial number is %s"):format(fields.serial)
end)

rule("serial-length", "the serial number has at most 20 bytes", function(fields)
  return fields.serial_octets > 20 and ("it has %d bytes"):format(fields.serial_octets)
end)

rule("constraints-critical", "an authority's basicConstraints are critical", function(fields)
  return is_ca(fields) and not extension(fields, "basicConstraints").critical
    and "basicConstraints are not critical"
end)

rule("usage-critical", "keyUsage is critical", function(fields)
  local usage = extension(fields, "keyUsage")
  return usage and not usage.critical and "keyUsage is not critical"
end)

rule("usage-of-authority", "an authority has keyUsage with cert sign", function(fields)
  return is_ca(fields) and not has(fields.usages, "cert sign")
    and "it is an authority without the usage cert sign"
end)

rule("cert-sign", "only authorities have the usage cert sign", function(fields)
  return has(fields.usages, "cert sign") and not is_ca(fields)
    and "it has the usage cert sign and is no authority"
end)

rule("path-length", "only authorities that sign certificates have a path length", function(fields)
  local constraints = fields.basic_constraints or {}
  return constraints.path_length and not (constraints.ca and has(fields.usages, "cert sign"))
    and "it has a path length and may not sign certificates"
end)

rule("key-encipherment", "a key that only signs has no usage key encipherment", function(fields)
  return fields.key_type and not fields.key_type:find("^rsa") and has(fields.usages,
    "key encipherment") and ("%s keys cannot encipher keys"):format(fields.key_type)
end)

rule("extended-critical", "extendedKeyUsage is not critical", function(fields)
  local extended = extension(fields, "extendedKeyUsage")
  -- Of time stamping alone RFC 3161 demands it.
  return extended and extended.critical and not has(fields.extended, "timeStamping")
    and "extendedKeyUsage is critical"
end)

rule("usages-agree", "keyUsage allows what extendedKeyUsage names", function(fields)
  local signs = has(fields.usages, "digital signature") or has(fields.usages, "key agreement")
  if fields.usages == nil then
    return nil
  elseif serves(fields) and not signs and not has(fields.usages, "key encipherment") then
    return "server auth needs digital signature, key encipherment or key agreement"
  elseif has(fields.extended, "clientAuth") and not signs then
    return "client auth needs digital signature or key agreement"
  end
end)

rule("subject-key-id", "there is a subjectKeyIdentifier, not critical", function(fields)
  local id = extension(fields, "subjectKeyIdentifier")
  return (not id and "there is none") or (id.critical and "it is critical")
end)

rule("authority-key-id", "there is an authorityKeyIdentifier with the issuer's, not critical",
  function(fields, around)
    local id = extension(fields, "authorityKeyIdentifier")
    if id and id.critical then
      return "it is critical"
    elseif around.self_signed and not id then
      return nil
    elseif not id or fields.authority_key_id == "" then
      return "there is none"
    elseif around.issuer and around.issuer.subject_key_id
      and around.issuer.subject_key_id ~= fields.authority_key_id then
      return ("it is %s, the issuer's is %s"):format(fields.authority_key_id,
        around.issuer.subject_key_id)
    end
  end)

rule("names-missing", "a server's certificate has subjectAltName", function(fields)
  return serves(fields) and not is_ca(fields) and #(fields.names or {}) == 0
    and "there are no names: clients ignore the CN"
end)

rule("names-critical", "subjectAltName is critical exactly when the subject is empty",
  function(fields)
    local names = extension(fields, "subjectAltName")
    if names and #fields.subject == 0 and not names.critical then
      return "the subject is empty and subjectAltName is not critical"
    end
    return names and #fields.subject > 0 and names.critical
      and "it is critical beside a subject"
  end)

-- A bare word as the CN is a user's name to Kubernetes (kube-apiserver), not a host's.
rule("cn-in-names", "a server's CN that is an address or a full name is among its names",
  function(fields)
    for _, cn in ipairs(serves(fields) and subject(fields, "CN") or {}) do
      local found = not cn:find("[.:]") or cn:find("[ /]")
      for _, name in ipairs(fields.names or {}) do
        found = found or name[2]:lower() == cn:lower()
      end
      if not found then
        return ("the CN %s is not among the names"):format(cn)
      end
    end
  end)

local function label_fault(name)
  local first = true
  for label in (name .. "."):gmatch("([^.]*)%.") do
    if #label > 63 then
      return "a label is longer than 63"
    elseif label == "" then
      return "a label is empty"
    elseif not (label == "*" and first) and (label:find("[^%w-]") or label:find("^%-")
      or label:find("%-$")) then
      return "a label has other than letters, digits and inner hyphens"
    end
    first = false
  end
end

rule("dns-names", "DNS names are host names", function(fields)
  for _, name in ipairs(fields.names or {}) do
    local fault = name[1] == "dns" and (#name[2] > 253 and "it is longer than 253"
      or label_fault(name[2]))
    if fault then
      return ("%s: %s"):format(name[2], fault)
    end
  end
end)

rule("addresses", "IP addresses are iPAddress names of 4 or 16 bytes", function(fields)
  for _, name in ipairs(fields.names or {}) do
    if name[1] == "dns" and ip.bytes(name[2]) then
      return name[2] .. " is a DNS name here; clients look among the addresses"
    elseif name[1] == "ip" and not ip.bytes(name[2]) then
      return "an address has " .. name[2]
    end
  end
end)

local function time_fault(what, form)
  local kind, text = form[1], form[2]
  if kind == "utc" then
    return not text:find("^%d%d%d%d%d%d%d%d%d%d%d%dZ$") and ("%s is %s"):format(what, text)
  elseif not text:find("^%d%d%d%d%d%d%d%d%d%d%d%d%d%dZ$") then
    return ("%s is %s"):format(what, text)
  end
  return tonumber(text:sub(1, 4)) < 2050
    and ("%s is GeneralizedTime and before 2050: %s"):format(what, text)
end

rule("times", "times are UTCTime until 2049 and GeneralizedTime after, with seconds and Z",
  function(fields)
    return time_fault("notBefore", fields.not_before_form)
      or time_fault("notAfter", fields.not_after_form)
  end)

rule("country", "the country is two letters in PrintableString", function(fields)
  for _, name in ipairs({ fields.subject, fields.issuer }) do
    for _, entry in ipairs(name) do
      if entry[1] == "C" and (entry[3] ~= "PRINTABLESTRING" or not entry[2]:find("^%a%a$")) then
        return ("%s as %s"):format(entry[2], entry[3])
      end
    end
  end
end)

local limits = { CN = 64, O = 64, OU = 64, L = 128, ST = 128 }

rule("name-length", "CN, O and OU have at most 64 letters", function(fields)
  for _, entry in ipairs(fields.subject) do
    local length = utf8.len(entry[2]) or #entry[2]
    if limits[entry[1]] and length > limits[entry[1]] then
      return ("%s has %d"):format(entry[1], length)
    end
  end
end)

rule("algorithms-equal", "the signed part and the signature name the same algorithm",
  function(fields)
    local outer, inner = fields.signature, fields.signature_inside
    return (outer[1] ~= inner[1] or outer[2] ~= inner[2])
      and ("%s inside, %s outside"):format(inner[1], outer[1])
  end)

rule("parameters", "RSA's algorithm parameters are NULL, ECDSA's signature has none",
  function(fields)
    for what, algorithm in pairs({ key = fields.key_algorithm, signature = fields.signature }) do
      local rsa = algorithm[1]:find("RSAEncryption$") or algorithm[1] == "rsaEncryption"
      if rsa and algorithm[2] ~= "null" then
        return ("%s of the %s: %s"):format(algorithm[1], what, algorithm[2])
      elseif algorithm[1]:find("^ecdsa%-with") and algorithm[2] ~= "absent" then
        return ("%s of the %s: there are some"):format(algorithm[1], what)
      end
    end
  end)

rule("empty-sequences", "no extension and no list of extensions is empty", function(fields)
  if fields.extensions and #fields.extensions == 0 then
    return "the list of extensions is empty"
  end
  for _, found in ipairs(fields.extensions or {}) do
    if found.der == "\x30\x00" and found.name ~= "basicConstraints" then
      return (found.name or found.oid) .. " is empty"
    end
  end
end)

rule("duplicates", "no extension is there twice", function(fields)
  local seen = {}
  for _, found in ipairs(fields.extensions or {}) do
    if seen[found.oid] then
      return (found.name or found.oid) .. " is there twice"
    end
    seen[found.oid] = true
  end
end)

rule("weak", "keys and digests are of today's strength", function(fields)
  local digest = fields.signature[1]:lower()
  if digest:find("sha1") or digest:find("md5") or digest:find("md2") then
    return "it is signed with " .. fields.signature[1]
  end
  return fields.key_type and fields.key_type:find("^rsa") and fields.key_bits < 2048
    and ("RSA with %d bits"):format(fields.key_bits)
end)

rule("validity", "it is valid now and for the days asked for", function(fields, around)
  local from, to = fields.not_before, fields.not_after
  if not from or not to then
    return "its times cannot be read"
  elseif from > to then
    return "it ends before it begins"
  elseif from > around.now then
    return "it begins on " .. os.date("!%Y-%m-%d %H:%M:%S UTC", from)
  elseif to <= around.now then
    return "it has ended on " .. os.date("!%Y-%m-%d", to)
  end
  local days = (to - around.now) // DAY
  return days < around.days and ("it ends in %d days, on %s"):format(days,
    os.date("!%Y-%m-%d", to))
end)

rule("outlives-issuer", "it does not outlive its issuer", function(fields, around)
  return around.issuer and fields.not_after and around.issuer.not_after
    and fields.not_after > around.issuer.not_after
    and ("it ends on %s, its issuer on %s"):format(os.date("!%Y-%m-%d", fields.not_after),
      os.date("!%Y-%m-%d", around.issuer.not_after))
end)

rule("signature", "who is named as its issuer has signed it", function(fields, around)
  return around.namesake and not around.issuer and not around.self_signed
    and ("%s is named as its issuer and has not signed it"):format(around.namesake)
end)

rule("issuer-is-authority", "its issuer is an authority", function(fields, around)
  return around.issuer and not around.self_signed and not is_ca(around.issuer)
    and "its issuer is no authority"
end)

rule("key", "the key beside it is its own", function(fields, around)
  return around.key_fault
end)

rule("key-mode", "the key beside it is its owner's alone", function(fields, around)
  return around.key_mode and around.key_mode & tonumber("077", 8) ~= 0
    and ("%s has mode %04o; chmod 600 it"):format(around.key_path, around.key_mode)
end)

return M
