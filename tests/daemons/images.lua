-- Real daemons take what kbrun's plans send: containerd and docker, started here with directories
-- and sockets of their own. They are those installed, or else those of the lab's bundle, unpacked.
-- Needs root.
local test = ...
local bundle = require "kb.bundle"
local bundle_facts = require "modules.bundle.facts"
local check = require "lib.check"
local daemons = require "lib.daemons"
local image_of = require "kb.bundle.image"
local images = require "kb.images"
local json = require "kb.json"
local make = require "lib.imagefile"
local proc = require "kb.core.proc"
local program = require "lib.program"
local remote = require "kb.remote"
local scratch = require "lib.scratch"
local store = require "kb.bundle.store"
local stub = require "lib.stub"
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
  local server <close>, ctr = daemons.containerd(dir)
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
  local below <close>, _, address = daemons.containerd(dir)
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

local playbook = [[
local kb = require "kb"
local images = kb.use "images"
kb.play { "images", hosts = "all", function(host)
  images.loaded(host, { archive = host:var("archives"), bundle = host:var("bundle"),
    runtime = host.vars.runtime, names = host:var("names") })
end }
]]

-- This machine as a host whose commands find the test's daemons.
local function host_with(env)
  local connection = check.ok(remote.open { transport = "local", name = "h1" })
  env.PATH = sys.getenv "PATH"
  local function with_env(method)
    return function(_, command, opts)
      opts.env = env
      return connection[method](connection, command, opts)
    end
  end
  return setmetatable({ run = with_env "run", batch = with_env "batch", close = function()
    connection:close()
  end }, { __index = connection })
end

-- Have images of archives or of a bundle (a table) loaded by the operation; its last step, and the
-- bytes that were sent for it.
local function load(target, from, names)
  local archives, dir = from, type(from) == "table" and from.bundle or nil
  local connection
  local events = stub.run(playbook, { verify = true,
    vars = { runtime = target.runtime, archives = not dir and archives or nil, bundle = dir,
      names = names },
    open = function()
      connection = host_with(target.env)
      return connection
    end })
  for i = #events, 1, -1 do
    if events[i].event == "step" then
      return events[i], connection:stats().sent
    end
  end
end

local function title(target, ...)
  local step = load(target, ...)
  check.equal(step.error, nil)
  return step.title or step.reason
end

-- What the operation does with either runtime.
local function loads(dir, target)
  local one, image = archive_of(dir, "one", { base, first })
  local two = archive_of(dir, "two", { base, second })
  local step, sent = load(target, one.path)
  check.equal(step.error, nil)
  check.contains(step.title, "load 1 images: send 2 of 2 layers")
  check.ok(sent > 300000, sent)
  check.contains(title(target, one.path), "has all 1 images")
  step, sent = load(target, { one.path, two.path })
  check.contains(step.title, "load 1 images: send 1 of 2 layers")
  check.ok(sent < 30000, ("%d bytes for the new layer"):format(sent))
  local other = make.write(dir, "other.tar", make.docker_files(image, { "lab/one:1", "lab/x:2" }))
  check.equal(title(target, other), "name 1 images")
  check.contains(title(target, other), "has all 1 images")
  -- the name alone does not do: it moves to the image that is asked for
  local moved = make.write(dir, "moved.tar", make.docker_files(make.image { base, second, first },
    { "lab/x:2", "lab/y:3" }))
  -- containerd has each of its layers, docker the chain of the lower two
  check.contains(title(target, moved, { "lab/x:2" }), ("load 1 images: send %d of 3 layers"):format(
    target.runtime == "docker" and 1 or 0))
  check.contains(title(target, moved, { "docker.io/lab/x:2" }), "has all 1 images")
  check.equal(title(target, other), "name 1 images")
end

local function refuses(dir, target, names)
  local function refused(words, change)
    local files = make.docker_files(make.image { base, second }, { "lab/bad:1" })
    local path = make.write(dir, "bad.tar", change(files) or files)
    local step = load(target, path)
    check.contains(step.error.message, words)
    check.equal(names():find("bad", 1, true), nil)
  end
  refused("truncated", function(files)
    return make.tar(files):sub(1, 40000)
  end)
  refused("but should be", function(files)
    files[2][2] = first
  end)
  refused("its path leads out", function(files)
    table.insert(files, 1, { "../evil", "x" })
  end)
  refused("layer 2 of 2 is missing", function(files)
    table.remove(files, 2)
  end)
