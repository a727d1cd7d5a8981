# shellcheck shell=bash
# All parts of the lab. LAB_HOME must be set.

for part in "$LAB_HOME"/../lib/common.sh "$LAB_HOME"/../lib/apt.sh "$LAB_HOME"/lib/state.sh \
  "$LAB_HOME"/lib/cgroup.sh "$LAB_HOME"/lib/base.sh "$LAB_HOME"/lib/net.sh \
  "$LAB_HOME"/lib/node.sh "$LAB_HOME"/lib/access.sh; do
  # shellcheck disable=SC1090
  . "$part"
done
