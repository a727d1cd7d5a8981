--- The API answers while one master hangs: the worst way to be stopped, since its port still
--- accepts connections.

local kb = require "kb"

local M = {}

-- Longer than HAProxy needs to see it, shorter than nodes need to be given up.
local SECONDS = 60

-- Whatever becomes of us, the host itself lets its API server go on.
local HANG = [[set -e
for d in /proc/[0-9]*; do
  if [ "$(cat "$d/comm" 2>/dev/null)" = kube-apiserver ]; then pid=${d#/proc/}; fi
done
[ -n "$pid" ]
systemctl stop kbrun-go-on.timer kbrun-go-on.service 2>/dev/null || true
systemd-run -q --unit=kbrun-go-on --on-active=%d --timer-property=AccuracySec=1s \
  /bin/sh -c "kill -CONT $pid"
kill -STOP "$pid"]]

local GO_ON = [[for d in /proc/[0-9]*; do
  if [ "$(cat "$d/comm" 2>/dev/null)" = kube-apiserver ]; then kill -CONT "${d#/proc/}"; fi
done
systemctl stop kbrun-go-on.timer 2>/dev/null; true]]

-- Each call is a new connection, which the balancer may give to any master that it thinks is up.
local ASK = [[for i in 1 2 3 4; do
  kubectl --request-timeout=5s get nodes -o name >/dev/null || exit 1
done]]

local function is_seen(host, name)
  kb.gate(host, { ("HAProxy sees that %s hangs"):format(name), within = SECONDS - 15,
    fact = { "haproxy.servers", "masters" },
    holds = function(servers)
      return servers and not tostring(servers[name]):find("^UP")
    end,
    evidence = { "journalctl -u haproxy -n 20 --no-pager" } })
end

local function answers_without(host, name)
  if host:fact("haproxy.servers", "masters") then
    is_seen(host, name)
  end
  kb.prove(host, { ("the API answers while %s hangs"):format(name), run = ASK, within = 40,
    evidence = { "journalctl -u haproxy -n 20 --no-pager" } })
end

--- Let a master's API server hang, ask through the endpoint, and let it go on, whatever happens.
-- @param host host: one with kubectl and a kubeconfig for the endpoint
-- @param names list of strings: the masters that work; the last one is taken
-- @raise kb.err of kind failed when the API does not answer
function M.prove(host, names)
  local name = names[#names]
  kb.on(host, name, function(master)
    kb.prove(master, { ("%s's API server hangs for a moment"):format(name), within = 5,
      run = HANG:format(SECONDS) })
  end)
  local ok, e = pcall(answers_without, host, name)
  kb.on(host, name, function(master)
    kb.prove(master, { ("%s's API server goes on"):format(name), run = GO_ON, within = 10 })
  end)
  if not ok then
    error(e, 0)
  end
end

return M
