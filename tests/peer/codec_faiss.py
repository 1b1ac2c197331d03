"""codec_faiss.py TOOL U8BIN: codec_tool against FAISS, on real rows and on clouds of points."""
import subprocess
import sys

import faiss
import numpy as np

tool, u8bin = sys.argv[1:]
failures = 0


def check(good, what):
    global failures
    print("ok  " if good else "FAIL", what)
    failures += not good


def run(*args):
    subprocess.run([tool, *map(str, args)], check=True)


def save(array, path):
    np.ascontiguousarray(array).tofile(path)


def real_rows():
    with open(u8bin, "rb") as file:
        n, d = np.fromfile(file, "<u4", 2)
        return np.fromfile(file, "u1").reshape(n, d).astype("float32")


def clouds(n, d, seed):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(200, d)) * 3
    return (centres[rng.integers(200, size=n)] + rng.normal(size=(n, d))).astype("float32")


def code(factory, d, rows, parameters):
    save(rows, "rows")
    save(parameters, "parameters")
    run("code", factory, d, "rows", "parameters", "codes", "decoded")
    return (np.fromfile("codes", "u1").reshape(len(rows), -1),
            np.fromfile("decoded", "float32").reshape(rows.shape))


def train(factory, d, rows, iterations, seed=7):
    save(rows, "rows")
    run("train", factory, d, iterations, seed, "rows", "trained")
    return np.fromfile("trained", "float32")


def scalar(name, qtype, rows, name_of_rows):
    d = rows.shape[1]
    half = len(rows) // 2
    sq = faiss.ScalarQuantizer(d, qtype)
    sq.train(rows[:half])
    theirs = faiss.vector_to_array(sq.trained)
    ours = train("IVF," + name, d, rows[:half], 1)
    check(np.array_equal(ours, theirs), f"{name} parameters, {name_of_rows}")
    codes, decoded = code("IVF," + name, d, rows, theirs)
    check(np.array_equal(codes, sq.compute_codes(rows)), f"{name} codes, {name_of_rows}")
    check(np.allclose(decoded, sq.decode(codes), rtol=1e-5, atol=1e-5), f"{name} decoded, {name_of_rows}")


def half_precision(rows, name_of_rows):
    """FAISS built without F16C rounds halves upwards, so NumPy judges the codes, and FAISS must read them."""
    sq = faiss.ScalarQuantizer(rows.shape[1], faiss.ScalarQuantizer.QT_fp16)
    codes, decoded = code("IVF,SQfp16", rows.shape[1], rows, np.empty(0, "float32"))
    check(np.array_equal(codes.view("float16"), rows.astype("float16")), f"SQfp16 codes, {name_of_rows}")
    check(np.array_equal(decoded, sq.decode(codes)), f"SQfp16 decoded, {name_of_rows}")
    theirs = sq.compute_codes(rows).view("int16").astype("int32")
    check(np.abs(theirs - codes.view("int16")).max() <= 1, f"SQfp16 codes near FAISS's, {name_of_rows}")


def numbers(codes, m, bits):
    """The numbers of each code, [rows][m]."""
    stream = np.unpackbits(codes, axis=1, bitorder="little")[:, :m * bits].reshape(len(codes), m, bits)
    return stream @ (1 << np.arange(bits))


def faiss_product(m, bits, rows, seed):
    pq = faiss.ProductQuantizer(rows.shape[1], m, bits)
    pq.cp.niter = 10
    pq.cp.seed = seed
    pq.cp.min_points_per_centroid = 1
    pq.cp.max_points_per_centroid = len(rows)
    pq.train(rows)
    return pq


def squared_error(decoded, rows):
    return ((decoded - rows) ** 2).sum(dtype="float64")


def product(m, bits, rows, name_of_rows):
    d = rows.shape[1]
    factory = f"IVF,PQ{m}x{bits}"
    pq = faiss_product(m, bits, rows, 1234)
    codes, decoded = code(factory, d, rows, faiss.vector_to_array(pq.centroids))
    their_codes = pq.compute_codes(rows)
    check(np.array_equal(pq.decode(codes), decoded), f"{factory} decoded, {name_of_rows}")
    # Integers tell apart words at nearly the same distance differently.
    error = squared_error(decoded, rows) / squared_error(pq.decode(their_codes), rows)
    same = (numbers(codes, m, bits) == numbers(their_codes, m, bits)).mean()
    check(same >= 0.99 and error <= 1.0005,
          f"{factory} codes, {name_of_rows}: {same:.4f} of numbers are FAISS's, squared error {error:.6f} of FAISS's")
    # Where Lloyd ends depends on where it starts, so the mean over seeds.
    ours = theirs = 0
    for seed in range(1, 4):
        _, decoded = code(factory, d, rows, train(factory, d, rows, 10, seed))
        ours += squared_error(decoded, rows)
        pq = faiss_product(m, bits, rows, seed)
        theirs += squared_error(pq.decode(pq.compute_codes(rows)), rows)
    check(ours < 1.01 * theirs, f"{factory} error of training, {name_of_rows}: {ours / theirs:.4f} of FAISS's")


def objective(rows, centroids, metric):
    if metric == "l2":
        index = faiss.IndexFlatL2(rows.shape[1])
    else:
        index = faiss.IndexFlatIP(rows.shape[1])
    index.add(centroids)
    keys, _ = index.search(rows, 1)
    return keys.sum(dtype="float64")


def clusters(k, metric, rows, name_of_rows):
    """The mean over seeds: where Lloyd ends depends on where it starts by several per cent."""
    d = rows.shape[1]
    ours = theirs = 0
    save(rows, "rows")
    for seed in range(1, 6):
        kmeans = faiss.Kmeans(d, k, niter=10, seed=seed, spherical=metric == "ip", max_points_per_centroid=len(rows))
        kmeans.train(rows)
        run("kmeans", metric, k, d, 10, seed, "rows", "centroids")
        ours += objective(rows, np.fromfile("centroids", "float32").reshape(k, d), metric)
        theirs += objective(rows, kmeans.centroids, metric)
    good = ours < 1.01 * theirs if metric == "l2" else ours > 0.99 * theirs
    check(good, f"k-means {metric}, k = {k}, {name_of_rows}: objective {ours / theirs:.4f} of FAISS's")


sift = real_rows()[:6000]
cloud = clouds(6000, 50, 1)
odd = clouds(2000, 13, 2)
flat = cloud.copy()
flat[:, 7] = 0
for rows, name in (sift, "sift"), (odd, "d = 13"), (flat, "a constant dimension"):
    scalar("SQ8", faiss.ScalarQuantizer.QT_8bit, rows, name)
    scalar("SQ6", faiss.ScalarQuantizer.QT_6bit, rows, name)
    scalar("SQ4", faiss.ScalarQuantizer.QT_4bit, rows, name)
    half_precision(rows, name)
product(16, 8, sift, "sift")
product(10, 8, cloud, "clouds")
product(25, 4, cloud, "clouds")
product(10, 5, cloud, "clouds")
product(5, 6, cloud, "clouds")
product(13, 7, odd, "d = 13")
clusters(100, "l2", sift, "sift")
clusters(300, "l2", cloud, "clouds")
clusters(300, "ip", cloud, "clouds")
clusters(100, "ip", sift, "sift")
sys.exit(failures > 0)
