-- What is said of a registry, read by a real containerd: an image comes from the mirror that has
-- it, by the name of a registry that nobody can reach from here.
local test = ...
local check = require "lib.check"
local containerd = require "modules.containerd"
local daemons = require "lib.daemons"
local imagefile = require "lib.imagefile"
local program = require "lib.program"
local registry = require "lib.registry"
local scratch = require "lib.scratch"
local stub = require "lib.stub"
local sys = require "kb.core.sys"

-- Write what the operation would write for docker.io, below the directory.
local function write_hosts(dir, args)
  local hosts = dir .. "/docker.io"
  args[1], args.registries = "docker.io", dir
  local op = containerd.registry
  local change = op:decide(op:check(args), stub.facts {
    { "file.stat", hosts .. "/hosts.toml", { kind = "absent" } },
    { "file.stat", hosts, { kind = "directory" } },
    { "user.self", { name = "root", group = "root" } } })
  sys.mkdir(hosts, 448)
  for _, action in ipairs(change.actions) do
    if action.put then
      check.ok(sys.write_file(action.put.path, action.put.content))
    end
  end
end

test("containerd asks the mirrors of a registry in their order", function()
  local dir <close> = scratch()
  local found <close> = daemons.programs(dir, { "containerd", "ctr" }, { "containerd" })
  local address, server = registry.start(dir)
  local _ <close> = server
  local runtime <close>, ctr = daemons.containerd(dir)
  check.ok(found and runtime)
  registry.push(dir, address, "lab/web:1.0", { imagefile.layer "one" })
  registry.push(dir, address, "hub/lab/web:2.0", { imagefile.layer "two" })
  local function pull(name, mirrors)
    write_hosts(dir.path .. "/hosts", { server = "https://127.0.0.1:1", mirrors = mirrors })
    local argv = table.move(ctr, 1, #ctr, 1, {})
    for word in ("images pull --snapshotter native --hosts-dir"):gmatch "%S+" do
      argv[#argv + 1] = word
    end
    return program.run(table.move({ dir.path .. "/hosts", "docker.io/" .. name }, 1, 2, #argv + 1,
      argv))
  end
  check.ok(sys.mkdir(dir.path .. "/hosts", 448))
  local good = { url = "https://" .. address, ca = dir.path .. "/ca.pem" }
  local r = pull("lab/web:1.0", { "https://127.0.0.1:1", good })
  check.equal(r.status, 0, r.err)
  r = pull("lab/web:2.0", { { url = ("https://%s/v2/hub"):format(address), override_path = true,
    skip_verify = true } })
  check.equal(r.status, 0, r.err)
  local has = program.run(table.move({ "images", "ls", "-q" }, 1, 3, #ctr + 1,
    table.move(ctr, 1, #ctr, 1, {}))).out
  check.contains(has, "docker.io/lab/web:1.0\ndocker.io/lab/web:2.0\n")
  r = pull("lab/web:3.0", { { url = "https://" .. address } })
  check.ok(r.status ~= 0, "nobody vouches for the mirror")
  check.contains(r.err, "certificate signed by unknown authority")
end)
