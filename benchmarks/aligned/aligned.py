#!/usr/bin/env python3
"""Observables at equal rate: SPERR, SZ3, Alidade plain, with --keep, and restored. See README.md.

Observables are computed here, with spectral derivatives, from what each compressor decodes; nothing is taken from Alidade's reports
but the stored bits per value.
"""
import argparse
import csv
import json
import os
import shlex
import subprocess
import sys
import tempfile

import h5py
import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))
from codecs_of_peers import PySZ, Sperr  # noqa: E402


class Observables:
    """Of a periodic velocity field [x or z, y, z or x] with component c along storage axis c of `axes`."""

    def __init__(self, u):
        self.u = u.astype(float)
        n = u.shape[1]
        k = np.fft.fftfreq(n, 1 / n)
        k[n // 2] = 0
        self.k = np.meshgrid(k, k, k, indexing="ij")
        full = np.abs(np.fft.fftfreq(n, 1 / n))
        square = sum(x * x for x in np.meshgrid(full, full, full, indexing="ij"))
        self.shell = (np.sqrt(square) + 0.5).astype(int)
        h = [np.fft.fftn(c) for c in self.u]
        gradient = [[np.fft.ifftn(1j * self.k[a] * h[c]).real for a in range(3)] for c in range(3)]
        self.vorticity = np.array([gradient[(a + 2) % 3][(a + 1) % 3] - gradient[(a + 1) % 3][(a + 2) % 3] for a in range(3)])
        self.divergence = sum(gradient[a][a] for a in range(3))
        self.dissipation = sum((gradient[a][b] + gradient[b][a]) ** 2 for a in range(3) for b in range(3)) / 2
        b = n // 16
        self.box16 = self.u.reshape(3, b, 16, b, 16, b, 16).mean(axis=(2, 4, 6))
        energy = sum(np.abs(x) ** 2 for x in h) / 2 / n ** 6
        self.spectrum = np.bincount(self.shell.ravel(), energy.ravel())[: n // 2 + 1]


def relative(a, b):
    return float(np.sqrt(((a - b) ** 2).sum() / (b ** 2).sum()))


def measures(original, decoded):
    o, d = original, Observables(decoded)
    e = (d.u - o.u).ravel()
    used = o.spectrum > 1e-9 * o.spectrum.sum()
    ratio = np.abs(d.spectrum[used] / o.spectrum[used] - 1)
    return {
        "psnr_db": 20 * np.log10(np.ptp(o.u) / np.sqrt((e * e).mean())), "vorticity": relative(d.vorticity, o.vorticity),
        "dissipation": relative(d.dissipation, o.dissipation),
        "divergence": float(np.sqrt((d.divergence ** 2).mean() / (o.vorticity ** 2).mean())),
        "box16": relative(d.box16, o.box16), "spectrum_mean": float(ratio.mean()), "spectrum_max": float(ratio.max()),
    }


def at_rate(codec, parts, bits):
    """The run of a peer whose size is nearest above `bits` per value: it may have up to 1 % more than Alidade."""
    n = sum(p.size for p in parts)
    scale = max(float(np.ptp(p)) for p in parts)

    def run(knob):
        size, decoded = 0, []
        for p in parts:
            s, y = codec.one(p, knob)
            size += s
            decoded.append(y)
        return 8 * size / n, np.array(decoded)

    low, high, best = 1e-9 * scale, 0.1 * scale, None
    for _ in range(40):
        middle = (low * high) ** 0.5
        rate, decoded = run(middle)
        if rate >= bits:
            low = middle
            if best is None or rate < best[0]:
                best = (rate, decoded)
            if rate < 1.01 * bits:
                break
        else:
            high = middle
    return best


def alidade(command, source, bits, arguments, restore, folder):
    container, report, out = (os.path.join(folder, n) for n in ("a.ald", "a.json", "a.h5"))
    base = shlex.split(command)
    subprocess.run(base + ["compress", source, "-o", container, "--rate", str(bits), "--periodic", "xyz", "--report", report, "-q"] + arguments, check=True)
    subprocess.run(base + ["decompress", container, "-o", out, "-q"] + (["--restore"] if restore else []), check=True)
    with h5py.File(out) as f:
        decoded = f["velocity"][...].reshape(3, *f["velocity"].shape[-3:])
    with open(report) as f:
        field = json.load(f)["result"]["fields"][0]
    return field["bits_per_value"], decoded, os.path.getsize(container)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("data", help="turb3d_kolmogorov_64.h5: a velocity [step, component, x, y, z] on a periodic cube")
    p.add_argument("--sperr-lib", default=os.environ.get("SPERR_LIB"), help="SPERR's shared library")
    p.add_argument("--alidade", default="alidade", help="command of Alidade")
    p.add_argument("--rates", default="1,2,4")
    p.add_argument("--box16", default="1e-6", help="relative error of box16 to be kept")
    p.add_argument("--out", required=True, help="folder for aligned.csv and table.md")
    a = p.parse_args()
    with h5py.File(a.data) as f:
        u = np.ascontiguousarray(f["velocity"][-1] if f["velocity"].ndim == 5 else f["velocity"][...])
        dims = str(f["velocity"].attrs.get("dims", "component,x,y,z")).split(",", 1)[-1] if f["velocity"].ndim == 5 else "component,x,y,z"
    original, rows = Observables(u), []
    print(f"original: divergence {np.sqrt((original.divergence ** 2).mean() / (original.vorticity ** 2).mean()):.1e} of the vorticity")
    peers = []
    for name, make in (("SPERR", lambda: Sperr(a.sperr_lib, "psnr")), ("SZ3", lambda: PySZ("interp-lorenzo"))):
        try:
            peers.append((name, make()))
        except (ImportError, OSError, TypeError) as e:
            print(f"SKIPPED {name}: {e}")
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "u.h5")
        with h5py.File(source, "w") as f:
            f.create_dataset("velocity", data=u).attrs["dims"] = dims
        every = "totals,spectrum,divergence,band"
        ours = [("Alidade", [], False), ("Alidade --keep", ["--keep", "box16:" + a.box16], False),
                ("Alidade restored", ["--restoration", every], True)]
        for bits in [float(b) for b in a.rates.split(",")]:
            for name, codec in peers:
                rate, decoded = at_rate(codec, list(u), bits)
                rows.append({"rate": bits, "codec": name, "bits_per_value": rate, **measures(original, decoded)})
            for name, arguments, restore in ours:
                rate, decoded, _ = alidade(a.alidade, source, bits, arguments, restore, folder)
                rows.append({"rate": bits, "codec": name, "bits_per_value": rate, **measures(original, decoded)})
            for r in rows:
                if r["rate"] == bits:
                    print("  ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{v:17}" for k, v in r.items()), flush=True)
    os.makedirs(a.out, exist_ok=True)
    with open(os.path.join(a.out, "aligned.csv"), "w", newline="") as f:
        w = csv.DictWriter(f, rows[0].keys())
        w.writeheader()
        w.writerows([{k: f"{v:.6g}" if isinstance(v, float) else v for k, v in r.items()} for r in rows])
    with open(os.path.join(a.out, "aligned-table.md"), "w") as f:
        f.write("| codec | bits/value | PSNR dB | box16 | E(k) mean | E(k) max | divergence | vorticity | dissipation |\n|---|---|---|---|---|---|---|---|---|\n")
        columns = ("box16", "spectrum_mean", "spectrum_max", "divergence", "vorticity", "dissipation")
        for bits in sorted({r["rate"] for r in rows}):
            here = {r["codec"]: r for r in rows if r["rate"] == bits}
            for r in here.values():
                f.write(f"| {r['codec']} | {r['bits_per_value']:.3f} | {r['psnr_db']:.2f} | " + " | ".join(f"{r[c]:.1e}" for c in columns) + " |\n")
            for peer in ("SPERR", "SZ3"):
                if peer in here:
                    best = [min(here[n][c] for n, _, _ in ours) for c in columns]
                    f.write(f"| *{peer} / best of ours* | | | " + " | ".join(f"*{here[peer][c] / b:.3g}*" for c, b in zip(columns, best)) + " |\n")


if __name__ == "__main__":
    main()
