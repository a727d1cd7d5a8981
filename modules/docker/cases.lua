local root = { "user.self", { name = "root", group = "root", home = "/root" } }
local CONFIG = "/etc/docker/daemon.json"

local function dir(path)
  return { "file.stat", path, { kind = "directory", mode = tonumber("755", 8), owner = "root",
    group = "root" } }
end

local function put(content, validate)
  return { put = { path = CONFIG, content = content, mode = tonumber("644", 8), owner = "root",
    group = "root", validate = validate } }
end

local bare = { root, { "file.stat", CONFIG, { kind = "absent" } }, dir "/etc",
  { "file.stat", "/etc/docker", { kind = "absent" } }, { "docker.version", false } }

local function with(version, digest)
  return { root, dir "/etc/docker", { "docker.version", version },
    { "file.stat", CONFIG, { kind = "file", mode = tonumber("644", 8), owner = "root",
      group = "root", size = 3 } }, { "file.digest", CONFIG, digest or "00" },
    { "file.content", CONFIG, "{}\n" } }
end

local usual = [[
{
  "bridge": "none",
  "exec-opts": [
    "native.cgroupdriver=systemd"
  ],
  "iptables": false,
  "log-driver": "json-file",
  "log-opts": {
    "max-size": "100m"
  },
  "storage-driver": "overlay2"
}
]]

local other = [[
{
  "data-root": "/srv/docker",
  "exec-opts": [
    "native.cgroupdriver=cgroupfs"
  ],
  "features": {
    "containerd-snapshotter": false
  },
  "insecure-registries": [
    "a0.example:5000"
  ],
  "log-driver": "json-file",
  "log-opts": {
    "max-file": "3",
    "max-size": "10m"
  },
  "registry-mirrors": [
    "https://a0.example:5000"
  ],
  "storage-driver": "vfs"
}
]]

return {
  { "docker.config", "before it is installed", given = bare, args = {},
    title = "configure docker in /etc/docker/daemon.json",
    actions = { "umask 022; mkdir -p -- /etc/docker", put(usual) } },
  { "docker.config", "all is said, and 23.0 checks it", given = with "23.0.1",
    args = { cgroup_driver = "cgroupfs", storage_driver = "vfs", log_size = "10m", network = true,
      mirrors = "https://a0.example:5000", insecure = "a0.example:5000",
      extra = { ["data-root"] = "/srv/docker", ["log-opts"] = { ["max-file"] = "3" } } },
    actions = { put(other, "dockerd --validate --config-file %s") } },
  { "docker.config", "20.10 cannot check it", given = with "20.10.24", args = {},
    actions = { put(usual) } },
  { "docker.config", "is as asked", given = with("20.10.24", require("kb").digest(usual)),
    args = {}, same = "already as asked" },
  { "docker.config", "is as its version has it, and nobody asks which one is installed",
    given = { root, dir "/etc/docker", { "file.stat", CONFIG, { kind = "file",
      mode = tonumber("644", 8), owner = "root", group = "root", size = 3 } },
      { "file.digest", CONFIG, require("kb").digest(usual) } },
    args = { version = "20.10.24" }, same = "already as asked" },
  { "docker.config", "no size", given = bare, args = { log_size = "much" },
    refuses = "is no size" },
  { "docker.config", "the version of a package with an epoch", given = bare,
    args = { version = "1:20.10.24+dfsg1-1" }, actions = {
      "umask 022; mkdir -p -- /etc/docker", put(usual) } },
  { "docker.config", "a mirror without a scheme", given = bare, args = { mirrors = "a0:5000" },
    refuses = "does not begin with http" },
}
