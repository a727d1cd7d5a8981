local test = ...
local check = require "lib.check"
local core = require "kb.core.pki"
local ip = require "kb.pki.ip"
local pki = require "kb.pki"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"
local yaml = require "kb.yaml"

local function options(more)
  local all = { version = "1.30", endpoint = "api.example.org:6443", masters = {
    { name = "m0", address = "10.1.0.10" }, { name = "m1", address = "10.1.0.11" } } }
  for field, value in pairs(more or {}) do
    all[field] = value
  end
  return all
end

local external = { etcd = "external", etcd_members = { { name = "e0", address = "10.1.0.20" },
  { name = "e1", address = "10.1.0.21", sans = { "etcd.example.org" } } } }

local function apply(dir, declaration, settings)
  return pki.apply(check.ok(pki.store(dir.path .. "/store", settings)), declaration)
end

-- A certificate in one line: subject, usages, names.
local function line(store, name)
  local fields = check.ok(store:get(name)).fields
  local function join(list, n)
    local texts = {}
    for i, item in ipairs(list or {}) do
      texts[i] = n and item[n] or item
    end
    return table.concat(texts, " ")
  end
  local subject = {}
  for i, entry in ipairs(fields.subject) do
    subject[i] = entry[1] .. "=" .. entry[2]
  end
  return table.concat({ join(subject), join(fields.extended), join(fields.names, 2) }, " | ")
end

local api = "m0 kubernetes kubernetes.default kubernetes.default.svc"
  .. " kubernetes.default.svc.cluster.local 10.96.0.1 10.1.0.10 api.example.org"

