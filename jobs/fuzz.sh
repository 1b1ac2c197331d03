#!/usr/bin/env bash
# fuzz.sh [SECONDS [TARGET...]]: each reader (or those that are named) under libFuzzer with the address and undefined behaviour
# sanitizers, for that long (120 s). Needs clang and its runtime. What it learns stays in build/fuzz/corpus; a crash, a hang of
# 10 s or memory of more than 2 GiB ends the run, and the input is left in build/fuzz/found. What our own allocator gives is
# held against the input's size by each target; HDF5 reserves whatever a damaged heap claims, but reads nothing into it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-120}
shift || true
build=build/fuzz
cmake -S . -B "$build" -DCMAKE_C_COMPILER="${CC:-clang}" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DMPIVF_FUZZ=ON \
    -DMPIVF_SANITIZE=address,undefined >/dev/null
if [ $# -eq 0 ]; then
    mapfile -t targets < <(sed -n '/^set(targets/,/)/p' tests/fuzz.cmake | sed 's/set(targets//; s/)//' | xargs -n 1)
    set -- "${targets[@]}"
fi
cmake --build "$build" --parallel "${JOBS:-2}" --target fuzz_replay "${@/#/fuzz_}" >/dev/null
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
mkdir -p "$build/found"
for target; do
    corpus=$build/corpus/$target
    mkdir -p "$corpus" "$build/seeds/$target" "$build/scratch"
    "$build/tests/fuzz_replay" --seeds "$target" "$build/seeds/$target"
    mapfile -t known < <(find "tests/fuzz/found/$target" -maxdepth 0 -type d 2>/dev/null)
    echo "fuzz: $target for $seconds s"
    TMPDIR=$build/scratch "$build/tests/fuzz_$target" -max_total_time="$seconds" -timeout=10 -malloc_limit_mb=1048576 -rss_limit_mb=2048 \
        -print_final_stats=1 -verbosity=0 -artifact_prefix="$build/found/$target-" \
        "$corpus" "$build/seeds/$target" "${known[@]}" 2>&1 | tail -n 30
done
