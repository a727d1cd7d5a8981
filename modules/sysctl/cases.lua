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

local conf = "/etc/sysctl.d/90-kbrun.conf"
local key = "net.ipv4.ip_forward"
local no_file = { "file.stat", conf, { kind = "absent" } }
local no_digest = { "file.digest", conf, false }

local function now(value)
  return { "sysctl.running", key, value }
end

return {
  { "sysctl.value", "sets it now and at boot", args = { key, value = 1 },
    given = { root, dir "/etc/sysctl.d", no_file, no_digest, now "0" },
    title = "net.ipv4.ip_forward = 1", diff = "@@ -0,0 +1,1 @@\n+net.ipv4.ip_forward = 1" },
  { "sysctl.value", "only the file is missing", args = { key, value = "1" },
    given = { root, dir "/etc/sysctl.d", no_file, no_digest, now "1" },
    actions = { { put = { path = conf, content = "net.ipv4.ip_forward = 1\n", owner = "root",
      group = "root", mode = tonumber("644", 8) } } } },
  { "sysctl.value", "only the running value differs", args = { key, value = "1" },
    given = { root, dir "/etc/sysctl.d", now "0", file(conf, "net.ipv4.ip_forward = 1\n") },
    actions = { { run = "printf '%s\\n' 1 >/proc/sys/net/ipv4/ip_forward",
      fails = "the kernel does not take the value" } } },
  { "sysctl.value", "replaces its line and leaves others", args = { key, value = "1" },
    given = { root, dir "/etc/sysctl.d", now "0",
      file(conf, "a.b = 1\nnet.ipv4.ip_forward=0\nnet.ipv4.ip_forward_x = 3\n") },
    diff = "@@ -1,3 +1,3 @@\n a.b = 1\n-net.ipv4.ip_forward=0\n+net.ipv4.ip_forward = 1\n "
      .. "net.ipv4.ip_forward_x = 3" },
  { "sysctl.value", "is so already", args = { key, value = "1" }, same = "already 1",
    given = { root, dir "/etc/sysctl.d", now "1", file(conf, "net.ipv4.ip_forward = 1\n") } },
  { "sysctl.value", "blanks between parts do not matter",
    args = { "net.ipv4.tcp_rmem", value = "4096\t1 2" }, same = "already 4096 1 2",
    given = { root, dir "/etc/sysctl.d", { "sysctl.running", "net.ipv4.tcp_rmem", "4096 1 2" },
      file(conf, "net.ipv4.tcp_rmem = 4096 1 2\n") } },
  { "sysctl.value", "the kernel has none such", args = { key, value = "1" },
    given = { root, dir "/etc/sysctl.d", no_file, no_digest, now(false) },
    refuses = "the kernel has no parameter" },
  { "sysctl.value", "a name that is a path", args = { "../etc", value = "1" },
    refuses = "is not the name of a kernel parameter" },
}
