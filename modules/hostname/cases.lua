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

local digest = "6271f7cd018b8241b74038e6d74f90c10540415eb506e6e18e67eef4cc39ef7a" -- of "m0\n"

return {
  { "hostname.name", "calls it so, now and at boot", args = { "m0" }, title = "call the host m0",
    given = { root, dir "/etc", { "hostname.running", "x" }, file("/etc/hostname", "x\n") },
    diff = "@@ -1,1 +1,1 @@\n-x\n+m0" },
  { "hostname.name", "only now", args = { "m0" }, actions = { "hostname -- m0" },
    given = { root, { "hostname.running", "x" }, file("/etc/hostname", "m0\n", digest) } },
  { "hostname.name", "is called so", args = { "m0" }, same = "already called so",
    given = { root, { "hostname.running", "m0" }, file("/etc/hostname", "m0\n", digest) } },
  { "hostname.name", "a name that is none", args = { "-x" }, refuses = "cannot be the name" },
}
