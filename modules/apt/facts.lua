--- Facts about apt's repositories.
local kb = require "kb"

local M = {}

--- The versions that apt would install.
-- @param names string: names of packages, with spaces between
-- @return table: by name the version; false of a package that apt cannot install
M.candidates = kb.fact {
  name = "apt.candidates",
  command = function(names)
    local words = {}
    for name in names:gmatch("%S+") do
      words[#words + 1] = name
    end
    return "apt-cache policy -- " .. kb.words(words)
  end,
  parse = function(out, code, names)
    if code ~= 0 then
      return nil, "apt-cache policy failed"
    end
    local found, name = {}, nil
    for word in names:gmatch("%S+") do
      found[word] = false
    end
    for line in out:gmatch("[^\n]+") do
      name = line:match("^(%S+):$") or name
      local version = line:match("^  Candidate: (%S+)")
      if version and version ~= "(none)" then
        found[name:match("^[^:]*")] = version
      end
    end
    return found
  end,
}

--- How old apt's package lists are.
-- @return table: age (seconds since they were last fetched, as far as is known), outdated
-- (boolean: a source was changed since)
M.index = kb.fact {
  name = "apt.index",
  command = function()
    return [[date +%s
stat -c '%.6Y' /var/lib/apt/periodic/update-success-stamp 2>/dev/null || echo 0
ls /var/lib/apt/lists | grep -q Packages && stat -c '%.6Y' /var/lib/apt/lists || echo 0
find /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/keyrings -printf '%C@\n' 2>/dev/null |
  sort -n | tail -n 1]]
  end,
  parse = function(out)
    local now, stamp, lists, sources = out:match("^(%d+)\n([%d.]+)\n([%d.]+)\n([%d.]*)")
    if not now then
      return nil, "the age of apt's lists cannot be read"
    end
    local fetched = math.max(tonumber(stamp), tonumber(lists))
    return { age = tonumber(now) - fetched, outdated = (tonumber(sources) or 0) > fetched }
  end,
  bare = { age = math.huge, outdated = true },
}

return M
