# shellcheck shell=bash
# Packages and image archives become a bundle: kbrun does that.

# What playbooks install from the distribution, on whatever node.
NODE_PACKAGES=(docker.io containerd runc haproxy etcd-server etcd-client conntrack
  socat ebtables ethtool ipset containernetworking-plugins zstd curl)

# Counted up when kbrun makes another bundle of the same things, so that bundles
# in the cache are made again.
bundle_format() { echo 2; }

# The kbrun of KBRUN, or else the one that was built last.
kbrun_path() {
  local found=${KBRUN:-}
  # shellcheck disable=SC2012 # the names are ours
  [ -n "$found" ] || found=$(ls -t "$LAB_HOME"/../../build*/kbrun 2>/dev/null | head -1)
  [ -x "$found" ] || die "no kbrun to make the bundle with: build it, or say KBRUN=/where/it/is"
  echo "$found"
}

# bundle_collect OUT BASE: of debs/ and images/ here, and of the distribution's
# packages with what they depend on beyond BASE.
bundle_collect() {
  local out=$1 base=$2
  {
    printf 'images:\n- archive: images/*.tar\npackages:\n  debs: debs/*.deb\n'
    printf '  installed: %s/var/lib/dpkg/status\n' "$base"
    printf '  names: [%s]\n' "$(IFS=, && echo "${NODE_PACKAGES[*]}")"
    printf '  sources:\n'
    apt_sources deb | sed "s/.*/  - '&'/"
  } >declaration.yaml
  "$(kbrun_path)" "$LAB_HOME/../../playbooks/bundle.lua" --extra bundle="$out" \
    --extra declaration="$PWD/declaration.yaml"
}
