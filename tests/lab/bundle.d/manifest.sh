# shellcheck shell=bash
# bundle.yaml: what is in the bundle, so that a reader can choose and check
# without opening anything.

manifest_write() {
  local bundle=$1 file
  {
    printf 'bundle: kubernetes\nversion: %s\narch: amd64\nitems:\n' "$KUBE_VERSION"
    for file in "$bundle"/images/*.tar; do manifest_image "$bundle" "$file"; done
    for file in "$bundle"/debs/*.deb; do manifest_package "$bundle" "$file"; done
  } >"$bundle/bundle.yaml"
}

manifest_image() {
  local bundle=$1 file=$2 id name
  read -r id name < <(image_identity "$file")
  printf -- '- kind: image\n  name: "%s"\n  version: "%s"\n  arch: amd64\n  id: sha256:%s\n' \
    "$name" "${name##*:}" "$id"
  manifest_file "$bundle" "$file"
}

manifest_package() {
  local bundle=$1 file=$2
  # shellcheck disable=SC2016 # ${...} is dpkg's own notation here
  dpkg-deb -W --showformat '- kind: package\n  name: ${Package}\n  version: "${Version}"\n  arch: ${Architecture}\n' \
    "$file"
  manifest_file "$bundle" "$file"
}

manifest_file() {
  local bundle=$1 file=$2
  printf '  size: %s\n  sha256: %s\n  path: %s\n' "$(stat -c %s "$file")" \
    "$(sha256sum <"$file" | cut -d' ' -f1)" "${file#"$bundle"/}"
}
