-- Every operation of the container runtimes, with images of a bundle: containerd, then docker too.
local kb = require "kb"
local bundle, containerd, docker = kb.use("bundle", "containerd", "docker")
local images = kb.use "images"

local DEBS = "/var/lib/kbrun/debs"

kb.play { "containerd", hosts = "all", become = true, function(host)
  local dir = host.vars.bundle
  bundle.pushed(host, { dir, select = bundle.is_package })
  bundle.packages(host, { DEBS, bundle = dir })
  bundle.installed(host, { { "containerd", "cri-tools" }, path = DEBS, bundle = dir,
    units = "containerd.service" })
  containerd.config(host, { version = bundle.version(dir, "containerd"),
    sandbox_image = "k8s.gcr.io/pause:3.2", extra = { debug = { level = "info" } } })
  containerd.registry(host, { "docker.io", server = "https://hub.example",
    mirrors = { { url = "http://a0.example:5000", skip_verify = true } } })
  containerd.registry(host, { "old.example", state = "absent" })
  containerd.crictl(host, {})
  containerd.service(host)
  images.loaded(host, { { "k8s.gcr.io/pause:3.2", "lab/web:1.0" }, bundle = dir })
end }

kb.play { "docker", hosts = "all", become = true, function(host)
  docker.config(host, { log_size = "10m" })
  bundle.installed(host, { "docker.io", path = DEBS, bundle = host.vars.bundle,
    units = "docker.service" })
  docker.service(host)
  images.loaded(host, { { "k8s.gcr.io/pause:3.2", "lab/web:1.0" }, bundle = host.vars.bundle })
end }
