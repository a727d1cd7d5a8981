# shellcheck shell=bash
# crictl, which kubeadm needs with any runtime but docker and Debian does not
# have: a small one of the lab's own, built within the sources of Kubernetes.

# The name of the cache entry; empty as long as there are no package lists.
crictl_name() {
  local version
  version=$(kubernetes_source_version)
  [ -z "$version" ] || echo "crictl-$version-$(short_hash <"$LAB_HOME/bundle.d/crictl/main.go")"
}

crictl_path() {
  cached_by crictl_name crictl_build
}

# crictl_build DIR: the program.
crictl_build() {
  local out=$1 work=$PWD version source
  version=$(kubernetes_source_version)
  say "building a crictl within the sources of Kubernetes (about a minute)"
  suite_apt get source "kubernetes=$version" >log
  source=$(echo "$work"/kubernetes-*/)
  install -D -m 644 "$LAB_HOME/bundle.d/crictl/main.go" "$source/cmd/crictl/main.go"
  # As Kubernetes itself was built then: by its place below GOPATH.
  mkdir -p "$work/go/src/k8s.io"
  ln -s "$source" "$work/go/src/k8s.io/kubernetes"
  (cd "$work/go/src/k8s.io/kubernetes" && env -u GOFLAGS HOME="$work" GOCACHE="$work/gocache" \
    GOPATH="$work/go" GO111MODULE=off CGO_ENABLED=0 go build -o "$out/crictl" ./cmd/crictl) \
    >"$work/log" 2>&1 || {
    tail -40 "$work/log" >&2
    die "crictl could not be built; the end of what go said is above"
  }
}
