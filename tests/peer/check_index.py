#!/usr/bin/env python3
"""check_index.py INDEX ROWS [IDS]: checks an index of mpivf against FORMAT.md and against the rows that it was built from.

ROWS is a .u8bin or .fbin file, IDS a .npy file. Written from FORMAT.md alone. Exit code 0: every rule holds.
"""
import ctypes
import glob
import json
import os
import re
import sys

import h5py
import numpy as np

PAGE = 4096
KEPT = {"f32": "<f4", "f16": "<f2"}
REASONS = {1: "not_finite", 2: "norm_overflow", 3: "zero_norm", 4: "out_of_range"}


def xxh3(data):
    """XXH3-64 of some bytes, as 16 hexadecimal digits."""
    library = ctypes.CDLL("libxxhash.so.0")
    library.XXH3_64bits.restype = ctypes.c_uint64
    library.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return "%016x" % library.XXH3_64bits(data, len(data))


def digest(ids):
    """Sum of the ids after the finaliser of SplitMix64, as 16 hexadecimal digits."""
    with np.errstate(over="ignore"):
        x = ids.astype("u8") + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return "%016x" % int((x ^ (x >> np.uint64(31))).sum(dtype="u8"))


def read_rows(path):
    kind = {".u8bin": "u1", ".fbin": "<f4"}[os.path.splitext(path)[1]]
    n, d = np.fromfile(path, "<u4", 2)
    return np.fromfile(path, kind, offset=8).reshape(n, d).astype("f4")


def open_file(index, folder, name, size, checksum):
    path = os.path.join(index, folder, name + ".h5")
    data = open(path, "rb").read()
    assert len(data) == size, f"{path}: {len(data)} bytes, not {size}"
    assert xxh3(data) == checksum, f"{path}: checksum {xxh3(data)}, not {checksum}"
    return h5py.File(path, "r")


def array(file, name, kind, shape):
    """A dataset of that type and shape; contiguous, and at a page's start unless it is empty."""
    data = file[name]
    assert data.dtype == np.dtype(kind), f"{file.filename}: {name} is {data.dtype}, not {kind}"
    assert data.shape == shape, f"{file.filename}: {name} is {data.shape}, not {shape}"
    assert data.chunks is None and data.compression is None, f"{file.filename}: {name} is not contiguous"
    if data.size > 0:
        assert data.id.get_offset() % PAGE == 0, f"{file.filename}: {name} at {data.id.get_offset()}"
    contents = data[...]
    assert data.attrs["checksum"].dtype == np.dtype("<u8")
    assert "%016x" % data.attrs["checksum"] == xxh3(contents.tobytes()), f"{file.filename}: checksum of {name}"
    return contents


def text(file, name):
    value = file.attrs[name]
    return value.decode() if isinstance(value, bytes) else str(value)


def read_manifest(index):
    names = sorted(os.listdir(os.path.join(index, "manifests")))
    path = os.path.join(index, "manifests", names[-1])
    lines = open(path, encoding="utf-8").read()
    manifest = json.loads(lines)
    assert manifest["format"] == "mpivf manifest" and manifest["layout"] in ("rows", "lists")
    assert manifest["format_version"] == (2 if manifest["layout"] == "lists" else 1)
    assert ("compacted" in manifest) == (manifest["layout"] == "lists")
    assert names[-1] == "%06d.json" % manifest["version"], names
    # The checksum is that of the rest, without white space between the tokens.
    rest = re.sub(r'(?m)^ "checksum": "[0-9a-f]{16}",?\n', "", lines)
    tokens = re.findall(r'"(?:\\.|[^"\\])*"|[^"\s]+', rest)
    found = xxh3("".join(tokens).encode())
    assert found == manifest["checksum"], f"{path}: checksum {manifest['checksum']}, not {found}"
    return manifest


