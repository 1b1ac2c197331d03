#!/usr/bin/env python3
"""check_traffic.py NP: holds the traffic of the builds NP/small, NP/large (twice the rows), NP/longer (one iteration more),
of NP/fast and NP/fast2 (twice the rows) with fast k-means, of NP/rotated (small after OPQ), NP/tree (fast with two levels, and ids), NP/root
(small, trained by rank 0 alone) and NP/kept (fast, a checkpoint after every step), to the formulas of ARCHITECTURE.md, "Communication". Prints what was counted."""
import collections
import json
import math
import sys

RECORD = 152  # bytes of a fragment record (index/fragment.h)
AGREEMENT = 8
d = 8

PHASES = ("-", "plan", "resume", "sample", "train", "assign", "gather", "commit")
np = int(sys.argv[1])
failures = []


def check(holds, text):
    if not holds:
        failures.append(text)


class Run:
    def __init__(self, name):
        folder = f"{np}/{name}"
        self.name = name
        self.result = json.load(open(f"{folder}/build.json"))
        self.info = json.load(open(f"{folder}/info.json"))
        self.training, self.k = self.info["model"]["training"], self.result["nlist"]
        self.calls, self.bytes = collections.Counter(), collections.Counter()
        for rank in range(np):
            for line in open(f"{folder}/traffic.{rank}"):
                phase, kind, function, calls, size = line.split()
                for key in ((phase, kind, rank), (phase, kind), (phase, function, rank), (phase, function)):
                    self.calls[key] += int(calls)
                    self.bytes[key] += int(size)
        self.seconds = {phase["name"]: phase["seconds"]["max"] for phase in self.result["phases"]}

    def collective(self, phase, rank=0):
        return self.bytes[phase, "collective", rank]

    def table(self):
        for phase in PHASES:
            print(f"np {np:2} {self.name:6} {phase:7}"
                  + "".join(f" {kind} {self.calls[phase, kind]} calls {self.bytes[phase, kind]} bytes;"
                            for kind in ("message", "onesided", "collective", "carried")))


    def moved(self):
        """Bytes that fast k-means may spend on moving centroids (cluster/kmeans.h, m): what depends on the data."""
        most = math.ceil(0.15 * self.k)
        return self.training["steps"].count("m") * (16 * most + 4 * (d + 1) * most + 4 * most * (d + 4))

    def rotation_bound(self):
        """What OPQ hands over (codec/opq.h): the start, 4 passes for each of its two candidates, 20 iterations, 100 agreements."""
        passed = 8 * (256 * d + 256 * 4 + 1)
        return 8 * (d * d + d + 1) + 4 * d * d + 2 * (1024 * d + 4 * passed) + 20 * (passed + 12 * d * d) + 120 * AGREEMENT

    def tree_bound(self):
        """What growing a level over the lists hands over (cluster/tree_grow.h): k-means with all lists as its rows."""
        nodes, most = 4 * math.sqrt(self.k), 10
        rows = (4 * d + 4 * (d + 1)) * self.k
        return rows + 4 * d * nodes + most * (8 * nodes * (d + 3) + 384 * nodes + 16 * d * nodes + 64) + 4 * nodes + 4096

    def training_bound(self):
        """Bytes that a rank may hand to collectives in training: cluster/kmeans.h, codec/codec.h, build/way.h, the model."""
        k, steps = self.k, self.training["steps"]
        kmeans = 4 * d * k + len(steps) * (8 * k * (d + 3) + 8 + AGREEMENT) + 40 * k * self.training["repairs"]
        if self.name == "kept":
            kmeans += len(steps) * (8 + 2 * AGREEMENT)
        if set(steps) - {"F"}:
            kmeans += 16384 * d + 16 + 8 * k * d + self.moved()
            kmeans += sum(math.ceil(k / np) * 4 * min(96, k) + 8 * k * (step in "qQ") for step in steps)
        codec = 2 * 4 * d * 256 + 64 * 8 * np
        model = 8 * k + 8 * len(steps) + 4 * d * d
        more = {"rotated": self.rotation_bound, "tree": self.tree_bound}.get(self.name, lambda: 0)()
        return kmeans + codec + model + more + 4 * d + 1024 + 128 * AGREEMENT


