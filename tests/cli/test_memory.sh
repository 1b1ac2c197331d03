#!/usr/bin/env bash
# --memory: each phase's peak is below the figure that the plan tells and not far below it; what does not fit is refused with
# remedies that work; an input of ten times the memory is indexed within it, to the same bytes.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
if ldd "$MPIVF" | grep -qE 'lib(a|t|ub)san' || [ ! -w /proc/self/clear_refs ]; then
    echo "memory is not the program's own, or its peak cannot be told for each phase"
    exit 77
fi
expect 0 "$MPIVF" generate --output rows.fbin --rows 160000 --dim 128 --clusters 300 --intrinsic 16 --quiet

# as_planned: every phase of the build in ./out; where data dominate within 10 % below the figure, elsewhere or 6 MiB.
as_planned() {
    python3 - "$1" <<'PYTHON' || fail "not as planned: $1"
import json, sys
wrong = 0
for phase in json.load(open("out"))["phases"]:
    peak, planned = phase["memory"]["max"], phase["memory_planned"]
    slack = 0.1 * planned if phase["name"] in ("sample", "train", "assign") else max(0.1 * planned, 6 << 20)
    fits = planned - slack <= peak <= planned
    wrong += not fits
    print(f"{sys.argv[1]:40} {phase['name']:8} {peak / 2**20:8.1f} of {planned / 2**20:8.1f} MiB {'' if fits else 'WRONG'}", file=sys.stderr)
sys.exit(wrong > 0)
PYTHON
}

build() {
    local np=$1 threads=$2
    shift 2
    rm -rf index
    local run=(ranks "$np")
    [ "$np" -gt 1 ] || run=()
    expect 0 "${run[@]}" "$MPIVF" build index --input rows.fbin --threads "$threads" --iterations 2 --json --quiet "$@"
    as_planned "np $np, $threads threads, $*"
}
build 1 1 --factory IVF256,SQ8 --fragment-rows 40000
build 2 2 --factory IVF512,PQ16 --pq-iterations 2 --fragment-rows 20000
build 2 1 --factory IVF512,Flat --fragment-rows 20000 --train-on root
build 1 2 --factory OPQ16,IVF256,PQ16 --pq-iterations 2 --sample 100000 --fragment-rows 40000

