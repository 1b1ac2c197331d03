#!/usr/bin/env bash
# A rank that does not go on: stopped as a whole, or caught in a call of a filesystem that does not answer. With
# --stall-timeout the job ends by itself, names the rank and the phase, and can be resumed.
# shellcheck disable=SC2317 # attempt calls them
# shellcheck source=../support/faults.sh
source "$MPIVF_SOURCE/tests/support/faults.sh"
need_failio
set_scene --factory IVF16,PQ8 --fragment-rows 1000 --stall-timeout 5 --quiet
bound=60
: >ledger

# ended_in_time WHAT RANK BEGAN
ended_in_time() {
    local took
    landed
    cp run.err err
    [ "$code" -eq 75 ] || fail "code $code instead of 75"
    took=$((($(microseconds) - $3) / 1000))
    [ "$took" -le $((bound * 1000)) ] || fail "ends only after $took ms"
    grep '^mpivf: ' err | grep -q "rank $2" || fail "does not name rank $2"
    echo "$1: ended after $took ms" >>ledger
    old_answers
    complete
}

# hung RULE RANK: the gate is never opened.
hung() {
    local began
    reset_scene
    hold "$1,$2" "${build[@]}"
    began=$(microseconds)
    ended_in_time "hung in ${1%%,*}" "$2" "$began"
}

# stopped RANK MICROSECONDS
stopped() {
    local began
    reset_scene
    launch "${build[@]}" || fail "the build did not start: $(cat run.err)"
    until [ -e "$index/building" ]; do
        kill -0 "$job" 2>/dev/null || fail "the build did not begin: $(cat run.err)"
        sleep 0.01
    done
    sleep "0.$(printf '%06d' "$2")"
    kill -STOP "$(cat "$pids/$1")"
    began=$(microseconds)
    ended_in_time stopped "$1" "$began"
}

attempt write-1 hung "write,$index/fragments,20,wait" 1
attempt stopped-2 stopped 2 100000
if [ "$form" = long ]; then
    for rank in 0 1 2; do
        attempt "sync-$rank" hung "sync,$index/fragments,2,wait" "$rank"
        attempt "open-$rank" hung "open,$index/fragments,2,wait" "$rank"
        for moment in 0 1 2 3; do
            below 500000
            attempt "stopped-$rank-$moment" stopped "$rank" "$drawn"
        done
    done
    attempt model hung "write,$index/models,5,wait" 0
    attempt manifest hung "link,$index/manifests,1,wait" 0
fi
sort ledger
conclude "$(wc -l <ledger) ranks that did not go on"
