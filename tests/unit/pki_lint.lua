local test = ...
local check = require "lib.check"
local core = require "kb.core.pki"
local der = require "lib.der"
local lint = require "kb.pki.lint"
local pki = require "kb.pki"
local program = require "lib.program"
local rules = require "kb.pki.rules"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"

local DAY = 86400
local now = os.time()
local ca_key = core.generate("ecdsa-p256")
local key = core.generate("ecdsa-p256")
local rsa = core.generate("rsa-2048")

local function with(spec, more)
  for field, value in pairs(more or {}) do
    spec[field] = value
  end
  return spec
end

local function make_ca(more)
  return check.ok(core.sign(with({ subject = { { "CN", "ca" } }, key = ca_key, ca = true,
    usages = { "cert sign", "crl sign" }, not_before = now - 300, not_after = now + 1000 * DAY },
    more)))
end

local ca = make_ca()

local function make(more)
  return check.ok(core.sign(with({ subject = { { "C", "DE" }, { "CN", "m0" } }, key = key,
    issuer = ca, issuer_key = ca_key, not_before = now - 300, not_after = now + 100 * DAY,
    usages = { "digital signature" }, extended = { "serverAuth", "clientAuth" },
    names = { { "dns", "m0" }, { "dns", "*.example.org" }, { "ip", "10.0.0.1" } } }, more)))
end

-- The parts of a certificate that edits speak of.
local function parts(tree)
  local signed = tree[1]
  return { outer = tree, signed = signed, serial = signed[2], algorithm = signed[3],
    times = signed[5], subject = signed[6], key = signed[7], extensions = signed[8][1] }
end

-- A certificate with one thing changed; its signature is that of the unchanged one.
local function edited(certificate, change)
  local tree = der.parse(certificate:der())[1]
  change(parts(tree))
  return check.ok(core.certificates(der.encode(tree)))[1]
end

local oids = { constraints = "\x55\x1d\x13", usage = "\x55\x1d\x0f", extended = "\x55\x1d\x25",
  names = "\x55\x1d\x11", subject_id = "\x55\x1d\x0e", authority_id = "\x55\x1d\x23" }

local function place_of(list, name)
  for i, node in ipairs(list) do
    if node[1].text == oids[name] then
      return i
    end
  end
  error("no extension " .. name)
end

local function remove(name)
  return function(c)
    table.remove(c.extensions, place_of(c.extensions, name))
  end
end

local function set_critical(name, critical)
  return function(c)
    local extension = c.extensions[place_of(c.extensions, name)]
    if extension[2].tag == 1 then
      table.remove(extension, 2)
    end
    if critical then
      table.insert(extension, 2, { tag = 1, text = "\xff" })
    end
  end
end

