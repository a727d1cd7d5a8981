--- Facts about a cluster, asked through kubectl on a host.
local json = require "kb.json"
local kb = require "kb"

local M = {}

-- kubectl as an administrator, not waiting long for an API that is not there.
local function kubectl(kubeconfig, words)
  return ("kubectl --kubeconfig %s --request-timeout=20s %s"):format(kb.quote(kubeconfig), words)
end

--- An object of the cluster, or all of a kind.
-- @param kubeconfig string: the path of the kubeconfig on the host
-- @param kind string: "deployment", "nodes"
-- @param name string: the object's name; "" for all
-- @param namespace string: "" for the kubeconfig's own
-- @return table: the object, or { items = list }; false when there is none or no answer
M.get = kb.fact {
  name = "kubectl.get",
  command = function(kubeconfig, kind, name, namespace)
    local words = { "get", kind, name ~= "" and name or nil }
    if namespace ~= "" then
      table.insert(words, 1, "--namespace=" .. namespace)
    end
    return kubectl(kubeconfig, kb.words(words)) .. " -o json 2>/dev/null"
  end,
  parse = function(out, code)
    return code == 0 and json.decode(out) or false
  end,
  bare = false,
}

-- What kubectl says when an object cannot be compared since what it needs is still to come.
local to_come = { "NotFound", "not found" }

--- How the objects of a manifest on the host differ from the cluster's.
-- @param path string: the manifest
-- @param sha256 string: of the manifest that is meant
-- @param kubeconfig string: the path of the kubeconfig on the host
-- @param server_side boolean: compared as a server-side apply would make them
-- @return table: state ("same", "different", "stale": another file is there, "unknown kind": a
-- resource that the cluster does not know, "unreachable", "refused"), text (the difference, or what
-- kubectl said)
M.difference = kb.fact {
  name = "kubectl.difference",
  costly = true,
  command = function(path, sha256, kubeconfig, server_side)
    return ([[
[ "$(sha256sum -- %s 2>/dev/null | cut -c1-64)" = %s ] || { echo stale; exit 0; }
e=$(mktemp) || exit
o=$(%s 2>"$e"); code=$?
echo "code $code"
printf '%%s\n' "$o"
echo "errors"
cat "$e"; rm -f "$e"]]):format(kb.quote(path), sha256, kubectl(kubeconfig, "diff "
      .. (server_side and "--server-side --force-conflicts --field-manager=kbrun " or "") .. "-f "
      .. kb.quote(path)))
  end,
  parse = function(out)
    if out:find("^stale") then
      return { state = "stale", text = "" }
    end
    local code, text, errors = out:match("^code (%d+)\n(.-)\nerrors\n(.*)$")
    if code == "0" then
      return { state = "same", text = "" }
    elseif errors == "" and text ~= "" then
      return { state = "different", text = text }
    elseif errors and errors:find("no matches for kind", 1, true) then
      return { state = "unknown kind", text = errors }
    end
    for _, words in ipairs(to_come) do
      if errors and errors:find(words, 1, true) then
        return { state = "different", text = text }
      end
    end
    local away = (errors or ""):find("refused%f[%A]") or (errors or ""):find("timeout", 1, true)
      or (errors or ""):find("stat ", 1, true) or not errors
    return { state = away and "unreachable" or "refused", text = errors or out }
  end,
  bare = { state = "stale", text = "" },
}

return M
