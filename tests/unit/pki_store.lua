local test = ...
local check = require "lib.check"
local core = require "kb.core.pki"
local pki = require "kb.pki"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"

local DAY = 86400

-- A store whose clock stands where the test puts it.
local function store_in(dir, clock, options)
  options = options or {}
  options.now = function() return clock.now end
  return check.ok(pki.store(dir.path .. "/store", options))
end

local function authority(store, more)
  local spec = { name = "ca", subject = "test authority" }
  for field, value in pairs(more or {}) do
    spec[field] = value
  end
  return check.ok(store:ca(spec))
end

local function leaf_spec(more)
  local spec = { name = "m0", issuer = "ca", profile = "peer", subject = "m0",
    hosts = { "m0", "10.0.0.1" } }
  for field, value in pairs(more or {}) do
    spec[field] = value
  end
  return spec
end

local function openssl(...)
  local result = program.run { "openssl", ... }
  check.equal(result.status, 0, result.err)
  return result.out
end

-- Everything in the store with its content and time of change.
local function snapshot(dir)
  local all = {}
  for path in program.run({ "find", dir.path, "-type", "f" }).out:gmatch("[^\n]+") do
    all[path] = { sys.read_file(path), sys.stat(path).mtime, sys.stat(path).mode }
  end
  return all
end

test("a second run rewrites nothing", function()
  local dir <close> = scratch()
  local clock = { now = os.time() }
  local outcomes
  local function run()
    local store = store_in(dir, clock)
    outcomes = { authority(store).outcome, check.ok(store:leaf(leaf_spec())).outcome,
      check.ok(store:key_pair { name = "sa", key = "ecdsa-p256" }).outcome,
      check.ok(store:kubeconfig { name = "admin", cluster = "c", user = "root", issuer = "ca",
        server = "https://10.0.0.1:6443" }).outcome }
  end
  run()
  check.equal(outcomes, { "issued: new", "issued: new", "issued: new", "issued: new" })
  local before = snapshot(dir)
  clock.now = clock.now + 100 * DAY
  run()
  check.equal(outcomes, { "kept", "kept", "kept", "kept" })
  check.equal(snapshot(dir), before)
end)

test("files are the owner's alone, and so is the directory", function()
  local dir <close> = scratch()
  local store = store_in(dir, { now = os.time() })
  authority(store)
  check.ok(store:leaf(leaf_spec { name = "masters/m0/apiserver" }))
  for path, file in pairs(snapshot(dir)) do
    check.equal(file[3], tonumber("600", 8), path)
  end
  check.equal(sys.stat(store.dir).mode, tonumber("700", 8))
  check.equal(sys.stat(store.dir .. "/masters/m0").mode, tonumber("700", 8))
end)

test("a certificate is reissued when the request changed, and says why", function()
  local dir <close> = scratch()
  local clock = { now = os.time() }
  local store = store_in(dir, clock)
  authority(store)
  check.ok(store:leaf(leaf_spec()))
  local function outcome(more)
    return check.ok(store_in(dir, clock):leaf(leaf_spec(more))).outcome
  end
  check.equal(outcome { hosts = { "m0", "10.0.0.1", "m2" } }, "reissued: SAN m2 added")
  check.equal(outcome { hosts = { "m2", "10.0.0.1", "m0" } }, "kept")
  check.equal(outcome(), "reissued: SAN m2 removed")
  check.equal(outcome { hosts = { "m0", "::ffff:10.0.0.1" } },
    "reissued: SAN ::ffff:a00:1 added, SAN 10.0.0.1 removed")
  check.equal(outcome { hosts = { "m0", "::FFFF:10.0.0.1" } }, "kept")
  check.equal(outcome { profile = "server" },
    "reissued: SAN 10.0.0.1 added, SAN ::ffff:a00:1 removed, usage clientAuth removed")
  check.equal(outcome(), "reissued: usage clientAuth added")
  check.equal(outcome { subject = { CN = "m0", O = { "a", "b" } } },
    "reissued: subject CN=m0 became O=a, O=b, CN=m0")
  check.equal(outcome { subject = { CN = "m0", O = { "a", "b" } } }, "kept")
  check.equal(outcome(), "reissued: subject O=a, O=b, CN=m0 became CN=m0")
  check.equal(outcome { key = "rsa-2048" },
    "reissued: usage key encipherment added, key ecdsa-p256 became rsa-2048")
  check.equal(outcome(),
    "reissued: usage key encipherment removed, key rsa-2048 became ecdsa-p256")
  check.equal(outcome { expiry = "90d" }, "reissued: lifetime 365 days became 90 days")
  check.equal(outcome { expiry = "2160h" }, "kept")
end)

