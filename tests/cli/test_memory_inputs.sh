#!/usr/bin/env bash
# --memory and the figures of a plan hold whatever the input is like: in chunks of HDF5, which are kept in memory whole; in
# thousands of files; with rows that cannot be used.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
if ldd "$MPIVF" | grep -qE 'lib(a|t|ub)san' || [ ! -w /proc/self/clear_refs ]; then
    echo "memory is not the program's own, or its peak cannot be told for each phase"
    exit 77
fi
with_python numpy h5py

# within NAME [LIMIT]: no phase of the build in ./out took more than its figure, or was allowed more than the limit.
within() {
    "$python" - "$@" <<'PYTHON' || fail "not within its figures: $1"
import json, sys
limit = int(sys.argv[2]) if len(sys.argv) > 2 else 1 << 60
wrong = 0
for phase in json.load(open("out"))["phases"]:
    peak, planned = phase["memory"]["max"], phase["memory_planned"]
    wrong += not peak <= planned <= limit
    print(f"{sys.argv[1]:20} {phase['name']:8} {peak / 2**20:8.1f} of {planned / 2**20:8.1f} MiB", file=sys.stderr)
sys.exit(wrong > 0)
PYTHON
}

# Six files of chunks of 8 MiB. HDF5 would keep 16 MiB of each.
"$python" - <<'PYTHON'
import h5py, numpy
rng = numpy.random.default_rng(1)
for i in range(6):
    rows = rng.integers(0, 255, (32768 + 5000, 64)).astype("f4")
    with h5py.File(f"chunks{i}.h5", "w") as file:
        file.create_dataset("train", data=rows, chunks=(32768, 64), compression="gzip", compression_opts=1)
PYTHON
chunks=(--quiet --factory "IVF16,SQ8" --iterations 1 --threads 2 --sample 20000 --fragment-rows 20000 --json)
for i in 0 1 2 3 4 5; do chunks+=(--input "chunks$i.h5"); done
expect 0 "$MPIVF" build free "${chunks[@]}"
within "chunks"
json 'max(p["memory_planned"] for p in d["phases"]) > 128 << 20'
expect 0 "$MPIVF" build limited "${chunks[@]}" --memory 110M
within "chunks, 110M" $((110 << 20))
for file in free/models/* free/fragments/*; do
    same "$file" "limited/${file#free/}"
done
expect 2 "$MPIVF" build refused "${chunks[@]}" --memory 75M
complains_of 'needs .* of a rank, --memory allows 75\.0 MiB; what fits: .*the input in smaller chunks \(h5repack\)'
rm -r free limited chunks*

# Twelve thousand files: the build's name and the manifest tell of each.
"$python" - <<'PYTHON'
import os, struct
os.mkdir("files")
for i in range(12000):
    with open(f"files/{i:05}.fbin", "wb") as file:
        file.write(struct.pack("<II", 2, 2) + struct.pack("<4f", i, 1, -i, i % 7))
PYTHON
expect 0 "$MPIVF" build many --quiet --input files --factory "IVF4,SQ8" --iterations 1 --json
within "files"
rm -r many files

# Most rows cannot be used: every rank knows which.
"$python" - <<'PYTHON'
import numpy
rows = numpy.random.default_rng(1).normal(size=(3000000, 4)).astype("f4")
rows[numpy.arange(len(rows)) % 8 > 0, 1] = numpy.nan
with open("gaps.fbin", "wb") as file:
    file.write(numpy.array(rows.shape, "u4").tobytes())
    rows.tofile(file)
PYTHON
expect 0 ranks 4 "$MPIVF" build gaps --quiet --input gaps.fbin --factory "IVF16,Flat" --iterations 1 --sample 3000000 \
    --train-on all --on-bad-row skip --threads 1 --json
within "gaps"
json 'd["skipped"] == 2625000'

# A fragment without a row that cannot be used, then one of nothing else.
"$python" - <<'PYTHON'
import numpy
rows = numpy.random.default_rng(1).normal(size=(3000000, 4)).astype("f4")
rows[1500000:, 1] = numpy.nan
with open("half.fbin", "wb") as file:
    file.write(numpy.array(rows.shape, "u4").tobytes())
    rows.tofile(file)
PYTHON
expect 0 "$MPIVF" build half --quiet --input half.fbin --factory "IVF16,Flat" --iterations 1 --sample 20000 \
    --fragment-rows 500000 --on-bad-row skip --threads 1 --json
within "half"
json 'd["skipped"] == 1500000'
