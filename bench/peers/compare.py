#!/usr/bin/env python3
"""mpivf beside FAISS, SuperKMeans and Lance: the same data, lists and number of threads, in alternation, in one run.

    python3 -m venv VENV && VENV/bin/pip install -r bench/peers/requirements.txt
    VENV/bin/python bench/peers/compare.py --mpivf build/release/bin/mpivf [--scale full] [--only kmeans build]

mpivf runs as THREADS ranks of one thread each, the peers with THREADS threads (OMP_WAIT_POLICY=passive), all of them on the
same THREADS processors, each run in a process of its own under a time limit. A package that is missing is passed over. Rows
come from mpivf generate, or from a file: --base base.u8bin --queries query.u8bin (.fbin, .u8bin, .i8bin, .f16bin).

A ratio is a contender's median time divided by mpivf's: above 1, mpivf is that many times faster.
"""
import argparse
import json
import os
import platform
import sys
import tempfile
import time

import cases
import launch
import matrix

# The shapes of each case: rows, d, clusters and intrinsic dimension of the data, then the case's own numbers.
WIDE = {"quick": (16384, 256, 500, 48), "full": (262144, 768, 8000, 96)}
MAIN = {"quick": (98304, 128, 2000, 32), "full": (1048576, 128, 8000, 32)}
MANY = {"quick": (98304, 96, 2000, 32), "full": (4194304, 96, 8000, 32)}
NARROW = {"quick": (8192, 64, 500, 16), "full": MAIN["full"]}
SCALES = {
    "quick": [("kmeans", MAIN, 1024), ("kmeans", WIDE, 256), ("assign", MAIN, 1024), ("pq", MAIN, 32), ("opq", NARROW, 8),
              ("build", MAIN, 384, 8), ("sweep", MANY, (256, 1024), 16), ("ranks", MAIN, 1024, 16),
              ("search", MAIN, 1024, ("Flat", "SQ8", "PQ32", "PQ64x4fs"), (8, 32))],
    "full": [("kmeans", MAIN, 4096), ("kmeans", WIDE, 1024), ("assign", MAIN, 4096), ("assign", MAIN, 65536), ("pq", MAIN, 32),
             ("opq", NARROW, 32), ("build", MAIN, 4096, 32), ("build", WIDE, 1024, 96), ("sweep", MANY, (4096, 16384, 65536), 32),
             ("ranks", MAIN, 4096, 32), ("search", MAIN, 4096, ("Flat", "SQ8", "PQ32", "PQ64x4fs"), (16, 64)),
             ("search", WIDE, 1024, ("Flat", "SQ8", "PQ96", "PQ192x4fs"), (16, 64))],
}


def say(text):
    print(text, flush=True)


def format_figure(name, value):
    if value is None:
        return ""
    if name.startswith("R10"):
        return f"{value:.4f}"
    if name in ("vs_faiss", "vs_exact", "objective_excess"):
        return f"{value:+.3f} %"
    return f"{value:.3f} %" if name == "agreement" else f"{value:.5g}"


def show(table):
    names = list(dict.fromkeys(name for row in table.rows for name in row["figures"]))
    head = ["", "contender", "median s", "all s", "ratio"] + names
    lines = [head]
    for row in table.rows:
        lines.append([row["measure"], row["contender"], f"{row['median']:.3f}", " ".join(f"{s:.3f}" for s in row["seconds"]),
                      "" if row["ratio"] is None else f"{row['ratio']:.2f}"] + [format_figure(name, row["figures"].get(name)) for name in names])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        say("  " + "  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())


def processor():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), platform.machine())


def choose(arguments):
    """The cases of the scale; with a user's file, one of each kind over its rows."""
    chosen = [case for case in SCALES[arguments.scale] if not arguments.only or case[0] in arguments.only]
    if arguments.base is None:
        return chosen
    return [case for i, case in enumerate(chosen) if case[0] not in [earlier[0] for earlier in chosen[:i]]]


