#!/usr/bin/env bash
# test.sh [CTEST OPTION...]: sets up, builds and runs the tests, but for those with the label "long". Options choose others
# and go to ctest: jobs/test.sh -L unit.
# MPIVF_WERROR=ON in the environment makes compiler warnings errors.
set -euo pipefail
# shellcheck source=jobs/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bash "$root/jobs/setup.sh" --tests
mkdir -p "$build"
log=$build/build.log
: >"$log"
echo "building in $build (log: $log)"
logged "$log" "The configuration" configure -DBUILD_TESTING=ON -DMPIVF_WERROR="${MPIVF_WERROR:-OFF}"
logged "$log" "The build" cmake --build "$build" --parallel "$(cores)"
cd "$build"
[ $# -gt 0 ] || set -- -LE long
# Most tests wait for processes to start, or for each other, most of the time.
exec ctest --output-on-failure --parallel "$((2 * $(cores)))" "$@"