end

-- A bundle of archives, beside them.
local function bundle_of(dir, name, archives)
  local path, items = dir.path .. "/" .. name, {}
  check.ok(store.prepare(path))
  for _, archive in ipairs(archives) do
    local made = check.ok(image_of.split(path, archive))
    table.move(made, 1, #made, #items + 1, items)
  end
  check.ok(bundle.save(path, items))
  return { bundle = path }, items
end

-- Where this host has blobs, until the value closes.
local function blobs_below(dir)
  local usual = bundle_facts.BLOBS
  bundle_facts.BLOBS = dir.path .. "/blobs"
  check.ok(sys.mkdir(bundle_facts.BLOBS, 448))
  return setmetatable({}, { __close = function()
    bundle_facts.BLOBS = usual
  end })
end

-- The host's own blobs do not travel; damaged ones, here or there, are no image.
local function takes_blobs(dir, target, names)
  local four = archive_of(dir, "four", { make.layer("four", 200000) })
  local from, items = bundle_of(dir, "bundle", { four,
    (archive_of(dir, "five", { make.layer "five" })) })
  local here <close> = blobs_below(dir)
  check.ok(here)
  local layer = items[1].blobs[2]
  local whole = check.ok(sys.read_file(bundle.blob(from.bundle, layer.sha256)))
  local there = bundle_facts.BLOBS .. "/" .. layer.sha256
  check.ok(sys.write_file(there, ("x"):rep(#whole)))
  local step = load(target, from, { "lab/four:1" })
  check.contains(step.error.message, "failed")
  check.equal(names():find("four", 1, true), nil)
  check.ok(sys.write_file(there, whole))
  step = load(target, from, { "lab/four:1" })
  check.equal(step.error, nil)
  check.contains(step.title, "send 0 of 1 layers")
  check.contains(title(target, from), "load 1 images: send 1 of 1 layers")
  check.contains(title(target, from), "has all 2 images")
end

local function refuses_damage(dir, target, names)
  local from, items = bundle_of(dir, "damaged", { (archive_of(dir, "six", { make.layer "six" })) })
  local blob = bundle.blob(from.bundle, items[1].blobs[2].sha256)
  check.ok(sys.write_file(blob, (check.ok(sys.read_file(blob)):gsub(".$", "x"))))
  check.contains(load(target, from).error.message, "is damaged")
  check.ok(sys.remove(blob))
  check.contains(load(target, from).error.message, items[1].blobs[2].sha256)
  check.equal(names():find("six", 1, true), nil)
end

test("images.loaded: containerd gets what it lacks, once, and nothing broken", function()
  local dir <close> = scratch()
  local found <close> = daemons.programs(dir, programs, packages)
  local server <close>, ctr, address = daemons.containerd(dir)
  check.ok(found and server)
  local target = { runtime = "containerd", env = { CONTAINERD_ADDRESS = address,
    CONTAINERD_SNAPSHOTTER = "native" } }
  loads(dir, target)
  local function names()
    return run(with(ctr, "images", "ls", "-q"))
  end
  refuses(dir, target, names)
  takes_blobs(dir, target, names)
  refuses_damage(dir, target, names)
end)

test("images.loaded: docker gets what it lacks, once, and nothing broken", function()
  local dir <close> = scratch()
  local found <close> = daemons.programs(dir, programs, packages)
  local below <close>, _, address = daemons.containerd(dir)
  local server <close>, client = docker(dir, address)
  check.ok(found and below and server)
  local target = { runtime = "docker", env = { DOCKER_HOST = client[3] } }
  loads(dir, target)
  local function names()
    return run(with(client, "image", "ls"))
  end
  refuses(dir, target, names)
  takes_blobs(dir, target, names)
  refuses_damage(dir, target, names)
end)
