#!/usr/bin/env bash
# Calls that change a file of the index fail, once or from then on, or write less than they should, on any rank (the short
# form: some of them). A failure ends the build with one line that says what the system said; what may be done without
# (removing leftovers, checkpoints) may fail. Nothing hangs, the old version answers, the same command ends as it should.
# shellcheck disable=SC2317 # attempt calls them
# shellcheck source=../support/faults.sh
source "$MPIVF_SOURCE/tests/support/faults.sh"
need_failio
set_scene --factory IVF16,PQ8 --fragment-rows 2500 --iterations 4 --pq-iterations 3
declare -A says=([EACCES]="Permission denied" [EDQUOT]="Disk quota exceeded" [EIO]="Input/output error"
    [EMFILE]="Too many open files" [ENOSPC]="No space left on device" [EROFS]="Read-only file system"
    [ESTALE]="Stale file handle")
declare -A faults_of=([open]="ENOSPC EIO EDQUOT EACCES EMFILE EROFS ESTALE" [write]="ENOSPC EIO EDQUOT short"
    [sync]="EIO ENOSPC EDQUOT" [rename]="ENOSPC EIO EDQUOT" [link]="EIO ENOSPC EDQUOT" [mkdir]="EDQUOT ENOSPC EIO"
    [truncate]="EIO ENOSPC EDQUOT" [unlink]="EIO EACCES" [rmdir]="EIO EACCES")
: >ledger

# may_fail: what was hit is of no use to the result, or the program says that it keeps no checkpoint, or that what is not needed
# any more stays.
may_fail() {
    ! grep -qvE '^[0-9]+ [0-9]+ (unlink|rmdir) |/train/' hits || grep -q '^mpivf: warning: no checkpoint: ' err ||
        { is_committed && grep -qE '^mpivf: warning: .*; .*/building/[0-9a-f]+ stays$' err; }
}

# failing OP FAULT N RANK
failing() {
    reset_scene
    with_fault "$1,$index/,$3,$2,$4"
    if [ ! -s hits ]; then
        [ "$code" -eq 0 ] || fail "code $code without a fault"
    elif [ "$code" -eq 0 ]; then
        echo "$1 $2 borne" >>ledger
        [ "$2" = short ] || may_fail || fail "$2 went unseen: $(cat hits)"
    else
        echo "$1 $2 refused" >>ledger
        [ "$code" -eq 1 ] || fail "code $code instead of 1"
        [ "$2" = short ] || complains_of "$index" "${says[$2]}"
        ! is_committed || fail "failed and committed"
        old_answers
    fi
    complete
}

# The manifest has its name, and the folder cannot be made durable: then it has to lose it again.
lose_name() {
    reset_scene
    with_fault "open,/manifests,0,kill"
    [ "$code" -eq 0 ] || fail "code $code without a fault"
    local call
    call=$(awk '$1 == 0 && $4 ~ /\/manifests$/ { call = $2 } END { print call }' calls)
    reset_scene
    with_fault "open,/manifests,$call,EIO,0"
    [ -s hits ] || fail "no fault at call $call"
    [ "$code" -eq 1 ] || fail "code $code instead of 1"
    complains_of "$index/manifests" "${says[EIO]}"
    ! is_committed || fail "failed and committed"
    old_answers
    echo "manifest's name taken back" >>ledger
    complete
}

attempt lose-name lose_name
number=0
for op in open write sync rename link mkdir truncate unlink rmdir; do
    read -ra faults <<<"${faults_of[$op]}"
    count_calls "$op"
    step=1
    if [ "$form" = short ]; then
        step=$(((calls_of[0] + calls_of[1] + calls_of[2]) / 2 + 1))
    fi
    for ((rank = 0; rank < np; rank++)); do
        for ((call = 1 + number % step; call <= calls_of[rank]; call += step)); do
            fault=${faults[number % ${#faults[@]}]}
            number=$((number + 1))
            lasting=
            if [ "$fault" != short ] && [ $((number % 3)) -eq 0 ]; then
                lasting=+
            fi
            attempt "$op-$call$lasting-$fault-rank-$rank" failing "$op" "$fault" "$call$lasting" "$rank"
        done
    done
done
sort ledger | uniq -c
conclude "$(wc -l <ledger) failures of calls"
