#!/usr/bin/env bash
# The recipe of docs/interop.md, copied and run: its commands as they stand there, then its Python.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
with_python numpy faiss
export OMP_WAIT_POLICY=passive OPENBLAS_NUM_THREADS=1

"$python" - "$photosift" <<'PY'
import numpy as np, os, sys
def read(path):
    n, d = np.fromfile(path, "<u4", 2)
    return np.fromfile(path, "u1", offset=8).reshape(n, d)
os.mkdir("shards")
rows = read(sys.argv[1] + "/base.u8bin").astype("f2")
for i in range(4):
    np.save(f"shards/img_emb_{i:04}.npy", rows[i::4])
np.save("queries.npy", rows[0::4][:20])
PY

# blocks LANGUAGE: the lines of all fenced blocks of that language.
blocks() {
    awk -v fence="\`\`\`$1" '$0 == "```" { inside = 0 } inside { print } $0 == fence { inside = 1 }' \
        "$MPIVF_SOURCE/docs/interop.md"
}
mkdir bin
ln -s "$MPIVF" bin/mpivf
blocks sh >recipe.sh
blocks python >recipe.py
[ "$(grep -c mpivf recipe.sh)" -ge 3 ] || fail "no recipe"
expect 0 env PATH="$PWD/bin:$PATH" bash -e recipe.sh
expect 0 "$python" recipe.py
"$python" - <<'PY' || fail "other neighbours: $(cat out)"
import sys
ids = [int(x) for x in open("out").read().replace("[", " ").replace("]", " ").split()]
sys.exit(0 if len(ids) == 10 and ids[0] == 0 else 1)
PY