def adapt(case, data):
    """A user's file may have fewer rows than the case's lists want (39 each), and its d decides the sub-vectors."""
    kind, numbers = case[0], list(case[2:])
    m = next(m for m in (max(1, data.d // 4), *range(data.d // 4, 0, -1)) if m > 0 and data.d % m == 0)
    clamp = lambda lists: max(1, min(lists, data.rows // 39))
    if kind in ("pq", "opq"):
        return [m]
    if kind == "search":
        return [clamp(numbers[0]), ("Flat", "SQ8", f"PQ{m}"), numbers[2]]
    numbers[0] = tuple(dict.fromkeys(map(clamp, numbers[0]))) if kind == "sweep" else clamp(numbers[0])
    return numbers if kind in ("kmeans", "assign") else [numbers[0], m]


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mpivf", required=True, help="the program")
    parser.add_argument("--scale", choices=sorted(SCALES), default="quick", help="quick: about 100,000 rows, two minutes; full")
    parser.add_argument("--only", nargs="+", choices=["kmeans", "assign", "pq", "opq", "build", "sweep", "ranks", "search"], default=[])
    parser.add_argument("--base", help="rows to use instead of generated ones")
    parser.add_argument("--queries", help="their queries")
    parser.add_argument("--threads", type=int, default=2, help="ranks of mpivf and threads of the peers (default 2)")
    parser.add_argument("--repetitions", type=int, help="rounds (default 2 for quick, 3 for full)")
    parser.add_argument("--iterations", type=int, default=10, help="of k-means (default 10)")
    parser.add_argument("--limit", type=float, help="seconds that one run may take (default 60 for quick, 900 for full)")
    parser.add_argument("--work", help="folder for generated rows, which are kept there, and for scratch (default: a new one)")
    parser.add_argument("--output", help="JSON file for all results")
    parser.add_argument("--options", default="", help="further options of mpivf build, in one string")
    arguments = parser.parse_args()
    if (arguments.base is None) != (arguments.queries is None):
        parser.error("--base and --queries go together")
    return arguments


def settle(arguments, work):
    """What all cases share, as one object with attributes."""
    full = arguments.scale == "full"
    arguments.repetitions = arguments.repetitions or (3 if full else 2)
    arguments.limit = arguments.limit or (900 if full else 60)
    arguments.mpivf = os.path.abspath(arguments.mpivf)
    arguments.work = os.path.abspath(work)
    arguments.options = arguments.options.split()
    return arguments


def run_all(settings):
    peers = cases.Peers(settings, say)
    versions = {"mpivf": launch.run([settings.mpivf, "--version"], 60, {})[0].split()[-1], **peers.versions}
    say(", ".join(f"{name} {version}" for name, version in versions.items())
        + f"; {settings.threads} threads of {processor()}, medians of {settings.repetitions}")
    result = {"date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "processor": processor(), "threads": settings.threads,
              "versions": versions, "scale": settings.scale, "repetitions": settings.repetitions, "options": settings.options,
              "cases": []}
    for case in choose(settings):
        if settings.base is None:
            data, numbers = matrix.generated(settings.mpivf, settings.work, *case[1][settings.scale]), case[2:]
        else:
            data = matrix.Data(os.path.abspath(settings.base), os.path.abspath(settings.queries), settings.work)
            numbers = adapt(case, data)
        started = time.monotonic()
        table = getattr(cases, f"run_{case[0]}")(settings, peers, data, *numbers, say)
        say(f"\n{table.title} ({time.monotonic() - started:.0f} s)")
        show(table)
        result["cases"].append({"case": case[0], "title": table.title, "rows": table.rows, "skipped": table.skipped})
        if settings.output:
            with open(settings.output, "w", encoding="utf-8") as file:
                json.dump(result, file, indent=1)
    return result


def main():
    arguments = parse()
    launch.confine(arguments.threads)
    if arguments.work:
        os.makedirs(arguments.work, exist_ok=True)
        result = run_all(settle(arguments, arguments.work))
    else:
        with tempfile.TemporaryDirectory() as work:
            result = run_all(settle(arguments, work))
    return 0 if any(case["rows"] for case in result["cases"]) else 1


if __name__ == "__main__":
    sys.exit(main())
