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
local swap = { "swap.active", { { path = "/dev/sdb", unit = "dev-sdb.swap" } } }

return {
  { "swap.off", "turns it off, now and at boot", args = {}, title = "turn swap off",
    given = { root, dir "/etc", swap,
      file(fstab, "# x\nUUID=1 / ext4 defaults 0 1\n/dev/sdb none swap sw 0 0\n") },
    diff = "@@ -1,3 +1,3 @@\n # x\n UUID=1 / ext4 defaults 0 1\n-/dev/sdb none swap sw 0 0\n"
      .. "+# off by kbrun: /dev/sdb none swap sw 0 0" },
  { "swap.off", "no line names it", args = {}, given = { root, swap, file(fstab, "# x\n") },
    actions = { "swapoff -a", "systemctl mask -- dev-sdb.swap" } },
  { "swap.off", "only at boot", args = {},
    given = { root, dir "/etc", { "swap.active", {} }, file(fstab, "/s none swap sw 0 0") },
    diff = "@@ -1,1 +1,1 @@\n-/s none swap sw 0 0\n"
      .. "+# off by kbrun: /s none swap sw 0 0" },
  { "swap.off", "there is none", args = {}, same = "no swap",
    given = { { "swap.active", {} }, file(fstab, "# /dev/sdb none swap sw 0 0\n") } },
  { "swap.off", "an argument that it does not have", args = { fstab = true },
    refuses = "has no argument 'fstab'" },
}
