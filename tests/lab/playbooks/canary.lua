-- Steps that handle secrets in every way there is, and then fail with them on their lips.
-- `canary` and `second` are the texts of two.
local kb = require "kb"
local command, files, users = kb.use("command", "files", "users")

local PLACE = "/etc/canary"

kb.play { "sing", hosts = "all", become = true, function(host)
  local canary, second = kb.secret(host.vars.canary), kb.secret(host.vars.second)
  files.directory(host, { PLACE, mode = "0700" })
  files.file(host, { PLACE .. "/token", content = canary, mode = "0600" })
  files.file(host, { PLACE .. "/token", content = second .. "\n", mode = "0600" })
  files.file(host, { PLACE .. "/settings", content = "token = " .. canary .. "\n", mode = "0600",
    validate = "sleep 1.1 && grep -q token %s" })
  files.template(host, { PLACE .. "/page", from = "canary.j2", vars = { token = canary } })
  files.line(host, { PLACE .. "/settings", line = "colour = yellow" })
  users.user(host, { "canary", system = true, password = second })
  command.run(host, { "sleep 1.2; tee /dev/stderr | base64 -w0", stdin = canary })
  command.run(host, { "cat; printf %s " .. kb.quote("no end"), title = "tell " .. host.vars.canary,
    stdin = "user:" .. second .. "\n" })
  command.run(host, { "cat " .. PLACE .. "/settings; base64 " .. PLACE .. "/token >&2; exit 3",
    title = "sing aloud" })
end }
