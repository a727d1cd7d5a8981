-- Make the offline bundle: what a declaration names, fetched to this machine where it has internet.
--   kbrun playbooks/bundle.lua -e bundle=/srv/bundle-1.20.2 -e declaration=wanted.yaml --dry-run
-- `kbrun doc kb.bundle.declaration` tells what a declaration may say: files, images, packages. What
-- was fetched once is pinned; --extra repin=NAME accepts that it has changed, and
-- --extra repin=packages looks for newer packages.
local kb = require "kb"
local bundle = kb.use("bundle")

kb.play { "bundle", hosts = "localhost", tags = { "bundle" },
  function(host)
    bundle.made(host, { host.vars.bundle, declaration = host.vars.declaration,
      repin = host:var("repin", {}) })
  end }
