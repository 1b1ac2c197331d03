"""SuperKMeans's side: flat k-means with and without its 8-bit codes, and its hierarchical one."""
import numpy as np
import superkmeans

import matrix
from worker import main, timed


def kmeans(request):
    """All rows are trained on, as by the others, and all iterations are done."""
    x = matrix.read(request["base"])
    clustering = superkmeans.SuperKMeans(request["lists"], x.shape[1], hierarchical=request["hierarchical"],
                                         quantizer=request["quantizer"], iters=request["iterations"], sampling_fraction=1.0,
                                         n_threads=request["threads"], early_termination=False)
    centroids, seconds = timed(clustering.train, x)
    np.savez(request["out"], centroids=centroids)
    return {"seconds": seconds}


main({"version": lambda request: {}, "kmeans": kmeans}, superkmeans.__version__)
