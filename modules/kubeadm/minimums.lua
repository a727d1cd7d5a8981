--- What a version of Kubernetes needs of what is on a host, checked before kubeadm begins.

local cluster = require "modules.cluster"
local kb = require "kb"

local M = {}

--- What a host has too little of.
-- @param c table: the cluster's settings
-- @param has table: containerd, etcd (versions, or false when they are not there), cgroups (1 or 2)
-- @return list of strings: findings; empty: none
function M.findings(c, has)
  local profile, list = c.profile, {}
  local function found(text, ...)
    list[#list + 1] = text:format(...)
  end
  if c.runtime == "containerd" and has.containerd
    and not cluster.profiles.takes_containerd(profile, has.containerd) then
    found("containerd %s: Kubernetes %s needs %s or newer", has.containerd, c.version,
      table.concat(profile.containerd, ", "))
  end
  if has.etcd and not cluster.profiles.at_least(has.etcd, profile.etcd_oldest) then
    found("etcd %s: kubeadm %s takes %s or newer", has.etcd, c.version, profile.etcd_oldest)
  end
  if profile.cgroup_v2 and has.cgroups < 2 then
    found("control groups of version 1: the kubelet of %s starts with version 2 alone "
      .. "(systemd.unified_cgroup_hierarchy=1 on the kernel's command line)", c.version)
  end
  return list
end

-- The version of something, or false: also in a preview, when it is still to be installed.
local function version_of(host, name)
  local version = kb.after(nil, function()
    return host:fact(name)
  end)
  return not kb.is_unknown(version) and version
end

--- Refuse a host that has too little for the version of Kubernetes, unless it has joined already.
-- @param host host
-- @param c table: the cluster's settings
-- @raise kb.err of kind failed with all findings
function M.check(host, c)
  local now = host:fact("kubeadm.node")
  if now.joined or now.running then
    return
  end
  local list = M.findings(c, { cgroups = host:fact("kubelet.cgroups"),
    containerd = c.runtime == "containerd" and version_of(host, "containerd.version"),
    etcd = host:in_group("masters") and version_of(host, "etcd.version") })
  if #list > 0 then
    host:fail(("%d things on this host do not go with Kubernetes %s"):format(#list, c.version),
      { evidence = table.concat(list, "\n") })
  end
end

return M
