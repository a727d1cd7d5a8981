-- What others say of our certificates: OpenSSL's strict checks, GnuTLS, cfssl, and a handshake.
local test = ...
local check = require "lib.check"
local core = require "kb.core.pki"
local json = require "kb.json"
local pki = require "kb.pki"
local proc = require "kb.core.proc"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"

local function run(argv, options)
  local result = program.run(argv, options)
  if result.status ~= 0 then
    error(table.concat(argv, " ") .. "\n" .. result.out .. result.err, 2)
  end
  return result.out
end

local hosts = { "m0", "*.example.org", "10.0.0.1", "fd00::1", "127.0.0.1", "localhost",
  "admin@example.org", "spiffe://example.org/ns/x" }

-- A store with an authority, one below it and leaves of every use, of one type of key.
local function store_of(dir, key)
  local store = check.ok(pki.store(dir.path .. "/" .. key))
  check.ok(store:ca { name = "root", key = key,
    subject = { CN = "root", C = "DE", O = "Ö & Co" } })
  check.ok(store:ca { name = "ca", subject = "ca", issuer = "root", path_length = 0, key = key })
  for _, profile in ipairs({ "server", "client", "peer" }) do
    check.ok(store:leaf { name = profile, issuer = "ca", profile = profile, hosts = hosts,
      key = key, subject = { CN = "m0", O = { "a,b", "CN=x/y" }, OU = "\"quoted\"" } })
  end
  check.ok(store:leaf { name = "nameless", issuer = "ca", profile = "peer", hosts = { "m0" },
    key = key })
  return store
end

local keys = { "ecdsa-p256", "ecdsa-p384", "rsa-2048", "ed25519" }

