--- What differs between versions of Kubernetes, as data.
-- Numbers are from kubeadm's own API types and constants, the release notes of
-- kubernetes/kubernetes (k/k below), Kubespray's pinned versions ("kubespray") and, where it says
-- so, from real binaries. `kubeadm config images list` of the very binary is the last word on
-- images; the tests compare these with what a real kubeadm 1.20.2 says.

local M = {}

-- Which versions of kubeadm read which of its configuration's versions: k/k's deprecations;
-- v1beta3 is gone in 1.37 (k/k#136016).
local apis = {
  { "v1alpha3", 12, 14 }, { "v1beta1", 13, 21 }, { "v1beta2", 15, 26 }, { "v1beta3", 22, 36 },
  { "v1beta4", 31, 36 },
}

-- Each entry holds from its minor version on, until a later one says otherwise.
local since = {
  { 13, repository = "k8s.gcr.io", health = "/healthz", -- readyz came with 1.16
    -- kubeadm's check NumCPU, unchanged to 1.36; 1 GB is what masters of 1.13 were seen to run in
    cores = 2, memory = 900,
    docker = true, docker_newest = "18.06", runtime = "docker", -- SystemVerification of 1.13
    containerd = { "1.2.0" }, cgroup_driver = "systemd", cgroup_v2 = false,
    certs_command = "kubeadm alpha certs", drain_flag = "--delete-local-data",
    labels = { "node-role.kubernetes.io/master" }, taints = { "node-role.kubernetes.io/master" },
    etcd_oldest = "3.2.18", -- kubeadm's MinExternalEtcdVersion
    dockershim_socket = "/var/run/dockershim.sock",
    containerd_socket = "/run/containerd/containerd.sock",
    pause = "3.1", coredns = "coredns:1.2.6", etcd = "3.2.24", -- kubespray 2018-12-31
    network_plugin_flag = true, sandbox_flag = true },
  { 14, upload_certs_flag = "--experimental-upload-certs", docker_newest = "18.09" },
  { 15, upload_certs_flag = "--upload-certs" },
  { 16, health = "/readyz" },
  { 17, docker_newest = "19.03" }, -- SystemVerification's list; newer ones only warn
  { 18, pause = "3.2" },
  { 19, memory = 1700 }, -- kubeadm's check Mem, unchanged to 1.36
  { 20, labels = { "node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master" },
    certs_command = "kubeadm certs", drain_flag = "--delete-emptydir-data",
    containerd = { "1.4.0" }, -- what CRI v1alpha2 of 1.20 was tested with
    coredns = "coredns:1.7.0", etcd = "3.4.13-0" }, -- kubespray 2021-04-19
  { 21, coredns = "coredns/coredns:v1.8.0" }, -- the image moved, its tag gained the v
  { 22, pause = "3.5" },
  { 23, pause = "3.6" },
  { 24, docker = false, docker_newest = false, runtime = "containerd", pause = "3.7",
    network_plugin_flag = false, -- dockershim and its flags are gone
    containerd_socket = "unix:///run/containerd/containerd.sock",
    labels = { "node-role.kubernetes.io/control-plane" },
    taints = { "node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master" } },
  { 25, repository = "registry.k8s.io", pause = "3.8",
    taints = { "node-role.kubernetes.io/control-plane" } },
  { 26, pause = "3.9", containerd = { "1.6.0" } }, -- CRI v1 alone
  { 28, etcd_oldest = "3.4.13" },
  { 30, coredns = "coredns/coredns:v1.11.1", etcd = "3.5.12-0" },
  { 31, etcd_oldest = "3.5.11", pause = "3.10", etcd = "3.5.15-0" },
  { 32, coredns = "coredns/coredns:v1.11.3", etcd = "3.5.16-0",
    containerd = { "1.6.36", "1.7.24", "2.0.1", "2.1.0" } }, -- containerd's list of releases
  { 33, coredns = "coredns/coredns:v1.12.0", etcd = "3.5.21-0",
    containerd = { "2.0.4" } },
  { 34, etcd_oldest = "3.5.24", pause = "3.10.1", coredns = "coredns/coredns:v1.12.1",
    etcd = "3.6.4-0", containerd = { "1.7.28", "2.1.3" } },
  -- kubelet refuses cgroup v1 (failCgroupV1) and knows no --pod-infra-container-image (k/k#133778)
  { 35, cgroup_v2 = true, sandbox_flag = false, coredns = "coredns/coredns:v1.12.4",
    etcd = "3.6.6-0" },
  { 36, pause = "3.10.2", coredns = "coredns/coredns:v1.14.2", etcd = "3.6.8-0",
    containerd = { "2.2.0", "2.3.0" } },
}

M.oldest, M.newest = 13, 36

--- The minors whose rendered configuration is kept in tests/golden; those between use the same
-- data, but their tags of CoreDNS and etcd are of the nearest older one here.
M.kept = { 13, 20, 30, 31, 32, 33, 34, 35, 36 }

--- The versions of kubeadm's configuration that a version of kubeadm reads, the oldest first.
-- @param minor integer
-- @return list of strings: "v1beta2"
function M.apis(minor)
  local list = {}
  for _, entry in ipairs(apis) do
    if minor >= entry[2] and minor <= entry[3] then
      list[#list + 1] = entry[1]
    end
  end
  return list
end

--- The profile of a minor version.
-- @param minor integer: 20 for 1.20
-- @return table: minor, api (kubeadm's: "kubeadm.k8s.io/v1beta2", the newest it reads), apis (list
-- of those it reads), repository (of images), pause, etcd (tags), coredns (path and tag), health
-- (the API's path), cores, memory (MB; a master's least), runtime (the default), docker (boolean:
-- dockershim is there), docker_newest (validated; false: none), containerd (list: the oldest patch
-- of each of its releases that will do), etcd_oldest (version), cgroup_driver, cgroup_v2 (boolean:
-- version 1 is refused), labels, taints (lists of the control plane's names), containerd_socket,
-- dockershim_socket, upload_certs_flag (nil: it cannot), certs_command, drain_flag,
-- network_plugin_flag, sandbox_flag (booleans: the kubelet has these flags)
function M.of(minor)
  local profile = { minor = minor, apis = M.apis(minor) }
  for _, entry in ipairs(since) do
    if entry[1] <= minor then
      for key, value in pairs(entry) do
        if type(key) == "string" then
          profile[key] = value
        end
      end
    end
  end
  local newest = profile.apis[#profile.apis]
  profile.api = newest and "kubeadm.k8s.io/" .. newest
  return profile
end

-- major and minor in one number, and the patch
local function parts(version)
  local major, minor, patch = version:match("^v?(%d+)%.(%d+)%.?(%d*)")
  if major then
    return tonumber(major) << 16 | tonumber(minor), tonumber(patch) or 0
  end
end

--- Whether a version is another one or newer.
-- @param version string: "3.4.23"
-- @param oldest string
-- @return boolean; false also for what is no version
function M.at_least(version, oldest)
  local release, patch = parts(version)
  local its_release, its_patch = parts(oldest)
  return release ~= nil and (release > its_release or release == its_release
    and patch >= its_patch)
end

--- Whether a version of containerd will do: in a release that the profile names, from its patch on;
-- or in a newer release.
-- @param profile table
-- @param version string: "1.6.20~ds1"
-- @return boolean
function M.takes_containerd(profile, version)
  local release, patch = parts(version)
  local newest
  for _, oldest in ipairs(profile.containerd) do
    local its_release, its_patch = parts(oldest)
    if release == its_release then
      return patch >= its_patch
    end
    newest = its_release
  end
  return release ~= nil and release > newest
end

return M
