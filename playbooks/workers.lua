-- Workers join side by side; one that fails does not stop the others.
local kb = require "kb"
local cluster, kubeadm, kubelet = kb.use("cluster", "kubeadm", "kubelet")

kb.play { "workers", hosts = "workers", become = true, needs = { "first master", "images" },
  tags = { "workers" },
  function(host)
    local c = cluster.settings(host)
    kubelet.configured(host, c)
    kubelet.service(host, kubeadm.worker(host, c).changed)
  end }
