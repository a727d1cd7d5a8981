local test = ...
local check = require "lib.check"
local json = require "kb.json"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"

local declaration = [[
authorities:
  - {name: etcd-ca, subject: etcd-ca, read_by: }
certificates:
  - name: etcd/m0
    issuer: etcd-ca
    profile: short
    subject: m0
    hosts: [m0, 10.0.0.10]
profiles:
  signing: {profiles: {short: {expiry: 720h, usages: [signing, server auth, client auth]}}}
]]

local function write(dir, text)
  check.ok(sys.write_file(dir.path .. "/pki.yaml", text))
end

local function pki(dir, ...)
  return program.run({ program.kbrun, "pki", ... }, { cwd = dir.path })
end

test("issue, then ls, show and check what was issued", function()
  local dir <close> = scratch()
  write(dir, declaration)
  local result = pki(dir, "issue", "pki.yaml", "--dry-run")
  check.equal(result.status, 0)
  check.equal(sys.stat(dir.path .. "/pki"), nil)
  result = pki(dir, "issue", "pki.yaml", "--json")
  check.equal(result.err, "")
  check.equal(json.decode(result.out)[2].outcome, "issued: new")
  result = pki(dir, "issue", "pki.yaml")
  check.equal(result.err, "0 written, 2 kept\n")
  check.contains(result.out, "etcd/m0                                  kept\n")
  local rows = json.decode(pki(dir, "ls", "--json").out)
  check.equal({ #rows, rows[1].uses, rows[2].uses, rows[2].days, rows[2].path },
    { 2, "authority", "server+client", 29, "pki/etcd/m0.crt" })
  check.contains(pki(dir, "ls").out, "server+client  ecdsa-p256  CN=m0       CN=etcd-ca")
  check.contains(pki(dir, "show", "etcd/m0").out, "names        dns:m0, ip:10.0.0.10\n")
  result = pki(dir, "check", "--days", "20")
  check.equal({ result.status, result.out }, { 0, "" })
  result = pki(dir, "check")
  check.equal(result.status, 4)
  check.contains(result.out, "pki/etcd/m0.crt: validity: it ends in 29 days")
end)

test("renew an authority by name", function()
  local dir <close> = scratch()
  write(dir, declaration)
  check.equal(pki(dir, "issue", "pki.yaml").status, 0)
  local result = pki(dir, "issue", "pki.yaml", "--renew", "etcd-ca")
  check.contains(result.out, "etcd-ca                                  renewed: same key")
  check.contains(result.out, "etcd/m0                                  kept")
  result = pki(dir, "issue", "pki.yaml", "--renew", "etcd-cb")
  check.equal(result.status, 4)
  check.contains(result.err, "etcd-cb")
end)

-- The files of the store but its lock.
local function stored(dir)
  local names = {}
  for _, name in ipairs(sys.list(dir.path .. "/pki") or {}) do
    names[#names + 1] = name ~= ".lock" and name or nil
  end
  return names
end

test("what is wrong with a declaration is said with its name, and nothing is issued", function()
  local dir <close> = scratch()
  local function refused(from, to, words)
    local text, n = declaration:gsub(from, to)
    check.equal(n, 1)
    write(dir, text)
    local result = pki(dir, "issue", "pki.yaml")
    check.equal(result.status, 4)
    check.contains(result.err, words)
    check.equal(stored(dir), {}, words)
  end
  refused("subject: m0", "key: rsa-12", "rsa-12")
  refused("hosts: %[m0, 10.0.0.10%]", "hosts: m0", "etcd/m0: hosts must be a list or map, not m0")
  refused("profile: short", "profile: shart", "there is no profile 'shart'; did you mean")
  refused("certificates:", "certificate:", "a declaration has no 'certificate'")
  refused("etcd/m0", "../m0", "cannot be a name")
  refused("720h", "720", '"720" is no length of time')
  local result = pki(dir, "issue", "none.yaml")
  check.equal(result.status, 2)
  check.contains(result.err, "none.yaml")
  check.equal(pki(dir, "explode").status, 2)
end)
