# shellcheck shell=bash
# Kubernetes 1.20.2, built from Debian's source package. Debian itself builds
# only kubectl from it. About 10 minutes on two cores; the result is cached.

KUBE_VERSION=1.20.2
# Counted up when what is below changes the result, so that a better comment
# does not cost everybody ten minutes.
KUBE_RECIPE=1
KUBE_COMMANDS=(kubeadm kubelet kubectl kube-apiserver kube-controller-manager
  kube-scheduler kube-proxy)

# The version of Debian's source package.
kubernetes_source_version() {
  suite_versions kubernetes-client | cut -d' ' -f2
}

# The name of the cache entry; empty as long as there are no package lists.
kubernetes_name() {
  local version
  version=$(kubernetes_source_version)
  [ -z "$version" ] || echo "kubernetes-$version-r$KUBE_RECIPE"
}

kubernetes_path() {
  cached_by kubernetes_name kubernetes_build
}

# kubernetes_build DIR: the binaries, the pause program, the sources' licence.
kubernetes_build() {
  local out=$1 work=$PWD version source
  version=$(kubernetes_source_version)
  say "building Kubernetes $KUBE_VERSION from source package $version (about 10 minutes)"
  suite_apt get source "kubernetes=$version" >log
  source=$(echo "$work"/kubernetes-*/)
  kubernetes_mend "$work" "$source"
  kubernetes_make "$work" "$source"
  cp "$source"/_output/local/bin/linux/*/kube* "$out/"
  gcc -Os -s -static -DVERSION=3.2 -o "$out/pause" "$source/build/pause/linux/pause.c"
  cp "$source/LICENSE" "$out/"
  say "Kubernetes is built"
}

# The vendored reflect2 1.0.1 crashes under Go 1.18 and later (kubeadm panics
# while writing the kubelet's configuration): take Debian's 1.0.2 instead.
kubernetes_mend() {
  local work=$1 source=$2 vendored=$2/vendor/github.com/modern-go/reflect2
  suite_apt get download golang-github-modern-go-reflect2-dev
  dpkg-deb -x golang-github-modern-go-reflect2-dev_*.deb "$work/reflect2"
  rm -rf "$vendored"
  cp -r "$work/reflect2/usr/share/gocode/src/github.com/modern-go/reflect2" "$vendored"
}

kubernetes_make() {
  local work=$1 source=$2
  cat >"$work/version" <<END
KUBE_GIT_COMMIT=$(printf '%040d' 0)
KUBE_GIT_TREE_STATE=archive
KUBE_GIT_VERSION=v$KUBE_VERSION
KUBE_GIT_MAJOR=1
KUBE_GIT_MINOR=20
END
  env -u GOFLAGS HOME="$work" GOCACHE="$work/gocache" GOPATH="$work/go" CGO_ENABLED=0 \
    KUBE_GIT_VERSION_FILE="$work/version" \
    make -C "$source" WHAT="${KUBE_COMMANDS[*]/#/cmd/}" >"$work/log" 2>&1 || {
    tail -40 "$work/log" >&2
    die "the Kubernetes build failed; its end is above"
  }
}
