-- Each check of preflight finds what it is for, and nothing on a good cluster.
local test = ...
local check = require "lib.check"
local data = require "kb.data"
local nodes = require "modules.preflight.nodes"
local preflight = require "modules.preflight"
local profiles = require "modules.cluster.profiles"
local scratch = require "lib.scratch"
local settings = require "modules.preflight.settings"
local stub = require "lib.stub"
local sys = require "kb.core.sys"
local ways = require "modules.preflight.ways"
local yaml = require "kb.yaml"

require "modules.preflight.facts"
local fact = require "kb.fact"

-- Two tables as one; what the second one has wins, also inside tables.
local function laid_over(base, over)
  local copy = {}
  for k, v in pairs(base) do
    copy[k] = v
  end
  for k, v in pairs(over or {}) do
    copy[k] = type(v) == "table" and type(copy[k]) == "table" and laid_over(copy[k], v) or v
  end
  return copy
end

local function collected(fn)
  local list = {}
  fn(function(name, text)
    list[#list + 1] = name .. ": " .. text
  end)
  return table.concat(list, "\n")
end

local function cluster(over)
  return laid_over({ name = "k", version = "1.20.2", minor = 20, profile = profiles.of(20),
    runtime = "docker", skip_phases = { "addon/coredns" },
    pod_subnet = "10.244.0.0/16", service_subnet = "10.96.0.0/12",
    endpoint = "10.0.0.9:6443", image_repository = "k8s.gcr.io", ignore_preflight = {},
    store = "/store", architectures = { amd64 = true }, authorities = { ca = "aa", etcd = "ee" },
    masters = { { name = "m0", address = "10.0.0.1" }, { name = "m1", address = "10.0.0.2" },
      { name = "m2", address = "10.0.0.3" } },
    workers = { { name = "w0", address = "10.0.0.4" } } }, over)
end

local function node(name, address, role, over)
  return laid_over({ name = name, address = address, roles = { [role] = true },
    host = { id = "debian", version = "12", arch = "amd64", cores = 2, memory = 2048, disk = 9000,
      hostname = name, machine_id = "id-" .. name, offset = 0.01, interfaces = {
        [address] = { name = "eth0", mac = "02:" .. address } } },
    marks = { data = {}, joined = false, uuid = "uuid-" .. name }, listeners = {} }, over)
end

local m1 = node("m1", "10.0.0.2", "masters")
local w0 = node("w0", "10.0.0.4", "workers")

local function of_master(over, others, c)
  return collected(function(found)
    nodes.check(node("m0", "10.0.0.1", "masters", over), others or { m1, w0 }, cluster(c), found)
  end)
end

test("a good host has no findings", function()
  check.equal(of_master(), "")
  check.equal(of_master { listeners = { [6443] = { name = "kube-apiserver", pid = 1 } },
    marks = { authority = "aa", etcd_authority = "ee", data = { "/var/lib/etcd/kubernetes" },
      joined = true } }, "")
end)

for name, case in pairs {
  sudo = { { sudo = "m0: sudo to root: wrong password" }, "wrong password" },
  system = { { host = { id = "fedora", version = "41" } }, "fedora 41: Debian or Ubuntu" },
  architecture = { { host = { arch = "arm64" } }, "arm64: the bundle is for amd64" },
  cores = { { host = { cores = 1 } }, "1: a master needs 2" },
  memory = { { host = { memory = 1024 } }, "1024 MB, at least 1700" },
  disk = { { host = { disk = 3000 } }, "3000 MB free below /var/lib, at least 4000" },
  clock = { { host = { offset = -17 } }, "17 s behind the other hosts'" },
  names = { { host = { hostname = "m1" } }, "the host name m1 is m1's, too" },
  ["machine-id"] = { { host = { machine_id = "id-w0" } }, "the machine id id-w0 is w0's, too" },
  ["hardware-id"] = { { marks = { uuid = "uuid-m1" } }, "the product_uuid uuid-m1 is m1's, too" },
  address = { { address = "8.8.8.8" },
    "8.8.8.8 is on none of its interfaces, which have 10.0.0.1: say node_address" },
  ["port-holders"] = { { listeners = { [6443] = { name = "nginx", pid = 71 } } },
    "6443 is held by nginx (pid 71): kube-apiserver needs it" },
  ["other-cluster"] = { { marks = { authority = "bb" } }, "it belongs to another cluster" },
  etcd = { { marks = { data = { "/var/lib/etcd/old" }, etcd_authority = "ff" } },
    "/var/lib/etcd/old holds the data of an etcd that is not this cluster's" },
} do
  test("of one host: " .. name, function()
    local said = of_master(case[1])
    check.equal(said:match("^[^:]*"), name)
    check.contains(said, case[2])
    check.equal(select(2, said:gsub("\n", "")), 0, said)
  end)
end

test("what need not be", function()
  check.equal(of_master({ host = { cores = 1, memory = 1000 } }, nil,
    { ignore_preflight = { "NumCPU", "Mem" } }), "")
  check.equal(of_master { host = { disk = 900 }, marks = { joined = true } }, "")
  check.equal(of_master { listeners = { [80] = { name = "nginx", pid = 71 } } }, "")
  check.contains(of_master({ name = "M0" }), '"M0" is no name of a node')
  check.contains(of_master({ host = { interfaces = { ["10.0.0.1"] = { mac = "02:10.0.0.2" } } } }),
    "the MAC address 02:10.0.0.2 is m1's, too")
end)

test("a clock of ours that is wrong is told of as ours", function()
  local slow = { host = { offset = -400 } }
  check.contains(of_master(slow, { node("m1", "10.0.0.2", "masters", slow) }),
    "clock: this machine's is 400 s ahead of the hosts'")
  check.equal(of_master({ host = { offset = 60 } }, { node("m1", "10.0.0.2", "masters",
    { host = { offset = 61 } }) }), "")
end)

local function of_settings(name, over)
  return collected(function(found)
    settings[name](cluster(over), found)
  end)
end

test("of etcd's members and addresses", function()
  check.equal(of_settings("members", { members = { 1, 2, 3 } }), "")
  check.contains(of_settings("members", { members = { 1, 2 } }), "etcd-members: 2 members")
  check.equal(of_settings "addresses", "")
  check.contains(of_settings("addresses", { workers = { { address = "10.0.0.2" } } }),
    "address: m1 and w0 both have 10.0.0.2")
end)

local function bundle(dir, without, over)
  local items = {}
  for _, name in ipairs { "kubelet", "kubeadm", "kubectl", "kubernetes-cni", "etcd-server",
    "etcd-client", "haproxy", "docker.io" } do
    items[#items + 1] = { kind = "deb", name = name, version = "1.20.2-00", arch = "amd64",
      file = name .. ".deb", sha256 = ("0"):rep(64), size = 1 }
  end
  for _, name in ipairs { "pause:3.2", "kube-apiserver:v1.20.2", "kube-scheduler:v1.20.2",
    "kube-controller-manager:v1.20.2", "kube-proxy:v1.20.2" } do
    items[#items + 1] = { kind = "image", name = "k8s.gcr.io/" .. name, sha256 = ("1"):rep(64),
      size = 1, id = "sha256:" .. ("2"):rep(64), blobs = data.list {} }
  end
  for i = #items, 1, -1 do
    for k, v in pairs(items[i].name == without and over or {}) do
      items[i][k] = v
    end
    if items[i].name == without and not over then
      table.remove(items, i)
    end
  end
  check.ok(sys.mkdir(dir .. "/blobs/sha256"))
  for _, digit in ipairs { "0", "1" } do
    check.ok(sys.write_file(dir .. "/blobs/sha256/" .. digit:rep(64), "x"))
  end
  check.ok(sys.write_file(dir .. "/bundle.yaml", yaml.dump { version = 1, items = items }))
  return { bundle = dir }
end

test("of the bundle", function()
  local dir <close> = scratch()
  local function of_bundle(word, ...)
    local path = dir.path .. "/" .. word
    check.ok(sys.mkdir(path))
    return of_settings("bundle", bundle(path, ...))
  end
  check.equal(of_bundle "whole", "")
  check.contains(of_bundle("scheduler", "k8s.gcr.io/kube-scheduler:v1.20.2"),
    "has no image k8s.gcr.io/kube-scheduler:v1.20.2")
  check.contains(of_bundle("kubelet", "kubelet"), "has no package kubelet")
  check.contains(of_bundle("old", "kubeadm", { version = "1.19.0-00" }),
    "has kubeadm 1.19.0-00, and 1.20.2 is needed")
  check.contains(of_bundle("arm", "k8s.gcr.io/pause:3.2", { arch = "arm64" }),
    "has k8s.gcr.io/pause:3.2 for arm64, and amd64 is needed")
  local partial = bundle(dir.path .. "/whole")
  check.ok(sys.remove(dir.path .. "/whole/blobs/sha256/" .. ("0"):rep(64)))
  check.contains(of_settings("bundle", partial), "has haproxy, but not all of its contents")
  check.contains(of_settings("bundle", { bundle = dir.path .. "/none" }), "bundle: ")
  local networks = bundle(dir.path .. "/whole")
  networks.cni, networks.cni_manifest = "weave", sys.realpath "tests/golden/manifests/weave.yaml"
  networks.addons = { metallb = { manifest = "metallb.yaml" } }
  local found = of_settings("bundle", networks)
  check.contains(found, "has not: docker.io/weaveworks/weave-kube:2.5.0")
  check.contains(found, "has no file metallb.yaml")
  check.ok(sys.mkdir(dir.path .. "/mixed"))
  check.equal(settings.architectures(bundle(dir.path .. "/mixed", "kubelet", { arch = "arm64" })),
    { arm64 = true, amd64 = true })
end)

test("the ways that a cluster needs, and those that are blocked", function()
  local c = cluster()
  local list = ways.of({ name = "m0", address = "10.0.0.1", roles = { masters = true } }, c,
    { "a0" }, c.endpoint)
  local said = {}
  for i, w in ipairs(list) do
    said[i] = w.from .. ">" .. w.target
  end
  check.equal(table.concat(said, " "), "a0>10.0.0.1:6443 m1>10.0.0.1:2379 m1>10.0.0.1:2380 "
    .. "m2>10.0.0.1:2379 m2>10.0.0.1:2380 m0>10.0.0.9:6443 m1>10.0.0.1:10250 m2>10.0.0.1:10250")
  local function of_ways(reach)
    return collected(function(found)
      ways.check(list, reach, found)
    end)
  end
  check.equal(of_ways { a0 = { ["10.0.0.1:6443"] = "closed" },
    m1 = { ["10.0.0.1:2379"] = "open" } }, "")
  check.equal(of_ways { m2 = { ["10.0.0.1:2380"] = "no answer within 3 s" } },
    "ports: m2 cannot connect to 10.0.0.1:2380: no answer within 3 s (etcd's members talk)")
end)

local function asked(name, ...)
  local f = fact.find(name)
  local r = stub.shell(f:ask(...))
  return f.parse(r.out, r.code, ...)
end

test("the facts, asked of this machine", function()
  local host = asked "preflight.host"
  check.ok(host.memory > 100 and host.cores > 0 and host.disk > 0)
  check.ok(math.abs(host.offset) < 60, host.offset)
  check.equal(host.interfaces["127.0.0.1"].name, "lo")
  check.equal(asked("preflight.marks").joined, false)
  check.equal(asked("preflight.reach", "127.0.0.1:9")["127.0.0.1:9"], "closed")
end)

-- Where the package's etcd keeps its data, and what answers for it, for a while.
local function with_package_etcd(fn)
  stub.with_dir(function(dir)
    local db = dir .. "/default/member/snap/db"
    check.equal(stub.shell(("mkdir -p %s/default/member/snap %s/bin && : >%s"):format(dir, dir,
      db)).code, 0)
    check.ok(sys.write_file(dir .. "/bin/etcdctl", "#!/bin/sh\necho /registry/x\n", 493))
    local f = fact.find("preflight.marks")
    fn(("PATH=%s/bin:$PATH\n%s"):format(dir, (f:ask():gsub("/var/lib/etcd", dir))), db,
      f.parse, dir)
  end)
end

test("the package's own etcd is asked only while it uses its data", function()
  with_package_etcd(function(command, db, parse, dir)
    local unused = stub.shell(command)
    local used = stub.shell(("exec 9<%s; flock 9; %s"):format(db, command))
    check.equal(#parse(unused.out).data, 0)
    check.equal(parse(used.out).data, { dir .. "/default" })
  end)
end)

test("a blocked way is told from a free one, by the words of the system", function()
  local parse = fact.find("preflight.reach").parse
  check.equal(parse("10.0.0.1:6443 0 \n10.0.0.2:6443 124 \n10.0.0.3:6443 1 10.0.0.3: connect: "
    .. "Connection refused 10.0.0.3: line 1: /dev/tcp/10.0.0.3/6443: Connection refused \n"
    .. "10.0.0.4:6443 1 10.0.0.4: line 1: /dev/tcp/10.0.0.4/6443: No route to host \n"),
    { ["10.0.0.1:6443"] = "open", ["10.0.0.2:6443"] = "no answer within 3 s",
      ["10.0.0.3:6443"] = "closed", ["10.0.0.4:6443"] = "No route to host" })
end)

test("ss tells who holds a port", function()
  local parse = fact.find("preflight.listeners").parse
  local ports = parse('LISTEN 0 511 0.0.0.0:6443 0.0.0.0:* users:(("nginx",pid=71,fd=6))\n'
    .. 'LISTEN 0 4096 [::]:22 [::]:*\n')
  check.equal(ports[6443], { name = "nginx", pid = 71 })
  check.equal(ports[22].name, "a process that we cannot see")
end)

test("a check that is to be left out must be one", function()
  local events = stub.run([[
local kb = require "kb"
local preflight = kb.use "preflight"
kb.play { "p", hosts = "all", function(host) preflight.check(host, {}) end }
]], { vars = { preflight_skip = { "memroy" } } })
  local said = ""
  for _, event in ipairs(events) do
    said = said .. tostring(event.error or "")
  end
  check.contains(said, "preflight_skip: there is no check 'memroy'; did you mean \"memory\"?")
  check.ok(#preflight.names > 15)
end)
