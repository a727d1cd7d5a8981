--- Facts about the images that a container runtime has.
local json = require "kb.json"
local kb = require "kb"
local reference = require "kb.images.reference"

local M = {}

-- All images of docker, also those without a name: their layers count.
local DOCKER = [[ids=$(docker image ls -aq --no-trunc 2>/dev/null | sort -u)
[ -z "$ids" ] || docker image inspect \
  --format '{{.Id}}|{{json .RepoTags}}|{{json .RootFS.Layers}}' $ids 2>/dev/null]]

-- containerd files images by the digest of their manifest; which config, and so which image, that
-- is, only the manifest says, or that of an index which is for this machine.
local CONTAINERD = [[list=$(ctr -n k8s.io images check 2>/dev/null)
printf '%s\n+\n' "$list"
ctr -n k8s.io content ls -q 2>/dev/null
show() {
  text=$(ctr -n k8s.io content get "$1" 2>/dev/null) || return 0
  printf '\n= %s\n%s\n' "$1" "$text"
}
for digest in $(printf '%s\n' "$list" | grep -o 'sha256:[0-9a-f]\{64\} ' | sort -u); do
  show "$digest"
  case $text in *manifest.list.v2*|*image.index.v1*)
    for child in $(printf %s "$text" | grep -o 'sha256:[0-9a-f]\{64\}'); do show "$child"; done
  esac
done]]

local function set_of(list)
  local set = {}
  for _, name in ipairs(type(list) == "table" and list or {}) do
    set[reference.full(name)] = true
  end
  return set
end

local function of_docker(out)
  local images = {}
  for id, tags, layers in out:gmatch("(sha256:%x+)|([^|\n]*)|([^|\n]*)\n") do
    local list = json.decode(layers)
    images[id] = { names = set_of(json.decode(tags)),
      layers = type(list) == "table" and table.move(list, 1, #list, 1, {}) or {} }
  end
  return images
end

-- Anything may be kept in containerd, and what is no image is not to hide those that are.
local function map_of(value)
  return type(value) == "table" and value or {}
end

local function is_manifest(value)
  return type(map_of(map_of(value).config).digest) == "string"
end

-- The manifest of a digest, or that of an index which the host has; and its digest. What an index
-- has for no system ("unknown") tells how an image was made.
local function manifest_of(digest, manifests)
  if is_manifest(manifests[digest]) then
    return manifests[digest], digest
  end
  for _, child in ipairs(map_of(map_of(manifests[digest]).manifests)) do
    child = map_of(child)
    local below = manifests[child.digest or ""]
    if is_manifest(below) and map_of(child.platform).os ~= "unknown" then
      return below, child.digest
    end
  end
end

local function blobs_of(manifest, digest, contents)
  local config = manifest.config.digest
  local blobs = { [digest] = true, [config] = contents[config] or false }
  for _, layer in ipairs(map_of(manifest.layers)) do
    local own = map_of(layer).digest
    if type(own) == "string" then
      blobs[own] = contents[own] or false
    end
  end
  return blobs
end

local MARK = "\n= sha256:"

-- The list of images, and the contents and manifests that follow it.
local function sections(out)
  local at = out:find(MARK, 1, true)
  local list, digests = out:sub(1, (at or 0) - 1):match("^(.-)\n%+\n(.*)$")
  local contents, manifests = {}, {}
  for digest in (digests or ""):gmatch("sha256:%x+") do
    contents[digest] = true
  end
  while at do
    local next_at = out:find(MARK, at + 1, true)
    local digest, text = out:sub(at + 1, (next_at or 0) - 1):match("^= (sha256:%x+)\n(.*)$")
    manifests[digest] = json.decode(text)
    at = next_at
  end
  return list or "", contents, manifests
end

-- An image whose layers went after they were unpacked can be run all the same.
local function of_containerd(out)
  local list, contents, manifests = sections(out)
  local images = {}
  for line in list:gmatch("[^\n]+") do
    local name, digest, status = line:match("^(%S+)%s+%S+%s+(sha256:%x+)%s+(%a+)")
    local manifest
    if digest and (status == "complete" or line:find("true%s*$")) then
      manifest, digest = manifest_of(digest, manifests)
    end
    if manifest then
      local id = manifest.config.digest
      images[id] = images[id] or { names = {}, blobs = blobs_of(manifest, digest, contents) }
      images[id].names[name] = true
    end
  end
  return images
end

--- The images of a container runtime, known by the digest of their configuration, which is what
-- stays the same however an image came to the host.
-- @param runtime string: "docker" or "containerd" (its namespace k8s.io)
-- @return table: id -> { names (set of full names), layers (docker: list of diff ids), blobs
-- (containerd: what it consists of, as manifest, configuration and layers as they came: digest ->
-- whether that is there) }; empty when the runtime is not there or does not answer. What belongs to
-- no image is not told, as it may go at any time.
M.present = kb.fact {
  name = "images.present",
  command = function(runtime)
    return runtime == "docker" and DOCKER or CONTAINERD
  end,
  parse = function(out, _, runtime)
    return (runtime == "docker" and of_docker or of_containerd)(out)
  end,
  bare = {},
}

--- The images that the host's own kubeadm will ask for.
-- @param version string: of Kubernetes: "1.20.2"
-- @param repository string: where images are named after
-- @return list of strings; false when there is no kubeadm
M.kubeadm = kb.fact {
  name = "images.kubeadm",
  command = function(version, repository)
    return ("kubeadm config images list --kubernetes-version v%s --image-repository %s 2>/dev/null")
      :format(kb.quote(version), kb.quote(repository))
  end,
  parse = function(out, code)
    local list = {}
    for name in out:gmatch("[^\n]+") do
      list[#list + 1] = name
    end
    return code == 0 and #list > 0 and list
  end,
  bare = false,
}

--- The images that the kubelet's settings on the host ask for.
-- @return table: sandbox (string; false when nothing says), static_pods (list of strings)
M.asked = kb.fact {
  name = "images.asked",
  command = function()
    return "sed -n 's/.*--pod-infra-container-image=\\([^ \"]*\\).*/sandbox \\1/p' "
      .. "/var/lib/kubelet/kubeadm-flags.env 2>/dev/null; "
      .. "sed -n 's/^[- ]*image: *\\([^ #]*\\).*/pod \\1/p' "
      .. "/etc/kubernetes/manifests/*.yaml 2>/dev/null; true"
  end,
  parse = function(out)
    local pods, seen = {}, {}
    for name in out:gmatch("pod [\"']?([^\n\"']+)") do
      pods[#pods + 1] = not seen[name] and name or nil
      seen[name] = true
    end
    return { sandbox = out:match("sandbox ([^\n]+)") or false, static_pods = pods }
  end,
  bare = { sandbox = false, static_pods = {} },
}

return M
