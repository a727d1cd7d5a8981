-- Hashes of passwords in the SHA-crypt scheme ("$5$" and "$6$"), as shadow
-- files hold them, built on the digests of `kb.core.crypto`.
local values = require "kb.template.values"

local M = {}

local fail = values.fail

local ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

-- The scheme writes the bytes of its digest in an order of its own.
local function sha512_order()
  local order = {}
  for i = 0, 20 do
    local first = { i, i + 21, i + 42 }
    local turn = i % 3
    order[i + 1] = { first[turn + 1], first[(turn + 1) % 3 + 1], first[(turn + 2) % 3 + 1] }
  end
  return order
end

local function sha256_order()
  local order = {}
  for i = 0, 9 do
    local first = { i, i + 10, i + 20 }
    local turn = (3 - i % 3) % 3
    order[i + 1] = { first[turn + 1], first[(turn + 1) % 3 + 1], first[(turn + 2) % 3 + 1] }
  end
  return order
end

local KINDS = {
  sha512 = { mark = "$6$", algorithm = "sha512", size = 64, order = sha512_order(), rest = { 63 } },
  sha256 = { mark = "$5$", algorithm = "sha256", size = 32, order = sha256_order(),
    rest = { 31, 30 } },
}
KINDS.sha512_crypt, KINDS.sha256_crypt = KINDS.sha512, KINDS.sha256

local function digester(algorithm)
  local digest = require("kb.core.crypto").digest
  return function(text)
    return (digest(algorithm, text):gsub("%x%x", function(pair)
      return string.char(tonumber(pair, 16))
    end))
  end
end

local function cut(text, length)
  return text:rep(length // #text + 1):sub(1, length)
end

local function first_digest(digest, password, salt)
  local other = digest(password .. salt .. password)
  local parts = { password, salt, cut(other, #password) }
  local bits = #password
  while bits > 0 do
    parts[#parts + 1] = bits & 1 == 1 and other or password
    bits = bits >> 1
  end
  return digest(table.concat(parts))
end

local function stretched(digest, password, salt, rounds)
  local result = first_digest(digest, password, salt)
  local p = cut(digest(password:rep(#password)), #password)
  local s = cut(digest(salt:rep(16 + result:byte(1))), #salt)
  for round = 0, rounds - 1 do
    local odd = round % 2 == 1
    result = digest((odd and p or result) .. (round % 3 ~= 0 and s or "")
      .. (round % 7 ~= 0 and p or "") .. (odd and result or p))
  end
  return result
end

local function encode(number, characters)
  local parts = {}
  for i = 1, characters do
    local place = number & 63
    parts[i] = ALPHABET:sub(place + 1, place + 1)
    number = number >> 6
  end
  return table.concat(parts)
end

local function encode_digest(kind, bytes)
  local parts = {}
  for i, places in ipairs(kind.order) do
    local a, b, c = bytes:byte(places[1] + 1), bytes:byte(places[2] + 1), bytes:byte(places[3] + 1)
    parts[i] = encode(a << 16 | b << 8 | c, 4)
  end
  local number = 0
  for _, place in ipairs(kind.rest) do number = number << 8 | bytes:byte(place + 1) end
  parts[#parts + 1] = encode(number, #kind.rest + 1)
  return table.concat(parts)
end

local function random_salt(size)
  local bytes = require("kb.core.crypto").random(size)
  return (bytes:gsub("[\0-\255]", function(byte)
    local place = byte:byte() & 63
    return ALPHABET:sub(place + 1, place + 1)
  end))
end

--- Hash a password.
-- Without a salt every call gives another hash, which no second run can tell
-- from a change: give one.
-- @param password string
-- @param options table: `kind` ("sha512", "sha256"), `salt`, `salt_size`, `rounds`
-- @return string
function M.hash(password, options)
  local kind = KINDS[options.kind]
  if not kind then
    fail(("password_hash knows sha512 and sha256, not '%s'"):format(tostring(options.kind)))
  end
  if options.ident then fail("password_hash: 'ident' belongs to bcrypt, which is not supported") end
  local salt = options.salt or random_salt(options.salt_size or 16)
  if #salt > 16 or salt == "" or salt:find("[^%w./]") then
    fail("password_hash: a salt is 1 to 16 letters, digits, '.' or '/'")
  end
  local rounds = options.rounds or 5000
  if math.type(rounds) ~= "integer" or rounds < 1000 or rounds > 999999 then
    fail("password_hash: 'rounds' must be 1000 to 999999")
  end
  local digest = digester(kind.algorithm)
  local bytes = stretched(digest, password, salt, rounds)
  local shown = options.rounds and ("rounds=%d$"):format(rounds) or ""
  return kind.mark .. shown .. salt .. "$" .. encode_digest(kind, bytes)
end

return M
