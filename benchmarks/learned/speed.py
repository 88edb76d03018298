#!/usr/bin/env python3
"""Speed of autoencoders in the container beside libtorch's own forward passes, one core.

    speed.py --alidade .build/release/alidade --data turb3d.h5 [--field velocity] [--psnr 45] [--rounds 5] [--models folder] [--out speed.md]

Needs alidade-train beside alidade; models that the folder lacks are trained there in one epoch (weights do not matter for speed). Of each model in turns,
round by round, medians: libtorch's analysis and synthesis of the field's last step and our kernels on the same blocks in the same process
(`train --time`), then whole jobs on all steps: compress --codec autoencoder and decompress with one thread. Whole jobs: processor time (start of program
and MPI taken off: the same command on 3 x 16^3 values), files in memory, read and written without compression.
"""
import argparse
import os
import re
import resource
import shlex
import subprocess
import tempfile
import time

import h5py
import numpy as np

MODELS = (("4^3, 55 latents", "dense4", ["--kind", "autoencoder", "--patch", "4", "--width", "0"]),
          ("8^3, 221 latents", "dense8", ["--kind", "autoencoder", "--patch", "8", "--width", "0"]),
          ("4^3, factorized", "plain4", ["--kind", "autoencoder", "--patch", "4", "--width", "0", "--coding", "factorized"]),
          ("4^3, 16 hidden", "hidden4", ["--kind", "autoencoder", "--patch", "4", "--width", "16"]),
          ("4^3, sparse", "sparse4", ["--kind", "sparse", "--patch", "4", "--weight-bits", "8"]))


def run(command, *words):
    """Processor seconds of a job, and what it said."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*command, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: exit {done.returncode}: {done.stderr[-400:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout + done.stderr


def copy(source, path, field, part=np.s_[:]):
    with h5py.File(source) as f, h5py.File(path, "w") as g:
        d = g.create_dataset(field, data=f[field][part])
        for a, b in ((f, g), (f[field], d)):
            for k, v in a.attrs.items():
                b.attrs[k] = v
        return d.size * d.dtype.itemsize / 1e6


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--alidade", default="alidade")
    p.add_argument("--data", required=True)
    p.add_argument("--field", default="velocity")
    p.add_argument("--psnr", default="45")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--models", help="folder of trained models (default: trained for this run)")
    p.add_argument("--only", default="", help="names, comma-separated: " + ",".join(m[1] for m in MODELS))
    p.add_argument("--out", help="file for the table, Markdown")
    a = p.parse_args()
    command, wanted = shlex.split(a.alidade), [m for m in MODELS if not a.only or m[1] in a.only.split(",")]
    rows = {}
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        at = lambda x: os.path.join(folder, x)
        kept = a.models or folder
        os.makedirs(kept, exist_ok=True)
        mb = copy(a.data, at("u.h5"), a.field)
        copy(a.data, at("small.h5"), a.field, np.s_[:1, :, :16, :16, :16])
        model = lambda name: os.path.join(kept, name + ".aldm")
        for _, name, words in wanted:
            if not os.path.exists(model(name)):
                run(command, "train", at("u.h5"), "-o", model(name), "-f", a.field, "--psnr", a.psnr, "--epochs", "1", *words)
        for _ in range(a.rounds):
            for _, name, _ in wanted:
                said = run(command, "train", at("u.h5"), "--time", model(name), "-f", a.field, "--psnr", a.psnr, *dict((m[1], m[2][:2]) for m in MODELS)[name])[1]
                theirs, ours = re.findall(r"analysis ([\d.]+|solved for), synthesis ([\d.]+)", said)
                number = lambda t: float(t) if t != "solved for" else np.nan
                jobs = lambda data: [run(command, "compress", at(data), "-o", at("c.ald"), "--psnr", a.psnr, "--codec", "autoencoder", "--model", model(name), "--threads", "1", "-q")[0],
                                     run(command, "decompress", at("c.ald"), "-o", at("d.h5"), "--model", model(name), "--threads", "1", "-q")[0]]
                start, whole = jobs("small.h5"), jobs("u.h5")
                rows.setdefault(name, []).append([number(t) for t in (*theirs, *ours)] + [mb / max(1e-3, w - s) for w, s in zip(whole, start)] + start)
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "?")
    lines = [f"{time.strftime('%Y-%m-%d')}, {cpu}, load {os.getloadavg()[0]:.1f}; {os.path.basename(a.data)} ({mb:.0f} MB of binary32), {a.psnr} dB, medians of {a.rounds}; MB/s of one core.", "",
             "| model | libtorch: analysis | synthesis | our kernels: analysis | synthesis | container: encode | decode |", "|---|---|---|---|---|---|---|"]
    text = lambda v: "solved for" if np.isnan(v) else f"{v:.0f}"
    for label, name, _ in wanted:
        m = np.median(np.array(rows[name]), axis=0)
        lines.append(f"| {label} | " + " | ".join(text(v) for v in m[:6]) + " |")
    start = np.median(np.array([r[6:] for v in rows.values() for r in v]), axis=0)
    lines += ["", f"Taken off for the start: {start[0]:.2f} and {start[1]:.2f} s."]
    print("\n".join(lines))
    if a.out:
        with open(a.out, "w") as f:
            f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
