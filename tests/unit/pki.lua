local test = ...
local check = require "lib.check"
local core = require "kb.core.pki"
local program = require "lib.program"

local key = core.generate("ecdsa-p256")
local now = os.time()

local function sign(more)
  local spec = { subject = { { "CN", "x" } }, key = key, not_before = now - 300,
    not_after = now + 86400 }
  for field, value in pairs(more or {}) do
    spec[field] = value
  end
  return core.sign(spec)
end

local function refused(words, spec)
  local certificate, message, code = sign(spec)
  check.equal({ certificate, code }, { nil, "EINVAL" })
  check.contains(message, words)
end

test("keys of every type go out and come back", function()
  for _, name in ipairs({ "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "ed25519" }) do
    local made = check.ok(core.generate(name))
    local read = check.ok(core.read_key(made:pem()))
    check.equal({ read:type(), read:hash(), read:public_pem() },
      { name, made:hash(), made:public_pem() })
    check.contains(made:pem(), "-----BEGIN PRIVATE KEY-----") -- PKCS#8, not encrypted
    check.equal(program.run({ "openssl", "pkey", "-pubout" }, { input = made:pem() }).out,
      made:public_pem())
  end
end)

test("older forms of keys are read, encrypted ones with their passphrase", function()
  local pem = key:pem()
  local old = program.run({ "openssl", "ec" }, { input = pem }).out
  check.equal(check.ok(core.read_key(old)):hash(), key:hash())
  local locked = program.run({ "openssl", "pkcs8", "-topk8", "-passout", "pass:secret" },
    { input = pem }).out
  check.equal(check.ok(core.read_key(locked, "secret")):hash(), key:hash())
  for _, case in ipairs({ { nil, "no passphrase was given" }, { "other", "does not open" },
    { ("x"):rep(5000), "does not open" } }) do
    local none, message = core.read_key(locked, case[1])
    check.equal(none, nil)
    check.contains(message, case[2])
  end
end)

test("a certificate says what was asked for", function()
  local ca = check.ok(sign { ca = true, path_length = 3, usages = { "cert sign" } })
  local fields = check.ok(sign { issuer = ca, issuer_key = key, subject = { { "C", "DE" },
    { "O", "Ö" }, { "CN", "y" } }, usages = { "digital signature", "decipher only" },
    extended = { "serverAuth", "1.2.3.4" }, names = { { "dns", "y" }, { "ip", "fd00::1" } } })
    :fields()
  check.equal({ fields.version, fields.serial_octets, fields.key_type, fields.key_bits },
    { 3, 20, "ecdsa-p256", 256 })
  check.equal(fields.usages, { "digital signature", "decipher only" })
  check.equal(fields.extended, { "serverAuth", "1.2.3.4" })
  check.equal(fields.names, { { "dns", "y" }, { "ip", "fd00::1" } })
  check.equal(fields.subject[2], { "O", "Ö", "UTF8STRING" })
  check.equal({ fields.not_before, fields.not_after }, { now - 300, now + 86400 })
  check.equal(fields.authority_key_id, ca:fields().subject_key_id)
  check.equal(ca:fields().basic_constraints, { ca = true, path_length = 3 })
end)

test("serial numbers are of 20 bytes, positive, and differ", function()
  local seen = {}
  for _ = 1, 50 do
    local fields = check.ok(sign()):fields()
    check.equal(fields.serial_octets, 20)
    check.equal(fields.serial:find("^[4-7]%x+$"), 1)
    check.equal(seen[fields.serial], nil)
    seen[fields.serial] = true
  end
end)

test("times after 2049 are of the other kind", function()
  local fields = check.ok(sign { not_after = os.time { year = 2051, month = 1, day = 1 } }):fields()
  check.equal({ fields.not_before_form[1], fields.not_after_form[1] }, { "utc", "generalized" })
end)

test("what cannot be is refused", function()
  refused("at most 64", { subject = { { "CN", ("x"):rep(65) } } })
  refused("two letters", { subject = { { "C", "DEU" } } })
  refused("a list of {field, text}", { subject = { "CN" } })
  refused("a list of {field, text}", { subject = { { "NOPE", "x" } } })
  refused("a list of {kind, text}", { names = { { "dns", "a b" } } })
  refused("a list of {kind, text}", { names = { { "dns", "a\0b" } } })
  refused("a list of {kind, text}", { names = { { "ip", "10.0.0.256" } } })
  refused("a list of {kind, text}", { names = { { "ip", "10.0.0.1\0x" } } })
  refused("a list of {kind, text}", { names = { { "rid", "1.2" } } })
  refused("a list of {kind, text}", { names = { "x" } })
  refused("path_length", { ca = true, path_length = -1 })
  refused("key usages", { usages = { "serverAuth" } })
  refused("dotted numbers", { extended = { "nope" } })
  refused("dotted numbers", { extended = { false } })
  refused("not_before and not_after", { not_after = "tomorrow" })
  local other = core.generate("ecdsa-p256")
  refused("not that of its certificate", { issuer = sign { ca = true }, issuer_key = other })
end)

test("misuse raises", function()
  check.raises("must be keys", core.sign, { subject = {} })
  check.raises("go together", sign, { issuer = sign() })
  check.raises("table expected", core.sign, nil)
  check.raises("key must be a key", core.request, { subject = {} })
  check.raises("certificate expected", sign().signed_by, sign(), key)
end)

test("certificates are read from PEM with anything around, and from DER", function()
  local a, b = sign(), sign()
  local list = check.ok(core.certificates("before\n" .. a:pem() .. "between\n" .. b:pem() .. "x"))
  check.equal({ #list, list[2]:der() == b:der() }, { 2, true })
  check.equal(check.ok(core.certificates(a:der()))[1]:pem(), a:pem())
  for text, words in pairs({ [""] = "no certificate in this", [key:pem()] = "no certificate",
    [a:der():sub(1, 100)] = "no certificate",
    [a:pem() .. a:pem():gsub("\n(%w)", "\n!", 2)] = "a broken certificate after others" }) do
    local none, message = core.certificates(text)
    check.equal(none, nil)
    check.contains(message, words)
  end
end)

test("bytes of a certificate changed at random are read or refused, never more", function()
  local der = check.ok(sign { ca = true, names = { { "dns", "x" }, { "ip", "10.0.0.1" } },
    usages = { "cert sign" }, extended = { "serverAuth" } }):der()
  math.randomseed(7919)
  for _ = 1, 3000 do
    local at = math.random(#der)
    local list = core.certificates(der:sub(1, at - 1) .. string.char(math.random(0, 255))
      .. der:sub(at + 1))
    if list then
      list[1]:fields()
      list[1]:signed_by(list[1])
    end
  end
end)

test("what is no list, no purpose or no key that signs is refused, and said to be so", function()
  refused("usages: a list", { usages = "cert sign" })
  refused("usages: a list", { usages = { sign = true } })
  refused("extended: a list", { extended = "serverAuth" })
  refused("the names: a list", { names = "dns:y" })
  refused("the names: a list", { names = { dns = "y" } })
  check.ok(sign { usages = {}, extended = {}, names = {} })
  local certificate = check.ok(sign { ca = true })
  local ok, message = pcall(core.verify,
    { certificate = certificate, roots = { certificate }, purpose = "Server" })
  check.equal(ok, false)
  check.contains(message, "purpose must be server, client or any")
  local exchange = check.ok(core.read_key(
    program.run({ "openssl", "genpkey", "-algorithm", "X25519" }).out))
  refused("signing: ", { key = exchange })
end)
