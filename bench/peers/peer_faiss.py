"""FAISS's side. Input is in memory before the clock starts."""
import faiss
import numpy as np

import matrix
from worker import main, timed

NPROBES = (1, 2, 4, 8, 16, 32, 64, 128)


def start(request):
    faiss.omp_set_num_threads(request["threads"])
    return matrix.read(request["base"])


def kmeans(request):
    x = start(request)
    clustering = faiss.Clustering(x.shape[1], request["lists"])
    clustering.niter = request["iterations"]
    clustering.max_points_per_centroid = 256  # the default, which the sample of the others follows
    index = faiss.IndexFlatL2(x.shape[1])
    _, seconds = timed(clustering.train, x, index)
    np.savez(request["out"], centroids=faiss.vector_to_array(clustering.centroids).reshape(-1, x.shape[1]))
    return {"seconds": seconds}


def assign(request):
    """The nearest of given centroids: exhaustively, or with FAISS's HNSW quantizer (whose construction is not timed)."""
    x = start(request)
    centroids = np.load(request["centroids"])["centroids"]
    if request["quantizer"] == "flat":
        index = faiss.IndexFlatL2(x.shape[1])
    else:
        index = faiss.IndexHNSWFlat(x.shape[1], 32)
        index.hnsw.efSearch = request["ef_search"]
    _, build = timed(index.add, centroids)
    found, seconds = timed(index.assign, x, 1)
    np.savez(request["out"], lists=found.ravel())
    return {"seconds": seconds, "construction": build}


def residuals(request):
    """Rows minus their mean, as a single list has them; and a random part of them to train on."""
    x = start(request)
    x -= x.mean(axis=0, dtype=np.float64).astype(np.float32)
    rows = np.random.default_rng(1).permutation(len(x))[:65536]
    return x, np.ascontiguousarray(x[rows])


def pq(request):
    x, sample = residuals(request)
    quantizer = faiss.ProductQuantizer(x.shape[1], request["m"], 8)
    _, train = timed(quantizer.train, sample)
    codes, encode = timed(quantizer.compute_codes, x)
    codebooks = faiss.vector_to_array(quantizer.centroids).reshape(request["m"], 256, -1)
    np.savez(request["out"], codes=codes, codebooks=codebooks)
    return {"seconds": train, "encode": encode}


def opq(request):
    """The rotation, and then the codebooks in rotated space."""
    x, sample = residuals(request)
    rotation = faiss.OPQMatrix(x.shape[1], request["m"])
    quantizer = faiss.ProductQuantizer(x.shape[1], request["m"], 8)
    _, first = timed(rotation.train, sample)
    _, second = timed(lambda: quantizer.train(rotation.apply(sample)))
    matrix_ = faiss.vector_to_array(rotation.A).reshape(x.shape[1], x.shape[1])
    codebooks = faiss.vector_to_array(quantizer.centroids).reshape(request["m"], 256, -1)
    np.savez(request["out"], rotation=matrix_, codebooks=codebooks)
    return {"seconds": first + second, "rotation": first}


def build(request):
    x = start(request)
    index = faiss.index_factory(x.shape[1], request["factory"])
    _, train = timed(index.train, x)
    _, add = timed(index.add, x)
    queries, truth = matrix.read(request["queries"]), matrix.Data(request["base"], None, request["work"]).truth()
    points = []
    import quality
    for nprobe in NPROBES:
        index.nprobe = nprobe
        faiss.cvar.indexIVF_stats.reset()
        found = index.search(queries, 10)[1]
        share = faiss.cvar.indexIVF_stats.ndis / len(queries) / len(x)
        points.append((nprobe, share, quality.recall(found, truth)))
    return {"seconds": train + add, "train": train, "add": add, "points": points}


def search(request):
    """An index of mpivf, in memory: seconds of each repetition and recall for each nprobe."""
    import faiss_index
    import quality
    faiss.omp_set_num_threads(request["threads"])
    index, _kept = faiss_index.load(request["index"])
    queries = matrix.read(request["queries"])
    truth = np.fromfile(request["truth"], dtype=np.int32, offset=8).reshape(len(queries), -1)[:, :10]
    points = []
    for nprobe in request["nprobes"]:
        index.nprobe = nprobe
        found = index.search(queries, 10)[1]
        seconds = [timed(index.search, queries, 10)[1] for _ in range(3)]
        points.append((nprobe, sorted(seconds)[1], quality.recall(found, truth)))
    return {"seconds": sum(point[1] for point in points), "points": points}


main({"version": lambda request: {}, "kmeans": kmeans, "assign": assign, "pq": pq, "opq": opq, "build": build,
      "search": search}, faiss.__version__)
