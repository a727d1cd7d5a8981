--- Facts that prove a cluster, asked of a host with kubectl and a kubeconfig.
local kb = require "kb"

local M = {}

--- How many pods of a deployment answer.
-- @param name string: the deployment
-- @return integer; false when the API does not answer or there is no such deployment
M.available = kb.fact {
  name = "smoke.available",
  command = function(name)
    return "kubectl --request-timeout=10s get deployment " .. kb.quote(name)
      .. " -o jsonpath='{.status.availableReplicas}' 2>/dev/null"
  end,
  parse = function(out, code)
    return code == 0 and (math.tointeger(tonumber(out)) or 0)
  end,
  bare = false,
}

--- What a web server answers.
-- @param address string
-- @param port integer
-- @return string: the body; false when nobody answers
M.page = kb.fact {
  name = "smoke.page",
  command = function(address, port)
    return ([[timeout 5 bash <<'END'
exec 3<>/dev/tcp/%s/%d || exit 1
printf 'GET / HTTP/1.0\r\n\r\n' >&3
cat <&3
END]]):format(address, port)
  end,
  parse = function(out)
    return out:match("^HTTP/%S+ 200.-\r?\n\r?\n(.*)$") or false
  end,
  bare = false,
}

return M
