local bundle = os.getenv("PWD") .. "/tests/lib/bundle"
local a, b, index = ("a"):rep(64), ("b"):rep(64), ("c"):rep(64)
local blobs = { [a] = 10, [b] = 20, [index] = 30 }
local links = { ["a_1_all.deb"] = a, ["b_2_all.deb"] = b, Packages = index }

local function merged(base, key, value)
  local copy = { [key] = value }
  for k, v in pairs(base) do
    copy[k] = copy[k] or v
  end
  return copy
end

return {
  { "bundle.packages", "sends what is missing or of another size", title = "send 2 packages, 0 MB",
    args = { "/debs", bundle = bundle },
    given = { { "bundle.links", "/debs", {} }, { "bundle.blobs", { [a] = 10, [b] = 19 } } },
    effect = { { "bundle.blobs", blobs }, { "bundle.links", "/debs", links } } },
  { "bundle.packages", "keeps count of other blobs", title = "send 3 packages, 0 MB",
    args = { "/debs", bundle = bundle },
    given = { { "bundle.links", "/debs", {} }, { "bundle.blobs", { [("d"):rep(64)] = 1 } } },
    effect = { { "bundle.blobs", merged(blobs, ("d"):rep(64), 1) },
      { "bundle.links", "/debs", links } } },
  { "bundle.packages", "links what came otherwise, and unlinks what is of another bundle",
    title = "link 2 packages", args = { "/debs", bundle = bundle },
    given = { { "bundle.links", "/debs", { ["a_1_all.deb"] = b, ["old_1_all.deb"] = a } },
      { "bundle.blobs", blobs } },
    effect = { { "bundle.blobs", blobs }, { "bundle.links", "/debs", links } } },
  { "bundle.packages", "has all", same = "all 2 packages are there",
    args = { "/debs", bundle = bundle },
    given = { { "bundle.links", "/debs", links }, { "bundle.blobs", blobs } } },
  { "bundle.packages", "is no bundle", args = { "/debs", bundle = "/nonexistent" },
    given = { { "bundle.links", "/debs", {} }, { "bundle.blobs", {} } },
    refuses = "/nonexistent" },

  { "bundle.pushed", "what is missing, by way of the bastion",
    title = "send 2 blobs, 0.0 MB, by way of a0", args = { bundle },
    prepared = { relay_name = "a0" },
    given = { { "bundle.blobs", { [a] = 10, [b] = 19, [("d"):rep(64)] = 1 } },
      { "relay.leftovers", {} } },
    effect = { { "bundle.blobs", merged(blobs, ("d"):rep(64), 1) } } },
  { "bundle.pushed", "only what is selected, directly", title = "send 1 blob, 0.0 MB",
    args = { bundle, select = function(item)
      return item.kind == "file"
    end },
    given = { { "bundle.blobs", {} }, { "relay.leftovers", {} } },
    effect = { { "bundle.blobs", { [index] = 30 } } } },
  { "bundle.pushed", "removes what died", args = { bundle },
    title = "remove what a transfer that died has left: key 00ff",
    given = { { "bundle.blobs", blobs }, { "relay.leftovers", { "key 00ff" } } },
    effect = { { "relay.leftovers", {} } } },
  { "bundle.pushed", "all is there", same = "all 3 blobs are there", args = { bundle },
    given = { { "bundle.blobs", blobs }, { "relay.leftovers", {} } } },
  { "bundle.pushed", "is no bundle", refuses = "/nonexistent", args = { "/nonexistent" },
    given = { { "bundle.blobs", {} }, { "relay.leftovers", {} } } },

  { "bundle.installed", "installs what is missing or of another version",
    args = { { "a", "b" }, path = "/debs", bundle = bundle },
    given = { { "bundle.package", "a", false }, { "bundle.package", "b", "1" } },
    title = "install a 1, b 2" },
  { "bundle.installed", "has them", same = "all 1 packages are installed",
    args = { { "a" }, path = "/debs", bundle = bundle },
    given = { { "bundle.package", "a", "1" } } },
  { "bundle.installed", "the bundle has no such package",
    given = { { "bundle.package", "c", false } },
    args = { { "c" }, path = "/debs", bundle = bundle },
    refuses = "has no package c" },

  { "bundle.made", "fetches what is not there", title = "fetch 1 item",
    args = { "/nonexistent/bundle", declaration = { files = { { path = "/etc/os-release" } } } },
    again = false, -- its effect is a directory here, not a fact
    diff = "+file os-release from /etc/os-release" },
  { "bundle.made", "nothing is declared", same = "all items are there",
    args = { "/nonexistent/bundle", declaration = {} } },
  { "bundle.made", "the declaration has a misspelt part",
    args = { "/nonexistent/bundle", declaration = { file = {} } },
    refuses = "file: not known here; known are arch, protocols" },
}
