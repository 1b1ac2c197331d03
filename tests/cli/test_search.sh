#!/usr/bin/env bash
# exact, search and eval on real vectors. The oracles: exact search gives the known neighbours byte by byte, and probing
# every list of a Flat index finds all of them.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
data=$MPIVF_SOURCE/tests/data/photosift-10k

expect 0 ranks 2 "$MPIVF" exact --input "$data/base.u8bin" --queries "$data/query.u8bin" --k 100 --output gt.bin --json
json 'd["rows"] == 10000 and d["queries"] == 200 and d["k"] == 100 and d["skipped"] == 0'
same gt.bin "$data/gt100.bin"

expect 0 ranks 2 "$MPIVF" build flat.ivf --input "$data/base.u8bin" --factory IVF64,Flat --quiet
expect 0 ranks 2 "$MPIVF" build pq.ivf --input "$data/base.u8bin" --factory IVF64,PQ16 --quiet

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

# Whatever the ranks share out, the results are the same; all lists in every node's memory are more than --memory allows.
for spread in auto lists queries; do
    expect 0 ranks 3 "$MPIVF" search pq.ivf --queries "$data/query.u8bin" --k 3 --nprobe 5 --spread $spread --output three.npy
    same one.ids.npy three.ids.npy
    same one.distances.npy three.distances.npy
done
expect 2 ranks 2 "$MPIVF" search flat.ivf --queries "$data/query.u8bin" --spread queries --memory 24M
grep -q '^mpivf: search: --spread queries wants all lists in the memory of every node: ' err || fail "no such error"

expect 0 "$MPIVF" search flat.ivf --queries "$data/query.u8bin" --k 2 --nprobe 64
prints '^ +query +rank +id +distance$'
[ "$(grep -cE '^ +[0-4] +[12] +[0-9]+ +[0-9]+$' out)" -eq 10 ] || fail "not 5 x 2 neighbours"
expect 0 ranks 2 "$MPIVF" search flat.ivf --queries "$data/query.u8bin" --k 2 --nprobe 64 --json
json 'len(d["first_results"]) == 5 and len(d["first_results"][4]["ids"]) == 2 and d["k"] == 2 and d["nprobe"] == 64 and d["queries_with_fewer"] == 0'
expect 0 "$MPIVF" search flat.ivf --queries "$data/query.u8bin" --k 5000 --nprobe 1
prints '^200 of them have fewer than 5000: there are no more rows in the lists probed$'
expect 2 "$MPIVF" search flat.ivf --queries "$data/query.u8bin" --output all.txt
expect 3 "$MPIVF" search flat.ivf --queries missing.fbin
expect 0 "$MPIVF" generate --output narrow.fbin --rows 3 --dim 64
expect 3 ranks 2 "$MPIVF" search flat.ivf --queries narrow.fbin
grep -q '^mpivf: search: narrow.fbin: queries of 64 values; the rows to search have 128' err || fail "no such error"

# Down a tree, and within a distance.
expect 0 ranks 2 "$MPIVF" build tree.ivf --input "$data/base.u8bin" --factory IVF256,Flat --levels 2 --quiet
expect 0 ranks 2 "$MPIVF" search tree.ivf --queries "$data/query.u8bin" --nprobe 999,256 --k 100 --output down.bin
same down.bin gt.bin
expect 0 ranks 3 "$MPIVF" search tree.ivf --queries "$data/query.u8bin" --nprobe 3,9 --output three.npy
expect 0 "$MPIVF" search tree.ivf --queries "$data/query.u8bin" --nprobe 3,9 --output one.npy
same one.ids.npy three.ids.npy
same one.distances.npy three.distances.npy
expect 0 "$MPIVF" eval tree.ivf --queries "$data/query.u8bin" --groundtruth gt.bin --nprobe 16,1/16,8/16 --json
json '[s["nprobe_nodes"] for s in d["settings"]] == [None, [1], [8]]'
json '(lambda r: r[1] < r[2] <= r[0] < 1)([s["recall"][1]["by_id"] for s in d["settings"]])'
json 'all(s["queries_with_fewer"] == 0 for s in d["settings"]) and d["max_distance"] is None'
expect 2 "$MPIVF" search tree.ivf --queries "$data/query.u8bin" --nprobe 1,2,3
complains "search: --nprobe 1,2,3: 3 numbers, but the tree of this index has 2 levels; give one for each, the top level first, or the number of lists alone"
expect 2 "$MPIVF" eval flat.ivf --queries "$data/query.u8bin" --groundtruth gt.bin --nprobe 4,2/8
complains "eval: --nprobe 2/8: 2 numbers, but the lists of this index have no tree to descend; give one, the number of lists"

expect 0 ranks 2 "$MPIVF" search flat.ivf --queries "$data/query.u8bin" --k 5 --nprobe 64 --max-distance 40000 --json
json 'd["max_distance"] == 40000 and 0 < d["queries_with_fewer"] < 200'
json 'all(x <= 40000 for q in d["first_results"] for x in q["distances"])'
expect 0 "$MPIVF" search flat.ivf --queries "$data/query.u8bin" --k 5 --nprobe 64 --max-distance 1
prints '^200 of them have fewer than 5: there are no more rows within --max-distance 1 in the lists probed$'
expect 0 "$MPIVF" eval flat.ivf --queries "$data/query.u8bin" --groundtruth gt.bin --nprobe 64 --max-distance 1
prints '^with --nprobe 64 200 of the 200 queries have fewer than 10 neighbours$'

# Sums over very many values stay within 32 bits, whatever the kernels.
{ u32 40 150000; head -c $((40 * 150000)) /dev/urandom; } >very_wide.u8bin
{ u32 1 150000; head -c 150000 /dev/zero | tr '\0' '\1'; } >ones.u8bin
expect 0 "$MPIVF" build very_wide --quiet --input very_wide.u8bin --metric ip --factory "IVF1,SQ8"
expect 0 "$MPIVF" exact --quiet --input very_wide.u8bin --queries ones.u8bin --metric ip --k 1 --output nearest.ibin
for level in reference best; do
    if [ "$level" = reference ]; then export MPIVF_SIMD=reference; else unset MPIVF_SIMD; fi
    expect 0 "$MPIVF" search very_wide --quiet --queries ones.u8bin --k 1 --output found.ibin
    same nearest.ibin found.ibin
done
