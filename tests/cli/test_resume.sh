#!/usr/bin/env bash
# Builds that were left unfinished, from the command line: continued by the same command, refused to another one, thrown away on
# demand; builds that run at the same time; input that changes under a build.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"

expect 0 "$MPIVF" generate --quiet --rows 4000 --dim 16 --output rows.fbin
build=(--input rows.fbin --factory "IVF8,SQ8" --sample 1000 --fragment-rows 250)

# sums INDEX: of everything that the build determines.
sums() {
    (
        cd "$1"
        find models fragments -type f -exec sha256sum {} + | sort -k 2
        python3 -c '
import json, sys
m = json.load(open(sys.argv[1]))
del m["build"], m["checksum"]
print(json.dumps(m, sort_keys=True))' manifests/000001.json
    )
}
expect 0 ranks 2 "$MPIVF" build whole "${build[@]}" --on-bad-row skip
sums whole >whole.sums

# A build that ends at a row which the sample does not see.
spoilt=(--input spoilt.fbin --factory "IVF8,SQ8" --sample 1000 --fragment-rows 250)
for row in 3990 3991 3992 3993 3994 3995 3996 3997 3998 3999; do
    cp rows.fbin spoilt.fbin
    printf '\x00\x00\xc0\x7f' | patch spoilt.fbin $((8 + row * 64))
    expect 3 ranks 3 "$MPIVF" build index "${spoilt[@]}"
    if [ -e index ]; then break; fi
done
grep -q '^mpivf: warning: index keeps what was done: the model, [0-9]* of 16 fragments; the same command continues it' err ||
    fail "does not say what is kept"
expect 3 "$MPIVF" info index
expect 4 ranks 2 "$MPIVF" build index "${spoilt[@]}" --seed 2 --iterations 7
grep -q 'seed: 1 before, 2 now; iterations: 10 before, 7 now; ' err || fail "does not name the differences"
expect 4 ranks 2 "$MPIVF" build index "${build[@]}"
grep -qE "input: .*/spoilt.fbin before, .*/rows.fbin now; .*--restart" err || fail "does not name the input"
expect 0 ranks 2 "$MPIVF" build index "${spoilt[@]}" --on-bad-row skip --json
grep -qE 'resuming: model kept, ([1-9]|1[0-5]) of 16 fragments done' err || fail "not continued"
json 'd["postings"] == 3999 and d["skipped"] == 1 and "train" not in [p["name"] for p in d["phases"]]'
grep -q "warning: skipped row $row of " err || fail "does not list the row"
[ ! -e index/building ] || fail "left behind: $(find index/building)"
expect 0 "$MPIVF" verify index
rm -rf index

# --restart: nothing of the old build stays.
expect 3 ranks 2 "$MPIVF" build index "${spoilt[@]}"
touch -d '1 hour ago' spoilt.fbin
expect 4 ranks 2 "$MPIVF" build index "${spoilt[@]}"
grep -q 'spoilt.fbin: written since, or a copy' err || fail "does not say that the input was written"
expect 0 ranks 2 "$MPIVF" build index "${build[@]}" --on-bad-row skip --restart
sums index | cmp - <(sums whole) || fail "--restart makes another index, or leaves files"
rm -rf index

# A torn or empty newest version: the one before answers, with a warning; the next one gets a new number.
expect 0 "$MPIVF" build index --quiet "${build[@]}"
expect 0 "$MPIVF" build index --quiet "${build[@]}" --replace
for size in 0 1 5000; do
    cp index/manifests/000002.json whole.json
    truncate -s "$size" index/manifests/000002.json
    expect 0 "$MPIVF" info index --json
    json 'd["version"] == 1'
    grep -q '^mpivf: warning: .*000002.json.*falling back to version 1' err || fail "falls back in silence"
    cp whole.json index/manifests/000002.json
done
truncate -s 0 index/manifests/000002.json
expect 0 "$MPIVF" build index --quiet "${build[@]}" --replace
expect 0 "$MPIVF" info index --json
json 'd["version"] == 3'
rm -rf index

