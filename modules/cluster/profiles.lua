--- What differs between versions of Kubernetes, as data.
-- Sources: the API types of kubeadm, kubernetes/kubernetes' release notes, and `kubeadm config
-- images list` of each version.

local M = {}

-- Each entry holds from its minor version on, until the next one says otherwise.
local since = {
  { 13, api = "kubeadm.k8s.io/v1beta1", repository = "k8s.gcr.io", role = "master",
    control_plane_flag = "--experimental-control-plane", health = "/healthz", pause = "3.1",
    etcd_minimum = "3.2.18", docker = true },
  { 15, api = "kubeadm.k8s.io/v1beta2", control_plane_flag = "--control-plane" },
  { 16, health = "/readyz" },
  { 18, pause = "3.2" },
  { 22, api = "kubeadm.k8s.io/v1beta3", pause = "3.5" },
  { 24, role = "control-plane", docker = false, pause = "3.7" },
  { 25, repository = "registry.k8s.io", pause = "3.8" },
  { 26, pause = "3.9" },
  { 28, etcd_minimum = "3.4.13" },
  { 31, api = "kubeadm.k8s.io/v1beta4", etcd_minimum = "3.5.11", pause = "3.10" },
  { 34, etcd_minimum = "3.5.24", pause = "3.10.1" },
  { 36, pause = "3.10.2" },
}

M.oldest, M.newest = 13, 36

--- The profile of a minor version.
-- @param minor integer: 20 for 1.20
-- @return table: api (kubeadm's), repository (of images), role (of masters, in labels), health (the
-- API's path), control_plane_flag, pause (tag), etcd_minimum, docker (boolean: dockershim is there)
function M.of(minor)
  local profile = { minor = minor }
  for _, entry in ipairs(since) do
    if entry[1] <= minor then
      for key, value in pairs(entry) do
        if type(key) == "string" then
          profile[key] = value
        end
      end
    end
  end
  return profile
end

return M
