-- What runtimes print, as facts; and what a node asks for, compared with what it has.
local test = ...
local check = require "lib.check"
local fact = require "kb.fact"
local survey = require "modules.images.survey"

local function id(letter)
  return "sha256:" .. letter:rep(64)
end

local function parse(name, text, ...)
  return (fact.find(name).parse(text, 0, ...))
end

test("docker's images, also those without a name", function()
  local found = parse("images.present", id "a" .. '|["lab/web:1.0","k8s.gcr.io/pause:3.2"]|["'
    .. id "1" .. '"]\n' .. id "b" .. "|null|null\n", "docker")
  check.equal(found, { [id "a"] = { layers = { id "1" }, names = { ["docker.io/lab/web:1.0"] = true,
    ["k8s.gcr.io/pause:3.2"] = true } }, [id "b"] = { layers = {}, names = {} } })
  check.equal(parse("images.present", "", "docker"), {})
end)

local LIST = [[
REF TYPE DIGEST STATUS SIZE UNPACKED
k8s.gcr.io/pause:3.2 x/manifest.v1+json %s complete (2/2) 1.0 KiB/1.0 KiB true
x.example/many:1     x/index.v1+json    %s complete (9/9) 9.0 MiB/9.0 MiB false
x.example/gone:1     x/manifest.v1+json %s incomplete (1/2) 9 B/1.0 KiB false
x.example/run:1      x/manifest.v1+json %s incomplete (1/2) 9 B/1.0 KiB true

+
]] .. id "a" .. "\n" .. id "b" .. "\n" .. id "1" .. "\n" .. id "9" .. "\n"

test("containerd's images by their config: of an index the one that is there, none half there",
  function()
    local text = LIST:format(id "1", id "2", id "4", id "5")
      .. "\n= " .. id "1" .. '\n{"config": {"digest": "' .. id "a"
      .. '"},\n "layers": [{"digest": "' .. id "6" .. '"}]}\n'
      .. "\n= " .. id "2" .. '\n{"manifests": [{"digest": "' .. id "0" .. '"}, {"digest": "'
      .. id "3" .. '"}]}\n'
      .. "\n= " .. id "3" .. '\n{"config": {"digest": "' .. id "b" .. '"}, "layers": []}\n'
      .. "\n= " .. id "4" .. '\n{"config": {"digest": "' .. id "c" .. '"}, "layers": []}\n'
      .. "\n= " .. id "5" .. '\n{"config": {"digest": "' .. id "d" .. '"}, "layers": []}\n'
    check.equal(parse("images.present", text, "containerd"), {
      [id "a"] = { names = { ["k8s.gcr.io/pause:3.2"] = true },
        blobs = { [id "1"] = true, [id "a"] = true, [id "6"] = false } },
      [id "b"] = { names = { ["x.example/many:1"] = true },
        blobs = { [id "3"] = true, [id "b"] = true } },
      [id "d"] = { names = { ["x.example/run:1"] = true },
        blobs = { [id "5"] = true, [id "d"] = false } } })
    check.equal(parse("images.present", "\n", "containerd"), {})
  end)

test("what somebody keeps in containerd and is no image hides no other", function()
  local text = LIST:format(id "1", id "2", id "4", id "5")
    .. "\n= " .. id "1" .. '\n{"config": {"digest": "' .. id "a" .. '"}, "layers": null}\n'
    .. "\n= " .. id "2" .. '\n{"manifests": [7, {"digest": "' .. id "3" .. '"}]}\n'
    .. "\n= " .. id "3" .. '\n{"config": {"digest": "' .. id "b" .. '"}, "layers": [1]}\n'
    .. "\n= " .. id "5" .. '\n{"config": {}, "layers": []}\n'
  check.equal(parse("images.present", text, "containerd"), {
    [id "a"] = { names = { ["k8s.gcr.io/pause:3.2"] = true },
      blobs = { [id "1"] = true, [id "a"] = true } },
    [id "b"] = { names = { ["x.example/many:1"] = true },
      blobs = { [id "3"] = true, [id "b"] = true } } })
  local artifact = ('{"manifests": [{"digest": "%s", "platform": {"os": "unknown"}}, '
    .. '{"digest": "%s"}]}'):format(id "6", id "3")
  text = LIST:format(id "1", id "2", id "4", id "5") .. "\n= " .. id "2" .. "\n" .. artifact
    .. "\n\n= " .. id "6" .. '\n{"config": {"digest": "' .. id "c" .. '"}, "layers": []}\n'
    .. "\n= " .. id "3" .. '\n{"config": {"digest": "' .. id "b" .. '"}, "layers": []}\n'
  check.equal(parse("images.present", text, "containerd"), {
    [id "b"] = { names = { ["x.example/many:1"] = true },
      blobs = { [id "3"] = true, [id "b"] = true } } })
end)

