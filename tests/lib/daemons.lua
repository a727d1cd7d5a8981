--- Real daemons for tests: found or unpacked, started, and ended with the test.
local bundle = require "kb.bundle"
local check = require "lib.check"
local proc = require "kb.core.proc"
local program = require "lib.program"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local M = {}

local cache = sys.getenv("KBRUN_CACHE") or "/var/cache/kbrun"

-- A package of that name in the bundles of the lab, the newest that was made.
local function package(name)
  local found
  for _, path in ipairs(sys.glob(cache .. "/bundle-*/bundle.yaml")) do
    local dir, made = path:match("^(.*)/"), sys.stat(path).mtime
    for _, item in ipairs((bundle.load(dir) or { items = {} }).items) do
      if item.kind == "deb" and item.name == name and (not found or made > found.made) then
        found = { made = made, path = bundle.blob(dir, item.sha256) }
      end
    end
  end
  return found and found.path
    or error(("no %s: install it, or run tests/lab/bundle"):format(name), 0)
end

--- See that programs are in PATH: those installed, or else those of the lab's bundle, unpacked.
-- @param dir table from lib.scratch
-- @param names list of strings: the programs
-- @param packages list of strings: the packages of the bundle that they are in
-- @return a value that puts PATH back when it closes
function M.programs(dir, names, packages)
  local path = sys.getenv("PATH")
  local here = program.run { "sh", "-c", 'for p; do command -v "$p" || exit 1; done', "sh",
    table.unpack(names) }
  if here.status ~= 0 then
    for _, name in ipairs(packages) do
      local result = program.run { "dpkg-deb", "-x", package(name), dir.path .. "/unpacked" }
      check.equal(result.status, 0, result.err)
    end
    local usr = dir.path .. "/unpacked/usr"
    sys.setenv("PATH", ("%s/bin:%s/sbin:%s"):format(usr, usr, path))
  end
  return setmetatable({}, { __close = function()
    sys.setenv("PATH", path)
  end })
end

--- Start a daemon that writes to a log, and wait until it answers.
-- @param dir table from lib.scratch
-- @param name string: of its log
-- @param argv list of strings
-- @param ready list of strings: a program that succeeds when the daemon answers
-- @return a value that ends the daemon when it closes
function M.start(dir, name, argv, ready)
  local log = dir.path .. "/" .. name .. ".log"
  local shell = { "sh", "-c", 'exec "$@" >"$LOG" 2>&1', "sh", table.unpack(argv) }
  local process = check.ok(proc.spawn { argv = { "env", "LOG=" .. log, table.unpack(shell) },
    stdin = "null", stdout = "null", stderr = "null" })
  local self = setmetatable({}, { __close = function()
    process:kill()
    process:wait()
  end })
  local _ <close> = task.within(60)
  while program.run(ready).status ~= 0 do
    if not task.sleep(0.1) then
      process:kill()
      process:wait()
      error(name .. " did not start: " .. (sys.read_file(log) or ""))
    end
  end
  return self
end

--- Start a containerd with directories and a socket of its own.
-- @param dir table from lib.scratch
-- @return a value that ends it when it closes; argv of a ctr that asks it; its address
function M.containerd(dir)
  local address = dir.path .. "/c.sock"
  -- containerd 2 unpacks only for snapshotters that it is told of
  check.ok(sys.write_file(dir.path .. "/config.toml", ([==[
version = 2
root = "%s/c-root"
state = "%s/c-state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "%s"
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
platform = "linux/amd64"
snapshotter = "native"
]==]):format(dir.path, dir.path, address)))
  local ctr = { "ctr", "-a", address, "-n", "k8s.io" }
  return M.start(dir, "containerd", { "containerd", "-c", dir.path .. "/config.toml" },
    { "ctr", "-a", address, "version" }), ctr, address
end

return M
