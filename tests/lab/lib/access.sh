# shellcheck shell=bash
# How the operator gets to the nodes: a key, pinned host keys, an ssh_config,
# and the same again as an inventory.

access_prepare() {
  if [ ! -f "$LAB_DIR/key" ]; then
    ssh-keygen -q -t ed25519 -N '' -C "operator of $LAB" -f "$LAB_DIR/key"
  fi
  if [ ! -f "$LAB_DIR/password" ]; then
    (umask 077 && head -c 12 /dev/urandom | base64 | tr '+/' 'xy' >"$LAB_DIR/password")
  fi
}

# The public host key, as "ssh-ed25519 AAAA...", from the node's disk.
node_host_key() {
  cut -d' ' -f1,2 "$(node_dir "$1")/host_key.pub"
}

access_write() {
  local node
  for node in $(nodes_existing); do
    echo "$node,$(node_address "$node") $(node_host_key "$node")"
  done >"$LAB_DIR/known_hosts"
  ssh_config >"$LAB_DIR/ssh_config"
}

ssh_config() {
  local node
  for node in $(nodes_existing); do
    printf 'Host %s\n  HostName %s\n' "$node" "$(node_address "$node")"
    [ "$node" = a0 ] || echo '  ProxyJump a0'
  done
  cat <<END
Host *
  User ops
  IdentityFile $LAB_DIR/key
  IdentitiesOnly yes
  UserKnownHostsFile $LAB_DIR/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  ConnectTimeout 10
  LogLevel ERROR
END
}

node_ssh() {
  ssh -F "$LAB_DIR/ssh_config" "$@"
}

node_answers() {
  node_ssh -o BatchMode=yes -o ConnectTimeout=3 "$1" true </dev/null 2>/dev/null
}

# inventory [--cluster [RUNTIME]]: with the settings of playbooks/site.lua.
inventory() {
  cat <<END
# Lab '$LAB'. Printed by tests/lab/lab inventory.
all:
  vars:
    ansible_user: ops
    ansible_ssh_private_key_file: $LAB_DIR/key
END
  [ "${1:-}" != --cluster ] || inventory_cluster "${2:-docker}"
  cat <<END
  children:
    bastion:
      hosts:
$(inventory_hosts a0)
    masters:
      vars:
        ansible_ssh_common_args: -o ProxyJump=a0
        ansible_become_password: "$(cat "$LAB_DIR/password")"
      hosts:
$(inventory_hosts m)
    workers:
      vars:
        ansible_ssh_common_args: -o ProxyJump=a0
      hosts:
$(inventory_hosts w)
END
}

# The last three are the lab's peculiarities; docs/lab.md tells of them.
inventory_cluster() {
  local inside bundle
  inside=10.83.$(lab_number).129
  bundle=$("$LAB_HOME/bundle" where)
  cat <<END
    cluster:
      version: "1.20.2"
      endpoint: $inside:6443
      sans: [$(node_address a0)]
      bundle: $bundle
      store: $LAB_DIR/pki
      kubeconfig: $LAB_DIR/kubeconfig
      runtime: $1
      skip_phases: [addon/coredns]
      ignore_preflight: [ImagePull, Mem, NumCPU]
      conntrack_max_per_core: 0
END
}

inventory_hosts() {
  local node any=
  for node in $(nodes_existing); do
    [[ $node = "$1"* ]] || continue
    any=yes
    echo "        $node:"
    echo "          ansible_host: $(node_address "$node")"
    echo "          host_key: $(node_host_key "$node")"
    [ "$node" != a0 ] || echo "          node_address: 10.83.$(lab_number).129"
  done
  [ -n "$any" ] || echo '        {}'
}
