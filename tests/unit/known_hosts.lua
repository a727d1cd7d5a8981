-- What known_hosts files say, judged as OpenSSH does.
local test = ...
local check = require "lib.check"
local crypto = require "kb.core.crypto"
local known_hosts = require "kb.transport.known_hosts"
local proc = require "kb.core.proc"
local sys = require "kb.core.sys"

local function key(seed, kind)
  kind = kind or "ssh-ed25519"
  return string.pack(">s4s4", kind, crypto.digest("sha256", seed, true))
end

local function line(blob)
  return known_hosts.type(blob) .. " " .. crypto.base64_encode(blob)
end

local A, B = key "a", key "b"
local EC = key("c", "ecdsa-sha2-nistp256")

-- A store of these lines, in a file that is removed with it.
local function with(lines, fn)
  local dir = check.ok(sys.mkdtemp "/tmp/kbrun-known-")
  local path = dir .. "/known_hosts"
  local _ <close> = setmetatable({}, {
    __close = function()
      for _, name in ipairs(sys.list(dir)) do
        sys.remove(dir .. "/" .. name)
      end
      sys.remove(dir)
    end,
  })
  check.ok(sys.write_file(path, table.concat(lines, "\n") .. "\n"))
  known_hosts.forget()
  return fn(known_hosts.load { path }, path)
end

local cases = {
  { "a plain name", { "web1 " .. line(A) }, "web1", 22, A, "match" },
  { "names are compared without case", { "Web1 " .. line(A) }, "WEB1", 22, A, "match" },
  { "one of several names", { "x,web1,10.0.0.1 " .. line(A) }, "10.0.0.1", 22, A, "match" },
  { "a host that is not there", { "web1 " .. line(A) }, "web2", 22, A, "unknown" },
  { "another key", { "web1 " .. line(A) }, "web1", 22, B, "changed" },
  { "another key of another type", { "web1 " .. line(A) }, "web1", 22, EC, "changed" },
  { "one of two keys", { "web1 " .. line(A), "web1 " .. line(EC) }, "web1", 22, EC, "match" },
  { "a wildcard", { "*.example.org " .. line(A) }, "web1.example.org", 22, A, "match" },
  { "a dot is no wildcard", { "web.example " .. line(A) }, "webxexample", 22, A, "unknown" },
  { "a question mark", { "10.1.2.? " .. line(A) }, "10.1.2.7", 22, A, "match" },
  { "a negated name", { "*.org,!bad.org " .. line(A) }, "bad.org", 22, A, "unknown" },
  { "a port", { "[web1]:2222 " .. line(A) }, "web1", 2222, A, "match" },
  { "a key of port 22 at another port", { "web1 " .. line(A) }, "web1", 2222, A, "match" },
  { "another key of port 22 at another port", { "web1 " .. line(A) }, "web1", 2222, B, "unknown" },
  { "a key of another port", { "[web1]:2222 " .. line(A) }, "web1", 22, A, "unknown" },
  { "a revoked key that is also listed", { "web1 " .. line(A), "@revoked * " .. line(A) }, "web1",
    22, A, "revoked" },
  { "a revoked key does not speak of others", { "web1 " .. line(A), "@revoked * " .. line(B) },
    "web1", 22, A, "match" },
  { "a certificate authority is no host key", { "@cert-authority * " .. line(A) }, "web1", 22, A,
    "unknown" },
  { "comments and empty lines", { "# web1 " .. line(B), "", "  web1 " .. line(A) .. " me" }, "web1",
    22, A, "match" },
  { "a line that is broken spoils only itself", { "web1 rubbish", "web1 " .. line(A) }, "web1", 22,
    A, "match" },
}

for _, case in ipairs(cases) do
  test("known hosts: " .. case[1], function()
    with(case[2], function(store)
      check.equal((store:check(case[3], case[4], case[5])), case[6])
    end)
  end)
end

test("a line that is broken is a warning with its place", function()
  with({ "web1 " .. line(A), "web1 ssh-ed25519 AAAA", "@strange x y" }, function(store, path)
    check.equal(store.warnings, {
      path .. ":2: not a known host's line",
      path .. ":3: not a known host's line",
    })
  end)
end)

test("names that ssh-keygen has hashed are found", function()
  with({ "web1,[web2]:2222 " .. line(A) }, function(_, path)
    local process = check.ok(proc.spawn {
      argv = { "ssh-keygen", "-H", "-f", path },
      stdin = "null",
      stdout = "null",
      stderr = "null",
    })
    check.equal(process:wait(), 0)
    check.contains(sys.read_file(path), "|1|")
    known_hosts.forget()
    local store = known_hosts.load { path }
    check.equal((store:check("web1", 22, A)), "match")
    check.equal((store:check("web2", 2222, A)), "match")
    check.equal((store:check("web3", 22, A)), "unknown")
  end)
end)

test("a key that is added is found, by ssh-keygen as well, hashed or not", function()
  with({ "other " .. line(B) }, function(store, path)
    check.ok(store:add("web1", 2222, A, true))
    check.ok(store:add("web2", 22, A, false))
    check.equal((store:check("web1", 2222, A)), "match")
    for _, name in ipairs { "[web1]:2222", "web2", "other" } do
      local process = check.ok(proc.spawn {
        argv = { "ssh-keygen", "-F", name, "-f", path },
        stdin = "null",
        stdout = "null",
        stderr = "null",
      })
      check.equal(process:wait(), 0, name)
    end
    check.equal(sys.read_file(path):find("web1", 1, true), nil)
    check.equal(store:types("web1", 2222), { "ssh-ed25519" })
  end)
end)

test("fingerprints are those that ssh-keygen prints", function()
  check.equal(#known_hosts.fingerprint(A), #"SHA256:" + 43)
  check.equal({ known_hosts.parse_key "ssh-rsa AAAA" }, { nil, '"ssh-rsa AAAA" is no public key' })
end)
