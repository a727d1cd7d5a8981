# shellcheck shell=bash
# A node: a disk image, an overlay over the base on it, and systemd-nspawn.

# What lies on the node's disk beside the overlay it runs on, because docker
# and containerd cannot stack their own overlays on one.
NODE_VOLUMES=(docker containerd kubelet)
# What the node sees; on this host only what is written takes room.
DISK_SIZE=20G

node_create() {
  local node=$1 dir
  dir=$(node_dir "$node")
  [ -f "$dir/ready" ] && return
  rm -rf --one-file-system "$dir"
  mkdir -p "$dir/mnt" "$dir/root"
  # A disk stays with the base it was made on, whatever is newer later.
  base_path >"$dir/base"
  truncate -s "$DISK_SIZE" "$dir/disk"
  mkfs.ext4 -q -m 0 -E lazy_itable_init=1,lazy_journal_init=1,nodiscard "$dir/disk"
  node_mount "$node"
  node_settle "$node"
  touch "$dir/ready"
}

node_mount() {
  local node=$1 dir loop volume
  dir=$(node_dir "$node")
  if ! mountpoint -q "$dir/mnt"; then
    loop=$(losetup --find --show "$dir/disk")
    # A node's fsync ends in this host's memory: its disk survives the node's
    # loss of power but need not survive ours, and nodes share one real disk.
    mount -o barrier=0 "$loop" "$dir/mnt"
    # The device goes with its mount.
    losetup --detach "$loop"
  fi
  for volume in "${NODE_VOLUMES[@]}"; do mkdir -p "$dir/mnt/$volume"; done
  mkdir -p "$dir/mnt/upper" "$dir/mnt/work"
  mountpoint -q "$dir/root" || mount -t overlay "kbrun-$LAB-$node" "$dir/root" \
    -o "lowerdir=$(cat "$dir/base"),upperdir=$dir/mnt/upper,workdir=$dir/mnt/work"
}

# What a cloud does to an image: a name, an identity, a user with a key.
node_settle() {
  local node=$1 root
  root=$(node_dir "$node")/root
  echo "$node" >"$root/etc/hostname"
  printf '127.0.0.1 localhost\n127.0.1.1 %s\n::1 localhost ip6-localhost\n' "$node" \
    >"$root/etc/hosts"
  tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
  mkdir -p "$root/etc/lab"
  node_network "$node" >"$root/etc/lab/network"
  node_modules "$root"
  ssh-keygen -q -t ed25519 -N '' -C "root@$node" -f "$root/etc/ssh/ssh_host_ed25519_key"
  cp "$root/etc/ssh/ssh_host_ed25519_key.pub" "$(node_dir "$node")/host_key.pub"
  node_user "$node" "$root"
}

# Lines for node/boot: interface, address, router.
node_network() {
  local node=$1 net
  net=10.83.$(lab_number)
  if [ "$node" = a0 ]; then
    echo "outer $net.2/25"
    echo "inner $net.129/25"
  else
    # The router does not route: packets for elsewhere vanish, as behind a
    # firewall. Programs that look for a default route find one.
    echo "inner $(node_address "$node")/25 $net.129"
  fi
}

node_user() {
  local node=$1 root=$2 rule='ops ALL=(ALL) NOPASSWD: ALL'
  case $node in
  m*)
    rule='ops ALL=(ALL) ALL'
    echo "ops:$(cat "$LAB_DIR/password")" | chroot "$root" chpasswd
    ;;
  esac
  (umask 227 && echo "$rule" >"$root/etc/sudoers.d/ops")
  install -d -m 700 "$root/home/ops/.ssh"
  install -m 600 "$LAB_DIR/key.pub" "$root/home/ops/.ssh/authorized_keys"
  chroot "$root" chown -R ops:ops /home/ops/.ssh
}

# modprobe must succeed for what is built into the kernel. A host that has
# /lib/modules shares it; without one its kernel's configuration says what is.
node_modules() {
  local root=$1 dir
  [ ! -d "/lib/modules/$(uname -r)" ] || return 0
  dir=$root/lib/modules/$(uname -r)
  mkdir -p "$dir"
  kernel_builtin_modules >"$dir/modules.builtin"
  : >"$dir/modules.order"
  chroot "$root" depmod "$(uname -r)" 2>/dev/null || true
}

