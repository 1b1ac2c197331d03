#!/usr/bin/env bash
# quickstart.sh: sets up, builds mpivf, indexes the bundled vectors with two ranks, and measures how many of the true
# neighbours a search finds. May be run again, from any folder, as root or not.
set -euo pipefail
# shellcheck source=jobs/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

data=$root/tests/data/photosift-10k
work=$root/build/quickstart
index=$work/index
log=$work/log.txt
mpivf=$build/bin/mpivf

bash "$root/jobs/setup.sh"
mkdir -p "$work"
: >"$log"
echo "mpivf quick start (what the tools say: $log)"

started=$SECONDS
echo "1. Building the program"
if [ ! -f "$build/CMakeCache.txt" ]; then
    logged "$log" "The configuration" configure -DBUILD_TESTING=OFF
fi
logged "$log" "The build" cmake --build "$build" --parallel "$(cores)" --target mpivf
echo "   $mpivf, after $((SECONDS - started)) s"

allow_local_ranks
threads=$((($(cores) + 1) / 2))
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$threads}
ranks=(mpirun -n 2 --bind-to none)

started=$SECONDS
echo "2. Indexing 10,000 SIFT vectors of 128 values with 2 ranks: 64 lists, a byte for each value"
logged "$log" "The indexing" "${ranks[@]}" "$mpivf" build "$index" --input "$data/base.u8bin" --factory IVF64,SQ8 --replace
echo "   $index, after $((SECONDS - started)) s"

echo "3. Searching it with 200 queries whose true neighbours are known"
"${ranks[@]}" "$mpivf" eval "$index" --queries "$data/query.u8bin" --groundtruth "$data/gt100.bin" \
    --k 1,10 --nprobe 1,4,16,64 2>>"$log" || failed "$log" "The search"

cat <<TEXT

The index is in $index.
Look at it:        $mpivf info $index
Your own vectors:  mpirun -n 2 $mpivf build MY.index --input MY.npy
All options:       $mpivf build --help
TEXT
