--- The proof of a cluster: pods on several nodes that answer through every node.

local bundle = require "modules.bundle"
local command = require "modules.command"
local files = require "modules.files"
local kb = require "kb"

local M = {}

local NODE_PORT, REPLICAS = 30080, 3
local MANIFEST = "/var/lib/kbrun/smoke.yaml"

-- Spread over the nodes, and from an image that lies on them.
local function manifest(image)
  return ([[
apiVersion: apps/v1
kind: Deployment
metadata:
  name: kbrun-smoke
spec:
  replicas: %d
  selector:
    matchLabels: {app: kbrun-smoke}
  template:
    metadata:
      labels: {app: kbrun-smoke}
    spec:
      containers:
      - {name: web, image: "%s", imagePullPolicy: Never}
      affinity:
        podAntiAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
          - weight: 1
            podAffinityTerm:
              labelSelector: {matchLabels: {app: kbrun-smoke}}
              topologyKey: kubernetes.io/hostname
---
apiVersion: v1
kind: Service
metadata:
  name: kbrun-smoke
spec:
  type: NodePort
  selector: {app: kbrun-smoke}
  ports:
  - {port: 80, nodePort: %d}
]]):format(REPLICAS, image, NODE_PORT)
end

-- The bundle's image with a web server in it.
local function web_image(dir)
  for _, image in ipairs(bundle.images(dir)) do
    if image.name:find("/web:", 1, true) then
      return image.name
    end
  end
  kb.refuse("the bundle has no image with a web server, named …/web:…")
end

--- Deploy a web server, and ask it through every node.
-- @param host host: one with kubectl and a kubeconfig
-- @param c table: the cluster's settings
function M.web(host, c)
  files.directory(host, { "/var/lib/kbrun" })
  files.file(host, { MANIFEST, content = manifest(web_image(c.bundle)) })
  command.run(host, { "kubectl apply -f " .. MANIFEST,
    unless = "kubectl diff -f " .. MANIFEST .. " >/dev/null 2>&1",
    title = "deploy a web server on " .. REPLICAS .. " nodes" })
  kb.gate(host, { ("%d pods answer"):format(REPLICAS), within = 180, becomes = REPLICAS,
    fact = { "smoke.available", "kbrun-smoke" },
    holds = function(n)
      return n == REPLICAS
    end,
    evidence = { "kubectl get pods -o wide", "kubectl get events | tail -20" } })
  for _, list in ipairs { c.masters, c.workers } do
    for _, node in ipairs(list) do
      kb.gate(host, { ("a pod answers through %s:%d"):format(node.name, NODE_PORT), within = 60,
        fact = { "smoke.page", node.address, NODE_PORT }, becomes = "",
        holds = function(page)
          return page
        end,
        evidence = { "kubectl get pods,services -o wide" } })
    end
  end
end

return M
