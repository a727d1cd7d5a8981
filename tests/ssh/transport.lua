-- Connections to real servers: authentication, host keys, limits, and what is said
-- when something is wrong.
local test = ...
local check = require "lib.check"
local known_hosts = require "kb.transport.known_hosts"
local sshd = require "lib.sshd"
local sys = require "kb.core.sys"
local transport = require "kb.transport.ssh"

local me = sys.self().user

local function read_all(stream)
  local parts = {}
  for part in function()
    return stream:read()
  end do
    parts[#parts + 1] = part
  end
  return table.concat(parts)
end

-- A target for the server, which listens already; its key is known.
local function target_of(server, changes)
  local target = {
    name = "web1",
    address = "127.0.0.1",
    port = server.port,
    user = me,
    keys = { server.user_key },
    agent = false,
    host_key = { server:public(server.host_key) },
  }
  for k, v in pairs(changes or {}) do
    target[k] = v
  end
  return target
end

local function listening(options)
  local server = sshd.new(options)
  server:listen()
  return server
end

local function works(target)
  local connection <close> = check.ok(transport.open(target))
  local channel <close> = check.ok(connection:exec "cat; echo $((6 * 7))")
  check.ok(channel.stdin:write "in ")
  check.ok(channel.stdin:shutdown())
  check.equal(read_all(channel.stdout), "in 42\n")
  check.equal(channel:wait(), 0)
end

-- Opening fails with this code, and the message says all the words.
local function fails(target, code, ...)
  local connection, message, got = transport.open(target)
  check.equal(connection, nil)
  check.equal(got, code, message)
  for _, words in ipairs { ... } do
    check.contains(message, words)
  end
  return message
end

test("an ed25519 key", function()
  local server <close> = listening()
  works(target_of(server))
end)

test("an RSA key signs with SHA-2", function()
  local server <close> = listening()
  local path = server:key("rsa", "-t", "rsa", "-b", "2048", "-N", "")
  server:authorize(server:public(path))
  works(target_of(server, { keys = { path } }))
end)

test("ecdsa keys of all sizes", function()
  local server <close> = listening()
  for _, bits in ipairs { "256", "384", "521" } do
    local path = server:key("ecdsa" .. bits, "-t", "ecdsa", "-b", bits, "-N", "")
    server:authorize(server:public(path))
    works(target_of(server, { keys = { path } }))
  end
end)

test("a key with a passphrase is decrypted once", function()
  local server <close> = listening()
  local path = server:key("locked", "-t", "ed25519", "-N", "open sesame", "-a", "4")
  server:authorize(server:public(path))
  local asked = 0
  local function passphrase()
    asked = asked + 1
    return "open sesame"
  end
  for _ = 1, 3 do
    works(target_of(server, { keys = { path }, passphrase = passphrase }))
  end
  check.equal(asked, 1)
  local wrong = server:key("locked2", "-t", "ed25519", "-N", "another one", "-a", "4")
  fails(target_of(server, { keys = { wrong } }), "EAUTH", "web1 (127.0.0.1:", "auth: ", wrong,
    "it wants a passphrase")
  fails(target_of(server, { keys = { wrong }, passphrase = "guess" }), "EAUTH",
    "the passphrase is wrong")
end)

test("keys that the server does not know are named with their fingerprints", function()
  local server <close> = listening()
  local path = server:key "stranger"
  local blob = known_hosts.parse_key(server:public(path))
  fails(target_of(server, { keys = { path } }), "EAUTH", "web1", "user " .. me .. " is not let in",
    path, known_hosts.fingerprint(blob), "was refused")
end)

test("an unknown host key is shown and refused", function()
  local server <close> = listening()
  local file = server:file("known", "")
  local blob = known_hosts.parse_key(server:public(server.host_key))
  fails(target_of(server, { host_key = false, known_hosts = { file } }), "EHOSTKEY", "web1",
    "host key", "unknown", known_hosts.fingerprint(blob))
end)

test("accept-new writes the key down, and refuses another one afterwards", function()
  local server <close> = listening()
  local file = server.dir .. "/known"
  local changes = { host_key = false, known_hosts = { file }, host_key_policy = "accept-new" }
  works(target_of(server, changes))
  check.contains(sys.read_file(file), ("[127.0.0.1]:%d ssh-ed25519 "):format(server.port))
  works(target_of(server, changes))
  local other = server:key "other"
  server:file("known", ("[127.0.0.1]:%d %s\n"):format(server.port, server:public(other)))
  known_hosts.forget()
  fails(target_of(server, changes), "EHOSTKEY", "CHANGED",
    known_hosts.fingerprint(known_hosts.parse_key(server:public(other))),
    known_hosts.fingerprint(known_hosts.parse_key(server:public(server.host_key))), file .. ":1")
end)
