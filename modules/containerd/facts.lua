--- Facts about containerd.
local kb = require "kb"

local M = {}

--- The version of the containerd that is installed.
-- @return string "1.6.20"; false when there is none
M.version = kb.fact {
  name = "containerd.version",
  command = function()
    return "containerd --version 2>/dev/null"
  end,
  parse = function(out)
    return out:match("%sv?(%d+%.%d+%.%d+)") or false
  end,
  bare = false,
}

--- What containerd makes of its configuration, with its own defaults.
-- @return table: sandbox_image, registries (the directory with what is known of registries),
-- systemd_cgroup (boolean); false when it is not installed or refuses its configuration
M.settings = kb.fact {
  name = "containerd.settings",
  command = function()
    return "containerd config dump 2>/dev/null"
  end,
  parse = function(out, code)
    if code ~= 0 then
      return false
    end
    -- since version 3 of the format the sandbox's image is one of those that are pinned
    local image = out:match("sandbox_image = [\"']([^\"'\n]*)")
      or out:match("pinned_images%]%s*sandbox = [\"']([^\"'\n]*)")
    return { sandbox_image = image or false,
      registries = out:match("%sconfig_path = [\"']([^\"'\n]*)") or "",
      systemd_cgroup = out:find("SystemdCgroup = true", 1, true) ~= nil }
  end,
  bare = false,
}

--- Whether the containerd that runs serves the kubelet.
-- @return boolean
M.serves = kb.fact {
  name = "containerd.serves",
  command = function()
    return "ctr plugins ls 2>/dev/null"
  end,
  parse = function(out)
    -- 1.x has the whole of it in one plugin, 2.x the service in one and the rest in others
    return out:find("io%.containerd%.grpc%.v1%s+cri%s[^\n]*%sok%s") ~= nil
  end,
  bare = false,
}

return M
