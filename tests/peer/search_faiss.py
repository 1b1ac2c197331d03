#!/usr/bin/env python3
"""search_faiss.py QUERIES NPROBE NAME...: FAISS opens NAME.faiss, finds what mpivf has found (NAME.h5), and writes the same file again.
search_faiss.py --search FILE QUERIES OUT [ON_DISK_FLAGS]: searches as the file says; OUT.npz gets rows, ids and distances.
search_faiss.py --found NAME...: what mpivf has found (NAME.h5) is what FAISS had (NAME.npz).
search_faiss.py --same A.npz B.npz: the same rows, ids and distances, bit by bit.
The metric is the second word of NAME: IVF64,SQ8.cosine.
"""
import filecmp
import sys

import numpy as np


def read(path):
    n, d = np.fromfile(path, "<u4", 2)
    return np.fromfile(path, "u1", offset=8).reshape(n, d).astype("f4")


def open_index(path, flags=0):
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.read_index(path, flags)
    assert index.is_trained
    return index, faiss.extract_index_ivf(index).nprobe


def compare(name, ids, distances, peer_ids, peer_distances):
    """At least 999 of 1000 of FAISS's results are among ours; but for those as near as our last one, up to rounding."""
    metric = name.split(".")[1]
    missing = 0
    if metric == "cosine":
        distances = 1 - distances
    for mine, last, theirs, far in zip(ids, distances[:, -1], peer_ids, peer_distances):
        slack = 1e-5 * max(1.0, abs(last))
        missing += sum(1 for i, value in zip(theirs, far) if i not in mine and abs(value - last) > slack)
    print(f"{name}: {(ids == peer_ids).mean():.4f} in the same place, {missing} of {ids.size} missing")
    assert missing <= ids.size // 1000, "FAISS finds other rows"
    assert np.allclose(distances, peer_distances, rtol=1e-3, atol=1e-2), "distances"


def check(queries, nprobe, names):
    import faiss
    import h5py

    for name in names:
        with h5py.File(name + ".h5", "r") as file:
            ids, distances = file["neighbors"][...], file["distances"][...]
        index, lists = open_index(name + ".faiss")
        assert lists == int(nprobe), f"{name}.faiss says nprobe {lists}"
        x = read(queries)
        if name.split(".")[1] == "cosine":
            x /= np.linalg.norm(x, axis=1, keepdims=True)
        peer_distances, peer_ids = index.search(x, ids.shape[1])
        compare(name, ids, distances, peer_ids, peer_distances)
        faiss.write_index(index, "again.faiss")
        assert filecmp.cmp(name + ".faiss", "again.faiss", shallow=False), f"{name}: FAISS writes another file"


def found(names):
    import h5py

    for name in names:
        with h5py.File(name + ".h5", "r") as file:
            ids, distances = file["neighbors"][...], file["distances"][...]
        peer = np.load(name + ".npz")
        compare(name, ids, distances, peer["ids"], peer["distances"])


def search(path, queries, out, flags="0"):
    index, _ = open_index(path, int(flags))
    distances, ids = index.search(read(queries), 10)
    np.savez(out, ids=ids, distances=distances, ntotal=index.ntotal)


def same(a, b):
    first, second = np.load(a), np.load(b)
    for name in ("ntotal", "ids", "distances"):
        assert (first[name] == second[name]).all(), f"{a} and {b} differ in {name}"


if __name__ == "__main__":
    if sys.argv[1] == "--search":
        search(*sys.argv[2:])
    elif sys.argv[1] == "--found":
        found(sys.argv[2:])
    elif sys.argv[1] == "--same":
        same(*sys.argv[2:])
    else:
        check(sys.argv[1], sys.argv[2], sys.argv[3:])
