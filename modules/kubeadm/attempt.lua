--- kubeadm as a unit of systemd's own: it goes on to its end also when we are lost in the middle,
--- since what it has half done can only be reset. What it says is in a log, which we follow.

local kb = require "kb"

local M = {}

--- Where an attempt leaves its traces on a host: attempt (the command), log, code (the status).
M.dir = "/var/lib/kbrun/kubeadm"

local UNIT = "kbrun-kubeadm.service"

-- Follow the log until the unit has ended, then end as it did.
local FOLLOW = ([[
pid=$(systemctl show -p MainPID %s | cut -d= -f2)
if [ "${pid:-0}" -gt 0 ]; then tail -n +1 -f --pid="$pid" "$d/log"; else cat "$d/log"; fi
while systemctl -q is-active %s; do sleep 0.2; done
code=$(cat "$d/code" 2>/dev/null || echo 1)
[ "$code" != 0 ] || rm -f "$d/log"
exit "$code"]]):format(UNIT, UNIT)

--- Shell text that runs kubeadm in its unit, and ends as it did.
-- @param command string: "kubeadm init …"
-- @return string
function M.run(command)
  local script = ('umask 022; %s >%s/log 2>&1; echo "$?" >%s/code'):format(command, M.dir, M.dir)
  return ([[
umask 077; d=%s; mkdir -p "$d" && rm -f "$d/code" && : >"$d/log" || exit
systemctl reset-failed %s 2>/dev/null
printf '%%s\n' %s >"$d/attempt"
systemd-run -q --unit=%s --setenv=HOME=/root /bin/sh -c %s || exit
%s]]):format(M.dir, UNIT, kb.quote(command), UNIT, kb.quote(script), FOLLOW)
end

--- Shell text that waits for a kubeadm which an earlier run has started.
-- @return string
function M.wait()
  return "d=" .. M.dir .. "\n" .. FOLLOW
end

--- Shell text that prints how the last attempt stands: `running`, `failed`, `done`, or nothing; and
-- why it failed, on lines that begin with `says`. What else is in its log may be a key.
-- @return string
function M.state()
  return ([[
d=%s
if [ -e "$d/attempt" ]; then
  if systemctl -q is-active %s; then echo running
  elif [ "$(cat "$d/code" 2>/dev/null)" = 0 ]; then echo done
  else
    echo failed
    grep -E '^error |\[ERROR ' "$d/log" 2>/dev/null | tail -n 4 | cut -c1-220 | sed 's/^/says /'
  fi
fi]]):format(M.dir, UNIT)
end

return M
