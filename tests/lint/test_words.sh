#!/usr/bin/env bash
# What must not be shipped: paths of the machine that something was written on, unfinished spots, white space at line ends.
set -euo pipefail
cd "$MPIVF_SOURCE"
fail=0
refuse() { # refuse WHAT PATTERN FILE...
    local what=$1 pattern=$2 found
    shift 2
    found=$(grep -nIE "$pattern" "$@" | head -n 10) || true
    if [ -n "$found" ]; then
        printf '%s:\n%s\n' "$what" "$found"
        fail=1
    fi
}
list() { # the text files of the project, or those below the folders that are named
    find "${@:-.}" \( -path ./build -o -path ./.git -o -path '*/tests/data' \) -prune -o -type f -print0 | grep -zvE '/test_words\.sh$|^(\./)?LICENSE$|^\./\.git$'
}
mapfile -d '' -t all < <(list)
mapfile -d '' -t shipped < <(list src include jobs cmake)
[ "${#shipped[@]}" -ge 20 ] || { echo "found ${#shipped[@]} shipped files only"; exit 1; }
# Left of the path: nothing that makes it a part of a longer one (or of a URL).
paths='(^|[^A-Za-z0-9_./$}-])/(home|root|work|mnt|scratch|Users|build)/[A-Za-z0-9_.-]'
unfinished='(^|[^A-Za-z])(TODO|FIXME|XXX|HACK)($|[^A-Za-z])|not (yet )?implemented'
echo 'x = "/work/x"; // TODO' | grep -E "$paths" | grep -qE "$unfinished" || { echo "the patterns have broken"; exit 1; }
refuse "paths of a build machine" "$paths" "${all[@]}"
refuse "unfinished spots" "$unfinished" "${shipped[@]}"
refuse "white space at the end of lines" '[ 	]+$' "${all[@]}"
exit $fail
