#!/bin/sh
# What the playbook finds on a bare node: packages of our own in a directory and in
# a repository, and things that it is to remove, turn off or change.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p /srv/debs /srv/repo

# package NAME VERSION [FIELD]: a package that brings NAME.service if the work
# directory has a file of that name.
package() {
  root=$work/$1-$2
  mkdir -p "$root/DEBIAN" "$root/usr/share/$1"
  echo "$2" >"$root/usr/share/$1/version"
  {
    printf 'Package: %s\nVersion: %s\nArchitecture: all\n' "$1" "$2"
    printf 'Maintainer: lab <lab@example.org>\nDescription: %s\n' "$1"
    [ $# -lt 3 ] || printf '%s\n' "$3"
  } >"$root/DEBIAN/control"
  if [ -f "$work/$1.service" ]; then
    mkdir -p "$root/lib/systemd/system"
    cp "$work/$1.service" "$root/lib/systemd/system/"
    {
      echo '#!/bin/sh'
      echo 'systemctl daemon-reload'
      echo "systemctl enable $1.service"
      # as deb-systemd-invoke does: not when policy-rc.d says no
      echo '[ -x /usr/sbin/policy-rc.d ] && ! /usr/sbin/policy-rc.d && exit 0'
      echo "systemctl start $1.service"
    } >"$root/DEBIAN/postinst"
    chmod 755 "$root/DEBIAN/postinst"
  fi
  dpkg-deb --build "$root" "/srv/debs/$1_$2.deb" >/dev/null
}

service() {
  printf '[Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/true\n'
  printf '[Install]\nWantedBy=multi-user.target\n'
}

service >"$work/chrony.service"
service >"$work/lab-quiet.service"
package lab-needs 1.0 'Depends: lab-needed (>= 1.1)'
package lab-needed 1.2
package lab-unwanted 1.0
package lab-quiet 1.0
package chrony 4.9 # older ones do not go with this libc
package lab-repo 1.0
package lab-repo 1.1
package lab-latest 1.0
package lab-latest 2.0

mv /srv/debs/lab-repo_*.deb /srv/debs/lab-latest_*.deb /srv/debs/chrony_*.deb /srv/repo/
cd /srv/repo
for file in *.deb; do
  dpkg-deb -f "$file"
  echo "Filename: ./$file"
  echo "Size: $(stat -c %s "$file")"
  printf 'SHA256: %s\n\n' "$(sha256sum <"$file" | cut -d' ' -f1)"
done >Packages

dpkg -i /srv/repo/lab-latest_1.0.deb /srv/debs/lab-unwanted_1.0.deb >/dev/null
: >/etc/apt/sources.list

service >/etc/systemd/system/lab-old.service
service >/etc/systemd/system/lab-off.service
mkdir -p /etc/systemd/system/lab-off.service.d
printf '[Service]\nNice=1\n' >/etc/systemd/system/lab-off.service.d/old.conf
systemctl daemon-reload
systemctl enable --now lab-old.service lab-off.service 2>/dev/null

# What an earlier cluster has left in the packet filter, beside a rule of somebody else.
for tables in nft legacy; do
  "iptables-$tables" -t nat -N KUBE-SERVICES
  "iptables-$tables" -t nat -A KUBE-SERVICES -d 10.96.0.1/32 -j RETURN
  "iptables-$tables" -t nat -A PREROUTING -m comment --comment 'of a cluster' -j KUBE-SERVICES
  "iptables-$tables" -t nat -A PREROUTING -p tcp --dport 81 -m comment --comment KUBE-not -j ACCEPT
done

# A network in which another node of a cluster could be.
ip link add lab0 type bridge
ip address add 192.0.2.1/24 dev lab0
ip link set lab0 up

useradd -m old
groupadd oldgroup
mkdir -p /mnt/old /mnt/idle /srv/tree/below /srv/filled/bin /srv/filled/old
echo other >/srv/filled/bin/tool
mount -t tmpfs tmpfs /mnt/old
mount -t tmpfs tmpfs /mnt/idle
{
  echo 'tmpfs /mnt/old tmpfs defaults 0 0'
  echo '/swapfile none swap sw 0 0'
} >>/etc/fstab
printf 'one\ntwo\n' >/etc/lab.lines
