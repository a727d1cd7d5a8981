-- The images that each node will run, from the bundle: what a node has already is not sent.
local kb = require "kb"
local bundle, cluster, images = kb.use("bundle", "cluster", "images")

-- Workers run no control plane.
local MASTERS_ONLY = { "kube%-apiserver", "kube%-controller%-manager", "kube%-scheduler" }

local function wanted(host, name)
  for _, pattern in ipairs(MASTERS_ONLY) do
    if name:find(pattern) then
      return host:in_group("masters")
    end
  end
  return true
end

kb.play { "images", hosts = "masters:workers", become = true, needs = { "runtime" },
  tags = { "images" },
  function(host)
    local c, names = cluster.settings(host), {}
    for _, image in ipairs(bundle.images(c.bundle)) do
      names[#names + 1] = wanted(host, image.name) and image.name or nil
    end
    images.loaded(host, { names, bundle = c.bundle, runtime = c.runtime })
  end }
