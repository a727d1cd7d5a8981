-- What explains a failure is shell text that works, also where hardly anything of it is there.
local test = ...
local check = require "lib.check"
local etcd = require "modules.etcd.evidence"
local evidence = require "modules.evidence"
local scratch = require "lib.scratch"
local socket = require "modules.haproxy.socket"
local stub = require "lib.stub"
local sys = require "kb.core.sys"
local systemd = require "modules.systemd"

local cluster = { members = { { name = "m0", address = "127.0.0.1" } } }

test("every piece is valid shell text", function()
  for name, text in pairs { unit = evidence.unit "etcd", ports = evidence.ports(9, 10),
    certificate = evidence.certificate "/it's", served = evidence.served "127.0.0.1:9",
    exited = evidence.exited(), etcd = evidence.etcd(cluster),
    warnings = etcd.warnings(), peers = etcd.peers(), kubelet = evidence.kubelet(),
    runtime = evidence.runtime(), balancer = socket.evidence "masters",
    nodes = evidence.nodes "/etc/x", pods = evidence.pods "/etc/x" } do
    local r = stub.shell("sh -n <<'END'\n" .. text .. "\nEND")
    check.equal(r.code, 0, name .. ": " .. r.err)
    check.ok(text:find "^# %l[^\n]+\n", name .. " says in words what it asks")
  end
end)

test("a port that nobody holds, and one that somebody does", function()
  check.equal(stub.shell(evidence.ports(9)).out, "nobody\n")
end)

test("a certificate's names and dates", function()
  local dir <close> = scratch()
  local path = dir.path .. "/c.pem"
  local made = stub.shell(("openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -out %s "
    .. "-subj /CN=api -days 3 -addext subjectAltName=DNS:m0.example 2>/dev/null"):format(path))
  check.equal(made.code, 0)
  local out = stub.shell(evidence.certificate(path)).out
  for _, words in ipairs { "CN = api", "notBefore=", "notAfter=", "DNS:m0.example", "now " } do
    check.contains(out, words)
  end
  check.equal(stub.shell(evidence.certificate "/none").out, "there is none\n")
  check.contains(stub.shell(evidence.served "127.0.0.1:9").out, "no certificate is served")
end)

test("what exited containers said last, and above all the API server", function()
  local dir <close> = scratch()
  check.ok(sys.write_file(dir.path .. "/docker", [[#!/bin/sh
case $* in
ps*kube-apiserver*) echo a1; echo a0 ;;
ps*) echo s1; echo a1; echo c1 ;;
inspect*) echo "$4 ended with 1 at noon" ;;
logs*) for i in 1 2 3; do
    echo "W1123 22:39:06.23000$i       1 clientconn.go:1] cannot connect"
    echo "I1123 22:39:06.23000$i       1 plugins.go:158] all is well"
  done
  echo "the reason of $4" >&2; echo "goroutine 1 [running]:"; echo "main.main()" ;;
esac
]], tonumber("755", 8)))
  local out = stub.shell(("PATH=%s:$PATH\n%s"):format(dir.path, evidence.exited())).out
  check.equal((out:gsub("W1123 22:39:06.230003 [^\n]*", "WARNED")),
    "a1 ended with 1 at noon\nWARNED\nthe reason of a1\ns1 ended with 1 at noon\nWARNED\n"
      .. "the reason of s1\n")
end)

