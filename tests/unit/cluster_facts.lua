-- What etcdctl, HAProxy, kubeadm, kubectl and the kubelet print, as facts.
local test = ...
local check = require "lib.check"
local fact = require "kb.fact"
local kubectl = require "modules.kubectl"
local scratch = require "lib.scratch"
local stub = require "lib.stub"
local sys = require "kb.core.sys"

for module in ("containerd docker etcd haproxy images kubeadm kubelet metallb"):gmatch "%S+" do
  require("modules." .. module)
end

local function parsed(name, out, code, ...)
  return fact.find(name).parse(out, code or 0, ...)
end

test("etcd's members, of 3.4 with learners and of 3.3 without, and who is healthy", function()
  local out = [[
8e9e05c52164694, started, m0, https://10.0.0.10:2380, https://10.0.0.10:2379, false
91bc3c398fb3c146, started, m1, https://10.0.0.11:2380, https://10.0.0.11:2379, true
fd422379fda50e48, unstarted, , https://10.0.0.12:2380, , false
{"level":"warn","ts":"2026-11-23","msg":"retrying of unary invoker failed"}
https://10.0.0.10:2379 is healthy: successfully committed proposal: took = 9.2ms
https://10.0.0.11:2379 is unhealthy: failed to commit proposal: context deadline exceeded
]]
  check.equal(parsed("etcd.members", out), {
    m0 = { id = "8e9e05c52164694", started = true, learner = false, healthy = true },
    m1 = { id = "91bc3c398fb3c146", started = true, learner = true, healthy = false },
    fd422379fda50e48 = { id = "fd422379fda50e48", started = false, learner = false,
      healthy = false } })
  check.equal(parsed("etcd.members",
    "1a, started, m0, https://10.0.0.10:2380, https://10.0.0.10:2379\n").m0.learner, false)
  check.equal(parsed("etcd.members", "Error: context deadline exceeded\n", 1), false)
end)

test("an etcd that does not answer is waited for once", function()
  stub.with_dir(function(dir)
    check.ok(sys.write_file(dir .. "/etcdctl", "#!/bin/sh\necho asked >&2; exit 1\n", 493))
    for _, name in ipairs { "etcd.members", "etcd.status" } do
      local f = fact.find(name)
      local r = stub.shell(("PATH=%s:$PATH; exec 2>&1; %s"):format(dir,
        (f:ask():gsub("2>/dev/null", ""))))
      check.equal(r.out, "asked\n", name)
      check.equal(f.parse(r.out, r.code), false)
    end
  end)
end)

test("what HAProxy thinks of its servers", function()
  local head = "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,"
    .. "wretr,wredis,status,weight\n"
  local function line(proxy, server, status)
    return ("%s,%s,%s%s,1\n"):format(proxy, server, (","):rep(15), status)
  end
  local out = head .. line("apiserver", "FRONTEND", "OPEN") .. line("masters", "m0", "UP")
    .. line("masters", "m1", "UP 1/3") .. line("masters", "m2", "DRAIN (agent)")
    .. line("masters", "BACKEND", "UP") .. line("other", "x", "UP")
  check.equal(parsed("haproxy.servers", out, 0, "masters"), { m0 = "UP", m1 = "UP", m2 = "DRAIN" })
  check.equal(parsed("haproxy.servers", "", 0, "masters"), false)
end)

test("how far a host is, and how its last attempt ended", function()
  local whole = "manifests/kube-apiserver.yaml\nadmin.conf\nkubelet.conf\nclient\n"
  local cases = {
    { "", false, false, false, false }, { whole, true, true, false, false },
    { "done\n" .. whole, true, true, false, false },
    { "failed\n" .. whole, true, true, true, false }, { "failed\n", false, false, false, false },
    { "running\n" .. whole, true, false, false, true },
    { "manifests/kube-apiserver.yaml\n", true, false, true, false },
    { "bootstrap-kubelet.conf\n", false, false, true, false } }
  for _, case in ipairs(cases) do
    local now = parsed("kubeadm.node", case[1])
    check.equal({ now.master, now.joined, now.half, now.running }, { table.unpack(case, 2) },
      case[1])
  end
end)

