# shellcheck shell=bash
# The disk that every node starts from: Debian 12 as a cloud image has it,
# without anything that kbrun's playbooks are to bring. Made once, cached.

# libpam-systemd is there because fleets have it: every login is a session.
BASE_PACKAGES=(systemd systemd-sysv dbus libpam-systemd openssh-server sudo
  iproute2 iptables iputils-ping netbase procps kmod less ca-certificates openssl
  e2fsprogs)

base_versions() {
  suite_versions "${BASE_PACKAGES[@]}" base-files libc6
}

# Hashes what the base is made of: package versions, this recipe, this host.
base_name() {
  local versions
  versions=$(base_versions)
  [ -n "$versions" ] || return 0
  echo "base-$DEBIAN_SUITE-$({
    echo "$versions"
    cat "$LAB_HOME/lib/base.sh" "$LAB_HOME"/node/*
    ! host_lacks_sys_resource || echo "runc is wrapped"
  } | short_hash)"
}

# Print the directory of the base. It is looked up once in a command.
base_path() {
  BASE_PATH=${BASE_PATH:-$(cached_by base_name base_make)}
  echo "$BASE_PATH"
}

base_make() {
  local root=$1 include
  include=$(IFS=, && echo "${BASE_PACKAGES[*]}")
  say "making the nodes' base system (about a minute)"
  system_make "$root" --variant=minbase --include="$include"
  base_tune "$root"
  base_install_node_files "$root"
  if host_lacks_sys_resource; then base_divert_runc "$root"; fi
}

# What a cloud image's first boot does, and quiet: timers that would take apt's
# lock at some moment, consoles that nobody sees, key generation.
base_tune() {
  local root=$1 unit
  rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/machine-id" "$root/etc/hostname"
  : >"$root/etc/resolv.conf"
  for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer e2scrub_reap.service fstrim.timer console-getty.service \
    getty@.service getty.target systemd-networkd.service systemd-udevd.service \
    systemd-udev-trigger.service systemd-udevd-kernel.socket systemd-udevd-control.socket \
    rescue-ssh.target; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
  done
  printf 'PermitRootLogin no\nPasswordAuthentication no\nUseDNS no\n' \
    >"$root/etc/ssh/sshd_config.d/10-fleet.conf"
  chroot "$root" useradd --create-home --shell /bin/bash ops
}

base_install_node_files() {
  local root=$1
  install -D -m 755 "$LAB_HOME/node/boot" "$root/usr/local/lib/lab/boot"
  install -D -m 644 "$LAB_HOME/node/lab-boot.service" "$root/etc/systemd/system/lab-boot.service"
  mkdir -p "$root/etc/systemd/system/sysinit.target.wants"
  ln -s ../lab-boot.service "$root/etc/systemd/system/sysinit.target.wants/"
}

# Whether root here is denied CAP_SYS_RESOURCE (bit 24), as in some containers
# and microVMs. runc cannot then lower a container's OOM score or hand the
# capability on, and every pod of a control plane would fail.
host_lacks_sys_resource() {
  local bounding
  bounding=$(awk '/^CapBnd:/ { print $2 }' /proc/self/status)
  [ $((0x$bounding >> 24 & 1)) = 0 ]
}

# dpkg's own way to put a wrapper in a program's place before the program is
# installed: the package's file lands beside it, and playbooks need not know.
base_divert_runc() {
  local root=$1
  chroot "$root" dpkg-divert --quiet --local --no-rename \
    --divert /usr/sbin/runc.distrib --add /usr/sbin/runc
  install -m 755 "$LAB_HOME/node/runc" "$root/usr/sbin/runc"
}
