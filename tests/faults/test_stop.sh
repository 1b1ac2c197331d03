#!/usr/bin/env bash
# Builds that are asked to stop, by signals to one rank or to mpirun at random moments, by a limit of time, or because a rank
# hangs (the short form: one of each). Exit code 75 and one line that says why, soon; the old version answers; the same
# command ends with the bytes of an undisturbed build.
# shellcheck disable=SC2317 # attempt calls them
# shellcheck source=../support/faults.sh
source "$MPIVF_SOURCE/tests/support/faults.sh"
set_scene --factory IVF256,PQ16 --fragment-rows 500 --iterations 20
build+=(--quiet)
late=${MPIVF_LATE:-30} # seconds after which a stop was not heeded; 8 of them are the build's own
: >ledger

# watch_end: waits for the end of the build that runs; sets `took`, in milliseconds from now.
watch_end() {
    local began
    began=$(microseconds)
    landed
    took=$((($(microseconds) - began) / 1000))
}

# ended PATTERN...: the build that runs ends, and was interrupted: is_interrupted PATTERN...
ended() {
    watch_end
    is_interrupted "$@"
}

# is_interrupted PATTERN...: code 75, and one line in which the patterns are found.
is_interrupted() {
    cp run.err err
    : >out
    [ "$code" -eq 75 ] || fail "code $code instead of 75"
    complains_of "$@"
    [ "$took" -lt $((late * 1000)) ] || fail "it took $took ms"
    ! is_committed || fail "interrupted and committed"
    old_answers
}

send() {
    kill -s "$1" "$(cat "$pids/$2")" 2>/dev/null || true
}

# heeded RANK...: they have their handlers, or have ended. Before main a signal is the system's affair.
heeded() {
    local rank caught
    for rank; do
        while caught=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$(cat "$pids/$rank")/status" 2>/dev/null) && [ -n "$caught" ]; do
            [ $((0x$caught >> 9 & 1)) -eq 0 ] || break # SIGUSR1, 10
            sleep 0.01
        done
    done
}

# stop_once SIGNAL VICTIM MICROSECONDS: at some moment of a build; one that was over, or committing, is left alone.
stop_once() {
    reset_scene
    launch "${build[@]}" || fail "the build did not start: $(cat run.err)"
    sleep "$(printf '%d.%06d' $(($3 / 1000000)) $(($3 % 1000000)))"
    heeded 0 1 2
    send "$1" "$2"
    watch_end
    if is_committed; then
        [ "$code" -eq 0 ] || fail "committed, and code $code"
        either_answers
        echo "came too late" >>ledger
    else
        is_interrupted "stopped by SIG$1 " "in the phase [a-z]+"
        sed -nE 's/.* in the phase ([a-z]+).*/stopped in \1/p' run.err >>ledger
    fi
    complete
}

# Something blocks rank 1 for good, in the kernel, as it were: the rank cannot end, so it is ended.
stop_while_held() {
    reset_scene
    hold "$1" "${build[@]}"
    send USR1 mpirun
    ended "stopped by SIGUSR1 " "did not end in time"
    echo "ended by force" >>ledger
    complete
}

# Rank 1 never comes, so that MPI cannot start.
stop_while_starting() {
    reset_scene
    # shellcheck disable=SC2016 # expands inside
    launch bash -c '[ "$OMPI_COMM_WORLD_RANK" != 1 ] || exec sleep 300; exec "$@"' absent "${build[@]}"
    heeded 0
    sleep 1
    send "$1" 0
    ended "stopped by a signal before all ranks had started"
    [ "$took" -lt 12000 ] || fail "a signal while MPI starts took $took ms"
    echo "ended while MPI started" >>ledger
    complete
}

stop_twice() {
    reset_scene
    hold "write,fragments/,2,wait,1" "${build[@]}"
    send USR1 mpirun
    sleep 2
    send USR1 mpirun
    ended "ended at once by a second signal"
    [ "$took" -lt 5000 ] || fail "a second signal took $took ms"
    echo "ended by a second signal" >>ledger
    complete
}

# Every write takes long, so that the build would last beyond its limit. Rank 0 starts after the others, and hears of the limit
# from them.
limit_time() {
    reset_scene
    local began
    began=$(microseconds)
    # shellcheck disable=SC2016 # expands inside
    launch env LD_PRELOAD="$failio" FAILIO="write,fragments/,1+,500" \
        bash -c '[ "$OMPI_COMM_WORLD_RANK" != 0 ] || sleep 1; exec "$@"' late "${build[@]}" --time-limit 8s
    ended "stopped by --time-limit 8.0 s" "on rank [12] \([^ ]+\) in the phase|in the phase [a-z]+;.* \(rank [12] "
    echo "lasted $((($(microseconds) - began) / 1000)) ms of 8 s" >>ledger
    complete
}

# suspend RANK: as if its host had gone to sleep.
suspend() {
    reset_scene
    launch env LD_PRELOAD="$failio" FAILIO="write,fragments/,1+,500" "${build[@]}" --stall-timeout 4s
    until [ -n "$(find "$index"/fragments -name '*.h5' -newer "$pids/mpirun" -print -quit)" ]; do
        kill -0 "$job" 2>/dev/null || fail "ended by itself: $(cat run.err)"
        sleep 0.05
    done
    send STOP "$1"
    ended "rank $1 on [^ ]+ has not answered for [0-9.]+ s in the phase assign"
    echo "found a suspended rank" >>ledger
    complete
}

# A call of rank 1 does not come back.
stall() {
    reset_scene
    hold "$1" "${build[@]}" --stall-timeout 4s
    ended "rank 1 on [^ ]+ has made no progress for [0-9.]+ s in the phase $2"
    echo "found a call that hangs" >>ledger
    complete
}

# Ranks that read for long, each by itself, are there all the time.
busy() {
    reset_scene
    expect 0 on_ranks env LD_PRELOAD="$failio" FAILIO="read,$index/fragments,1+,60" \
        "$MPIVF" repair "$index" --quiet --stall-timeout 2s
    echo "read for long" >>ledger
}

victims=(0 1 2 mpirun)
signals=(USR1 TERM INT)
rounds=2
if [ "$form" = long ]; then
    rounds=60
fi
for ((i = 0; i < rounds; i++)); do
    below "$undisturbed"
    moment=$drawn
    victim=${victims[i % 4]}
    signal=${signals[i % 3]}
    # mpirun itself ends the job at any other signal, and with a code of its own.
    [ "$victim" != mpirun ] || signal=USR1
    attempt "$i-$signal-to-$victim-after-$moment" stop_once "$signal" "$victim" "$moment"
done
attempt starting stop_while_starting TERM
if [ -n "$failio" ]; then
    attempt held-write stop_while_held "write,fragments/,2,wait,1"
    attempt second-signal stop_twice
    attempt time-limit limit_time
    attempt busy busy
    attempt suspended-1 suspend 1
    attempt suspended-0 suspend 0
    attempt stalled-write stall "write,fragments/,2,wait,1" assign
    attempt stalled-read stall "read,base.u8bin,2,wait,1" '(sample|assign)'
    if [ "$form" = long ]; then
        attempt held-read stop_while_held "read,base.u8bin,2,wait,1"
        attempt suspended-2 suspend 2
    fi
fi
sort ledger | uniq -c
conclude "$(wc -l <ledger) stops"
