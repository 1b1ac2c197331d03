#!/usr/bin/env bash
# Each rank is killed right before each of its calls that change a file of the index (the short form: some of them). The old
# version answers, and the same command ends with the bytes of an undisturbed build.
# shellcheck disable=SC2317 # attempt calls them
# shellcheck source=../support/faults.sh
source "$MPIVF_SOURCE/tests/support/faults.sh"
need_failio
set_scene --factory IVF16,PQ8 --fragment-rows 2500 --iterations 4 --pq-iterations 3
count_calls any
total=$((calls_of[0] + calls_of[1] + calls_of[2]))
[ "$total" -ge 100 ] || fail "an undisturbed build makes $total calls only"
step=1
if [ "$form" = short ]; then
    step=$((total / 8))
fi
: >ledger

# before_call RANK N
before_call() {
    reset_scene
    with_fault "any,$index/,$2,kill,$1"
    if [ ! -s hits ]; then # fragments are dealt out anew in each run: a rank may make fewer calls
        [ "$code" -eq 0 ] || fail "code $code without a fault"
        is_new
        return
    fi
    [ "$code" -ne 0 ] || fail "a rank was killed, and the job says that all is well"
    either_answers
    echo "killed before: $(cut -d ' ' -f 3 hits)" >>ledger
    complete
}

drawn=0
for ((rank = 0; rank < np; rank++)); do
    # What a rank does more in other runs than it did in this one is reached by counting on.
    for ((call = 1 + drawn % step; call <= calls_of[rank] + calls_of[rank] / 2; call += step)); do
        attempt "rank-$rank-call-$call" before_call "$rank" "$call"
    done
    below 1000
done
sort ledger | uniq -c
conclude "$(wc -l <ledger) kills before a call, of $total calls in an undisturbed build"
