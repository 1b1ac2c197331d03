#!/usr/bin/env python3
"""compare_faiss.py INDEX DATA FOUND NPROBE...: holds results of mpivf (FOUND.NPROBE.h5) against FAISS.

1. FAISS gets the model (rotation, centroids, codebooks) of INDEX, adds the same rows itself and searches: the same ids, but for
   rows whose distances are equal or that rounding puts in another order, and with PQ, whose codes are made in 16-bit integers,
   for two in a hundred.
2. FAISS trains an index with the same factory string (but OPQ, which takes it minutes): its mean squared error of a decoded row is at most 3 % below ours (of SQ 5 %: its
   ranges follow the extremes of what centroids leave of rows, and so chance), and its recall at most 0.03 above (with 200 queries two equally good codebooks differ by 0.015).
"""
import glob
import sys

import faiss
import h5py
import numpy as np


def read(path):
    n, d = np.fromfile(path, "<u4", 2)
    return np.fromfile(path, "u1", offset=8).reshape(n, d).astype("f4")


def text(file, name):
    value = file.attrs[name]
    return value.decode() if isinstance(value, bytes) else str(value)


def with_our_model(model, metric):
    """An index of FAISS that holds our model; the quantizer is returned too, as it must outlive the index."""
    codec = text(model, "factory").split(",")[-1]
    centroids = model["centroids"][...]
    nlist, d = centroids.shape
    kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    quantizer = faiss.IndexFlat(d, kind)
    quantizer.add(centroids)
    residual = bool(model.attrs["by_residual"])
    if codec == "Flat":
        index = faiss.IndexIVFFlat(quantizer, d, nlist, kind)
    elif codec.startswith("SQ"):
        name = {"SQ8": "QT_8bit", "SQ6": "QT_6bit", "SQ4": "QT_4bit", "SQfp16": "QT_fp16"}[codec]
        index = faiss.IndexIVFScalarQuantizer(quantizer, d, nlist, getattr(faiss.ScalarQuantizer, name), kind, residual)
        if "codec" in model:
            trained = np.concatenate([model["codec/sq_min"][...], model["codec/sq_span"][...]])
            faiss.copy_array_to_vector(trained, index.sq.trained)
    else:
        m, size, _ = model["codec/codebooks"].shape
        index = faiss.IndexIVFPQ(quantizer, d, nlist, m, size.bit_length() - 1, kind)
        index.by_residual = residual
        faiss.copy_array_to_vector(model["codec/codebooks"][...].ravel(), index.pq.centroids)
        index.pq.sync_transposed_centroids() if hasattr(index.pq, "sync_transposed_centroids") else None
        index.precompute_table()
    index.is_trained = True
    if "rotation" not in model:
        return index, quantizer
    matrix = model["rotation"][...]
    rotation = faiss.LinearTransform(matrix.shape[1], matrix.shape[0], False)
    faiss.copy_array_to_vector(matrix.ravel(), rotation.A)
    rotation.is_trained = rotation.is_orthonormal = True
    rotated = faiss.IndexPreTransform(rotation, index)
    return rotated, (quantizer, index, rotation)


def set_nprobe(index, nprobe):
    faiss.extract_index_ivf(index).nprobe = nprobe


def differing(ids, distances, peer_ids, peer_distances):
    """How many of FAISS's results are missing among ours although they are clearly nearer than our last one."""
    missing = 0
    for mine, last, peer, far in zip(ids, distances[:, -1], peer_ids, peer_distances):
        slack = 1e-4 * max(1.0, abs(last))
        missing += sum(1 for i, value in zip(peer, far) if i not in mine and abs(value - last) > slack)
    return missing


def coding_error(index, rows):
    faiss.extract_index_ivf(index).make_direct_map()
    return ((index.reconstruct_n(0, len(rows)) - rows) ** 2).sum(1).mean()


def recall(ids, truth):
    return np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(ids, truth)])


def main():
    folder, data, found, nprobes = sys.argv[1], sys.argv[2], sys.argv[3], [int(n) for n in sys.argv[4:]]
    rows, queries = read(data + "/base.u8bin"), read(data + "/query.u8bin")
    faiss.omp_set_num_threads(1)
    with h5py.File(glob.glob(folder + "/models/*.h5")[0], "r") as model:
        factory, metric = text(model, "factory"), text(model, "metric")
        index, _quantizer = with_our_model(model, metric)
    kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    exact = faiss.IndexFlat(rows.shape[1], kind)
    exact.add(rows)
    truth = exact.search(queries, 10)[1]
    plain = factory.split(",", 1)[1] if factory.startswith("OPQ") else factory
    own = faiss.index_factory(rows.shape[1], plain + ("np" if "PQ" in plain else ""), kind)
    own.train(rows)
    index.add(rows)
    own.add(rows)
    if "_" not in factory:
        ours, theirs = coding_error(index, rows), coding_error(own, rows)
        print(f"{factory} {metric}: error of a decoded row {ours:.6g}, FAISS's {plain} {theirs:.6g}")
        assert ours <= (1.05 if "SQ" in factory else 1.03) * theirs, "FAISS codes better"
    for nprobe in nprobes:
        set_nprobe(index, nprobe)
        set_nprobe(own, nprobe)
        with h5py.File(f"{found}.{nprobe}.h5", "r") as result:
            ids, distances = result["neighbors"][...], result["distances"][...]
        peer_distances, peer_ids = index.search(queries, 10)
        missing = differing(ids, distances, peer_ids, peer_distances)
        same = (ids == peer_ids).mean()
        ours, theirs = recall(ids, truth), recall(own.search(queries, 10)[1], truth)
        print(f"{factory} {metric} nprobe {nprobe}: {same:.4f} same places, {missing} of {ids.size} missing, "
              f"recall@10 {ours:.4f}, FAISS {theirs:.4f}")
        assert missing <= ids.size * (0.02 if "PQ" in factory else 0.001), "FAISS finds other rows with our model"
        close = np.isclose(np.sort(distances, 1), np.sort(peer_distances, 1), rtol=1e-3, atol=1e-2)
        assert close.mean() >= (0.9 if "PQ" in factory else 1), "distances"
        assert ours >= theirs - 0.03, "FAISS trains a better index"


if __name__ == "__main__":
    main()
