--- What a failure is explained by: shell text that only reads, for the evidence of gates and
--- operations. Each says little, so that all of it is on the first screen, and begins with a
--- comment, which is what people are shown of it.

local kb = require "kb"

local M = {}

--- What the lines of a stack begin with, which a program in Go writes by the hundred behind its
--- reason: an extended regular expression.
M.stack = [=[([[:space:]]+/[^ ]+\.go:[0-9]+|goroutine [0-9]+ \[|created by |]=]
  .. [=[[^ ]+\((0x|\{0x|\.\.\.|\)))]=]

-- The last of some lines of Kubernetes' programs, each once, whatever the time before it.
local function last(n)
  return ([[grep -vE '^%s' | cut -c1-220 | tac |
  awk '{ text = $0; sub(/^[EFIW][0-9]+ [0-9:.]+ +[0-9]+ /, "", text) } !told[text]++' |
  head -n %d | tac]]):format(M.stack, n)
end

--- How a unit stands, and its last words.
-- @param name string: "etcd"
-- @param lines integer or nil: how many of its journal; 12 if absent
-- @return string: shell text
function M.unit(name, lines)
  return ("# the unit %s, and the end of its journal\n"
    .. "systemctl show -p ActiveState,SubState,Result,NRestarts,ExecMainStatus %s "
    .. "| tr '\\n' ' '; echo; "
    .. "journalctl -u %s -n %d --no-pager -o cat | cut -c1-220"):format(name, kb.quote(name),
    kb.quote(name), lines or 12)
end

local KUBELET = [[# the kubelet, and its last errors
systemctl show -p ActiveState,SubState,Result,NRestarts,ExecMainStatus kubelet | tr '\n' ' '; echo
journalctl -u kubelet -n 1000 --no-pager -o cat |
  grep -E '^([EF][0-9]{4} |Error: |kubelet\.service: [MF]a)' | ]] .. last(5)

--- How the kubelet stands, and the last errors that it told, each once.
-- @return string: shell text
function M.kubelet()
  return KUBELET
end

--- What docker and containerd warn of; what they do besides is much, and is left out.
-- @return string: shell text
function M.runtime()
  return "# what docker and containerd warn of\n"
    .. "journalctl -u docker -u containerd --since -15min -n 600 --no-pager -o cat "
    .. "| grep -v 'level=\\(info\\|debug\\)' | cut -c1-220 | tail -n 8"
end

--- Who holds a port; that nobody does is said, too.
-- @param ... integers
-- @return string: shell text
function M.ports(...)
  local filters = {}
  for i, port in ipairs { ... } do
    filters[i] = ("sport = :%d"):format(port)
  end
  local ports = table.concat({ ... }, ", ")
  return ("# who listens on %s\nss -H -ltnp '%s' | awk '{print $4, $6}' | grep . || echo nobody")
    :format(ports, table.concat(filters, " or "))
end

--- The names and dates of a certificate in a file.
-- @param path string
-- @return string: shell text
function M.certificate(path)
  return ("# the certificate in %s\n"
    .. "if [ -e %s ]; then openssl x509 -in %s -noout -subject -dates -ext subjectAltName 2>&1 "
    .. "| tr -s ' \\n' ' '; echo; echo \"now $(date -u)\"; else echo 'there is none'; fi")
    :format(path, kb.quote(path), kb.quote(path))
end

--- The names and dates of the certificate that is served at an address.
-- @param target string: "10.0.0.1:6443"
-- @return string: shell text
function M.served(target)
  return ("# the certificate that is served at %s\n"
    .. "timeout 5 openssl s_client -connect %s </dev/null 2>&1 | { openssl x509 -noout -subject "
    .. "-dates -ext subjectAltName 2>/dev/null || echo 'no certificate is served'; } "
    .. "| tr -s ' \\n' ' '; echo"):format(target, kb.quote(target))
end

-- Newest first, as both print them. When the API server does not run, others end, too, and again
-- and again: it is looked for by name.
local EXITED = ([[# the containers of pods that ended last, and what they said
last() { grep -v '^I[0-9][0-9][0-9][0-9] ' | LAST; }
{ docker ps -aq --filter status=exited --filter name=k8s_kube-apiserver_ | head -1
docker ps -aq --filter status=exited --filter name=k8s_ | head -2; } 2>/dev/null |
awk '!told[$0]++' | while read -r id; do
  docker inspect -f '{{.Name}} ended with {{.State.ExitCode}} at {{.State.FinishedAt}}' "$id"
  docker logs --tail 500 "$id" 2>&1 | last
done
{ crictl ps -a -q --state Exited --name '^kube-apiserver$' | head -1
crictl ps -a -q --state Exited | head -2; } 2>/dev/null |
awk '!told[$0]++' | while read -r id; do
  crictl ps -a --id "$id" | tail -1
  crictl logs --tail 500 "$id" 2>&1 | last
done]]):gsub("LAST", function()
  return last(4)
end)

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
  return ("# what each member of etcd says of itself\n"
    .. "ETCDCTL_API=3 etcdctl --cacert=/etc/etcd/pki/ca.crt "
    .. "--cert=/etc/etcd/pki/healthcheck-client.crt --key=/etc/etcd/pki/healthcheck-client.key "
    .. "--command-timeout=4s --dial-timeout=3s --endpoints=%s endpoint health 2>&1 "
    .. "| grep -v '^{\\|^Error: unhealthy cluster' | cut -c1-220"):format(
    table.concat(endpoints, ","))
end

--- Why nodes are not Ready, as the cluster says.
-- @param config string: the path of a kubeconfig
-- @return string: shell text
function M.nodes(config)
  return ("# why nodes are not Ready\n"
    .. "kubectl --kubeconfig %s --request-timeout=5s get nodes -o jsonpath='{range .items[*]}"
    .. "{.metadata.name}{\": \"}{range .status.conditions[?(@.type==\"Ready\")]}{.reason}{\": \"}"
    .. "{.message}{end}{\"\\n\"}{end}' 2>&1 | cut -c1-220"):format(kb.quote(config))
end

--- The pods of the cluster that do not run, and where.
-- @param config string: the path of a kubeconfig
-- @return string: shell text
function M.pods(config)
  return ("# pods that do not run\n"
    .. "kubectl --kubeconfig %s --request-timeout=5s get pods -A -o wide --no-headers 2>&1 "
    .. "| grep -v ' Running \\| Completed ' | head -8"):format(kb.quote(config))
end

return M
