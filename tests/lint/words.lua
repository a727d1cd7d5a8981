-- Words that do not belong in the tree.
local test = ...
local tree = require "lib.tree"

local function is_text(text)
  return not text:find("%z")
end

local function search(pattern, wanted, judge)
  local findings = {}
  for _, path in ipairs(tree.files(wanted)) do
    if path ~= "tests/lint/words.lua" and is_text(tree.text(path)) then
      for n, line in tree.lines(path) do
        for word in line:gmatch(pattern) do
          if not judge or judge(word, path) then
            findings[#findings + 1] = ("%s:%d: %s"):format(path, n, word)
          end
        end
      end
    end
  end
  tree.none(findings)
end

test("nothing is left for later", function()
  local words = { TODO = true, FIXME = true, XXX = true, HACK = true }
  search("%f[%w]%u%u%u%u?%u?%f[%W]", nil, function(word)
    return words[word]
  end)
end)

test("C uses KB_MUST, which is always compiled in, and never assert", function()
  search("%f[%w_]assert%s*%(", "^engine/.*%.[ch]$")
  search("#include <assert%.h>", "^engine/.*%.[ch]$")
end)

test("C uses no function that overruns or truncates in silence", function()
  local banned = { gets = true, sprintf = true, vsprintf = true, strncpy = true, strtok = true,
    atoi = true, alloca = true }
  search("%f[%w_](%l+)%s*%(", "^engine/.*%.[ch]$", function(word)
    return banned[word]
  end)
end)

-- Hosts that may be named in addresses: of documentation, of examples, our own.
local hosts = { ["no-color.org"] = true, localhost = true, ["www.w3.org"] = true,
  ["www.gnu.org"] = true, ["www.freedesktop.org"] = true, ["jinja.palletsprojects.com"] = true }

test("no address of a machine or a registry that only some can reach", function()
  search("https?://([%w.-]+)", nil, function(host)
    return not hosts[host] and not host:find("example") and not host:find("^[%d.]+$")
      and not host:find("^%.*$")
  end)
end)

test("no path of the machine that it was written on", function()
  search("/work/[%w/.-]*", nil)
  search("/root/[%w][%w/.-]*", nil)
end)

test("hidden marks of a merge are not committed", function()
  search("^<<<<<<<.*$", nil)
  search("^>>>>>>>.*$", nil)
end)
