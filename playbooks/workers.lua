-- Workers join side by side; one that fails does not stop the others.
local kb = require "kb"
local cluster, kubeadm = kb.use("cluster", "kubeadm")

kb.play { "workers", hosts = "workers", become = true, needs = { "first master", "images" },
  tags = { "workers" },
  function(host)
    kubeadm.worker(host, cluster.settings(host))
  end }
