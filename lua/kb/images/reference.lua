--- Names of images: "registry.k8s.io/pause:3.9", "nginx", "lab/web:1.0".
local M = {}

-- The registry is the part before the first slash if it looks like a host.
local function has_registry(name)
  local first = name:match("^([^/]+)/")
  return first and (first:find("[.:]") or first == "localhost")
end

local function has_tag(name)
  return name:find(":[^/]*$") or name:find("@", 1, true)
end

--- The full name, as containerd and the CRI know it.
-- @param name string: "nginx"
-- @return string: "docker.io/library/nginx:latest"
function M.full(name)
  if not has_registry(name) then
    name = "docker.io/" .. (name:find("/", 1, true) and "" or "library/") .. name
  end
  return has_tag(name) and name or name .. ":latest"
end

--- The short name, as docker shows it.
-- @param name string: "docker.io/library/nginx:latest"
-- @return string: "nginx:latest"
function M.short(name)
  return (M.full(name):gsub("^docker%.io/library/", ""):gsub("^docker%.io/", ""))
end

--- The tag of a name.
-- @param name string
-- @return string: "latest" when it has none
function M.tag(name)
  return M.full(name):match(":([^/:@]+)$") or "latest"
end

return M
