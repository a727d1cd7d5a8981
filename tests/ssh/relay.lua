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

-- Runs functions in tasks that end with the test, as the runner does for a run.
local function keeper()
  local wanted, more = {}, task.condition()
  task.background(function()
    while true do
      while wanted[1] do
        task.background(table.remove(wanted))
      end
      more:wait()
    end
  end)
  return function(fn)
    wanted[#wanted + 1] = fn
    more:notify()
  end
end

-- A bastion and three nodes behind it, which are addresses of one sshd, and what is between them.
-- @param keys string: where the nodes' sshd looks for keys of the users' own (.ssh/authorized_keys)
local function ground(keys)
  local g = { dir = scratch(), at = user(), inside = user(), notices = {} }
  g.bastion, g.server = sshd.new(), sshd.new()
  for _, server in ipairs { g.bastion, g.server } do
    server:file("config", ("AuthorizedKeysFile %s/authorized_keys %s\n%s"):format(server.dir,
      server == g.server and keys or ".ssh/authorized_keys",
      check.ok(sys.read_file(server.config))))
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
  g.spawn = keeper()
  g.relay = relay_of.new { name = "a0", spawn = g.spawn, open = function()
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
  end })
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
  until left == "" and not (keys_of(g) or ""):find(" kbrun-relay:", 1, true)
    or task.now() > deadline or not task.sleep(0.05)
  check.equal(left, "")
  check.equal((keys_of(g) or ""):find(" kbrun-relay:", 1, true), nil)
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

-- What the relay keeps of blobs.
local function spooled(g)
  return g.at.home .. "/.cache/kbrun/relay/blobs/"
end

test("what has come before is not sent again, whole or in part", function()
  local g <close> = ground()
  local blobs = blobs_of(g, { 4 * MB, 2 * MB })
  check.equal(deliver(g, { node_of(g, 1, { blobs[2] }) })[1], { true, n = 1 })
  local dir = g.inside.home .. "/blobs2"
  run("sh", "-c", [[head -c 3000000 "$1" >"$2.part"; chown "$3" "$2.part"
    mkdir "$4"; head -c 1000000 "$1" >"$4/${1##*/}.part"; chown -R "$5" "$4"]], "sh",
    blobs[1].file, spooled(g) .. blobs[1].sha256, g.at.name, dir, g.inside.name)
  local node = node_of(g, 2, blobs)
  local first
  node.progress = function(done)
    first = first or done
  end
  check.equal(deliver(g, { node })[1], { true, n = 1 })
  has_all(node)
  check.equal(first, 1000000)
  local want = 4 * MB - 3000000
  check.ok(g.relay.spool.sent >= want and g.relay.spool.sent < want + 1000, g.relay.spool.sent)
  await_clean(g)
end)

test("a part that has all its bytes is named when it is right, and else comes again", function()
  local g <close> = ground()
  local blobs = blobs_of(g, { 3 * MB, 2 * MB })
  local dir = g.inside.home .. "/blobs1"
  run("sh", "-c", [[mkdir "$1"; cp "$2" "$1/${2##*/}.part"; head -c 2097152 /dev/zero >"$1/$3.part"
    chown -R "$4" "$1"]], "sh", dir, blobs[1].file, blobs[2].sha256, g.inside.name)
  local node = node_of(g, 1, blobs)
  local first
  node.progress = function(done)
    first = first or done
  end
  check.equal(deliver(g, { node })[1], { true, n = 1 })
  has_all(node)
  check.equal(first, 3 * MB)
  await_clean(g)
end)

test("a part that is bad costs one more try", function()
  local g <close> = ground()
  local blobs = blobs_of(g, { 3 * MB })
  check.equal(deliver(g, { node_of(g, 1, blobs_of(g, { 10 })) })[1], { true, n = 1 })
  run("sh", "-c", [[head -c 2000000 /dev/zero >"$1.part"; chown "$2" "$1.part"]], "sh",
    spooled(g) .. blobs[1].sha256, g.at.name)
  local nodes = { node_of(g, 2, blobs), node_of(g, 3, blobs) }
  for i, result in ipairs(deliver(g, nodes)) do
    check.equal(result, { true, n = 1 })
    has_all(nodes[i])
  end
  await_clean(g)
end)

