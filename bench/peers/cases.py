"""The cases. Each runs its contenders in alternation and returns rows for the table: what was measured, by whom, the
seconds of each repetition, and figures of quality."""
import os
import statistics

import numpy as np

import launch
import matrix
import quality
from mpivf_side import Build

SHARES = (0.005, 0.01)
NPROBES = (1, 2, 4, 8, 16, 32, 64, 128)


class Table:
    """Rows of one case; times are divided by those of `reference`."""

    def __init__(self, title, reference="mpivf"):
        self.title, self.reference, self.rows, self.skipped = title, reference, [], {}

    def add(self, measure, contender, seconds, **figures):
        if seconds:
            median = statistics.median(seconds)
            known = [row["median"] for row in self.rows if (row["measure"], row["contender"]) == (measure, self.reference)]
            known = [median] if contender == self.reference else known
            self.rows.append({"measure": measure, "contender": contender, "seconds": seconds, "median": median,
                              "ratio": median / known[0] if known else None, "figures": figures})


class Peers:
    """Those that can be imported here."""

    def __init__(self, settings, say):
        self.versions = {}
        for name in ("faiss", "superkmeans", "lance"):
            try:
                self.versions[name] = launch.peer(name, "version", settings.threads, 120)["version"]
            except launch.Failed as failure:
                say(f"{name} is passed over: {failure}")


def percent(value, reference):
    return 100 * (value / reference - 1)


def run_kmeans(settings, peers, data, lists, say):
    """k-means alone: mpivf's train phase (which also makes its model durable) beside the others' training."""
    table = Table(f"k-means, {data.rows} x {data.d}, {lists} lists, {settings.iterations} iterations")
    centroids, model = {}, os.path.join(settings.work, "centroids.npz")

    def ours(repetition):
        build = Build(settings, data, f"IVF{lists},Flat")
        centroids["mpivf"] = build.model()["centroids"]
        build.close()
        return build.seconds("train")

    def theirs(name, module, **arguments):
        def once(repetition):
            report = launch.peer(module, "kmeans", settings.threads, settings.limit, base=data.base, lists=lists,
                                 iterations=settings.iterations, out=model, **arguments)
            centroids[name] = np.load(model)["centroids"]
            return report["seconds"]
        return once

    contenders = {"mpivf": ours}
    if "faiss" in peers.versions:
        contenders["faiss"] = theirs("faiss", "faiss")
    if "superkmeans" in peers.versions:
        flat = "superkmeans flat"
        contenders[flat] = theirs(flat, "superkmeans", hierarchical=False, quantizer="f32")
        contenders[flat + " sq8"] = theirs(flat + " sq8", "superkmeans", hierarchical=False, quantizer="sq8")
        contenders["superkmeans tree"] = theirs("superkmeans tree", "superkmeans", hierarchical=True, quantizer="f32")
    results, table.skipped = launch.alternate(contenders, settings, say)
    queries, truth = matrix.read(data.queries), data.truth()
    judged = {name: quality.judge_lists(data.x(), centroids[name], queries, truth, (16,), SHARES)
              for name, seconds in results.items() if seconds}
    faiss = judged["faiss"]["objective"] if "faiss" in judged else None
    for name, figures in judged.items():
        table.add("train", name, results[name], vs_faiss=percent(figures["objective"], faiss) if faiss else None, **figures)
    return table


def run_assign(settings, peers, data, lists, say):
    """Every row to the nearest of the same centroids (mpivf's)."""
    table = Table(f"assign, {data.rows} x {data.d} to {lists} lists")
    given, found = os.path.join(settings.work, "given.npz"), os.path.join(settings.work, "found.npz")
    lists_of = {}

    def ours(repetition):
        build = Build(settings, data, f"IVF{lists},Flat")
        if repetition == 0:
            np.savez(given, centroids=build.model()["centroids"])
            lists_of["mpivf"] = build.postings()[0]
        build.close()
        return build.computing("assign")

    def theirs(name, quantizer):
        def once(repetition):
            report = launch.peer("faiss", "assign", settings.threads, settings.limit, base=data.base, centroids=given, out=found,
                                 quantizer=quantizer, ef_search=16)
            lists_of[name] = np.load(found)["lists"]
            return report["seconds"]
        return once

    contenders = {"mpivf": ours}
    if "faiss" in peers.versions:
        contenders |= {"faiss flat": theirs("faiss flat", "flat"), "faiss HNSW32": theirs("faiss HNSW32", "hnsw")}
    results, table.skipped = launch.alternate(contenders, settings, say)
    for name, seconds in results.items():
        if seconds:
            agreement, excess = quality.agreement(data.x(), np.load(given)["centroids"], lists_of[name])
            table.add("assign", name, seconds, agreement=100 * agreement, objective_excess=excess)
    return table


