-- The container runtime, and Kubernetes' own packages; on masters etcd's with them, so that apt
-- works once on each node and nobody waits for its lock. A master that fails stops what needs all
-- masters, as etcd does; a worker that fails is left out.
local kb = require "kb"
local bundle, cluster, containerd, docker = kb.use("bundle", "cluster", "containerd", "docker")

local PACKAGES = { "conntrack", "socat", "ebtables", "ethtool", "kubernetes-cni", "kubelet",
  "kubeadm", "kubectl" }

local ETCD = { "etcd-server", "etcd-client" }

local function append(list, others)
  table.move(others, 1, #others, #list + 1, list)
end

local function install(host, c, packages, units)
  append(packages, PACKAGES)
  if host:in_group("masters") then
    append(packages, ETCD)
    append(units, { "etcd.service" })
  end
  bundle.installed(host, { packages, path = "/var/lib/kbrun/debs", bundle = c.bundle,
    units = units })
end

local runtimes = {}

-- Its configuration comes first, so that it never starts with its own.
function runtimes.docker(host, c)
  docker.config(host, { version = bundle.version(c.bundle, "docker.io") })
  install(host, c, { "docker.io" }, { "docker.service", "containerd.service" })
  docker.service(host)
end

-- kubeadm asks a runtime that is not docker by way of crictl. The package brings a configuration
-- of its own, which ours replaces.
function runtimes.containerd(host, c)
  install(host, c, { "containerd", "cri-tools" }, { "containerd.service" })
  containerd.config(host, { version = bundle.version(c.bundle, "containerd"),
    sandbox_image = ("%s/pause:%s"):format(c.image_repository, c.profile.pause) })
  containerd.crictl(host, {})
  containerd.service(host)
end

local function runtime(host)
  local c = cluster.settings(host)
  runtimes[c.runtime](host, c)
end

kb.play { "runtime", hosts = "masters", become = true, needs = { "nodes", "names" },
  max_fail = 0, complete = true, tags = { "runtime" }, runtime }

kb.play { "runtime of workers", hosts = "workers", become = true, needs = { "nodes", "names" },
  tags = { "runtime" }, runtime }
