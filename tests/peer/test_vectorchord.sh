#!/usr/bin/env bash
# A real PostgreSQL loads the tables for VectorChord that mpivf export writes, by the SQL that comes with them: counts, parents
# and vectors, as it sees them itself. It has no type vector here: the binary form goes into bytes, the text into JSON. "long":
# the commands that docs/interop.md shows, with a million rows, and what numpy says of the outcome.
# shellcheck source=../support/cli.sh
source "$MPIVF_SOURCE/tests/support/cli.sh"
with_python numpy

if [ "${1:-short}" = long ]; then
    mkdir bin
    ln -s "$MPIVF" bin/mpivf
    grep -E '^    mpirun.* mpivf (generate|train lists|export lists)' "$MPIVF_SOURCE/docs/interop.md" >recipe.sh
    [ "$(wc -l <recipe.sh)" -eq 3 ] || fail "no recipe"
    PATH="$PWD/bin:$PATH" bash -e recipe.sh
    "$MPIVF" export lists.ivf --quiet --format npy --output parts
    "$python" - <<'PY'
import numpy as np
d, lists = 64, np.load("parts/centroids.npy")
top, first = np.load("parts/level1.centroids.npy"), np.load("parts/level1.first.npy")
data = open("lists.copy", "rb").read()
assert data[:19] == b"PGCOPY\n\xff\r\n\0" + bytes(8) and data[-2:] == b"\xff\xff"
root = np.dtype([("fields", ">i2"), ("id_bytes", ">i4"), ("id", ">i4"), ("parent_bytes", ">i4"), ("bytes", ">i4"), ("d", ">i2"),
                 ("zero", ">i2"), ("x", ">f4", d)])
row = np.dtype([("fields", ">i2"), ("id_bytes", ">i4"), ("id", ">i4"), ("parent_bytes", ">i4"), ("parent", ">i4"),
                ("bytes", ">i4"), ("d", ">i2"), ("zero", ">i2"), ("x", ">f4", d)])
head = np.frombuffer(data, root, 1, 19)[0]
rows = np.frombuffer(data[19 + root.itemsize:-2], row)
assert head["id"] == 0 and head["parent_bytes"] == -1 and head["d"] == d and (rows["fields"] == 3).all()
assert (rows["id"] == np.arange(1, len(rows) + 1)).all() and len(lists) == 4000 and 48 <= len(top) <= 64
assert (rows["x"][:len(top)] == top).all() and (rows["x"][len(top):] == lists).all()
distances = ((lists.astype("f8")[:, None] - top[None]) ** 2).sum(2)
parents = rows["parent"][len(top):] - 1
own = distances[np.arange(len(lists)), parents]
assert (own <= distances.min(1) * (1 + 1e-6)).all(), "a list is not under the nearest node"
assert (parents == distances.argmin(1)).mean() >= 0.999 and (rows["parent"][:len(top)] == 0).all()
print(f"{len(lists)} lists under {len(top)} nodes, {(parents == distances.argmin(1)).mean():.4%} as numpy has them")
PY
    exit 0
fi

database=$(mktemp -d /tmp/mpivf-pg.XXXXXX) # a socket's path is short
trap '"$MPIVF_SOURCE/tests/support/pgbox.sh" stop "$database" || true; rm -rf "$database"' EXIT
"$MPIVF_SOURCE/tests/support/pgbox.sh" start "$database"

sql() { psql -h "$database" -U postgres -v ON_ERROR_STOP=1 -qtA "$@"; }
is() { # is QUERY VALUE
    local found
    found=$(sql -c "$1")
    [ "$found" = "$2" ] || fail "$found instead of $2: $1"
}
load() { # load FILE TYPE: runs the SQL that was written, with a type that is there
    sed "s/vector([0-9]*) NOT NULL/$2 NOT NULL/; /CREATE EXTENSION/d" "$1.sql" >here.sql
    sql -f here.sql
}

