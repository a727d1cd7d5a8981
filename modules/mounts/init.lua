--- File systems that are mounted, now and after a boot.

local kb = require "kb"
local plan = require "modules.mounts.plan"

local M = {}

--- A file system mounted at a directory, which is made when it is not there.
-- Of a mounted file system its type is compared, and the options ro, noexec, nosuid, nodev,
-- noatime, nodiratime, relatime and sync; when an option differs, it is mounted anew in its place.
-- @param path path: where it is mounted
-- @param source string: a device, UUID=…, LABEL=…, a share, a directory to bind, or tmpfs
-- @param type string: of the file system; "none" for a bind mount
-- @param options list: of the mount
-- @param pass integer: the order in which it is checked at boot; 0: not at all
-- @param boot boolean: whether /etc/fstab mounts it at boot
-- @param state string: mounted, unmounted (and still in /etc/fstab, unless boot = false), or absent
M.mount = kb.op {
  name = "mounts.mount",
  args = {
    { "path", "path", "where it is mounted", at = 1, required = true },
    { "source", "string", "a device, UUID=…, LABEL=…, a share, a directory, or tmpfs" },
    { "type", "string", "of the file system" },
    { "options", "list", "of the mount", default = { "defaults" } },
    { "pass", "integer", "the order in which it is checked at boot", default = 0 },
    { "boot", "boolean", "whether /etc/fstab mounts it at boot", default = true },
    { "state", { "mounted", "unmounted", "absent" }, "what it is to be", default = "mounted" },
  },
  facts = function(args)
    return { { "mount.at", args.path }, { "file.stat", args.path }, { "user.self" },
      { "file.content", "/etc/fstab" }, { "file.stat", "/etc/fstab" },
      { "file.digest", "/etc/fstab" } }
  end,
  plan = plan.mount,
}

return M
