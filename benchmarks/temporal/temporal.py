#!/usr/bin/env python3
"""Steps predicted from those before against steps coded alone. See README.md."""
import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile

import h5py

ENVIRONMENT = dict(os.environ, OMPI_MCA_btl="self", OMPI_MCA_pml="ob1", OMPI_MCA_ess_singleton_isolated="1")


def run(tool, *words):
    """Processor seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    o = subprocess.run([tool, *map(str, words)], env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if o.returncode:
        sys.exit(f"{tool} {' '.join(map(str, words))}: {o.stderr}")
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def thinned(path, name, spacing, count, out):
    """The last `count` steps of a series, every `spacing`-th, with the attributes of its dataset."""
    with h5py.File(path) as f, h5py.File(out, "w") as g:
        v = f[name]
        steps = range(v.shape[0] - 1 - spacing * (count - 1), v.shape[0], spacing)
        if steps[0] < 0:
            return False
        d = g.create_dataset(name, shape=(count,) + v.shape[1:], dtype=v.dtype)
        for i, s in enumerate(steps):
            d[i] = v[s]
        for key, value in list(v.attrs.items()) + [(k, w) for k, w in f.attrs.items() if k == "periodic"]:
            if key in ("dims", "periodic"):
                d.attrs[key] = value
        return True


class Bench:
    def __init__(self, tool, folder):
        self.tool, self.folder, self.rows = tool, folder, []

    def report(self, command, *words):
        path = os.path.join(self.folder, "report.json")
        seconds = run(self.tool, command, *words, "-q", "--report", path)
        with open(path) as f:
            return json.load(f), seconds

    def code(self, source, bound, key):
        """Fields, processor seconds of coding and decoding (the least of three, less those of a start), and memory."""
        out = os.path.join(self.folder, "series.ald")
        seconds = [[], [], []]
        for _ in range(3):
            r, t = self.report("compress", source, "-o", out, "--access", "tile", "--psnr", bound, *(["--temporal", key] if key else []))
            seconds[0].append(t)
            seconds[1].append(self.report("verify", out)[1])
            seconds[2].append(run(self.tool, "inspect", out))
        run(self.tool, "verify", out, "--against", source, "-q")
        start = min(seconds[2])
        return r["result"]["fields"], [max(min(s) - start, 1e-3) for s in seconds[:2]], r["run"]["peak_memory_bytes"]["maximum"]

    def series(self, name, source, spacing, keys):
        for bound in (60, 80):
            alone, seconds, memory = self.code(source, bound, 0)
            n = len(alone)
            mean = lambda list: sum(list) / len(list) if list else float("nan")
            bits = lambda fields: [f["bits_per_value"] for f in fields]
            intra, raw = mean(bits(alone)), sum(f["raw_bytes"] for f in alone)
            for key in keys:
                fields, t, m = self.code(source, bound, key)
                at = [f["temporal"]["position"] if f["temporal"]["predicted"] else 0 for f in fields]
                position = lambda test: mean([b for b, p in zip(bits(fields), at) if test(p)])
                self.rows.append({
                    "series": name, "spacing": spacing, "psnr_db": bound, "steps": n, "key_interval": key, "transform": fields[-1]["transform"],
                    "alone": intra, "one_reference": position(lambda p: p == 1), "two_references": position(lambda p: p > 1),
                    "series_mean": mean(bits(fields)), "saved_at_two": 1 - position(lambda p: p > 1) / intra, "saved": 1 - mean(bits(fields)) / intra,
                    "code_mb_s_alone": raw / seconds[0] / 1e6, "code_mb_s": raw / t[0] / 1e6,
                    "decode_mb_s_alone": raw / seconds[1] / 1e6, "decode_mb_s": raw / t[1] / 1e6, "memory_alone": memory, "memory": m})
                r = self.rows[-1]
                print("{series} every {spacing}, {psnr_db} dB, key {key_interval}: {alone:.3f} -> {one_reference:.3f}, {two_references:.3f}; "
                      "series {series_mean:.3f} ({saved:.1%})".format(**r), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--build", default=".build/release", help="folder of alidade and alidade-taylorgreen")
    p.add_argument("--data", help="folder of turb3d_kolmogorov_64.h5 and turb2d_kolmogorov_256.h5; without: left out")
    p.add_argument("--taylor-green", help="velocity (t, 3, z, y, x) of every solver step; without: simulated, 900 MB for a while")
    p.add_argument("--out", default="docs/results")
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(os.path.join(a.build, "alidade"), folder)
        flow = a.taylor_green
        if not flow:
            flow = os.path.join(folder, "all.h5")
            run(os.path.join(a.build, "alidade-taylorgreen"), "--n", 64, "--time", 9, "--every", 2 / 64, "--single-file", "--quiet", "--output", flow)
        part = os.path.join(folder, "part.h5")
        for spacing, count in ((1, 17), (2, 17), (4, 10)):
            if thinned(flow, "velocity", spacing, count, part):
                bench.series("Taylor-Green 64^3", part, spacing, (8, 16) if count > 16 else (8,))
        for name, dataset, count in (("turb3d_kolmogorov_64", "velocity", 8), ("turb2d_kolmogorov_256", "vorticity", 17)):
            source = os.path.join(a.data or "", name + ".h5")
            if a.data and os.path.exists(source) and thinned(source, dataset, 1, count, part):
                bench.series(name, part, 1, (8,))
            else:
                print(f"{name}: no data, left out")
        with open(os.path.join(a.out, "temporal.csv"), "w", newline="") as f:
            w = csv.DictWriter(f, bench.rows[0].keys(), lineterminator="\n")
            w.writeheader()
            for r in bench.rows:
                w.writerow({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in r.items()})


if __name__ == "__main__":
    main()
