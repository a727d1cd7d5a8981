-- Blobs by way of a relay: real sshds are the bastion and the nodes behind it.
local test = ...
local account = require "lib.account"
local check = require "lib.check"
local crypto = require "kb.core.crypto"
local program = require "lib.program"
local reach = require "lib.reach"
local relay_of = require "kb.relay"
local remote_of = require "kb.remote"
local scratch = require "lib.scratch"
local script = require "kb.relay.script"
local sshd = require "lib.sshd"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local MB = 1 << 20

local function blob(dir, content)
  local hash = crypto.digest("sha256", content)
  local file = dir .. "/" .. hash
  check.ok(sys.write_file(file, content))
  return { sha256 = hash, size = #content, file = file }
end

local function run(...)
  local r = program.run { ... }
  check.equal(r.status, 0, r.err)
  return r.out
end

-- A user whose own authorized_keys let others in.
local function user()
  local one = account.new()
  run("chmod", "755", one.home)
  return one
end

-- A bastion and three nodes behind it, which are addresses of one sshd, and what is between them.
local function ground(settings)
  local g = { dir = scratch(), at = user(), inside = user(), notices = {} }
  local both = { settings = { "AuthorizedKeysFile " .. "%h/.ssh/authorized_keys /dev/null" } }
  g.bastion, g.server = sshd.new(), sshd.new()
  for _, server in ipairs { g.bastion, g.server } do
    local text = ("AuthorizedKeysFile %s/authorized_keys .ssh/authorized_keys\n%s"):format(
      server.dir, server == g.server and settings and settings .. "\n" or "")
    server:file("config", text .. check.ok(sys.read_file(server.config)))
    server.config = server.dir .. "/config"
    server:listen { everywhere = true }
  end
  g.hop = reach.target(g.bastion, { name = "a0", user = g.at.name })
  g.open = {}
  function g.remote(target)
    local remote = check.ok(remote_of.open(target))
    g.open[#g.open + 1] = remote
    return remote
  end
  g.relay = relay_of.new { name = "a0", spawn = task.background, open = function()
    return g.remote(g.hop)
  end }
  return setmetatable(g, { __close = function()
    for _, one in ipairs(g.open) do
      one:close()
    end
    for _, one in ipairs { g.bastion, g.server } do
      one:close()
    end
    for _, one in ipairs { g.at, g.inside } do
      run("sh", "-c", "rm -rf -- \"$1\"/* \"$1\"/.cache", "sh", one.home)
      one:close()
    end
    run("rm", "-rf", g.dir.path)
  end }), both
end

-- A node of the ground, with its blobs.
local function node_of(g, i, blobs, changes)
  local address = "127.0.3." .. i
  local node = { name = "n" .. i, login = g.inside.name, address = address, port = g.server.port,
    path = g.inside.home .. "/blobs" .. i, blobs = blobs, host_key =
      g.server:public(g.server.host_key):match("^%S+ %S+"), notice = function(text)
      g.notices[#g.notices + 1] = text
    end }
  node.remote = g.remote(reach.target(g.server, { name = node.name, user = g.inside.name,
    address = address, jumps = { g.hop } }))
  for k, v in pairs(changes or {}) do
    node[k] = v
  end
  return node
end

-- Deliver to all at once; what came of each.
local function deliver(g, nodes)
  local tasks, results = {}, {}
  for i, node in ipairs(nodes) do
    tasks[i] = task.spawn(function()
      return table.pack(g.relay:deliver(node))
    end)
  end
  for i, t in ipairs(tasks) do
    results[i] = t:join()
  end
  return results
end

local function has_all(node)
  for _, one in ipairs(node.blobs) do
    local digest = run("sha256sum", node.path .. "/" .. one.sha256):match("^%x+")
    check.equal(digest, one.sha256)
  end
  check.equal(sys.glob(node.path .. "/*.part"), {})
end

local function keys_of(g)
  return sys.read_file(g.inside.home .. "/.ssh/authorized_keys")
end

-- Nothing of ours is left: no key, and no directory in memory.
local function await_clean(g)
  local deadline = task.now() + 10
  local left
  repeat
    left = run("sh", "-c", [[find /dev/shm -maxdepth 1 -name '*kbrun-relay*' -user "$1" -o \
      -maxdepth 1 -name '*kbrun-relay*' -user "$2"]], "sh", g.at.name, g.inside.name)
  until left == "" and not (keys_of(g) or ""):find("kbrun-relay", 1, true)
    or task.now() > deadline or not task.sleep(0.05)
  check.equal(left, "")
  check.equal((keys_of(g) or ""):find("kbrun-relay", 1, true), nil)
end

local function blobs_of(g, sizes)
  local list = {}
  for i, size in ipairs(sizes) do
    local pieces = {}
    for at = 1, size, MB do
      pieces[#pieces + 1] = crypto.random(math.min(MB, size - at + 1))
    end
    list[i] = blob(g.dir.path, table.concat(pieces))
  end
  return list
end

test("three nodes get all, and the relay once", function()
  local g <close> = ground()
  local blobs = blobs_of(g, { 5 * MB, 100, 1, 3 * MB + 7 })
  local one = { blobs[1], blobs[2] }
  local nodes = { node_of(g, 1, blobs), node_of(g, 2, blobs), node_of(g, 3, one) }
  local most = {}
  nodes[1].progress = function(done, total)
    most = { done, total }
  end
  for _, result in ipairs(deliver(g, nodes)) do
    check.equal(result, { true, n = 1 })
  end
  check.equal(g.notices, {})
  for _, node in ipairs(nodes) do
    has_all(node)
  end
  local total = 8 * MB + 108
  check.equal(most, { total, total })
  check.ok(g.relay.spool.sent >= total and g.relay.spool.sent < total + 1000, g.relay.spool.sent)
  await_clean(g)
  check.equal(keys_of(g), nil)
  check.equal(deliver(g, nodes)[2], { true, n = 1 })
  check.equal(g.relay.spool.sent, 0)
end)