test("an attempt that failed says why, and tells no keys", function()
  local dir <close> = scratch()
  local command = fact.find("kubeadm.node").command():gsub("/var/lib/kbrun/kubeadm", dir.path)
  check.ok(sys.write_file(dir.path .. "/attempt", "kubeadm init\n"))
  check.equal(parsed("kubeadm.node", stub.shell(command).out).says, nil)
  check.ok(sys.write_file(dir.path .. "/log", "[upload-certs] Using certificate key:\n0123\n"
    .. "\t[ERROR Port-6443]: Port 6443 is in use\nerror execution phase preflight: failed\n"
    .. "To see the stack\n"))
  check.equal(parsed("kubeadm.node", stub.shell(command).out).says,
    "[ERROR Port-6443]: Port 6443 is in use\nerror execution phase preflight: failed")
end)

test("the pod networks of nodes, of which one has none yet", function()
  check.equal(parsed("kubeadm.pod_cidrs", "m0 10.244.0.0/24\nw0 \nw1 fd00:1::/64\n"),
    { m0 = "10.244.0.0/24", w1 = "fd00:1::/64" })
  check.equal(parsed("kubeadm.pod_cidrs", "", 1), false)
end)

-- A TLS server with a certificate of its own, and the fact's command as it would ask that.
local SERVER = [[cd '%s' || exit
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out crt -days 9 \
  -subj /CN=x -addext subjectAltName=DNS:m0,IP:127.0.0.1 2>/dev/null || exit
openssl s_server -accept 0 -cert crt -key key -www >log 2>&1 &
trap 'kill $!' EXIT
i=0
while ! port=$(grep -o '^ACCEPT.*:[0-9]*' log | grep -o '[0-9]*$') && [ $((i += 1)) -lt 200 ]; do
  sleep 0.05
done
]]

test("for which names a served certificate is good", function()
  stub.with_dir(function(dir)
    local function asked(names, setting)
      local f = fact.find("kubeadm.serves")
      local command = f:ask("127.0.0.1", names):gsub(":6443", ":$port")
        :gsub("/etc/kubernetes/pki/ca.crt", setting or "crt")
      local r = stub.shell(SERVER:format(dir) .. command)
      return f.parse(r.out, r.code)
    end
    check.equal(asked "m0 m1 127.0.0.1 127.0.0.2", { m0 = true, ["127.0.0.1"] = true })
    check.equal(asked("m0", "/etc/ssl/openssl.cnf"), {}, "another authority")
  end)
end)

test("where there is no openssl, kubectl asks for each name", function()
  stub.with_dir(function(dir)
    local f = fact.find("kubeadm.serves")
    check.ok(sys.write_file(dir .. "/kubectl",
      '#!/bin/sh\ncase $* in *"10.0.0.1:6443 --tls-server-name m0 "*) ;; *) exit 1 ;; esac\n', 493))
    local r = stub.shell(("PATH=%s\n%s"):format(dir, f:ask("10.0.0.1", "m0 m1")))
    check.equal(f.parse(r.out, r.code), { m0 = true })
  end)
end)

test("tokens by their ids; the rest of them is not kept", function()
  check.equal(parsed("kubeadm.tokens", "TOKEN                     TTL\n"
    .. "abcdef.0123456789abcdef   23h  2026-11-24T19:00:00Z\n"), { abcdef = true })
  check.equal(parsed("kubeadm.tokens", "", 1), false)
end)

test("how a manifest differs, and why it cannot be compared", function()
  local function state(code, text, errors)
    return parsed("kubectl.difference",
      ("code %d\n%s\nerrors\n%s"):format(code, text, errors)).state
  end
  check.equal({ state(0, "", ""), state(1, "-a\n+b", ""), state(1, "",
    'error: unable to recognize "x": no matches for kind "IPAddressPool" in version "m/v1"\n'),
    state(1, "", 'Error from server (NotFound): namespaces "x" not found\n'),
    state(1, "", "The connection to the server 10.0.0.1:6443 was refused - did you\n"),
    state(1, "", 'Error from server (Invalid): Service "x" is invalid: spec.ports: Required\n'),
    parsed("kubectl.difference", "stale\n").state },
    { "same", "different", "unknown kind", "different", "unreachable", "refused", "stale" })
end)

test("what ready means, by kind", function()
  local function deployment(of, ready, observed)
    return { kind = "Deployment", metadata = { generation = 2 }, spec = { replicas = of },
      status = { observedGeneration = observed, readyReplicas = ready, updatedReplicas = ready } }
  end
  local function daemon_set(of, ready)
    return { kind = "DaemonSet", metadata = {}, status = { desiredNumberScheduled = of,
      numberReady = ready, updatedNumberScheduled = ready } }
  end
  local function node(status)
    return { kind = "Node", status = { conditions = { { type = "Ready", status = status } } } }
  end
  local is = kubectl.is_ready
  check.equal({ is(deployment(3, 3, 2)), is(deployment(3, 2, 2)), is(deployment(3, 3, 1)),
    is(daemon_set(2, 2)), is(daemon_set(0, 0)), is(daemon_set(2, 1)), is(node "True"),
    is(node "Unknown"), is(false) },
    { true, false, false, true, false, false, true, false, false })
end)

