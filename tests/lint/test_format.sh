#!/usr/bin/env bash
# The sources look as .clang-format says.
set -euo pipefail
command -v clang-format >/dev/null || { echo "no clang-format"; exit 77; }
cd "$MPIVF_SOURCE"
find src include tests bench docs \( -name '*.c' -o -name '*.h' \) -print0 | xargs -0 clang-format --dry-run -Werror
