-- The images that each node will run, from the bundle: what a node has already is not sent.
--   kbrun images verify masters:workers -i inventory.yaml     is all there that will be asked for?
local kb = require "kb"
local bundle, cluster, images = kb.use("bundle", "cluster", "images")

kb.play { "images", hosts = "masters:workers", become = true,
  needs = { "runtime", "runtime of workers", "images to hosts" }, tags = { "images" },
  function(host)
    local c, names = cluster.settings(host), {}
    for _, image in ipairs(bundle.images(c.bundle)) do
      names[#names + 1] = images.is_for(host, image.name) and image.name or nil
    end
    images.loaded(host, { names, bundle = c.bundle, runtime = c.runtime })
  end }
