# shellcheck shell=bash
# The lab's two networks, and what can be done to them.
#
#   operator (this host) --- kbN-out --- a0 --- kbN-in --- m0 m1 m2 w0 w1 ...
#
# The inner bridge has no address here and a0 does not route, so the way to the
# inner nodes is through a0, and they have no way out at all.

link_exists() { [ -e "/sys/class/net/$1" ]; }

net_up() {
  local outer inner inside
  outer=$(bridge_outer)
  inner=$(bridge_inner)
  inside=10.83.$(lab_number).128/25
  link_exists "$outer" || ip link add "$outer" type bridge forward_delay 0
  link_exists "$inner" || ip link add "$inner" type bridge forward_delay 0
  ip link set "$outer" up
  ip link set "$inner" up
  ip address replace "10.83.$(lab_number).1/25" dev "$outer"
  # Else packets for the inner nodes would leave by this host's own default
  # route, to whoever has that address there.
  ip route replace unreachable "$inside"
  net_pass_firewall add
}

net_down() {
  local outer inner
  outer=$(bridge_outer)
  inner=$(bridge_inner)
  net_pass_firewall remove
  ip route delete unreachable "10.83.$(lab_number).128/25" 2>/dev/null || true
  link_exists "$outer" && ip link delete "$outer"
  link_exists "$inner" && ip link delete "$inner"
  return 0
}

# Where this host filters bridged packets and drops what it forwards (as docker
# sets it), the inner nodes could not talk to each other.
net_pass_firewall() {
  local accept
  accept=(FORWARD -i "$(bridge_inner)" -o "$(bridge_inner)" -j ACCEPT)
  if [ "$1" = add ]; then
    iptables -S FORWARD 2>/dev/null | grep -qx -- '-P FORWARD DROP' || return 0
    iptables -C "${accept[@]}" 2>/dev/null || iptables -I "${accept[@]}"
  else
    iptables -D "${accept[@]}" 2>/dev/null || true
  fi
}

# Put a node's ends on their bridges. Runs at each of the node's boots, because
# a reboot makes the ends anew.
net_attach() {
  local node=$1 link bridge
  while read -r link bridge; do
    await 20 "the interface $link" link_exists "$link"
    ip link set "$link" master "$bridge"
    [ -f "$(node_dir "$node")/cut" ] || ip link set "$link" up
  done < <(node_links "$node")
  if [ "$node" = a0 ]; then
    [ ! -f "$LAB_DIR/delay" ] || delay_start
    [ ! -f "$LAB_DIR/limit" ] || limit_apply "$(cat "$LAB_DIR/limit")"
  fi
}

net_cut() {
  touch "$(node_dir "$1")/cut"
  net_links_set "$1" down
}

net_heal() {
  rm -f "$(node_dir "$1")/cut"
  net_links_set "$1" up
}

net_links_set() {
  local node=$1 state=$2 link
  while read -r link _; do
    ! link_exists "$link" || ip link set "$link" "$state"
  done < <(node_links "$node")
}

# The operator's uplink: what it sends is shaped where it enters the outer
# bridge, what it receives where it leaves a0.
limit_apply() {
  local rate=$1 leader
  # A burst below 64 KiB would refuse the large segments that the kernel hands
  # to a virtual interface.
  tc qdisc replace dev "$(bridge_outer)" root tbf rate "$rate" burst 64kb latency 100ms
  leader=$(node_leader a0)
  [ -z "$leader" ] || nsenter --target "$leader" --net \
    tc qdisc replace dev outer root tbf rate "$rate" burst 64kb latency 100ms
}

limit_on() {
  [[ $1 =~ ^[0-9]+(kbit|mbit|gbit)$ ]] ||
    die "'$1' is no rate; write it as 500kbit, 10mbit or 1gbit, or 'off'"
  limit_apply "$1"
  echo "$1" >"$LAB_DIR/limit"
}

limit_off() {
  local leader
  rm -f "$LAB_DIR/limit"
  tc qdisc delete dev "$(bridge_outer)" root 2>/dev/null || true
  leader=$(node_leader a0)
  [ -z "$leader" ] || nsenter --target "$leader" --net \
    tc qdisc delete dev outer root 2>/dev/null || true
}

# Delay: netem is not in every kernel, so a small program (delay.c) stands
# between the outer bridge and a0's end and passes each frame on later.
delay_program() {
  local name
  name=delay-$(short_hash <"$LAB_HOME/lib/delay.c")
  echo "$(cached "$name" delay_compile)/delay"
}

delay_compile() {
  gcc -std=c11 -O2 -Wall -Wextra -o "$1/delay" "$LAB_HOME/lib/delay.c"
}

delay_on() {
  [[ $1 =~ ^[1-9][0-9]{0,3}$ ]] ||
    die "'$1' is no delay; give whole milliseconds, 1 to 9999, or 'off'"
  echo "$1" >"$LAB_DIR/delay"
  delay_end
  [ -z "$(node_leader a0)" ] || delay_start
}

delay_off() {
  local link
  link=kb$(lab_number)-a0x
  rm -f "$LAB_DIR/delay"
  delay_end
  ! link_exists "$link" || ip link set "$link" master "$(bridge_outer)"
}

# a0's end leaves the bridge; the program makes the tap that takes its place.
delay_start() {
  local number program
  number=$(lab_number)
  program=$(delay_program)
  delay_end
  ip link set "kb$number-a0x" nomaster
  cgroup_make run
  (
    close_inherited
    cgroup_join run "$BASHPID"
    exec setsid "$program" "kb$number-dly" "kb$number-a0x" "$(cat "$LAB_DIR/delay")"
  ) </dev/null >>"$LAB_DIR/delay.log" 2>&1 &
  echo $! >"$LAB_DIR/delay.pid"
  await 10 "the delaying program (see $LAB_DIR/delay.log)" link_exists "kb$number-dly"
  ip link set "kb$number-dly" master "$(bridge_outer)" up
}

delay_end() {
  local pid
  pid=$(cat "$LAB_DIR/delay.pid" 2>/dev/null) || return 0
  ! cgroup_has run "$pid" || kill "$pid"
  await 10 "the delaying program to end" link_gone "kb$(lab_number)-dly"
  rm -f "$LAB_DIR/delay.pid"
}

link_gone() { ! link_exists "$1"; }

# Bytes that the operator sent to and received from the lab since it is up.
uplink_bytes() {
  local counters
  counters=/sys/class/net/$(bridge_outer)/statistics
  echo "sent $(cat "$counters/tx_bytes")"
  echo "received $(cat "$counters/rx_bytes")"
}