kernel_builtin_modules() {
  local option module
  while read -r option module; do
    ! zgrep -qs "^CONFIG_$option=y" /proc/config.gz || echo "kernel/$module.ko"
  done <<'END'
OVERLAY_FS fs/overlayfs/overlay
BRIDGE net/bridge/bridge
BRIDGE_NETFILTER net/bridge/br_netfilter
NF_CONNTRACK net/netfilter/nf_conntrack
NF_NAT net/netfilter/nf_nat
NETFILTER_XT_MATCH_CONNTRACK net/netfilter/xt_conntrack
IP_NF_IPTABLES net/ipv4/netfilter/ip_tables
IP_SET net/netfilter/ipset/ip_set
IP_VS net/netfilter/ipvs/ip_vs
IP_VS_RR net/netfilter/ipvs/ip_vs_rr
VXLAN drivers/net/vxlan/vxlan
TUN drivers/net/tun
DUMMY drivers/net/dummy
END
}

node_start() {
  local node=$1
  node_running "$node" && return
  node_mount "$node"
  cgroup_make run
  cgroup_make "$node"
  setsid "$LAB_HOME/lib/run-node" "$LAB" "$node" </dev/null \
    >>"$(node_dir "$node")/console.log" 2>&1 &
}

# The node's first process as this host sees it; nothing if it is off. The pid
# file is only believed for a process in the node's own cgroup.
node_leader() {
  local node=$1 nspawn child
  nspawn=$(cat "$(node_dir "$node")/nspawn" 2>/dev/null) || return 0
  cgroup_has "$node" "$nspawn" || return 0
  for child in $(children "$nspawn"); do
    ! awk '/^NSpid:/ { exit !($NF == 1) }' "/proc/$child/status" || echo "$child"
  done
}

children() { cat "/proc/$1/task/$1/children" 2>/dev/null || true; }

node_running() { [ -n "$(cgroup_processes "$1")" ]; }

node_off() { ! node_running "$1"; }

# Power loss: the kernel ends all of a PID namespace with its first process, so
# nothing of the node can outlive it. Everything in its cgroup, to be sure.
node_kill() {
  local node=$1 leader
  leader=$(node_leader "$node")
  [ -z "$leader" ] || kill -KILL "$leader" 2>/dev/null || true
  await 10 "$node to lose power" node_drained "$node"
  rm -f "$(node_dir "$node")/nspawn"
}

node_drained() {
  local pid
  node_running "$1" || return 0
  for pid in $(cgroup_processes "$1"); do
    kill -KILL "$pid" 2>/dev/null || true
  done
  return 1
}

node_unmount() {
  local dir
  dir=$(node_dir "$1")
  ! mountpoint -q "$dir/root" || await 20 "$dir/root to unmount" umount "$dir/root"
  ! mountpoint -q "$dir/mnt" || await 20 "$dir/mnt to unmount" umount "$dir/mnt"
}

# Back to nothing: no process, mount, cgroup or file of the node is left.
node_remove() {
  local node=$1 link
  node_kill "$node"
  node_unmount "$node"
  cgroup_remove "$node"
  while read -r link _; do
    ! link_exists "$link" || ip link delete "$link" 2>/dev/null || true
  done < <(node_links "$node")
  rm -rf --one-file-system "$(node_dir "$node")"
}

# A full disk: real blocks of the node's own file system, none of the host's
# (they are reserved, not written).
node_fill() {
  local mnt left
  mnt=$(node_dir "$1")/mnt
  mountpoint -q "$mnt" || die "$1 has no disk mounted; start it first: lab start $1"
  left=$(df --output=avail -B1024 "$mnt" | tail -1)
  fallocate -l "$((left - 1024))K" "$mnt/filler" 2>/dev/null || true
  dd if=/dev/zero of="$mnt/filler.rest" bs=4k 2>/dev/null || true
}

node_unfill() {
  rm -f "$(node_dir "$1")"/mnt/filler*
}
