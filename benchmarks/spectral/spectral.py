#!/usr/bin/env python3
"""The spectral member on periodic fields: rates beside SPERR, SZ3 and zfp, the choice between it and the tile codecs, what is left of
divergence and spectrum. See README.md.

Sizes are `stored_bytes` of Alidade's reports and whole streams of the peers; errors are computed here from decoded files.
"""
import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time

import h5py
import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))
from codecs_of_peers import CommandSZ3, PySZ, Sperr, Tthresh, Zfp  # noqa: E402


def psnr(a, b):
    e = (b.astype(float) - a).ravel()
    return 20 * np.log10(np.ptp(a.astype(float)) / np.sqrt((e * e).mean()))


class Alidade:
    def __init__(self, command, folder):
        self.command, self.folder = shlex.split(command), folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def call(self, *words):
        done = subprocess.run([*self.command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        if done.returncode:
            raise RuntimeError(f"{words}: exit {done.returncode}: {done.stderr[-400:]}")

    def write(self, u, axes="xyz", periodic="all"):
        """`axes`: letters of the last three axes as stored; component i of a vector belongs to the i-th of x, y, z."""
        with h5py.File(self.path("u.h5"), "w") as f:
            d = f.create_dataset("u", data=np.ascontiguousarray(u))
            f.attrs["periodic"] = periodic
            names = axes[:u.ndim - 1] if u.ndim > 3 or u.shape[0] in (2, 3) else axes[:u.ndim]
            d.attrs["dims"] = ",".join((["component"] if len(names) < u.ndim else []) + list(names))

    def run(self, words, decode=True):
        """The report's entry and decoded values."""
        a, r, o = self.path("a.ald"), self.path("a.json"), self.path("a.h5")
        self.call("compress", self.path("u.h5"), "-o", a, "--report", r, "-q", *words)
        with open(r) as f:
            entry = json.load(f)["result"]["fields"][0]
        if not decode:
            return entry, None
        self.call("decompress", a, "-o", o, "-q")
        with h5py.File(o) as f:
            return entry, f["u"][...]


def parts(u):
    return list(u) if u.ndim == 4 or (u.ndim == 3 and u.shape[0] in (2, 3)) else [u]


def peer(codec, u, wanted, by):
    """A peer at a bound, or at a PSNR or a rate: (bits per value, decoded of the nearest try). The rate at a PSNR lies on the line between the
    nearest tries on either side; with tries on one side only, the nearest's, as reached."""
    p = [np.ascontiguousarray(x, np.float32) for x in parts(u)]
    if isinstance(codec, Tthresh) and (p[0].ndim < 3 or by == "bound"):
        return "", None
    if getattr(codec, "joint", False):
        p = [np.stack(p)]
    scale = float(np.ptp(u))

    def run(knob):
        out = [codec.one(x, knob) for x in p]
        return 8 * sum(n for n, _ in out) / u.size, np.array([y for _, y in out]).reshape(u.shape)

    if by == "bound":
        return run(wanted * scale)
    knob, tries = scale * (10 ** (-wanted / 20) * 1.5 if by == "psnr" else 2 ** -(wanted + 6)), []
    last, slope = None, 1.0
    for _ in range(6):
        try:
            rate, decoded = run(knob)
        except ValueError:
            # Some end with an error at some settings.
            break
        reached = psnr(u, decoded)
        miss = (wanted - reached) / 6.02 if by == "psnr" else wanted - rate
        tries.append((abs(miss), reached, rate, decoded))
        if abs(miss) < 0.005:
            break
        x, y = np.log2(knob), reached / 6.02 if by == "psnr" else rate
        if last and abs(x - last[0]) > 1e-6 and (y - last[1]) / (last[0] - x) > 0.05:
            slope = (y - last[1]) / (last[0] - x)
        last = (x, y)
        knob *= 2 ** -max(-4, min(4, miss / slope))
    if not tries:
        return "-", None
    _, reached, rate, decoded = min(tries, key=lambda t: t[0])
    if by == "psnr":
        near = [min((t for t in tries if side(t[1])), key=lambda t: t[0], default=None) for side in (lambda x: x <= wanted, lambda x: x > wanted)]
        if all(near):
            (_, a, ra, _), (_, b, rb, _) = near
            rate = ra + (rb - ra) * (wanted - a) / (b - a)
        elif abs(reached - wanted) > 0.1:
            rate = f"{rate:.3f} ({reached:.1f} dB)"
    return rate, decoded


def peers(a):
    found = []
    for name, make in (("SPERR", lambda: Sperr(a.sperr_lib, "psnr")), ("SZ3", lambda: CommandSZ3(a.sz3, "interp-lorenzo") if a.sz3 else PySZ("interp-lorenzo")),
                       ("zfp", lambda: Zfp("accuracy")), ("TTHRESH", lambda: Tthresh(a.tthresh)), ("TTHRESH, joint", lambda: Tthresh(a.tthresh, joint=True))):
        try:
            if name.startswith("TTHRESH") and not a.tthresh:
                raise TypeError("no --tthresh")
            found.append((name, make()))
        except (ImportError, OSError, TypeError) as e:
            print(f"SKIPPED {name}: {e}")
    return found


def table(head, rows, out):
    text = "| " + " | ".join(head) + " |\n|" + "---|" * len(head) + "\n"
    for r in rows:
        text += "| " + " | ".join(f"{x:.3g}" if isinstance(x, float) and (abs(x) < 0.01 or abs(x) > 1e4) else f"{x:.3f}" if isinstance(x, float) else str(x) for x in r) + " |\n"
    print(text, flush=True)
    out.write(text + "\n")


def rates(a, alidade, fields, out):
    head, rows = ["field", "asked", "Alidade", "member", "PSNR", "tile codecs"] + [n for n, _ in peers(a)], []
    for name, u, psnrs, bounds, axes in fields:
        alidade.write(u, axes)
        for kind, values in (("psnr", psnrs), ("rel", bounds)):
            for v in values:
                e, d = alidade.run([f"--{kind}", str(v)])
                kept = psnr(u, d) >= v - 1e-6 if kind == "psnr" else np.abs(d.astype(float) - u).max() <= v * np.ptp(u.astype(float)) * (1 + 1e-9)
                t, _ = alidade.run([f"--{kind}", str(v), "--access", "tile"], decode=False)
                row = [name, f"{kind} {v}", e["bits_per_value"], e["transform"] + ("" if kept and e["bound_kept"] else " BOUND BROKEN"), psnr(u, d), t["bits_per_value"]]
                for n, codec in peers(a):
                    if kind == "rel":
                        codec = Sperr(a.sperr_lib, "pwe") if n == "SPERR" else codec
                    found = peer(codec, u, v, "psnr" if kind == "psnr" else "bound")
                    row.append(found[0])
                rows.append(row)
                print(row, flush=True)
    out.write("## Rates, bits per value\n\n")
    table(head, rows, out)


def limiter(u):
    """Cell means, then a second-order upwind step with minmod slopes by each component along its own axis: kinks as of finite volumes."""
    out = []
    for c in u:
        h = np.fft.fftn(c)
        for axis, n in enumerate(c.shape):
            k = np.fft.fftfreq(n)
            h *= np.sinc(k).reshape([-1 if i == axis else 1 for i in range(3)])
        v = np.fft.ifftn(h).real
        for axis in range(3):
            w = u[axis] * 0.4 / np.abs(u).max()
            d = v - np.roll(v, 1, axis)
            s = np.where(d * np.roll(d, -1, axis) > 0, np.sign(d) * np.minimum(np.abs(d), np.abs(np.roll(d, -1, axis))), 0)
            face = np.where(w > 0, v + s / 2, np.roll(v - s / 2, -1, axis))
            flux = w * face
            v = v - (flux - np.roll(flux, 1, axis))
        out.append(v)
    return np.array(out)


def degraded(u, nyx, wmag):
    """Fields that are nearly band-limited, compressible, kinked, noisy, or not periodic at all."""
    g = np.random.default_rng(1)
    n, scale = u.shape[1], np.ptp(u)
    h = np.fft.rfftn(g.standard_normal(u.shape[1:]))
    k = np.meshgrid(np.fft.fftfreq(n, 1 / n), np.fft.fftfreq(n, 1 / n), np.fft.rfftfreq(n, 1 / n), indexing="ij")
    r = np.sqrt(sum(x * x for x in k))
    h *= np.where((r > 0) & (r < 20), np.maximum(r, 1) ** -3.5, 0)
    p = np.array([np.fft.irfftn(1j * x * h, u.shape[1:]) for x in k])
    p *= 0.1 * np.sqrt((u ** 2).mean() / (p ** 2).mean())
    yield "solenoidal, band-limited", u
    yield "+ 10 % compressive part", u + p
    for db in (80, 60):
        yield f"+ white noise at {db} dB", u + scale * 10 ** (-db / 20) * g.standard_normal(u.shape)
    yield "finite volumes (minmod)", limiter(u.astype(float))
    yield "speed (kinks)", np.sqrt((u.astype(float) ** 2).sum(0))
    if nyx is not None:
        yield "Nyx velocity 32^3", nyx
    if wmag is not None:
        yield "wmag 80^3, not periodic", wmag


def choice(a, alidade, fields, out):
    rows = []
    for name, u in fields:
        alidade.write(u.astype(np.float32))
        for db in (60, 80):
            run = {k: alidade.run(["--psnr", str(db), *w], decode=False)[0] for k, w in (("auto", []), ("spectral", ["--codec", "spectral"]), ("tile", ["--access", "tile"]))}
            b = {k: e["bits_per_value"] for k, e in run.items()}
            rows.append([name, db, b["spectral"], b["tile"], run["tile"]["transform"], b["auto"], run["auto"]["transform"], 100 * (b["auto"] / min(b["spectral"], b["tile"]) - 1)])
    out.write("## The choice, bits per value\n\n")
    table(["field", "dB", "spectral", "tile codecs", "which", "automatic", "which", "above the best, %"], rows, out)


class Physics:
    def __init__(self, u):
        n = u.shape[1]
        self.h = [np.fft.fftn(c.astype(float)) / n ** 3 for c in u]
        k = np.fft.fftfreq(n, 1 / n)
        k[n // 2] = 0
        self.k = np.meshgrid(k, k, k, indexing="ij")
        f = np.fft.fftfreq(n, 1 / n)
        self.shell = (np.sqrt(sum(x * x for x in np.meshgrid(f, f, f, indexing="ij"))) + 0.5).astype(int)
        energy = sum(abs(x) ** 2 for x in self.h) / 2
        self.spectrum = np.bincount(self.shell.ravel(), energy.ravel())[: n // 2 + 1]
        squares = sum(x * x for x in self.k)
        div = sum(a * b for a, b in zip(self.k, self.h))
        self.divergence = (abs(div) ** 2).sum()
        self.dissipation = 2 * (squares * energy).sum()
        curl = [self.k[(a + 1) % 3] * self.h[(a + 2) % 3] - self.k[(a + 2) % 3] * self.h[(a + 1) % 3] for a in range(3)]
        self.enstrophy = sum((abs(c) ** 2).sum() for c in curl) / 2


def physics(a, alidade, u, out):
    rows, o = [], Physics(u)
    used = o.spectrum > 1e-9 * o.spectrum.sum()

    def row(name, bits, d):
        p = Physics(d)
        r = abs(p.spectrum[used] / o.spectrum[used] - 1)
        return [name, bits, psnr(u, d), float(np.sqrt(p.divergence / (2 * o.enstrophy))), float(r.mean()), float(r.max()), abs(p.enstrophy / o.enstrophy - 1),
                abs(p.dissipation / o.dissipation - 1)]

    rows.append(row("original", 32.0, u))
    alidade.write(u)
    for bits in (0.5, 1.0, 2.0):
        e, d = alidade.run(["--rate", str(bits)])
        rows.append(row(f"Alidade ({e['transform']})", e["bits_per_value"], d))
        e, d = alidade.run(["--rate", str(bits), "--access", "tile"])
        rows.append(row(f"Alidade ({e['transform']})", e["bits_per_value"], d))
        for n, codec in peers(a):
            found = peer(codec, u, bits, "rate")
            if found[1] is not None:
                rows.append(row(n, *found))
    out.write("## Physics at equal rate\n\nDivergence over vorticity (root mean squares), mean and largest relative error of E(k) per shell, relative errors of enstrophy and dissipation.\n\n")
    table(["codec", "bits/value", "PSNR", "divergence", "E(k) mean", "E(k) max", "enstrophy", "dissipation"], rows, out)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("data", help="folder with turb3d_kolmogorov_64.h5, turb2d_kolmogorov_256.h5, nyx_32.h5, wmag_91.h5")
    p.add_argument("--solver", help="snapshot of alidade-taylorgreen in its turbulent phase (last step is taken)")
    p.add_argument("--alidade", default="alidade")
    p.add_argument("--sperr-lib", default=os.environ.get("SPERR_LIB"))
    p.add_argument("--sz3", help="SZ3's command line tool; default: the Python binding pysz")
    p.add_argument("--tthresh", help="TTHRESH's command line tool")
    p.add_argument("--sections", default="rates,choice,physics")
    p.add_argument("--out", required=True, help="file for the tables, Markdown")
    a = p.parse_args()
    with h5py.File(os.path.join(a.data, "turb3d_kolmogorov_64.h5")) as f:
        u3 = f["velocity"][-1]
    with h5py.File(os.path.join(a.data, "turb2d_kolmogorov_256.h5")) as f:
        u2 = f["vorticity"][-1]
    with h5py.File(os.path.join(a.data, "nyx_32.h5")) as f:
        nyx = np.array([f[f"velocity_{c}"][...] for c in "xyz"])
    with h5py.File(os.path.join(a.data, "wmag_91.h5")) as f:
        wmag = f["wmag"][:80, :80, :80]
    fields = [("turb3d 64^3", u3, (60, 80, 100), (1e-3, 1e-4), "xyz"), ("turb2d 256^2", u2, (60, 80), (1e-3,), "xyz")]
    if a.solver:
        with h5py.File(a.solver) as f:
            u = f["velocity"][-1]
        fields.append((f"Taylor-Green {u.shape[1]}^3", u, (60, 80, 100), (1e-3,), "zyx"))
    with tempfile.TemporaryDirectory() as folder, open(a.out, "w") as out:
        alidade = Alidade(a.alidade, folder)
        sections = a.sections.split(",")
        commit = subprocess.run(["git", "-C", os.path.dirname(os.path.abspath(__file__)), "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
        out.write(f"Commit {commit or 'unknown'}, {time.strftime('%Y-%m-%d')}.\n\n")
        if "rates" in sections:
            rates(a, alidade, fields, out)
        if "choice" in sections:
            choice(a, alidade, degraded(u3.astype(float), nyx, wmag), out)
        if "physics" in sections:
            physics(a, alidade, u3, out)


if __name__ == "__main__":
    main()
