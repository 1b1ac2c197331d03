# shellcheck shell=bash
# Helpers for scripts that break builds and look whether anything is lost: source it, with the script's arguments. Such a
# script is called with the FORM of the test (short or long) and the library of faults/failio.c.
#
# The scene: $index holds version 1 (the "old" one), and a build of version 2 is broken. Whatever happens to it, the old
# version must answer as before, and the same command, repeated, must end with the files of an undisturbed build.
# shellcheck source=cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"

# A process tree, mounts and shared memory of its own, where the system grants them: what is left running or mounted ends
# with the script.
if [ -z "${faults_apart:-}" ]; then
    apart=(unshare --mount --pid --fork --mount-proc --kill-child --propagation private)
    if [ "$(id -u)" -eq 0 ] && "${apart[@]}" mount -t tmpfs none /dev/shm 2>/dev/null; then
        faults_apart=yes exec "${apart[@]}" "$0" "$@"
    fi
    faults_apart=no
fi
if [ "$faults_apart" = yes ]; then
    mount -t tmpfs none /dev/shm
    export TMPDIR=/dev/shm
fi

# shellcheck disable=SC2034 # for the scripts
form=${1:?short or long} failio=${2:-}
export OMP_NUM_THREADS=1
np=3
pids=pids
index=index
input=$photosift/base.u8bin
with=() # what stands before the program where a build is completed
limit=${MPIVF_FAULTS_LIMIT:-240} # seconds after which a job hangs
seed=${MPIVF_FAULTS_SEED:-1}
RANDOM=$seed

# need_failio: skips the test where the library cannot be put before the program.
need_failio() {
    [ -n "$failio" ] || { echo "no library of faults in this build"; exit 77; }
}

# below N: sets `drawn` to a random number from 0 to N - 1, N <= 2^30.
below() {
    # shellcheck disable=SC2034 # for the scripts
    drawn=$(((RANDOM * 32768 + RANDOM) % $1))
}

microseconds() {
    echo "${EPOCHREALTIME//[.,]/}"
}

# on_ranks COMMAND...: runs it on $np ranks; a hang becomes code 124. $pids/ holds the process numbers of mpirun
# and the ranks.
on_ranks() {
    rm -rf "$pids"
    mkdir "$pids"
    # shellcheck disable=SC2016 # expands inside
    pids=$pids timeout -k 5 "$limit" bash -c 'echo $$ >"$pids/mpirun"; exec mpirun "$@"' mpirun -n "$np" --bind-to none \
        bash -c 'echo $$ >"$pids/$OMPI_COMM_WORLD_RANK"; exec "$@"' rank "$@"
}

# launch COMMAND...: on_ranks in the background, its output in run.out and run.err; sets `job`, and returns when all ranks have
# started (false when the job ended before).
launch() {
    local rank
    on_ranks "$@" >run.out 2>run.err </dev/null &
    job=$!
    for ((rank = 0; rank < np; rank++)); do
        until [ -s "$pids/$rank" ]; do
            kill -0 "$job" 2>/dev/null || return 1
            sleep 0.01
        done
    done
}

# landed: waits for what launch began and for all of its processes; sets `code` to the outcome.
landed() {
    code=0
    wait "$job" || code=$?
    [ "$code" -ne 124 ] || fail "hangs: $(cat run.err)"
    all_gone
}

# all_gone: the processes of the last on_ranks end within 30 seconds of mpirun.
all_gone() {
    local file tries=0
    for file in "$pids"/*; do
        while kill -0 "$(cat "$file")" 2>/dev/null; do
            tries=$((tries + 1))
            [ "$tries" -le 600 ] || { kill -9 "$(cat "$file")"; fail "rank ${file##*/} outlived mpirun by 30 s"; }
            sleep 0.05
        done
    done
}