-- The words of a strict verification of one of the store's certificates.
local function verify(store, name, ...)
  local argv = { "openssl", "verify", "-x509_strict", "-CAfile", store:path("root", ".crt"),
    "-untrusted", store:path(name, ".crt"), ... }
  argv[#argv + 1] = store:path(name, ".crt")
  return argv
end

test("openssl's strict verification accepts them for what they are for", function()
  local dir <close> = scratch()
  for _, key in ipairs(keys) do
    local store = store_of(dir, key)
    for _, name in ipairs({ "server", "peer" }) do
      run(verify(store, name, "-purpose", "sslserver", "-verify_ip", "fd00::1", "-verify_hostname",
        "m0", "-verify_email", "admin@example.org"))
    end
    for _, name in ipairs({ "client", "peer" }) do
      run(verify(store, name, "-purpose", "sslclient"))
    end
    check.equal(program.run(verify(store, "client", "-purpose", "sslserver")).status, 2,
      "a client's certificate must not do for a server")
    check.equal(program.run(verify(store, "server", "-verify_ip", "10.0.0.2")).status, 2,
      "another address must not do")
  end
end)

test("gnutls' certtool verifies the chains", function()
  local dir <close> = scratch()
  for _, key in ipairs(keys) do
    local store = store_of(dir, key)
    for _, name in ipairs({ "server", "peer", "nameless" }) do
      local out = run { "certtool", "--verify", "--load-ca-certificate", store:path("root", ".crt"),
        "--verify-hostname", "m0", "--verify-purpose", "1.3.6.1.5.5.7.3.1", "--infile",
        store:path(name, ".crt") }
      check.contains(out, "Verified. The certificate is trusted.")
    end
    local text = run { "certtool", "--certificate-info", "--infile", store:path("peer", ".crt") }
    for _, words in ipairs({ "IPAddress: 10.0.0.1", "IPAddress: fd00::1", "DNSname: *.example.org",
      "RFC822Name: admin@example.org", "URI: spiffe://example.org/ns/x" }) do
      check.contains(text, words)
    end
  end
end)

test("special characters of names stay what they are", function()
  local dir <close> = scratch()
  local store = store_of(dir, "ecdsa-p256")
  check.equal(store:get("peer").fields.subject, { { "O", "a,b", "UTF8STRING" },
    { "O", "CN=x/y", "UTF8STRING" }, { "OU", "\"quoted\"", "UTF8STRING" },
    { "CN", "m0", "UTF8STRING" } })
  local text = run { "openssl", "x509", "-noout", "-subject", "-nameopt", "RFC2253,-esc_msb",
    "-in", store:path("root", ".crt") }
  check.contains(text, "CN=root,O=Ö & Co,C=DE")
end)

local config = { signing = {
  default = { expiry = "8760h", usages = { "signing", "key encipherment", "server auth",
    "client auth" } },
  profiles = {
    server = { expiry = "2160h", usages = { "signing", "key encipherment", "server auth" } },
    client = { usages = { "digital signature", "client auth" }, expiry = "100h" },
    short = { usages = { "signing", "key encipherment", "server auth" }, expiry = "48h",
      backdate = "10m" },
    everything = { expiry = "8760h", usages = { "signing", "content committment",
      "key encipherment", "data encipherment", "key agreement", "code signing",
      "email protection", "timestamping", "ocsp signing", "ipsec user" } },
  },
} }

-- What of a certificate a profile decides.
local function decided(fields)
  local critical = {}
  for _, extension in ipairs(fields.extensions) do
    critical[extension.name] = extension.critical
  end
  local extended = table.move(fields.extended or {}, 1, #(fields.extended or {}), 1, {})
  table.sort(extended)
  return { usages = fields.usages, extended = extended, constraints = fields.basic_constraints,
    names = fields.names, version = fields.version, critical = critical,
    seconds = fields.not_after - fields.not_before, subject = fields.subject[1][2],
    key = fields.key_type, signed_with = fields.signature[1] }
end

local function cfssl_leaf(dir, profile)
  local out = run({ "cfssl", "gencert", "-loglevel=5", "-ca", dir.path .. "/ca.pem", "-ca-key",
    dir.path .. "/ca.key", "-config", dir.path .. "/ca-config.json", "-profile", profile,
    dir.path .. "/csr.json" })
  return check.ok(core.certificates(json.decode(out).cert))[1]:fields()
end

test("cfssl makes the same of the same ca-config.json", function()
  local dir <close> = scratch()
  local function write(name, value)
    check.ok(sys.write_file(dir.path .. "/" .. name,
      type(value) == "string" and value or json.encode(value)))
  end
  write("ca-config.json", config)
  write("csr.json", { CN = "m0", hosts = { "m0", "10.0.0.1", "fd00::1" },
    key = { algo = "rsa", size = 2048 } })
  write("ca.json", { CN = "ca", key = { algo = "rsa", size = 2048 }, ca = { expiry = "87600h" } })
  local ca = json.decode(run { "cfssl", "genkey", "-loglevel=5", "-initca",
    dir.path .. "/ca.json" })
  write("ca.pem", ca.cert)
  write("ca.key", ca.key)
  local store = check.ok(pki.store(dir.path .. "/store", {
    profiles = json.decode(sys.read_file(dir.path .. "/ca-config.json")) }))
  check.ok(store:ca { name = "ca", import = { certificate = dir.path .. "/ca.pem",
    key = dir.path .. "/ca.key" } })
  for _, profile in ipairs({ "default", "server", "client", "short", "everything" }) do
    local ours = check.ok(store:leaf { name = profile, issuer = "ca", profile = profile,
      subject = "m0", hosts = { "m0", "10.0.0.1", "fd00::1" }, key = "rsa-2048" }).fields
    local theirs = cfssl_leaf(dir, profile)
    local got, want = decided(ours), decided(theirs)
    check.equal(got, want, profile)
    check.equal(ours.authority_key_id, theirs.authority_key_id, profile)
    check.equal(math.abs(ours.not_before - theirs.not_before) <= 90, true, profile)
  end
  run { "openssl", "verify", "-x509_strict", "-CAfile", store:path("ca", ".crt"), "-purpose",
    "sslserver", store:path("server", ".crt") }
end)

-- Read until one of the words has come; all that has come.
local function wait_for(stream, ...)
  local seen = ""
  while true do
    for _, words in ipairs({ ... }) do
      if seen:find(words, 1, true) then
        return seen
      end
    end
    local chunk, message = stream:read()
    if not chunk then
      error(("the stream ended (%s) after: %s"):format(message, seen))
    end
    seen = seen .. chunk
  end
end

-- A server of ours that wants certificates, and its output.
local function serve(store)
  local server, io = check.ok(proc.spawn { argv = { "sh", "-c", 'exec "$@" 2>&1', "sh", "openssl",
    "s_server", "-accept", "127.0.0.1:0", "-cert", store:path("server", ".crt"), "-cert_chain",
    store:path("server", ".crt"), "-key", store:path("server", ".key"), "-CAfile",
    store:path("root", ".crt"), "-Verify", "3", "-verify_return_error" }, stderr = "null" })
  return setmetatable({ port = wait_for(io.stdout, "ACCEPT"):match("ACCEPT 127%.0%.0%.1:(%d+)"),
    out = io.stdout }, { __close = function()
    server:kill()
    server:wait()
    io.stdin:close()
    io.stdout:close()
  end })
end

-- Connect, with a certificate if one is named, and say hello; what both sides said.
local function handshake(store, client)
  local server <close> = serve(store)
  local argv = { "openssl", "s_client", "-connect", "127.0.0.1:" .. server.port, "-CAfile",
    store:path("root", ".crt"), "-verify_return_error", "-verify_ip", "127.0.0.1" }
  if client then
    table.move({ "-cert", store:path(client, ".crt"), "-cert_chain", store:path(client, ".crt"),
      "-key", store:path(client, ".key") }, 1, 6, #argv + 1, argv)
  end
  local result = program.run(argv, { input = "hello over TLS\nQ\n" })
  return result.out, wait_for(server.out, "hello over TLS", "ERROR\n")
end

test("a handshake in which both sides show certificates of ours", function()
  local dir <close> = scratch()
  for _, key in ipairs({ "ecdsa-p256", "rsa-2048" }) do
    local store = store_of(dir, key)
    local client, server = handshake(store, "client")
    check.contains(client, "Verify return code: 0 (ok)")
    check.contains(server, "hello over TLS")
    for _, wrong in ipairs({ "server", false }) do
      _, server = handshake(store, wrong)
      check.contains(server, "ERROR")
      check.equal(server:find("hello", 1, true), nil)
    end
  end
end)
