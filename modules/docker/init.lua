--- docker as the container runtime of Kubernetes before 1.24.
-- Its images are in the module `images`.

local data = require "kb.data"
local files = require "modules.files"
local json = require "kb.json"
local kb = require "kb"
local systemd = require "modules.systemd"

local M = {}

local CONFIG = "/etc/docker/daemon.json"

-- The major version in that of a docker or of its package, which may have an epoch.
local function major_of(version)
  return version and tonumber(version:gsub("^%d+:", ""):match("^%d+"))
end

-- docker's own bridge and its FORWARD DROP are of no use to Kubernetes, and in its way. In
-- containerd's store, which docker 29 begins with, images have other ids than in docker's own;
-- there is a choice since 23.0, and before 18.09 the word for it is an error.
local function settings(args, version)
  local all = data.map { { "log-driver", "json-file" },
    { "exec-opts", data.list { "native.cgroupdriver=" .. args.cgroup_driver } },
    { "log-opts", data.map { { "max-size", args.log_size } } },
    { "storage-driver", args.storage_driver } }
  if (major_of(version) or 0) >= 23 then
    all.features = data.map { { "containerd-snapshotter", false } }
  end
  if not args.network then
    all.bridge, all.iptables = "none", false
  end
  for key, list in pairs { ["registry-mirrors"] = args.mirrors,
    ["insecure-registries"] = args.insecure } do
    all[key] = #list > 0 and data.list(list) or nil
  end
  return data.merge(all, args.extra)
end

local function check(args)
  if not args.log_size:find("^%d+[kmg]$") then
    kb.refuse(("log_size %q is no size"):format(args.log_size), "such as 100m")
  end
  for _, mirror in ipairs(args.mirrors) do
    if not mirror:find("^https?://[^/]") then
      kb.refuse(("a mirror's url %q does not begin with http:// or https:// and a host"):format(
        mirror))
    end
  end
end

-- The option is there since 23.0.
local function validation(version)
  return (major_of(version) or 0) >= 23 and "dockerd --validate --config-file %s" or nil
end

--- docker's configuration, whole, as the kubelet wants it.
-- It is best written before docker is installed, so that the first start has it. A docker of 23.0
-- or later checks the file before it takes the old one's place.
-- @param path path: where it is
-- @param version string: of the docker that will read it, or of its package; absent: of the one
-- that is installed
-- @param cgroup_driver string: who makes containers' cgroups: systemd, as the kubelet's should be,
-- or cgroupfs
-- @param storage_driver string: how layers are stacked
-- @param log_size string: how large a container's log becomes before a new one is begun
-- @param network boolean: docker's own bridge and packet filter, which Kubernetes does not use
-- @param mirrors list: urls that are asked for images of Docker Hub first
-- @param insecure list: registries, as host:port, that are asked without TLS
-- @param extra map: more settings, by docker's own names
M.config = kb.op {
  name = "docker.config",
  args = { { "path", "path", "where it is", at = 1, default = CONFIG },
    { "version", "string", "of the docker that will read it" },
    { "cgroup_driver", { "systemd", "cgroupfs" }, "who makes containers' cgroups",
      default = "systemd" },
    { "storage_driver", "string", "how layers are stacked", default = "overlay2" },
    { "log_size", "string", "how large a container's log becomes", default = "100m" },
    { "network", "boolean", "docker's own bridge and packet filter", default = false },
    { "mirrors", "list", "urls that are asked first", default = {} },
    { "insecure", "list", "registries that are asked without TLS", default = {} },
    { "extra", "map", "more settings, by docker's own names", default = {} } },
  facts = function(args)
    return { { "file.stat", args.path }, { "file.digest", args.path }, { "user.self" } }
  end,
  plan = function(args, fact)
    check(args)
    local text = json.encode(settings(args, args.version or fact("docker.version")),
      { indent = 2, sort = true }) .. "\n"
    local file = { args.path, content = text, mode = "0644" }
    return kb.sequence(fact, { function(ask)
      return kb.plan(files.directory, ask, { args.path:match("^(.+)/[^/]+$") })
    end, function(ask)
      local change, reason = kb.plan(files.file, ask, file)
      if change then -- dockerd takes its time to tell its version
        file.validate = validation(ask("docker.version"))
        change, reason = kb.plan(files.file, ask, file)
      end
      return change, reason
    end }, "configure docker in " .. args.path)
  end,
}

--- The service: it runs, starts at boot, and has been started after its configuration was written.
-- @param host host
function M.service(host)
  systemd.unit(host, { "docker", state = "running", enabled = true, watch = { CONFIG } })
end

return M