# check NAME METRIC COUNT...: the nodes of each level, from the top.
check() {
    local name=$1 metric=$2 first=1 total=1 orders level
    shift 2
    expect 0 ranks 2 "$MPIVF" train "$name" --quiet --input "$photosift/base.u8bin" --sample 3000 --iterations 3 \
        --metric "$metric" "${shape[@]}"
    expect 0 ranks 3 "$MPIVF" export "$name" --quiet --format vectorchord --output "$name.copy" --table "${name}_binary"
    expect 0 ranks 1 "$MPIVF" export "$name" --quiet --format vectorchord --output "$name.alone" --table "${name}_binary"
    expect 0 ranks 2 "$MPIVF" export "$name" --quiet --format vectorchord --output "$name.txt" --table "${name}_text" --copy text
    same "$name.copy" "$name.alone"
    grep -qF "table = '${name}_binary'" "$name.copy.sql" || fail "no options for the index"
    load "$name.copy" bytea
    load "$name.txt" json
    sql -c "CREATE TABLE $name AS SELECT id, parent, ARRAY(SELECT value::float8 FROM json_array_elements_text(vector)
        WITH ORDINALITY ORDER BY ordinality) AS x FROM ${name}_text"
    # Both forms are the same vectors: pgvector's binary form is a dimension, a zero, and floats.
    is "SELECT count(*) FROM $name t JOIN ${name}_binary b USING (id) WHERE t.parent IS NOT DISTINCT FROM b.parent AND b.vector =
        (SELECT int2send(128::int2) || int2send(0::int2) || string_agg(float4send(v::float4), ''::bytea ORDER BY o)
         FROM unnest(t.x) WITH ORDINALITY AS u(v, o))" "$(sql -c "SELECT count(*) FROM $name")"
    is "SELECT count(*) || ' ' || min(id) FROM $name WHERE parent IS NULL" "1 0"
    is "SELECT count(*) FROM $name c LEFT JOIN $name p ON c.parent = p.id WHERE c.id > 0 AND p.id IS NULL" 0
    # Each level is numbered after the one above, whose numbers are its parents; every node is under the nearest of them.
    orders="sum((a - b) ^ 2)"
    if [ "$metric" != l2 ]; then orders="-sum(a * b)"; fi
    level=0
    for count in "$@"; do
        local above=$((first - 1)) beyond=$((first + count))
        if [ "$level" -eq 0 ]; then
            is "SELECT count(*) FROM $name WHERE parent = 0" "$count"
        else
            above=$((first - previous))
            is "SELECT count(*) FROM $name WHERE id >= $first AND id < $beyond AND parent >= $above AND parent < $first" "$count"
            is "SELECT count(*) FROM (SELECT c.id, min(d) AS least, min(d) FILTER (WHERE p.id = c.parent) AS own
                FROM $name c JOIN $name p ON p.id >= $above AND p.id < $first,
                LATERAL (SELECT $orders AS d FROM unnest(c.x, p.x) AS u(a, b)) s
                WHERE c.id >= $first AND c.id < $beyond GROUP BY c.id) q WHERE own > least + 1e-5 * abs(least)" 0
        fi
        first=$beyond
        previous=$count
        total=$((total + count))
        level=$((level + 1))
    done
    is "SELECT count(*) || ' ' || max(id) FROM $name" "$total $((total - 1))"
}

shape=(--factory "IVF20,Flat")
check flat l2 20
shape=(--factory "IVF96,SQ8" --level-nodes 8)
check two l2 8 96
check angles cosine 8 96
shape=(--factory "IVF64,Flat" --level-nodes "4,16")
check three ip 4 16 64

# The lists are numbered as the index has them, and the root is the mean of what is below it.
expect 0 "$MPIVF" export two --quiet --format npy --output two.npy
"$python" - <<'PY'
import json
import numpy as np
rows = [line.rstrip("\n").split("\t") for line in open("two.txt")]
vectors = np.array([json.loads(row[2]) for row in rows], "f4")
assert [int(row[0]) for row in rows] == list(range(105)) and rows[0][1] == "\\N"
assert (vectors[9:] == np.load("two.npy/centroids.npy")).all()
assert (vectors[1:9] == np.load("two.npy/level1.centroids.npy")).all()
assert np.allclose(vectors[0], vectors[1:9].mean(0), rtol=1e-5)
first = np.load("two.npy/level1.first.npy")
assert [int(row[1]) for row in rows[9:]] == (1 + np.repeat(np.arange(8), np.diff(first))).tolist()
PY

expect 0 ranks 2 "$MPIVF" train turned --quiet --input "$photosift/base.u8bin" --sample 3000 --factory "OPQ4_8,IVF16,Flat"
expect 3 ranks 2 "$MPIVF" export turned --quiet --format vectorchord --output turned.copy
complains_of "train without OPQ"
[ ! -e turned.copy ] || fail "a file was left"
expect 2 "$MPIVF" export two --format vectorchord --output x --nprobe 4
expect 2 "$MPIVF" export two --format vectorchord --output x --table "a; drop"
expect 2 "$MPIVF" export two --format npy --output x --table a
expect 2 "$MPIVF" export two --output x --copy text
complains_of "--copy has no effect with --format faiss"