test("kubeadm's whole layout of 1.30 with stacked etcd", function()
  local dir <close> = scratch()
  local items = check.ok(apply(dir, { kubeadm = options() }))
  check.equal(#items, 3 + 1 + 1 + 2 * 6 + 2 * 4 + 1)
  local store = check.ok(pki.store(dir.path .. "/store"))
  check.equal({
    line(store, "ca"), line(store, "front-proxy-ca"), line(store, "etcd/ca"),
    line(store, "masters/m0/apiserver"), line(store, "masters/m0/apiserver-kubelet-client"),
    line(store, "masters/m0/front-proxy-client"), line(store, "masters/m1/etcd/server"),
    line(store, "masters/m1/etcd/peer"), line(store, "masters/m1/etcd/healthcheck-client"),
    line(store, "apiserver-etcd-client"),
  }, {
    "CN=kubernetes |  | ", "CN=front-proxy-ca |  | ", "CN=etcd-ca |  | ",
    "CN=kube-apiserver | serverAuth | " .. api,
    "O=kubeadm:cluster-admins CN=kube-apiserver-kubelet-client | clientAuth | ",
    "CN=front-proxy-client | clientAuth | ",
    "CN=m1 | serverAuth clientAuth | m1 localhost 10.1.0.11 127.0.0.1 ::1",
    "CN=m1 | serverAuth clientAuth | m1 localhost 10.1.0.11 127.0.0.1 ::1",
    "CN=kube-etcd-healthcheck-client | clientAuth | ",
    "CN=kube-apiserver-etcd-client | clientAuth | ",
  })
  for _, item in ipairs(check.ok(apply(dir, { kubeadm = options() }))) do
    check.equal(item.outcome, "kept", item.name)
  end
end)

test("before 1.29 the groups are others, before 1.15 the keys are RSA", function()
  local dir <close> = scratch()
  check.ok(apply(dir, { kubeadm = options { version = "v1.13.1", masters = {
    { name = "m0", address = "10.1.0.10" } } } }))
  local store = check.ok(pki.store(dir.path .. "/store"))
  check.contains(line(store, "masters/m0/apiserver-kubelet-client"), "O=system:masters")
  check.contains(line(store, "apiserver-etcd-client"), "O=system:masters")
  check.equal(store:get("ca").fields.key_type, "rsa-2048")
  check.equal(sys.stat(store:path("super-admin", ".conf")), nil)
  local none, message = pki.kubeadm.declare(options { version = "1.13", key = "ecdsa-p256" })
  check.equal(none, nil)
  check.contains(message, "reads RSA keys alone")
end)

-- An authority that somebody else has made, with a key of this type.
local function own_authority(dir, key_type)
  local path = ("%s/own-%s"):format(dir.path, key_type)
  local other = check.ok(pki.store(path))
  check.ok(other:ca { name = "own", subject = "an authority of our own", key = key_type })
  return { certificate = other:path("own", ".crt"), key = other:path("own", ".key") }
end

test("authorities of one's own are taken instead of new ones", function()
  local dir <close> = scratch()
  local import = { ca = own_authority(dir, "rsa-2048"),
    ["etcd-ca"] = own_authority(dir, "ecdsa-p384") }
  local declaration = { kubeadm = options { import = import, etcd = "external",
    etcd_members = external.etcd_members } }
  check.ok(apply(dir, declaration))
  local store = check.ok(pki.store(dir.path .. "/store"))
  check.equal(line(store, "ca"), "CN=an authority of our own |  | ")
  for leaf, issuer in pairs { ["masters/m0/apiserver"] = "ca", ["members/e0/peer"] = "etcd-ca",
    ["masters/m0/front-proxy-client"] = "front-proxy-ca" } do
    check.equal(store:get(leaf).certificate:signed_by(store:get(issuer).certificate), true, leaf)
  end
  check.ok(sys.remove(import.ca.certificate))
  for _, item in ipairs(check.ok(apply(dir, declaration))) do
    check.equal(item.outcome, "kept", item.name)
  end
  import["etcd/ca"] = import.ca
  local none, message = apply(dir, declaration)
  check.equal(none, nil)
  check.contains(message, "the authorities are ca, front-proxy-ca and etcd-ca, not etcd/ca")
end)

test("an authority whose key kubeadm cannot read is refused before anything is made", function()
  local dir <close> = scratch()
  local import = { ca = own_authority(dir, "ecdsa-p256") }
  for _, more in ipairs { { uploaded = true }, { version = "1.13.1" } } do
    more.import = import
    local none, message = apply(dir, { kubeadm = options(more) })
    check.equal(none, nil)
    check.contains(message, "ca: kubeadm reads this key as RSA alone (before 1.15, and later where")
    check.equal(sys.stat(dir.path .. "/store/ca.key"), nil)
  end
  check.ok(apply(dir, { kubeadm = options { import = import } }))
end)

test("an external etcd has certificates per member, and its authority's key stays", function()
  local dir <close> = scratch()
  local all = options(external)
  check.ok(apply(dir, { kubeadm = all }))
  local store = check.ok(pki.store(dir.path .. "/store"))
  check.equal(line(store, "members/e1/server"),
    "CN=e1 | serverAuth clientAuth | e1 localhost 10.1.0.21 127.0.0.1 ::1 etcd.example.org")
  check.equal(store:get("members/e0/peer").certificate:signed_by(store:get("etcd-ca").certificate),
    true)
  check.equal(sys.stat(store:path("etcd/ca", ".crt")), nil)
  for _, list in ipairs({ pki.kubeadm.shared_files(all), pki.kubeadm.master_files(all, "m0"),
    pki.kubeadm.member_files("e0") }) do
    for _, file in ipairs(list) do
      check.equal(file.name == "etcd-ca" and file.suffix == ".key", false)
      check.ok(sys.stat(store:path(file.name, file.suffix)), file.name .. file.suffix)
    end
  end
end)

test("masters share their authorities and nothing else", function()
  local function paths(list)
    local texts = {}
    for i, file in ipairs(list) do
      texts[i] = file.to:gsub("^/etc/kubernetes/", "") .. (" %o"):format(file.mode)
    end
    return table.concat(texts, "\n")
  end
  check.equal(paths(pki.kubeadm.shared_files(options())), [[
pki/ca.crt 644
pki/ca.key 600
pki/front-proxy-ca.crt 644
pki/front-proxy-ca.key 600
pki/sa.key 600
pki/sa.pub 644
pki/etcd/ca.crt 644
pki/etcd/ca.key 600]])
  local alone = paths(pki.kubeadm.master_files(options(), "m0"))
  check.equal(alone:find("ca.key", 1, true), nil)
  for _, name in ipairs({ "apiserver.key 600", "etcd/peer.crt 644", "sa.key", "kubelet.conf 600",
    "admin.conf 600", "pki/apiserver-etcd-client.key" }) do
    check.contains(alone, name)
  end
end)

test("a kubeconfig is YAML whose certificate the cluster's authority signed", function()
  local dir <close> = scratch()
  check.ok(apply(dir, { kubeadm = options { cluster = 'a "b" c' } }))
  local store = check.ok(pki.store(dir.path .. "/store"))
  local config = check.ok(yaml.load_file(store:path("masters/m0/kubelet", ".conf")))
  check.equal(config["current-context"], config.contexts[1].name)
  check.equal(config.clusters[1].name, 'a "b" c')
  check.equal(config.clusters[1].cluster.server, "https://api.example.org:6443")
  check.equal(config.users[1].name, "system:node:m0")
  local function decode(text)
    return program.run({ "base64", "-d" }, { input = text }).out
  end
  local user = config.users[1].user
  local leaf = check.ok(core.certificates(decode(user["client-certificate-data"])))[1]
  local ca = check.ok(core.certificates(decode(
    config.clusters[1].cluster["certificate-authority-data"])))[1]
  check.equal(leaf:signed_by(ca), true)
  check.equal(leaf:matches(check.ok(core.read_key(decode(user["client-key-data"])))), true)
  local subject = leaf:fields().subject
  check.equal({ subject[1][2], subject[2][2] }, { "system:nodes", "system:node:m0" })
end)

test("a kubeconfig is rewritten when its server changes, with the same certificate", function()
  local dir <close> = scratch()
  local function conf(server)
    local store = check.ok(pki.store(dir.path .. "/store"))
    check.ok(store:ca { name = "ca" })
    return check.ok(store:kubeconfig { name = "admin", cluster = "c", user = "u", issuer = "ca",
      server = server })
  end
  local function user_part(item)
    return item.text:match("users:.*")
  end
  local first = conf("https://10.0.0.1:6443")
  local second = conf("https://10.0.0.2:6443")
  check.contains(second.outcome, "rewritten")
  check.equal(user_part(second), user_part(first))
  check.equal(conf("https://10.0.0.2:6443").outcome, "kept")
  check.equal(sys.stat(second.path).mode, tonumber("600", 8))
end)

test("the hash of the authority is what openssl makes of its public key", function()
  local dir <close> = scratch()
  check.ok(apply(dir, { authorities = { { name = "ca" } } }))
  local path = dir.path .. "/store/ca.crt"
  local want = program.run { "sh", "-c", 'openssl x509 -pubkey -noout -in "$1" | openssl pkey '
    .. '-pubin -outform der | openssl dgst -sha256 -r | cut -d" " -f1', "sh", path }
  check.equal(pki.ca_hash(sys.read_file(path)) .. "\n", "sha256:" .. want.out)
end)

test("dual stack and networks that are none", function()
  local declared = check.ok(pki.kubeadm.declare(options {
    service_subnet = "10.96.0.0/12,fd00::/108", endpoint = "[fd01::10]:6443" }))
  local hosts = {}
  for _, host in ipairs(declared.certificates[2].hosts) do
    hosts[host] = true
  end
  check.equal({ hosts["10.96.0.1"], hosts["fd00::1"], hosts["fd01::10"] }, { true, true, true })
  for _, case in ipairs({ { "service_subnet", "10.96.0.0" }, { "service_subnet", "10.0.0.0/33" },
    { "version", "stable" }, { "etcd", "both" }, { "masters", {} }, { "colour", "red" },
    { "masters", { { name = "m0", address = "m0" } } } }) do
    local none, message = pki.kubeadm.declare(options { [case[1]] = case[2] })
    check.equal(none, nil)
    check.contains(message, case[1])
  end
  check.equal(ip.nth("10.0.255.255/16", 1), "10.0.0.1")
  check.equal(ip.nth("fd00::ffff:ffff/108", 10), "fd00::fff0:a")
end)

test("the same name twice in a declaration is refused", function()
  local dir <close> = scratch()
  local none, message = apply(dir, { authorities = { { name = "ca" } },
    certificates = { { name = "ca", issuer = "ca" } } })
  check.equal(none, nil)
  check.contains(message, "ca is declared twice")
end)
