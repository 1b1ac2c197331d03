"""Searches an index of mpivf from Python, with ctypes and numpy alone.

    python3 search.py photos.ivf queries.npy 10 16

prints one line for each query: its number, and the ids that it found, the nearest first. As a module:

    with Index("photos.ivf") as index:
        distances, ids = index.search(queries, k=10, nprobe=16)

Several threads may search one Index at once: ctypes gives the interpreter's lock away while the library works.
"""

import ctypes
import sys

import numpy


class OpenOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("memory", ctypes.c_int64), ("vectors", ctypes.c_int)]


class SearchOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("nprobe", ctypes.c_int), ("rerank", ctypes.c_int), ("recall", ctypes.c_double)]


class Error(Exception):
    """What the library says of a failure; `code` is one of mpivf/error.h."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def load(path="libmpivf.so"):
    library = ctypes.CDLL(path)
    index = ctypes.c_void_p
    library.mpivf_open.argtypes = [ctypes.c_char_p, ctypes.POINTER(OpenOptions), ctypes.POINTER(index)]
    library.mpivf_close.argtypes = [index]
    library.mpivf_close.restype = None
    library.mpivf_dimension.argtypes = [index]
    library.mpivf_rows.argtypes = [index]
    library.mpivf_rows.restype = ctypes.c_int64
    library.mpivf_metric.argtypes = [index]
    library.mpivf_metric.restype = ctypes.c_char_p
    library.mpivf_factory.argtypes = [index]
    library.mpivf_factory.restype = ctypes.c_char_p
    library.mpivf_last_error.restype = ctypes.c_char_p
    library.mpivf_version.restype = ctypes.c_char_p
    matrix = {"ndim": 2, "flags": "C_CONTIGUOUS"}
    library.mpivf_search.argtypes = [
        index,
        numpy.ctypeslib.ndpointer(numpy.float32, **matrix),
        ctypes.c_int64,
        ctypes.c_int,
        ctypes.POINTER(SearchOptions),
        numpy.ctypeslib.ndpointer(numpy.int64, **matrix),
        numpy.ctypeslib.ndpointer(numpy.float32, **matrix),
    ]
    return library


class Index:
    """The newest version of an index; `memory` limits the bytes that it takes."""

    def __init__(self, path, memory=0, vectors=False, library=None):
        self.library = library or load()
        self.handle = ctypes.c_void_p()
        options = OpenOptions(size=ctypes.sizeof(OpenOptions), memory=memory, vectors=vectors)
        self._check(self.library.mpivf_open(path.encode(), ctypes.byref(options), ctypes.byref(self.handle)))
        self.dimension = self.library.mpivf_dimension(self.handle)
        self.rows = self.library.mpivf_rows(self.handle)
        self.metric = self.library.mpivf_metric(self.handle).decode()
        self.factory = self.library.mpivf_factory(self.handle).decode()

    def _check(self, code):
        if code != 0:
            raise Error(code, self.library.mpivf_last_error().decode())

    def search(self, queries, k=10, nprobe=0, rerank=0, recall=0):
        """Distances and ids, [queries][k] each; where there are fewer rows ids are -1. `rerank`: candidates that
        are compared exactly, of an Index(vectors=True); `recall`: of an index that was tuned, in place of the two."""
        queries = numpy.ascontiguousarray(queries, numpy.float32)
        if queries.ndim != 2 or queries.shape[1] != self.dimension:
            raise ValueError(f"queries of shape {queries.shape}; the rows have {self.dimension} values")
        ids = numpy.empty((len(queries), k), numpy.int64)
        distances = numpy.empty((len(queries), k), numpy.float32)
        options = SearchOptions(size=ctypes.sizeof(SearchOptions), nprobe=nprobe, rerank=rerank, recall=recall)
        self._check(
            self.library.mpivf_search(self.handle, queries, len(queries), k, ctypes.byref(options), ids, distances)
        )
        return distances, ids

    def close(self):
        self.library.mpivf_close(self.handle)
        self.handle = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def main():
    if len(sys.argv) != 5:
        sys.exit("usage: search.py INDEX QUERIES.npy K NPROBE")
    with Index(sys.argv[1]) as index:
        _, ids = index.search(numpy.load(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    for number, found in enumerate(ids):
        print(f"{number}:", *found[found >= 0])


if __name__ == "__main__":
    try:
        main()
    except (Error, OSError, ValueError) as error:
        sys.exit(str(error))
