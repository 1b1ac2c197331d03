#!/usr/bin/env bash
# build, info and verify on real vectors: what they say adds up, and damage is found.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
data=$MPIVF_SOURCE/tests/data/photosift-10k

expect 0 ranks 2 "$MPIVF" build flat.ivf --input "$data/base.u8bin" --factory IVF64,Flat --json
json 'd["version"] == 1 and d["rows"] == d["postings"] == 10000 and d["nlist"] == 64 and d["ranks"] == 2'
json 'sum(p["seconds"]["max"] for p in d["phases"]) > 0'
json '[p["name"] for p in d["phases"] if p["parts"]] == ["assign"]'
json 'all(0 <= s["min"] <= s["max"] for p in d["phases"] if p["parts"] for s in p["parts"].values())'
# What the computing thread did and waited for fits into the phase; the rest ran beside it.
json 'all(sum(p["parts"][k]["mean"] for k in p["parts"] if k not in ("reading", "writing")) <= p["seconds"]["max"]
          and min(p["parts"][k]["min"] for k in ("computing", "reading", "writing")) > 0 for p in d["phases"] if p["parts"])'
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
json 'len(d["model"]["training"]["objective"]) == d["model"]["training"]["iterations"] == len(d["model"]["training"]["steps"]) == 17'
json 'd["list_sizes"]["min"] <= d["list_sizes"]["p1"] <= d["list_sizes"]["p50"] <= d["list_sizes"]["p99"] <= d["list_sizes"]["max"]'
json 'd["list_sizes"]["imbalance"] >= 1 and abs(d["list_sizes"]["mean"] - 10000 / 64) < 1e-9'

expect 0 ranks 2 "$MPIVF" verify flat.ivf --json
json 'd["sound"] is True and d["findings"] == [] and d["postings"] == 10000'
expect 0 "$MPIVF" verify pq.ivf
prints ': sound$'
fragment=$(find pq.ivf/fragments -name '*.h5' | sort | head -n 1)
at=$(($(stat -c %s "$fragment") - 3))
byte=$(od -An -tu1 -j "$at" -N 1 "$fragment")
printf '%b' "\\0$(printf %o $((255 - byte)))" | dd of="$fragment" bs=1 seek="$at" conv=notrunc status=none
expect 5 ranks 2 "$MPIVF" verify pq.ivf --json
json 'd["sound"] is False and len(d["findings"]) == 1'
[ "$(grep -c '^mpivf: verify: ' err)" -eq 1 ] || fail "not one line of error"
expect 0 "$MPIVF" verify flat.ivf --quiet
[ ! -s err ] || fail "--quiet said something"
