"""mpivf's side: builds run as users run them, and what their files hold, read with h5py."""
import glob
import json
import os
import shutil

import h5py
import numpy as np

import launch


class Build:
    """One run of mpivf build; the folder goes with close()."""

    def __init__(self, settings, data, factory, ranks=None, options=()):
        self.settings = settings
        self.ranks = ranks or settings.threads
        self.index = os.path.join(settings.work, "index")
        shutil.rmtree(self.index, ignore_errors=True)
        command = [settings.mpivf, "build", self.index, "--input", data.base, "--factory", factory, "--quiet", "--json",
                   "--iterations", str(settings.iterations), *options, *settings.options]
        out, self.wall = launch.mpivf(command, self.ranks, settings.limit)
        self.result = json.loads(out)
        self.phases = {phase["name"]: phase for phase in self.result["phases"]}

    def seconds(self, phase):
        """Of the slowest rank."""
        return self.phases[phase]["seconds"]["max"]

    def computing(self, phase):
        """Seconds that the slowest rank computed: what remains of a phase beside reading and writing; the whole phase
        where the program does not tell."""
        return (self.phases[phase].get("parts") or {}).get("computing", self.phases[phase]["seconds"])["max"]

    def model(self):
        """Arrays of the model: centroids, codec/codebooks, ..."""
        arrays = {}
        with h5py.File(glob.glob(os.path.join(self.index, "models", "*.h5"))[0]) as file:
            file.visititems(lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
        return arrays

    def postings(self):
        """The list and the code of each row."""
        lists = codes = None
        for path in glob.glob(os.path.join(self.index, "fragments", "*.h5")):
            with h5py.File(path) as file:
                ids, offsets, part = file["ids"][()].astype(np.int64), file["list_offsets"][()], file["codes"][()]
            if lists is None:
                lists = np.full(self.result["rows"], -1, dtype=np.int64)
                codes = np.zeros((self.result["rows"], part.shape[1]), dtype=np.uint8)
            lists[ids] = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets.astype(np.int64)))
            codes[ids] = part
        return lists, codes

    def points(self, data, nprobes):
        """(nprobe, share of the base scanned, recall@10) from mpivf eval."""
        nprobes = [p for p in nprobes if p <= self.result["nlist"]]
        out, _ = launch.mpivf([self.settings.mpivf, "eval", self.index, "--queries", data.queries, "--groundtruth",
                               data.truth_path(), "--k", "10", "--nprobe", ",".join(map(str, nprobes)), "--json", "--quiet"],
                              self.ranks, self.settings.limit)
        result = json.loads(out)
        return [(row["nprobe"], row["postings_scanned"] / result["queries"] / data.rows, row["recall"][0]["by_id"])
                for row in result["settings"]]

    def search(self, data, nprobes):
        """(nprobe, seconds for all queries, recall@10) from mpivf eval, one rank with all threads."""
        environment = {"OMP_NUM_THREADS": str(self.settings.threads)}
        out, _ = launch.run([self.settings.mpivf, "eval", self.index, "--queries", data.queries, "--groundtruth", data.truth_path(),
                             "--k", "10", "--nprobe", ",".join(map(str, nprobes)), "--json", "--quiet"], self.settings.limit, environment)
        return [(row["nprobe"], row["seconds"], row["recall"][0]["by_id"]) for row in json.loads(out)["settings"]]

    def close(self):
        shutil.rmtree(self.index, ignore_errors=True)
