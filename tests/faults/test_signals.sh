#!/usr/bin/env bash
# SIGUSR1 and SIGTERM to mpirun, as batch systems send them, and to a single rank, at random moments of a build: it ends with
# 75 on its own, nothing that was published is done again, and the same command ends as it should.
# shellcheck disable=SC2317 # attempt calls them
# shellcheck source=../support/faults.sh
source "$MPIVF_SOURCE/tests/support/faults.sh"
count=6
if [ "$form" = long ]; then
    count=100
fi
set_scene --factory IVF256,PQ16 --fragment-rows 250 --iterations 20
: >ledger

# signalled SIGNAL VICTIM MICROSECONDS
signalled() {
    local began
    reset_scene
    launch "${build[@]}" || fail "the build did not start: $(cat run.err)"
    # Before the program has taken its measures a signal ends it as it ends any program.
    until [ -e "$index/building" ]; do
        kill -0 "$job" 2>/dev/null || fail "the build did not begin: $(cat run.err)"
        sleep 0.01
    done
    sleep "$(printf '%d.%06d' $(($3 / 1000000)) $(($3 % 1000000)))"
    began=$(microseconds)
    kill "-$1" "$(cat "$pids/$2")" 2>/dev/null || true
    landed
    cp run.err err
    if [ "$code" -eq 0 ]; then
        is_new
        return
    fi
    # mpirun forwards USR1; TERM it passes on as an end of the job, and says so in its own way.
    if [ "$1" = USR1 ] || [ "$2" != mpirun ]; then
        [ "$code" -eq 75 ] || fail "code $code instead of 75"
        echo "$1 $2: $((($(microseconds) - began) / 100000)) tenths" >>ledger
    else
        echo "$1 $2" >>ledger
    fi
    old_answers
    snapshot before
    complete
    snapshot after
    [ -z "$(comm -23 before after)" ] || fail "done again: $(comm -23 before after)"
}

for ((n = 1; n <= count; n++)); do
    signals=(USR1 TERM)
    victims=(mpirun 0 1 2)
    signal=${signals[RANDOM % 2]}
    victim=${victims[RANDOM % 4]}
    below "$undisturbed"
    attempt "signal-$n" signalled "$signal" "$victim" "$drawn"
done
cut -d ' ' -f 1,2 ledger | sort | uniq -c
conclude "$(wc -l <ledger) builds interrupted, the longest $(awk '{ print $3 + 0 }' ledger | sort -n | tail -n 1)00 ms after the signal"
