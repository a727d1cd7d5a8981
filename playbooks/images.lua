-- The images that each node will run, from the bundle: what a node has already is not sent.
local kb = require "kb"
local bundle, cluster, docker = kb.use("bundle", "cluster", "docker")

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
    for _, image in ipairs(bundle.images(cluster.settings(host).bundle)) do
      if wanted(host, image.name) then
        docker.image(host, { image.name, id = image.id, archive = image.archive })
      end
    end
  end }
