#!/usr/bin/env bash
# kill -9 of one rank, of mpirun, or of all of them, at random moments of a build, sometimes several times in a row: the old
# version answers after each, and the same command ends with the bytes of an undisturbed build, having redone at most one
# published fragment and one kept step of training for each rank and kill.
# shellcheck disable=SC2317 # attempt calls them
# shellcheck source=../support/faults.sh
source "$MPIVF_SOURCE/tests/support/faults.sh"
kills=6
if [ "$form" = long ]; then
    kills=200
fi
if [ -n "$failio" ]; then # counts the steps of training that are kept
    with=(env LD_PRELOAD="$failio" FAILIO="rename,/train/,0,kill" FAILIO_LOG="$PWD/steps")
fi
set_scene --factory IVF256,PQ16 --fragment-rows 200
touch steps
all_steps=$(wc -l <steps)
: >ledger

# kill_whom VICTIM: a rank's number, mpirun, or all.
kill_whom() {
    case $1 in
    all) cat "$pids"/* | xargs kill -9 2>/dev/null || true ;;
    *) kill -9 "$(cat "$pids/$1")" 2>/dev/null || true ;;
    esac
}

# count_redone: of the fragments that were published when the build was killed, how many the next run wrote again.
count_redone() {
    snapshot after
    comm -23 before after | wc -l
}

# kill_once VICTIM MICROSECONDS: false when the build was over before, or went on to its end without mpirun.
kill_once() {
    launch "${with[@]}" "${build[@]}" || fail "the build did not start: $(cat run.err)"
    sleep "$(printf '%d.%06d' $(($2 / 1000000)) $(($2 % 1000000)))"
    kill_whom "$1"
    landed
    either_answers
    [ "$code" -ne 0 ] && ! is_committed
}

# story VICTIM MICROSECONDS...: kills, and then a run to the end.
story() {
    local lost=0 redone=0 steps
    reset_scene
    : >steps
    : >before
    while [ $# -gt 0 ]; do
        kill_once "$1" "$2" || break
        redone=$((redone + $(count_redone)))
        snapshot before
        lost=$((lost + 1))
        phase=$(sed -n 's/^mpivf: \([a-z]*\): .*/\1/p' run.err | tail -n 1)
        echo "kill $1 $2 after:${phase:-start} fragments:$(($(wc -l <before) - $(find old/fragments -type f | wc -l)))" >>ledger
        shift 2
    done
    complete
    redone=$((redone + $(count_redone)))
    [ "$redone" -le $((np * lost)) ] || fail "$redone fragments were written again after $lost kills of $np ranks"
    # Of steps that were kept. The one that a rank is in when it is killed is always begun again.
    steps=$(($(wc -l <steps) - all_steps))
    [ "$steps" -le $((np * lost)) ] || fail "$steps steps of training were kept again after $lost kills of $np ranks"
    echo "redone $redone $((steps > 0 ? steps : 0))" >>ledger
}

done=0
while [ "$done" -lt "$kills" ]; do
    victims=()
    below 3
    for ((in_a_row = 0; in_a_row <= drawn && done < kills; in_a_row++)); do
        targets=(0 1 2 mpirun all)
        victims+=("${targets[RANDOM % 5]}")
        keep=$drawn
        below "$undisturbed"
        victims+=("$drawn")
        drawn=$keep
        done=$((done + 1))
    done
    attempt "kill-$done" story "${victims[@]}"
done
awk '$1 == "kill" { print $2, $4 }' ledger | sort | uniq -c
conclude "$(grep -c '^kill' ledger) kills while the build ran; done again: $(awk '$1 == "redone" { f += $2; s += $3 }
    END { print f + 0, "fragments,", s + 0, "steps of training" }' ledger)"
