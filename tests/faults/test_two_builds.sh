#!/usr/bin/env bash
# Two builds of one index at the same time. The same one twice: the second says that the first is running. Two different ones:
# the first to commit wins, the other says so, and its work becomes the next version without being done again. Tidying up
# beside a build takes nothing away from it.
# shellcheck disable=SC2317 # attempt calls them
# shellcheck source=../support/faults.sh
source "$MPIVF_SOURCE/tests/support/faults.sh"
need_failio
set_scene --factory IVF16,PQ8 --fragment-rows 1000 --quiet

# beside COMMAND...: while another job is held.
beside() {
    local pids=others
    on_ranks "$@"
}

# ends_with CODE: the job that was held goes on, and ends so; what it says is in out and err.
ends_with() {
    release
    landed
    cp run.out out
    cp run.err err
    [ "$code" -eq "$1" ] || fail "code $code instead of $1"
}

# same_twice RULE
same_twice() {
    reset_scene
    hold "$1" "${build[@]}"
    expect 4 beside "${build[@]}"
    complains_of "$index"
    old_answers
    ends_with 0
    is_new
}

# different RULE
different() {
    reset_scene
    hold "$1" "${build[@]}"
    expect 0 beside "${base[@]}" --seed 3
    search_index third.bin
    ends_with 4
    complains_of "$index"
    search_index now.bin
    same now.bin third.bin
    snapshot before
    expect 0 on_ranks "${build[@]}"
    snapshot after
    [ -z "$(comm -23 before after)" ] || fail "written again: $(comm -23 before after)"
    [ -e "$index/manifests/000003.json" ] || fail "no next version"
    search_index now.bin
    same now.bin new.bin
    contents "$index" | sort >now.contents
    [ -z "$(grep -v ^manifests new.contents | sort | comm -23 - now.contents)" ] || fail "not the files of an undisturbed build"
}

# tidied RULE
tidied() {
    reset_scene
    hold "$1" "${build[@]}"
    expect 0 timeout -k 5 "$limit" "$MPIVF" vacuum "$index" --older-than 0s --delete --quiet
    old_answers
    ends_with 0
    is_new
}

# overtaken RULE: what was read for a compaction is not the newest version any more when it begins.
overtaken() {
    reset_scene
    hold "$1" "$MPIVF" compact "$index" --quiet
    expect 0 beside "${build[@]}"
    ends_with 4
    complains_of "$index" "version 2 was committed while version 1"
    is_new
}

# patient: waiting for somebody else's lock is no hang.
patient() {
    reset_scene
    mkdir -p "$index/building"
    flock "$index/building/lock" sleep 6 &
    until ! flock -n "$index/building/lock" true; do sleep 0.02; done
    expect 0 on_ranks "${build[@]}" --stall-timeout 2s
    is_new
}

# in_turn RULE: a run that holds the lock of all builds makes another one wait for it, but no longer.
in_turn() {
    local other codes
    reset_scene
    hold "$1" "${build[@]}"
    beside "${base[@]}" --seed 3 >second.out 2>second.err </dev/null &
    other=$!
    sleep 2
    kill -0 "$other" 2>/dev/null || fail "did not wait: $(cat second.err)"
    release
    landed
    codes=$code
    code=0
    wait "$other" || code=$?
    codes+=" $code"
    [[ $codes = "0 4" || $codes = "4 0" ]] || fail "codes $codes: $(cat run.err second.err)"
}

attempt tidied tidied "rename,$index/fragments,2,wait"
attempt same-assign same_twice "rename,$index/fragments,2,wait"
attempt same-commit same_twice "link,$index/manifests,1,wait,0"
attempt different-commit different "link,$index/manifests,1,wait,0"
attempt patient patient
attempt overtaken overtaken "open,$index/building/lock,1,wait,0"
if [ "$form" = long ]; then
    checkpoint="rename,/train/,2,wait,0"
    model="rename,$index/models,1,wait,0"
    attempt tidied-train tidied "$checkpoint"
    attempt tidied-commit tidied "link,$index/manifests,1,wait,0"
    attempt same-train same_twice "$checkpoint"
    attempt different-train different "$checkpoint"
    attempt different-assign different "rename,$index/fragments,2,wait"
    attempt model-in-turn in_turn "$model"
fi
conclude "builds beside others"
