# shellcheck shell=bash
# Debian packages: Kubernetes' own, named and laid out as upstream's are.

# debs_kubernetes DIR BUILT CNI: kubeadm, kubelet, kubectl from the directory
# BUILT, kubernetes-cni from Debian's package CNI.
debs_kubernetes() {
  local out=$1 built=$2 cni=$3 name version=$KUBE_VERSION-00
  say "packing Kubernetes as upstream's packages"
  for name in kubeadm kubelet kubectl; do
    install -D -m 755 "$built/$name" "tree/$name/usr/bin/$name"
    install -D -m 644 "$built/LICENSE" "tree/$name/usr/share/doc/$name/copyright"
  done
  cp -r "$LAB_HOME/bundle.d/kubelet/." tree/kubelet/
  install -D -m 644 "$LAB_HOME/bundle.d/10-kubeadm.conf" \
    tree/kubeadm/etc/systemd/system/kubelet.service.d/10-kubeadm.conf
  # Upstream's kubeadm also depends on cri-tools, which docker does not need.
  deb_pack "$out" kubeadm "$version" \
    'kubelet (>= 1.13.0), kubectl (>= 1.13.0), kubernetes-cni (>= 0.8.6)'
  deb_pack "$out" kubectl "$version" ''
  deb_pack "$out" kubelet "$version" 'iptables (>= 1.4.21), kubernetes-cni (>= 0.8.7),
 iproute2, socat, util-linux, mount, ebtables, ethtool, conntrack'
  deb_kubernetes_cni "$out" "$cni"
}

# Upstream's kubernetes-cni has the plugins in /opt/cni/bin, where the kubelet
# looks; the version is the plugins' true one.
deb_kubernetes_cni() {
  local out=$1 cni=$2 version
  version=$(dpkg-deb -f "$cni" Version)
  version=${version%%[-+]*}-00
  dpkg-deb -x "$cni" plugins
  mkdir -p tree/kubernetes-cni/opt/cni/bin
  cp plugins/usr/lib/cni/* tree/kubernetes-cni/opt/cni/bin/
  deb_pack "$out" kubernetes-cni "$version" ''
}

# debs_crictl DIR BUILT: what upstream's package cri-tools has, from BUILT.
debs_crictl() {
  install -D -m 755 "$2/crictl" tree/cri-tools/usr/bin/crictl
  deb_pack "$1" cri-tools "$KUBE_VERSION-00" ''
}

# deb_pack OUT NAME VERSION DEPENDS: make a package of tree/NAME.
deb_pack() {
  local out=$1 name=$2 version=$3 depends=$4 tree=tree/$2
  mkdir -p "$tree/DEBIAN"
  {
    printf 'Package: %s\nVersion: %s\nArchitecture: amd64\n' "$name" "$version"
    [ -z "$depends" ] || printf 'Depends: %s\n' "$depends"
    printf 'Maintainer: kbrun lab <root@localhost>\nSection: misc\nPriority: optional\n'
    printf 'Description: Kubernetes %s, packed for the lab from Debian sources\n' "$name"
  } >"$tree/DEBIAN/control"
  (cd "$tree" && find etc -type f 2>/dev/null | sed 's,^,/,') >conffiles || true
  [ ! -s conffiles ] || mv conffiles "$tree/DEBIAN/conffiles"
  dpkg-deb --root-owner-group -Zgzip -z1 --build "$tree" \
    "$out/${name}_${version}_amd64.deb" >/dev/null
}
