local test = ...
local check = require "lib.check"
local diff = require "kb.diff"

test("equal texts have no difference", function()
  check.equal(diff.unified("a\nb\n", "a\nb\n"), "")
end)

test("a changed line shows with its neighbours", function()
  check.equal(diff.unified("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n"),
    "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8")
end)

test("a new text is all additions, a removed one all removals", function()
  check.equal(diff.unified("", "a\nb\n"), "@@ -0,0 +1,2 @@\n+a\n+b")
  check.equal(diff.unified("a\n", ""), "@@ -1,1 +0,0 @@\n-a")
end)

test("changes far apart are hunks of their own", function()
  local before, after = {}, {}
  for i = 1, 40 do
    before[i] = "line " .. i
    after[i] = (i == 5 or i == 30) and "new " .. i or before[i]
  end
  local text = diff.unified(table.concat(before, "\n"), table.concat(after, "\n"))
  local _, hunks = text:gsub("@@ %-", "")
  check.equal(hunks, 2)
  check.contains(text, "-line 5\n+new 5")
  check.contains(text, "@@ -27,7 +27,7 @@")
end)

test("applying it to one text gives the other, for many random texts", function()
  local rng = 12345
  local function random(n)
    rng = (rng * 1103515245 + 12345) % 2147483648
    return rng // 65536 % n
  end
  for _ = 1, 200 do
    local a, b = {}, {}
    for i = 1, random(12) do
      a[i] = "l" .. random(4)
    end
    for i = 1, random(12) do
      b[i] = "l" .. random(4)
    end
    local minus, plus = {}, {}
    local text = diff.unified(table.concat(a, "\n"), table.concat(b, "\n"))
    for mark, line in (text .. "\n"):gmatch("([ +-])([^\n]*)\n") do
      if line:find("^l") then
        minus[#minus + 1] = mark ~= "+" and line or nil
        plus[#plus + 1] = mark ~= "-" and line or nil
      end
    end
    -- every line that differs is in the text; what is left out is common
    check.ok(#a - #minus == #b - #plus)
  end
end)
