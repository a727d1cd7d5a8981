-- What a real kubeadm 1.20.2 says of the configurations that we render for it.
local test = ...
local check = require "lib.check"
local cluster = require "modules.cluster"
local cluster_check = require "modules.cluster.check"
local config = require "modules.kubeadm.config"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"
local yaml = require "kb.yaml"

local made = program.run { "tests/lab/bundle", "kubernetes" }
local KUBEADM = made.out:match "([^\n]+)\n*$" .. "/kubeadm"

local masters = { { name = "m0", address = "10.0.0.10" }, { name = "m1", address = "10.0.0.11" } }

local function settings(api, more)
  local given = { version = "1.20.2", endpoint = "10.0.0.1:6443", bundle = "/b", store = "/s",
    kubeadm_api = api, sans = { "a0.example.org" }, timeouts = { control_plane = "5m0s" },
    api_server = { extra_args = { ["audit-log-maxage"] = 30 } }, ignore_preflight = { "NumCPU" } }
  for k, v in pairs(more or {}) do
    given[k] = v
  end
  local c, findings = cluster_check.read(given, masters)
  check.equal(findings, {})
  c.image_repository = c.image_repository or c.profile.repository
  c.socket = c.profile.dockershim_socket
  c.masters, c.members, c.workers = masters, masters, {}
  return c
end

local function kubeadm(...)
  local r = program.run { KUBEADM, ... }
  check.equal(r.status, 0, r.out .. r.err)
  check.equal(r.err:find("unknown field", 1, true), nil, r.err)
  return r.out
end

-- What kubeadm makes of a text when it writes it in its newest form: its documents by kind.
local function migrated(dir, text)
  local from, to = dir.path .. "/from.yaml", dir.path .. "/to.yaml"
  check.ok(sys.write_file(from, text))
  kubeadm("config", "migrate", "--old-config", from, "--new-config", to)
  local kinds = {}
  for _, document in ipairs(check.ok(yaml.load_all(check.ok(sys.read_file(to)), {}))) do
    kinds[document.kind] = document
  end
  return kinds
end

local how = { token = "abcdef.0123456789abcdef", ca_hash = "sha256:" .. ("ab"):rep(32),
  master = true }

for _, api in ipairs { "v1beta1", "v1beta2" } do
  test("kubeadm reads all of what we say in " .. api, function()
    local dir <close> = scratch()
    local c = settings(api)
    local kinds = migrated(dir, config.init(c, masters[1]))
    local init, whole = kinds.InitConfiguration, kinds.ClusterConfiguration
    check.equal({ init.localAPIEndpoint.advertiseAddress, init.nodeRegistration.name,
      init.nodeRegistration.criSocket }, { "10.0.0.10", "m0", "/var/run/dockershim.sock" })
    check.equal({ whole.kubernetesVersion, whole.controlPlaneEndpoint, whole.imageRepository,
      whole.networking.podSubnet, whole.etcd.external.endpoints[2],
      whole.apiServer.timeoutForControlPlane, whole.apiServer.extraArgs["audit-log-maxage"],
      whole.apiServer.certSANs[1] }, { "v1.20.2", "10.0.0.1:6443", "k8s.gcr.io", "10.244.0.0/16",
      "https://10.0.0.11:2379", "5m0s", "30", "a0.example.org" })
    kinds = migrated(dir, config.join(c, masters[2], how))
    local join = kinds.JoinConfiguration
    check.equal({ join.discovery.bootstrapToken.caCertHashes[1], join.discovery.timeout,
      join.controlPlane.localAPIEndpoint.advertiseAddress },
      { how.ca_hash, "5m0s", "10.0.0.11" })
  end)
end

test("kubeadm reads the key of uploaded certificates", function()
  local dir <close> = scratch()
  local with_key = { token = how.token, ca_hash = how.ca_hash, master = true,
    certificate_key = ("cd"):rep(32) }
  local join = migrated(dir, config.join(settings("v1beta2", { certificates = "upload-certs" }),
    masters[2], with_key)).JoinConfiguration
  check.equal(join.controlPlane.certificateKey, ("cd"):rep(32))
  check.equal(join.nodeRegistration.ignorePreflightErrors[1], "NumCPU")
end)

test("the images of the profile are those that kubeadm lists", function()
  local dir <close> = scratch()
  for _, repository in ipairs { "k8s.gcr.io", "registry.example:5000/kube" } do
    local c = settings("v1beta2", { image_repository = repository })
    local path = dir.path .. "/init.yaml"
    check.ok(sys.write_file(path, config.init(c, masters[1])))
    local listed, ours = {}, cluster.images(c, true)
    for image in kubeadm("config", "images", "list", "--config", path):gmatch "%S+" do
      listed[#listed + 1] = image
    end
    table.sort(listed)
    table.sort(ours)
    check.equal(ours, listed)
  end
end)
