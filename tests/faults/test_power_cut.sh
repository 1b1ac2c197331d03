#!/usr/bin/env bash
# The power fails, at random moments of a build, around its commit, and right after it: all ranks are killed, and what the
# index's filesystem (ext4 in a file) had not written yet is lost. kill -9 alone would leave that to the system, which
# writes it later. The old version answers, a version that was reported as committed is there, and the same command ends as
# it should.
# shellcheck disable=SC2317 # attempt calls them
# shellcheck source=../support/faults.sh
source "$MPIVF_SOURCE/tests/support/faults.sh"
[ "$faults_apart" = yes ] || { echo "mounting takes root"; exit 77; }
need_failio
cuts=2
if [ "$form" = long ]; then
    cuts=100
fi
mkdir disk
index=disk/index
: >ledger

# Nothing but what programs ask for is written before the cut.
mount_image() {
    mount -o loop,commit=300 image disk
}

truncate -s 32m image
if ! mkfs.ext4 -q image 2>/dev/null || ! mount_image 2>/dev/null; then
    echo "no ext4 in a file here"
    exit 77
fi

# cut_power: what the disk holds now, and nothing of what is still in memory.
cut_power() {
    cp --sparse=always image cut
    umount disk
    mv cut image
    mount_image
}

begin() {
    reset_scene
    sync -f disk
}

# A file that was written and not synced is lost by the cut, or this test tests nothing.
check_cut() {
    begin
    echo kept >disk/kept
    sync disk/kept
    echo lost >disk/lost
    cut_power
    [ "$(cat disk/kept)" = kept ] || fail "the cut loses what was synced"
    [ ! -s disk/lost ] || fail "the cut loses nothing"
}

# at_moment MICROSECONDS
at_moment() {
    begin
    launch "${build[@]}" || fail "the build did not start: $(cat run.err)"
    sleep "$(printf '%d.%06d' $(($1 / 1000000)) $(($1 % 1000000)))"
    cat "$pids"/* | xargs kill -9 2>/dev/null || true
    landed
    cut_power
    [ "$code" -ne 0 ] || is_committed || fail "reported as committed, and lost"
    either_answers
    complete
}

# around RULE
around() {
    begin
    with_fault "$1"
    [ "$code" -ne 0 ] || fail "not killed"
    cut_power
    either_answers
    complete
}

after_the_end() {
    begin
    expect 0 on_ranks "${build[@]}"
    cut_power
    is_committed || fail "reported as committed, and lost"
    search_index now.bin
    same now.bin new.bin
    is_new
}

set_scene --factory IVF64,PQ16 --fragment-rows 500
attempt self check_cut
attempt end after_the_end
attempt before-commit around "link,$index/manifests,1,kill,0"
attempt after-commit around "link,$index/manifests,1,killafter,0"
attempt first-fragment around "rename,$index/fragments,2,killafter,1"
for ((cut = 1; cut <= cuts; cut++)); do
    below "$undisturbed"
    attempt "cut-$cut" at_moment "$drawn"
done
umount disk
conclude "$((cuts + 4)) power cuts"
