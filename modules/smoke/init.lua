--- The proof of a cluster: it does what clusters are for, and afterwards nothing of that is left.

local bundle = require "modules.bundle"
local evidence = require "modules.evidence"
local haproxy = require "modules.haproxy"
local hung = require "modules.smoke.hung"
local kb = require "kb"
local manifest = require "modules.smoke.manifest"
local probes = require "modules.smoke.facts"

local M = {}

-- More would prove no more: that pods spread, and that each node answers, shows with three.
local REPLICAS = 3

local EVIDENCE = { "kubectl get nodes -o wide", "kubectl get pods,services -A -o wide",
  "kubectl describe pods -n default -l app=kbrun-smoke | grep -A12 ^Events" }

-- The bundle's image with a web server in it, or the one that is asked for.
local function web_image(c)
  local wanted = c.smoke.image
  for _, image in ipairs(bundle.images(c.bundle)) do
    if image.name == wanted or not wanted and image.name:find("/web:", 1, true) then
      return image.name, "Never"
    end
  end
  return wanted or kb.refuse("the bundle has no image with a web server, named …/web:…",
    "smoke: {image: …} names one, or keep smoke.lua out: --skip-tags smoke"), "IfNotPresent"
end

-- The inventory's nodes that have not failed in this run.
local function nodes_of(host, c)
  local working, list = {}, {}
  for _, name in ipairs(kb.working(host, "masters:workers")) do
    working[name] = true
  end
  for _, group in ipairs { c.masters, c.workers } do
    for _, node in ipairs(group) do
      list[#list + 1] = working[node.name] and node or nil
    end
  end
  return list
end

local function all_ready(answer, names)
  local ready = {}
  for _, node in ipairs(answer and answer.nodes or {}) do
    ready[node.name] = node.ready
  end
  for _, node in ipairs(names) do
    if not ready[node.name] then
      return false
    end
  end
  return answer
end

-- The API answers here, and to it all nodes are well.
local function nodes_answer(host, c, nodes)
  kb.gate(host, { ("%d nodes are Ready, as the API at %s says"):format(#nodes, c.endpoint),
    within = 120, fact = { "smoke.nodes" },
    becomes = { nodes = {}, proven = {} },
    holds = function(answer)
      return all_ready(answer, nodes)
    end,
    evidence = EVIDENCE })
end

-- Gives the word that its pods know, and their mark.
local function deploy(host, c, replicas)
  local image, pull = web_image(c)
  local word = kb.digest(host.name .. kb.now()):sub(1, 24)
  local mark = kb.digest(word):sub(1, 12)
  local text = manifest.text(image, pull, replicas, word, mark, c.smoke.node_port)
  kb.prove(host, { ("a web server can be deployed on %d nodes"):format(replicas),
    run = "kubectl apply -f -", stdin = kb.secret(text), within = 30 })
  kb.gate(host, { ("%d pods are ready, each on a node of its own"):format(replicas), within = 180,
    fact = { "smoke.pods", manifest.name, mark },
    holds = function(pods)
      local nodes, ready = {}, 0
      for _, pod in ipairs(pods or {}) do
        ready = ready + (pod.ready and not nodes[pod.node] and 1 or 0)
        nodes[pod.node] = true
      end
      return ready == replicas and #pods == replicas
    end,
    evidence = EVIDENCE })
  return kb.secret(word), mark
end

-- The web server answers from every node, under the service's address and the node's own port.
local function service_answers(host, nodes)
  local service = host:fact("smoke.service", manifest.name)
  for _, node in ipairs(nodes) do
    kb.on(host, node.name, function(other)
      for _, way in ipairs { { service.address, 80 }, { node.address, service.port } } do
        kb.gate(other, { ("a pod answers %s under %s:%d"):format(node.name, way[1], way[2]),
          fact = { "smoke.page", way[1], way[2] }, within = 60,
          holds = function(page)
            return page
          end,
          evidence = { "iptables-save | grep kbrun-smoke", "ip route",
            evidence.kubelet() } })
      end
    end)
  end
end

-- Small images have one of these; the smallest wget has no options but these.
local FETCH = "U=http://%s/; wget -q -O - $U || busybox wget -q -O - $U || curl -fsS $U"

local function in_pod(pod, command)
  return ("kubectl -n default exec %s -c web -- sh -c %s"):format(kb.quote(pod.name),
    kb.quote(command))
end

local function pods_answer(host, word, mark)
  local pods = host:fact("smoke.pods", manifest.name, mark)
  local function tells(result)
    return result.out:find(kb.reveal(word), 1, true)
  end
  kb.prove(host, { "a pod's log can be read", holds = tells, evidence = EVIDENCE,
    run = ("kubectl -n default logs %s -c greeting"):format(pods[1].name) })
  kb.prove(host, { "a command runs in a pod, and knows the secret", holds = tells,
    run = in_pod(pods[1], 'echo "$WORD"'), evidence = EVIDENCE })
  kb.prove(host, { "the secret can be read back", holds = tells, evidence = EVIDENCE,
    run = ("kubectl -n default get secret %s -o jsonpath='{.data.word}' | base64 -d"):format(
      manifest.name) })
  for i = 2, #pods do
    kb.prove(host, { ("a pod on %s reaches one on %s"):format(pods[1].node, pods[i].node),
      run = in_pod(pods[1], FETCH:format(pods[i].address)), timeout = 10,
      evidence = { "kubectl get nodes -o wide", "kubectl get pods -n default -o wide" } })
  end
end

-- The pods are not waited for: some kubelets take minutes to tell that a pod has ended.
local REMOVE = [[set -e
kubectl -n default delete deployment,service,secret %s --ignore-not-found
kubectl -n default delete replicasets -l app=%s
kubectl -n default delete pods -l app=%s --force --grace-period=0 2>&1]]

local function remove(host)
  kb.prove(host, { "nothing of it is left", evidence = EVIDENCE,
    run = REMOVE:format(manifest.name, manifest.name, manifest.name) })
end

local function is_proven(answer, names)
  for _, node in ipairs(answer.nodes) do
    if names[node.name] and not answer.proven[node.line] then
      return false
    end
  end
  return true
end

local function names_of(list)
  local names = {}
  for _, node in ipairs(list) do
    names[node.name] = true
  end
  return names
end

local function note_proof(host, nodes)
  local names, lines = names_of(nodes), {}
  for _, node in ipairs(host:fact("smoke.nodes").nodes) do
    lines[#lines + 1] = names[node.name] and node.line .. "\n" or nil
  end
  kb.prove(host, { "the proof is noted", stdin = table.concat(lines),
    run = "mkdir -p /var/lib/kbrun && cat >" .. probes.proof_path })
end

local function replicas_for(answer)
  local n = 0
  for _, node in ipairs(answer.nodes) do
    n = n + (node.ready and node.schedulable and 1 or 0)
  end
  return math.min(n, REPLICAS)
end

local function whole(host, c, nodes, masters_too)
  local word, mark = deploy(host, c, replicas_for(host:fact("smoke.nodes")))
  service_answers(host, nodes)
  pods_answer(host, word, mark)
  if masters_too and #c.masters >= 3 and c.smoke.stop_master ~= false then
    hung.prove(host, kb.working(host, "masters"))
    haproxy.gate(host, kb.working(host, "masters"))
  end
  note_proof(host, nodes)
end

-- Whether all of it is to be proven: when it was asked for, something has changed, or nobody has
-- proven these nodes so far.
local function is_due(host, names)
  return kb.alone(host) or kb.changes(host) > 0
    or not is_proven(host:fact("smoke.nodes"), names)
end

--- Prove a cluster. All of it is done when it is asked for by itself, when the run has changed
--- something, or when these nodes were not proven so far; else the nodes are asked how they are.
-- What it deploys is removed, also after a failure, unless `smoke: {keep: true}`.
-- @param host host: one with kubectl and a kubeconfig
-- @param c table: the cluster's settings
-- @raise kb.err of kind failed with what does not work
function M.cluster(host, c)
  local nodes = nodes_of(host, c)
  nodes_answer(host, c, nodes)
  if host:applies() and not is_due(host, names_of(nodes)) then
    return c.smoke.keep and service_answers(host, nodes)
  elseif not host:applies() then
    web_image(c)
    return
  end
  local masters_too = kb.alone(host)
    or not is_proven(host:fact("smoke.nodes"), names_of(c.masters))
  local ok, e = pcall(whole, host, c, nodes, masters_too)
  if not c.smoke.keep and (ok or type(e) == "table" and e.kind == "failed") then
    local removed, refusal = pcall(remove, host)
    ok, e = ok and removed, not ok and e or refusal
  end
  if not ok then
    error(e, 0)
  end
end

return M
