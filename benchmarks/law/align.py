#!/usr/bin/env python3
"""What the alignment costs: `alidade align` with five observables over one `compress` of the same field, and its share of `compress --observe`.

    benchmarks/law/align.py [--alidade .build/release/alidade] [--ranks 1] [--turns 5] [--edges 64,256] [--profile]

Fields of random phases with a spectrum of turbulence and a floor of noise, periodic, float32, seed 1: one component (box16, gradient, spectrum, pdf of
the gradient, structure function) and a flow without divergence (box16, vorticity, spectrum, dissipation, pdf of the vorticity); 60 dB, wrapping (coded by
modes) and between walls (by blocks, spectra under a window). Times are CPU seconds of all ranks, medians of turns taken one after the other. `--profile` samples a plain job and one that
observes with perf, the largest fields, and sets what was below the alignment over the plain job, with and without the observables' own values and derivatives.
"""
import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile

import h5py
import numpy as np

OBSERVABLES = {1: "box16,gradient,spectrum,pdf(of=gradient),structure(r=1:8)", 3: "box16,vorticity,spectrum,dissipation,pdf(of=vorticity)"}


def field(n, components):
    """[c, z, y, x]; E(k) ~ k^-5/3 to a fifth of the highest wavenumber, falling steeply behind it."""
    random = np.random.default_rng(1)
    k = np.meshgrid(np.fft.fftfreq(n, 1 / n), np.fft.fftfreq(n, 1 / n), np.fft.rfftfreq(n, 1 / n), indexing="ij")
    square = sum(a * a for a in k)
    square[0, 0, 0] = 1
    amplitude = square ** (-11 / 12) * np.exp(-np.sqrt(square) / (n / 10))
    amplitude[0, 0, 0] = 0
    h = [np.fft.rfftn(random.standard_normal((n, n, n))) * amplitude for _ in range(components)]
    if components == 3:  # component 0 belongs to x, the last axis
        along = sum(k[2 - c] * h[c] for c in range(3)) / square
        h = [h[c] - k[2 - c] * along for c in range(3)]
    u = np.array([np.fft.irfftn(a, s=(n, n, n), axes=(0, 1, 2)) for a in h])
    return (u / u.std() + 1e-4 * random.standard_normal(u.shape)).astype(np.float32)


def seconds(words):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def profile(words, folder):
    """Samples of one run, one list of symbols each, innermost first."""
    data = os.path.join(folder, "perf.data")
    subprocess.run(["perf", "record", "-q", "-F", "1999", "-e", "cpu-clock", "--call-graph", "fp", "-o", data] + words, check=True, stdout=subprocess.DEVNULL)
    text = subprocess.run(["perf", "script", "-i", data, "-F", "ip,sym"], check=True, capture_output=True, text=True).stdout
    return [[line.split()[1] for line in s.split("\n") if len(line.split()) > 1] for s in text.split("\n\n") if s.strip()]


def alignment(samples):
    """Samples below the alignment, and of these those in an observable's own value or derivative."""
    align = own = 0
    for names in samples:
        at = [i for i, n in enumerate(names) if "FieldObserverV5align" in n]
        if at:
            align += 1
            own += any(re.search(r"11Observables.*(7adjoint|7tangent|5value|12pieceAdjoint)", n) for n in names[:at[-1]])
    return align, own


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--alidade", default=".build/release/alidade")
    p.add_argument("--ranks", type=int, default=1)
    p.add_argument("--turns", type=int, default=5)
    p.add_argument("--edges", default="64,256")
    p.add_argument("--profile", action="store_true")
    a = p.parse_args()
    launcher = [] if a.ranks == 1 else ["mpirun", "--oversubscribe", "-n", str(a.ranks)]
    edges = [int(e) for e in a.edges.split(",")]
    print("| field | faces | compress s | align s | align / compress |" if not a.profile else "| field | faces | plain job, samples | alignment | without the observables' own |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for n in edges if not a.profile else edges[-1:]:
            for components in (1, 3):
                source = os.path.join(folder, "u.h5")
                with h5py.File(source, "w") as f:
                    u = field(n, components)
                    d = f.create_dataset("u", data=u if components > 1 else u[0])
                    d.attrs["dims"], d.attrs["periodic"] = ("component,z,y,x" if components > 1 else "z,y,x"), "x y z"
                for faces in ("wrap", "walls"):
                    name = f"| {n}^3 x {components} | {faces} | "
                    common = ["--psnr", "60", "-q", "--periodic"] + (["xyz"] if faces == "wrap" else ["none"])
                    observed = ["--observe", OBSERVABLES[components]] + (["--window", "hann"] if faces == "walls" else [])
                    compress = [a.alidade, "compress", source, "-o", os.path.join(folder, "u.ald")] + common
                    if a.profile:
                        plain = len(profile(compress + ["--no-verify"], folder))
                        align, own = alignment(profile(compress + ["--no-verify"] + observed, folder))
                        print(f"{name}{plain} | {align}, {100 * align / plain:.1f} % | {100 * (align - own) / plain:.1f} % |", flush=True)
                        continue
                    align = [a.alidade, "align", source] + common + observed
                    pairs = [(seconds(launcher + compress), seconds(launcher + align)) for _ in range(a.turns)]
                    c, t = (statistics.median(v) for v in zip(*pairs))
                    print(f"{name}{c:.2f} | {t:.2f} | {statistics.median(y / x for x, y in pairs):.2f} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