test("versions and settings of containerd and docker", function()
  check.equal(parse("containerd.version",
    "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3\n"), "1.6.20")
  check.equal(parse("containerd.version",
    "containerd github.com/containerd/containerd/v2 v2.1.3 c787fb98\n"), "2.1.3")
  check.equal(parse("docker.version", "Docker version 20.10.24+dfsg1, build 297e128\n"), "20.10.24")
  check.equal(parse("containerd.settings", "sandbox_image = \"a:1\"\n  SystemdCgroup = true\n"
    .. "      config_path = \"/etc/certs\"\n"),
    { sandbox_image = "a:1", systemd_cgroup = true, registries = "/etc/certs" })
  check.equal(parse("containerd.settings", "version = 3\n    [plugins.'io.containerd.cri.v1.images'"
    .. ".pinned_images]\n      sandbox = 'b:2'\n\n    sandboxer = 'podsandbox'\n"),
    { sandbox_image = "b:2", systemd_cgroup = false, registries = "" })
  check.equal(parse("containerd.serves", "TYPE                ID    PLATFORMS      STATUS\n"
    .. "io.containerd.grpc.v1           cri      linux/amd64    ok\n"), true)
  check.equal(parse("containerd.serves", "io.containerd.grpc.v1  cri   linux/amd64    error\n"
    .. "io.containerd.grpc.v1  tasks   -    ok\n"), false)
end)

test("what the kubelet's settings ask for", function()
  check.equal(parse("images.asked", "sandbox k8s.gcr.io/pause:3.2\npod k8s.gcr.io/etcd:3\n"
    .. "pod \"x.example/y:1\"\npod k8s.gcr.io/etcd:3\n"),
    { sandbox = "k8s.gcr.io/pause:3.2", static_pods = { "k8s.gcr.io/etcd:3", "x.example/y:1" } })
  check.equal(parse("images.asked", ""), { sandbox = false, static_pods = {} })
end)

-- A node without a cluster, that answers these facts.
local function node(facts)
  return { name = "w0", var = function() end, in_group = function()
    return false
  end, fact = function(_, name, argument)
    local answer = facts[argument and name .. " " .. argument or name]
    assert(answer ~= nil, name)
    return answer
  end, fail = function(_, message)
    error(message, 0)
  end }
end

local function service(active)
  return { active = active }
end

test("a node's images are compared with what is asked for", function()
  local host = node { ["unit.state docker.service"] = service "inactive",
    ["unit.state containerd.service"] = service "active",
    ["images.asked"] = { sandbox = "not-of-docker:1", static_pods = { "a.example/api:1" } },
    ["containerd.settings"] = { sandbox_image = "k8s.gcr.io/pause:3.2" },
    ["images.present containerd"] = { [id "a"] = { names = { ["k8s.gcr.io/pause:3.2"] = true,
      [id "a"] = true } } } }
  check.equal(survey.survey(host, { { image = "k8s.gcr.io/pause:3.2", by = "x.yaml" } }), {
    { node = "w0", runtime = "containerd", image = "k8s.gcr.io/pause:3.2", id = id "a",
      state = "there", by = { "sandbox", "x.yaml" } },
    { node = "w0", runtime = "containerd", image = "a.example/api:1", state = "missing",
      by = { "static pod" } } })
  check.equal(survey.stock(host), { { node = "w0", runtime = "containerd",
    image = "k8s.gcr.io/pause:3.2", id = id "a" } })
  check.raises("neither docker nor containerd", survey.stock, node {
    ["unit.state docker.service"] = service "failed",
    ["unit.state containerd.service"] = service "inactive" })
end)

test("masters have the control plane, all nodes the rest, none etcd", function()
  local master = { in_group = function(_, group)
    return group == "masters"
  end }
  local worker = node {}
  for name, wanted in pairs { ["k8s.gcr.io/kube-apiserver:v1.20.2"] = { true, false },
    ["x.example:5000/a/kube-scheduler:v1"] = { true, false },
    ["k8s.gcr.io/kube-proxy:v1.20.2"] = { true, true }, ["k8s.gcr.io/etcd:3"] = { false, false },
    ["lab/web:1.0"] = { true, true } } do
    check.equal({ survey.is_for(master, name), survey.is_for(worker, name) }, wanted, name)
  end
end)