runs = {name: Run(name) for name in ("small", "large", "longer", "fast", "fast2", "rotated", "tree", "root", "kept")}
small, large, longer, fast, fast2, rotated, tree, root, kept = runs.values()
for run in runs.values():
    run.table()
    rows, fragments, k = run.result["rows"], run.result["fragments"], run.k

    # plan: the list of shards, whatever their rows; ids that are given go to the ranks of their classes.
    moving = 8 * (1 - 1 / np) * rows * (run is tree)
    sent = run.bytes["plan", "message"]
    check(0.98 * moving <= sent <= 1.02 * moving and run.bytes["plan", "onesided"] == 0, f"plan: messages of {sent} bytes")
    check(run.calls["plan", "message"] <= np * (np - 1) * (run is tree), "plan: more messages than pairs")
    more = run.collective("plan") - small.collective("plan")
    check(8 * np < more <= 8 * np + 1024 if run is tree else more == 0, f"plan: {more} bytes more in collectives")

    # resume: nothing was left.
    check(run.bytes["resume", "message"] == run.bytes["resume", "onesided"] == 0, "resume: messages")
    check(run.collective("resume") <= 64 + 16 * AGREEMENT, "resume: collectives")

    # sample: each row travels once at most, from the rank that read it to the rank that trains on it.
    sent, row = run.bytes["sample", "message"], 8 + 4 * d
    check(sent % row == 0, "sample: not whole rows")
    check(0.8 * (1 - 1 / np) * rows * row <= sent <= rows * row, f"sample: {sent} bytes for {rows} rows")
    check(run.calls["sample", "message"] <= np * (np - 1), "sample: more messages than pairs")
    check(all(run.collective("sample", rank) <= 256 + 32 * np for rank in range(np)), "sample: collectives")

    # train: rows move only as candidates for seeds, for the grid, to try the way that rows will be assigned in, and as PQ's
    # slices of at most 65536 rows.
    check(run.bytes["train", "onesided"] == 0, "train: one-sided")
    chosen = 4 * (d + 1) * (max(k, 256) + 4096) + 4 * d * 16384 + run.moved()
    cells = 4 * rows * len(run.training["steps"]) * (run.name == "kept")
    slices = 4 * d * 65536
    iterations = len(run.training["steps"]) * 8 * k * (d + 3)
    if run is root:  # the others wait: the lists' centroids and the way are tried alone, and nothing is reduced
        chosen = slices = iterations = 0
    check(run.bytes["train", "message"] <= chosen + slices + cells, "train: more than chosen rows and PQ's slices")
    for rank in range(np):
        mine, most = run.collective("train", rank), run.training_bound()
        check(iterations <= mine <= most - (run is root) * len(run.training["steps"]) * 8 * k * (d + 3),
              f"train: {mine} bytes, at most {most} expected")

    # The lists' centroids lie once in the node, which all ranks share here: nobody hands them over. A rank finds the 64
    # neighbours of one centroid more than another (cluster/lists.c), in each step at most.
    uneven = 4 * 64 * len(run.training["steps"])
    for rank in range(1, np):
        more = run.collective("train") - run.collective("train", rank)
        check(abs(more) <= 4096 + uneven, f"train: rank 0 hands over {more} bytes more than rank {rank}")

    # assign: a ticket for each fragment and one that is refused for each rank; progress twice a second; nothing for a row.
    check(run.calls["assign", "onesided"] == fragments + np, "assign: not one ticket a fragment and rank")
    check(run.bytes["assign", "onesided"] == 8 * (fragments + np), "assign: tickets of other sizes")
    reports = run.calls["assign", "message"]
    check(reports <= (np - 1) * (2 + 2 * run.seconds["assign"]) + 1, f"assign: {reports} reports in {run.seconds['assign']} s")
    check(run.bytes["assign", "message"] == 16 * reports, "assign: reports of other sizes")
    check(all(run.collective("assign", rank) <= 24 * AGREEMENT + 64 for rank in range(np)), "assign: collectives")

    # gather: a record for each fragment that rank 0 did not publish itself; the sizes of all lists.
    check(run.bytes["gather", "message"] % RECORD == 0, "gather: not whole records")
    check(run.bytes["gather", "message"] <= RECORD * fragments, "gather: more than the records")
    check(run.calls["gather", "message"] <= np - 1, "gather: more than one message a rank")
    check(all(8 * k <= run.collective("gather", rank) <= 8 * k + 64 for rank in range(np)), "gather: collectives")

    # commit: agreements, and a checksum of the one shard.
    check(run.bytes["commit", "message"] == run.bytes["commit", "onesided"] == 0, "commit: messages")
    check(run.collective("commit") <= 8 + 16 * AGREEMENT, "commit: collectives")

    # What reductions are made of: few numbers go whole in each round, many in halves; ranks beyond a power of two once more.
    rounds = math.floor(math.log2(np)) + 1
    for rank in range(np):
        for phase in PHASES:
            most = rounds * run.bytes[phase, "reduce", rank]
            check(run.bytes[phase, "carried", rank] <= most, f"{phase}: reductions carry more than {most} bytes")

# Twice the rows, the same bytes.
for run, twice in ((small, large), (fast, fast2)):
    data = run.moved() + twice.moved()
    check(run.training["repairs"] == twice.training["repairs"] == 0, "train: cells were repaired; other rows are needed")
    check(run.training["steps"] == twice.training["steps"], "train: other iterations for 2 n rows")
    for rank in range(np):
        mine, other = run.collective("train", rank), twice.collective("train", rank)
        check(abs(mine - other) <= data, f"train: rank {rank} hands over {mine} bytes for n rows, {other} for 2 n")
    between = abs(run.bytes["train", "message"] - twice.bytes["train", "message"])
    check(between <= 4 * (d + 1) * (max(run.k, 256) + 4096) + data, f"train: {between} bytes of messages more or less for 2 n rows")
check(rotated.collective("train") > small.collective("train"), "train: no rotation")
check(tree.info["model"]["levels"] == 2, "train: no tree")
check(root.info["model"]["id"] == small.info["model"]["id"], "train: rank 0 alone trains another model")
check(set(small.training["steps"]) == {"F"} and "R" in fast.training["steps"], "train: not the iterations that were wanted")
for rank in range(np):
    # One iteration: what k-means says of it (cluster/kmeans.h), with a keeper, an agreement, and its objective in the model.
    step = longer.collective("train", rank) - small.collective("train", rank)
    check(step == 8 * small.k * (d + 3) + 8 + AGREEMENT + 8, f"train: rank {rank} hands over {step} bytes in an iteration")

# Checkpoints: the cells of the rows where the next iteration wants to know them, and no other model.
cells = 4 * kept.result["rows"] * kept.training["steps"].count("R")
check(kept.bytes["train", "message"] >= fast.bytes["train", "message"] + 0.8 * (1 - 1 / np) * cells,
      "train: checkpoints that hold no cells")
check(kept.info["model"]["id"] == fast.info["model"]["id"], "train: checkpoints change the model")

for text in failures:
    print("FAILED:", text)
sys.exit(1 if failures else 0)