def check_conservation(m, rows):
    assert m["rows"] == len(rows) == sum(s["rows"] for s in m["input"]) == sum(f["rows"] for f in m["fragments"])
    assert m["postings"] == sum(f["postings"] for f in m["fragments"]) == sum(m["list_sizes"])
    assert m["postings"] + sum(m["skipped"].values()) == m["rows"]
    assert set(m["skipped"]) == set(REASONS.values())
    assert len(m["list_sizes"]) == m["nlist"]
    by_lists = m["layout"] == "lists"
    first = 0
    for shard in m["input"]:
        assert shard["first_row"] == first and shard["rows"] >= 0
        first += shard["rows"]
    first = 0
    for number, fragment in enumerate(m["fragments"]):
        assert fragment["number"] == number and fragment["first_list" if by_lists else "first_row"] == first
        assert fragment["postings"] + sum(fragment["skipped"].values()) == fragment["rows"] < 2**63
        assert min(fragment["postings"], *fragment["skipped"].values()) >= 0
        assert fragment["bytes"] >= fragment["postings"] * (8 + m["code_size"])
        if by_lists:
            assert fragment["lists"] >= 1 and (number == 0 or sum(fragment["skipped"].values()) == 0)
            assert fragment["postings"] == sum(m["list_sizes"][first : first + fragment["lists"]])
        first += fragment["lists" if by_lists else "rows"]
    assert first == (m["nlist"] if by_lists else m["rows"])
    total = sum(int(f["digest_in"], 16) for f in m["fragments"]) % 2**64
    assert m["digest_in"] == m["digest_out"] == "%016x" % total
    assert "IVF%d" % m["nlist"] in m["factory"].split(",")


def check_tuning(m):
    tunings = m.get("tuning", [])
    depths = [t["k"] for t in tunings]
    assert depths == sorted(set(depths))
    for tuning in tunings:
        assert tuning["queries"] >= 1 and tuning["ranks"] >= 1 and tuning["threads"] >= 1 and tuning["settings"]
        recalls = [s["recall"] for s in tuning["settings"]]
        speeds = [s["queries_per_second"] for s in tuning["settings"]]
        assert recalls == sorted(set(recalls)) and 0 <= recalls[0] and recalls[-1] <= 1
        assert speeds == sorted(set(speeds), reverse=True) and speeds[-1] > 0
        assert all(1 <= s["nprobe"] <= m["nlist"] for s in tuning["settings"])


def check_tree(file, m, nodes):
    """Every node stands under the nearest node of the level above."""
    for level in range(1, file.attrs["levels"]):
        count = file[f"level{level}/centroids"].shape[0]
        parents = array(file, f"level{level}/centroids", "<f4", (count, nodes.shape[1]))
        first = array(file, f"level{level}/first", "<i4", (count + 1,))
        assert first[0] == 0 and first[-1] == len(nodes) and (np.diff(first) >= 0).all()
        parent = np.repeat(np.arange(count), np.diff(first))
        score = nodes.astype("f8") @ parents.astype("f8").T
        if m["metric"] == "l2":
            score -= (parents.astype("f8") ** 2).sum(1) / 2
        given = score[np.arange(len(nodes)), parent]
        assert (given >= score.max(1) - 1e-5 * np.abs(score).max()).all(), f"level {level}: a nearer parent is there"
        nodes = parents


