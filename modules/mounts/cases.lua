local root = { "user.self", { name = "root", group = "root", home = "/root" } }

local function dir(path)
  return { "file.stat", path, { kind = "directory", mode = tonumber("755", 8), owner = "root",
    group = "root" } }
end

local function file(path, text, digest)
  return { "file.stat", path, { kind = "file", mode = tonumber("644", 8), owner = "root",
    group = "root", size = #text } }, { "file.content", path, text },
    { "file.digest", path, digest or "00" }
end

local fstab = "/etc/fstab"
local args = { "/mnt/a", source = "/dev/sdb1", type = "ext4", options = { "noatime", "ro" } }
local no_dir = { "file.stat", "/mnt/a", { kind = "absent" } }
local line = "/dev/sdb1 /mnt/a ext4 noatime,ro 0 0\n"

local function mount(over)
  local is = { source = "/dev/sdb1", type = "ext4", root = "/", options = { ro = true,
    noatime = true, noexec = false, nosuid = false, nodev = false, nodiratime = false,
    relatime = false, sync = false } }
  for k, v in pairs(over or {}) do
    is.options[k] = v
  end
  return { "mount.at", "/mnt/a", is }
end

local none = { "mount.at", "/mnt/a", false }

return {
  { "mounts.mount", "makes the directory and mounts it", args = args, title = "mount /mnt/a",
    given = { root, dir "/mnt", dir "/etc", no_dir, none, file(fstab, "# none\n") },
    diff = "@@ -1,1 +1,2 @@\n # none\n+/dev/sdb1 /mnt/a ext4 noatime,ro 0 0" },
  { "mounts.mount", "not at boot",
    args = { "/mnt/a", source = "tmpfs", type = "tmpfs", boot = false },
    given = { root, dir "/mnt/a", none, file(fstab, "# none\n") },
    actions = { "mount -t tmpfs -o defaults -- tmpfs /mnt/a" } },
  { "mounts.mount", "another option", args = args, title = "mount /mnt/a",
    given = { root, dir "/mnt/a", mount { ro = false }, file(fstab, line) },
    actions = { "mount -o remount,noatime,ro -- /mnt/a" } },
  { "mounts.mount", "another line for the same directory", args = args,
    given = { root, dir "/etc", dir "/mnt/a", mount(), file(fstab, "UUID=1 /mnt/a ext4 x 0 0\n") },
    diff = "@@ -1,1 +1,1 @@\n-UUID=1 /mnt/a ext4 x 0 0\n+" .. line:sub(1, -2) },
  { "mounts.mount", "a name with a blank",
    args = { "/mnt/a b", source = "/srv", type = "none", options = "bind" },
    given = { root, dir "/etc", dir "/mnt/a b", { "mount.at", "/mnt/a b", false },
      file(fstab, "# none\n") },
    diff = "@@ -1,1 +1,2 @@\n # none\n+/srv /mnt/a\\040b none bind 0 0" },
  { "mounts.mount", "unmounts it and keeps its line", title = "unmount /mnt/a",
    args = { "/mnt/a", source = "/dev/sdb1", type = "ext4", options = { "noatime", "ro" },
      state = "unmounted" },
    given = { root, dir "/mnt/a", mount(), file(fstab, line) },
    actions = { "umount -- /mnt/a" } },
  { "mounts.mount", "forgets it", args = { "/mnt/a", state = "absent" },
    title = "unmount and forget /mnt/a", diff = "@@ -1,2 +1,1 @@\n # x\n-" .. line:sub(1, -2),
    given = { root, dir "/etc", dir "/mnt/a", mount(), file(fstab, "# x\n" .. line) } },
  { "mounts.mount", "is mounted", args = args, same = "already mounted",
    given = { root, dir "/mnt/a", mount(), file(fstab, line) } },
  { "mounts.mount", "is not mounted", args = { "/mnt/a", state = "absent" }, same = "as asked",
    given = { root, dir "/mnt/a", none, file(fstab, "# x\n") } },
  { "mounts.mount", "something else is mounted", refuses = "of type ext4 is mounted",
    args = { "/mnt/a", source = "tmpfs", type = "tmpfs", boot = false },
    given = { root, dir "/mnt/a", mount(), file(fstab, "# x\n") } },
  { "mounts.mount", "without a source", args = { "/mnt/a" }, refuses = "needs 'source'" },
}
