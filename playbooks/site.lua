-- From bare machines to a working, highly available Kubernetes cluster.
--   kbrun playbooks/site.lua -i inventory.yaml --dry-run     what would be done
--   kbrun playbooks/site.lua -i inventory.yaml               do it; again: nothing to do
-- Each part can be run alone, too. What need not wait does not: while images are on their way and
-- loaded, etcd forms.
local kb = require "kb"

kb.include "preflight.lua"
kb.include "pki.lua"
kb.include "push.lua"
kb.include "nodes.lua"
kb.include "runtime.lua"
kb.include "images.lua"
kb.include "etcd.lua"
kb.include "loadbalancer.lua"
kb.include "masters.lua"
kb.include "workers.lua"
kb.include "cni.lua"
kb.include "metallb.lua"
kb.include "kubeconfig.lua"
kb.include "smoke.lua"
