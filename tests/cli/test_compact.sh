#!/usr/bin/env bash
# compact, as a user sees it: the same bytes for any ranks and any memory, the same neighbours in memory and out of core, limits
# that are kept, and runs that were killed or stopped, of which nothing shows.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
expect 0 "$MPIVF" generate --output rows.fbin --rows 200000 --dim 64 --clusters 100 --queries 200 --queries-output q.fbin --quiet
expect 0 "$MPIVF" build built --input rows.fbin --factory IVF256,Flat --iterations 2 --sample 20000 --threads 2 --quiet
cp -r built alone && cp -r built several && cp -r built single

# files FOLDER: the files of its newest version, with what differs between runs left out.
files() {
    (cd "$1" && find fragments -type f -exec sha256sum {} + | sort -k 2 && python3 -c '
import glob, json
m = json.load(open(sorted(glob.glob("manifests/*.json"))[-1]))
del m["build"], m["checksum"]
print(json.dumps(m, sort_keys=True))')
}

counted=yes
if ldd "$MPIVF" | grep -qE 'lib(a|t|ub)san'; then counted=; fi

# ---- the same bytes, within the limit ----
expect 0 "$MPIVF" compact alone --fragment-bytes 4M
prints '^version 2: the 200000 postings of version 1 in 1[3-9] fragments, '
expect 2 ranks 2 "$MPIVF" compact several --fragment-bytes 4M --memory 20M
complains_of 'merging a fragment of lists at a time needs .* of a rank, --memory allows 20.0 MiB; what fits: .*--memory [0-9]+M'
enough=$(grep -oE -- '--memory [0-9]+M' err | tail -1 | tr -dc 0-9)
if [ -n "$counted" ]; then
    cp -r built limited
    within "$enough" "$MPIVF" compact limited --fragment-bytes 4M --memory "${enough}M"
    diff <(files alone) <(files limited) || fail "the limit shows"
fi
expect 0 ranks 3 "$MPIVF" compact several --fragment-bytes 4M --memory "$((enough + 20))M"
diff <(files alone) <(files several) || fail "the ranks show"
expect 0 "$MPIVF" compact several --fragment-bytes 4M
prints '^version 2 is compacted like this already$'
expect 0 ranks 2 "$MPIVF" compact single --single-file
expect 0 "$MPIVF" info single --json
json 'd["layout"] == "lists" and len(d["fragments"]) == 1 and d["compacted"]["single_file"] and d["fragments"][0]["lists"] == 256'
for index in alone single; do
    expect 0 ranks 2 "$MPIVF" verify "$index"
done

# ---- the same neighbours ----
search() {
    expect 0 "${@:3}" "$MPIVF" search "$1" --queries q.fbin --nprobe 30 --output "$2" --quiet
}
same() {
    if ! cmp expected.ibin found.ibin || ! cmp expected.fbin found.fbin; then fail "$1"; fi
}
search built expected.ibin
for index in alone single; do
    search "$index" found.ibin
    same "$index does not find the same"
done
expect 2 "$MPIVF" search alone --queries q.fbin --memory 10M
complains_of 'needs .* of a rank .*, --memory allows 10.0 MiB; what fits: --memory [0-9]+M'
least=$(grep -oE -- '--memory [0-9]+M' err | tail -1 | tr -dc 0-9)
[ "$least" -lt 50 ] || [ -z "$counted" ] || fail "$least MiB are not less than the index"
for index in built alone single; do
    if [ -n "$counted" ]; then
        within "$least" "$MPIVF" search "$index" --queries q.fbin --nprobe 30 --memory "${least}M" --output found.ibin
    else
        expect 0 "$MPIVF" search "$index" --queries q.fbin --nprobe 30 --memory "$((least + 20))M" --output found.ibin
    fi
    grep -q 'lists are held in memory, the others are read' err || [ -z "$counted" ] || fail "all of $index is in memory"
    same "$index does not find the same out of core"
done
expect 0 ranks 2 "$MPIVF" search single --queries q.fbin --nprobe 30 --memory "$((least + 8))M" --output found.ibin
same "two ranks do not find the same"

# ---- the version before stays until it is removed ----
expect 0 "$MPIVF" vacuum alone --keep 1 --older-than 0 --delete
[ "$(find alone/manifests alone/models alone/fragments -type f | wc -l)" -le 20 ] || fail "the old version is there"
search alone found.ibin
same "the old version was needed"

# ---- killed, stopped ----
failio=$MPIVF_BUILD/tests/libmpivf_failio.so
if [ -z "$counted" ] || [ ! -e "$failio" ]; then exit 0; fi
cp -r built killed
LD_PRELOAD=$failio FAILIO='rename,fragments/,4,kill' expect 137 "$MPIVF" compact killed --fragment-bytes 4M
search killed found.ibin
same "a killed compaction shows"
cp -r killed given-up
expect 0 "$MPIVF" compact killed --fragment-bytes 4M
grep -q '3 of .* fragments are there from an earlier run' err || fail "what was merged is not kept"
[ ! -e killed/building ] || fail "a folder of an unfinished compaction is left"
expect 0 "$MPIVF" vacuum killed --keep 1 --older-than 0 --delete
diff <(files alone) <(files killed) || fail "the kill shows"
expect 0 "$MPIVF" vacuum given-up --older-than 0 --delete
diff -r built given-up || fail "vacuum leaves something of a killed compaction"

for form in --fragment-bytes=4M --single-file; do
    LD_PRELOAD=$failio FAILIO='write,fragments/,3+,200' timeout 60 "$MPIVF" compact given-up "$form" --quiet >out 2>err &
    pid=$!
    while [ -z "$(ls given-up/building 2>/dev/null)" ]; do sleep 0.05; done
    sleep 0.4
    pkill -USR1 -P "$pid"
    code=0
    wait "$pid" || code=$?
    [ "$code" -eq 75 ] || fail "code $code instead of 75"
    complains_of 'stopped by SIGUSR1 in the phase compact'
    expect 0 "$MPIVF" vacuum given-up --older-than 0 --delete
    diff -r built given-up || fail "vacuum leaves something of a stopped compaction"
done
