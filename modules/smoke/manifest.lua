--- What is put into the cluster to prove it: a namespace with a web server on several nodes, a
--- service before it, and a secret that its pods are given.

local M = {}

--- The namespace, and the names of what is in it.
M.namespace, M.name = "kbrun-smoke", "web"

local TEXT = [[
apiVersion: v1
kind: Namespace
metadata: {name: kbrun-smoke}
---
apiVersion: v1
kind: Secret
metadata: {name: web, namespace: kbrun-smoke}
stringData: {word: "%s"}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: kbrun-smoke}
spec:
  type: NodePort
  selector: {app: web}
  ports:
  - {port: 80%s}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: kbrun-smoke}
spec:
  replicas: %d
  strategy: {type: Recreate}
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
      annotations: {word: "%s"}
    spec:
      terminationGracePeriodSeconds: 1
      tolerations:
      - {operator: Exists}
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - labelSelector: {matchLabels: {app: web}}
            topologyKey: kubernetes.io/hostname
      initContainers:
      - name: greeting
        image: "%s"
        imagePullPolicy: %s
        command: [sh, -c, 'echo "the word is $WORD"']
        env: [{name: WORD, valueFrom: {secretKeyRef: {name: web, key: word}}}]
      containers:
      - name: web
        image: "%s"
        imagePullPolicy: %s
        env: [{name: WORD, valueFrom: {secretKeyRef: {name: web, key: word}}}]
]]

--- The manifest, with the secret's word in it.
-- The word's digest is in the pods' annotations: pods of another word are replaced.
-- @param image string: a web server on port 80, with a shell
-- @param pull string: IfNotPresent or Never
-- @param replicas integer: each is on a node of its own, also on masters
-- @param word string: letters and digits
-- @param mark string: a digest of the word
-- @param port integer or nil: of every node; nil: the cluster chooses
-- @return string: YAML
function M.text(image, pull, replicas, word, mark, port)
  return TEXT:format(word, port and (", nodePort: %d"):format(port) or "", replicas, mark, image,
    pull, image, pull)
end

return M
