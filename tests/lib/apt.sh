# shellcheck shell=bash
# Debian packages: from the sources that this machine itself uses, so that a
# user's mirror stays the user's mirror and no mirror is named here.

# The lab and the bundle are of this release, whatever the host is.
DEBIAN_SUITE=bookworm

# The packages of the named groups in tests/lib/packages.
packages_of() {
  local list
  list=$(dirname "${BASH_SOURCE[0]}")/packages
  awk -v wanted=" $* " '
    /^[^#]/ && index(wanted, " " $1 " ") { for (i = 2; i <= NF; i++) print $i }
  ' "$list"
}

package_present() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Install what is missing of the named groups; quick when nothing is.
packages_install() {
  local name missing=() log
  while read -r name; do
    package_present "$name" || missing+=("$name")
  done < <(packages_of "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${#missing[@]} Debian packages and what they need"
  log=$(mktemp)
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
    --no-install-recommends -o DPkg::Lock::Timeout=600 "${missing[@]}"; } >"$log" 2>&1 || {
    tail -20 "$log" >&2
    rm "$log"
    die "apt-get could not install: ${missing[*]}"
  }
  rm "$log"
}

# This machine's Debian sources as one-line entries of the given type (deb or
# deb-src). A machine of another release names a mirror in KBRUN_MIRROR.
apt_sources() {
  local type=$1 entry
  entry="$type [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
  # shellcheck disable=SC2016 # $(...) is apt's own notation here
  apt-get indextargets "Created-By: Packages" "Origin: Debian" \
    --format '$(CODENAME) $(REPO_URI) $(RELEASE) $(COMPONENT)' |
    awk -v entry="$entry" -v suite="$DEBIAN_SUITE" -v mirror="${KBRUN_MIRROR:-}" '
      index($1, suite) == 1 { print entry, $2, $3, $4; found = 1 }
      END {
        if (!found && mirror != "") print entry, mirror, suite, "main"
        if (!found && mirror == "") {
          print "apt has no source of Debian " suite \
            " here: set KBRUN_MIRROR to the address of a mirror" >"/dev/stderr"
          exit 1
        }
      }'
}

# Run an apt command on package lists of our own, for the lab's release and
# away from the machine's: suite_apt get|cache ARGS...
suite_apt() {
  local command=$1 state=$KBRUN_CACHE/apt-$DEBIAN_SUITE
  shift
  "apt-$command" -q=2 -o Dir::Etc::SourceList="$state/sources.list" \
    -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$state/lists" \
    -o Dir::Cache="$state" -o Dir::State::status=/dev/null \
    -o APT::Sandbox::User=root -o Acquire::Languages=none "$@"
}

# Fetch those lists. Only what has something to make calls this: a warm call
# stays with the lists it has and needs no network.
suite_refresh() {
  local state=$KBRUN_CACHE/apt-$DEBIAN_SUITE lock
  mkdir -p "$state/lists/partial" "$state/archives/partial"
  exec {lock}>"$state/lock"
  flock "$lock"
  { apt_sources deb; apt_sources deb-src; } >"$state/sources.list"
  suite_apt get update >&2
  exec {lock}>&-
}

# Name and candidate version of each package, a line each; nothing as long as
# no lists were fetched.
suite_versions() {
  { suite_apt cache show --no-all-versions "$@" 2>/dev/null || true; } |
    awk '/^Package:/ { name = $2 } /^Version:/ { print name, $2 }'
}

# A short key for a cache entry, made from what is read.
short_hash() {
  sha256sum | cut -c1-12
}

# Like cached, for an entry whose name comes from package versions:
# cached_by NAMER MAKER ARGS... The lists are fetched before making, and the
# name found again, because newer lists may name another version.
cached_by() {
  local namer=$1 name
  shift
  name=$("$namer")
  if [ -z "$name" ] || [ ! -d "$KBRUN_CACHE/$name" ]; then
    suite_refresh
    name=$("$namer")
  fi
  cached "$name" "$@"
}

# system_make DIR MMDEBSTRAP-OPTION...: a Debian of the lab's release in DIR. It
# is made in memory and copied, because dpkg waits for the disk after each file;
# the mount is in a namespace of its own and cannot be left behind.
system_make() {
  local out=$1
  shift
  mkdir memory
  # shellcheck disable=SC2016 # for the inner shell
  apt_sources deb | unshare --mount bash -euc '
    out=$1 suite=$2
    shift 2
    mount -t tmpfs -o mode=755 memory memory
    mmdebstrap --quiet --mode=root --aptopt="APT::Sandbox::User \"root\"" "$@" \
      "$suite" memory/root -
    cp -a memory/root/. "$out/"' - "$out" "$DEBIAN_SUITE" "$@"
  rmdir memory
}