test("a kubelet's errors, each once, without its stack", function()
  local dir <close> = scratch()
  local lines = { "I1123 22:00:01.000001    7 server.go:1] starting" }
  for i = 1, 9 do
    lines[#lines + 1] = ("E1123 22:00:%02d.000001    7 kubelet.go:2] node m0 not found"):format(i)
  end
  lines[#lines + 1] = "F1123 22:00:10.000001    7 server.go:3] misconfiguration: cgroup driver"
  for i = 1, 300 do
    lines[#lines + 1] = ("goroutine %d [running]:"):format(i)
  end
  lines[#lines + 1] = "kubelet.service: Main process exited, code=exited, status=255/EXCEPTION"
  check.ok(sys.write_file(dir.path .. "/said", table.concat(lines, "\n") .. "\n"))
  check.ok(sys.write_file(dir.path .. "/journalctl", "#!/bin/sh\ncat " .. dir.path .. "/said\n",
    tonumber("755", 8)))
  local out = stub.shell(("PATH=%s:$PATH\n%s"):format(dir.path, evidence.kubelet())).out
  check.equal(out:match "\n(E.*)", lines[10] .. "\n" .. lines[11] .. "\n" .. lines[#lines] .. "\n")
end)

test("the end of a unit's journal, without the stack of a program in Go", function()
  local dir <close> = scratch()
  check.ok(sys.write_file(dir.path .. "/journalctl", [[#!/bin/sh
sed 's/^/2026-11-23T22:32:08+0000 w0 kubelet[1840]: /' <<'END'
F1123 server.go:156] unknown flag: --no-such-flag
  what is indented stays
goroutine 1 [running]:
k8s.io/kubernetes/vendor/k8s.io/klog/v2.stacks(0x1)
	/go/src/k8s.io/klog/v2/klog.go:1026 +0x85
k8s.io/kubernetes/vendor/k8s.io/klog/v2.Fatal(...)
github.com/spf13/cobra.(*Command).execute(0xc000630580, {0xc0000500d0, 0x2, 0x2})
main.main()
created by k8s.io/kubernetes/vendor/k8s.io/klog/v2.init.0
a last word (0x17)
END
]], tonumber("755", 8)))
  local journal = systemd.unit.evidence({ name = "kubelet" })[1]
  local out = stub.shell(("PATH=%s:$PATH\n%s"):format(dir.path, journal)).out
  check.equal((out:gsub("2026[^\n]*1840%]: ", "")), "F1123 server.go:156] unknown flag: "
    .. "--no-such-flag\n  what is indented stays\na last word (0x17)\n")
end)

test("etcd's warnings, and whom it rejects, each once", function()
  local dir <close> = scratch()
  check.ok(sys.write_file(dir.path .. "/journalctl", [[#!/bin/sh
case $* in *warning*) echo "health check for peer 1 could not connect"; exit ;; esac
for port in 46630 46632; do
  echo "rejected connection from \"10.0.0.1:$port\" (error \"tls: bad certificate\")"
  echo '{"level":"warn","ts":"2026-11-23T22:00:'$port'Z","msg":"slow disk"}'
  echo 'raft2026/11/23 22:05:00 INFO: 60e8 became candidate'
  echo '{"level":"info","ts":"2026-11-23T22:00:00Z","msg":"all is well"}'
done
]], tonumber("755", 8)))
  check.equal(stub.shell(("PATH=%s:$PATH\n%s"):format(dir.path, etcd.warnings())).out,
    "health check for peer 1 could not connect\nrejected connection from \"10.0.0.1:46630\" "
    .. "(error \"tls: bad certificate\")\n" .. '{"level":"warn","msg":"slow disk"}\n')
end)

test("how HAProxy sees the servers, and that it does not answer", function()
  local dir <close> = scratch()
  local function said(csv)
    stub.shell(("cat >%s/perl <<'END'\n#!/bin/sh\ncat <<'CSV'\n%s\nCSV\nEND\nchmod 755 %s/perl")
      :format(dir.path, csv, dir.path))
    return stub.shell(("PATH=%s:$PATH\n%s"):format(dir.path, socket.evidence "masters")).out
  end
  local function row(backend, server, state)
    return table.concat({ backend, server, ("0,"):rep(14) .. "0", state, ("0,"):rep(17) .. "0",
      "L4CON", "", ("0,"):rep(17) .. "0", "Connection refused" }, ",")
  end
  check.equal(said(row("masters", "m0", "DOWN") .. "\n" .. row("masters", "BACKEND", "DOWN")
    .. "\n" .. row("others", "x0", "UP")), "m0 DOWN L4CON Connection refused\n")
  check.contains(said "", "HAProxy does not answer at /run/haproxy/admin.sock")
end)
