#!/usr/bin/env bash
# Every kind of step that can fail does so, on every rank, early, midway and late, for one rank and for several (the short form:
# each once, on three ranks). One line and one code on all ranks, nothing hangs, nothing half-done is seen, and the same command ends as it should.
# The steps are the sites of base/fault.h, which only builds for debugging and with sanitizers have.
# shellcheck disable=SC2317 # attempt calls them
# shellcheck source=../support/faults.sh
source "$MPIVF_SOURCE/tests/support/faults.sh"
MPIVF_FAULT_LIST=$PWD/sites "$MPIVF" info nowhere >out 2>err || true
[ -s sites ] || { echo "no sites in this build"; exit 77; }
seq 0 9999 | python3 -c 'import struct, sys; sys.stdout.buffer.write(b"".join(struct.pack("<q", 3 * int(i)) for i in sys.stdin))' >ids.bin
set_scene --factory OPQ8,IVF64,PQ8 --levels 2 --fragment-rows 2500 --iterations 3 --pq-iterations 2 --sample 4000 --ids ids.bin \
    --on-bad-row skip --train-on all
build+=(--quiet)
: >ledger

# planted SITE PASS RANK
planted() {
    reset_scene
    code=0
    rm -f passed
    on_ranks env MPIVF_FAULT="$1,$2,$3" MPIVF_FAULT_LIST="$PWD/passed" "${build[@]}" >out 2>err </dev/null || code=$?
    [ "$code" -ne 124 ] || fail "hangs"
    all_gone
    if [ "$code" -ne 0 ]; then
        [ "$code" -eq 1 ] || fail "code $code instead of 1"
        complains_of .
        echo "$1: refused" >>ledger
    elif awk -v rank="$3" -v site="$1" -v pass="$2" '$1 == rank && $2 == site && $3 >= pass { hit = 1 } END { exit !hit }' passed; then
        echo "$1: done without" >>ledger
    else
        echo "not passed so often" >>ledger # fragments are dealt out anew in each run
    fi
    either_answers
    complete
}

# list_sites: into sites, "RANK SITE PASSES" of an undisturbed build.
list_sites() {
    reset_scene
    rm -f sites
    expect 0 on_ranks env MPIVF_FAULT_LIST="$PWD/sites" "${build[@]}"
    is_new
}

# walk ROUND OF: each site that is in the file walked.$np, in one of its passes on each rank: the first rounds take early
# ones, the last late ones.
walk() {
    local rank site passes pass
    while read -r rank site passes; do
        pass=$((1 + (2 * $1 - 1) * passes / (2 * $2)))
        if [ "$passes" -ge "$1" ]; then
            attempt "np-$np-rank-$rank-$site-$pass-of-$passes" planted "$site" "$pass" "$rank"
        fi
    done <"walked.$np"
}

if [ "$form" = long ]; then
    for np in 1 2 3; do
        list_sites
        sort sites >"walked.$np"
    done
    for round in 1 2 3; do
        for np in 3 2 1; do
            walk "$round" 3
        done
    done
else
    list_sites
    # Each site once, on some rank, in the middle of its passes.
    shuf --random-source=ids.bin sites | sort -u -k 2,2 >"walked.$np"
    walk 1 1
fi
[ "$(cut -d ' ' -f 2 walked.3 | sort -u | wc -l)" -ge 25 ] || fail "few sites: $(cat walked.3)"
sort ledger | uniq -c
conclude "$(wc -l <ledger) faults planted"