# refused: takes the remedies from the error. Each works, and less would not.
refused() {
    expect 2 "$@"
    complains_of 'needs .* of a rank, --memory allows .*; what fits: '
    remedies=$(sed -n 's/.*what fits: //p' err)
}
any=(plan new.ivf --input rows.fbin --threads 1)
plan=("${any[@]}" --factory "IVF64,SQ8")
refused "$MPIVF" "${plan[@]}" --memory 90M
sample=$(grep -oE -- '--sample [0-9]+' <<<"$remedies")
more=$(grep -oE -- '[0-9]+ ranks' <<<"$remedies")
memory=$(grep -oE -- '--memory [0-9]+M' <<<"$remedies")
if [ -z "$sample" ] || [ -z "$more" ] || [ -z "$memory" ]; then fail "remedies are missing: $remedies"; fi
[ "${more% ranks}" -le 4 ] || fail "so many ranks cannot be needed: $remedies"
# shellcheck disable=SC2086 # an option and its value
expect 0 "$MPIVF" "${plan[@]}" --memory 90M $sample
expect 2 "$MPIVF" "${plan[@]}" --memory 90M --sample $((${sample#--sample } * 11 / 10))
# shellcheck disable=SC2086
expect 0 "$MPIVF" "${plan[@]}" $memory
expect 0 ranks "${more% ranks}" "$MPIVF" "${plan[@]}" --memory 90M
refused ranks 2 "$MPIVF" "${plan[@]}" --memory 90M --train-on root
grep -q -- '--train-on all' <<<"$remedies" || fail "no --train-on all: $remedies"
expect 0 ranks 2 "$MPIVF" "${plan[@]}" --memory 90M --train-on all
# All rows are read otherwise than most of them, which takes more beside them.
drawn=(plan new.ivf --input rows.fbin --threads 8 --factory "IVF64,Flat" --fragment-rows 5000)
expect 0 "$MPIVF" "${drawn[@]}" --sample 160000 --json
json 'd["memory"]["phases"]["sample"]["bytes"] + (2 << 20) < d["memory"]["phases"]["train"]["bytes"]'
tight=$(python3 -c 'import json; print(json.load(open("out"))["memory"]["phases"]["train"]["bytes"] - (1 << 20))')
refused "$MPIVF" "${drawn[@]}" --sample 160000 --memory "$tight"
sample=$(grep -oE -- '--sample [0-9]+' <<<"$remedies")
# shellcheck disable=SC2086 # an option and its value
expect 0 "$MPIVF" "${drawn[@]}" --memory "$tight" $sample
refused "$MPIVF" "${any[@]}" --factory "IVF64,Flat" --sample 20000 --fragment-rows 160000 --memory 100M
rows=$(grep -oE -- '--fragment-rows [0-9]+' <<<"$remedies")
# shellcheck disable=SC2086
expect 0 "$MPIVF" "${any[@]}" --factory "IVF64,Flat" --sample 20000 $rows --memory 100M
refused "$MPIVF" "${plan[@]}" --memory 1M
expect 2 "$MPIVF" "${plan[@]}" --memory much
complains_of "is no number of bytes"
expect 0 "$MPIVF" "${plan[@]}" --memory 1.5GiB --json
json 'd["memory"]["limit"] == 3 << 29 and d["memory"]["phases"]["train"]["bytes"] > d["memory"]["base"] > 0'
[ ! -e new.ivf ] || fail "a refused build left something"

# Ranks of other numbers of threads cut data into the same pieces, also where the limit makes these small.
python3 - <<'PYTHON'
import array, random
random.seed(1)
values = array.array("f", (random.gauss(0, 1) for _ in range(30000 * 64)))
for row in range(0, 30000, 47):
    values[row * 64] = float("nan")
with open("gaps.fbin", "wb") as file:
    array.array("I", [30000, 64]).tofile(file)
    values.tofile(file)
PYTHON
gaps=(--quiet --input gaps.fbin --factory "IVF2048,Flat" --iterations 2 --on-bad-row skip)
refused ranks 2 "$MPIVF" plan even "${gaps[@]}" --threads 4 --memory 1M
tight=$(grep -oE -- '--memory [0-9]+M' <<<"$remedies")
tight=${tight#--memory }
expect 0 ranks 2 "$MPIVF" build even "${gaps[@]}" --threads 4 --memory "$tight"
# shellcheck disable=SC2016 # each rank's
expect 0 ranks 2 bash -c 'OMP_NUM_THREADS=$((OMPI_COMM_WORLD_RANK > 0 ? 4 : 1)) exec "$@"' rank \
    "$MPIVF" build uneven "${gaps[@]}" --memory "$tight"
same even/models/* uneven/models/*

# An input of ten times the memory.
rm rows.fbin
expect 0 "$MPIVF" generate --output rows.fbin --rows 166000 --dim 1024 --clusters 50 --intrinsic 8 --quiet
[ "$(stat -c %s rows.fbin)" -ge $((10 * 64 << 20)) ] || fail "the input is too small"
wide=(--input rows.fbin --threads 1 --factory "IVF16,PQ32" --iterations 1 --pq-iterations 1 --sample 2048 --fragment-rows 20000 --quiet)
expect 0 "$MPIVF" build limited "${wide[@]}" --memory 64M --json
json 'all(p["memory"]["max"] <= 64 << 20 for p in d["phases"])'
expect 0 "$MPIVF" build free "${wide[@]}"
for file in free/models/* free/fragments/*; do
    same "$file" "limited/${file#free/}"
done
