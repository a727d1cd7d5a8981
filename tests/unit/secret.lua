local test = ...
local check = require "lib.check"
local crypto = require "kb.core.crypto"
local secret = require "kb.secret"

local text = "C4nary'sec\"ret$x"
local value = secret.new(text)

local function hidden(s)
  local masked = secret.mask(s)
  check.ok(not masked:find("anary", 1, true), masked)
  check.contains(masked, "***")
  return masked
end

test("a secret prints as stars and does not give itself away", function()
  check.equal(tostring(value), "***")
  check.equal(("%s"):format(value), "***")
  check.raises("no field 'text'", function()
    return value.text
  end)
  check.equal(secret.reveal(value), text)
  check.equal(secret.reveal("plain"), "plain")
end)

test("what is joined to a secret is a secret", function()
  local joined = "password=" .. value
  check.ok(secret.is(joined))
  check.equal(secret.reveal(joined), "password=" .. text)
end)

test("its text is masked, also quoted, encoded, and inside base64", function()
  hidden("x" .. text .. "y")
  hidden("'" .. text:gsub("'", "'\\''") .. "'")
  hidden((text:gsub("[^%w]", function(c)
    return ("%%%02X"):format(c:byte())
  end)))
  -- "user:" .. secret and "ab" .. secret .. "\n" by base64(1)
  for _, encoded in ipairs {
    "dXNlcjpDNG5hcnknc2VjInJldCR4", "YWJDNG5hcnknc2VjInJldCR4Cg==", "QzRuYXJ5J3NlYyJyZXQkeA==" } do
    check.contains(secret.mask(encoded), "***")
    check.ok(not secret.mask(encoded):find("nknc2Vj", 1, true), encoded)
  end
end)

test("it is masked across the borders of chunks of every size", function()
  local whole = "before " .. text .. " between " .. text .. " after"
  for size = 1, #whole do
    local mask, out = secret.masker(), {}
    for i = 1, #whole, size do
      out[#out + 1] = mask(whole:sub(i, i + size - 1))
    end
    out[#out + 1] = mask(nil)
    check.equal(table.concat(out), "before *** between *** after")
  end
end)

test("base64 is masked to its last letter, and when it is broken into lines", function()
  check.equal(secret.mask("QzRuYXJ5J3NlYyJyZXQkeA==\n"), "***\n")
  check.equal(secret.mask("QzRuYXJ5J3NlYyJyZXQkeAo=\n"), "***\n") -- with a newline in it
  local long = secret.new(("0123456789abcdefghijklmnopqrstuvwxyz"):rep(3))
  local encoded = crypto.base64_encode(secret.reveal(long) .. "\n")
  for _, width in ipairs { 64, 76 } do
    local broken = encoded:gsub(("."):rep(width), "%0\n")
    check.equal(secret.mask(broken):gsub("[%s*]", ""), "", broken)
  end
end)

test("the newline at the end of a secret is no part of what is masked", function()
  secret.new("with a newline\n")
  check.equal(secret.mask("a line with a newline\nand another\n"), "a line ***\nand another\n")
end)

test("each line of a key of many lines is masked", function()
  secret.new("-----BEGIN X-----\nMHcCAQEEIBsomekeyline1\nAnotherKeyLine2222\n-----END X-----\n")
  check.equal(secret.mask("got AnotherKeyLine2222!"), "got ***!")
  check.equal(secret.mask("-----BEGIN X-----"), "-----BEGIN X-----")
end)

test("a secret too short to mask is refused", function()
  check.raises("fewer than", secret.new, "abc")
end)

test("a secret that begins like another one is masked whole, whatever the chunks", function()
  secret.new("hunter")
  secret.new("hunter2-and-more")
  local mask = secret.masker()
  check.equal(mask("x hunter") .. mask("2-and-more y hunter") .. mask(nil), "x *** y ***")
end)

test("masking costs what the text is long, not what the secrets are many", function()
  for i = 1, 1000 do
    secret.new(("%08x-%s"):format(i * 2654435761 % 4294967296, ("s"):rep(1500)))
  end
  local mask, started = secret.masker(), os.clock()
  for _ = 1, 20 do
    mask(("a line of what a command printed\n"):rep(40))
    secret.mask("a title")
  end
  check.ok(os.clock() - started < 1, "20 pieces took " .. os.clock() - started)
end)
