-- Three members of etcd with the certificates that kbrun declares for an external etcd: peers and
-- clients must show certificates, and only those of its authority are taken.
local test = ...
local check = require "lib.check"
local daemons = require "lib.daemons"
local pki = require "kb.pki"
local program = require "lib.program"
local scratch = require "lib.scratch"
local task = require "kb.core.task"

-- Ports that were free a moment ago.
local function ports(n)
  local script = [[
import socket, sys
held = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in held: s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in held])]]
  local list = {}
  for port in program.run({ "python3", "-c", script, tostring(n) }).out:gmatch("%d+") do
    list[#list + 1] = port
  end
  check.equal(#list, n)
  return list
end

local function url(port)
  return "https://127.0.0.1:" .. port
end

local function member(dir, store, i, all)
  local name = "e" .. i
  local function file(leaf, suffix)
    return store:path(("members/%s/%s"):format(name, leaf), suffix)
  end
  local initial = {}
  for k = 1, 3 do
    initial[k] = ("e%d=%s"):format(k, url(all[3 + k]))
  end
  local ca = store:path("etcd-ca", ".crt")
  return daemons.start(dir, name, { "etcd", "--name", name, "--data-dir", dir.path .. "/" .. name,
    "--listen-client-urls", url(all[i]), "--advertise-client-urls", url(all[i]),
    "--listen-peer-urls", url(all[3 + i]), "--initial-advertise-peer-urls", url(all[3 + i]),
    "--initial-cluster", table.concat(initial, ","), "--client-cert-auth",
    "--peer-client-cert-auth", "--trusted-ca-file", ca, "--peer-trusted-ca-file", ca,
    "--cert-file", file("server", ".crt"),
    "--key-file", file("server", ".key"), "--peer-cert-file", file("peer", ".crt"),
    "--peer-key-file", file("peer", ".key") }, { "true" })
end

local function etcdctl(store, all, leaf, ...)
  local endpoints = { url(all[1]), url(all[2]), url(all[3]) }
  return program.run({ "etcdctl", "--endpoints", table.concat(endpoints, ","), "--cacert",
    store:path("etcd-ca", ".crt"), "--cert", store:path(leaf, ".crt"), "--key",
    store:path(leaf, ".key"), "--command-timeout", "5s", ... }, { env = { ETCDCTL_API = "3" } })
end

test("three members of etcd accept our certificates, and nobody else's", function()
  local dir <close> = scratch()
  local found <close> = daemons.programs(dir, { "etcd", "etcdctl" }, { "etcd-server",
    "etcd-client" })
  local store = check.ok(pki.store(dir.path .. "/store"))
  local members = {}
  for i = 1, 3 do
    members[i] = { name = "e" .. i, address = "127.0.0.1" }
  end
  check.ok(pki.apply(store, { kubeadm = { version = "1.30", endpoint = "127.0.0.1:6443",
    etcd = "external", etcd_members = members, masters = members } }))
  local all = ports(6)
  local one <close> = member(dir, store, 1, all)
  local two <close> = member(dir, store, 2, all)
  local three <close> = member(dir, store, 3, all)
  check.ok(found and one and two and three)
  local _ <close> = task.within(90)
  local health
  repeat
    health = etcdctl(store, all, "apiserver-etcd-client", "endpoint", "health")
  until health.status == 0 or not task.sleep(0.2)
  check.equal(health.status, 0, health.err)
  check.equal(etcdctl(store, all, "members/e2/healthcheck-client", "put", "a", "b").status, 0)
  check.contains(etcdctl(store, all, "apiserver-etcd-client", "get", "a").out, "a\nb\n")
  -- a certificate of the cluster's other authority is none of etcd's
  local other = etcdctl(store, all, "masters/e1/apiserver-kubelet-client", "get", "a")
  check.equal(other.status ~= 0, true)
end)
