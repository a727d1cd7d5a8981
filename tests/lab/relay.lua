-- A bundle on nodes behind a bastion: over the uplink once, again after kill -9 and after a node's
-- loss of power, without a relay where there can be none; and no key stays anywhere.
local test = ...
local check = require "lib.check"
local crypto = require "kb.core.crypto"
local labs = require "lib.lab"
local proc = require "kb.core.proc"
local program = require "lib.program"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"

local MB = 1000000
local PLAYBOOK = "tests/lab/playbooks/push.lua"

-- A bundle of blobs of these sizes, of random content.
local function make_bundle(dir, sizes)
  local lines = { "version: 1", "items:" }
  local bundle = { path = dir .. "/bundle", size = 0, hashes = {} }
  check.equal(program.run({ "mkdir", "-p", bundle.path .. "/blobs/sha256" }).status, 0)
  for i, size in ipairs(sizes) do
    local pieces = {}
    for at = 1, size, MB do
      pieces[#pieces + 1] = crypto.random(math.min(MB, size - at + 1))
    end
    local content = table.concat(pieces)
    local hash = crypto.digest("sha256", content)
    check.ok(sys.write_file(bundle.path .. "/blobs/sha256/" .. hash, content))
    lines[#lines + 1] = ("- {kind: file, name: f%d, file: f%d, source: random, size: %d, "
      .. "sha256: %s}"):format(i, i, size, hash)
    bundle.size, bundle.hashes[i] = bundle.size + size, hash
  end
  check.ok(sys.write_file(bundle.path .. "/bundle.yaml", table.concat(lines, "\n") .. "\n"))
  return bundle
end

local Ground = {}
Ground.__index = Ground

-- A lab of a0, m0 and w0 with a thin uplink, and a bundle.
local function ground(sizes)
  local g = setmetatable({ dir = scratch() }, Ground)
  g.lab = labs.open("relay", { "a0", "m0", "w0" })
  g.bundle = make_bundle(g.dir.path, sizes)
  check.ok(sys.write_file(g.dir.path .. "/inventory.yaml", g.lab:run "inventory"))
  g.password = g.lab:run("inventory"):match 'ansible_become_password: "(.-)"'
  g.lab:run("limit", "30mbit")
  return g
end

Ground.__close = function(g)
  g.lab:close()
  local _ <close> = g.dir
end

function Ground:argv(...)
  return { program.kbrun, PLAYBOOK, "-i", self.dir.path .. "/inventory.yaml",
    "-e", "bundle=" .. self.bundle.path, ... }
end

-- Run the playbook; what it said, and the bytes that it sent over the uplink.
function Ground:push(...)
  local before = self:sent()
  local r = program.run(self:argv(...))
  return r, self:sent() - before
end

function Ground:sent()
  return tonumber(self.lab:run("bytes"):match "sent (%d+)")
end

function Ground:root(node, text)
  return self.lab:ssh(node, ("echo '%s' | sudo -S -p '' sh -c '%s'"):format(self.password, text))
end

function Ground:has_all(node)
  for _, hash in ipairs(self.bundle.hashes) do
    check.contains(self.lab:ssh(node, "sha256sum /var/lib/kbrun/blobs/sha256/" .. hash),
      hash .. " ")
  end
end

-- No key and no directory of ours is on any node.
function Ground:is_clean()
  for _, node in ipairs { "a0", "m0", "w0" } do
    local left = self:root(node, "cat /home/ops/.ssh/authorized_keys; ls -A /dev/shm")
    check.equal(left:find("kbrun", 1, true), nil, left)
    check.equal(select(2, left:gsub("ssh%-ed25519", "")), 1, node .. ": " .. left)
  end
end

-- Start a run, and wait until it has sent so many bytes; a function that waits for more.
function Ground:start_and_await(bytes)
  local before = self:sent()
  local function await(more)
    labs.await(60, "the transfer to get on", function()
      return self:sent() - before > more
    end)
  end
  local process, streams = check.ok(proc.spawn { argv = self:argv(), stdin = "null",
    stdout = "pipe", stderr = "null" })
  await(bytes)
  return process, streams, await
end

local function all_of(stream)
  local parts = {}
  for part in function() return (stream:read()) end do
    parts[#parts + 1] = part
  end
  stream:close()
  return table.concat(parts)
end

test("two nodes, and the uplink carries it once; what was killed goes on", function()
  local g <close> = ground { 14 * MB, 5 * MB, 200000, 1000, 1 }
  local size = g.bundle.size

  local r = g:push "--dry-run"
  check.equal(r.status, 0, r.out .. r.err)
  check.equal(select(2, r.out:gsub("send 5 blobs, 19.2 MB, by way of a0", "")), 2, r.out)
  check.equal(g.lab:try("ssh", "w0", "test -e /var/lib/kbrun").status, 1)

  local process, streams, await = g:start_and_await(size * 0.1)
  check.contains(g:root("w0", "cat /home/ops/.ssh/authorized_keys"), "kbrun-relay:")
  await(size * 0.6)
  process:kill(9)
  check.equal({ process:wait() }, { nil, "KILL" })
  streams.stdout:close()
  local bytes
  r, bytes = g:push "--verify"
  check.equal(r.status, 0, r.out .. r.err)
  check.equal(r.out:find "warning", nil, r.out)
  check.ok(bytes < size * 0.45, bytes)
  g:has_all "m0"
  g:has_all "w0"
  g:is_clean()

  g:root("m0", "rm -rf /var/lib/kbrun/blobs")
  r, bytes = g:push()
  check.contains(r.out, "1 change made, 2 as asked")
  check.ok(bytes < size * 0.02, bytes) -- the relay still had it
  g:has_all "m0"
  r = g:push()
  check.contains(r.out, "0 changes made, 3 as asked")
  g:is_clean()
end)

test("a node loses power, and its key is found in the end", function()
  local g <close> = ground { 8 * MB, 8 * MB }
  local process, streams = g:start_and_await(4 * MB)
  g.lab:run("kill", "w0")
  local said = all_of(streams.stdout)
  check.equal(process:wait(), 3, said)
  check.contains(said, "w0")
  g:has_all "m0"
  g.lab:run("start", "w0")
  labs.await(60, "w0 to answer", function()
    return g.lab:try("ssh", "w0", "-o", "ConnectTimeout=2", "true").status == 0
  end)
  check.contains(g:root("w0", "cat /home/ops/.ssh/authorized_keys"), "kbrun-relay:")
  local r = g:push "--verify"
  check.equal(r.status, 0, r.out .. r.err)
  check.contains(r.out, "remove what a transfer that died has left: key ")
  g:has_all "w0"
  g:is_clean()
end)

test("without a relay each node is sent its own, and it is said why", function()
  local g <close> = ground { 2 * MB, 100 }
  g.lab:run("limit", "off")
  g:root("a0", "mv /usr/bin/ssh /usr/bin/ssh.away")
  local r, bytes = g:push()
  check.equal(r.status, 0, r.out .. r.err)
  check.contains(r.out, "a0 cannot hand on (it has no program ssh): sent directly")
  check.ok(bytes > 2 * g.bundle.size, bytes)
  g:has_all "m0"
  g:has_all "w0"
  g:is_clean()

  g:root("a0", "mv /usr/bin/ssh.away /usr/bin/ssh")
  g:root("w0", "rm -rf /var/lib/kbrun/blobs")
  r, bytes = g:push("-e", "relay=m0", "-l", "w0")
  check.equal(r.status, 0, r.out .. r.err)
  check.contains(r.out, "by way of m0")
  check.ok(bytes > g.bundle.size and bytes < 1.1 * g.bundle.size, bytes)
  g:has_all "w0"
  g:is_clean()
end)
