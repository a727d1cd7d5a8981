local kb = require "kb"

local function package(name, version, status)
  status = status or version and "ii" or "un"
  return { "dpkg.package", name, { installed = version ~= nil, version = version or "",
    held = status:find("^h") ~= nil, status = status } }
end

local function archive(name, version, architecture)
  return { file = "/d/" .. name .. ".deb", package = name, version = version,
    architecture = architecture or "amd64" }
end

local amd64 = { "dpkg.architecture", "amd64" }
local dir = { "file.packages", "/d", { archive("a0", "1.10"), archive("a0", "1.9"),
  archive("b0", "2", "all"), archive("c0", "1", "arm64") } }

return {
  { "dpkg.packages", "all that are in the directory, the newest of each", args = { "/d" },
    given = { amd64, dir, package("a0", "1.9"), package "b0" }, title = "install a0, b0",
    diff = "-a0 1.9\n+a0 1.10\n+b0 2" },
  { "dpkg.packages", "only those that are asked for", args = { "/d", packages = "b0" },
    given = { amd64, dir, package "b0" }, title = "install b0",
    effect = { { "dpkg.package", "b0", { installed = true, version = "2", held = false,
      status = "ii" } } } },
  { "dpkg.packages", "of a directory that a dry run cannot look into", again = false,
    args = { "/d", packages = "b0" }, title = "install b0",
    given = { { "file.packages", "/d", kb.unknown "given as unknown" }, package "b0" },
    diff = "+b0 (known once its file is in /d)" },
  { "dpkg.packages", "back to the older version",
    args = { "/d", packages = "b0", downgrade = true },
    given = { amd64, dir, package("b0", "1:1") }, diff = "-b0 1:1\n+b0 2" },
  { "dpkg.packages", "the hold is missing", args = { "/d", packages = "b0", held = true },
    given = { amd64, dir, package("b0", "2") }, title = "hold b0" },
  { "dpkg.packages", "they are there, or newer", args = { "/d" }, same = "2 packages are installed",
    given = { amd64, dir, package("a0", "1.10"), package("b0", "1:1") } },
  { "dpkg.packages", "there is no such directory", args = { "/d" },
    given = { amd64, { "file.packages", "/d", false } }, refuses = "/d does not exist" },
  { "dpkg.packages", "for another architecture", args = { "/d", packages = "c0" },
    given = { amd64, dir }, refuses = "there is no package c0 for amd64" },
}
