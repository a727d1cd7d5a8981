-- The container runtime, and Kubernetes' own packages.
local kb = require "kb"
local bundle, cluster, docker = kb.use("bundle", "cluster", "docker")

local PACKAGES = { "docker.io", "conntrack", "socat", "ebtables", "ethtool", "kubernetes-cni",
  "kubelet", "kubeadm", "kubectl" }

kb.play { "runtime", hosts = "masters:workers", become = true, needs = { "nodes", "names" },
  tags = { "runtime" },
  function(host)
    local c = cluster.settings(host)
    docker.configuration(host)
    bundle.installed(host, { PACKAGES, path = "/var/lib/kbrun/debs", bundle = c.bundle,
      units = { "docker.service" } })
    docker.service(host)
  end }