def run_pq(settings, peers, data, m, say):
    """Codebooks and codes of rows minus one centroid, so that nothing but product quantisation is measured."""
    table = Table(f"PQ{m}, {data.rows} x {data.d}")
    out, trained = os.path.join(settings.work, "pq.npz"), {}

    def ours(repetition):
        build = Build(settings, data, f"IVF1,PQ{m}")
        if repetition == 0:
            model = build.model()
            trained["mpivf"] = (data.x() - model["centroids"][0], model["codec/codebooks"], build.postings()[1])
        build.close()
        return build.seconds("train"), build.computing("assign")

    def theirs(repetition):
        report = launch.peer("faiss", "pq", settings.threads, settings.limit, base=data.base, m=m, out=out)
        if repetition == 0:
            x = data.x() - data.x().mean(axis=0, dtype=np.float64).astype(np.float32)
            trained["faiss"] = (x, np.load(out)["codebooks"], np.load(out)["codes"])
        return report["seconds"], report["encode"]

    contenders = {"mpivf": ours} | ({"faiss": theirs} if "faiss" in peers.versions else {})
    results, table.skipped = launch.alternate(contenders, settings, say)
    for name, seconds in results.items():
        if seconds:
            x, codebooks, codes = trained[name]
            part = quality.spaced(len(x), 256, data.d, most=2e10)
            exact = quality.mse(x[part], quality.pq_decode(quality.pq_encode(x[part], codebooks), codebooks))
            coded = quality.mse(x[part], quality.pq_decode(codes[part], codebooks))
            table.add("train", name, [s[0] for s in seconds], mse=exact)
            table.add("encode", name, [s[1] for s in seconds], mse=coded, vs_exact=percent(coded, exact))
    return order_by_measure(table)


def order_by_measure(table):
    table.rows.sort(key=lambda row: row["measure"], reverse=True)
    return table


def run_opq(settings, peers, data, m, say):
    """A rotation and the codebooks behind it."""
    table = Table(f"OPQ{m}, {data.rows} x {data.d}")
    out, errors = os.path.join(settings.work, "opq.npz"), {}

    def error(x, rotation, codebooks):
        part = quality.spaced(len(x), 256, data.d, most=2e10)
        rotated = x[part] @ rotation.T
        return quality.mse(rotated, quality.pq_decode(quality.pq_encode(rotated, codebooks), codebooks))

    def ours(repetition):
        build = Build(settings, data, f"OPQ{m},IVF1,PQ{m}")
        model = build.model()
        build.close()
        if repetition == 0:
            rotation = next(model[name] for name in model if "rotation" in name)
            shift = model["centroids"][0] @ rotation  # the centroid lies in rotated space
            errors["mpivf"] = error(data.x() - shift, rotation, model["codec/codebooks"])
        return build.seconds("train")

    def theirs(repetition):
        report = launch.peer("faiss", "opq", settings.threads, settings.limit, base=data.base, m=m, out=out)
        if repetition == 0:
            x = data.x() - data.x().mean(axis=0, dtype=np.float64).astype(np.float32)
            errors["faiss"] = error(x, np.load(out)["rotation"], np.load(out)["codebooks"])
        return report["seconds"]

    contenders = {"mpivf": ours} | ({"faiss": theirs} if "faiss" in peers.versions else {})
    results, table.skipped = launch.alternate(contenders, settings, say)
    for name, seconds in results.items():
        if seconds:
            table.add("train", name, seconds, mse=errors[name])
    return table


