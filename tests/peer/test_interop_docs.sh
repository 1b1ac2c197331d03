#!/usr/bin/env bash
# The recipes of docs/interop.md, copied and run: the commands as they stand there, then the Python, and what loads the table if
# there is a PostgreSQL.
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
[ "$(grep -c mpivf recipe.sh)" -ge 5 ] || fail "no recipe"
expect 0 env PATH="$PWD/bin:$PATH" bash -e recipe.sh
expect 0 "$python" recipe.py
"$python" - <<'PY' || fail "other neighbours: $(cat out)"
import sys
ids = [int(x) for x in open("out").read().replace("[", " ").replace("]", " ").split()]
sys.exit(0 if len(ids) == 10 and ids[0] == 0 else 1)
PY

blocks bash >load.sh
grep -q psql load.sh || fail "no recipe"
database=$(mktemp -d /tmp/mpivf-pg.XXXXXX)
trap '"$MPIVF_SOURCE/tests/support/pgbox.sh" stop "$database" 2>/dev/null || true; rm -rf "$database"' EXIT
if ! "$MPIVF_SOURCE/tests/support/pgbox.sh" start "$database"; then
    echo "no PostgreSQL"
    exit 0
fi
# PostgreSQL alone has neither the extension nor its type: bytes stand for it.
cat >bin/psql <<SH
#!/bin/sh
sed -i 's/vector([0-9]*) NOT NULL/bytea NOT NULL/; /CREATE EXTENSION/d' *.sql
exec $(command -v psql) -h "$database" -U postgres "\$@"
SH
chmod +x bin/psql
expect 0 env PATH="$PWD/bin:$PATH" bash -e load.sh
loaded=$(bin/psql -qtA -c "SELECT count(*), count(*) FILTER (WHERE parent = 0), min(octet_length(vector)) FROM public.centroids")
[[ $loaded =~ ^27[0-3]\|1[3-6]\|516$ ]] || fail "the table holds $loaded"