test("a certificate is reissued when it ends soon, and keeps its key if told to", function()
  local dir <close> = scratch()
  local clock = { now = os.time() }
  local store = store_in(dir, clock)
  authority(store)
  local hash = check.ok(store:leaf(leaf_spec())).key:hash()
  clock.now = clock.now + 336 * DAY
  local item = check.ok(store_in(dir, clock):leaf(leaf_spec { renew_days = 20 }))
  check.equal(item.outcome, "kept")
  item = check.ok(store_in(dir, clock):leaf(leaf_spec { keep_key = true }))
  check.equal(item.outcome, "reissued: 28 days left")
  check.equal(item.key:hash(), hash)
  check.equal(item.fields.not_after, clock.now - 300 + 365 * DAY)
  clock.now = clock.now + 366 * DAY
  item = check.ok(store_in(dir, clock):leaf(leaf_spec()))
  check.equal(item.outcome, "reissued: it has ended")
  check.equal(item.key:hash() ~= hash, true)
end)

test("a certificate whose key is missing or another's is reissued", function()
  local dir <close> = scratch()
  local clock = { now = os.time() }
  local store = store_in(dir, clock)
  authority(store)
  local item = check.ok(store:leaf(leaf_spec()))
  check.ok(sys.write_file(item.key_path, core.generate("ecdsa-p256"):pem()))
  check.equal(store_in(dir, clock):leaf(leaf_spec()).outcome, "reissued: its key is another's")
  check.ok(sys.remove(item.key_path))
  check.equal(store_in(dir, clock):leaf(leaf_spec()).outcome, "reissued: its key is missing")
  check.ok(sys.write_file(item.certificate_path, "rubbish"))
  local none, message = store_in(dir, clock):leaf(leaf_spec())
  check.equal(none, nil)
  check.contains(message, item.certificate_path)
end)

test("a certificate follows its issuer, and never outlives it", function()
  local dir <close> = scratch()
  local clock = { now = os.time() }
  local store = store_in(dir, clock)
  authority(store, { expiry = "100d" })
  authority(store, { name = "other" })
  local item = check.ok(store:leaf(leaf_spec()))
  check.equal(item.fields.not_after, store:get("ca").fields.not_after)
  clock.now = clock.now + 90 * DAY
  check.equal(check.ok(store_in(dir, clock):leaf(leaf_spec())).outcome, "kept")
  check.equal(check.ok(store_in(dir, clock):leaf(leaf_spec { issuer = "other" })).outcome,
    "reissued: issuer became other, 9 days left, lifetime 100 days became 365 days")
end)

test("an authority is never replaced silently", function()
  local dir <close> = scratch()
  local clock = { now = os.time() }
  authority(store_in(dir, clock))
  local before = snapshot(dir)
  local function refused(spec, words)
    spec.name = "ca"
    local item, message, code = store_in(dir, clock):ca(spec)
    check.equal(item, nil)
    check.equal(code, "EINVAL")
    check.contains(message, words)
  end
  refused({ subject = "another" }, "subject CN=test authority became CN=another")
  refused({ subject = "test authority", key = "rsa-2048" }, "key ecdsa-p256 became rsa-2048")
  refused({ subject = "test authority", path_length = 0 }, "path length unlimited became 0")
  clock.now = clock.now + 3630 * DAY
  refused({ subject = "test authority" }, "kbrun pki issue --renew ca")
  check.equal(snapshot(dir), before)
end)

test("an authority that is renewed keeps its key and all that it signed", function()
  local dir <close> = scratch()
  local clock = { now = os.time() }
  local store = store_in(dir, clock)
  authority(store)
  local leaf = check.ok(store:leaf(leaf_spec()))
  clock.now = clock.now + 200 * DAY
  store = store_in(dir, clock)
  local item = authority(store, { renew = true })
  check.equal(item.outcome, "renewed: same key")
  check.equal(leaf.certificate:signed_by(item.certificate), true)
  check.equal(check.ok(store:leaf(leaf_spec())).outcome, "kept")
end)

test("an authority's key without its certificate is from a cut run and is used", function()
  local dir <close> = scratch()
  local clock = { now = os.time() }
  local item = authority(store_in(dir, clock))
  check.ok(sys.remove(item.certificate_path))
  local again = authority(store_in(dir, clock))
  check.equal(again.outcome, "issued: new")
  check.equal(again.key:hash(), item.key:hash())
end)

