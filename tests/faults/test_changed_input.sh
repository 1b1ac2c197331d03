#!/usr/bin/env bash
# An input file changes while a build runs: nothing is committed, the file is named, the old version answers, and the same
# command builds from what the file is now. It changes after a build was killed: that is named as the difference to what was
# left, and --restart builds from what the file is now.
# shellcheck disable=SC2317 # attempt calls them
# shellcheck source=../support/faults.sh
source "$MPIVF_SOURCE/tests/support/faults.sh"
need_failio
cp "$photosift/base.u8bin" one.u8bin
cp -p one.u8bin saved.u8bin
# The same rows in another order.
half=$((5000 * 128))
{
    head -c 8 one.u8bin
    tail -c $half one.u8bin
    head -c $((half + 8)) one.u8bin | tail -c $half
} >other.u8bin
[ "$(stat -c %s one.u8bin)" -eq "$(stat -c %s other.u8bin)" ] || fail "files of two sizes"
input=one.u8bin
set_scene --factory IVF16,PQ8 --fragment-rows 1000 --quiet

touched() {
    touch one.u8bin
}

# Neither size nor time tell.
rewritten() {
    cat other.u8bin >one.u8bin
    touch -r saved.u8bin one.u8bin
}

replaced() {
    cp other.u8bin one.new
    mv one.new one.u8bin
}

grown() {
    echo more >>one.u8bin
}

removed() {
    rm one.u8bin
}

restore() {
    rm -f one.u8bin
    cp -p saved.u8bin one.u8bin
}

# change_during HOW RULE: while a rank waits at the rule's call.
change_during() {
    reset_scene
    restore
    hold "$2" "${build[@]}"
    "$1"
    release
    landed
    cp run.out out
    cp run.err err
    [ "$code" -eq 3 ] || fail "code $code instead of 3"
    complains_of 'one\.u8bin'
    old_answers
}

# builds_anew OPTION...: from the file as it is, with the bytes of a build that knows no other.
builds_anew() {
    expect 0 on_ranks "${build[@]}" "$@"
    contents "$index" >got.contents
    reset_scene
    expect 0 on_ranks "${build[@]}"
    contents "$index" >wanted.contents
    same got.contents wanted.contents
}

# What was made of an input that is merely away is kept.
restored() {
    change_during "$@"
    [ "$1" != removed ] || [ -n "$(ls -A "$index/building" 2>/dev/null)" ] || fail "what was done is gone"
    restore
    complete
}

stays() {
    change_during "$@"
    if [ "$1" = removed ] || [ "$1" = grown ]; then
        expect 3 on_ranks "${build[@]}"
        complains_of 'one\.u8bin'
        old_answers
    else
        builds_anew
    fi
}

# after_kill HOW RULE: the file changes when nobody is there to notice.
after_kill() {
    reset_scene
    restore
    hold "$2" "${build[@]}"
    cat "$pids"/* | xargs kill -9 2>/dev/null || true
    landed
    "$1"
    expect 4 on_ranks "${build[@]}"
    complains_of 'one\.u8bin' '--restart'
    old_answers
    builds_anew --restart
    reset_scene
}

ways=(rewritten removed)
if [ "$form" = long ]; then
    ways=(touched rewritten replaced grown removed)
fi
for how in "${ways[@]}"; do
    attempt "$how-stays" stays "$how" "rename,$index/fragments,2,wait"
    attempt "$how-restored" restored "$how" "rename,$index/fragments,2,wait"
    if [ "$how" != grown ] && [ "$how" != removed ]; then
        attempt "$how-after-kill" after_kill "$how" "rename,$index/fragments,2,wait"
    fi
    if [ "$form" = long ]; then
        attempt "$how-in-training" stays "$how" "rename,$index/models,1,wait,0"
    fi
done
conclude "files that changed"
