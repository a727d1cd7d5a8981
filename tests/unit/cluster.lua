-- The settings of a cluster: what is wrong with them is said with file and line, all at once,
-- before anything is connected; and the example has them all.
local test = ...
local check = require "lib.check"
local cluster = require "modules.cluster"
local cluster_check = require "modules.cluster.check"
local minimums = require "modules.kubeadm.minimums"
local network = require "modules.cluster.network"
local profiles = require "modules.cluster.profiles"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"
local yaml = require "kb.yaml"

local EXAMPLE = "playbooks/inventory.example.yaml"

local good = { version = "1.20.2", endpoint = "10.0.0.1:6443", bundle = "/b", store = "/s" }

local function with(over)
  local given = {}
  for k, v in pairs(good) do
    given[k] = v
  end
  for k, v in pairs(over) do
    given[k] = v
  end
  return given
end

local nodes = { { name = "m0", address = "10.0.0.10" }, { name = "w0", address = "10.0.0.20" } }

-- What is found, as "path: message" each.
local function findings(over, at)
  local _, found = cluster_check.read(with(over), at or nodes)
  local list = {}
  for i, finding in ipairs(found) do
    list[i] = table.concat(finding.path, ".") .. ": " .. finding.message
  end
  return table.concat(list, "\n"), #found
end

test("what is right has nothing said of it, and defaults", function()
  local c, found = cluster_check.read(good, nodes)
  check.equal(found, {})
  check.equal({ c.runtime, c.cni, c.certificates, c.etcd.data_dir, c.kubeadm_api, c.minor },
    { "docker", "bridge", "copy", "/var/lib/etcd/kubernetes", "v1beta2", 20 })
  check.equal(cluster_check.read(with { version = "1.34.1" }, nodes).runtime, "containerd")
end)

local wrong = {
  { { verson = "1.20.2" }, 'verson: there is no such setting; did you mean "version"?' },
  { { version = "1.20" }, "version: an exact version such as 1.20.2" },
  { { version = "1.99.1" }, "version: 1.99.1: 1.13 to 1.36 are known" },
  { { endpoint = "10.0.0.1" }, "endpoint: \"10.0.0.1\" is no name or address with a port" },
  { { public_endpoint = "x.example:6443" }, "x.example is not in sans" },
  { { runtime = "podman" }, "runtime: must be one of docker, containerd" },
  { { version = "1.30.0", runtime = "docker" }, "runtime: Kubernetes 1.30.0 has no docker" },
  { { kubeadm_api = "v1beta4" }, "kubeadm 1.20.2 reads v1beta1, v1beta2, not v1beta4" },
  { { version = "1.13.1", certificates = "upload-certs" }, "cannot upload certificates" },
  { { pod_subnet = "10.244.0.0" }, "pod_subnet: \"10.244.0.0\" is no IPv4 network" },
  { { pod_subnet = "10.100.0.0/16" }, "pod_subnet: 10.100.0.0/16 and service_subnet 10.96.0.0/12" },
  { { pod_subnet = "10.0.0.0/16" }, "10.0.0.0/16 holds the addresses of m0 (10.0.0.10), w0" },
  { { pod_subnet = "10.244.0.0/24" }, "has room for 1 networks of /24, and there are 2 nodes" },
  { { service_subnet = "10.96.0.0/28" }, "service_subnet: 10.96.0.0/28 is too small" },
  { { etcd = { data_dir = "/var/lib/etcd" } }, "etcd.data_dir: /var/lib/etcd is kubeadm's own" },
  { { etcd = { quota = 5 } }, "etcd.quota: there is no such setting" },
  { { etcd = { heartbeat_ms = 500 } }, "etcd.election_ms: 1000 is less than five heartbeats" },
  { { authorities = { ["etcd-ca"] = {} } },
    "authorities.etcd-ca: there is no such setting; did you mean" },
  { { authorities = { ca = { certificate = "/ca.crt" } } }, "authorities.ca: 'key' is missing" },
  { { addons = { metalb = {} } }, 'addons.metalb: there is no such setting; did you mean' },
  { { addons = { metallb = { version = "0.14.9" } } }, "addons.metallb: 'addresses' is missing" },
  { { addons = { metallb = { version = "0.14.9", addresses = { "10.244.0.5" } } } },
    "addons.metallb.addresses.1: 10.244.0.5 overlaps pod_subnet" },
}

test("authorities of one's own are in the declaration, by their names in the store", function()
  local c = cluster_check.read(with { certificates = "upload-certs", authorities = {
    front_proxy_ca = { certificate = "/f.crt", key = "/f.key", passphrase = "open sesame" } } },
    nodes)
  c.masters, c.members = nodes, nodes
  local declared = cluster.certificates(c).kubeadm
  check.equal({ declared.import, declared.uploaded }, { { ["front-proxy-ca"] = {
    certificate = "/f.crt", key = "/f.key", passphrase = "open sesame" } }, true })
end)

test("what is wrong is found, each with its path", function()
  for _, case in ipairs(wrong) do
    local text, count = findings(case[1])
    check.contains(text, case[2])
    check.equal(count, 1, text)
  end
end)

