-- A first playbook: a page with each host's own name in it.
--   kbrun playbooks/hello.lua -i inventory.yaml --dry-run
local kb = require "kb"
local files = kb.use("files")

kb.play { "hello", hosts = "all", become = true,
  function(host)
    files.directory(host, { "/srv/hello", mode = "0755" })
    local page = files.template(host, { "/srv/hello/index.html", from = "hello.html.j2",
      vars = { name = host.name } })
    if page.changed then
      files.line(host, { "/srv/hello/log", line = "page written", create = true })
    end
  end }
