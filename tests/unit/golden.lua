-- What is rendered for each version of Kubernetes, compared with what is kept in tests/golden: a
-- directory for each, with its settings in cluster.yaml. After a change that is meant,
--   KBRUN_GOLDEN=write ctest --test-dir build -R unit/golden
-- writes them again; the difference is then part of the commit.
local test = ...
local check = require "lib.check"
local cluster_check = require "modules.cluster.check"
local bridge = require "modules.cni.bridge"
local cni_manifest = require "modules.cni.manifest"
local containerd = require "modules.containerd.config"
local diff = require "kb.diff"
local docker = require "modules.docker"
local etcd = require "modules.etcd.config"
local haproxy = require "modules.haproxy.config"
local kubeadm = require "modules.kubeadm.config"
local kubectl = require "modules.kubectl"
local kubelet = require "modules.kubelet.config"
local metallb = require "modules.metallb"
local profiles = require "modules.cluster.profiles"
local stub = require "lib.stub"
local sys = require "kb.core.sys"
local yaml = require "kb.yaml"

local DIR = "tests/golden/"
local writing = sys.getenv "KBRUN_GOLDEN" == "write"

local masters = { { name = "m0", address = "172.17.59.89" },
  { name = "m1", address = "172.17.94.123" }, { name = "m2", address = "172.17.197.159" } }
local workers = { { name = "w0", address = "172.17.94.121" },
  { name = "w1", address = "172.17.197.158" }, { name = "w2", address = "172.17.94.122" } }

-- No secrets: every golden file is made of the same ones.
local TOKEN, HASH = "abcdef.0123456789abcdef", "sha256:" .. ("ab"):rep(32)
local KEY = ("cd"):rep(32)

local function settings(name)
  local given = check.ok(yaml.load_file(DIR .. name .. "/cluster.yaml"))
  local nodes = table.move(workers, 1, 3, 4, table.move(masters, 1, 3, 1, {}))
  local c, findings = cluster_check.read(given, nodes)
  check.equal(findings, {})
  c.image_repository = c.image_repository or c.profile.repository
  c.socket = c.profile[c.runtime == "docker" and "dockershim_socket" or "containerd_socket"]
  c.masters, c.workers, c.members = masters, workers, masters
  return c
end

local function kubeadm_files(c, files)
  files["kubeadm-init.yaml"] = kubeadm.init(c, masters[1])
  local how = { token = TOKEN, ca_hash = HASH }
  files["kubeadm-join-worker.yaml"] = kubeadm.join(c, workers[1], how)
  if c.certificates == "init-each" then
    files["kubeadm-init-m1.yaml"] = kubeadm.init(c, masters[2])
  else
    how.master, how.certificate_key = true, c.certificates == "upload-certs" and KEY or nil
    files["kubeadm-join-master.yaml"] = kubeadm.join(c, masters[2], how)
  end
end

-- What docker's operation writes on a host that has nothing yet.
local function docker_json()
  local path = "/etc/docker/daemon.json"
  local change = docker.config:decide(docker.config:check {}, stub.facts {
    { "file.stat", path, { kind = "absent" } }, { "file.digest", path, false },
    { "file.stat", "/etc/docker", { kind = "directory" } }, { "docker.version", false },
    { "user.self", { name = "root", group = "root" } } })
  for _, action in ipairs(change.actions) do
    if action.put then
      return action.put.content
    end
  end
  error("docker's configuration writes no file")
end

-- The newest containerd that goes with the version of Kubernetes.
local function containerd_toml(c)
  local list = c.profile.containerd
  return containerd.config(list[#list], { systemd_cgroup = true,
    sandbox_image = ("%s/pause:%s"):format(c.image_repository, c.profile.pause),
    registries = "/etc/containerd/certs.d", extra = {} })
end

local function network_files(c, files)
  if c.cni == "bridge" then
    files["cni-bridge.conflist"] = bridge.config "10.244.0.0/24"
    files["cni-routes.sh"] = bridge.routes { { cidr = "10.244.1.0/24",
      via = workers[1].address } }
  else
    local name = c.cni_manifest
    local text = check.ok(sys.read_file(DIR .. "manifests/" .. name))
    files["cni.yaml"] = cni_manifest.text(kubectl.manifest.documents(text, name), c)
  end
end

local function render(c)
  local files = { ["haproxy.cfg"] = haproxy.text(c), ["etcd.env"] = etcd.environment(c, masters[1]),
    ["kubelet-drop-in.conf"] = kubelet.drop_in { node_ip = masters[1].address,
      labels = { disk = "ssd" }, taints = {}, args = c.kubelet.extra_args } }
  files["profile.yaml"] = yaml.dump(c.profile, { sort = true })
  kubeadm_files(c, files)
  files[c.runtime == "docker" and "daemon.json" or "containerd.toml"] = c.runtime == "docker"
    and docker_json() or containerd_toml(c)
  network_files(c, files)
  if c.addons.metallb then
    files["metallb-pool.yaml"] = metallb.pool(c)
  end
  return files
end

local function compare(name, files)
  for file, text in pairs(files) do
    local path = DIR .. name .. "/" .. file
    if writing then
      check.ok(sys.write_file(path, text))
    end
    local kept = sys.read_file(path)
    if kept ~= text then
      error(("%s is not what is rendered now:\n%s"):format(path, diff.unified(kept or "", text)))
    end
  end
  for _, file in ipairs(check.ok(sys.list(DIR .. name))) do
    if not files[file] and file ~= "cluster.yaml" then
      check.ok(writing and sys.remove(DIR .. name .. "/" .. file),
        ("%s%s/%s is rendered by nothing"):format(DIR, name, file))
    end
  end
end

local minors = {}

for _, name in ipairs(check.ok(sys.list(DIR))) do
  if sys.stat(DIR .. name .. "/cluster.yaml") then
    minors[math.tointeger(tonumber(name:match("^1%.(%d+)")))] = true
    test("the configuration of " .. name .. " is as it is kept", function()
      compare(name, render(settings(name)))
    end)
  end
end

test("every version that is supported by name has its files", function()
  for _, minor in ipairs(profiles.kept) do
    check.ok(minors[minor], "tests/golden has nothing of 1." .. minor)
  end
end)
