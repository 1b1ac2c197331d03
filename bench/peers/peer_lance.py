"""Lance's side: IVF_PQ over a dataset on disk, written before the clock starts; its result is on disk as well."""
import os
import shutil

import lance
import numpy as np
import pyarrow as pa

import matrix
import quality
from worker import main, timed


def build(request):
    x = matrix.read(request["base"])
    folder = os.path.join(request["work"], "peer.lance")
    shutil.rmtree(folder, ignore_errors=True)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])
    rows = pa.table({"id": pa.array(np.arange(len(x))), "vector": vectors})
    dataset = lance.write_dataset(rows, folder)
    _, seconds = timed(lambda: dataset.create_index("vector", index_type="IVF_PQ", metric="l2", num_partitions=request["lists"],
                                                    num_sub_vectors=request["m"]))
    queries, truth = matrix.read(request["queries"]), matrix.Data(request["base"], None, request["work"]).truth()
    dataset = lance.dataset(folder)
    points = []
    for nprobe in request["nprobes"]:
        found = np.full((len(queries), 10), -1, dtype=np.int64)
        for i, query in enumerate(queries):
            nearest = {"column": "vector", "q": query, "k": 10, "nprobes": nprobe}
            ids = dataset.to_table(columns=["id"], nearest=nearest)["id"].to_numpy()
            found[i, :len(ids)] = ids
        points.append((nprobe, None, quality.recall(found, truth)))
    shutil.rmtree(folder, ignore_errors=True)
    return {"seconds": seconds, "points": points}


main({"version": lambda request: {}, "build": build}, lance.__version__)
