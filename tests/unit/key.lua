local test = ...
local check = require "lib.check"
local crypto = require "kb.core.crypto"
local key = require "kb.core.key"
local proc = require "kb.core.proc"
local sys = require "kb.core.sys"

local function run(argv)
  local process, streams = check.ok(proc.spawn { argv = argv, stdin = "null", stderr = "null" })
  local out = {}
  for part in function()
    return streams.stdout:read()
  end do
    out[#out + 1] = part
  end
  streams.stdout:close()
  check.equal(process:wait(), 0, table.concat(argv, " "))
  return table.concat(out)
end

local function directory()
  local dir = check.ok(sys.mkdtemp "/tmp/kbrun-key-")
  return dir,
    setmetatable({}, {
      __close = function()
        for _, name in ipairs(sys.list(dir)) do
          sys.remove(dir .. "/" .. name)
        end
        sys.remove(dir)
      end,
    })
end

-- Make a key with ssh-keygen, read it, and compare the public halves.
local function compare(options, passphrase, kind)
  local dir, _ <close> = directory()
  local path = dir .. "/id"
  local argv = { "ssh-keygen", "-q", "-N", passphrase or "", "-f", path, table.unpack(options) }
  run(argv)
  local text = check.ok(sys.read_file(path))
  if passphrase then
    check.equal({ key.parse(text) }, { nil, "it wants a passphrase", "EREFUSED" })
    check.equal({ key.parse(text, "no") }, { nil, "the passphrase is wrong", "EREFUSED" })
  end
  local k = check.ok(key.parse(text, passphrase))
  local public = check.ok(sys.read_file(path .. ".pub"))
  check.equal(k:type(), kind)
  check.equal(crypto.base64_encode(k:public()), public:match "^%S+ (%S+)")
  return k
end

for _, case in ipairs {
  { "ed25519", { "-t", "ed25519" }, "ssh-ed25519" },
  { "rsa", { "-t", "rsa", "-b", "2048" }, "ssh-rsa" },
  { "ecdsa 256", { "-t", "ecdsa", "-b", "256" }, "ecdsa-sha2-nistp256" },
  { "ecdsa 384", { "-t", "ecdsa", "-b", "384" }, "ecdsa-sha2-nistp384" },
  { "ecdsa 521", { "-t", "ecdsa", "-b", "521" }, "ecdsa-sha2-nistp521" },
  { "rsa, PKCS#1", { "-t", "rsa", "-b", "2048", "-m", "PEM" }, "ssh-rsa" },
  { "rsa, PKCS#8", { "-t", "rsa", "-b", "2048", "-m", "PKCS8" }, "ssh-rsa" },
  { "ecdsa, SEC1", { "-t", "ecdsa", "-m", "PEM" }, "ecdsa-sha2-nistp256" },
} do
  test("a key of ssh-keygen is read: " .. case[1], function()
    compare(case[2], nil, case[3])
  end)
end

for _, cipher in ipairs {
  "aes256-ctr",
  "aes128-cbc",
  "aes192-ctr",
  "aes256-gcm@openssh.com",
  "aes128-gcm@openssh.com",
  "chacha20-poly1305@openssh.com",
} do
  test("an encrypted key is read: " .. cipher, function()
    compare({ "-t", "ed25519", "-Z", cipher, "-a", "2" }, "a long pass phrase", "ssh-ed25519")
  end)
end

test("an encrypted key in PEM is read", function()
  compare({ "-t", "rsa", "-b", "2048", "-m", "PEM" }, "secret", "ssh-rsa")
end)

-- What ssh-keygen says of a signature of ours, put in the wrapping of its own.
local function verify(k, algorithm)
  local dir, _ <close> = directory()
  local function packed(text)
    return string.pack(">s4", text)
  end
  local message = "what is signed"
  local signed = "SSHSIG"
    .. packed "file"
    .. packed ""
    .. packed "sha512"
    .. packed(crypto.digest("sha512", message, true))
  local blob = "SSHSIG"
    .. string.pack(">I4", 1)
    .. packed(k:public())
    .. packed "file"
    .. packed ""
    .. packed "sha512"
    .. packed(packed(algorithm) .. packed(k:sign(signed, algorithm)))
  check.ok(
    sys.write_file(
      dir .. "/sig",
      "-----BEGIN SSH SIGNATURE-----\n"
        .. crypto.base64_encode(blob):gsub(("."):rep(70), "%0\n")
        .. "\n-----END SSH SIGNATURE-----\n"
    )
  )
  check.ok(
    sys.write_file(
      dir .. "/allowed",
      ("me %s %s\n"):format(k:type(), crypto.base64_encode(k:public()))
    )
  )
  check.ok(sys.write_file(dir .. "/message", message))
  local script = 'ssh-keygen -Y verify -f "$1/allowed" -I me -n file -s "$1/sig" < "$1/message"'
  check.contains(run { "sh", "-c", script, "sh", dir }, "Good \"file\" signature")
end

test("signatures are good: ed25519", function()
  verify(compare({ "-t", "ed25519" }, nil, "ssh-ed25519"), "ssh-ed25519")
end)

test("signatures are good: ecdsa", function()
  for bits in pairs { [256] = 1, [384] = 1, [521] = 1 } do
    local kind = "ecdsa-sha2-nistp" .. bits
    verify(compare({ "-t", "ecdsa", "-b", tostring(bits) }, nil, kind), kind)
  end
end)

test("signatures are good: rsa with SHA-2", function()
  local k = compare({ "-t", "rsa", "-b", "2048" }, nil, "ssh-rsa")
  verify(k, "rsa-sha2-256")
  verify(k, "rsa-sha2-512")
  check.raises("no such algorithm", k.sign, k, "data", "ssh-rsa")
end)

test("what is no key is refused", function()
  for _, text in ipairs {
    "",
    "hello",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
  } do
    local k, message, code = key.parse(text)
    check.equal(k, nil)
    check.equal(message, "this is no private key that can be read")
    check.equal(code, "EINVAL")
  end
end)

test("a key of 16384 bits, as large as ssh-keygen makes them", function()
  local modulus = "\0" .. ("\255"):rep(2048)
  local numbers = { "ssh-rsa", modulus, "\1\0\1", ("\127"):rep(2048), "\5",
    "\0" .. ("\255"):rep(1024), "\0" .. ("\253"):rep(1024) }
  local secret = string.pack(">I4I4" .. ("s4"):rep(7), 1, 1, table.unpack(numbers))
  local text = "openssh-key-v1\0" .. string.pack(">s4s4s4I4s4s4", "none", "none", "", 1, "", secret)
  local k = check.ok(key.parse(("-----BEGIN %s-----\n%s\n-----END %s-----\n"):format(
    "OPENSSH PRIVATE KEY", crypto.base64_encode(text):gsub(("."):rep(64), "%0\n"),
    "OPENSSH PRIVATE KEY")))
  check.equal(k:public(), string.pack(">s4s4s4", "ssh-rsa", "\1\0\1", modulus))
end)