# contents INDEX: what its versions consist of, but for the record of the run: sums of the files and the manifests.
contents() {
    (
        cd "$1"
        find models fragments -type f ! -name '*.tmp' -exec sha256sum {} + | sort -k 2
        python3 - manifests/*.json <<'PYTHON'
import json, sys
for name in sys.argv[1:]:
    manifest = json.load(open(name))
    del manifest["build"], manifest["checksum"]
    print(name, json.dumps(manifest, sort_keys=True))
PYTHON
    )
}

# search_index FILE: asks $index.
search_index() {
    expect 0 timeout -k 5 "$limit" "$MPIVF" search "$index" --quiet --queries "$photosift/query.u8bin" --k 10 --nprobe 4 \
        --output "$1"
}

# set_scene OPTION...: decides the build of version 2 (`build`, which keeps every step of training), makes the old index, and
# builds version 2 undisturbed.
set_scene() {
    build=("$MPIVF" build "$index" --replace --input "$input" --checkpoint-interval 0 "$@")
    expect 0 on_ranks "${build[@]}" --seed 1
    search_index old.bin
    rm -rf old
    mv "$index" old
    reset_scene
    # shellcheck disable=SC2034 # for the scripts
    base=("${build[@]}")
    build+=(--seed 2)
    local began
    launch "${with[@]}" "${build[@]}"
    began=$(microseconds)
    landed
    # shellcheck disable=SC2034 # for the scripts
    undisturbed=$(($(microseconds) - began))
    [ "$code" -eq 0 ] || fail "the undisturbed build ends with $code: $(cat run.err)"
    contents "$index" >new.contents
    search_index new.bin
    ! cmp -s old.bin new.bin || fail "both versions give the same answers"
    [ "$(wc -l <new.contents)" -gt 4 ] || fail "an index of few files: $(cat new.contents)"
    reset_scene
}

# reset_scene: the old index, and nothing else.
reset_scene() {
    rm -rf "$index"
    cp -a old "$index"
}

# old_answers: the old version is what a search finds.
old_answers() {
    search_index now.bin
    cmp -s now.bin old.bin || fail "the old version does not answer as before"
}

is_committed() {
    [ -e "$index"/manifests/000002.json ]
}

# either_answers: one of the two versions does, the new one if and only if it is committed.
either_answers() {
    if is_committed; then
        search_index now.bin
        cmp -s now.bin new.bin || fail "the new version is there and does not answer as it should"
    else
        old_answers
    fi
}

# snapshot FILE: the fragments that version 2 has published so far, and what tells each file from a later one of its name.
snapshot() {
    find "$index"/fragments -name '*.h5' -printf '%i %C@ %f\n' | sort >"$1"
}

# is_new: $index has the files of the undisturbed build.
is_new() {
    contents "$index" >now.contents
    cmp -s now.contents new.contents || fail "not the files of an undisturbed build: $(diff new.contents now.contents | cut -c 1-120 | head -n 20)"
}

# complete: the same command until it ends. A commit before the kill needs no more.
complete() {
    if is_committed; then
        is_new
        return
    fi
    expect 0 on_ranks "${with[@]}" "${build[@]}"
    is_new
    [ -z "$(find "$index"/building -mindepth 1 2>/dev/null)" ] || fail "left behind: $(find "$index"/building)"
}

# with_fault RULES: the build with faults planted; its output in out and err, its code in `code`. hits holds the lines of the
# calls that were hit.
with_fault() {
    code=0
    rm -f calls
    on_ranks env LD_PRELOAD="$failio" FAILIO="$1" FAILIO_LOG="$PWD/calls" "${build[@]}" --quiet >out 2>err </dev/null || code=$?
    [ "$code" -ne 124 ] || fail "hangs"
    all_gone
    touch calls
    grep ' hit$' calls >hits || true
}

# hold RULE COMMAND...: launches it with a fault of the action "wait" and returns when a rank waits. release lets it go on.
hold() {
    local rule=$1
    shift
    rm -f gate calls
    touch calls
    launch env LD_PRELOAD="$failio" FAILIO="$rule" FAILIO_LOG="$PWD/calls" FAILIO_GATE="$PWD/gate" "$@" || true
    until grep -q ' hit$' calls; do
        kill -0 "$job" 2>/dev/null || fail "ended before it was held: $(cat run.err)"
        sleep 0.02
    done
}

release() {
    touch gate
}

# count_calls OP: into `calls_of`[RANK], how many calls of that kind an undisturbed build makes on files of the index.
count_calls() {
    local rank
    reset_scene
    with_fault "$1,$index/,0,kill"
    [ "$code" -eq 0 ] || fail "code $code without a fault"
    is_new
    for ((rank = 0; rank < np; rank++)); do
        # shellcheck disable=SC2034 # for the scripts
        calls_of[rank]=$(grep -c "^$rank " calls || true)
    done
}

# end_all: nothing of the last on_ranks stays.
end_all() {
    cat "$pids"/* 2>/dev/null | xargs -r kill -9 2>/dev/null || true
}

# attempt NAME COMMAND...: one experiment. Its failure is counted, and its folder's small files are kept in failed/NAME.
attempts=0
failures=0
attempt() {
    local name=$1
    shift
    attempts=$((attempts + 1))
    ("$@") 2>attempt.err & # not in a condition, where failing commands would be passed over
    if ! wait $!; then
        failures=$((failures + 1))
        end_all
        echo "$name: $(cat attempt.err)"
        rm -rf "failed/$name"
        mkdir -p "failed/$name"
        cp -a "$index" attempt.err out err run.out run.err failed/"$name"/ 2>/dev/null || true
        [ "$failures" -lt 20 ] || conclude "ended after too many failures"
    fi
}

# conclude WORDS: the sum of a script, and its end.
conclude() {
    echo "$1; $attempts experiments, seed $seed, $failures of them failed"
    [ "$failures" -eq 0 ] || exit 1
    exit 0
}
