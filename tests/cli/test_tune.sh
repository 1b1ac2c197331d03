#!/usr/bin/env bash
# tune, and what follows from it: the recalls are those of eval, search takes the setting that was measured, and the
# version that holds them is the index as it was.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
data=$MPIVF_SOURCE/tests/data/photosift-10k
queries=(--queries "$data/query.u8bin")
truth=("${queries[@]}" --groundtruth "$data/gt100.bin")

expect 0 ranks 2 "$MPIVF" build i --input "$data/base.u8bin" --factory IVF64,Flat --quiet
expect 2 "$MPIVF" search i "${queries[@]}" --recall 0.9
complains "search: recall 0.9: version 1 of the index is not tuned; run mpivf tune with --k 10, or say how many lists to scan"

# Known neighbours that are given, and a few settings: eval measures the same recall.
expect 0 ranks 2 "$MPIVF" tune i "${truth[@]}" --nprobe 1,4,64 --dry-run --json
json 'd["tuned_version"] is None and d["k"] == 10 and d["queries"] == 200 and d["version"] == 1'
cp out tuned
expect 0 "$MPIVF" eval i "${truth[@]}" --nprobe 1,4,64 --k 10 --json
json '[(s["nprobe"], s["recall"]) for s in json.load(open("tuned"))["settings"]] == [(s["nprobe"], s["recall"][0]["by_id"]) for s in d["settings"]]'
[ "$(echo i/manifests/*)" = i/manifests/000001.json ] || fail "a dry run committed"

# Found by brute force they are the same; more and more lists are tried.
expect 0 ranks 3 "$MPIVF" tune i "${queries[@]}" --json
json 'd["tuned_version"] == 2 and d["settings"][-1]["recall"] >= 0.9999 and d["settings"][-1]["kept"]'
json 'all(s["recall"] == t["recall"] for t in json.load(open("tuned"))["settings"] for s in d["settings"] if s["nprobe"] == t["nprobe"])'
json '[s["nprobe"] for s in d["settings"]] == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64][:len(d["settings"])]'
cp out tuned
expect 0 "$MPIVF" verify i
cmp <(python3 -c 'import json; print(json.load(open("i/manifests/000001.json"))["fragments"])') \
    <(python3 -c 'import json; print(json.load(open("i/manifests/000002.json"))["fragments"])') || fail "other fragments"

# search takes what was measured: the fastest that has the recall.
expect 0 ranks 2 "$MPIVF" search i "${queries[@]}" --recall 0.8 --json
json 'd["version"] == 2 and d["nprobe"] == max((s for s in json.load(open("tuned"))["settings"] if s["recall"] >= 0.8), key=lambda s: s["queries_per_second"])["nprobe"]'
nprobe=$(python3 -c 'import json; print(json.load(open("out"))["nprobe"])')
expect 0 "$MPIVF" search i "${queries[@]}" --recall 0.8 --output by_recall.npy
expect 0 "$MPIVF" search i "${queries[@]}" --nprobe "$nprobe" --output by_nprobe.npy
same by_recall.ids.npy by_nprobe.ids.npy
expect 2 "$MPIVF" search i "${queries[@]}" --recall 0.8 --k 5
complains "search: recall 0.8: version 2 of the index is tuned, but not for 5 neighbours; run mpivf tune with --k 5, or say how many lists to scan"
expect 2 "$MPIVF" search i "${queries[@]}" --recall 0.8 --nprobe 4
complains "search: --recall chooses what --nprobe says; leave one out"

# Candidates compared exactly: of a codec that loses much, more is found, and search does the same.
expect 0 ranks 2 "$MPIVF" build pq --input "$data/base.u8bin" --factory IVF64,PQ8 --quiet
expect 0 ranks 2 "$MPIVF" tune pq "${truth[@]}" --nprobe 8,64 --rerank 0,10,200 --json
json '[(s["nprobe"], s["rerank"]) for s in d["settings"]] == [(n, r) for r in (0, 10, 200) for n in (8, 64)]'
json '(lambda r: r[0] < r[4] and r[1] == r[3] < r[5] and r[5] > 0.9)([s["recall"] for s in d["settings"]])'
expect 0 ranks 2 "$MPIVF" search pq "${queries[@]}" --recall 0.9 --json
json 'd["rerank"] == 200'
expect 2 "$MPIVF" search pq "${queries[@]}" --recall 0.9 --rerank 20
complains "search: --recall chooses what --rerank says; leave one out"
expect 2 "$MPIVF" tune pq "${truth[@]}" --rerank 5
complains "tune: --rerank 5 is less than --k 10: no 10 neighbours can come of 5 candidates"

