--- What the variable `cluster` may hold: every setting, its type, its meaning and its default.
-- Entries are those of kb.args; `fields` declares what is in a map.

local M = {}

local arguments = { "extra_args", "map", "arguments of the program: name without dashes: value",
  default = {} }

local etcd = {
  { "data_dir", "path", "where a member keeps its data; not kubeadm's own, which its reset empties",
    default = "/var/lib/etcd/kubernetes" },
  { "quota_bytes", "integer", "how large the database may become", default = 2147483648 },
  { "heartbeat_ms", "integer", "how often the leader speaks", default = 100 },
  { "election_ms", "integer", "how long its silence is borne: ten heartbeats", default = 1000 },
  { "compaction_hours", "integer", "how long old revisions are kept", default = 8 },
}

local kubelet = {
  arguments,
  { "resolv_conf", "path", "the name servers of pods, where the host's own are a local resolver" },
  { "max_pods", "integer", "how many pods a node takes", default = 110 },
}

local timeouts = {
  { "control_plane", "string", "how long kubeadm waits for the API", default = "4m0s" },
  { "discovery", "string", "how long a node that joins looks for the cluster", default = "5m0s" },
}

local authority = {
  { "certificate", "path", "its certificate on the operator's machine", required = true },
  { "key", "path", "its private key", required = true },
  { "passphrase", "content", "what the key is encrypted with" },
}

local authorities = {
  { "ca", "map", "that of the API and of the nodes", fields = authority },
  { "front_proxy_ca", "map", "that of servers behind the API", fields = authority },
  { "etcd_ca", "map", "that of etcd", fields = authority },
}

local metallb = {
  { "version", "string", "MetalLB's version: before 0.13 a ConfigMap says the addresses",
    required = true },
  { "addresses", "list", "what it gives away: 10.0.0.240-10.0.0.250, 10.0.1.0/28",
    required = true },
  { "manifest", "string", "its manifest: a file of the bundle, or a path on this machine",
    default = "metallb.yaml" },
  { "namespace", "string", "the namespace it runs in", default = "metallb-system" },
}

local smoke = {
  { "image", "string", "a web server on port 80, with a shell; absent: the bundle's …/web:…" },
  { "node_port", "integer", "the port of every node that it is given; absent: any that is free" },
  { "keep", "boolean", "whether what was deployed stays", default = false },
  { "stop_master", "boolean", "whether a master hangs for a moment, where there are three",
    default = true },
}

--- The settings in the order in which people read them.
M.settings = {
  { "name", "string", "its name in kubeconfigs", default = "kubernetes" },
  { "version", "string", "the version of Kubernetes: 1.20.2", required = true },
  { "endpoint", "string", "where the API answers: an address or name that all nodes know, and port",
    required = true },
  { "sans", "list", "more names and addresses in the API's certificate", default = {} },
  { "public_endpoint", "string", "how the operator's machine reaches the API; absent: endpoint" },
  { "kubeconfig", "string", "the kubeconfig on the operator's machine that the cluster is added "
    .. "to, or none", default = "~/.kube/config" },
  { "bundle", "path", "the offline bundle on the operator's machine", required = true },
  { "store", "path", "where the certificates are kept on the operator's machine", required = true },
  { "certificates", { "copy", "upload-certs", "init-each" },
    "how further masters come to theirs: copied from the store, by kubeadm's own upload, or each "
      .. "master is initialised over the same authorities", default = "copy" },
  { "authorities", "map", "authorities of your own, taken into the store; absent: they are made",
    fields = authorities, default = {} },
  { "runtime", { "docker", "containerd" },
    "the container runtime; absent: docker before 1.24, else containerd" },
  { "cni", { "bridge", "weave", "flannel", "calico", "none" },
    "the pod network: bridge with static routes, one from a manifest, or your own",
    default = "bridge" },
  { "cni_manifest", "string", "its manifest: a file of the bundle, or a path on this machine; "
    .. "absent: weave.yaml, flannel.yaml, calico.yaml of the bundle" },
  { "pod_subnet", "string", "the network of pods", default = "10.244.0.0/16" },
  { "service_subnet", "string", "the network of services", default = "10.96.0.0/12" },
  { "node_cidr_mask_size", "integer", "the size of the pods' network of each node", default = 24 },
  { "domain", "string", "the DNS domain of services", default = "cluster.local" },
  { "image_repository", "string", "where images are named after; absent: the version's own" },
  { "kubeadm_api", "string", "the version of kubeadm's configuration; absent: its newest" },
  { "api_server", "map", "the API server's own", fields = { arguments }, default = {} },
  { "controller_manager", "map", "the controller manager's own", fields = { arguments },
    default = {} },
  { "scheduler", "map", "the scheduler's own", fields = { arguments }, default = {} },
  { "kubelet", "map", "the kubelets' own", fields = kubelet, default = {} },
  { "etcd", "map", "etcd's own: a member on every master, as a service of systemd", fields = etcd,
    default = {} },
  { "timeouts", "map", "kubeadm's patience", fields = timeouts, default = {} },
  { "addons", "map", "what runs in the cluster beside it", default = {},
    fields = { { "metallb", "map", "addresses for services of type LoadBalancer",
      fields = metallb } } },
  { "smoke", "map", "how the cluster is proven to work", fields = smoke, default = {} },
  { "skip_phases", "list", "phases of kubeadm init that are left out", default = {} },
  { "ignore_preflight", "list", "kubeadm's checks whose failure is accepted", default = {} },
  { "conntrack_max_per_core", "integer", "kube-proxy's setting; 0 leaves the kernel's" },
  { "token_ttl", "string", "how long a token to join with lives", default = "2h0m0s" },
}

return M
