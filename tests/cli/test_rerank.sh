#!/usr/bin/env bash
# Re-ranking, from the files that were indexed and from vectors that the index keeps. The oracle: re-ranking every row is
# exact search, byte by byte.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
queries=$photosift/query.u8bin
truth=$photosift/gt100.bin
cp "$photosift/base.u8bin" base.u8bin

expect 0 ranks 2 "$MPIVF" build pq.ivf --input base.u8bin --factory IVF64,PQ8 --quiet
expect 0 ranks 2 "$MPIVF" search pq.ivf --queries "$queries" --k 100 --nprobe 64 --rerank 10000 --output all.bin
same all.bin "$truth"
expect 0 ranks 3 "$MPIVF" search pq.ivf --queries "$queries" --nprobe 8 --rerank 60 --output three.npy
expect 0 "$MPIVF" search pq.ivf --queries "$queries" --nprobe 8 --rerank 60 --output one.npy --json
json 'd["rerank"] == 60 and d["queries_with_fewer"] == 0'
same one.ids.npy three.ids.npy
same one.distances.npy three.distances.npy
expect 0 "$MPIVF" eval pq.ivf --queries "$queries" --groundtruth "$truth" --k 10 --nprobe 16 --json
cp out plain
expect 0 "$MPIVF" eval pq.ivf --queries "$queries" --groundtruth "$truth" --k 10 --nprobe 16 --rerank 100 --json
json 'd["rerank"] == 100 and d["settings"][0]["recall"][0]["by_id"] > json.load(open("plain"))["settings"][0]["recall"][0]["by_id"] + 0.2'
expect 2 "$MPIVF" search pq.ivf --queries "$queries" --k 10 --rerank 9
complains "search: --rerank 9 is less than --k 10: no 10 neighbours can come of 9 candidates"

# Input that is not what was indexed.
mv base.u8bin away.u8bin
expect 3 ranks 2 "$MPIVF" search pq.ivf --queries "$queries" --rerank 60
grep -q '^mpivf: search: input .*/base.u8bin cannot be read: No such file or directory; search without --rerank and --ids, or put back what was indexed' err ||
    fail "no such error"
expect 0 "$MPIVF" search pq.ivf --queries "$queries"
cp away.u8bin base.u8bin
expect 3 "$MPIVF" search pq.ivf --queries "$queries" --rerank 60
complains_of '/base.u8bin changed since it was indexed: last changed at' 'search without --rerank'

# Kept vectors need no input; the same command continues such a build, and not another.
mv away.u8bin base.u8bin
expect 0 ranks 2 "$MPIVF" build f32.ivf --input base.u8bin --factory IVF64,PQ8 --keep-vectors f32 --quiet
expect 0 "$MPIVF" build f32.three.ivf --input base.u8bin --factory IVF64,PQ8 --keep-vectors f32 --quiet
for fragment in f32.ivf/fragments/*.h5; do same "$fragment" "f32.three.ivf/fragments/${fragment##*/}"; done
expect 0 ranks 2 "$MPIVF" build f16.ivf --input base.u8bin --factory IVF64,PQ8 --metric cosine --keep-vectors f16 --quiet
expect 0 "$MPIVF" plan f16.ivf --replace --input base.u8bin --factory IVF64,PQ8 --keep-vectors f16 --json
json 'd["vectors"] == "f16"'
expect 0 ranks 2 "$MPIVF" exact --input base.u8bin --queries "$queries" --k 100 --metric cosine --output cosine.bin --quiet
mv base.u8bin away.u8bin
expect 0 "$MPIVF" info f32.ivf --json
json 'd["model"]["vectors"] == "f32"'
expect 0 ranks 2 "$MPIVF" verify f32.ivf
expect 0 ranks 2 "$MPIVF" search f32.ivf --queries "$queries" --k 100 --nprobe 64 --rerank 10000 --output kept.bin
same kept.bin "$truth"
# Bytes are whole numbers, which half precision holds.
expect 0 ranks 3 "$MPIVF" search f16.ivf --queries "$queries" --k 100 --nprobe 64 --rerank 10000 --output kept.bin
same kept.bin cosine.bin
expect 0 ranks 3 "$MPIVF" search f32.ivf --queries "$queries" --nprobe 8 --rerank 60 --output kept.npy
same kept.ids.npy three.ids.npy
same kept.distances.npy three.distances.npy
expect 0 "$MPIVF" search f32.ivf --queries "$queries" --nprobe 64 --k 5 --rerank 200 --max-distance 1
prints '^200 of them have fewer than 5: there are no more rows within --max-distance 1 in the lists probed$'

# By id: a row is not among its own neighbours, and the vectors come from the index or the files, with the same results.
expect 0 ranks 3 "$MPIVF" search f32.ivf --ids 17,42,17 --nprobe 64 --k 5 --rerank 10000 --json
json '[q["query"] for q in d["first_results"]] == [17, 42, 17] and d["k"] == 5 and d["rerank"] == 10000'
json 'all(q["query"] not in q["ids"] and len(q["ids"]) == 5 and q["distances"] == sorted(q["distances"]) for q in d["first_results"])'
json 'd["first_results"][0]["ids"] == d["first_results"][2]["ids"] and d["queries_with_fewer"] == 0'
expect 0 "$MPIVF" search f32.ivf --ids 17,42,17 --nprobe 64 --k 5 --rerank 10000 --output kept.npy
mv away.u8bin base.u8bin
expect 0 ranks 2 "$MPIVF" search pq.ivf --ids 17,42,17 --nprobe 64 --k 5 --rerank 10000 --output shards.npy
same kept.ids.npy shards.ids.npy
same kept.distances.npy shards.distances.npy
{ u32 17 0 42 0 17 0; } >ids.bin
expect 0 "$MPIVF" search pq.ivf --ids ids.bin --nprobe 64 --k 5 --rerank 10000 --output file.npy
same file.ids.npy shards.ids.npy
expect 3 "$MPIVF" search pq.ivf --ids 17,10000,4000000000
complains "search: 2 of the ids asked for are no row of pq.ivf: 10000, 4000000000"
expect 3 "$MPIVF" search f32.ivf --ids 10000
complains "search: 1 of the ids asked for is no row of f32.ivf: 10000"
expect 2 "$MPIVF" search f32.ivf --ids 1, --k 2
complains "search: --ids: '' is no id; ids are whole numbers from 0 to 2^63 - 1"
expect 2 "$MPIVF" search f32.ivf --ids 1 --queries "$queries"
complains_of '--queries and --ids exclude each other'

# Compacted, they are merged with the rest.
for form in --fragment-bytes=1M --single-file; do
    expect 0 ranks 2 "$MPIVF" compact f32.ivf $form --quiet
    expect 0 ranks 2 "$MPIVF" verify f32.ivf
    expect 0 ranks 2 "$MPIVF" search f32.ivf --queries "$queries" --nprobe 8 --rerank 60 --output kept.npy
    same kept.ids.npy three.ids.npy
    same kept.distances.npy three.distances.npy
done