# Rows as queries, each without itself: with all lists all neighbours are found, and with one fewer than if it counted.
expect 0 ranks 2 "$MPIVF" tune i --k 3 --sample 300 --nprobe 1,64
prints '^ +1 +0 +0\.[0-9]{4} +[0-9]+'
prints '^ +64 +0 +1\.0000 +[0-9]+  kept$'
prints '^[12] of 2 settings are in version 3$'
expect 0 "$MPIVF" search i "${queries[@]}" --recall 0.8 --json # the other depth is still there
expect 0 "$MPIVF" vacuum i --keep 1 --delete
expect 0 "$MPIVF" verify i

# A damaged newer version takes its number and nothing else.
cp -r i torn
cp torn/manifests/000003.json torn/manifests/000004.json
truncate -s 100 torn/manifests/000004.json
expect 0 "$MPIVF" tune torn "${truth[@]}" --nprobe 1,8
prints '^[12] of 2 settings are in version 5$'
expect 0 "$MPIVF" search torn "${queries[@]}" --recall 0.1 --json
json 'd["version"] == 5'

# What was measured is told, even if it cannot be kept.
failio=$MPIVF_BUILD/tests/libmpivf_failio.so
if [ -e "$failio" ] && ! ldd "$MPIVF" | grep -qE 'lib(a|t|ub)san'; then
    LD_PRELOAD=$failio FAILIO='link,i/manifests/,1,ENOSPC' expect 1 "$MPIVF" tune i "${truth[@]}" --nprobe 1,8
    prints '^ +8 +0 +0\.[0-9]{4} '
    prints '^[12] of 2 settings would be kept$'
    grep -q 'i/manifests/000004.json: .*No space left' err || fail "no such error"
fi

# What other programs get.
expect 0 "$MPIVF" export i --output i.faiss
expect 0 "$MPIVF" import i.faiss back --json
json "d['nprobe'] == 64"

# What cannot be.
expect 2 "$MPIVF" tune i "${queries[@]}" --sample 10
complains "tune: --sample has no effect with --queries"
expect 2 "$MPIVF" tune i "${truth[@]}" --k 101
complains "tune: --k 101 is deeper than the 100 neighbours of $data/gt100.bin"
expect 3 ranks 2 "$MPIVF" tune back
complains_of "back was imported, and its rows are not at hand; give --queries and --groundtruth"
expect 0 "$MPIVF" tune back --input "$data/base.u8bin" "${queries[@]}" --nprobe 8 --dry-run
cp -r i lost
expect 3 ranks 2 "$MPIVF" tune lost --input "$data/query.u8bin"
grep -q 'the input has 200 rows of 128 values, version [0-9]* was made of 10000 of 128; give the files' err || fail "no such error"

# Input that is not what was indexed is named; a copy elsewhere is the same input.
cp "$data/base.u8bin" own.u8bin
python3 -c 'import struct; open("own.ids", "wb").write(b"".join(struct.pack("<q", 3 * i) for i in range(10000)))'
expect 0 ranks 2 "$MPIVF" build own --input own.u8bin --ids own.ids --factory IVF16,PQ8 --quiet
mkdir elsewhere
cp own.u8bin own.ids elsewhere
once=(--nprobe 4 --dry-run)
expect 0 "$MPIVF" tune own --input elsewhere/own.u8bin --ids elsewhere/own.ids "${queries[@]}" "${once[@]}"
flip() { # FILE: one bit of a byte that is sampled, with the time that the file had
    touch -r "$1" before
    python3 -c 'import sys; f = open(sys.argv[1], "r+b"); f.seek(99); b = f.read(1)[0]; f.seek(99); f.write(bytes([b ^ 1]))' "$1"
    touch -r before "$1"
}
flip elsewhere/own.u8bin
expect 3 ranks 2 "$MPIVF" tune own --input elsewhere/own.u8bin "${queries[@]}" "${once[@]}"
grep -q 'input .*/elsewhere/own.u8bin changed since it was indexed: its contents are others, .*give the files that were indexed' err || fail "no such error"
flip own.ids
expect 3 ranks 2 "$MPIVF" tune own --sample 100 "${once[@]}"
grep -q 'the file of ids .*/own.ids changed since it was indexed' err || fail "no such error"
cp elsewhere/own.ids own.ids
flip own.u8bin
expect 3 ranks 3 "$MPIVF" tune own "${queries[@]}" "${once[@]}"
grep -q 'input .*/own.u8bin changed since it was indexed: its contents are others' err || fail "no such error"
flip own.u8bin
expect 0 "$MPIVF" tune own --rerank 0,50 "${queries[@]}" "${once[@]}"
touch own.u8bin
expect 3 "$MPIVF" tune own --rerank 50 "${truth[@]}" "${once[@]}"
complains_of 'own.u8bin changed since it was indexed: last changed at'
expect 3 "$MPIVF" tune own "${queries[@]}" "${once[@]}"
complains_of 'own.u8bin changed since it was indexed: last changed at'
