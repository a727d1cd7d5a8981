--- What a host is, before anything is done to it.
local kb = require "kb"

local M = {}

local BARE = { id = "debian", version = "12", arch = "amd64", cores = 4, memory = 8192,
  disk = 40000, hostname = "", machine_id = "", clock = 0, offset = 0, interfaces = {} }

-- `ip -o addr` and `ip -o link` as lines "interface NAME ADDRESS" and "mac NAME MAC".
local ABOUT = [[. /etc/os-release
echo "id $ID"
echo "version $VERSION_ID"
echo "arch $(dpkg --print-architecture 2>/dev/null || uname -m)"
echo "cores $(getconf _NPROCESSORS_ONLN)"
echo "memory $(awk '/^MemTotal/ {print int($2 / 1024)}' /proc/meminfo)"
echo "disk $(df -Pm /var/lib | awk 'NR == 2 {print $4}')"
echo "hostname $(hostname)"
echo "machine_id $(cat /etc/machine-id)"
ip -o addr | awk '{sub("/.*", "", $4); print "interface", $2, $4}'
ip -o link | sed -n 's|^[0-9]*: \([^:@]*\).* link/ether \([0-9a-f:]*\).*|mac \1 \2|p'
echo "clock $(date +%s.%N)"]]

local function interfaces_of(out)
  local macs, list = {}, {}
  for name, mac in out:gmatch("\nmac (%S+) (%S+)") do
    macs[name] = mac
  end
  for name, address in out:gmatch("\ninterface (%S+) (%S+)") do
    list[address] = { name = name, mac = macs[name] or "" }
  end
  return list
end

--- What the checks before a cluster need to know of a host, and every user may.
-- @return table: id, version (of the system: "debian", "12"), arch ("amd64"), cores, memory, disk
-- (MB; disk is what is free below /var/lib), hostname, machine_id, clock (seconds since 1970),
-- offset (how much it is before the operator's clock, seconds), interfaces (address -> {name, mac})
M.host = kb.fact {
  name = "preflight.host",
  costly = true, -- asked by itself: what is asked beside it would count as time on the way
  command = function()
    return ABOUT
  end,
  parse = function(out)
    local host = { interfaces = interfaces_of("\n" .. out) }
    for key, value in out:gmatch("(%S+) ([^\n]*)\n") do
      if BARE[key] and key ~= "interfaces" then
        host[key] = value
      end
    end
    for _, key in ipairs { "cores", "memory", "disk" } do
      host[key] = math.tointeger(tonumber(host[key])) or 0
    end
    host.clock = tonumber(host.clock) or 0
    host.offset = host.clock - kb.now()
    return host
  end,
  bare = BARE,
}

-- The members' data is looked for where kbrun and kubeadm put it; the Debian package's own etcd,
-- which is there for a moment while it is installed, is asked whether it holds a cluster. Its data
-- outlive that moment: only while they are in use, which a lock on the database shows, is it the
-- one that would answer.
local MARKS = [[sum() { if [ -s "$2" ]; then echo "$1 $(sha256sum <"$2" | cut -d' ' -f1)"; fi; }
sum authority /etc/kubernetes/pki/ca.crt
sum etcd_authority /etc/etcd/pki/ca.crt
if [ -s /etc/kubernetes/kubelet.conf ]; then echo "joined yes"; fi
for d in /var/lib/etcd/member /var/lib/etcd/*/member; do
  if [ -d "$d" ] && [ "$d" != /var/lib/etcd/default/member ]; then echo "data ${d%/member}"; fi
done
db=$(stat -c %i /var/lib/etcd/default/member/snap/db 2>/dev/null)
if [ -n "$db" ] && grep -q ":$db " /proc/locks && ETCDCTL_API=3 etcdctl --command-timeout=3s \
  --endpoints=http://127.0.0.1:2379 get --prefix --keys-only --limit=1 /registry 2>/dev/null |
  grep -q .; then echo "data /var/lib/etcd/default"; fi
if ! systemd-detect-virt -q --container; then
  echo "uuid $(cat /sys/class/dmi/id/product_uuid 2>/dev/null)"
fi]]

--- What earlier installations left on a host, and who its hardware is. To be asked as root.
-- @return table: authority, etcd_authority (SHA-256 of the authority's certificate that is there;
-- absent: none), joined (boolean), data (list of etcd's data directories), uuid (of the hardware;
-- absent in containers, which share their machine's)
M.marks = kb.fact {
  name = "preflight.marks",
  command = function()
    return MARKS
  end,
  parse = function(out)
    local marks = { data = {} }
    for key, value in out:gmatch("(%S+) (%S+)\n") do
      if key == "data" then
        marks.data[#marks.data + 1] = value
      else
        marks[key] = value
      end
    end
    marks.joined = marks.joined == "yes"
    return marks
  end,
  bare = { data = {}, joined = false },
}

--- Who listens on which port. To be asked as root, who alone sees the names.
-- @return table: port (integer) -> { name, pid (integer) }
M.listeners = kb.fact {
  name = "preflight.listeners",
  command = function()
    return "ss -H -ltnp"
  end,
  parse = function(out)
    local ports = {}
    for line in out:gmatch("[^\n]+") do
      local port = line:match("^%S+%s+%d+%s+%d+%s+%S-:(%d+)%s")
      local name, pid = line:match('users:%(%("(.-)",pid=(%d+)')
      if port then
        ports[math.tointeger(tonumber(port))] = { name = name or "a process that we cannot see",
          pid = math.tointeger(tonumber(pid or 0)) }
      end
    end
    return ports
  end,
  bare = {},
}

-- bash is on every Debian and can open a connection; nothing else there surely can.
local REACH = [[for target in %s; do
  (host=${target%%:*}; host=${host#[}
   said=$(LC_ALL=C timeout %d bash -c 'exec 3<>"/dev/tcp/$0/$1"' "${host%%]}" "${target##*:}" 2>&1)
   echo "$target $? $said" | tr '\n' ' '; echo) &
done
wait]]

local SECONDS = 3

local function outcome(code, said)
  if code == 0 then
    return "open"
  elseif said:find("Connection refused", 1, true) then
    return "closed"
  elseif code == 124 then
    return ("no answer within %d s"):format(SECONDS)
  end
  return said:match(": ([^:]-)%s*$") or said
end

--- Whether connections from a host come through, all tried side by side.
-- @param targets string: "10.0.0.1:6443 10.0.0.2:2380"
-- @return table: target -> "open" (somebody listens), "closed" (nobody does, and the host says so:
-- the way is free), or why nothing came back: "no answer within 3 s", "No route to host"
M.reach = kb.fact {
  name = "preflight.reach",
  costly = true,
  command = function(targets)
    local words = {}
    for target in targets:gmatch("%S+") do
      words[#words + 1] = kb.quote(target)
    end
    return REACH:format(table.concat(words, " "), SECONDS)
  end,
  parse = function(out)
    local found = {}
    for target, code, said in out:gmatch("(%S+) (%d+) ?([^\n]*)\n") do
      found[target] = outcome(tonumber(code), said)
    end
    return found
  end,
  bare = {},
}

return M
