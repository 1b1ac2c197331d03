#!/usr/bin/env python3
"""check_traffic.py NP: holds the traffic of the builds NP/small, NP/large (twice the rows) and NP/longer (one iteration more)
to the formulas of ARCHITECTURE.md, "Communication". Prints what was counted."""
import collections
import json
import sys

RECORD = 144  # bytes of a fragment record (index/fragment.h)
AGREEMENT = 4

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
        self.training = self.info["model"]["training"]
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
        for phase in ("-", "plan", "sample", "train", "assign", "gather", "commit"):
            print(f"np {np:2} {self.name:6} {phase:7}"
                  + "".join(f" {kind} {self.calls[phase, kind]} calls {self.bytes[phase, kind]} bytes;"
                            for kind in ("message", "onesided", "collective")))


small, large, longer = Run("small"), Run("large"), Run("longer")
k, d = 64, 8
seeds = 256 * 4 * (d + 1)  # bytes of the rows that rank 0 chooses the seeds from
for run in (small, large, longer):
    run.table()
    rows, fragments = run.result["rows"], run.result["fragments"]

    # plan: the list of shards, whatever their rows.
    check(run.bytes["plan", "message"] == run.bytes["plan", "onesided"] == 0, "plan: messages")
    check(run.collective("plan") == small.collective("plan"), "plan: its bytes depend on the rows")

    # sample: each row travels once at most, from the rank that read it to the rank that trains on it.
    sent, row = run.bytes["sample", "message"], 8 + 4 * d
    check(sent % row == 0, "sample: not whole rows")
    check(0.8 * (1 - 1 / np) * rows * row <= sent <= rows * row, f"sample: {sent} bytes for {rows} rows")
    check(run.calls["sample", "message"] <= np * (np - 1), "sample: more messages than pairs")
    check(all(run.collective("sample", rank) <= 256 + 32 * np for rank in range(np)), "sample: collectives")

    # train: rows move only as candidates for seeds and as PQ's slices of at most 65536 rows.
    check(run.bytes["train", "onesided"] == 0, "train: one-sided")
    check(run.bytes["train", "message"] <= seeds + 4 * d * 65536, "train: more than seeds and PQ's slices")

    # assign: a ticket for each fragment and one that is refused for each rank; progress twice a second; nothing for a row.
    check(run.bytes["assign", "message"] == 0, "assign: messages")
    check(run.calls["assign", "MPI_Fetch_and_op"] == fragments + np, "assign: not one ticket a fragment and rank")
    check(run.bytes["assign", "MPI_Fetch_and_op"] == 8 * (fragments + np), "assign: tickets of other sizes")
    reports = run.calls["assign", "MPI_Accumulate"]
    check(reports <= np * (1 + 2 * run.seconds["assign"]) + 1, f"assign: {reports} reports in {run.seconds['assign']} s")
    check(run.bytes["assign", "MPI_Accumulate"] == 8 * reports, "assign: reports of other sizes")
    check(all(run.collective("assign", rank) <= 16 * AGREEMENT for rank in range(np)), "assign: collectives")

    # gather: a record for each fragment that rank 0 did not publish itself; the sizes of all lists.
    check(run.bytes["gather", "message"] % RECORD == 0, "gather: not whole records")
    check(run.bytes["gather", "message"] <= RECORD * fragments, "gather: more than the records")
    check(run.calls["gather", "message"] <= np - 1, "gather: more than one message a rank")
    check(all(8 * k <= run.collective("gather", rank) <= 8 * k + 64 for rank in range(np)), "gather: collectives")

    # commit: agreements.
    check(run.bytes["commit", "message"] == run.bytes["commit", "onesided"] == 0, "commit: messages")
    check(run.collective("commit") <= 16 * AGREEMENT, "commit: collectives")

for rank in range(np):
    # Twice the rows, the same bytes.
    mine, twice = small.collective("train", rank), large.collective("train", rank)
    check(small.training["repairs"] or large.training["repairs"] or mine == twice,
          f"train: rank {rank} hands over {mine} bytes for n rows, {twice} for 2 n")
    # One iteration: what k-means says of it (cluster/kmeans.h), an agreement, and its objective in the model.
    step = longer.collective("train", rank) - mine
    check(step == 8 * k * (d + 3) + AGREEMENT + 8, f"train: rank {rank} hands over {step} bytes in an iteration")
between = abs(small.bytes["train", "message"] - large.bytes["train", "message"])
check(between <= seeds, f"train: {between} bytes of messages more or less for 2 n rows")

for text in failures:
    print("FAILED:", text)
sys.exit(1 if failures else 0)
