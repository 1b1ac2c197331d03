#!/usr/bin/env bash
# plan: says what build then does, predicts without leaving anything behind, and refuses what build would refuse.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
export OMP_NUM_THREADS=1
input=(--input "$photosift/base.u8bin" --factory "IVF64,PQ8" --iterations 2 --pq-iterations 2)

expect 0 "$MPIVF" plan new.ivf "${input[@]}"
prints '^input +1 shard, 10000 rows of 128 x u8$'
prints '^index +version 1, IVF64,PQ8, metric l2, 64 lists in 1 level$'
prints '^fragments +3 of 4096 rows$'
[ ! -e new.ivf ] || fail "plan made the index"
expect 0 "$MPIVF" plan new.ivf "${input[@]}" --json
json '"predictions" not in d and d["sample_rows"] == 10000 and d["code_bytes"] == 8'
expect 0 "$MPIVF" build new.ivf "${input[@]}" --json --quiet
json 'd["fragments"] == 3 and d["nlist"] == 64'
expect 4 "$MPIVF" plan new.ivf "${input[@]}"
complains_of 'is an index already'
expect 0 ranks 2 "$MPIVF" plan new.ivf "${input[@]}" --replace
prints 'version 2'
rm -r new.ivf

expect 0 ranks 2 "$MPIVF" plan new.ivf "${input[@]}" --ranks 1,4,4096
prints '^ +4096( +[0-9.]+){8} +[0-9.]+ [KMG]?i?B$'
prints '^scales to [0-9]+ ranks?: '
[ "$(find . -mindepth 1 | sort | tr '\n' ' ')" = "./err ./out " ] || fail "plan left something: $(ls -A)"

known=(--train-rate 1000 --codec-rate 2000 --assign-rate 100 --read-rate 1 --write-rate 1 --latency 10 --bandwidth 1)
expect 0 "$MPIVF" plan deep/down/new.ivf "${input[@]}" --ranks 1,2,3 "${known[@]}" --json
json '[p["ranks"] for p in d["predictions"]] == [1, 2, 3]'
json 'all(abs(p["seconds"] - sum(p["phases"].values())) < 1e-6 and
          abs(p["seconds"] - sum(p["terms"].values())) < 1e-6 for p in d["predictions"])'
json 'd["predictions"][0]["terms"]["kmeans"] == 10 and d["predictions"][0]["terms"]["codec"] == 5'
json '100 < d["predictions"][0]["phases"]["assign"] < 101 and d["predictions"][1]["terms"]["kmeans"] == 5'
json 'd["rates"]["read_row"] == 128e-6 and d["limit"]["term"] == "fragments" and d["limit"]["ranks"] in (2, 4)'
[ ! -e deep ] || fail "plan made folders"
expect 0 "$MPIVF" plan new.ivf "${input[@]}" --ranks 8 "${known[@]}" --train-on root --read-limit 1 --write-limit 1 --json
json 'd["predictions"][0]["terms"]["kmeans"] == 10 and d["predictions"][0]["terms"]["kmeans_reduce"] == 0'
json 'd["predictions"][0]["terms"]["fragments"] > 33'

expect 0 "$MPIVF" plan new.ivf --input "$photosift/base.u8bin" --factory IVF,Flat --ranks 2
expect 2 "$MPIVF" plan new.ivf "${input[@]}" --latency 3
complains_of 'no effect without --ranks'
expect 2 "$MPIVF" plan new.ivf "${input[@]}" --ranks 0
expect 3 "$MPIVF" plan new.ivf --input missing.fbin
expect 0 "$MPIVF" plan --config "$MPIVF_SOURCE/configs/photosift.yml" new.ivf --input "$photosift/base.u8bin"
