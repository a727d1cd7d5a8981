--- Facts that prove a cluster, asked of a host with kubectl and a kubeconfig.
local kb = require "kb"

local M = {}

local PROOF = "/var/lib/kbrun/smoke"

-- What makes a node another one: a proof is of these. Ready and the rest come after the bar.
local LINES = "kubectl --request-timeout=10s get nodes -o jsonpath='{range .items[*]}"
  .. "{.metadata.name} {.metadata.uid} {.status.nodeInfo.kubeletVersion} "
  .. "{.status.nodeInfo.containerRuntimeVersion} |"
  .. [[{range .status.conditions[?(@.type=="Ready")]}{.status}{end} ]]
  .. [[{.spec.unschedulable}{"\n"}{end}']]

local function nodes_of(text)
  local nodes = {}
  for line, state in text:gmatch("([^\n|]*) |([^\n]*)\n") do
    nodes[#nodes + 1] = { name = line:match("^%S+"), line = line,
      ready = state:match("^%a*") == "True", schedulable = not state:find("true", 1, true) }
  end
  return nodes
end

--- The nodes of the cluster, and which of them were proven to work.
-- @return table: nodes (list of { name, line, ready, schedulable }), proven (set of lines); false
-- when the API does not answer
M.nodes = kb.fact {
  name = "smoke.nodes",
  command = function()
    return LINES .. " || exit; echo =; cat " .. PROOF .. " 2>/dev/null; true"
  end,
  parse = function(out, code)
    local text, proof = out:match("^(.-)=\n(.*)$")
    if code ~= 0 or not text then
      return false
    end
    local proven = {}
    for line in proof:gmatch("([^\n]+)\n") do
      proven[line] = true
    end
    return { nodes = nodes_of(text), proven = proven }
  end,
  bare = false,
}

--- Where a proof is kept on the host.
M.proof_path = PROOF

--- The pods of an application in the namespace default, of one word.
-- @param name string: their label app
-- @param mark string: their label word
-- @return list of { name, node, address, ready }, sorted by node; false when no API answers
M.pods = kb.fact {
  name = "smoke.pods",
  command = function(name, mark)
    return "kubectl --request-timeout=10s get pods -n default -l "
      .. kb.quote(("app=%s,word=%s"):format(name, mark))
      .. [[ -o jsonpath='{range .items[*]}{.metadata.name} {.spec.nodeName} {.status.podIP} ]]
      .. [[{range .status.conditions[?(@.type=="Ready")]}{.status}{end}{"\n"}{end}' 2>/dev/null]]
  end,
  parse = function(out, code)
    local pods = {}
    for name, node, address, ready in out:gmatch("(%S+) (%S*) (%S*) (%a*)\n") do
      pods[#pods + 1] = { name = name, node = node, address = address, ready = ready == "True" }
    end
    table.sort(pods, function(a, b)
      return a.node < b.node
    end)
    return code == 0 and pods
  end,
  bare = false,
}

--- Where a service of the namespace default is found.
-- @param name string
-- @return table: address (of the cluster), port (of every node, integer); false when there is none
M.service = kb.fact {
  name = "smoke.service",
  command = function(name)
    return "kubectl --request-timeout=10s get service -n default " .. kb.quote(name)
      .. " -o jsonpath='{.spec.clusterIP} {.spec.ports[0].nodePort}' 2>/dev/null"
  end,
  parse = function(out)
    local address, port = out:match("^(%S+) (%d+)$")
    return address and { address = address, port = math.tointeger(tonumber(port)) } or false
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
    return ([[timeout 5 bash <<'END' 2>/dev/null
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
