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

attempt tidied tidied "rename,$index/fragments,2,wait"
attempt same-assign same_twice "rename,$index/fragments,2,wait"
attempt same-commit same_twice "link,$index/manifests,1,wait,0"
attempt different-commit different "link,$index/manifests,1,wait,0"
if [ "$form" = long ]; then
    attempt tidied-model tidied "rename,$index/models,1,wait,0"
    attempt tidied-commit tidied "link,$index/manifests,1,wait,0"
    attempt same-model same_twice "rename,$index/models,1,wait,0"
    attempt different-model different "rename,$index/models,1,wait,0"
    attempt different-assign different "rename,$index/fragments,2,wait"
fi
conclude "builds beside others"
