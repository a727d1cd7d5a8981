-- The three ways in which further masters come to their certificates, each on a cluster of its own;
-- and on one of these clusters the operations of its parts, with what they refuse.
local test = ...
local check = require "lib.check"
local events = require "lib.events"
local json = require "kb.json"
local labs = require "lib.lab"
local program = require "lib.program"
local sys = require "kb.core.sys"
local yaml = require "kb.yaml"

local TAGS = {}
for tag in ("preflight pki nodes runtime images etcd loadbalancer masters cni kubeconfig")
  :gmatch "%S+" do
  TAGS[#TAGS + 1], TAGS[#TAGS + 2] = "--tags", tag
end

-- A lab of a bastion and masters, an inventory for it (with a setting more, in which DIR is the
-- directory), and a directory of its own.
local function prepared(word, way, more)
  local dir = check.ok(sys.mkdtemp "/tmp/kbrun-test-")
  local ground = { dir = dir, lab = labs.open(word, { "a0", "m0", "m1", "m2" }),
    inventory = dir .. "/inventory.yaml" }
  setmetatable(ground, { __close = function()
    ground.lab:close()
    program.run { "rm", "-rf", dir }
  end })
  local text, n = ground.lab:run("inventory", "--cluster"):gsub("\n( +)kubeconfig:[^\n]*",
    ("\n%%1certificates: %s\n%%1kubeconfig: %s/kubeconfig\n%%1%s"):format(way, dir,
      (more or ""):gsub("DIR", dir)))
  check.equal(n, 1)
  check.ok(sys.write_file(ground.inventory, text))
  return ground
end

local function run(ground, playbook, ...)
  local r = program.run { program.kbrun, playbook, "-i", ground.inventory, "--json", ... }
  return events.read(r.out), r
end

local function site(ground, ...)
  local made, r = run(ground, "playbooks/site.lua", table.unpack(table.move({ ... }, 1,
    select("#", ...), #TAGS + 1, table.move(TAGS, 1, #TAGS, 1, {}))))
  check.equal(r.status, 0, table.concat(made.errors, "\n") .. r.err)
  return made.summary.steps.changed
end

-- A cluster of three masters, made in one way; a second run finds nothing to do.
local function is_made(ground)
  check.ok(site(ground, "--verify") > 50)
  check.equal(site(ground), 0)
  local nodes = ground.lab:ssh("a0", "sudo kubectl get nodes --no-headers")
  check.equal(select(2, nodes:gsub("m%d +Ready +control%-plane,master ", "")), 3, nodes)
  local here = check.ok(yaml.load_file(ground.dir .. "/kubeconfig"))
  check.equal(here["current-context"], "kubernetes-admin@kubernetes")
  return here.clusters[1].cluster["certificate-authority-data"]
end

local parts = "tests/lab/modules.d/cluster.lua"

local function with_state(ground, state, ...)
  return run(ground, parts, "-e", "state=" .. state, "-e", ("manifests=[%s, %s]"):format(
    sys.realpath "tests/golden/1.20.2-containerd/cni.yaml",
    sys.realpath "tests/golden/1.13.1-docker-weave/metallb-pool.yaml"), "-e",
    ("kubeconfig=%s/kubeconfig"):format(ground.dir), ...)
end

local function titles(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do
    local event = json.decode(line)
    if event.event == "step" and event.status == "changed" then
      list[#list + 1] = event.host .. " " .. event.title
    end
  end
  return table.concat(list, "\n")
end

-- What is asked is done and found true; again, only tokens and keys are made anew.
local function has_working_parts(ground)
  local made, r = with_state(ground, "drain", "--verify")
  check.equal(r.status, 0, table.concat(made.errors, "\n") .. r.err)
  local done = titles(r.out)
  for _, words in ipairs { "m0 apply /var/lib/kbrun/manifests/objects.yaml", "manifests/cni.yaml",
    "metallb-pool.yaml", "m0 make the secret of MetalLB's speakers",
    "m1 restart etcd.service", "m2 restart kubelet.service", "a0 set masters/m1 to drain",
    "a0 merge the cluster's kubeconfig" } do
    check.contains(done, words)
  end
  check.contains(ground.lab:ssh("a0", "sudo kubectl --kubeconfig /srv/fetched/config get nodes"),
    "m2 ")
  made, r = with_state(ground, "drain", "--verify")
  check.equal(r.status, 0, table.concat(made.errors, "\n") .. r.err)
  for line in titles(r.out):gmatch "[^\n]+" do
    check.ok(line:find "token" or line:find "upload the certificates", line)
  end
  made, r = with_state(ground, "ready")
  check.equal(r.status, 0, table.concat(made.errors, "\n") .. r.err)
end

local function one(ground, hosts, body)
  local path = ground.dir .. "/one.lua"
  check.ok(sys.write_file(path, ([[
local kb = require "kb"
local etcd, kubectl, metallb = kb.use("etcd", "kubectl", "metallb")
local cluster, command, kubeadm = kb.use("cluster", "command", "kubeadm")
kb.play { "one", hosts = "%s", become = true, function(host) %s end }
]]):format(hosts, body)))
  local _, r = run(ground, path, "--verify")
  return r.out .. r.err, r.status
end

-- With one member stopped, no other may stop; the stopped one may be removed, and no other.
local function keeps_its_quorum(ground)
  local said, status = one(ground, "m2", 'etcd.service(host, { state = "stopped" })')
  check.equal(status, 0, said)
  said, status = one(ground, "m0", 'etcd.service(host, { state = "stopped" })')
  check.equal(status, 4)
  check.contains(said, "to stop etcd on m0 would take away the quorum: 2 of 3 members are needed")
  said, status = one(ground, "m0", 'etcd.member_absent(host, { "m1" })')
  check.equal(status, 4)
  check.contains(said, "without m1 etcd has 2 members, of which 2 are needed, and only 1 are")
  said, status = one(ground, "m0", 'etcd.member_absent(host, { "m2" })')
  check.equal(status, 0, said)
end

-- Resources that nobody has defined are said to be so; images that the bundle has not, too.
local function refuses_manifests(ground)
  local said, status = one(ground, "m0", ('kubectl.manifest_applied(host, { name = "pool.yaml", '
    .. 'text = kb.read_file "%s" })'):format(
      sys.realpath "tests/golden/1.36.4-containerd/metallb-pool.yaml"))
  check.equal(status, 4)
  check.contains(said, "the cluster does not know a resource of")
  said, status = one(ground, "m0", ([[local c = cluster.settings(host)
    c.addons.metallb = { version = "0.14.9", addresses = { "10.0.0.1" }, namespace = "x",
      manifest = "%s" }
    metallb.applied(host, c)]]):format(sys.realpath "tests/golden/manifests/flannel.yaml"))
  check.equal(status, 4)
  check.contains(said, "names images that the bundle")
end

-- A master whose kubeadm was broken off is recognised, and a reset of it alone is offered.
local function knows_half_a_master(ground)
  local said, status = one(ground, "m1", [[
    command.run(host, { "echo 1 >/var/lib/kbrun/kubeadm/code", title = "as if it had failed" })
    kubeadm.init(host, { "/c.yaml" })]])
  check.equal(status, 4)
  check.contains(said, "--limit m1 puts this node alone back")
end

test("upload-certs: masters fetch their certificates from the cluster", function()
  local ground <close> = prepared("upload", "upload-certs")
  is_made(ground)
  has_working_parts(ground)
  refuses_manifests(ground)
  keeps_its_quorum(ground)
  knows_half_a_master(ground)
end)

-- An authority as somebody may have had one for years: RSA, its key encrypted.
local function own_authority(dir)
  local r = program.run { "openssl", "req", "-x509", "-newkey", "rsa:2048", "-subj",
    "/O=Example/CN=Example Authority", "-days", "1000", "-keyout", dir .. "/own.key", "-out",
    dir .. "/own.crt", "-passout", "pass:open sesame", "-addext",
    "keyUsage=critical,keyCertSign,cRLSign,digitalSignature" }
  check.equal(r.status, 0, r.err)
end

test("init-each: every master is initialised over the same authority, one of ours", function()
  local ground <close> = prepared("each", "init-each", "authorities: {ca: {certificate: "
    .. "DIR/own.crt, key: DIR/own.key, passphrase: open sesame}}")
  own_authority(ground.dir)
  check.equal(is_made(ground), program.run({ "base64", "-w0", ground.dir .. "/own.crt" }).out)
end)
