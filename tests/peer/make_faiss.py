#!/usr/bin/env python3
"""make_faiss.py DATA: FAISS trains and writes indexes of many kinds, NAME.faiss, and what it finds in them, NAME.npz.
Those of refused/ are for refusing; their names say what the refusal must name.
"""
import os
import sys

import faiss
import numpy as np


def read(path):
    n, d = np.fromfile(path, "<u4", 2)
    return np.fromfile(path, "u1", offset=8).reshape(n, d).astype("f4")


def train(index, rows, ids=None):
    faiss.extract_index_ivf(index).cp.niter = 4
    lists = faiss.downcast_index(faiss.extract_index_ivf(index))
    if hasattr(lists, "pq"):
        lists.pq.cp.niter = 4
    index.train(rows[:2000])
    index.add_with_ids(rows, np.arange(len(rows)) * 3 + 10**12 if ids is None else ids)
    lists.nprobe = 8
    return index


def keep(name, index, queries):
    faiss.write_index(index, name + ".faiss")
    distances, ids = index.search(queries, 10)
    np.savez(name + ".npz", ids=ids, distances=distances, ntotal=index.ntotal)


def plain(d, rows, queries):
    for metric, kind in ("l2", faiss.METRIC_L2), ("ip", faiss.METRIC_INNER_PRODUCT):
        for factory in ("Flat", "SQ8", "SQ6", "SQ4", "SQfp16", "PQ16np", "PQ16x4np", "PQ8x6np"):
            keep(f"{factory.replace('np', '')}.{metric}", train(faiss.index_factory(d, "IVF32," + factory, kind), rows), queries)
    keep("RR.l2", train(faiss.index_factory(d, "RR32,IVF32,SQ8"), rows), queries)


def unusual(d, rows, queries):
    quantizer = faiss.IndexFlatL2(d)
    index = faiss.IndexIVFScalarQuantizer(quantizer, d, 32, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_L2, False)
    keep("absolute.l2", train(index, rows), queries)
    pq = faiss.IndexIVFPQ(quantizer, d, 32, 16, 8, faiss.METRIC_L2)
    pq.by_residual = False
    keep("absolutepq.l2", train(pq, rows), queries)
    mapped = faiss.index_factory(d, "IVF32,Flat")
    mapped = train(mapped, rows, np.arange(len(rows)))
    mapped.set_direct_map_type(faiss.DirectMap.Array)
    keep("array.l2", mapped, queries)
    hashed = train(faiss.index_factory(d, "IVF32,Flat"), rows)
    hashed.set_direct_map_type(faiss.DirectMap.Hashtable)
    keep("hash.l2", hashed, queries)
    sparse = faiss.index_factory(d, "IVF64,SQ8")
    sparse.cp.niter = 4
    sparse.train(rows[:2500])
    sparse.add(rows[:12])
    sparse.nprobe = 64
    keep("sparse.l2", sparse, queries)
    graph = train(faiss.index_factory(d, "IVF32_HNSW8,Flat"), rows)
    graph.nprobe = 32
    faiss.downcast_index(graph.quantizer).hnsw.efSearch = 128  # so that it reaches all
    keep("graph.l2", graph, queries)
    disk = train(faiss.index_factory(d, "IVF32,SQ8"), rows)
    lists = faiss.OnDiskInvertedLists(32, disk.code_size, "disk.ivfdata")
    whole = faiss.InvertedListsPtrVector()
    whole.push_back(disk.invlists)
    lists.merge_from(whole.data(), whole.size())
    disk.replace_invlists(lists)
    keep("disk.l2", disk, queries)


def refused(d, rows):
    os.makedirs("refused", exist_ok=True)
    ivf = train(faiss.index_factory(d, "IVF16,Flat"), rows[:2000])
    wrapped = faiss.IndexIDMap(faiss.index_factory(d, "Flat"))
    wrapped.add_with_ids(rows[:10], np.arange(10))
    cases = {
        "flat index": faiss.IndexFlatL2(d),
        "HNSW": faiss.index_factory(d, "HNSW8"),
        "IndexIDMap": wrapped,
        "PCA": faiss.index_factory(d, "PCA16,IVF4,Flat"),
        "normalisation": faiss.index_factory(d, "L2norm,IVF4,Flat"),
        "QT_8bit_direct": faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatL2(d), d, 4, faiss.ScalarQuantizer.QT_8bit_direct, faiss.METRIC_L2, False),
        "fast-scan": faiss.index_factory(d, "IVF4,PQ16x4fs"),
        "refine": faiss.index_factory(d, "IVF4,Flat,RFlat"),
        "metric": faiss.IndexIVFFlat(faiss.IndexFlat(d, faiss.METRIC_L1), d, 4, faiss.METRIC_L1),
        "more than once": None,
        "not negative": None,
        "not finite": None,
        "not trained": faiss.index_factory(d, "IVF4,Flat"),
        "no rows": None,
    }
    for name, index in cases.items():
        if index is not None and name != "not trained" and not index.is_trained:
            index.train(rows[:2000])
        if index is None:
            index = faiss.clone_index(ivf)
            if name == "no rows":
                index.reset()
            elif name == "more than once":
                index.add_with_ids(rows[:1], np.array([10**12]))
            elif name == "not negative":
                index.add_with_ids(rows[:1], np.array([-1]))
            else:
                bad = rows[:1].copy()
                bad[0, 3] = np.inf
                lists = index.invlists
                lists.add_entry(5, 7, faiss.swig_ptr(bad.view("u1").ravel()))
                index.ntotal += 1
        faiss.write_index(index, f"refused/{name}.faiss")


def main():
    faiss.omp_set_num_threads(1)
    rows, queries = read(sys.argv[1] + "/base.u8bin")[:4000], read(sys.argv[1] + "/query.u8bin")
    d = rows.shape[1]
    plain(d, rows, queries)
    unusual(d, rows, queries)
    refused(d, rows)


if __name__ == "__main__":
    main()
