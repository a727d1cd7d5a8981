--- Facts about what a host has of the bundle.
local kb = require "kb"
local relay = require "kb.relay.script"

local M = {}

--- Where blobs lie on a host, each under its SHA-256: whole ones only. What is still arriving has
-- another name.
M.BLOBS = "/var/lib/kbrun/blobs/sha256"

--- The blobs that a host has.
-- @return table: sha256 -> size (bytes)
M.blobs = kb.fact {
  name = "bundle.blobs",
  command = function()
    return ("cd %s 2>/dev/null && stat -c '%%s %%n' -- * 2>/dev/null; true"):format(M.BLOBS)
  end,
  parse = function(out)
    local blobs = {}
    for size, name in out:gmatch("(%d+) (%x+)\n") do
      blobs[name] = #name == 64 and math.tointeger(tonumber(size)) or nil
    end
    return blobs
  end,
  bare = {},
}

--- What transfers that died have left on a host: keys for a relay, and a relay's own directories.
-- @return list of strings
M.leftovers = kb.fact {
  name = "relay.leftovers",
  command = relay.leftovers,
  parse = function(out)
    local list = {}
    for line in out:gmatch("[^\n]+") do
      list[#list + 1] = line
    end
    return list
  end,
  bare = {},
}

--- The links to blobs in a directory.
-- @param path string
-- @return table: name -> sha256; empty when there is no directory
M.links = kb.fact {
  name = "bundle.links",
  command = function(path)
    return ("find %s -maxdepth 1 -type l -printf '%%l %%f\\n' 2>/dev/null; true"):format(
      kb.quote(path))
  end,
  parse = function(out)
    local links = {}
    for target, name in out:gmatch("([^\n]-) ([^\n]+)\n") do
      links[name] = target:match("^" .. M.BLOBS .. "/(%x+)$")
    end
    return links
  end,
  bare = {},
}

--- The installed version of a package.
-- @param name string
-- @return string; false when it is not installed
M.package = kb.fact {
  name = "bundle.package",
  command = function(name)
    return "dpkg-query -W -f='${db:Status-Status} ${Version}\\n' " .. kb.quote(name)
      .. " 2>/dev/null"
  end,
  parse = function(out)
    return out:match("^installed (%S+)") or false
  end,
  bare = false,
}

return M
