--- HAProxy in front of the API servers.

local config = require "modules.haproxy.config"
local evidence = require "modules.evidence"
local files = require "modules.files"
local kb = require "kb"
local socket = require "modules.haproxy.socket"
local systemd = require "modules.systemd"

local M = {}

local CONFIG = "/etc/haproxy/haproxy.cfg"

--- Balance the API over the masters. HAProxy checks the configuration before it is used, and takes
-- it up without losing connections.
-- @param host host
-- @param c table: the cluster's settings
function M.balancer(host, c)
  files.file(host, { CONFIG, content = config.text(c), validate = "haproxy -c -f %s" })
  systemd.unit(host, { "haproxy", state = "running", enabled = true, reload = { CONFIG } })
end

-- What `show stat` calls a server that was set so.
local states = { ready = { UP = true, DOWN = true, no = true }, drain = { DRAIN = true },
  maint = { MAINT = true } }
local becomes = { ready = "UP", drain = "DRAIN", maint = "MAINT" }

--- A server behind HAProxy gets connections (ready), gets no new ones (drain), or none (maint): for
-- work on it. HAProxy forgets this when it is started again.
-- @param server string: its name
-- @param backend string: what it is part of
-- @param state string: ready, drain or maint
M.server = kb.op {
  name = "haproxy.server",
  args = { { "server", "string", "its name", at = 1, required = true },
    { "backend", "string", "what it is part of", default = "masters" },
    { "state", { "ready", "drain", "maint" }, "what it gets", default = "ready" } },
  facts = function(args)
    return { { "haproxy.servers", args.backend } }
  end,
  plan = function(args, fact)
    local servers = fact("haproxy.servers", args.backend)
    local now = servers and servers[args.server]
    if not servers then
      kb.refuse("HAProxy does not answer at " .. socket.path, "see systemctl status haproxy")
    elseif not now then
      kb.refuse(("the backend %s has no server %s"):format(args.backend, args.server))
    elseif states[args.state][now] then
      return nil, ("%s is %s"):format(args.server, now)
    end
    local after = {}
    for name, state in pairs(servers) do
      after[name] = state
    end
    after[args.server] = becomes[args.state]
    return { title = ("set %s/%s to %s"):format(args.backend, args.server, args.state),
      actions = { ([[perl -MSocket -e 'alarm 5; socket(S, PF_UNIX, SOCK_STREAM, 0) && connect(S,
sockaddr_un("%s")) or exit 1; syswrite(S, "set server $ARGV[0] state $ARGV[1]\n");
$_ = join "", <S>; print; exit /\S/' %s %s]]):format(socket.path,
        kb.quote(args.backend .. "/" .. args.server), args.state) },
      effect = { { "haproxy.servers", args.backend,
        args.state == "ready" and kb.unknown("known after HAProxy has asked it") or after } } }
  end,
}

--- The gate, behind which HAProxy sees these masters up.
-- @param host host
-- @param names list of strings
function M.gate(host, names)
  local up, reasons = {}, { socket.evidence "masters", evidence.unit("haproxy", 8) }
  for _, name in ipairs(names) do
    up[name] = "UP"
    reasons[#reasons + 1] = evidence.served(name .. ":6443")
  end
  kb.gate(host, { "HAProxy sees " .. table.concat(names, ", ") .. " up", within = 120,
    fact = { "haproxy.servers", "masters" }, becomes = up,
    holds = function(servers)
      for _, name in ipairs(names) do
        if not servers or servers[name] ~= "UP" then
          return false
        end
      end
      return true
    end,
    evidence = reasons })
end

return M