test("the kubelet's arguments that kubeadm chose", function()
  check.equal(parsed("kubelet.flags", 'KUBELET_KUBEADM_ARGS="--cgroup-driver=systemd '
    .. '--network-plugin=cni --pod-infra-container-image=k8s.gcr.io/pause:3.2"\n'),
    { ["cgroup-driver"] = "systemd", ["network-plugin"] = "cni",
      ["pod-infra-container-image"] = "k8s.gcr.io/pause:3.2" })
  check.equal(parsed("kubelet.flags", ""), false)
end)

test("how a member of etcd sees itself", function()
  local list = [[
8e9e05c52164694, started, m1, https://10.0.0.11:2380, https://10.0.0.11:2379, false
91bc3c398fb3c146, started, m0, https://10.0.0.10:2380, https://10.0.0.10:2379, false
]]
  local function status(health, leader)
    return parsed("etcd.status", ("https://127.0.0.1:2379 is %s\n%s\"ClusterID\" : 7\n"
      .. "\"Leader\" : %s\n"):format(health, list, leader))
  end
  check.equal(status("healthy: successfully committed proposal", "10"), { healthy = true,
    leader = true, members = { "m0", "m1" } })
  check.equal(status("unhealthy: failed to commit proposal", "0"), { healthy = false,
    leader = false, members = { "m0", "m1" } })
  check.equal(parsed("etcd.status", "Error: context deadline exceeded\n"), false)
end)

test("nodes by their state, also those that take no pods", function()
  check.equal(parsed("kubeadm.nodes", "m0   Ready   master   3m   v1.20.2\n"
    .. "w0   NotReady,SchedulingDisabled   <none>   1m   v1.20.2\n"),
    { m0 = "Ready", w0 = "NotReady" })
  check.equal(parsed("kubeadm.nodes", "", 1), false)
end)

-- fact, what is printed (and the exit status), what it means
local answers = {
  { "etcd.version", "etcd Version: 3.4.23\nGit SHA: Not provided\n", "3.4.23" },
  { "etcd.version", "", false },
  { "etcd.holds", "/registry/apiregistration.k8s.io/apiservices/v1.\n\n", true },
  { "etcd.holds", "\n", false },
  { "docker.version", "Docker version 20.10.24+dfsg1, build 5d6db84\n", "20.10.24" },
  { "docker.version", "Docker version v29.0.1, build 1\n", "29.0.1" },
  { "docker.version", "", false },
  { "containerd.version", "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20\n",
    "1.6.20" },
  { "containerd.version", "containerd github.com/containerd/containerd/v2 v2.1.3 abc\n", "2.1.3" },
  { "kubelet.healthy", "ok", true },
  { "kubelet.healthy", "healthz check failed", false },
  { "kubelet.cgroups", "cgroup2fs\n", 2 },
  { "kubelet.cgroups", "tmpfs\n", 1 },
  { "kubeadm.api", "ok", "ok" },
  { "kubeadm.api", "[-]etcd failed: reason withheld\nreadyz check failed\n", false },
  { "kubectl.get", '{"kind": "Node", "spec": {}}', { kind = "Node", spec = {} } },
  { "kubectl.get", "", false, 1 },
  { "images.kubeadm", "k8s.gcr.io/pause:3.2\nk8s.gcr.io/etcd:3.4.13-0\n",
    { "k8s.gcr.io/pause:3.2", "k8s.gcr.io/etcd:3.4.13-0" } },
  { "images.kubeadm", "", false, 127 },
  { "metallb.maker", "Alibaba Cloud\n", "Alibaba Cloud" },
  { "metallb.network", "2: eth0    inet 10.0.0.5/24 brd 10.0.0.255 scope global eth0\n",
    "10.0.0.5/24" },
  { "metallb.network", "", false },
  { "metallb.secret", "secret/memberlist\n", true },
  { "metallb.secret", "", false, 1 },
}

test("what programs answer in few words, and when they are not there", function()
  for _, case in ipairs(answers) do
    check.equal(parsed(case[1], case[2], case[4]), case[3], case[1] .. ": " .. case[2])
  end
end)
