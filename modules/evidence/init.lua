--- What a failure is explained by: shell text that only reads, for the evidence of gates and
--- operations. Each says little, so that all of it is on the first screen.

local kb = require "kb"

local M = {}

--- How a unit stands, and its last words.
-- @param name string: "etcd"
-- @param lines integer or nil: how many of its journal; 12 if absent
-- @return string: shell text
function M.unit(name, lines)
  return ("systemctl show -p ActiveState,SubState,Result,NRestarts,ExecMainStatus %s "
    .. "| tr '\\n' ' '; echo; "
    .. "journalctl -u %s -n %d --no-pager -o cat | cut -c1-220"):format(kb.quote(name),
    kb.quote(name), lines or 12)
end

--- Who holds a port; that nobody does is said, too.
-- @param ... integers
-- @return string: shell text
function M.ports(...)
  local filters = {}
  for i, port in ipairs { ... } do
    filters[i] = ("sport = :%d"):format(port)
  end
  return ("ss -H -ltnp '%s' | awk '{print $4, $6}' | grep . || echo 'nobody listens on %s'"):format(
    table.concat(filters, " or "), table.concat({ ... }, ", "))
end

--- The names and dates of a certificate in a file.
-- @param path string
-- @return string: shell text
function M.certificate(path)
  return ("openssl x509 -in %s -noout -subject -dates -ext subjectAltName 2>&1 | tr -s ' \\n' ' '; "
    .. "echo; echo \"now $(date -u)\""):format(kb.quote(path))
end

--- The names and dates of the certificate that is served at an address.
-- @param target string: "10.0.0.1:6443"
-- @return string: shell text
function M.served(target)
  return ("timeout 5 openssl s_client -connect %s </dev/null 2>&1 | { openssl x509 -noout -subject "
    .. "-dates -ext subjectAltName 2>/dev/null || echo 'no certificate is served'; } "
    .. "| tr -s ' \\n' ' '; echo"):format(kb.quote(target))
end

-- Newest first, as both print them.
local EXITED = [[docker ps -aq --filter status=exited --filter name=k8s_ 2>/dev/null | head -2 |
while read -r id; do
  docker inspect -f '{{.Name}} ended with {{.State.ExitCode}} at {{.State.FinishedAt}}' "$id"
  docker logs --tail 6 "$id" 2>&1 | cut -c1-220
done
crictl ps -aq --state Exited 2>/dev/null | head -2 |
while read -r id; do
  crictl ps -a --id "$id" | tail -1
  crictl logs --tail 6 "$id" 2>&1 | cut -c1-220
done]]

--- The containers of pods that ended last, and their last words.
-- @return string: shell text
function M.exited()
  return EXITED
end

--- What each member of etcd says of itself.
-- @param c table: the cluster's settings
-- @return string: shell text
function M.etcd(c)
  local endpoints = {}
  for i, member in ipairs(c.members) do
    endpoints[i] = ("https://%s:2379"):format(member.address)
  end
  return ("ETCDCTL_API=3 etcdctl --cacert=/etc/etcd/pki/ca.crt "
    .. "--cert=/etc/etcd/pki/healthcheck-client.crt --key=/etc/etcd/pki/healthcheck-client.key "
    .. "--command-timeout=4s --dial-timeout=3s --endpoints=%s endpoint health 2>&1 "
    .. "| grep -v '^{\\|^Error: unhealthy cluster' | cut -c1-220"):format(
    table.concat(endpoints, ","))
end

--- How HAProxy sees the servers of a backend, and why.
-- @param backend string
-- @return string: shell text
function M.balancer(backend)
  return ([[bash -c 'exec 3<>/dev/tcp/127.0.0.1/8404 || exit
printf "GET /;csv HTTP/1.0\r\n\r\n" >&3
grep "^%s," <&3 | cut -d, -f 2,18,37,57 | grep -v "^BACKEND"']]):format(backend)
end

--- Why nodes are not Ready, as the cluster says.
-- @param config string: the path of a kubeconfig
-- @return string: shell text
function M.nodes(config)
  return ("kubectl --kubeconfig %s --request-timeout=5s get nodes -o jsonpath='{range .items[*]}"
    .. "{.metadata.name}{\": \"}{range .status.conditions[?(@.type==\"Ready\")]}{.reason}{\": \"}"
    .. "{.message}{end}{\"\\n\"}{end}' 2>&1 | cut -c1-220"):format(kb.quote(config))
end

--- The pods of the cluster that do not run, and where.
-- @param config string: the path of a kubeconfig
-- @return string: shell text
function M.pods(config)
  return ("kubectl --kubeconfig %s --request-timeout=5s get pods -A -o wide --no-headers 2>&1 "
    .. "| grep -v ' Running \\| Completed ' | head -8"):format(kb.quote(config))
end

return M
