local bundle = "tests/lib/bundle"
local sums = require("kb").digest(("aa"):rep(32) .. "  a_1_all.deb\n" .. ("bb"):rep(32)
  .. "  b_2_all.deb\n")

return {
  { "bundle.packages", "sends all when one is missing", title = "send 2 packages, 0 MB",
    args = { "/debs", bundle = os.getenv("PWD") .. "/" .. bundle },
    given = { { "bundle.listing", "/debs", { ["a_1_all.deb"] = 10 } },
      { "bundle.sums", "/debs", false } } },
  { "bundle.packages", "has all", same = "all 2 packages are there",
    args = { "/debs", bundle = os.getenv("PWD") .. "/" .. bundle },
    given = { { "bundle.listing", "/debs", { ["a_1_all.deb"] = 10, ["b_2_all.deb"] = 20 } },
      { "bundle.sums", "/debs", sums } } },
  { "bundle.packages", "is no bundle", args = { "/debs", bundle = "/nonexistent" },
    given = { { "bundle.listing", "/debs", {} }, { "bundle.sums", "/debs", false } },
    refuses = "/nonexistent" },

  { "bundle.installed", "installs what is missing or of another version",
    args = { { "a", "b" }, path = "/debs", bundle = os.getenv("PWD") .. "/" .. bundle },
    given = { { "bundle.package", "a", false }, { "bundle.package", "b", "1" } },
    title = "install a 1, b 2" },
  { "bundle.installed", "has them", same = "all 1 packages are installed",
    args = { { "a" }, path = "/debs", bundle = os.getenv("PWD") .. "/" .. bundle },
    given = { { "bundle.package", "a", "1" } } },
  { "bundle.installed", "the bundle has no such package",
    given = { { "bundle.package", "c", false } },
    args = { { "c" }, path = "/debs", bundle = os.getenv("PWD") .. "/" .. bundle },
    refuses = "has no package c" },
}
