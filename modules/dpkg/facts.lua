--- Facts about packages.
local kb = require "kb"

local M = {}

--- What dpkg knows of a package.
-- @param name string: without an architecture
-- @return table: installed (boolean: unpacked and configured), version ("" when not installed),
-- held (boolean), status (dpkg's two letters: "ii", "hi", "rc", "un"; "iU" of a broken one)
M.package = kb.fact {
  name = "dpkg.package",
  command = function(name)
    return ("dpkg-query -W -f '${db:Status-Abbrev}/${Version}\\n' -- %s 2>/dev/null; :")
      :format(kb.quote(name))
  end,
  parse = function(out)
    local found
    for status, version in out:gmatch("(%S+)%s*/([^\n]*)\n") do
      -- of several architectures, the one that is installed
      if not found or status:sub(2, 2) == "i" then
        found = { installed = status:sub(2, 2) == "i" and #status == 2, version = version,
          held = status:sub(1, 1) == "h", status = status }
      end
    end
    found = found or { installed = false, version = "", held = false, status = "un" }
    if found.status:sub(2, 2):find("[nc]") then
      found.version = ""
    end
    return found
  end,
  bare = { installed = false, version = "", held = false, status = "un" },
}

--- The packages in a directory's .deb files.
-- @param dir string
-- @return list of tables: file (its path), package, version, architecture; false when there is no
-- such directory
M.archives = kb.fact {
  name = "file.packages",
  command = function(dir)
    local d = kb.quote(dir)
    return ("if [ -d %s ]; then echo; for f in %s/*.deb; do [ ! -f \"$f\" ] || dpkg-deb --show "
      .. "--showformat=\"$f\\t\\${Package}\\t\\${Version}\\t\\${Architecture}\\n\" \"$f\" "
      .. "|| exit; done; fi"):format(d, d)
  end,
  parse = function(out, code)
    if code ~= 0 then
      return nil, "one of the files is not a package"
    elseif out == "" then
      return false
    end
    local list = {}
    for line in out:gmatch("[^\n]+") do
      local file, package, version, architecture = line:match("^(.*)\t(.*)\t(.*)\t(.*)$")
      list[#list + 1] = { file = file, package = package, version = version,
        architecture = architecture }
    end
    return list
  end,
  bare = false,
}

--- The architecture that dpkg installs for.
-- @return string: "amd64"
M.architecture = kb.fact {
  name = "dpkg.architecture",
  constant = true,
  command = function()
    return "dpkg --print-architecture"
  end,
  parse = function(out)
    return out:match("^(%S+)\n$")
  end,
  bare = "amd64",
}

return M
