#!/usr/bin/env bash
# Codes against those of FAISS with the same parameters, and the quality of training against FAISS's.
set -euo pipefail
python=${PYTHON:-/usr/bin/python3}
"$python" -c 'import faiss, numpy' 2>/dev/null || { echo "no FAISS for $python"; exit 77; }
# FAISS and its BLAS starve each other when their threads spin.
export OMP_WAIT_POLICY=passive
exec "$python" "$MPIVF_SOURCE/tests/peer/codec_faiss.py" "$MPIVF_BUILD/tests/peer_codec_tool" \
    "$MPIVF_SOURCE/tests/data/photosift-10k/base.u8bin"
