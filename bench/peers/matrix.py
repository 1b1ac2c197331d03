"""Matrices in files: reading them, having mpivf generate them, and the true neighbours of queries."""
import os
import subprocess

import numpy as np

import quality

ELEMENTS = {".fbin": np.float32, ".u8bin": np.uint8, ".i8bin": np.int8, ".f16bin": np.float16}


def shape(path):
    rows, d = np.fromfile(path, dtype=np.uint32, count=2)
    return int(rows), int(d)


def read(path):
    """All rows as float32."""
    rows, d = shape(path)
    element = ELEMENTS.get(os.path.splitext(path)[1])
    if element is None:
        raise SystemExit(f"{path}: not one of {' '.join(ELEMENTS)}")
    return np.fromfile(path, dtype=element, offset=8).reshape(rows, d).astype(np.float32)


def write_ids(path, ids):
    """The ids of true neighbours as mpivf eval reads them (.ibin)."""
    with open(path, "wb") as file:
        np.array(ids.shape, dtype=np.uint32).tofile(file)
        ids.astype(np.int32).tofile(file)


class Data:
    """A base, queries and the queries' true ten neighbours; computed once, kept in the work folder."""

    def __init__(self, base, queries, work):
        self.base, self.queries, self.work = base, queries, work
        self.rows, self.d = shape(base)
        self._x = None

    def x(self):
        if self._x is None:
            self._x = read(self.base)
        return self._x

    def forget(self):
        self._x = None

    def truth_path(self):
        path = os.path.join(self.work, os.path.basename(self.base) + f".{self.rows}.truth.ibin")
        if not os.path.exists(path):
            write_ids(path + ".new", quality.nearest(self.x(), read(self.queries), 10))
            os.rename(path + ".new", path)
        return path

    def truth(self):
        path = self.truth_path()
        return np.fromfile(path, dtype=np.int32, offset=8).reshape(-1, 10)


def generated(mpivf, work, rows, d, clusters, intrinsic, queries=1000):
    """Clustered rows of low intrinsic dimension, from mpivf generate; a file that is there is used again."""
    name = os.path.join(work, f"rows-{rows}x{d}-{clusters}-{intrinsic}")
    if not os.path.exists(name + ".query.fbin"):
        subprocess.run([mpivf, "generate", "--output", name + ".fbin", "--rows", str(rows), "--dim", str(d),
                        "--clusters", str(clusters), "--intrinsic", str(intrinsic), "--queries", str(queries),
                        "--queries-output", name + ".query.fbin", "--quiet"], check=True)
    return Data(name + ".fbin", name + ".query.fbin", work)
