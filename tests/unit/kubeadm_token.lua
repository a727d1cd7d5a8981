local test = ...
local check = require "lib.check"
local kubeadm = require "modules.kubeadm"
local secret = require "kb.secret"

test("a token is what kubeadm printed, or an error that says so", function()
  local function token(out)
    local change = kubeadm.token:decide({ ttl = "2h" }, function() end)
    return secret.reveal(change.result({ { out = out } }).token)
  end
  check.equal(token "v1.20 abcdef.0123456789abcdef\n", "abcdef.0123456789abcdef")
  check.raises("kubeadm printed no token", token, "nothing\n")
end)