local function set_value(name, text)
  return function(c)
    local extension = c.extensions[place_of(c.extensions, name)]
    extension[#extension].text = text
  end
end

local function set_time(place, tag, text)
  return function(c)
    c.times[place] = { tag = tag, text = text }
  end
end

local function set_serial(text)
  return function(c)
    c.serial.text = text
  end
end

-- The certificates that break each rule; what needs files around it has a test of its own.
local broken = {
  ["malformed"] = { edited(make(), set_value("extended", "\x04\x00")) },
  ["version"] = { edited(make(), function(c)
    table.remove(c.signed, 8)
    table.remove(c.signed, 1)
  end) },
  ["serial-positive"] = { edited(make(), set_serial("\x80\x01")),
    edited(make(), set_serial("\0")) },
  ["serial-length"] = { edited(make(), set_serial(("\1"):rep(21))) },
  ["constraints-critical"] = { edited(ca, set_critical("constraints", false)) },
  ["usage-critical"] = { edited(make(), set_critical("usage", false)) },
  ["usage-of-authority"] = { make_ca { usages = { "crl sign" } }, make_ca { usages = {} } },
  ["cert-sign"] = { make { usages = { "digital signature", "cert sign" } } },
  ["path-length"] = { make_ca { usages = { "crl sign" }, path_length = 1 } },
  ["key-encipherment"] = { make { usages = { "digital signature", "key encipherment" } } },
  ["extended-critical"] = { edited(make(), set_critical("extended", true)) },
  ["usages-agree"] = { make { usages = { "content commitment" } },
    make { usages = { "content commitment" }, extended = { "clientAuth" } } },
  ["subject-key-id"] = { edited(make(), remove("subject_id")),
    edited(make(), set_critical("subject_id", true)) },
  ["authority-key-id"] = { edited(make(), remove("authority_id")),
    edited(make(), set_value("authority_id", "\x30\x00")),
    edited(make(), set_critical("authority_id", true)),
    make { issuer = edited(ca, set_value("subject_id", "\x04\x02ab")) } },
  ["names-missing"] = { make { names = {} } },
  ["names-critical"] = { edited(make(), set_critical("names", true)),
    edited(make { subject = {} }, set_critical("names", false)) },
  ["cn-in-names"] = { make { subject = { { "CN", "m1.example.org" } },
    names = { { "dns", "m0" } } }, make { subject = { { "CN", "10.0.0.2" } } } },
  ["dns-names"] = { make { names = { { "dns", "m_0" } } }, make { names = { { "dns", "m0." } } },
    make { names = { { "dns", ("x"):rep(64) } } }, make { names = { { "dns", "a.*.org" } } },
    edited(make(), set_value("names", "\x30\x05\x82\x03a b")) },
  ["addresses"] = { make { names = { { "dns", "10.0.0.1" } } },
    edited(make(), set_value("names", "\x30\x05\x87\x03abc")) },
  ["times"] = { edited(make(), set_time(1, 0x17, "2601010000Z")),
    edited(make(), set_time(2, 0x17, "490101000000+0100")),
    edited(make(), set_time(2, 0x18, "20491231235959Z")) },
  ["country"] = { edited(make(), function(c)
    c.subject[1][1][2].tag = 0x0c
  end), edited(make(), function(c)
    c.subject[1][1][2].text = "GER"
  end) },
  ["name-length"] = { edited(make(), function(c)
    c.subject[2][1][2].text = ("ö"):rep(65)
  end) },
  ["algorithms-equal"] = { edited(make(), function(c)
    c.outer[2][1].text = "\x2a\x86\x48\xce\x3d\x04\x03\x03"
  end) },
  ["parameters"] = { edited(make { key = rsa }, function(c)
    table.remove(c.key[1], 2)
  end), edited(make(), function(c)
    c.outer[2][2] = { tag = 5, text = "" }
  end) },
  ["empty-sequences"] = { edited(make(), set_value("names", "\x30\x00")), edited(make(), function(c)
    for i = #c.extensions, 1, -1 do
      c.extensions[i] = nil
    end
  end) },
  ["duplicates"] = { edited(make(), function(c)
    table.insert(c.extensions, c.extensions[1])
  end) },
  ["weak"] = { edited(make(), function(c)
    c.outer[2][1].text = "\x2a\x86\x48\xce\x3d\x04\x01"
    c.algorithm[1].text = "\x2a\x86\x48\xce\x3d\x04\x01"
  end), make { key = core.read_key(program.run { "openssl", "genrsa", "1024" }.out) } },
  ["validity"] = { make { not_after = now - 1 }, make { not_before = now + 60 },
    make { not_after = now + 29 * DAY }, make { not_before = now + 9, not_after = now - 9 } },
  ["outlives-issuer"] = { make { not_after = now + 1001 * DAY } },
  ["signature"] = { edited(make(), function(c)
    c.signed[2].text = c.signed[2].text:sub(1, -2) .. "\xaa"
  end), make { issuer = make_ca { key = key }, issuer_key = key } },
}
local elsewhere = { ["issuer-is-authority"] = true, ["key"] = true, ["key-mode"] = true }

local function entry(certificate, path)
  return { path = path, place = 1, certificate = certificate, fields = certificate:fields() }
end

local function names_of(findings)
  local set = {}
  for _, finding in ipairs(findings) do
    set[finding.rule] = finding.message
  end
  return set
end

-- What is found in a certificate beside its authority.
local function found(certificate)
  local all = lint.check({ entry(certificate, "leaf"), entry(ca, "ca") }, { now = now })
  local own = {}
  for _, finding in ipairs(all) do
    own[#own + 1] = finding.path == "leaf" and finding or nil
  end
  return names_of(own)
end

test("nothing is found in good ones", function()
  for _, certificate in ipairs({ make(), ca, make { key = rsa, usages = { "digital signature",
    "key encipherment" } }, make { subject = {} }, make_ca { path_length = 0 },
    make { not_after = now + 999 * DAY } }) do
    check.equal(found(certificate), {})
  end
end)

local function breaks(rule)
  for i, certificate in ipairs(check.ok(broken[rule], "a certificate that breaks it")) do
    if not found(certificate)[rule] then
      error(("certificate %d does not break it"):format(i))
    end
  end
end

for _, rule in ipairs(rules) do
  if not elsewhere[rule.name] then
    test("rule " .. rule.name .. ": " .. rule.summary, function()
      breaks(rule.name)
    end)
  end
end

test("rule issuer-is-authority looks at who signed", function()
  local middle = make { names = { { "dns", "m0" } } }
  local leaf = make { issuer = middle, issuer_key = key, subject = { { "CN", "x" } } }
  local findings = names_of(lint.check({ entry(leaf, "leaf"), entry(middle, "middle"),
    entry(ca, "ca") }, { now = now }))
  check.equal(findings["issuer-is-authority"], "its issuer is no authority")
end)

local function whole_cluster(dir)
  local store = check.ok(pki.store(dir.path .. "/store"))
  check.ok(pki.apply(store, { kubeadm = { version = "1.30", endpoint = "10.0.0.1:6443", etcd =
    "external", masters = { { name = "m0", address = "10.0.0.1" } }, etcd_members = {
    { name = "e0", address = "10.0.0.2" } } }, authorities = { { name = "rsa", key = "rsa-2048" },
    { name = "below", issuer = "rsa", path_length = 0 }, { name = "ed", key = "ed25519" } },
    certificates = { { name = "x", issuer = "below", hosts = { "x" } },
    { name = "y", issuer = "ed", hosts = { "y" }, key = "ed25519" } } }))
  return store
end

test("nothing is found in a store of ours, kubeconfigs included", function()
  local dir <close> = scratch()
  local store = whole_cluster(dir)
  local list = check.ok(lint.load({ store.dir }))
  check.equal(#list, 6 + 1 + 3 + 5 + 3 + 2 + 1)
  check.equal(lint.check(list), {})
end)

test("a key of another, and one that others can read, are found", function()
  local dir <close> = scratch()
  local store = whole_cluster(dir)
  local item = check.ok(store:get("masters/m0/apiserver"))
  check.ok(sys.chmod(item.key_path, tonumber("640", 8)))
  check.ok(sys.write_file(store:path("x", ".key"), key:pem()))
  check.ok(sys.write_file(store:path("y", ".key"), "rubbish"))
  local conf = store:path("masters/m0/admin", ".conf")
  check.ok(sys.chmod(conf, tonumber("644", 8)))
  local by_path = {}
  for _, finding in ipairs(lint.check(check.ok(lint.load({ store.dir })))) do
    by_path[finding.path:sub(#store.dir + 2)] = finding.rule .. ": " .. finding.message
  end
  check.equal(by_path, {
    ["masters/m0/apiserver.crt"] = "key-mode: " .. item.key_path .. " has mode 0640; chmod 600 it",
    ["masters/m0/admin.conf"] = "key-mode: " .. conf .. " has mode 0644; chmod 600 it",
    ["x.crt"] = "key: " .. store:path("x", ".key") .. " is the key of another certificate",
    ["y.crt"] = by_path["y.crt"],
  })
  check.contains(by_path["y.crt"], "not a private key")
end)

test("what cannot be read is an error with its path", function()
  local dir <close> = scratch()
  check.ok(sys.write_file(dir.path .. "/x.crt", "-----BEGIN CERTIFICATE-----\nrubbish\n"))
  local list, message = lint.load({ dir.path })
  check.equal(list, nil)
  check.contains(message, dir.path .. "/x.crt")
  list, message = lint.load({ dir.path .. "/none" })
  check.equal(list, nil)
  check.contains(message, dir.path .. "/none")
end)
