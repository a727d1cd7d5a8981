--- Facts about kernel modules.
local kb = require "kb"

local M = {}

-- What shows that a part of the kernel is there, also when it is built in, or when this is a
-- container that cannot see the kernel's modules.
local signs = { br_netfilter = "/proc/sys/net/bridge", nf_conntrack = "/proc/sys/net/netfilter",
  ip_vs = "/proc/net/ip_vs", tun = "/dev/net/tun", fuse = "/dev/fuse",
  ip_tables = "/proc/net/ip_tables_names", ip6_tables = "/proc/net/ip6_tables_names" }

--- Whether a kernel module is loaded, or built into the kernel.
-- @param name string
-- @return boolean
M.loaded = kb.fact {
  name = "kmod.loaded",
  command = function(name)
    local module = name:gsub("-", "_")
    local sign = signs[module] and " || [ -e " .. signs[module] .. " ]" or ""
    -- built-in ones are listed by their files: kernel/fs/overlayfs/overlay.ko
    local file = module:gsub("_", "[-_]")
    return ("if [ -e %s ] || grep -qw -- %s /proc/filesystems || grep -qs %s "
      .. "\"/lib/modules/$(uname -r)/modules.builtin\"%s; then echo yes; else echo no; fi"):format(
      kb.quote("/sys/module/" .. module), kb.quote(module), kb.quote("/" .. file .. "\\.ko"), sign)
  end,
  parse = function(out)
    return out == "yes\n"
  end,
  bare = false,
}

return M