def read_model(index, m):
    with open_file(index, "models", m["model"]["id"], m["model"]["bytes"], m["model"]["checksum"]) as file:
        assert text(file, "format") == "mpivf model" and file.attrs["format_version"] == 1
        for name in ("factory", "metric"):
            assert text(file, name) == m[name], name
        assert text(file, "id") == m["model"]["id"]
        for name in ("d", "nlist", "code_size"):
            assert file.attrs[name] == m[name], name
        objective = array(file, "objective", "<f8", (file.attrs["iterations"],))
        assert np.isfinite(objective).all() and len(objective) >= 1
        model = {}
        width = m["d"]
        if m["factory"].startswith("OPQ"):
            width = file["rotation"].shape[0]
            model["rotation"] = array(file, "rotation", "<f4", (width, m["d"]))
        model["centroids"] = array(file, "centroids", "<f4", (m["nlist"], width))
        check_tree(file, m, model["centroids"])
        step = array(file, "grid/step", "<f4", (1,))
        assert step[0] > 0 and np.isfinite(array(file, "grid/centre", "<f4", (width,))).all()
        way = text(file, "assign")
        assert way in ("exact", "rounded", "tree") and file.attrs["assign_same"] <= file.attrs["assign_rows"]
        model["apart"] = {"exact": 0, "rounded": 0.01, "tree": 0.05}[way]
        model["residual"] = bool(file.attrs["by_residual"])
        codec = m["factory"].split(",")[-1]
        if codec.startswith("PQ"):
            size, bits = (codec[2:].split("x") + ["8"])[:2]
            model["m"], model["bits"] = int(size), int(bits)
            shape = (model["m"], 2 ** model["bits"], width // model["m"])
            model["codebooks"] = array(file, "codec/codebooks", "<f4", shape)
        elif codec.startswith("SQ") and codec != "SQfp16":
            model["bits"] = int(codec[2:])
            model["min"] = array(file, "codec/sq_min", "<f4", (width,))
            model["span"] = array(file, "codec/sq_span", "<f4", (width,))
        else:
            assert "codec" not in file
    for value in model.values():
        assert np.isfinite(value).all()
    return model


def unpack(codes, count, bits):
    """`count` numbers of `bits` bits each from every row of bytes, low bits first."""
    stream = np.unpackbits(codes, axis=1, bitorder="little")
    weights = 1 << np.arange(bits)
    return stream[:, : count * bits].reshape(len(codes), count, bits) @ weights


def decode(model, m, codes):
    codec = m["factory"].split(",")[-1]
    if codec == "Flat":
        return codes.copy().view("<f4")
    if codec == "SQfp16":
        return codes.copy().view("<f2").astype("f4")
    if codec.startswith("SQ"):
        numbers = unpack(codes, model["centroids"].shape[1], model["bits"])
        return model["min"] + (numbers + 0.5) / (2 ** model["bits"] - 1) * model["span"]
    numbers = unpack(codes, model["m"], model["bits"])
    return np.concatenate([model["codebooks"][i][numbers[:, i]] for i in range(model["m"])], axis=1)


def check_lists(model, m, x, lists):
    """Each row is in the list of its nearest centroid, but for as many as the way of assigning them may get wrong."""
    centroids = model["centroids"].astype("f8")
    score = -x.astype("f8") @ centroids.T
    if m["metric"] == "l2":
        score = 2 * score + (centroids**2).sum(1)
    mine = score[np.arange(len(x)), lists]
    wrong = (mine > score.min(1) + 1e-5 * np.abs(score).max()).sum()
    assert wrong <= model["apart"] * len(x), f"{wrong} of {len(x)} rows are not in their nearest list"


def check_codes(model, m, x, lists, codes):
    """Each code is one that encoding can give."""
    codec = m["factory"].split(",")[-1]
    target = x - model["centroids"][lists] if model["residual"] else x
    decoded = decode(model, m, codes)
    if codec == "Flat":
        assert np.allclose(decoded, target, rtol=0, atol=1e-6 * np.abs(target).max())
    elif codec == "SQfp16":
        assert (np.abs(decoded - target) <= np.maximum(np.abs(target) * 2.0**-10, 1e-6)).all()
    elif codec.startswith("SQ"):
        inside = np.clip(target, model["min"], model["min"] + model["span"])
        step = model["span"] / (2 ** model["bits"] - 1)
        assert (np.abs(decoded - inside) <= 0.5001 * step + 1e-5 * np.abs(inside).max()).all()
    else:
        books = model["codebooks"].astype("f8")
        width = x.shape[1] // model["m"]
        numbers = unpack(codes, model["m"], model["bits"])
        for i in range(model["m"]):
            part = target[:, i * width : (i + 1) * width].astype("f8")
            distance = (part**2).sum(1)[:, None] - 2 * part @ books[i].T + (books[i] ** 2).sum(1)
            chosen, nearest = distance[np.arange(len(part)), numbers[:, i]], distance.min(1)
            assert (numbers[:, i] == distance.argmin(1)).mean() >= 0.98, f"sub-vector {i}: words that are not the nearest"
            assert chosen.sum() <= 1.001 * nearest.sum() + 1e-5 * np.abs(distance).max(), f"sub-vector {i}: error"


def check_fragment(index, m, model, record, rows, ids):
    """The sizes of all lists in the fragment, and the numbers of its rows."""
    by_lists = m["layout"] == "lists"
    base = 0 if by_lists else record["first_row"]
    first_list, count = (record["first_list"], record["lists"]) if by_lists else (0, m["nlist"])
    x = rows if by_lists else rows[base : base + record["rows"]]
    own = ids if by_lists else ids[base : base + record["rows"]]
    with open_file(index, "fragments", record["id"], record["bytes"], record["checksum"]) as file:
        assert text(file, "format") == "mpivf fragment" and file.attrs["format_version"] == 1
        for name in ("first_list", "lists", "rows") if by_lists else ("first_row", "rows"):
            assert file.attrs[name] == record[name]
        n, bad = record["postings"], sum(record["skipped"].values())
        offsets = array(file, "list_offsets", "<u8", (count + 1,)).astype("i8")
        listed = array(file, "ids", "<u8", (n,))
        codes = array(file, "codes", "u1", (n, m["code_size"]))
        lost = array(file, "skipped/rows", "<u8", (bad,)).astype("i8") - base
        lost_ids = array(file, "skipped/ids", "<u8", (bad,))
        reasons = array(file, "skipped/reasons", "u1", (bad,))
        sums = array(file, "list_checksums", "<u8", (count,))
        assert ("vectors" in file) == ("vectors" in m)
        if "vectors" in m:
            vectors = array(file, "vectors", KEPT[m["vectors"]], (n, m["d"]))
            vector_sums = array(file, "vector_checksums", "<u8", (count,))
    assert offsets[0] == 0 and offsets[-1] == n and (np.diff(offsets) >= 0).all()
    assert by_lists or digest(own) == record["digest_in"], "digest of the ids read"
    assert digest(np.concatenate([listed, lost_ids])) == record["digest_out"] == record["digest_in"]
    position = {int(value): i for i, value in enumerate(own)}
    places = np.array([position[int(value)] for value in listed], "i8")
    assert (own[lost] == lost_ids).all()
    held = sorted(np.concatenate([places, lost]).tolist())
    assert by_lists or held == list(range(len(x))), "rows are lost or doubled"
    lists = np.repeat(first_list + np.arange(count), np.diff(offsets))
    for l in range(count):
        own_bytes = [part[offsets[l] : offsets[l + 1]].tobytes() for part in (listed, codes)]
        assert "%016x" % sums[l] == xxh3(b"".join(own_bytes)), f"list {l}: checksum"
        assert (np.diff(places[offsets[l] : offsets[l + 1]]) > 0).all(), f"list {l} is not in the order of the rows"
    for code, name in REASONS.items():
        assert (reasons == code).sum() == record["skipped"][name]
    assert not np.isfinite(x[lost[reasons == 1]]).all(axis=1).any()
    usable = x[places]
    assert np.isfinite(usable).all()
    if "vectors" in m:
        rows = usable.astype("f4")
        if m["vectors"] == "f16" and m["metric"] == "cosine":
            largest = np.abs(rows).max(1)
            short = largest < 2.0**-10
            rows[short] = np.ldexp(rows[short], 1 - np.frexp(largest[short])[1][:, None])
        assert (vectors == rows.astype(KEPT[m["vectors"]])).all(), "vectors are not the rows"
        for l in range(count):
            assert "%016x" % vector_sums[l] == xxh3(vectors[offsets[l] : offsets[l + 1]].tobytes()), f"list {l}: vectors"
    if m["metric"] == "cosine":
        usable = (usable / np.linalg.norm(usable.astype("f8"), axis=1, keepdims=True)).astype("f4")
    if "rotation" in model:
        usable = (usable.astype("f8") @ model["rotation"].T.astype("f8")).astype("f4")
    check_lists(model, m, usable, lists)
    check_codes(model, m, usable, lists, codes)
    sizes = np.zeros(m["nlist"], "i8")
    sizes[first_list : first_list + count] = np.diff(offsets)
    return sizes, [base + row for row in held]


def main():
    index, rows = sys.argv[1], read_rows(sys.argv[2])
    ids = np.load(sys.argv[3]) if len(sys.argv) > 3 else np.arange(len(rows), dtype="u8")
    m = read_manifest(index)
    check_conservation(m, rows)
    check_tuning(m)
    model = read_model(index, m)
    found = [check_fragment(index, m, model, record, rows, ids) for record in m["fragments"]]
    assert sum(sizes for sizes, _ in found).tolist() == m["list_sizes"]
    assert sorted(row for _, held in found for row in held) == list(range(len(rows))), "rows are lost or doubled"
    if m["layout"] == "rows":
        assert len(m["fragments"]) == len(glob.glob(os.path.join(index, "fragments", "*")))
    print(f"{index}: {m['factory']}, {m['metric']}: {len(m['fragments'])} fragments, {m['postings']} postings: right")


if __name__ == "__main__":
    main()
