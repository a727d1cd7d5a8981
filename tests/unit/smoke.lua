-- What smoke.lua asks and deploys; that it holds on a cluster is for the lab to show.
local test = ...
local check = require "lib.check"
local fact = require "kb.fact"
local manifest = require "modules.smoke.manifest"
local stub = require "lib.stub"
local yaml = require "kb.yaml"

require "modules.smoke.facts"

local function parsed(name, out, code)
  return fact.find(name).parse(out, code or 0)
end

test("nodes: their names, whether they are well, and what was proven", function()
  local answer = parsed("smoke.nodes", "m0 u0 v1 docker |True \nw0 u1 v1 docker |False true\n"
    .. "=\nm0 u0 v1 docker\n")
  check.equal(answer.nodes[1], { name = "m0", line = "m0 u0 v1 docker", ready = true,
    schedulable = true })
  check.equal(answer.nodes[2].ready, false)
  check.equal(answer.nodes[2].schedulable, false)
  check.equal(answer.proven, { ["m0 u0 v1 docker"] = true })
  check.equal(parsed("smoke.nodes", "", 1), false)
end)

test("pods, of which some are not anywhere yet", function()
  check.equal(parsed("smoke.pods", "b w0 10.1.0.2 True\na   False\n"), {
    { name = "a", node = "", address = "", ready = false },
    { name = "b", node = "w0", address = "10.1.0.2", ready = true } })
  check.equal(parsed("smoke.service", "10.96.3.4 30080"), { address = "10.96.3.4", port = 30080 })
end)

test("the manifest is YAML, and says what it is given", function()
  local documents = check.ok(yaml.load_all(manifest.text("lab/web:1.0", "Never", 2, "abc", "d1",
    30080)))
  check.equal(#documents, 3)
  local spec = documents[3].spec.template.spec
  check.equal(spec.containers[1].image, "lab/web:1.0")
  check.equal(documents[3].spec.replicas, 2)
  check.equal(documents[2].spec.ports[1].nodePort, 30080)
  check.equal(documents[1].stringData.word, "abc")
end)

test("pods that a run which was killed has left are not taken for this run's", function()
  local documents = check.ok(yaml.load_all(manifest.text("lab/web:1.0", "Never", 2, "abc", "d1")))
  local labels = documents[3].spec.template.metadata.labels
  check.equal(labels, { app = manifest.name, word = "d1" })
  check.contains(fact.find("smoke.pods").command(manifest.name, "d1"),
    ("-l app=%s,word=%s"):format(labels.app, labels.word))
end)

local PROOFS = [[
local kb = require "kb"
kb.play { "p", hosts = "all", function(host)
  local r = kb.prove(host, { "three files are there", within = 5, every = 0.01, stdin = "x",
    run = "cat >>" .. host.vars.root .. "/f; cat " .. host.vars.root .. "/f",
    holds = function(result) return #result.out == 3 end })
  if r then assert(r.out == "xxx") end
  kb.prove(host, { "it holds", within = 0, run = "echo the reason; exit 3",
    evidence = { "echo seen here", "true" } })
end }
]]

test("a proof is tried until it holds, and else shows what came of it", function()
  local dir = stub.shell("mktemp -d /tmp/kbrun-test-XXXXXX").out:gsub("\n", "")
  local said = stub.steps((stub.run(PROOFS, { vars = { root = dir }, apply = false })))
  check.equal(said, { "same three files are there", "same it holds" })
  local events, summary = stub.run(PROOFS, { vars = { root = dir } })
  stub.shell("rm -r " .. dir)
  check.equal(summary.counts.failed, 1)
  local e = tostring(events[#events - 1].error)
  for _, words in ipairs { "it holds: not so after 0 s", "exit status 3", "the reason",
    "$ echo seen here", "seen here" } do
    check.contains(e, words)
  end
  check.equal(e:find("$ true", 1, true), nil)
end)
