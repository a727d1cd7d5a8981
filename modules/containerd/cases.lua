local root = { "user.self", { name = "root", group = "root", home = "/root" } }
local MARK = "# Written whole by kbrun: what is changed here is changed back.\n"
local CONFIG, HOSTS = "/etc/containerd/config.toml", "/etc/containerd/certs.d/docker.io/hosts.toml"

local function dir(path)
  return { "file.stat", path, { kind = "directory", mode = tonumber("755", 8), owner = "root",
    group = "root" } }
end

local function absent(path)
  return { "file.stat", path, { kind = "absent" } }
end

local function file(path, digest)
  return { "file.stat", path, { kind = "file", mode = tonumber("644", 8), owner = "root",
    group = "root", size = 9 } }, { "file.digest", path, digest },
    { "file.content", path, "version = 2\n" }
end

local function put(path, content, validate)
  return { { put = { path = path, content = content, mode = tonumber("644", 8), owner = "root",
    group = "root", validate = validate } } }
end

local CHECK = "containerd -c %s config dump >/dev/null"
local old = { root, dir "/etc/containerd", file(CONFIG, "00") }

local function with(version)
  return { { "containerd.version", version }, table.unpack(old) }
end

local version_2 = MARK .. [[
version = 2

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "k8s.gcr.io/pause:3.2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = true

[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "/etc/containerd/certs.d"
]]

local version_3 = MARK .. [[
version = 3

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "registry.k8s.io/pause:3.10"

[plugins."io.containerd.cri.v1.images".registry]
config_path = "/etc/containerd/certs.d"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
SystemdCgroup = true
]]

local extra = MARK .. [[
version = 2
oom_score = -999

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false
BinaryName = "/usr/sbin/\"runc\""

[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "/etc/containerd/certs.d"

[debug]
level = "debug"
]]

local mirrors = MARK .. [[
server = "https://hub.example"

[host."http://a0.example:5000"]
capabilities = ["pull", "resolve"]

[host."https://b0.example:5000/v2/hub"]
capabilities = ["pull"]
ca = "/etc/containerd/b0.crt"
override_path = true
skip_verify = false
]]

local crictl = [[
runtime-endpoint: unix:///run/containerd/containerd.sock
image-endpoint: unix:///run/containerd/containerd.sock
timeout: 10
debug: false
]]

local below = { root, absent(HOSTS), absent "/etc/containerd/certs.d/docker.io",
  dir "/etc/containerd/certs.d" }
local of_crictl = { root, dir "/etc", absent "/etc/crictl.yaml" }

return {
  { "containerd.config", "1.6 reads version 2", given = with "1.6.20",
    args = { sandbox_image = "k8s.gcr.io/pause:3.2" }, actions = put(CONFIG, version_2, CHECK),
    title = "configure containerd in /etc/containerd/config.toml (version 2)" },
  { "containerd.config", "2.1 reads version 3", given = with "2.1.3",
    args = { sandbox_image = "registry.k8s.io/pause:3.10" },
    actions = put(CONFIG, version_3, CHECK) },
  { "containerd.config", "extra settings are laid over", given = with "1.7.24",
    args = { systemd_cgroup = false, extra = { oom_score = -999, debug = { level = "debug" },
      plugins = { ["io.containerd.grpc.v1.cri"] = { containerd = { runtimes = { runc = {
        options = { BinaryName = '/usr/sbin/"runc"' } } } } } } } },
    actions = put(CONFIG, extra, CHECK) },
  { "containerd.config", "before it is installed nothing can check it",
    given = { { "containerd.version", false }, root, dir "/etc/containerd", absent(CONFIG) },
    args = { version = "1.6.20", sandbox_image = "k8s.gcr.io/pause:3.2" },
    actions = put(CONFIG, version_2) },
  { "containerd.config", "is as asked", args = { sandbox_image = "k8s.gcr.io/pause:3.2" },
    given = { { "containerd.version", "1.6.20" }, root, dir "/etc/containerd",
      file(CONFIG, require("kb").digest(version_2)) }, same = "already as asked" },
  { "containerd.config", "is not installed", refuses = "not installed", args = {},
    given = { { "containerd.version", false }, table.unpack(old) } },
  { "containerd.config", "is too old", refuses = "reads no configuration of version 2",
    given = with "1.2.13", args = {} },
  { "containerd.config", "no value of TOML", given = with "1.6.20",
    args = { extra = { debug = { level = print } } },
    refuses = "debug.level: TOML has no function" },

  { "containerd.registry", "has mirrors", given = below, title = "registry docker.io: 2 mirrors",
    args = { "docker.io", server = "https://hub.example", mirrors = { "http://a0.example:5000",
      { url = "https://b0.example:5000/v2/hub", capabilities = { "pull" }, override_path = true,
        skip_verify = false, ca = "/etc/containerd/b0.crt" } } },
    actions = { "umask 022; mkdir -p -- /etc/containerd/certs.d/docker.io",
      put(HOSTS, mirrors)[1] } },
  { "containerd.registry", "is forgotten", args = { "docker.io", state = "absent" },
    given = { file(HOSTS, "00") }, title = "remove file " .. HOSTS },
  { "containerd.registry", "is not known", args = { "docker.io", state = "absent" },
    given = below, same = "not there" },
  { "containerd.registry", "a name that leads elsewhere",
    args = { "../x", server = "https://x.example" }, refuses = "is not the name of a registry" },
  { "containerd.registry", "a mirror without a scheme", given = below,
    args = { "docker.io", mirrors = { "a0.example:5000" } },
    refuses = "does not begin with http" },
  { "containerd.registry", "a field that there is not", given = below,
    args = { "docker.io", mirrors = { { url = "http://a0.example:5000", skip = true } } },
    refuses = "a mirror's skip must be one of url" },
  { "containerd.registry", "nothing to ask", given = below, args = { "docker.io" },
    refuses = "neither mirrors nor a server" },

  { "containerd.crictl", "is written", given = of_crictl, args = {},
    actions = put("/etc/crictl.yaml", crictl) },
  { "containerd.crictl", "is there", args = {}, same = "already as asked",
    given = { root, dir "/etc", file("/etc/crictl.yaml", require("kb").digest(crictl)) } },
  { "containerd.crictl", "no socket", args = { endpoint = "containerd.sock" }, given = of_crictl,
    refuses = "is not unix:// and a path" },
}
