#!/usr/bin/env bash
# Where descents of the usual tree are long, a broad one takes its place: the same bytes on any number of ranks, and after
# kills while either tree stands.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"

sums() {
    (cd "$1" && find models fragments -type f -print0 | sort -z | xargs -0 sha256sum)
}

expect 0 "$MPIVF" generate --quiet --output rows.fbin --rows 34000 --dim 24 --clusters 8000 --intrinsic 8
build=(build --input rows.fbin --factory "IVF32768,SQ8" --iterations 1)

expect 0 "$MPIVF" "${build[@]}" --threads 1 --checkpoint-interval 1e9 reference
grep -q '724 nodes right above' err || fail "no word of the usual tree: $(cat err)"
grep -q '4096 nodes right above' err || fail "no word of the broad tree: $(cat err)"
sums reference >reference.sums

kill_at tree.ckpt "$MPIVF" "${build[@]}" --threads 1 --checkpoint-interval 0 index
kill_at broad-1.ckpt "$MPIVF" "${build[@]}" --threads 1 --checkpoint-interval 0 index
kill_at way.ckpt "$MPIVF" "${build[@]}" --threads 1 --checkpoint-interval 0 index
expect 0 ranks 2 "$MPIVF" "${build[@]}" --checkpoint-interval 0 index
sums index | cmp - reference.sums || fail "other bytes after kills, on two ranks"

# Nobody asked for another tree where the nodes are given.
expect 0 "$MPIVF" "${build[@]}" --level-nodes 500 index --restart --replace
grep -q '500 nodes right above' err || fail "not the nodes that were wanted: $(cat err)"
if grep -q '4096 nodes' err; then
    fail "a broad tree in place of the nodes that were wanted"
fi

# Of lists that are mostly copies of each other a broad tree has few nodes. It is not grown again, and its lists renumbered,
# when it was kept and the way was not.
with_python numpy
"$python" - <<'PYTHON'
import numpy
rng = numpy.random.default_rng(3)
lists = rng.standard_normal((2600, 48)).astype("f4")
numpy.save("centroids.npy", numpy.concatenate([lists, lists[rng.integers(0, 2600, 32768 - 2600)]]))
numpy.save("rows.npy", rng.standard_normal((34000, 48)).astype("f4"))
PYTHON
rm -r reference index
build=(build --input rows.npy --centroids centroids.npy --factory "IVF,SQ8" --levels 2 --threads 2)
expect 0 "$MPIVF" "${build[@]}" --checkpoint-interval 1e9 reference
grep -q '2600 nodes right above' err || fail "no broad tree of few nodes: $(cat err)"
kill_at way.ckpt "$MPIVF" "${build[@]}" --checkpoint-interval 0 index
rm index/building/*/train/{way,tree-1,broad-1}.ckpt
expect 0 "$MPIVF" "${build[@]}" index
if grep -q 'nodes right above' err; then
    fail "the tree was grown again: $(cat err)"
fi
sums reference >reference.sums
sums index | cmp - reference.sums || fail "other bytes after a kill, where a broad tree has few nodes"