def run_build(settings, peers, data, lists, m, say):
    """Whole builds. mpivf: from files to a committed manifest, the start of mpirun included. FAISS: train and add with
    everything in memory. Lance: the index of a dataset that is on disk."""
    table = Table(f"build, {data.rows} x {data.d}, IVF{lists},PQ{m}")
    points, truth = {}, data.truth_path()
    data.forget()

    def ours(repetition):
        build = Build(settings, data, f"IVF{lists},PQ{m}")
        if repetition == 0:
            points["mpivf"] = build.points(data, NPROBES)
        build.close()
        return build.wall

    def theirs(name, **arguments):
        def once(repetition):
            report = launch.peer(name, "build", settings.threads, settings.limit, base=data.base, queries=data.queries, lists=lists,
                                 m=m, work=settings.work, **arguments)
            points[name] = report["points"]
            return report["seconds"]
        return once

    contenders = {"mpivf": ours}
    if "faiss" in peers.versions:
        contenders["faiss"] = theirs("faiss", factory=f"IVF{lists},PQ{m}np")
    if "lance" in peers.versions:
        contenders["lance"] = theirs("lance", nprobes=(16, 64))
    results, table.skipped = launch.alternate(contenders, settings, say)
    for name, seconds in results.items():
        if seconds:
            figures = {f"R10@np{p}": r for p, _, r in points[name] if p in (16, 64)}
            known = [(share, r) for _, share, r in points[name] if share is not None]
            table.add("wall", name, seconds, **figures, **(quality.at_shares(*zip(*known), SHARES) if known else {}))
    return table


def run_sweep(settings, peers, data, lists, m, say):
    """mpivf alone: how its build time grows with the number of lists on the same rows."""
    table = Table(f"number of lists, {data.rows} x {data.d}, PQ{m}", reference=f"IVF{lists[0]}")
    builds = {}

    def once(nlist):
        def function(repetition):
            build = Build(settings, data, f"IVF{nlist},PQ{m}")
            build.close()
            builds[nlist] = {phase: build.seconds(phase) for phase in ("sample", "train", "assign")}
            return build.wall
        return function

    results, table.skipped = launch.alternate({f"IVF{n}": once(n) for n in lists}, settings, say)
    for nlist in lists:
        if results[f"IVF{nlist}"]:
            table.add("wall", f"IVF{nlist}", results[f"IVF{nlist}"], **builds[nlist])
    return table


def run_ranks(settings, peers, data, lists, m, say):
    """mpivf alone: one rank beside two, phase by phase; the ratio is what two ranks gain."""
    table = Table(f"ranks, {data.rows} x {data.d}, IVF{lists},PQ{m}", reference="2 ranks")

    def once(ranks):
        def function(repetition):
            build = Build(settings, data, f"IVF{lists},PQ{m}", ranks=ranks)
            build.close()
            return {phase: build.seconds(phase) for phase in ("sample", "train", "assign")} | {"wall": build.wall}
        return function

    results, table.skipped = launch.alternate({"2 ranks": once(2), "1 rank": once(1)}, settings, say)
    for measure in ("sample", "train", "assign", "wall"):
        for name, runs in results.items():
            table.add(measure, name, [run[measure] for run in runs])
    return table


def run_search(settings, peers, data, lists, codecs, nprobes, say):
    """Searches in memory of mpivf's indexes: by mpivf, one rank of all threads, and by FAISS, which is given the same centroids,
    codebooks and codes. Queries come in one batch; a setting's time is the median of three."""
    table = Table(f"search, {data.rows} x {data.d}, {lists} lists, k 10")
    for codec in codecs:
        build = Build(settings, data, f"IVF{lists},{codec}")
        points = {}

        def ours(repetition):
            points["mpivf"] = build.search(data, nprobes)
            return [point[1] for point in points["mpivf"]]

        def theirs(repetition):
            report = launch.peer("faiss", "search", settings.threads, settings.limit, index=build.index, queries=data.queries,
                                 truth=data.truth_path(), nprobes=nprobes)
            points["faiss"] = report["points"]
            return [point[1] for point in report["points"]]

        contenders = {"mpivf": ours} | ({"faiss": theirs} if "faiss" in peers.versions else {})
        results, skipped = launch.alternate(contenders, settings, say)
        table.skipped |= skipped
        for i, nprobe in enumerate(nprobes):
            for name, runs in results.items():
                if runs:
                    seconds = [run[i] for run in runs]
                    table.add(f"{codec} nprobe {nprobe}", name, seconds, R10=points[name][i][2],
                              queries_s=matrix.shape(data.queries)[0] / statistics.median(seconds))
        build.close()
    return table
