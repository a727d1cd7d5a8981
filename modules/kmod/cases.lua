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

local conf = "/etc/modules-load.d/br_netfilter.conf"
local no_file = { "file.stat", conf, { kind = "absent" } }

local function given(is_loaded, ...)
  return { root, dir "/etc/modules-load.d", { "kmod.loaded", "br_netfilter", is_loaded }, ... }
end

return {
  { "kmod.module", "loads it now and at boot", args = { "br_netfilter" },
    given = given(false, no_file, { "file.digest", conf, false }),
    title = ("create %s; load br_netfilter"):format(conf) },
  { "kmod.module", "only at boot", args = { "br_netfilter" }, title = "create " .. conf,
    given = given(true, no_file, { "file.digest", conf, false }) },
  { "kmod.module", "only now", args = { "br_netfilter", boot = false },
    given = given(false, no_file), title = "load br_netfilter" },
  { "kmod.module", "is loaded", args = { "br_netfilter" }, same = "loaded",
    given = given(true, file(conf, "br_netfilter\n",
      "3bfff2585066e0a9f96bbde61be25b49a06762530ee2fbb570958556fffe428a")) },
  { "kmod.module", "a name that is none", args = { "a/b" }, refuses = "not the name of a kernel" },
}
