# shellcheck shell=bash
# Where a lab keeps what it has, and what its things are called.
#
# /var/lib/kbrun-lab/NAME/
#   number            N of its networks 10.83.N.0/24
#   password          what ops types for sudo on the masters
#   key, known_hosts, ssh_config, delay, limit
#   nodes/NODE/       disk (a sparse ext4 image), mnt (it, mounted), root (the
#                     overlay a node runs on), console.log, nspawn (a pid), cut

LAB_ROOT=${KBRUN_LAB_DIR:-/var/lib/kbrun-lab}
MASTERS=3

# Every path and name below follows from the lab's name.
lab_select() {
  [[ $1 =~ ^[a-z][a-z0-9-]{0,19}$ ]] ||
    die "'$1' cannot name a lab: a lower-case letter, then letters, digits, '-'; 20 at most"
  LAB=$1
  LAB_DIR=$LAB_ROOT/$LAB
}

lab_exists() { [ -f "$LAB_DIR/number" ]; }

lab_must_exist() {
  lab_exists || die "there is no lab '$LAB'; make it with: lab --name $LAB up"
}

lab_number() { cat "$LAB_DIR/number"; }

# Take a free number for this lab. It starts from a hash of the name, so that a
# lab usually gets the same addresses again.
lab_take_number() {
  local number lock
  lab_exists && return
  mkdir -p "$LAB_ROOT" "$KBRUN_CACHE"
  exec {lock}>"$KBRUN_CACHE/.lab-numbers.lock"
  flock "$lock"
  number=$(($(printf '%s' "$LAB" | cksum | cut -d' ' -f1) % 255 + 1))
  # A bridge may also belong to a lab that keeps its disks elsewhere.
  while grep -qsx "$number" "$LAB_ROOT"/*/number || [ -e "/sys/class/net/kb$number-out" ]; do
    number=$((number % 255 + 1))
  done
  mkdir -p "$LAB_DIR/nodes"
  echo "$number" >"$LAB_DIR/number"
  exec {lock}>&-
}

# Run a command that changes the lab while no other one does. What the command
# leaves running must close_inherited, or it would keep the lock.
lab_locked() {
  local lock
  mkdir -p "$KBRUN_CACHE"
  exec {lock}>"$KBRUN_CACHE/.lab-$LAB.lock"
  flock -n "$lock" || {
    say "waiting for another command on lab '$LAB'"
    flock "$lock"
  }
  "$@"
  exec {lock}>&-
}

node_dir() { echo "$LAB_DIR/nodes/$1"; }

nodes_existing() {
  [ ! -d "$LAB_DIR/nodes" ] || ls "$LAB_DIR/nodes"
}

# All nodes of a lab of so many workers, in the order in which they are shown.
nodes_planned() {
  local workers=$1 i
  echo a0
  for ((i = 0; i < MASTERS; i++)); do echo "m$i"; done
  for ((i = 0; i < workers; i++)); do echo "w$i"; done
}

node_must_exist() {
  lab_must_exist
  [ -d "$(node_dir "$1")" ] ||
    die "lab '$LAB' has no node '$1'; it has: $(nodes_existing | paste -sd' ')"
}

# 10.83.N.0/25 is outside: the operator .1, a0 .2.
# 10.83.N.128/25 is inside: a0 .129, m0 .131 and on, w0 .141 and on.
node_address() {
  local node=$1
  case $node in
  a0) echo "10.83.$(lab_number).2" ;;
  m?) echo "10.83.$(lab_number).$((131 + ${node#m}))" ;;
  w*) echo "10.83.$(lab_number).$((141 + ${node#w}))" ;;
  *) die "no such kind of node: '$node' (a0, m0 to m$((MASTERS - 1)), w0 to w112)" ;;
  esac
}

node_check_name() {
  local node
  for node; do
    [[ $node =~ ^(a0|m[0-2]|w(0|[1-9][0-9]?|10[0-9]|11[0-2]))$ ]] ||
      die "no such kind of node: '$node' (a0, m0 to m$((MASTERS - 1)), w0 to w112)"
  done
}

# Interfaces on the host: kbN-out and kbN-in are bridges, kbN-NODE a node's end.
bridge_outer() { echo "kb$(lab_number)-out"; }
bridge_inner() { echo "kb$(lab_number)-in"; }

# The node's ends on the host, each with its bridge.
node_links() {
  if [ "$1" = a0 ]; then
    echo "kb$(lab_number)-a0x $(bridge_outer)"
  fi
  echo "kb$(lab_number)-$1 $(bridge_inner)"
}
