# shellcheck shell=bash
# Packages and image archives become a bundle: kbrun does that.

# Counted up when kbrun makes another bundle of the same things, so that bundles
# in the cache are made again.
bundle_format() { echo 1; }

# The kbrun of KBRUN, or else the one that was built last.
kbrun_path() {
  local found=${KBRUN:-}
  # shellcheck disable=SC2012 # the names are ours
  [ -n "$found" ] || found=$(ls -t "$LAB_HOME"/../../build*/kbrun 2>/dev/null | head -1)
  [ -x "$found" ] || die "no kbrun to make the bundle with: build it, or say KBRUN=/where/it/is"
  echo "$found"
}

# bundle_collect OUT: of debs/ and images/ here.
bundle_collect() {
  "$(kbrun_path)" lua "$LAB_HOME/bundle.d/collect.lua" "$1" "$PWD/debs" "$PWD/images"
}
