#!/usr/bin/env bash
# Each public header compiles alone, as strict C11 and (where there is a compiler for it) as C++.
set -euo pipefail
fail=0
# mpivf/ranks.h is for programs that have mpi.h.
mapfile -t mpi < <(sed -n 's/^MPI_C_COMPILER_INCLUDE_DIRS:[A-Z]*=//p' "$MPIVF_BUILD/CMakeCache.txt" | tr ';' '\n' | sed 's/^/-isystem/')
compile() { # compile COMPILER LANGUAGE STANDARD HEADER
    if ! printf '#include "mpivf/%s"\nextern int not_empty;\n' "$4" | "$1" -x "$2" -std="$3" -Wall -Wextra -pedantic -Werror -fsyntax-only \
        -I"$MPIVF_SOURCE/include" -I"$MPIVF_BUILD/include" "${mpi[@]}" -; then
        echo "$4 does not compile alone as $3"
        fail=1
    fi
}
count=0
for header in "$MPIVF_SOURCE"/include/mpivf/*.h "$MPIVF_BUILD"/include/mpivf/*.h; do
    name=${header##*/}
    compile "$MPIVF_CC" c c11 "$name"
    if command -v c++ >/dev/null; then
        compile c++ c++ c++11 "$name"
    fi
    count=$((count + 1))
done
[ "$count" -ge 5 ] || { echo "found $count public headers only"; exit 1; }
exit $fail