test("an authority may sign another, whose chain travels along", function()
  local dir <close> = scratch()
  local store = store_in(dir, { now = os.time() })
  authority(store, { name = "root", subject = "root" })
  authority(store, { subject = "between", issuer = "root", path_length = 0 })
  local item = check.ok(store:leaf(leaf_spec()))
  check.equal(#check.ok(core.certificates(sys.read_file(item.certificate_path))), 2)
  openssl("verify", "-x509_strict", "-CAfile", store:path("root", ".crt"), "-untrusted",
    item.certificate_path, item.certificate_path)
  check.equal(check.ok(core.verify { certificate = item.certificate, purpose = "server",
    roots = { store:get("root").certificate }, between = item.between }), true)
end)

local function write_own_authority(dir, extra)
  local key, cert = dir.path .. "/own.key", dir.path .. "/own.crt"
  openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-subj",
    "/CN=own", "-keyout", key, "-out", cert, "-days", "1000", "-passout", "pass:open sesame",
    table.unpack(extra or { "-addext", "keyUsage=critical,keyCertSign,cRLSign" }))
  return { certificate = cert, key = key, passphrase = "open sesame" }
end

test("an authority is imported, its key decrypted, and kept when its source is gone", function()
  local dir <close> = scratch()
  local clock = { now = os.time() + 60 }
  local from = write_own_authority(dir)
  local spec = { name = "ca", import = from }
  local item = check.ok(store_in(dir, clock):ca(spec))
  check.equal(item.outcome, "imported: " .. from.certificate)
  check.contains(sys.read_file(item.key_path), "BEGIN PRIVATE KEY")
  check.equal(check.ok(store_in(dir, clock):ca(spec)).outcome, "kept")
  check.ok(sys.remove(from.certificate))
  check.equal(check.ok(store_in(dir, clock):ca(spec)).outcome, "kept")
  check.equal(check.ok(store_in(dir, clock):leaf(leaf_spec())).outcome, "issued: new")
end)

test("an authority that cannot be one is not imported", function()
  local dir <close> = scratch()
  local clock = { now = os.time() + 60 }
  local function refused(import, words)
    local item, message = store_in(dir, clock):ca { name = "ca", import = import }
    check.equal(item, nil)
    check.contains(message, words)
  end
  local from = write_own_authority(dir)
  refused({ certificate = from.certificate, key = from.key, passphrase = "wrong" }, "passphrase")
  refused({ certificate = from.certificate, key = from.key }, "no passphrase was given")
  refused({ certificate = "/no/such" }, "no such file")
  check.ok(sys.write_file(from.key, core.generate("ecdsa-p256"):pem()))
  refused({ certificate = from.certificate, key = from.key }, "not that of the certificate")
  local leaf = write_own_authority(dir, { "-addext", "basicConstraints=critical,CA:FALSE" })
  refused(leaf, "CA:FALSE")
  local other = store_in(dir, clock, { write = false })
  authority(other, { name = "root" })
  local below = authority(other, { name = "below", subject = "below", issuer = "root" })
  local path = dir.path .. "/below.crt"
  check.ok(sys.write_file(path, below.certificate:pem()))
  refused({ certificate = path }, "import.roots")
  refused({ certificate = path, roots = from.certificate }, "its chain:")
  check.equal(sys.stat(dir.path .. "/store/ca.crt"), nil)
end)

test("an imported authority is not exchanged for another", function()
  local dir <close> = scratch()
  local clock = { now = os.time() + 60 }
  check.ok(store_in(dir, clock):ca { name = "ca", import = write_own_authority(dir) })
  local item, message = store_in(dir, clock):ca { name = "ca", import = write_own_authority(dir) }
  check.equal(item, nil)
  check.contains(message, "is another certificate")
end)

test("a preview issues in memory and writes nothing", function()
  local dir <close> = scratch()
  local store = store_in(dir, { now = os.time() }, { write = false })
  check.equal(authority(store).outcome, "issued: new")
  check.equal(check.ok(store:leaf(leaf_spec())).outcome, "issued: new")
  check.ok(store:key_pair { name = "sa" })
  check.equal(sys.stat(store.dir), nil)
end)

test("kubeadm gets no key that it cannot read", function()
  local dir <close> = scratch()
  local store = store_in(dir, { now = os.time() })
  for _, method in ipairs({ "ca", "leaf", "key_pair" }) do
    local spec = { name = "x", key = "ed25519", read_by = "kubeadm" }
    local item, message = store[method](store, spec)
    check.equal(item, nil)
    check.contains(message, "neither in RSA nor ECDSA")
  end
  check.equal(authority(store, { key = "ed25519" }).key:type(), "ed25519")
  check.ok(store:leaf(leaf_spec { key = "ed25519" }))
end)

test("a pair of keys keeps its key and mends its public half", function()
  local dir <close> = scratch()
  local clock = { now = os.time() }
  local pair = check.ok(store_in(dir, clock):key_pair { name = "sa", key = "rsa-2048" })
  check.equal(openssl("pkey", "-in", pair.key_path, "-pubout"), sys.read_file(pair.public_path))
  check.ok(sys.remove(pair.public_path))
  local again = check.ok(store_in(dir, clock):key_pair { name = "sa", key = "rsa-2048" })
  check.equal(again.key:hash(), pair.key:hash())
  check.contains(again.outcome, "public half")
  local none, message = store_in(dir, clock):key_pair { name = "sa", key = "ecdsa-p256" }
  check.equal(none, nil)
  check.contains(message, "would be void")
end)

