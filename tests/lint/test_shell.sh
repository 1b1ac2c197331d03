#!/usr/bin/env bash
# Every script passes shellcheck.
set -euo pipefail
command -v shellcheck >/dev/null || { echo "no shellcheck"; exit 77; }
cd "$MPIVF_SOURCE"
{
    find jobs tests bench -name '*.sh' -o -name '*.sbatch'
    echo .ci/run
} | xargs shellcheck --external-sources --source-path=SCRIPTDIR:.
