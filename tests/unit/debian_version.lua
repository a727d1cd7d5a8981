-- The order of Debian's versions, with dpkg itself as the judge.
local test = ...
local check = require "lib.check"
local stub = require "lib.stub"
local version = require "modules.dpkg.version"

local versions = {}
for word in ([[0 1 1.0 1.00 1.1 1.9 1.10 1.01 1:0 0:1 1-1 1-1.1 1-0 1~rc1 1~rc1-1 1~ 1~~ 1~~a
  1a 1+b1
  1-1+b1 1-1~bpo12+1 1-1ubuntu1 2.0.0-rc 2.0-1-1 20.10.24+dfsg1-1+deb12u1 1.20.5+really1.20.2-1.1
  5.15.0-91.101 9999999999999999999999 10000000000000000000000 1.2.3.4 1..2 1.a.b 1.A 1Z 1z 1+ 1.]])
  :gmatch("%S+") do
  versions[#versions + 1] = word
end

local function sign(n)
  return n < 0 and "lt" or n > 0 and "gt" or "eq"
end

test("versions stand in the order that dpkg gives them", function()
  local lines, n = {}, 0
  for _, a in ipairs(versions) do
    for _, b in ipairs(versions) do
      n = n + 1
      lines[n] = ("dpkg --compare-versions '%s' %s '%s' || echo '%s %s %s'"):format(a,
        sign(version.compare(a, b)), b, a, sign(version.compare(a, b)), b)
    end
  end
  check.ok(n > 1000)
  check.equal(stub.shell(table.concat(lines, "\n")).out, "")
end)