test("a node that the relay cannot enter is sent to directly, and it is said why", function()
  local g <close> = ground()
  local blobs = blobs_of(g, { 2 * MB, 5 })
  local nodes = { node_of(g, 1, blobs),
    node_of(g, 2, blobs, { host_key = g.bastion:public(g.bastion.host_key):match("^%S+ %S+") }),
    node_of(g, 3, blobs, { host_key = false }) }
  for i, result in ipairs(deliver(g, nodes)) do
    check.equal(result, { true, n = 1 })
    has_all(nodes[i])
  end
  check.equal(#g.notices, 2)
  local all = table.concat(g.notices, "\n")
  check.contains(all, "a0 cannot hand on (Host key verification failed.): sent directly")
  check.contains(all, "a0 cannot hand on (the node's host key is not known to us): sent directly")
  await_clean(g)
end)

test("nodes that let no such key in are sent to directly", function()
  local g <close> = ground ".ssh/other"
  local node = node_of(g, 1, blobs_of(g, { MB, 3 }))
  check.equal(deliver(g, { node })[1], { true, n = 1 })
  has_all(node)
  check.contains(g.notices[1], "Permission denied (publickey")
  await_clean(g)
end)

test("what compresses is sent compressed", function()
  local g <close> = ground()
  local text = blob(g.dir.path, ("what repeats itself is soon said; "):rep(100000))
  local node = node_of(g, 1, { text, blobs_of(g, { MB })[1] })
  check.equal(deliver(g, { node })[1], { true, n = 1 })
  has_all(node)
  check.ok(g.relay.spool.sent < 1.1 * MB, g.relay.spool.sent)
  local direct = node_of(g, 2, { text })
  local ok, sent = relay_of.send(direct)
  check.equal(ok, true, sent)
  has_all(direct)
  check.ok(sent < 100000, sent)
  await_clean(g)
end)

test("without a relay that works all are sent to directly", function()
  local g <close> = ground()
  local blobs = blobs_of(g, { MB })
  g.relay = relay_of.new { name = "a0", spawn = g.spawn, open = function()
    return nil, "no way there"
  end }
  local nodes = { node_of(g, 1, blobs), node_of(g, 2, blobs) }
  for i, result in ipairs(deliver(g, nodes)) do
    check.equal(result, { true, n = 1 })
    has_all(nodes[i])
  end
  check.equal(g.notices[1], "a0 cannot hand on (no way there): sent directly")
end)

test("a node that fails stops no other", function()
  local g <close> = ground()
  local blobs = blobs_of(g, { MB, 10 })
  local bad = node_of(g, 1, blobs, { path = "/proc/nothing/blobs" })
  local nodes = { bad, node_of(g, 2, blobs) }
  local results = deliver(g, nodes)
  check.equal(results[1][1], nil)
  check.contains(results[1][2], "/proc/nothing/blobs cannot be made")
  check.equal(results[2], { true, n = 1 })
  has_all(nodes[2])
  await_clean(g)
end)

test("a file that is not what its name says arrives nowhere", function()
  local g <close> = ground()
  local good, bad = blobs_of(g, { 100 })[1], blobs_of(g, { MB })[1]
  check.ok(sys.write_file(bad.file, ("x"):rep(MB)))
  local node = node_of(g, 1, { good, bad })
  local result = deliver(g, { node })[1]
  check.equal(result[1], nil)
  check.contains(result[2], bad.sha256)
  check.equal(sys.glob(node.path .. "/" .. bad.sha256 .. "*"), {})
  check.equal(sys.glob(spooled(g) .. bad.sha256 .. "*"), {})
  await_clean(g)
end)

test("keys of others stay, those that dead runs left go", function()
  local g <close> = ground()
  local file = g.inside.home .. "/.ssh/authorized_keys"
  local own = "# mine\nssh-ed25519 AAAAC3 somebody@kbrun-relay:"
  run("sh", "-c", [[mkdir -m 700 "${1%/*}"; cat >"$1" <<END
$2
restrict,command="exec cat" ssh-ed25519 AAAAC3Nz kbrun-relay:00ff
END
chmod 640 "$1"; chown -R "$3" "${1%/*}"]], "sh", file, own, g.inside.name)
  check.equal(deliver(g, { node_of(g, 1, blobs_of(g, { 10 })) })[1], { true, n = 1 })
  await_clean(g)
  check.equal(keys_of(g), own .. "\n")
  check.equal(check.ok(sys.stat(file)).mode, tonumber("640", 8))
end)

test("what a link in the common directory leads to is not taken for a dead run's", function()
  local dir <close> = scratch()
  check.ok(sys.write_file(dir.path .. "/precious", "x"))
  local link = "/dev/shm/kbrun-relay." .. crypto.random(8):gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end)
  run("ln", "-s", dir.path, link)
  local _ <close> = setmetatable({}, { __close = function()
    sys.remove(link)
  end })
  check.equal(run("sh", "-c", script.leftovers()):find(link, 1, true), nil)
  run("sh", "-c", script.tidy())
  check.equal(sys.read_file(dir.path .. "/precious"), "x")
end)

test("a transfer that is broken off leaves no key, and what came counts", function()
  local g <close> = ground()
  local blobs = blobs_of(g, { 20 * MB })
  local node, seen = node_of(g, 1, blobs), task.condition()
  node.progress = function()
    seen:notify()
  end
  local whole = task.spawn(function()
    return pcall(g.relay.deliver, g.relay, node)
  end)
  seen:wait()
  check.contains(keys_of(g), "kbrun-relay:")
  check.contains(keys_of(g), 'from="127.0.0.1"')
  whole:cancel("enough")
  pcall(whole.join, whole)
  await_clean(g)
  local there = #(sys.read_file(spooled(g) .. blobs[1].sha256 .. ".part") or "")
  check.equal(deliver(g, { node })[1], { true, n = 1 })
  has_all(node)
  local heads = 20 * 100 -- a frame a megabyte, each with a line before it
  check.ok(g.relay.spool.sent < 20 * MB - there + heads, g.relay.spool.sent)
  await_clean(g)
end)
