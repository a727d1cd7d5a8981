local test = ...
local check = require "lib.check"
local crypto = require "kb.core.crypto"
local scratch = require "lib.scratch"
local sys = require "kb.core.sys"
local task = require "kb.core.task"

local abc_sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

test("digests are those of the standards", function()
  check.equal(crypto.digest("sha256", "abc"), abc_sha256)
  check.equal(crypto.digest("sha1", "abc"), "a9993e364706816aba3e25717850c26c9cd0d89d")
  check.equal(crypto.digest("md5", ""), "d41d8cd98f00b204e9800998ecf8427e")
  check.equal(#crypto.digest("sha512", "abc", true), 64)
  check.raises("no digest 'sha3'", crypto.digest, "sha3", "abc")
end)

test("a digest in pieces is that of the whole", function()
  local hash = crypto.hash("sha256")
  hash:update("a"):update(""):update("bc")
  check.equal(hash:final(), abc_sha256)
  check.raises("has ended", hash.update, hash, "d")
end)

-- RFC 4231, test case 2
test("hmac is that of the standard", function()
  check.equal(
    crypto.hmac("sha256", "Jefe", "what do ya want for nothing?"),
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
  )
end)

test("base64 goes there and back", function()
  local plain = { "", "f", "fo", "foo", "foob", "fooba", "foobar", "\0\255\254" }
  local coded = { "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy", "AP/+" }
  for i, text in ipairs(plain) do
    check.equal(crypto.base64_encode(text), coded[i])
    check.equal(crypto.base64_decode(coded[i]), text)
  end
  check.equal(crypto.base64_decode("Zm9v\n Ym\tE"), "fooba")
end)

test("what is no base64 is refused", function()
  for _, text in ipairs { "Zg=a", "Z", "Zg===", "Zm9v=", "a*b=", "Zm9vY" } do
    local got, message, code = crypto.base64_decode(text)
    check.equal(got, nil, text)
    check.equal(message, "this is not base64")
    check.equal(code, "EINVAL")
  end
end)

test("random bytes differ", function()
  check.equal(#crypto.random(16), 16)
  check.equal(crypto.random(0), "")
  check.equal(crypto.random(16) == crypto.random(16), false)
end)

test("equal compares content and length", function()
  check.equal(crypto.equal("abc", "abc"), true)
  check.equal(crypto.equal("abc", "abd"), false)
  check.equal(crypto.equal("abc", "abcd"), false)
end)

test("files are hashed beside each other and beside other tasks", function()
  local dir <close> = scratch()
  local tasks = {}
  for i = 1, 8 do
    local path, text = dir.path .. "/" .. i, ("x"):rep(i * 1000000)
    check.ok(sys.write_file(path, text))
    tasks[i] = task.spawn(function()
      check.equal({ crypto.digest_file("sha256", path) },
        { crypto.digest("sha256", text), #text })
    end)
  end
  for _, one in ipairs(tasks) do
    one:join()
  end
  check.ok(sys.write_file(dir.path .. "/empty", ""))
  check.equal({ crypto.digest_file("md5", dir.path .. "/empty") },
    { "d41d8cd98f00b204e9800998ecf8427e", 0 })
end)

test("a file that cannot be hashed says why; one that is given up leaves nothing", function()
  local dir <close> = scratch()
  local _, message, code = crypto.digest_file("sha256", dir.path .. "/none")
  check.contains(message, dir.path .. "/none")
  check.equal(code, "ENOENT")
  check.equal(select(3, crypto.digest_file("sha256", dir.path)), "EISDIR")
  check.raises("no digest 'sha3000'", crypto.digest_file, "sha3000", dir.path)
  check.ok(sys.write_file(dir.path .. "/large", ("x"):rep(50000000)))
  local before = #sys.list("/proc/self/fd")
  local t = task.spawn(crypto.digest_file, "sha256", dir.path .. "/large")
  task.yield()
  t:cancel("enough")
  pcall(t.join, t)
  local _ <close> = task.within(20)
  while #sys.list("/proc/self/fd") > before do -- the thread ends on its own
    check.ok(task.sleep(0.01))
  end
end)
