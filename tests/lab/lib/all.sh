# shellcheck shell=bash
# All parts of the lab. LAB_HOME must be set.

# shellcheck source=tests/lib/common.sh
. "$LAB_HOME/../lib/common.sh"
# shellcheck source=tests/lib/apt.sh
. "$LAB_HOME/../lib/apt.sh"
# shellcheck source=tests/lab/lib/state.sh
. "$LAB_HOME/lib/state.sh"
# shellcheck source=tests/lab/lib/cgroup.sh
. "$LAB_HOME/lib/cgroup.sh"
# shellcheck source=tests/lab/lib/base.sh
. "$LAB_HOME/lib/base.sh"
# shellcheck source=tests/lab/lib/net.sh
. "$LAB_HOME/lib/net.sh"
# shellcheck source=tests/lab/lib/node.sh
. "$LAB_HOME/lib/node.sh"
# shellcheck source=tests/lab/lib/access.sh
. "$LAB_HOME/lib/access.sh"
