#!/usr/bin/env bash
# A build that is killed while it trains goes on from its checkpoints, with other ranks and threads, and yields the bytes of
# one that was left alone; a damaged checkpoint changes nothing.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"

sums() {
    (cd "$1" && find models fragments -type f -print0 | sort -z | xargs -0 sha256sum)
}

build=(build --input "$photosift/base.u8bin" --factory "OPQ16,IVF512,PQ16" --iterations 40)

expect 0 "$MPIVF" "${build[@]}" --quiet --checkpoint-interval 1e9 reference
sums reference >reference.sums

kill_at rotation.ckpt env OMP_NUM_THREADS=1 "$MPIVF" "${build[@]}" --checkpoint-interval 0 index
kill_at lists.ckpt env OMP_NUM_THREADS=2 "$MPIVF" "${build[@]}" --checkpoint-interval 0 index
grep -q 'goes on from the checkpoints' err || fail "what the first run kept is not used"
kill_at pq-3.ckpt env OMP_NUM_THREADS=1 "$MPIVF" "${build[@]}" --checkpoint-interval 0 index
grep -q 'goes on from the checkpoints' err || fail "what the second run kept is not used"
cp -r index damaged
expect 0 ranks 3 "$MPIVF" "${build[@]}" --checkpoint-interval 0 index
sums index | cmp - reference.sums || fail "other bytes than without a kill"
[ -z "$(find index -name '*.ckpt')" ] || fail "checkpoints are left"

for file in damaged/building/*/train/*.ckpt; do
    case $file in
    *lists.ckpt) truncate -s -1 "$file" ;;
    *pq-3.ckpt) printf 'x' | dd of="$file" bs=1 seek=1000 conv=notrunc status=none ;;
    esac
done
expect 0 ranks 2 "$MPIVF" "${build[@]}" --checkpoint-interval 0 damaged
grep -q 'lists.ckpt: is torn' err || fail "no word of the torn checkpoint"
grep -q 'pq-3.ckpt: is damaged' err || fail "no word of the damaged checkpoint"
sums damaged | cmp - reference.sums || fail "other bytes after damage"
