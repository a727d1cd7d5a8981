--- containerd as the container runtime of Kubernetes.
-- Its configuration is written whole, in the format that the installed version reads: version 2 for
-- containerd 1.3 to 1.7, version 3 for 2.0 and later. What the arguments have no word for goes into
-- `extra`, laid over the rest.

local config = require "modules.containerd.config"
local evidence = require "modules.evidence"
local files = require "modules.files"
local kb = require "kb"
local systemd = require "modules.systemd"

local M = {}

local CONFIG, REGISTRIES = "/etc/containerd/config.toml", "/etc/containerd/certs.d"
local SOCKET = "unix:///run/containerd/containerd.sock"

local function parent(path)
  return path:match("^(.+)/[^/]+$")
end

-- A file in a directory that is made for it.
local function written(fact, path, content, validate)
  return kb.sequence(fact, { function(ask)
    return kb.plan(files.directory, ask, { parent(path) })
  end, function(ask)
    return kb.plan(files.file, ask, { path, content = content, validate = validate,
      mode = "0644" })
  end })
end

local function write_facts(path)
  return { { "file.stat", path }, { "file.digest", path }, { "user.self" },
    { "file.stat", parent(path) } }
end

--- containerd's configuration, whole.
-- What is not said is containerd's default. The file is checked by containerd, if it is there,
-- before it takes the old one's place. It holds for a containerd that is started afterwards:
-- `containerd.service` sees to that.
-- @param path path: where it is
-- @param version string: of the containerd that will read it, or of its package; absent: of the one
-- that is installed
-- @param sandbox_image string: the image of the container that holds a pod's namespaces
-- @param systemd_cgroup boolean: containers' cgroups are systemd's, as the kubelet's should be
-- @param registries path: the directory with what is known of registries; see containerd.registry
-- @param extra map: more settings, as tables in tables: { debug = { level = "debug" } }
M.config = kb.op {
  name = "containerd.config",
  args = { { "path", "path", "where it is", at = 1, default = CONFIG },
    { "version", "string", "of the containerd that will read it" },
    { "sandbox_image", "string", "the image that holds a pod's namespaces" },
    { "systemd_cgroup", "boolean", "containers' cgroups are systemd's", default = true },
    { "registries", "path", "the directory of what is known of registries", default = REGISTRIES },
    { "extra", "map", "more settings, as tables in tables", default = {} } },
  facts = function(args)
    local list = write_facts(args.path)
    list[#list + 1] = { "containerd.version" }
    return list
  end,
  plan = function(args, fact)
    local installed = fact("containerd.version")
    local version = args.version or installed
      or kb.refuse("containerd is not installed", "install it first, or say which version it will "
        .. "be: version = \"1.6.20\"")
    local text, format = config.config(version, args)
    local change, reason = written(fact, args.path, text,
      installed and "containerd -c %s config dump >/dev/null" or nil)
    if change then
      change.title = ("configure containerd in %s (version %d)"):format(args.path, format)
    end
    return change, reason
  end,
}

--- What containerd knows of a registry: where to ask for its images instead, and how.
-- Read at each pull; nothing has to be restarted. It needs `registries` of containerd.config.
-- @param name string: the registry as images are named: "docker.io", "registry.k8s.io",
-- "a0.example:5000"; "_default" for all that have none of their own
-- @param server string: the registry itself, asked last: "https://hub.example"
-- @param mirrors table: list of urls, asked in this order, or tables with url, capabilities
-- ({ "pull", "resolve" }), ca, client, skip_verify, override_path, header
-- @param state string: present or absent
-- @param registries path: the directory
M.registry = kb.op {
  name = "containerd.registry",
  args = { { "name", "string", "the registry", at = 1, required = true },
    { "server", "string", "the registry itself, asked last" },
    { "mirrors", "table", "where to ask first", default = {} },
    { "state", { "present", "absent" }, "whether it is there", default = "present" },
    { "registries", "path", "the directory", default = REGISTRIES } },
  facts = function(args)
    return write_facts(("%s/%s/hosts.toml"):format(args.registries, args.name))
  end,
  plan = function(args, fact)
    if not args.name:find("^[%w_][%w._:-]*$") then
      kb.refuse(("%q is not the name of a registry"):format(args.name), "such as docker.io")
    end
    local path = ("%s/%s/hosts.toml"):format(args.registries, args.name)
    if args.state == "absent" then
      return kb.plan(files.absent, fact, { path })
    elseif #args.mirrors == 0 and not args.server then
      kb.refuse(("registry %s: neither mirrors nor a server"):format(args.name))
    end
    local change, reason = written(fact, path, config.hosts(args))
    if change then
      change.title = ("registry %s: %d mirrors"):format(args.name, #args.mirrors)
    end
    return change, reason
  end,
}

--- The settings of crictl, which also kubeadm and people use.
-- @param path path: where they are
-- @param endpoint string: the socket of the runtime
-- @param timeout duration: how long it waits for an answer
M.crictl = kb.op {
  name = "containerd.crictl",
  args = { { "path", "path", "where they are", at = 1, default = "/etc/crictl.yaml" },
    { "endpoint", "string", "the socket of the runtime", default = SOCKET },
    { "timeout", "duration", "how long it waits for an answer", default = 10 } },
  facts = function(args)
    return write_facts(args.path)
  end,
  plan = function(args, fact)
    if not args.endpoint:find("^unix:///%S+$") then
      kb.refuse(("crictl's endpoint %q is not unix:// and a path"):format(args.endpoint))
    end
    local lines = { "runtime-endpoint: " .. args.endpoint, "image-endpoint: " .. args.endpoint,
      ("timeout: %d"):format(math.ceil(args.timeout)), "debug: false", "" }
    return kb.plan(files.file, fact, { args.path, content = table.concat(lines, "\n"),
      mode = "0644" })
  end,
}

--- The service: it runs, starts at boot, and has been started after its configuration was written.
-- A gate behind it waits until the kubelet would be served.
-- @param host host
function M.service(host)
  systemd.unit(host, { "containerd", state = "running", enabled = true, watch = { CONFIG } })
  kb.gate(host, { "containerd serves the kubelet", within = 60, fact = { "containerd.serves" },
    becomes = true,
    holds = function(answer)
      return answer
    end,
    evidence = { "# plugins that are not well\nctr plugins ls | awk '$NF != \"ok\"'",
      evidence.unit("containerd", 3), evidence.runtime() } })
end

return M