failio=$MPIVF_BUILD/tests/libmpivf_failio.so
if [ ! -e "$failio" ]; then
    echo "no library that holds or kills a build"
    exit 0
fi

# killed NP CALL: a build that is killed at a fragment on one rank.
killed() {
    code=0
    ranks "$1" env LD_PRELOAD="$failio" FAILIO="rename,/fragments/,$2,kill" "$MPIVF" build index "${build[@]}" \
        --on-bad-row skip >out 2>err </dev/null || code=$?
    [ "$code" -ne 0 ] || fail "was not killed"
}
for np in 1 3; do
    killed "$np" 3
    killed "$np" 2
    expect 0 ranks $((4 - np)) "$MPIVF" build index "${build[@]}" --on-bad-row skip
    grep -q 'resuming: model kept, ' err || fail "not continued"
    sums index | cmp - whole.sums || fail "a build that was killed twice has other bytes"
    [ -z "$(find index -name '*.tmp' -o -name building)" ] || fail "left behind: $(find index -name '*.tmp')"
    rm -rf index
done

# hold COMMAND...: in the background, until the gate opens; returns when it waits at its first fragment.
hold() {
    local tries=0
    rm -f gate
    ranks 2 env LD_PRELOAD="$failio" FAILIO="rename,/fragments/,1,wait" FAILIO_GATE="$PWD/gate" "$@" >held.out 2>held.err \
        </dev/null &
    held=$!
    until [ -n "$(find index/fragments -name '*.tmp' 2>/dev/null)" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 3000 ] || fail "never came to a fragment: $(cat held.err)"
        sleep 0.02
    done
}
release() { # release CODE
    local code=0
    touch gate
    wait "$held" || code=$?
    [ "$code" -eq "$1" ] || fail "ends with $code instead of $1: $(cat held.err)"
}

# The same build twice, and another one beside it, which is first.
hold "$MPIVF" build index "${build[@]}"
expect 4 "$MPIVF" build index --quiet "${build[@]}"
complains_of 'is locked: this build is running'
expect 0 ranks 2 "$MPIVF" build index "${build[@]}" --seed 2
grep -q 'another build of index is running; who commits first wins' err || fail "does not mention the other build"
release 4
grep -q 'build: .*somebody else committed version 1 first; .*--replace' held.err || fail "no clear conflict: $(cat held.err)"
grep -q 'index keeps what was done: the model, 16 of 16 fragments' held.err || fail "does not keep its work"
expect 0 "$MPIVF" verify index
expect 4 "$MPIVF" build index --quiet "${build[@]}"
expect 0 ranks 3 "$MPIVF" build index "${build[@]}" --replace --json
grep -q 'resuming: model kept, 16 of 16 fragments done' err || fail "not continued"
json 'd["version"] == 2 and d["postings"] == 4000 and "assign" not in [p["name"] for p in d["phases"]]'
expect 0 "$MPIVF" verify index --all-versions
[ ! -e index/building ] || fail "left behind: $(find index/building)"
rm -rf index

# Input that changes while it is read: nothing is committed, and nothing of it is kept.
cp rows.fbin moving.fbin
hold "$MPIVF" build index --quiet --input moving.fbin --factory "IVF8,SQ8" --sample 1000 --fragment-rows 250
printf 'x' | patch moving.fbin 100
release 3
grep -q 'build: input .*/moving.fbin changed during the run: ' held.err || fail "does not name the file: $(cat held.err)"
[ ! -e index ] || fail "left behind: $(find index)"

# A build that was killed right after its commit is finished: another one goes ahead, and takes nothing of it.
expect 137 env LD_PRELOAD="$failio" FAILIO="link,index/manifests/,1,killafter" "$MPIVF" build index "${build[@]}"
[ -n "$(find index/building -name model.json)" ] || fail "nothing of the first build is left to be mistaken"
expect 0 ranks 2 "$MPIVF" build index "${build[@]}" --seed 2 --replace --json
json 'd["version"] == 2 and d["postings"] == 4000'
expect 0 "$MPIVF" verify index --all-versions
[ ! -e index/building ] || fail "left behind: $(find index/building)"
