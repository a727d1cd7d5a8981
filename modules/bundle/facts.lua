--- Facts about what a host has of the bundle.
local kb = require "kb"

local M = {}

--- The files of a directory and their sizes.
-- @param path string
-- @return table: name -> size (bytes); empty when there is no directory
M.listing = kb.fact {
  name = "bundle.listing",
  command = function(path)
    return ("cd %s 2>/dev/null && stat -c '%%s %%n' -- * 2>/dev/null; true"):format(kb.quote(path))
  end,
  parse = function(out)
    local listing = {}
    for size, name in out:gmatch("(%d+) ([^\n]+)\n") do
      listing[name] = math.tointeger(tonumber(size))
    end
    return listing
  end,
  bare = {},
}

--- The hash of the list of hashes that was left when packages were last sent.
-- @param path string
-- @return string; false when there is none
M.sums = kb.fact {
  name = "bundle.sums",
  command = function(path)
    return ("sha256sum %s/.sums 2>/dev/null"):format(kb.quote(path))
  end,
  parse = function(out)
    return out:match("^(%x+)") or false
  end,
  bare = false,
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
