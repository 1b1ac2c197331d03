"""An index of mpivf as one of FAISS: the same centroids, codebooks, codes and ids."""
import glob
import os

import faiss
import h5py
import numpy as np

SCALAR = {"SQ8": "QT_8bit", "SQ6": "QT_6bit", "SQ4": "QT_4bit", "SQfp16": "QT_fp16"}


def text(file, name):
    value = file.attrs[name]
    return value.decode() if isinstance(value, bytes) else str(value)


def empty(model, codec, quantizer, nlist, d):
    """Without postings."""
    residual = bool(model.attrs["by_residual"])
    if codec == "Flat":
        return faiss.IndexIVFFlat(quantizer, d, nlist)
    if codec in SCALAR:
        index = faiss.IndexIVFScalarQuantizer(quantizer, d, nlist, getattr(faiss.ScalarQuantizer, SCALAR[codec]), faiss.METRIC_L2, residual)
        if "codec" in model:
            faiss.copy_array_to_vector(np.concatenate([model["codec/sq_min"][...], model["codec/sq_span"][...]]), index.sq.trained)
        return index
    m, words, _ = model["codec/codebooks"].shape
    index = faiss.IndexIVFPQ(quantizer, d, nlist, m, words.bit_length() - 1)
    index.by_residual = residual
    faiss.copy_array_to_vector(model["codec/codebooks"][...].ravel(), index.pq.centroids)
    if residual:
        index.precompute_table()
    return index


def fill(index, folder):
    for path in sorted(glob.glob(os.path.join(folder, "fragments", "*.h5"))):
        with h5py.File(path) as file:
            offsets, ids, codes = file["list_offsets"][...].astype(np.int64), file["ids"][...].astype(np.int64), file["codes"][...]
        for number, (first, end) in enumerate(zip(offsets[:-1], offsets[1:])):
            if end > first:
                part = np.ascontiguousarray(codes[first:end])
                index.invlists.add_entries(number, int(end - first), faiss.swig_ptr(ids[first:end]), faiss.swig_ptr(part))
    index.ntotal = index.invlists.compute_ntotal()


def load(folder):
    """The index, and what must outlive it. Codes of 4 bits in FAISS's fast-scan form."""
    with h5py.File(glob.glob(os.path.join(folder, "models", "*.h5"))[0]) as model:
        codec = text(model, "factory").split(",")[-1]
        centroids = model["centroids"][...]
        quantizer = faiss.IndexFlatL2(centroids.shape[1])
        quantizer.add(centroids)
        index = empty(model, codec, quantizer, *centroids.shape)
    index.is_trained = True
    fill(index, folder)
    if "x4" in codec:
        return faiss.IndexIVFPQFastScan(index), (quantizer, index)
    return index, quantizer
