#!/usr/bin/env bash
# Every command on real vectors: build, info, verify, search, eval, exact. The oracles: exact search gives the known
# neighbours byte by byte, and probing every list of a Flat index finds all of them.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
data=$MPIVF_SOURCE/tests/data/photosift-10k

expect 0 ranks 2 "$MPIVF" exact --input "$data/base.u8bin" --queries "$data/query.u8bin" --k 100 --output gt.bin --json
json 'd["rows"] == 10000 and d["queries"] == 200 and d["k"] == 100 and d["skipped"] == 0'
same gt.bin "$data/gt100.bin"

expect 0 ranks 2 "$MPIVF" build flat.ivf --input "$data/base.u8bin" --factory IVF64,Flat --json
json 'd["version"] == 1 and d["rows"] == d["postings"] == 10000 and d["nlist"] == 64 and d["ranks"] == 2'
json 'sum(p["seconds"]["max"] for p in d["phases"]) > 0'
expect 4 "$MPIVF" build flat.ivf --input "$data/base.u8bin" --factory IVF64,Flat
[ "$(grep -c '^mpivf: build: ' err)" -eq 1 ] || fail "not one line of error"
expect 0 ranks 3 "$MPIVF" build pq.ivf --config "$MPIVF_SOURCE/configs/photosift.yml" --input "$data/base.u8bin"
prints '^pq.ivf: version 1, 10000 of 10000 rows in 64 lists, '
[ ! -e photosift.ivf ] || fail "the command line did not beat the file"

expect 0 "$MPIVF" info flat.ivf
prints '^model +IVF64,Flat, d 128, metric l2, 64 lists$'
prints '^vector +512 bytes of code, '
expect 0 ranks 2 "$MPIVF" info pq.ivf --json
json 'd["model"]["factory"] == "IVF64,PQ32" and d["model"]["code_bytes"] == 32 and d["model"]["d"] == 128'
json 'd["postings"] == sum(f["postings"] for f in d["fragments"]) == 10000 and d["config"]["factory"] == "IVF64,PQ32"'
json 'd["bytes"] == sum(f["bytes"] for f in d["fragments"]) and d["bytes"] / 10000 == d["bytes_per_vector"]'
json 'len(d["model"]["training"]["objective"]) == d["model"]["training"]["iterations"] == 10'
json 'd["list_sizes"]["min"] <= d["list_sizes"]["p1"] <= d["list_sizes"]["p50"] <= d["list_sizes"]["p99"] <= d["list_sizes"]["max"]'
json 'd["list_sizes"]["imbalance"] >= 1 and abs(d["list_sizes"]["mean"] - 10000 / 64) < 1e-9'

expect 0 ranks 2 "$MPIVF" eval flat.ivf --queries "$data/query.u8bin" --groundtruth "$data/gt100.bin" --k 1,10,100 --nprobe 1,16,64,1000 --json
json '[s["nprobe"] for s in d["settings"]] == [1, 16, 64]'
json 'all(r["by_id"] == 1 and r["by_distance"] == 1 for r in d["settings"][2]["recall"])'
json 'd["settings"][0]["recall"][1]["by_id"] < d["settings"][1]["recall"][1]["by_id"] < 1'
json 'd["settings"][2]["postings_scanned"] == 200 * 10000 and all(s["queries_per_second"] > 0 for s in d["settings"])'
grep -q '^mpivf: --nprobe 1000 is more than the 64 lists there are: all are scanned$' err || fail "no note of the clamped nprobe"
expect 0 "$MPIVF" eval flat.ivf --queries "$data/query.u8bin" --groundtruth gt.bin --nprobe 64
prints '^ +64 +10000\.0 +1\.0000 +1\.0000 +1\.0000 +1\.0000 +[0-9]+$'
expect 2 "$MPIVF" eval flat.ivf --queries "$data/query.u8bin" --groundtruth gt.bin --k 101
complains "eval: --k 101 is deeper than the 100 neighbours of gt.bin"
expect 3 "$MPIVF" eval flat.ivf --queries "$data/base.u8bin" --groundtruth gt.bin
complains "eval: gt.bin: ground truth of 200 queries, but there are 10000"

expect 0 ranks 2 "$MPIVF" search flat.ivf --queries "$data/query.u8bin" --k 100 --nprobe 99 --output all.bin
same all.bin gt.bin
expect 0 ranks 3 "$MPIVF" search pq.ivf --queries "$data/query.u8bin" --k 3 --nprobe 5 --output three.npy
expect 0 "$MPIVF" search pq.ivf --queries "$data/query.u8bin" --k 3 --nprobe 5 --output one.npy
same one.ids.npy three.ids.npy
same one.distances.npy three.distances.npy
expect 0 "$MPIVF" search flat.ivf --queries "$data/query.u8bin" --k 2 --nprobe 64
prints '^ +query +rank +id +distance$'
[ "$(grep -cE '^ +[0-4] +[12] +[0-9]+ +[0-9]+$' out)" -eq 10 ] || fail "not 5 x 2 neighbours"
expect 0 ranks 2 "$MPIVF" search flat.ivf --queries "$data/query.u8bin" --k 2 --nprobe 64 --json
json 'len(d["first_results"]) == 5 and len(d["first_results"][4]["ids"]) == 2 and d["k"] == 2 and d["nprobe"] == 64'
expect 2 "$MPIVF" search flat.ivf --queries "$data/query.u8bin" --output all.txt
expect 3 "$MPIVF" search flat.ivf --queries missing.fbin
expect 0 "$MPIVF" generate --output narrow.fbin --rows 3 --dim 64
expect 3 ranks 2 "$MPIVF" search flat.ivf --queries narrow.fbin
grep -q '^mpivf: search: narrow.fbin: queries of 64 values; the rows to search have 128' err || fail "no such error"

expect 0 ranks 2 "$MPIVF" verify flat.ivf --json
json 'd["sound"] is True and d["findings"] == [] and d["postings"] == 10000'
expect 0 "$MPIVF" verify pq.ivf
prints ': sound$'
fragment=$(find pq.ivf/fragments -name '*.h5' | sort | head -n 1)
printf '\377' | dd of="$fragment" bs=1 seek="$(($(stat -c %s "$fragment") - 3))" conv=notrunc status=none
expect 5 ranks 2 "$MPIVF" verify pq.ivf --json
json 'd["sound"] is False and len(d["findings"]) == 1'
[ "$(grep -c '^mpivf: verify: ' err)" -eq 1 ] || fail "not one line of error"
expect 0 "$MPIVF" verify flat.ivf --quiet
[ ! -s err ] || fail "--quiet said something"
