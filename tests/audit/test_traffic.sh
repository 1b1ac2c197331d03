#!/usr/bin/env bash
# test_traffic.sh LIBRARY NP...: what the ranks of real builds hand to MPI, counted by the library (traffic.c) and held to the
# formulas of ARCHITECTURE.md, "Communication". Builds of n and of 2 n rows must train with the same bytes, but for what
# fast k-means says of centroids that move, which depends on the data.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
library=$1
shift
export OMP_NUM_THREADS=1
with_python numpy h5py

# Nothing that moves data may go past the counter.
silent='Abort|Comm_free|Comm_rank|Comm_set_errhandler|Comm_size|Finalize|Finalized|Get_processor_name|Init_thread|Initialized|Iprobe|Irecv|Recv|Test|Testall'
silent+='|Win_lock_all|Win_sync|Win_unlock_all|T_[a-z_]+'
nm -D --undefined-only "$MPIVF" | sed -n 's/^ *U MPI_\([A-Za-z_]*\).*/\1/p' | sort -u >calls
[ -s calls ] || fail "nm lists no call of MPI"
nm -D --defined-only "$library" | sed -n 's/^.* T MPI_\([A-Za-z_]*\).*/\1/p' | sort -u >counted
grep -qx Ibcast counted || fail "the library counts nothing"
unknown=$(grep -vxE "$silent" calls | grep -vxFf counted || true)
[ -z "$unknown" ] || fail "calls of MPI that are not counted: $unknown"

rows=70000 # beyond the 65536 that PQ trains on, so that its training is the same for n and 2 n
expect 0 "$MPIVF" generate --output small.fbin --rows $rows --dim 8 --clusters 500 --intrinsic 6 --quiet
"$python" -c 'import numpy, sys; numpy.arange(int(sys.argv[1]), dtype="<i8")[::-1].tofile("ids")' $rows
expect 0 "$MPIVF" generate --output large.fbin --rows $((2 * rows)) --dim 8 --clusters 500 --intrinsic 6 --quiet

# build NP NAME FACTORY ROWS OPTION...: 20 fragments, trained on all rows. Checkpoints, whose number is a matter of time, only
# where they are asked for.
build() {
    local np=$1 name=$2 factory=$3 rows=$4
    shift 4
    mkdir -p "$np/$name"
    expect 0 ranks "$np" -x LD_PRELOAD="$library" -x MPIVF_TRAFFIC="$np/$name/traffic" "$MPIVF" build "$np/$name/index" \
        --factory "$factory" --sample "$rows" --fragment-rows $((rows / 20)) --pq-iterations 1 \
        --train-on "${trainers:-all}" --json --quiet --checkpoint-interval "${interval:-1e9}" "$@"
    mv out "$np/$name/build.json"
    expect 0 "$MPIVF" info "$np/$name/index" --json
    mv out "$np/$name/info.json"
}

for np; do
    build "$np" small IVF64,PQ4 $rows --input small.fbin --iterations 3 --train-mode exact
    build "$np" large IVF64,PQ4 $((2 * rows)) --input large.fbin --iterations 3 --train-mode exact
    build "$np" longer IVF64,PQ4 $rows --input small.fbin --iterations 4 --train-mode exact
    build "$np" fast IVF512,PQ4 $rows --input small.fbin
    build "$np" fast2 IVF512,PQ4 $((2 * rows)) --input large.fbin
    build "$np" rotated OPQ4,IVF64,PQ4 $rows --input small.fbin --iterations 3 --train-mode exact
    build "$np" tree IVF512,PQ4 $rows --input small.fbin --levels 2 --ids ids
    trainers=root build "$np" root IVF64,PQ4 $rows --input small.fbin --iterations 3 --train-mode exact
    interval=0 build "$np" kept IVF512,PQ4 $rows --input small.fbin
    "$python" "$MPIVF_SOURCE/tests/audit/check_traffic.py" "$np" || fail "traffic at $np ranks"
    rm -r "$np"/*/index
done
