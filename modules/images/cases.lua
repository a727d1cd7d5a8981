-- The archive has one image of two layers, named lab/a:1 and lab/b:1.
local archive = os.getenv("PWD") .. "/tests/lib/images.tar.gz"
local id = "sha256:056379aba7c93a5b85f8ec41fdbf1d077657cfb918953f67c6cc4d86c174199d"
local other = "sha256:" .. ("cd"):rep(32)
local layers = { "sha256:610bb683e4b3609c868b6543dbd83844376f17ff62ade370900aa239f215b970",
  "sha256:3f0083f24ab9ea9a7633f4078c63040bdf2df6322220754812d00b51e6c53243" }
local manifest = "sha256:412f5623a8afeda885ca12893350e008d00ce9a90d4b0b1c3b42e553fd3a2b4e"
local A, B = "docker.io/lab/a:1", "docker.io/lab/b:1"

local function service(name, active)
  return { "unit.state", name .. ".service", { active = active } }
end

local function docker(images)
  return { { "images.present", "docker", images }, service("docker", "active"),
    { "bundle.blobs", {} } }
end

local function containerd(images)
  return { { "images.present", "containerd", images }, service("docker", "inactive"),
    service("containerd", "active"), { "bundle.blobs", {} } }
end

local function args(more)
  local all = { archive = archive }
  for k, v in pairs(more or {}) do
    all[k] = v
  end
  return all
end

return {
  { "images.loaded", "docker has nothing", given = docker {}, args = args(),
    title = "load 1 images: send 2 of 2 layers, 0.0 MB",
    effect = { { "images.present", "docker", { [id] = { names = { [A] = true, [B] = true },
      layers = layers } } } } },
  { "images.loaded", "docker has the lower layer", args = args { "lab/a:1" },
    given = docker { [other] = { names = { [A] = true }, layers = { layers[1] } } },
    title = "load 1 images: send 1 of 2 layers, 0.0 MB", effect = { { "images.present", "docker", {
      [id] = { names = { [A] = true }, layers = layers },
      [other] = { names = {}, layers = { layers[1] } } } } } },
  { "images.loaded", "docker has it under another name", args = args(),
    given = docker { [id] = { names = { [A] = true }, layers = layers } },
    title = "name 1 images", actions = { ("docker tag %s lab/b:1"):format(id) } },
  { "images.loaded", "containerd has the layers", args = args { "lab/b:1" },
    given = containerd { [other] = { names = { [A] = true }, blobs = { [layers[1]] = true,
      [layers[2]] = true } } }, title = "load 1 images: send 0 of 2 layers, 0.0 MB" },
  { "images.loaded", "containerd has a layer of one that was unpacked, and not the other",
    args = args { "lab/b:1" }, given = containerd { [other] = { names = { [A] = true }, blobs = {
      [layers[1]] = true, [layers[2]] = false } } },
    title = "load 1 images: send 1 of 2 layers, 0.0 MB",
    effect = { { "images.present", "containerd", {
      [other] = { names = { [A] = true }, blobs = { [layers[1]] = true, [layers[2]] = true } },
      [id] = { names = { [B] = true }, blobs = { [id] = true, [manifest] = true,
        [layers[1]] = true, [layers[2]] = true } } } } } },
  { "images.loaded", "containerd has a name for another image", args = args { runtime =
    "containerd" }, given = containerd { [id] = { names = { [A] = true }, blobs = { [id] = true } },
      [other] = { names = { [B] = true }, blobs = { [other] = true, [id] = true } } },
    title = "name 1 images", effect = { { "images.present", "containerd", {
      [id] = { names = { [A] = true, [B] = true }, blobs = { [id] = true } } } } },
    actions = { ("ctr -n k8s.io images tag --force %s %s"):format(A, B) } },
  { "images.loaded", "has all", args = args(), same = "docker has all 1 images",
    given = docker { [id] = { names = { [A] = true, [B] = true }, layers = layers } } },
  { "images.loaded", "no runtime", args = args(), refuses = "neither docker nor containerd runs",
    given = { service("docker", "inactive"), service("containerd", "failed") } },
  { "images.loaded", "no such image", args = args { "lab/c:1" }, given = docker {},
    refuses = "there is no image docker.io/lab/c:1 in" },
  { "images.loaded", "no source", args = {}, given = docker {},
    refuses = "needs an archive or a bundle" },
  { "images.loaded", "an archive for other machines", args = { archive = archive,
    platform = "linux/arm64" }, given = docker {},
    refuses = "images.tar.gz: lab/a:1 is for linux/amd64, and not for linux/arm64" },
  { "images.loaded", "no archive", args = { archive = "/nonexistent" }, given = docker {},
    refuses = "/nonexistent" },
}
