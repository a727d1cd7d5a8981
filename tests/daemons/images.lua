-- Real daemons take what kbrun's plans send: containerd and docker, started here with directories
-- and sockets of their own. They are those installed, or else those of the lab's bundle, unpacked.
-- Needs root.
local test = ...
local check = require "lib.check"
local daemons = require "lib.daemons"
local images = require "kb.images"
local json = require "kb.json"
local make = require "lib.imagefile"
local proc = require "kb.core.proc"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local programs = { "dockerd", "containerd", "ctr", "docker", "runc" }
local packages = { "containerd", "docker.io", "runc", "tini" }
local base, first, second = make.layer("base", 300000), make.layer("first"), make.layer("second")

local function run(argv)
  local result = program.run(argv)
  if result.status ~= 0 then
    error(table.concat(argv, " ") .. "\n" .. result.out .. result.err, 2)
  end
  return result.out
end

local function containerd(dir)
  local address = dir.path .. "/c.sock"
  check.ok(sys.write_file(dir.path .. "/config.toml", ([[
version = 2
root = "%s/c-root"
state = "%s/c-state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "%s"
]]):format(dir.path, dir.path, address)))
  local ctr = { "ctr", "-a", address, "-n", "k8s.io" }
  return daemons.start(dir, "containerd", { "containerd", "-c", dir.path .. "/config.toml" },
    { "ctr", "-a", address, "version" }), ctr, address
end

local function docker(dir, address)
  local host = "unix://" .. dir.path .. "/d.sock"
  return daemons.start(dir, "dockerd", { "dockerd", "--data-root", dir.path .. "/d-root",
    "--exec-root", dir.path .. "/d-exec", "-H", host, "--pidfile", dir.path .. "/d.pid",
    "--storage-driver", "vfs", "--bridge", "none", "--iptables=false", "--ip6tables=false",
    "--containerd", address }, { "docker", "-H", host, "version" }), { "docker", "-H", host }
end

local function with(argv, ...)
  local all = table.move(argv, 1, #argv, 1, {})
  return table.move({ ... }, 1, select("#", ...), #all + 1, all)
end

-- Run a program with the plan's stream as its input.
local function feed(argv, plan)
  local process, io = check.ok(proc.spawn { argv = argv, stdout = "null" })
  local errors = task.spawn(function()
    local text = ""
    for chunk in function() return (io.stderr:read()) end do
      text = text .. chunk
    end
    return text
  end)
  local stream <close> = plan:stream()
  for chunk in stream do
    if not io.stdin:write(chunk) then
      break
    end
  end
  io.stdin:close()
  local said = errors:join()
  io.stderr:close()
  return process:wait(), said
end

local function archive_of(dir, name, layers)
  local image = make.image(layers)
  local path = make.write(dir, name .. ".tar", make.docker_files(image, { "lab/" .. name .. ":1" }))
  return check.ok(images.read(path)), image
end

local function lines(text)
  local set = {}
  for line in text:gmatch("[^\n]+") do
    set[line] = true
  end
  return set
end

test("containerd takes an image whole, and a second one without what it has", function()
  local dir <close> = scratch()
  local found <close> = daemons.programs(dir, programs, packages)
  local server <close>, ctr = containerd(dir)
  check.ok(found and server)
  local import = with(ctr, "images", "import", "--snapshotter", "native", "-")
  local one = archive_of(dir, "one", { base, first })
  check.equal({ feed(import, images.plan(one, { runtime = "containerd" })) }, { 0, "" })
  local two = archive_of(dir, "two", { base, second })
  local plan = images.plan(two, { runtime = "containerd",
    blobs = lines(run(with(ctr, "content", "ls", "-q"))) })
  check.equal({ plan.layers, plan.layers_sent, plan.bytes < 10000 }, { 2, 1, true })
  check.equal({ feed(import, plan) }, { 0, "" })
  local checked = run(with(ctr, "images", "check", "--snapshotter", "native"))
  for _, name in ipairs({ "docker.io/lab/one:1", "docker.io/lab/two:1" }) do
    check.contains(checked:match(name .. "[^\n]*"), "complete (3/3)")
    check.contains(checked:match(name .. "[^\n]*"), "true")
  end
end)

test("docker takes an image whole, and a second one without the chain it has", function()
  local dir <close> = scratch()
  local found <close> = daemons.programs(dir, programs, packages)
  local below <close>, _, address = containerd(dir)
  local server <close>, client = docker(dir, address)
  check.ok(found and below and server)
  local one, image = archive_of(dir, "one", { base, first })
  check.equal(feed(with(client, "load"), images.plan(one, { runtime = "docker" })), 0)
  local function inspect(name)
    return json.decode(run(with(client, "image", "inspect", name)))[1]
  end
  check.equal(inspect("lab/one:1").Id, image.id)
  local chains = {}
  for _, chain in ipairs(images.chain_ids(inspect("lab/one:1").RootFS.Layers)) do
    chains[chain] = true
  end
  local two, image_two = archive_of(dir, "two", { base, second })
  local plan = images.plan(two, { runtime = "docker", chains = chains })
  check.equal({ plan.layers, plan.layers_sent, plan.bytes < 10000 }, { 2, 1, true })
  check.equal(feed(with(client, "load"), plan), 0)
  check.equal(inspect("lab/two:1").Id, image_two.id)
  plan = images.plan({ one, two }, { runtime = "docker", images = { [image.id] = { "lab/one:1" },
    [image_two.id] = { "lab/two:1" } } })
  check.equal({ #plan.load, #plan.names, #plan.present, plan.bytes }, { 0, 0, 2, 0 })
end)