test("several wrong settings are told at once, with file and line, before connecting", function()
  local dir <close> = scratch()
  local path = dir.path .. "/inventory.yaml"
  local text = check.ok(sys.read_file(EXAMPLE))
    :gsub("pod_subnet: [^\n]*", "pod_subnett: 10.0.0.0/8")
    :gsub('version: "[^\n]*', 'version: "1.20"'):gsub("service_subnet: [^\n]*",
      "service_subnet: {}")
  check.ok(sys.write_file(path, text))
  local r = program.run { program.kbrun, "playbooks/site.lua", "-i", path }
  check.equal(r.status, 2, r.out .. r.err)
  local lines = {}
  local n = 0
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    n = n + 1
    lines[line:match "^ *([%w_]+):" or ""] = n
  end
  check.contains(r.err, ("%s:%d: cluster.version: an exact version"):format(path, lines.version))
  check.contains(r.err, ('%s:%d: cluster.pod_subnett: there is no such setting; did you mean '
    .. '"pod_subnet"?'):format(path, lines.pod_subnett))
  check.contains(r.err, ("%s:%d: cluster.service_subnet: must be a string, got a map"):format(path,
    lines.service_subnet))
end)

test("without the variable the playbook is refused", function()
  local dir <close> = scratch()
  local path = dir.path .. "/inventory.yaml"
  check.ok(sys.write_file(path, "all: {children: {bastion: {hosts: {a0: {}}}, "
    .. "masters: {hosts: {m0: {}}}, workers: {hosts: {w0: {}}}}}\n"))
  local r = program.run { program.kbrun, "playbooks/site.lua", "-i", path }
  check.equal(r.status, 2)
  check.contains(r.err, "variable 'cluster' is not defined for any of its hosts")
end)

-- Every setting stands in the example, with its name as a key, and in comments with its default.
test("the example has every setting, and is itself right", function()
  local text = check.ok(sys.read_file(EXAMPLE))
  local function all(declared, path)
    for _, entry in ipairs(declared) do
      check.ok(text:find("%f[%w_]" .. entry[1] .. ":"), path .. entry[1] .. " is missing")
      all(entry.fields or {}, path .. entry[1] .. ".")
    end
  end
  all(cluster.declared, "cluster.")
  -- "#key: …" and, deeper, "#  key: …" are settings; "# Words" are words
  local without_marks = text:gsub("\n( +)#([%l_]+:)", "\n%1%2")
    :gsub("\n( +)#(  +[%l_]+:)", "\n%1%2")
  for _, version in ipairs { text, without_marks } do
    local loaded = check.ok(yaml.load(version, { name = EXAMPLE }))
    local _, found = cluster_check.read(loaded.all.vars.cluster, nodes)
    check.equal(found, {})
  end
end)

test("a profile is what its version has, and takes the containerd that goes with it", function()
  local p13, p20, p36 = profiles.of(13), profiles.of(20), profiles.of(36)
  check.equal({ p13.api, p13.pause, p13.health, p13.docker, p13.apis },
    { "kubeadm.k8s.io/v1beta1", "3.1", "/healthz", true, { "v1alpha3", "v1beta1" } })
  check.equal({ p20.api, p20.pause, p20.health, p20.repository },
    { "kubeadm.k8s.io/v1beta2", "3.2", "/readyz", "k8s.gcr.io" })
  check.equal({ p36.api, p36.apis, p36.cgroup_v2, p36.sandbox_flag, p36.repository },
    { "kubeadm.k8s.io/v1beta4", { "v1beta3", "v1beta4" }, true, false, "registry.k8s.io" })
  local takes = profiles.takes_containerd
  check.equal({ takes(p20, "1.6.20~ds1"), takes(p36, "1.7.28"), takes(p36, "2.2.1"),
    takes(p36, "2.4.0"), takes(profiles.of(32), "1.7.23"), takes(profiles.of(32), "1.7.24") },
    { true, false, true, true, false, true })
end)

test("what a host has too little of for a version, all at once", function()
  local function of(version, has)
    local c = cluster_check.read(with { version = version, runtime = "containerd" }, nodes)
    return minimums.findings(c, has)
  end
  check.equal(of("1.20.2", { containerd = "1.6.20", etcd = "3.4.23", cgroups = 1 }), {})
  check.equal(of("1.20.2", { containerd = false, etcd = false, cgroups = 1 }), {})
  local found = of("1.36.4", { containerd = "1.7.28", etcd = "3.5.23", cgroups = 1 })
  check.equal(#found, 3, table.concat(found, "\n"))
  check.contains(found[1], "containerd 1.7.28: Kubernetes 1.36.4 needs 2.2.0, 2.3.0 or newer")
  check.contains(found[2], "etcd 3.5.23: kubeadm 1.36.4 takes 3.5.24 or newer")
  check.contains(found[3], "control groups of version 1")
end)

test("networks: what they hold, and what overlaps", function()
  local range = network.range
  check.equal(range "10.0.0.300", nil)
  check.equal(range "10.0.0.9-10.0.0.1", nil)
  check.equal(range("10.0.0.5/24").last - range("10.0.0.5/24").first, 255)
  check.equal(network.overlap(range "10.0.0.0/24", range "10.0.0.250-10.0.1.5"), true)
  check.equal(network.overlap(range "10.0.0.0/24", range "10.0.1.0/24"), false)
  check.equal(network.holds(range "10.0.0.0/24", "m0.example.org"), false)
end)