test("a request is signed for who made it, with the names that were declared", function()
  local dir <close> = scratch()
  local clock = { now = os.time() }
  local store = store_in(dir, clock)
  authority(store)
  local csr = dir.path .. "/csr"
  openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", dir.path .. "/k", "-subj",
    "/CN=mallory", "-addext", "subjectAltName=DNS:evil", "-out", csr)
  local spec = { name = "w0", issuer = "ca", profile = "client", subject = "w0",
    request = sys.read_file(csr) }
  local item = check.ok(store:sign(spec))
  check.equal(item.outcome, "issued: new")
  check.equal(item.fields.subject[1][2], "w0")
  check.equal(item.fields.names, nil)
  check.equal(sys.stat(item.key_path), nil)
  check.equal(check.ok(store_in(dir, clock):sign(spec)).outcome, "kept")
  spec.request = core.request { key = core.generate("rsa-2048"), subject = {} }:pem()
  check.equal(check.ok(store_in(dir, clock):sign(spec)).outcome,
    "reissued: the request is for another key")
  spec.request = sys.read_file(csr):gsub("\n(...)", "\nAAA", 3)
  local none, message = store:sign(spec)
  check.equal(none, nil)
  check.contains(message, "request")
end)

test("what cannot be is refused with its reason", function()
  local dir <close> = scratch()
  local store = store_in(dir, { now = os.time() })
  authority(store)
  local function refused(more, words)
    local item, message, code = store:leaf(leaf_spec(more))
    check.equal(item, nil)
    check.equal(code ~= nil, true)
    check.contains(message, words)
  end
  refused({ host = { "m0" } }, "there is no 'host'; did you mean \"hosts\"?")
  refused({ name = "../m0" }, "cannot be a name")
  refused({ name = "/etc/m0" }, "cannot be a name")
  refused({ issuer = "etcd-ca" }, "there is no certificate etcd-ca")
  refused({ profile = "sevrer" }, "there is no profile 'sevrer'")
  refused({ hosts = { "m_0" } }, "'m_0' is no DNS name")
  refused({ hosts = { "ip:10.0.0" } }, "'10.0.0' is no IP address")
  refused({ hosts = { "10.0.0.300" } }, "'10.0.0.300' is no IP address")
  refused({ hosts = { "m0,IP:10.9.9.9" } }, "is no DNS name")
  refused({ hosts = { "email:a b@c" } }, "letters that no email can have")
  refused({ subject = { CX = "m0" } }, "a subject has no 'CX'")
  refused({ subject = { C = "Germany" } }, "C has two letters")
  refused({ subject = ("x"):rep(65) }, "at most 64")
  refused({ key = "rsa-1024" }, "no key type 'rsa-1024'")
  refused({ expiry = "1 year" }, "is no length of time")
  refused({ expiry = "20d", renew_days = 30 }, "reissued in every run")
  refused({ subject = {}, hosts = {} }, "it names nobody")
  check.ok(sys.remove(store:path("ca", ".key")))
  local item, message = store_in(dir, { now = os.time() }):leaf(leaf_spec())
  check.equal(item, nil)
  check.contains(message, "has no key here")
end)

test("of a declaration that is refused nothing is issued, nor remembered", function()
  local dir <close> = scratch()
  local store = store_in(dir, { now = os.time() })
  local declaration = { authorities = { { name = "ca", subject = "one" } },
    key_pairs = { { name = "sa", key = "rsa-2" } } }
  check.equal((pki.apply(store, declaration)), nil)
  check.equal({ (store:get "ca"), store.pairs }, { nil, {} })
  declaration.authorities[1].subject = "two"
  declaration.key_pairs[1].key = "rsa-2048"
  local items = check.ok(pki.apply(store, declaration))
  check.equal({ items[1].outcome, items[2].outcome }, { "issued: new", "issued: new" })
  check.contains(openssl("x509", "-in", dir.path .. "/store/ca.crt", "-noout", "-subject"), "two")
end)

test("two at once are refused, not mixed", function()
  local dir <close> = scratch()
  local store = store_in(dir, { now = os.time() })
  authority(store)
  local lock = check.ok(sys.lock(store.dir .. "/.lock"))
  local item, message, code = store:leaf(leaf_spec())
  check.equal({ item, code }, { nil, "EBUSY" })
  check.contains(message, "in use by another kbrun")
  sys.unlock(lock)
  check.ok(store:leaf(leaf_spec()))
end)
