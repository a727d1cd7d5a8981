--- docker as the container runtime of Kubernetes before 1.24.

local bundle_image = require "kb.bundle.image"
local kb = require "kb"
local files = require "modules.files"
local systemd = require "modules.systemd"

local M = {}

-- docker's own bridge and its FORWARD DROP are of no use to Kubernetes, and in its way.
local CONFIG = [[
{
  "bridge": "none",
  "exec-opts": ["native.cgroupdriver=systemd"],
  "iptables": false,
  "log-driver": "json-file",
  "log-opts": {"max-size": "100m"},
  "storage-driver": "overlay2"
}
]]

--- The configuration, before the package is installed, so that the first start has it.
-- @param host host
function M.configuration(host)
  files.directory(host, { "/etc/docker" })
  files.file(host, { "/etc/docker/daemon.json", content = CONFIG })
end

--- The service.
-- @param host host
function M.service(host)
  systemd.unit(host, { "docker", state = "running", enabled = true,
    watch = { "/etc/docker/daemon.json" } })
end

-- The pieces of a tar.
local function tar_reader(path)
  local file = assert(io.open(path, "rb"))
  return function()
    local piece = file:read(1 << 18)
    if not piece then
      file:close()
    end
    return piece
  end
end

-- What docker is to read, opened when the first piece of it is asked for.
local function reader(args)
  local next_piece
  return function()
    if not next_piece then
      local of_bundle, message, code = bundle_image.docker_archive(args.archive, args.name)
      if message then
        return nil, message, code
      end
      next_piece = of_bundle or tar_reader(args.archive)
    end
    return next_piece()
  end
end

--- An image from an archive of the operator's machine, streamed into `docker load`.
-- Nothing is sent when docker has the image of that name with that id.
-- @param name string: "k8s.gcr.io/pause:3.2"
-- @param id string: its id, "sha256:…"
-- @param archive path: the tar, or the bundle, on the operator's machine
M.image = kb.op {
  name = "docker.image",
  args = { { "name", "string", "its name and tag", at = 1, required = true },
    { "id", "string", "its id: the hash of its configuration", required = true },
    { "archive", "path", "the tar, or the bundle, on the operator's machine", required = true } },
  facts = function(args)
    return { { "docker.image", args.name } }
  end,
  plan = function(args, fact)
    local now = fact("docker.image", args.name)
    if now == args.id then
      return nil, "docker has it"
    end
    if not args.id:find("^sha256:%x+$") or #args.id ~= 71 then
      kb.refuse(("the id %q is not sha256: and 64 hexadecimal digits"):format(args.id))
    end
    return { title = ("load image %s"):format(args.name),
      actions = { { run = "docker load -q", stdin = reader(args) } },
      effect = { { "docker.image", args.name, args.id } } }
  end,
}

return M
