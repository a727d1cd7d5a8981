# shellcheck shell=bash
# Everything that a lab starts is in cgroups of its own, /kbrun-lab.NAME/NODE in
# every hierarchy. That gives each node cgroups like a machine's, and it is how
# the lab knows its processes: it never ends one that is not in there.

cgroup_hierarchies() {
  awk '($3 == "cgroup" || $3 == "cgroup2") && index($2, "/sys/fs/cgroup") == 1 { print $2 }' \
    /proc/mounts
}

cgroup_check() {
  local dir found=
  while read -r dir; do
    found=yes
    [ -w "$dir" ] || die "$dir is not writable; the lab gives every node cgroups of its own"
  done < <(cgroup_hierarchies)
  [ -n "$found" ] || die "no cgroups are mounted under /sys/fs/cgroup; mount them first"
}

# Make the lab's cgroup PART (a node, or run) in every hierarchy.
cgroup_make() {
  local part=$1 dir
  while read -r dir; do
    mkdir -p "$dir/kbrun-lab.$LAB"
    cgroup_pass_on "$dir"
    mkdir -p "$dir/kbrun-lab.$LAB/$part"
  done < <(cgroup_hierarchies)
}

# A child's controllers must be switched on in version 2, and a child's cpuset
# filled in version 1, or no process can join it.
cgroup_pass_on() {
  local dir=$1 lab=$1/kbrun-lab.$LAB controller
  if [ -f "$dir/cgroup.controllers" ]; then
    while read -r controller; do
      echo "+$controller" >"$dir/cgroup.subtree_control" || true
      echo "+$controller" >"$lab/cgroup.subtree_control" || true
    done < <(tr ' ' '\n' <"$dir/cgroup.controllers") 2>/dev/null
  elif [ -f "$lab/cpuset.cpus" ]; then
    cat "$dir/cpuset.cpus" >"$lab/cpuset.cpus"
    cat "$dir/cpuset.mems" >"$lab/cpuset.mems"
    echo 1 >"$lab/cgroup.clone_children"
  fi
}

# Move the process PID into the lab's cgroup PART. One that cannot must not run:
# outside it could not be found again.
cgroup_join() {
  local part=$1 pid=$2 dir
  while read -r dir; do
    echo "$pid" >"$dir/kbrun-lab.$LAB/$part/cgroup.procs" ||
      die "process $pid cannot join $dir/kbrun-lab.$LAB/$part"
  done < <(cgroup_hierarchies)
}

# The processes in PART (all of the lab without one), a pid a line.
cgroup_processes() {
  local part=${1:-} dir
  while read -r dir; do
    [ ! -d "$dir/kbrun-lab.$LAB/$part" ] ||
      find "$dir/kbrun-lab.$LAB/$part" -name cgroup.procs -exec cat {} + 2>/dev/null || true
  done < <(cgroup_hierarchies) | sort -un
}

cgroup_has() {
  grep -qsE "/kbrun-lab\.$LAB/$1(/|\$)" "/proc/$2/cgroup"
}

# A dead process leaves its cgroup a moment after its parent has seen it go.
cgroup_remove() {
  local part=${1:-} dir
  while read -r dir; do
    [ ! -d "$dir/kbrun-lab.$LAB/$part" ] ||
      await 20 "the cgroups below $dir/kbrun-lab.$LAB/$part to be empty" \
        cgroup_remove_tree "$dir/kbrun-lab.$LAB/$part"
  done < <(cgroup_hierarchies)
}

cgroup_remove_tree() {
  [ ! -d "$1" ] || find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
}
