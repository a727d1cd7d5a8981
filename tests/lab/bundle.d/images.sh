# shellcheck shell=bash
# Container images, made without a container runtime: a docker-archive is a tar
# of manifest.json, a configuration and a layer. The same input gives the same
# bytes, so the same image id.

IMAGE_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# images_make DIR BUILT: all images, a tar each, from the Kubernetes in BUILT.
images_make() {
  local out=$1 built=$2 name
  for name in kube-apiserver kube-controller-manager kube-scheduler; do
    install -D -m 755 "$built/$name" "root-$name/usr/local/bin/$name"
    mkdir -m 1777 "root-$name/tmp"
    image_pack "$out" "k8s.gcr.io/$name:v$KUBE_VERSION" "root-$name" "\"/usr/local/bin/$name\""
  done
  image_root_proxy root-kube-proxy
  install -D -m 755 "$built/kube-proxy" root-kube-proxy/usr/local/bin/kube-proxy
  image_pack "$out" "k8s.gcr.io/kube-proxy:v$KUBE_VERSION" root-kube-proxy \
    '"/usr/local/bin/kube-proxy"'
  install -D -m 755 "$built/pause" root-pause/pause
  image_pack "$out" k8s.gcr.io/pause:3.2 root-pause '"/pause"'
  image_root_web root-web
  image_pack "$out" lab/web:1.0 root-web \
    '"/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/www"'
}

# kube-proxy runs iptables, conntrack and modprobe. The kernel's nf_tables and
# legacy tables are separate worlds, and docker and kubelet on the node decide
# by what they find; the legacy tools are what the lab-tested image has.
image_root_proxy() {
  local root=$1 tool
  say "making the root of kube-proxy's image"
  mkdir "$root"
  system_make "$root" --variant=extract --include=iptables,conntrack,kmod,ipset,libc-bin
  rm -rf "${root:?}"/usr/share/{doc,man,locale,info,bash-completion} "${root:?}"/var/{cache,log,lib/apt} \
    "${root:?}"/{etc/apt,dev}
  for tool in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
    ln -sf "xtables-legacy-multi" "$root/usr/sbin/$tool"
  done
  mkdir -p "$root/dev" "$root/run"
}

# A web server that says where it runs: busybox alone.
image_root_web() {
  local root=$1
  (suite_apt get download busybox-static && dpkg-deb -x busybox-static_*.deb busybox) >&2
  install -D -m 755 busybox/bin/busybox "$root/bin/busybox"
  mkdir -p "$root/www/cgi-bin"
  ln -s busybox "$root/bin/sh"
  ln -s busybox "$root/bin/hostname"
  echo 'it works' >"$root/www/index.html"
  printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\nhostname\n' \
    >"$root/www/cgi-bin/hostname"
  chmod 755 "$root/www/cgi-bin/hostname"
}

# image_pack OUT NAME ROOT ENTRYPOINT: ROOT as the only layer of image NAME.
image_pack() {
  local out=$1 name=$2 root=$3 entrypoint=$4 work=pack layer id
  say "packing image $name"
  rm -rf "$work"
  mkdir "$work"
  image_tar "$root" . >"$work/layer.tar"
  layer=$(sha256sum <"$work/layer.tar" | cut -d' ' -f1)
  mkdir "$work/$layer"
  mv "$work/layer.tar" "$work/$layer/layer.tar"
  image_config "$entrypoint" "$layer" >"$work/config"
  id=$(sha256sum <"$work/config" | cut -d' ' -f1)
  mv "$work/config" "$work/$id.json"
  printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["%s/layer.tar"]}]\n' \
    "$id" "$name" "$layer" >"$work/manifest.json"
  image_tar "$work" manifest.json "$id.json" "$layer" >"$out/$(image_file "$name")"
  rm -rf "$work"
}

image_tar() {
  tar -C "$1" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - "${@:2}"
}

image_config() {
  local entrypoint=$1 layer=$2
  printf '{"architecture":"amd64","os":"linux","created":"1970-01-01T00:00:00Z",'
  printf '"config":{"Env":["PATH=%s"],"Entrypoint":[%s]},' "$IMAGE_PATH" "$entrypoint"
  printf '"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},' "$layer"
  printf '"history":[{"created":"1970-01-01T00:00:00Z","created_by":"kbrun lab"}]}\n'
}

# k8s.gcr.io/pause:3.2 lives in pause_3.2.tar
image_file() {
  local name=${1##*/}
  echo "${name/:/_}.tar"
}
