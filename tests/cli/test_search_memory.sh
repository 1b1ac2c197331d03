#!/usr/bin/env bash
# search, eval, tune --memory: out of core, with candidates that are re-ranked and with queries by id, the peak stays within the limit
# that a refusal tells, and the results are those in memory.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
if ldd "$MPIVF" | grep -qE 'lib(a|t|ub)san'; then
    echo "memory is not the program's own"
    exit 77
fi
expect 0 "$MPIVF" generate --output rows.fbin --rows 120000 --dim 128 --clusters 100 --queries 100 --queries-output q.fbin --quiet
common=(--input rows.fbin --factory "IVF256,SQ8" --iterations 1 --sample 10000 --quiet)
expect 0 "$MPIVF" build kept "${common[@]}" --keep-vectors f32
expect 0 "$MPIVF" build plain "${common[@]}"
python3 -c 'import struct; open("some.ids", "wb").write(b"".join(struct.pack("<q", i) for i in range(0, 120000, 30)))'

# least COMMAND...: sets `least` to what is told to fit in place of 8 MiB.
least() {
    expect 2 "$@" --memory 8M
    complains_of 'searching needs .* of a rank \(.* for the model and the program, .* for queries and what is found, .* for lists that are read\), --memory allows 8.0 MiB; what fits: --memory [0-9]+M'
    least=$(grep -oE -- '--memory [0-9]+M' err | tail -1 | tr -dc 0-9)
}

# check COMMAND...: within the least memory it finds what it finds without a limit.
check() {
    expect 0 "$@" --output expected.ibin
    least "$@"
    within "$least" "$@" --memory "${least}M" --output found.ibin
    same expected.ibin found.ibin
    same expected.fbin found.fbin
}
for index in kept plain; do
    check "$MPIVF" search "$index" --queries q.fbin --nprobe 16 --rerank 500
    reranked=$least
done
check "$MPIVF" search kept --ids some.ids --nprobe 4
grep -q 'of 256 lists are held' err || fail "it is not out of core"
check mpirun -n 2 --bind-to none "$MPIVF" search plain --ids some.ids --nprobe 4 --rerank 30

# What takes the room is named.
expect 2 "$MPIVF" search plain --queries q.fbin --nprobe 16 --rerank 20000 --memory "${reranked}M"
complains_of 'or fewer queries at once, a smaller --k, --nprobe or --rerank$'

expect 0 "$MPIVF" exact --input rows.fbin --queries q.fbin --k 10 --output truth.ibin --quiet
least "$MPIVF" eval kept --queries q.fbin --groundtruth truth.ibin --nprobe 4,32 --rerank 100
within "$least" "$MPIVF" eval kept --queries q.fbin --groundtruth truth.ibin --nprobe 4,32 --rerank 100 --memory "${least}M" --json
json '[s["recall"][-1]["by_id"] for s in d["settings"]][1] > 0.9'

# tune counts what it finds true neighbours with: rows of the files beside the lists, and re-ranks by them.
settings='[(s["nprobe"], s["rerank"], s["recall"]) for s in d["settings"]]'
for queries in --sample=100 --queries=q.fbin; do
    tune=("$MPIVF" tune plain "$queries" "--nprobe=4,32" "--rerank=0,100" --dry-run --json)
    expect 0 "${tune[@]}"
    python3 -c "import json; d = json.load(open('out')); print($settings)" >expected
    least "${tune[@]}"
    within "$least" "${tune[@]}" --memory "${least}M"
    grep -q 'of 256 lists are held' err || fail "it is not out of core"
    python3 -c "import json; d = json.load(open('out')); print($settings)" | cmp - expected || fail "other settings"
done
expect 0 mpirun -n 2 --bind-to none "${tune[@]}" --memory "$((2 * least))M"
python3 -c "import json; d = json.load(open('out')); print($settings)" | cmp - expected || fail "other settings"
least "$MPIVF" tune kept --queries q.fbin --groundtruth truth.ibin --rerank 100 --dry-run
within "$least" "$MPIVF" tune kept --queries q.fbin --groundtruth truth.ibin --rerank 100 --dry-run --memory "${least}M"
