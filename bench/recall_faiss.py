#!/usr/bin/env python3
"""Recall@10 of mpivf and of FAISS on the same data with the same parameters, in one run.

Usage: recall_faiss.py --mpivf build/release/bin/mpivf --data FOLDER [--factory IVF1024,PQ32 ...] [--nprobe 8,32] [--np 2]

FOLDER holds base.u8bin, query.u8bin and gt100.bin (big-ann layout). Needs numpy and faiss.
"""
import argparse
import json
import os
import subprocess
import tempfile

import faiss
import numpy as np


def read_u8bin(path):
    n, d = np.fromfile(path, dtype=np.uint32, count=2)
    return np.fromfile(path, dtype=np.uint8, offset=8).reshape(n, d).astype(np.float32)


def read_truth(path):
    n, k = np.fromfile(path, dtype=np.uint32, count=2)
    return np.fromfile(path, dtype=np.int32, offset=8, count=int(n) * int(k)).reshape(n, k)


def faiss_name(factory):
    """Plain `PQ` in FAISS adds polysemous training, which mpivf does not do."""
    return factory + "np" if ",PQ" in factory and "x" not in factory else factory


def faiss_recall(factory, base, queries, truth, nprobes, k):
    index = faiss.index_factory(base.shape[1], faiss_name(factory))
    index.train(base)
    index.add(base)
    recalls = []
    for nprobe in nprobes:
        index.nprobe = nprobe
        found = index.search(queries, k)[1]
        hits = sum(len(set(a) & set(b)) for a, b in zip(found.tolist(), truth[:, :k].tolist()))
        recalls.append(hits / (len(queries) * k))
    return recalls


def run(command, ranks):
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    launcher = ["mpirun", "-n", str(ranks), "--oversubscribe"]
    return subprocess.run(launcher + command, env=environment, check=True, stdout=subprocess.PIPE).stdout


def mpivf_recall(program, factory, data, nprobes, k, ranks):
    with tempfile.TemporaryDirectory() as folder:
        index = os.path.join(folder, "index")
        run([program, "build", index, "--input", f"{data}/base.u8bin", "--factory", factory, "--seed", "1", "--quiet"], ranks)
        output = run([program, "eval", index, "--queries", f"{data}/query.u8bin", "--groundtruth", f"{data}/gt100.bin",
                      "--k", str(k), "--nprobe", ",".join(map(str, nprobes)), "--json", "--quiet"], ranks)
    by_nprobe = {row["nprobe"]: row["recall"][0]["by_id"] for row in json.loads(output)["settings"]}
    return [by_nprobe[nprobe] for nprobe in nprobes]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mpivf", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--factory", nargs="+", default=["IVF1024,Flat", "IVF1024,SQ8", "IVF1024,PQ32"])
    parser.add_argument("--nprobe", default="8,32")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--np", type=int, default=2)
    args = parser.parse_args()
    nprobes = [int(p) for p in args.nprobe.split(",")]
    base = read_u8bin(f"{args.data}/base.u8bin")
    queries = read_u8bin(f"{args.data}/query.u8bin")
    truth = read_truth(f"{args.data}/gt100.bin")
    print(f"FAISS {faiss.__version__}, {len(base)} x {base.shape[1]}, recall@{args.k}")
    print(f"{'factory':16} {'nprobe':>6} {'FAISS':>7} {'mpivf':>7} {'difference':>10}")
    for factory in args.factory:
        theirs = faiss_recall(factory, base, queries, truth, nprobes, args.k)
        ours = mpivf_recall(args.mpivf, factory, args.data, nprobes, args.k, args.np)
        for nprobe, a, b in zip(nprobes, theirs, ours):
            print(f"{factory:16} {nprobe:6} {a:7.4f} {b:7.4f} {b - a:+10.4f}")


if __name__ == "__main__":
    main()
