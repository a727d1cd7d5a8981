--- Facts about docker.
local kb = require "kb"

local M = {}

--- The id of an image that docker has.
-- @param name string: "k8s.gcr.io/pause:3.2"
-- @return string "sha256:…"; false when it has none of that name
M.image = kb.fact {
  name = "docker.image",
  command = function(name)
    return "docker image inspect --format '{{.Id}}' " .. kb.quote(name) .. " 2>/dev/null"
  end,
  parse = function(out)
    return out:match("^(sha256:%x+)") or false
  end,
  bare = false,
}

return M
