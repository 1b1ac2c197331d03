#!/usr/bin/env bash
# jobs/build.sbatch under a Slurm of its own: the build is interrupted by the signal before the time limit, is put into the
# queue again by itself, goes on, and ends with the bytes of an undisturbed build. The long form also lets the limit itself
# end the job (TERM, and KILL some seconds later), kills a node's ranks, and resubmits by hand.
# shellcheck disable=SC2317 # attempt calls them
# shellcheck source=../support/faults.sh
source "$MPIVF_SOURCE/tests/support/faults.sh"
[ "$faults_apart" = yes ] || { echo "a Slurm of one's own takes root"; exit 77; }
need_failio
command -v slurmctld slurmd munged ip >/dev/null || { echo "no Slurm"; exit 77; }
# Slurm's sockets want short paths.
mount -t tmpfs none /srv
box=/srv/slurm hosts=/srv/hosts
netbox=$MPIVF_SOURCE/tests/support/netbox.sh slurmbox=$MPIVF_SOURCE/tests/support/slurmbox.sh
trap '"$netbox" stop "$hosts"; cp -r "$box/log" .' EXIT
if ! "$netbox" start "$hosts" 3 >box.log 2>&1 || ! "$slurmbox" start "$box" "$hosts" 3 2 >>box.log 2>&1; then
    echo "no Slurm of one's own here: $(cat box.log)"
    exit 77
fi
set_scene --factory IVF16,PQ8 --fragment-rows 250
: >ledger

# The program with slow writes in a job's first run, so that this takes longer than the limit allows; Slurm looks at limits
# every half minute.
slow_by() { # slow_by MILLISECONDS
    cat >slow_mpivf <<SLOW
#!/bin/bash
[ -n "\${SLURM_RESTART_COUNT:-}" ] || export LD_PRELOAD="$failio" FAILIO="sync,$index/fragments,1+,$1"
exec "$MPIVF" "\$@"
SLOW
    chmod +x slow_mpivf
}

# submit OPTION...: the job's number into `job`.
submit() {
    job=$(env INPUT="$input" INDEX="$index" FACTORY=IVF16,PQ8 MPIVF="$PWD/slow_mpivf" "$slurmbox" run "$box" \
        sbatch --parsable --nodes=2 --ntasks-per-node=2 --cpus-per-task=1 --output="$PWD/job.log" "$@" \
        "$MPIVF_SOURCE/jobs/build.sbatch" --replace --seed 2 --fragment-rows 250 --checkpoint-interval 0)
}

control() {
    "$slurmbox" run "$box" scontrol "$@"
}

state() {
    control show job "$job" | sed -n 's/.*JobState=\([A-Z]*\).*/\1/p'
}

# until_state PATTERN: waits for it. A job that is put into the queue again is held for two minutes, which gives the nodes time
# to tidy up after its first run; here five seconds do.
until_state() {
    local tries held=0
    for ((tries = 0; tries < 10 * limit; tries++)); do
        if [[ $(state) =~ ^($1)$ ]]; then
            return
        fi
        if [ "$(state)" = PENDING ]; then
            held=$((held + 1))
            [ "$held" -ne 25 ] || control update jobid="$job" StartTime=now
        fi
        sleep 0.2
    done
    fail "the job is $(state), not $1: $(cat job.log)"
}

runs() {
    control show job "$job" | sed -n 's/.*Restarts=\([0-9]*\).*/\1/p'
}

# signalled SECONDS: USR1 comes so long before the limit of a minute.
signalled() {
    reset_scene
    rm -f job.log
    submit --time=1 --signal="USR1@$1"
    until_state "COMPLETED|FAILED|TIMEOUT|CANCELLED"
    [ "$(state)" = COMPLETED ] || fail "the job is $(state): $(cat job.log)"
    [ "$(runs)" -gt 0 ] || fail "the job was not interrupted: $(cat job.log)"
    grep -q '^interrupted after' job.log || fail "no word of the interruption: $(cat job.log)"
    echo "signalled: $(runs) times in the queue again" >>ledger
    is_new
}

# limited: no signal before the limit.
limited() {
    slow_by 5000
    reset_scene
    rm -f job.log
    submit --time=1 --signal=USR1@0 --no-requeue
    until_state "FAILED|TIMEOUT|COMPLETED|CANCELLED"
    [ "$(state)" != COMPLETED ] || fail "the limit did not end the job: $(cat job.log)"
    old_answers
    slow_by 0
    submit --time=10
    until_state "COMPLETED|FAILED|TIMEOUT|CANCELLED"
    [ "$(state)" = COMPLETED ] || fail "the job is $(state): $(cat job.log)"
    echo "ended by the limit, submitted again" >>ledger
    is_new
}

# node_lost: one of the job's nodes is gone; the third takes its place.
node_lost() {
    local lost
    reset_scene
    rm -f job.log
    submit --time=10
    until [ "$(find "$index/fragments" -name '*.h5' | wc -l)" -gt "$(find old/fragments -name '*.h5' | wc -l)" ]; do
        [[ $(state) =~ ^(PENDING|CONFIGURING|RUNNING)$ ]] || fail "the job is $(state): $(cat job.log)"
        sleep 0.1
    done
    lost=$(control show job "$job" | sed -n 's/^ *NodeList=h\[[1-3][-,]\([1-3]\)\].*/\1/p')
    "$netbox" kill "$hosts" "h${lost:?no second node}"
    until_state "PENDING|FAILED|NODE_FAIL"
    old_answers
    until_state "COMPLETED|FAILED|TIMEOUT|CANCELLED"
    [ "$(state)" = COMPLETED ] || fail "the job is $(state): $(cat job.log)"
    [ "$(runs)" -gt 0 ] || fail "not put into the queue again"
    echo "node lost: $(runs) times in the queue again" >>ledger
    is_new
}

slow_by 2500
attempt signalled-50 signalled 50
if [ "$form" = long ]; then
    attempt signalled-30 signalled 30
    attempt limited limited
    slow_by 2500
    attempt node-lost node_lost
fi
cat ledger
conclude "jobs of Slurm"
