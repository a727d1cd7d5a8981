local root = { "user.self", { name = "root", group = "root", home = "/root" } }
local dir = { kind = "directory", mode = tonumber("755", 8), owner = "root", group = "root" }
local absent = { kind = "absent" }

local function package(name, version, status)
  status = status or version and "ii" or "un"
  return { "dpkg.package", name, { installed = version ~= nil, version = version or "",
    held = status:find("^h") ~= nil, status = status } }
end

local list = "/etc/apt/sources.list.d/own.sources"
local text = "Types: deb\nURIs: http://example.org/debian\nSuites: bookworm\nComponents: main\n"
local text_digest = "a4911604a617f3af9aa8bf5692182d6d6e054c779571585c717f2efa8cb30f85"
local key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n"
local own = { "own", uris = "http://example.org/debian", suites = "bookworm", components = "main" }

local signed = { key = key }
for k, v in pairs(own) do
  signed[k] = v
end

local dirs = { { "file.stat", "/etc/apt/sources.list.d", dir },
  { "file.stat", "/etc/apt/keyrings", dir } }

return {
  { "apt.packages", "installs what is missing", args = { { "a0", "b0" } },
    given = { package("a0", "1"), package "b0", { "apt.candidates", "b0", { b0 = "2" } } },
    title = "install b0", diff = "+b0 2",
    effect = { { "dpkg.package", "b0", { installed = true, version = "2", held = false,
      status = "ii" } } } },
  { "apt.packages", "in the version asked for, and held", args = { "a0=2", held = true },
    given = { package("a0", "1") }, title = "install a0", diff = "-a0 1\n+a0 2",
    effect = { { "dpkg.package", "a0", { installed = true, version = "2", held = true,
      status = "hi" } } } },
  { "apt.packages", "a version with a star", args = { "a0=2.*" }, title = "install a0",
    given = { package("a0", "1.9") }, again = false },
  { "apt.packages", "upgrades to the newest", args = { "a0", state = "latest" },
    title = "install a0",
    given = { package("a0", "1"), { "apt.candidates", "a0", { a0 = "2" } } } },
  { "apt.packages", "only the hold changes", args = { "a0", held = false },
    given = { package("a0", "1", "hi") }, title = "unhold a0" },
  { "apt.packages", "removes it", args = { { "a0", "b0" }, state = "absent" },
    given = { package("a0", "1"), package "b0" }, title = "remove a0", diff = "-a0 1" },
  { "apt.packages", "purges what was removed", again = false,
    args = { "a0", state = "absent", purge = true },
    given = { package("a0", nil, "rc") }, title = "purge a0" },
  { "apt.packages", "they are installed", args = { { "a0", "b0=1.*" } }, same = "installed",
    given = { package("a0", "1"), package("b0", "1.5") } },
  { "apt.packages", "they are not installed", args = { "a0", state = "absent" },
    given = { package("a0", nil, "rc") }, same = "not installed" },
  { "apt.packages", "it is the newest", args = { "a0", state = "latest" }, same = "the newest",
    given = { package("a0", "2"), { "apt.candidates", "a0", { a0 = "2" } } } },
  { "apt.packages", "apt does not know it", args = { "a0" }, refuses = "apt knows no package a0",
    given = { package "a0", { "apt.candidates", "a0", { a0 = false } } } },
  { "apt.packages", "a name that would be an option", args = { "-o" }, refuses =
    "is not the name of a package" },

  { "apt.updated", "the lists are old", args = { "1h" },
    given = { { "apt.index", { age = 3601, outdated = false } } },
    title = "fetch apt's package lists" },
  { "apt.updated", "a source has changed", args = {},
    given = { { "apt.index", { age = 60, outdated = true } } } },
  { "apt.updated", "the lists are new", args = { "1h" }, same = "fetched 2 minutes ago",
    given = { { "apt.index", { age = 120, outdated = false } } } },
  { "apt.updated", "a wrong age", args = { "soon" }, refuses = "a duration" },

  { "apt.repository", "writes key and source", args = signed,
    given = { root, dirs[1], dirs[2], { "file.stat", list, absent }, { "file.digest", list, false },
      { "file.stat", "/etc/apt/keyrings/own.asc", absent },
      { "file.digest", "/etc/apt/keyrings/own.asc", false } },
    title = "write the repository own" },
  { "apt.repository", "removes them", args = { "own", state = "absent" },
    title = "remove the repository own",
    given = { { "file.stat", list, { kind = "file" } } } },
  { "apt.repository", "is as asked", args = own, same = "already as asked",
    given = { root, dirs[1], { "file.digest", list, text_digest },
      { "file.stat", list, { kind = "file", mode = tonumber("644", 8), owner = "root",
        group = "root", size = #text } } } },
  { "apt.repository", "without components",
    args = { "own", uris = "http://example.org", suites = "x" },
    refuses = "the suite x needs components" },
  { "apt.repository", "a path with components", refuses = "which has no components",
    args = { "own", uris = "http://example.org", suites = "x/", components = "main" } },
  { "apt.repository", "a name that is a path", args = { "../x", uris = "u", suites = "s/" },
    refuses = "is not the name of a file" },
}
