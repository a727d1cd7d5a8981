--- What is put into the cluster to prove it: a web server on several nodes, a service before it,
--- and a secret that its pods are given. A namespace of its own would take a minute to be removed.

local M = {}

--- The name of each of them, and the label of the pods (app=…).
M.name = "kbrun-smoke"

local TEXT = [[
apiVersion: v1
kind: Secret
metadata: {name: kbrun-smoke, namespace: default}
stringData: {word: "%s"}
---
apiVersion: v1
kind: Service
metadata: {name: kbrun-smoke, namespace: default}
spec:
  type: NodePort
  selector: {app: kbrun-smoke}
  ports:
  - {port: 80%s}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: kbrun-smoke, namespace: default}
spec:
  replicas: %d
  strategy: {type: Recreate}
  selector:
    matchLabels: {app: kbrun-smoke}
  template:
    metadata:
      labels: {app: kbrun-smoke, word: "%s"}
    spec:
      terminationGracePeriodSeconds: 1
      tolerations:
      - {operator: Exists}
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - labelSelector: {matchLabels: {app: kbrun-smoke}}
            topologyKey: kubernetes.io/hostname
      initContainers:
      - name: greeting
        image: "%s"
        imagePullPolicy: %s
        command: [sh, -c, 'echo "the word is $WORD"']
        env: [{name: WORD, valueFrom: {secretKeyRef: {name: kbrun-smoke, key: word}}}]
      containers:
      - name: web
        image: "%s"
        imagePullPolicy: %s
        env: [{name: WORD, valueFrom: {secretKeyRef: {name: kbrun-smoke, key: word}}}]
]]

--- The manifest, with the secret's word in it.
-- Pods are labelled with the word's mark: those of another word, which a run that was killed has
-- left, are replaced, and not taken for these.
-- @param image string: a web server on port 80, with a shell
-- @param pull string: IfNotPresent or Never
-- @param replicas integer: each is on a node of its own, also on masters
-- @param word string: letters and digits
-- @param mark string: a digest of the word, as a label's value
-- @param port integer or nil: of every node; nil: the cluster chooses
-- @return string: YAML
function M.text(image, pull, replicas, word, mark, port)
  return TEXT:format(word, port and (", nodePort: %d"):format(port) or "", replicas, mark, image,
    pull, image, pull)
end

return M
