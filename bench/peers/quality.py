"""The yardsticks: one function for each figure, applied to the results of every contender alike. Exact arithmetic of
numpy in blocks; none of it is timed."""
import numpy as np

BLOCK = 4096


def best(x, centroids):
    """The nearest centroid of each row, and the squared distance to it."""
    bias = -0.5 * np.einsum("ij,ij->i", centroids, centroids)
    found = np.empty(len(x), dtype=np.int64)
    for at in range(0, len(x), BLOCK):
        rows = x[at:at + BLOCK]
        top = np.full(len(rows), -np.inf, dtype=np.float32)
        for first in range(0, len(centroids), BLOCK):
            scores = rows @ centroids[first:first + BLOCK].T
            scores += bias[first:first + BLOCK]
            local = scores.argmax(axis=1)
            score = scores[np.arange(len(rows)), local]
            better = score > top
            found[at:at + BLOCK][better] = first + local[better]
            top[better] = score[better]
    return found, distances(x, centroids, found)


def distances(x, centroids, lists):
    out = np.empty(len(x), dtype=np.float64)
    for at in range(0, len(x), BLOCK):
        difference = x[at:at + BLOCK] - centroids[lists[at:at + BLOCK]]
        out[at:at + BLOCK] = np.einsum("ij,ij->i", difference, difference)
    return out


def spaced(rows, nlist, d, most):
    """Numbers of evenly spaced rows, as many as an exact assignment can afford."""
    count = min(rows, max(1, int(most / (2.0 * nlist * d))))
    return np.linspace(0, rows - 1, count).astype(np.int64)


def nearest(x, queries, k):
    """Exact neighbours; ties to the lower row."""
    norms = np.einsum("ij,ij->i", x, x)
    tops = []
    for at in range(0, len(queries), 64):
        q = queries[at:at + 64]
        keys = norms[None, :] - 2 * (q @ x.T)
        part = np.argpartition(keys, k, axis=1)[:, :k] if k < len(x) else np.tile(np.arange(len(x)), (len(q), 1))
        order = np.lexsort((part, np.take_along_axis(keys, part, axis=1)), axis=1)
        tops.append(np.take_along_axis(part, order, axis=1))
    return np.concatenate(tops)


def judge_lists(x, centroids, queries, truth, nprobes, shares):
    """The k-means objective per vector over the base; and what the lists alone allow: the share of the true neighbours
    that lie in the nprobe lists nearest to the query, at fixed numbers of lists and at fixed mean shares of the base
    scanned (linear between numbers of lists)."""
    lists, squares = best(x, centroids)
    sizes = np.bincount(lists, minlength=len(centroids))
    bias = 0.5 * np.einsum("ij,ij->i", centroids, centroids)
    order = np.argsort(bias[None, :] - queries @ centroids.T, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(len(centroids))[None, :], axis=1)
    reached = np.take_along_axis(rank, lists[truth], axis=1)
    curve = np.searchsorted(np.sort(reached.ravel()), np.arange(1, len(centroids) + 1)) / reached.size
    scanned = sizes[order].cumsum(axis=1).mean(axis=0) / len(x)
    at = {"objective": float(squares.mean())}
    at |= {f"R10@np{p}": float(curve[min(p, len(curve)) - 1]) for p in nprobes}
    return at | at_shares(scanned, curve, shares)


def at_shares(scanned, recalls, shares):
    """Recall at fixed shares of the base scanned, from ascending measured ones; nothing for shares beyond those."""
    return {f"R10@{100 * s:g}%": float(np.interp(s, scanned, recalls)) for s in shares if scanned[0] <= s <= scanned[-1]}


def recall(found, truth):
    hits = sum(len(set(a) & set(b)) for a, b in zip(found.tolist(), truth.tolist()))
    return hits / truth.size


def agreement(x, centroids, lists):
    """Share of rows in their true nearest list, and the objective over that of the true lists, minus 1, in percent."""
    rows = spaced(len(x), *centroids.shape, most=5e11)
    part = x[rows]
    true, least = best(part, centroids)
    mine = distances(part, centroids, lists[rows])
    same = (true == lists[rows]) | (mine <= least)
    return float(same.mean()), float(100 * (mine.sum() / least.sum() - 1))


def pq_decode(codes, codebooks):
    m = len(codebooks)
    return np.concatenate([codebooks[i][codes[:, i]] for i in range(m)], axis=1)


def pq_encode(x, codebooks):
    """Exact codes."""
    m, _, width = codebooks.shape
    return np.stack([best(np.ascontiguousarray(x[:, i * width:(i + 1) * width]), codebooks[i])[0] for i in range(m)], axis=1)


def mse(x, decoded):
    difference = x - decoded
    return float(np.einsum("ij,ij->i", difference, difference, dtype=np.float64).mean())
