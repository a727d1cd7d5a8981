--- What a failure of etcd is explained by: shell text that only reads.

local M = {}

-- etcd's raft tells of each election and drowns what keeps it from ending. Members before 3.5 tell
-- the journal how grave a message is; later ones say it in the message. Whom it rejects, and why,
-- the earlier ones take for no warning.
local WARNINGS = [[# what etcd warns of
{ journalctl -u etcd --since -15min -p warning -n 60 --no-pager -o cat
journalctl -u etcd --since -15min -n 600 --no-pager -o cat |
  grep -E '^\{"level":"(warn|error|fatal|panic)"|^rejected connection' | sed 's/"ts":"[^"]*",//'
} | cut -c1-220 | awk '{ text = $0; gsub(/:[0-9]+"/, "", text) } !said[text]++' | tail -n %d]]

-- bash is on every Debian and can open a connection; nothing else there surely can.
local PEERS = [[# whether this member reaches the others
own=$(sed -n 's/^ETCD_NAME=//p' /etc/default/etcd 2>/dev/null)
sed -n 's/^ETCD_INITIAL_CLUSTER=//p' /etc/default/etcd 2>/dev/null | tr , '\n' | {
  while IFS='=' read -r name url; do
    [ "$name" != "$own" ] || continue
    (at=${url#https://}; host=${at%:*}; host=${host#[}
     said=$(LC_ALL=C timeout 3 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "${host%]}" "${at##*:}" 2>&1)
     case $? in
     0) said=reached ;;
     124) said='no answer within 3 s: something on the way drops it' ;;
     *) said=${said##*: } ;;
     esac
     echo "$name at $at: $said" | tr '\n' ' '; echo) &
  done
  wait
} | sort]]

--- What etcd's journal warns of, each once.
-- @param lines integer or nil: how many at most; 8 if absent
-- @return string: shell text
function M.warnings(lines)
  return WARNINGS:format(lines or 8)
end

--- Whether a member reaches the others, by connections to their ports.
-- @return string: shell text
function M.peers()
  return PEERS
end

return M
