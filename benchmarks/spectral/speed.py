#!/usr/bin/env python3
"""Speed of the spectral member on 1, 2 and 4 ranks beside the tile codecs and SPERR, and what ranks send each other.

    speed.py --alidade .build/release/alidade --sperr-lib libSPERR.so [--edge 128] [--psnr 80] [--rounds 5] [--ranks 1,2,4] [--out speed.md]

One solenoidal field of random phases, three components float32. All codecs in turns, round by round; medians. Processor time is that of the
whole job less that of the same command on a field of 64 values (start of program and MPI); wall time is what the report says, from the first byte
read to the last one written. SPERR: its library's calls in one process. MB are those of the field.
"""
import argparse
import json
import os
import platform
import resource
import shlex
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))
from codecs_of_peers import Sperr  # noqa: E402

WAYS = (("spectral", ["--codec", "spectral"]), ("automatic", []), ("lot16", ["--codec", "lot16"]), ("automatic, tile access", ["--access", "tile"]))


def solenoidal(n, seed=1):
    """Energy as k^(-5/3) below 0.45 n, which decays above n/6: about a third of the modes of the cube are not zero."""
    g = np.random.default_rng(seed)
    k = np.meshgrid(np.fft.fftfreq(n, 1 / n), np.fft.fftfreq(n, 1 / n), np.fft.rfftfreq(n, 1 / n), indexing="ij")
    r = np.sqrt(sum(x * x for x in k))
    size = np.where((r > 0) & (r < 0.45 * n), np.maximum(r, 1) ** (-11 / 6) * np.exp(-((6 * r / n) ** 2) / 2), 0)
    h = [np.fft.rfftn(g.standard_normal((n, n, n), dtype=np.float32)) * size for _ in range(3)]
    along = sum(a * b for a, b in zip(k, h)) / np.maximum(r * r, 1)
    # Component c belongs to axis c of the array.
    return np.array([np.fft.irfftn(b - a * along, s=(n, n, n), axes=(0, 1, 2)) for a, b in zip(k, h)]).astype(np.float32)


def write(path, u):
    with h5py.File(path, "w") as f:
        f.create_dataset("u", data=u).attrs["dims"] = "component,x,y,z"
        f.attrs["periodic"] = "all"


class Jobs:
    def __init__(self, command, folder):
        self.command, self.folder = shlex.split(command), folder

    def call(self, ranks, *words):
        """Processor seconds of a job and its report."""
        start = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks > 1 else []
        report = os.path.join(self.folder, "r.json")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([*start, *self.command, *words, "--report", report, "-q"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise RuntimeError(f"{words}: exit {done.returncode}: {done.stderr[-400:]}")
        with open(report) as f:
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, json.load(f)

    def both(self, ranks, name, words):
        """Of compressing and decompressing: processor seconds, wall seconds, megabytes sent by the rank that sends most; then bits per value."""
        at = lambda x: os.path.join(self.folder, x)
        c, told = self.call(ranks, "compress", at(name), "-o", at("c.ald"), *words)
        d, again = self.call(ranks, "decompress", at("c.ald"), "-o", at("d.h5"))
        entry = told["result"]["fields"][0]
        sent = [sum(p["bytes"]["maximum"] for p in r["run"]["phases"]) / 1e6 for r in (told, again)]
        return [c, d, told["run"]["seconds"], again["run"]["seconds"], *sent, entry["bits_per_value"]], entry["transform"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--alidade", default="alidade")
    p.add_argument("--sperr-lib", default=os.environ.get("SPERR_LIB"))
    p.add_argument("--edge", type=int, default=128)
    p.add_argument("--psnr", type=float, default=80)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--ranks", default="1,2,4")
    p.add_argument("--out", help="file for the tables, Markdown")
    a = p.parse_args()
    counts, u = [int(x) for x in a.ranks.split(",")], solenoidal(a.edge)
    mb = u.nbytes / 1e6
    sperr = Sperr(a.sperr_lib, "psnr") if a.sperr_lib else None
    if sperr is None:
        print("SKIPPED SPERR: no --sperr-lib")
    runs, kinds, peer = {}, {}, []
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        jobs = Jobs(a.alidade, folder)
        write(os.path.join(folder, "u.h5"), u)
        write(os.path.join(folder, "small.h5"), solenoidal(8)[:1, :4, :4, :4])
        for _ in range(a.rounds):
            for n in counts:
                runs.setdefault(("start", n), []).append(jobs.both(n, "small.h5", ["--psnr", "40"])[0])
                for name, words in WAYS:
                    values, kinds[name] = jobs.both(n, "u.h5", ["--psnr", str(a.psnr), *words])
                    runs.setdefault((name, n), []).append(values)
            if sperr:
                sperr.seconds = [0.0, 0.0]
                knob = float(np.ptp(u)) * 10 ** (-a.psnr / 20)
                size = sum(sperr.one(np.ascontiguousarray(x), knob)[0] for x in u)
                peer.append([*sperr.seconds, 8 * size / u.size])
    middle = {k: np.median(np.array(v), axis=0) for k, v in runs.items()}
    commit = subprocess.run(["git", "-C", os.path.dirname(os.path.abspath(__file__)), "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.processor())
    lines = [f"Commit {commit or 'unknown'}, {time.strftime('%Y-%m-%d')}, {cpu}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; 3 x {a.edge}^3 float32 ({mb:.0f} MB), {a.psnr:g} dB, medians of {a.rounds}.", "",
             "| codec | ranks | bits/value | compress MB/s of a core | decompress | compress s (wall) | decompress s | MB sent per rank, compress | decompress |",
             "|---|---|---|---|---|---|---|---|---|"]
    for name, _ in WAYS:
        for n in counts:
            m, s = middle[name, n], middle["start", n]
            label = name if name == kinds[name] else f"{name} ({kinds[name]})"
            core = [mb / max(1e-3, m[i] - s[i]) for i in (0, 1)]
            lines.append(f"| {label} | {n} | {m[6]:.3f} | {core[0]:.0f} | {core[1]:.0f} | {m[2]:.2f} | {m[3]:.2f} | {m[4]:.1f} | {m[5]:.1f} |")
    if peer:
        c, d, bits = np.median(np.array(peer), axis=0)
        lines.append(f"| SPERR (calls alone) | 1 | {bits:.3f} | {mb / c:.0f} | {mb / d:.0f} | {c:.2f} | {d:.2f} | | |")
    lines.append("\nProcessor seconds of the start, taken off: " + ", ".join(f"{middle['start', n][0]:.2f} and {middle['start', n][1]:.2f} on {n}" for n in counts) + ".")
    text = "\n".join(lines) + "\n"
    print(text)
    if a.out:
        with open(a.out, "w") as f:
            f.write(text)


if __name__ == "__main__":
    main()
