-- Manifests of pod networks and of MetalLB: what they become, and what is refused or warned of.
local test = ...
local bundle = require "modules.bundle"
local check = require "lib.check"
local cni_manifest = require "modules.cni.manifest"
local kubectl = require "modules.kubectl"
local metallb = require "modules.metallb"
local sys = require "kb.core.sys"

local manifest = kubectl.manifest

local function documents(name)
  return manifest.documents(check.ok(sys.read_file("tests/golden/manifests/" .. name)), name)
end

test("the images that a manifest names, by their full names", function()
  check.equal(manifest.images(documents "weave.yaml"),
    { "docker.io/weaveworks/weave-kube:2.5.0", "weaveworks/weave-npc:2.5.0" })
  for name, full in pairs { ["weaveworks/weave-npc:2.5.0"] = "docker.io/weaveworks/weave-npc:2.5.0",
    busybox = "docker.io/library/busybox:latest", ["localhost/x:1"] = "localhost/x:1",
    ["a.example:5000/x"] = "a.example:5000/x:latest",
    ["quay.io/x@sha256:ab"] = "quay.io/x@sha256:ab" } do
    check.equal(manifest.full_name(name), full)
  end
end)

test("a manifest with images that the bundle has not is refused, with all of them", function()
  local images = bundle.images
  bundle.images = function()
    return { { name = "weaveworks/weave-kube:2.5.0" } }
  end
  local _ <close> = setmetatable({}, { __close = function()
    bundle.images = images
  end })
  check.raises("weave.yaml names images that the bundle /b has not: weaveworks/weave-npc:2.5.0",
    manifest.check_images, { bundle = "/b" }, documents "weave.yaml", "weave.yaml")
end)

test("a manifest without a place for the pod network is refused", function()
  local c = { cni = "weave", pod_subnet = "10.32.0.0/12" }
  check.raises("no container weave", cni_manifest.text, documents "calico.yaml", c)
  c.cni = "flannel"
  check.raises("no ConfigMap", cni_manifest.text, documents "calico.yaml", c)
  check.raises("without kind", manifest.documents, "a: 1\n", "x")
  check.raises("x:2:1", manifest.documents, "a: [\n", "x")
end)

local c = { workers = { { name = "w0", address = "10.0.0.20" } }, masters = {},
  addons = { metallb = { version = "0.14.9", namespace = "metallb-system", addresses = {} } } }

local function objections(addresses, nodes)
  c.addons.metallb.addresses = addresses
  return table.concat(metallb.objections(c, nodes), "\n")
end

test("MetalLB on layer 2: quiet where it works, warnings where it cannot", function()
  local here = { { name = "w0", maker = "QEMU", network = "10.0.0.20/24" },
    { name = "w1", maker = "Dell Inc.", network = "10.0.0.21/24" } }
  check.equal(objections({ "10.0.0.240-10.0.0.250" }, here), "")
  check.contains(objections({ "10.0.1.0/28" }, here), "10.0.1.0/28 is in no node's network")
  check.contains(objections({ "10.0.0.240" }, { { name = "w0", maker = "Alibaba Cloud",
    network = "10.0.0.20/24" } }), "w0 is a machine of Alibaba")
  check.contains(objections({ "10.0.0.240" }, { here[1], { name = "w1", maker = "",
    network = "10.0.1.21/24" } }), "in different networks (10.0.0.20/24, 10.0.1.21/24)")
  check.equal(objections({ "10.0.0.20" }, { { name = "w0", maker = "", network = false } }), "")
end)

test("MetalLB before 0.13 has a ConfigMap and after it resources of its own", function()
  local function kinds(version)
    c.addons.metallb.version, c.addons.metallb.addresses = version, { "10.0.0.240" }
    local list = {}
    for kind in metallb.pool(c):gmatch "kind: (%w+)" do
      list[#list + 1] = kind
    end
    return table.concat(list, " ")
  end
  check.equal({ kinds "0.7.3", kinds "0.12.1", kinds "0.13.2", kinds "1.0.0" }, { "ConfigMap",
    "ConfigMap", "IPAddressPool L2Advertisement", "IPAddressPool L2Advertisement" })
end)
