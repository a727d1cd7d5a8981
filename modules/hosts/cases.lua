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

local hosts = "127.0.0.1 localhost\n127.0.1.1 m0\n# here\n"
  .. "::1 localhost ip6-localhost\n\n10.0.0.2 m1\n"

local function given(text)
  return { root, dir "/etc", file("/etc/hosts", text or hosts) }
end

return {
  { "hosts.entry", "adds an address, and takes its names from others", title =
    "name 10.0.0.1: m0 m0.lan", args = { "10.0.0.1", names = { "m0", "m0.lan" } }, given = given(),
    diff = "@@ -1,6 +1,6 @@\n 127.0.0.1 localhost\n-127.0.1.1 m0\n # here\n"
      .. " ::1 localhost ip6-localhost\n \n 10.0.0.2 m1\n+10.0.0.1 m0 m0.lan" },
  { "hosts.entry", "adds a name to an address", args = { "10.0.0.2", names = { "m1", "api" } },
    given = given(), title = "name 10.0.0.2: m1 api" },
  { "hosts.entry", "an address of the other family keeps its names",
    args = { "fd00::1", names = "localhost" },
    given = given "127.0.0.1 localhost\n", diff = "@@ -1,1 +1,2 @@\n 127.0.0.1 localhost\n"
      .. "+fd00::1 localhost" },
  { "hosts.entry", "forgets a name", args = { "::1", names = "ip6-localhost", state = "absent" },
    given = given "::1 localhost ip6-localhost # v6\n",
    diff = "@@ -1,1 +1,1 @@\n-::1 localhost ip6-localhost # v6\n+::1 localhost # v6" },
  { "hosts.entry", "forgets an address", args = { "10.0.0.2", state = "absent" }, given = given(),
    title = "forget 10.0.0.2: all its names" },
  { "hosts.entry", "is there", args = { "127.0.1.1", names = "m0" }, given = given(),
    same = "already there" },
  { "hosts.entry", "is not there", args = { "10.9.9.9", state = "absent" }, given = given(),
    same = "not there" },
  { "hosts.entry", "lists too long to be read are not taken for empty",
    args = { "10.0.0.1", names = "a" }, refuses = "/etc/hosts cannot be edited",
    given = { root, dir "/etc", file("/etc/hosts", ""), { "file.content", "/etc/hosts", false } } },
  { "hosts.entry", "not an address", args = { "10.0.0.256", names = "a" }, given = given(),
    refuses = "is not an address" },
  { "hosts.entry", "without names", args = { "10.0.0.1" }, given = given(),
    refuses = "needs the names" },
}
