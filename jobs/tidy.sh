#!/usr/bin/env bash
# tidy.sh [FILE...]: runs clang-tidy over the C sources (all of src/, or those that are named), as .clang-tidy says. Configures
# build/release.
set -euo pipefail
# shellcheck source=jobs/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

command -v clang-tidy >/dev/null || { echo "tidy.sh: there is no clang-tidy" >&2; exit 3; }
cd "$root"
# A folder that stands may know nothing of files that are new.
if [ -f "$build/CMakeCache.txt" ]; then cmake "$build" >/dev/null; else configure -DBUILD_TESTING=OFF >/dev/null; fi
if [ $# -eq 0 ]; then
    mapfile -t files < <(find src -name '*.c' | sort)
    set -- "${files[@]}"
fi
printf '%s\0' "$@" | xargs -0 -n 1 -P "$(cores)" clang-tidy --quiet -p "$build" 2> >(grep -v ' generated\.$' >&2)
