#!/usr/bin/env bash
# The disk is full, at any point of a build: small filesystems (in memory, and ext4 in a file) with a ballast that leaves from
# nothing to all of the room that the build needs (the short form: a few steps of it). One line says so, nothing hangs, the
# old version answers, and when there is room again the same command ends as it should.
# shellcheck disable=SC2317 # attempt calls them
# shellcheck source=../support/faults.sh
source "$MPIVF_SOURCE/tests/support/faults.sh"
[ "$faults_apart" = yes ] || { echo "mounting takes root"; exit 77; }
mkdir disk
index=disk/index
: >ledger

room() {
    df --output=avail -B 1024 disk | tail -n 1
}

# leave KIBIBYTES: a ballast takes the rest of the disk.
leave() {
    rm -f disk/ballast
    sync -f disk
    local rest=$(($(room) - $1))
    head -c "$((rest > 0 ? rest * 1024 : 0))" /dev/zero >disk/ballast 2>/dev/null || true
    sync -f disk
}

# with_room KIBIBYTES
with_room() {
    rm -f disk/ballast
    reset_scene
    leave "$1"
    code=0
    on_ranks "${build[@]}" --quiet >out 2>err </dev/null || code=$?
    all_gone
    if [ "$code" -ne 0 ]; then
        [ "$code" -eq 1 ] || fail "code $code instead of 1"
        complains_of "$index" "No space left on device"
        ! is_committed || fail "failed and committed"
        sed -E 's/.*(index\/[a-z]+|index)\/?.*/\1/' err | head -n 1 >>ledger
    fi
    # Nothing is written by a search, so that it also works on a full disk.
    either_answers
    rm -f disk/ballast
    complete
}

# fill KIND: on the filesystem that is mounted.
fill() {
    set_scene --factory IVF16,PQ8 --fragment-rows 1000 --iterations 4 --pq-iterations 3
    # What the build needs: what it adds, and as much again for what it does not keep.
    local before after need step kib
    before=$(room)
    expect 0 on_ranks "${build[@]}"
    after=$(room)
    need=$((2 * (before - after)))
    [ "$need" -gt 100 ] || fail "the build takes $need KiB only"
    step=$((need / 100))
    if [ "$form" = short ]; then
        step=$((need / 3))
    fi
    for ((kib = 0; kib <= need; kib += step)); do
        attempt "$1-$kib" with_room "$kib"
    done
}

mount -t tmpfs -o size=4m none disk
fill tmpfs
umount disk
kinds=tmpfs
truncate -s 16m image
if mkfs.ext4 -q -m 0 image 2>/dev/null && mount -o loop image disk 2>/dev/null; then
    fill ext4
    umount disk
    kinds+=", ext4"
fi
echo "refused at:"
sort ledger | uniq -c
conclude "$(wc -l <ledger) builds ended for want of room ($kinds)"
