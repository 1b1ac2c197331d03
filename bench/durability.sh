#!/usr/bin/env bash
# durability.sh [PAIRS]: what it costs that a build is durable and can be resumed. Builds an index PAIRS times (9 unless told
# otherwise) in each of three ways that take turns, and prints the medians of their times:
#     all       as it is
#     unsynced  fsync and fdatasync do nothing
#     bare      the same, and no checkpoint of training is kept: creating one fails
# ROWS, DIM, FACTORY, RANKS, FRAGMENT_ROWS and THREADS in the environment choose the build. Takes a build with tests, for the library of
# faults. Works in ./durability.work, which should be on the kind of disk that is asked about.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mpivf=${MPIVF:-$root/build/release/bin/mpivf}
failio=${FAILIO_LIBRARY:-$root/build/release/tests/libmpivf_failio.so}
pairs=${1:-9}
rows=${ROWS:-1000000} dim=${DIM:-96} factory=${FACTORY:-IVF1024,PQ24} ranks=${RANKS:-2}
fragment_rows=${FRAGMENT_ROWS:-50000}
export OMP_NUM_THREADS=${THREADS:-1}
for file in "$mpivf" "$failio"; do
    [ -e "$file" ] || { echo "durability.sh: no $file; build with tests first" >&2; exit 3; }
done
mkdir -p durability.work
cd durability.work
[ -s "rows-$rows-$dim.fbin" ] || "$mpivf" generate --quiet --rows "$rows" --dim "$dim" --output "rows-$rows-$dim.fbin"

# timed WAY RULES: one build, and its seconds into WAY.seconds.
timed() {
    rm -rf index
    sync -f .
    mpirun -n "$ranks" --bind-to none env LD_PRELOAD="$failio" FAILIO="$2" "$mpivf" build index --quiet --json \
        --input "rows-$rows-$dim.fbin" --factory "$factory" --fragment-rows "$fragment_rows" >build.json 2>build.log ||
        { cat build.log >&2; exit 1; }
    python3 -c 'import json; print(json.load(open("build.json"))["seconds"])' >>"$1.seconds"
    cat index/models/*.h5 index/fragments/*.h5 | sha256sum >>sums
}

rm -f ./*.seconds sums
for ((pair = 0; pair < pairs; pair++)); do
    # The library judges calls in each of the ways, so that it costs each the same.
    timed all "sync,/index/,0,skip;open,/train/,0,ENOSPC"
    timed unsynced "sync,/index/,1+,skip;open,/train/,0,ENOSPC"
    timed bare "sync,/index/,1+,skip;open,/train/,1+,ENOSPC"
done
[ "$(sort -u sums | wc -l)" -eq 1 ] || { echo "durability.sh: the builds differ" >&2; exit 1; }
python3 - "$rows" "$dim" "$factory" "$ranks" <<'PYTHON'
import statistics, sys
times = {way: [float(x) for x in open(way + ".seconds")] for way in ("all", "unsynced", "bare")}
print(f"{sys.argv[1]} rows of {sys.argv[2]} values, {sys.argv[3]}, {sys.argv[4]} ranks, {len(times['all'])} builds of each")
for way, seconds in times.items():
    pairs = [100 * (a / s - 1) for a, s in zip(times["all"], seconds)]
    print(f"{way:9s} median {statistics.median(seconds):8.3f} s  best {min(seconds):8.3f} s"
          f"  'all' above it, median of pairs: {statistics.median(pairs):+.1f} %")
PYTHON
