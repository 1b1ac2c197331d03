#!/usr/bin/env bash
# search_ranks.sh INDEX QUERIES [NPROBE]: queries/s of `mpivf search` on one rank, on two, and of two single ranks that search
# at the same time, each for all queries, which is what the machine's two cores can give. One thread a rank. All three
# alternate; the best of REPETITIONS (5) is printed. MPIVF: the program (build/release/bin/mpivf).
set -euo pipefail
index=$1 queries=$2 nprobe=${3:-16}
mpivf=${MPIVF:-$(dirname "$0")/../build/release/bin/mpivf}
export OMP_NUM_THREADS=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

run() { # run NAME RANKS [CORE]: its queries/s are added to the file NAME
    local name=$1 bind=(--bind-to core)
    [ $# -lt 3 ] || bind=(--bind-to none taskset -c "$3")
    mpirun -n "$2" "${bind[@]}" "$mpivf" search "$index" --queries "$queries" --k 10 --nprobe "$nprobe" --output "$work/$name.ibin" --json \
        --quiet | python3 -c 'import json, sys; d = json.load(sys.stdin); print(d["queries"] / d["seconds"])' >>"$work/$name"
}

for ((i = 0; i < ${REPETITIONS:-5}; i++)); do
    run one 1
    run two 2
    run left 1 0 &
    run right 1 1
    wait
done
cmp "$work/one.ibin" "$work/two.ibin"
python3 - "$work" "$index" "$nprobe" <<'PYTHON'
import sys
def read(name):
    return [float(line) for line in open(f"{sys.argv[1]}/{name}")]
one, two = max(read("one")), max(read("two"))
both = max(a + b for a, b in zip(read("left"), read("right")))
print(f"{sys.argv[2]} nprobe {sys.argv[3]}: 1 rank {one:.0f}/s, 2 ranks {two:.0f}/s ({two / one:.2f}), two at once {both:.0f}/s ({both / one:.2f})")
PYTHON
