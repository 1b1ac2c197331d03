#!/usr/bin/env bash
# FAISS, given the centroids and codebooks of an index of mpivf, finds the same rows in it; and an index that FAISS trains
# itself with the same parameters finds no more of the true neighbours.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
with_python numpy h5py faiss
# Spinning threads of two libraries would fight for the cores.
export OMP_WAIT_POLICY=passive OPENBLAS_NUM_THREADS=1

compare() { # compare FACTORY METRIC
    local name=$1.$2 nprobe
    ranks 2 "$MPIVF" build "index.$name" --quiet --input "$photosift/base.u8bin" --factory "$1" --metric "$2" --assign exact \
        >/dev/null
    for nprobe in 4 64; do
        ranks 2 "$MPIVF" search "index.$name" --quiet --queries "$photosift/query.u8bin" --k 10 --nprobe "$nprobe" \
            --output "found.$name.$nprobe.h5" >/dev/null
    done
    "$python" "$MPIVF_SOURCE/tests/peer/compare_faiss.py" "index.$name" "$photosift" "found.$name" 4 64
}

for factory in IVF64,Flat IVF64,SQfp16 IVF64,SQ8 IVF64,SQ6 IVF64,SQ4 IVF64,PQ16 IVF64,PQ32x4 OPQ16,IVF64,PQ16; do
    compare "$factory" l2
done
for factory in IVF64,Flat IVF64,SQ8 IVF64,PQ16; do
    compare "$factory" ip
done
