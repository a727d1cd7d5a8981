--- HAProxy's own socket, at which it tells how it is and takes commands.

local M = {}

--- Where it is.
M.path = "/run/haproxy/admin.sock"

-- perl-base is on every Debian and can open a socket; nothing else there surely can.
local ASK = [[perl -MSocket -e 'alarm 5; socket(S, PF_UNIX, SOCK_STREAM, 0) && connect(S,
sockaddr_un("%s")) or exit 0; syswrite(S, "%s\n"); print while <S>;']]

--- Shell text that asks HAProxy, and prints its answer; nothing when it does not answer.
-- @param words string: "show stat"
-- @return string
function M.ask(words)
  return ASK:format(M.path, words)
end

--- Evidence: how HAProxy sees the servers of a backend, and why.
-- @param backend string
-- @return string: shell text
function M.evidence(backend)
  return ([[# how HAProxy sees %s: state, check, and what the check got
%s | awk -F, '$1 == "%s" && $2 != "BACKEND" { print $2, $18, $37, $57; any = 1 }
END { if (!any) print "HAProxy does not answer at %s" }']]):format(backend, M.ask "show stat",
    backend, M.path)
end

return M
