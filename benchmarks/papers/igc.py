#!/usr/bin/env python3
"""Paper IGC: information against clustering, along noise and along rate and lambda. See README.md."""
import csv
import gzip
import importlib.util
import json
import os
import sys

import numpy as np

from small import Cells, Network, arguments, audited, cdnv, domains, macro_f1, pooled, softmax, spearman, table, tool

SETTINGS = {"ceb": [0, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1], "dropout": [0.1, 0.2, 0.4, 0.7, 1, 1.5, 2, 3], "noise": [0.05, 0.1, 0.2, 0.4, 0.7, 1, 1.5, 2]}
SEEDS = [1]
PSNR = [70, 60, 50, 45, 40, 35, 30, 25]
KEPT = [0.6, 0.3, 0.1, 0.03]


def digits():
    """scikit-learn's digits, 1797 x 64, where that package is installed."""
    found = importlib.util.find_spec("sklearn")
    if not found:
        return None
    path = os.path.join(os.path.dirname(found.origin), "datasets", "data", "digits.csv.gz")
    v = np.array([[float(a) for a in r] for r in csv.reader(gzip.open(path, "rt"))])
    return v[:, :64] / 16, v[:, 64].astype(int)


def regimes(data):
    """Patches 8 x 8 of the vorticity of two-dimensional turbulence, classes by quarters of their enstrophy."""
    path = os.path.join(data, "turb2d_kolmogorov_256.h5")
    if not os.path.exists(path):
        return None
    import h5py
    with h5py.File(path) as f:
        w = f["vorticity"][:6].astype(float)
    x = w.reshape(6, 32, 8, 32, 8).transpose(0, 1, 3, 2, 4).reshape(-1, 64)
    s = (x ** 2).mean(1)
    return x / x.std(), np.argsort(np.argsort(s)) * 4 // len(s)


def gaussian(mu, noise, y):
    """I(X; Z | Y) per class, averaged, in bits: 1/2 log det of the class's covariance less E 1/2 log det of the noise's; noise variances per sample."""
    out = []
    for c in np.unique(y):
        m, n = mu[y == c], np.maximum(noise[y == c], 1e-12)
        out.append(0.5 * (np.linalg.slogdet(np.cov(m.T) + np.diag(n.mean(0)))[1] - np.log(n).sum(1).mean()))
    return float(np.mean(out) / np.log(2))


def trained(kind, level, seed, x, y, width=8, steps=1500, batch=128):
    """Accuracy on held-out samples, I(X; Z | Y) and CDNV of the latents with their noise, on training and held-out samples."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(x))[:3000]
    cut = len(order) * 2 // 3
    learn, test = order[:cut], order[cut:]
    classes = y.max() + 1
    encoder, head = Network(rng, x.shape[1], 64, width), Network(rng, width, classes)
    centres = Network(rng, classes, width)   # b(z | y) = N(m_y, I)

    def latents(i):
        h = encoder(x[i])
        mu = np.tanh(h) if kind == "noise" else h
        variance = {"ceb": np.ones_like(mu), "dropout": level ** 2 * mu ** 2, "noise": np.full_like(mu, level ** 2)}[kind]
        return mu, variance

    for _ in range(steps):
        i = rng.choice(learn, batch)
        mu, variance = latents(i)
        e = rng.normal(size=mu.shape)
        p = softmax(head(mu + np.sqrt(variance) * e))
        p[np.arange(batch), y[i]] -= 1
        g = head.back(p / batch, 1e-3)
        if kind == "dropout":
            g = g * (1 + level * np.sign(mu) * e)
        if kind == "ceb":
            m = centres(np.eye(classes)[y[i]])
            g = g + level * (mu - m) / batch
            centres.back(level * (m - mu) / batch, 1e-3)
        if kind == "noise":
            g = g * (1 - mu ** 2)
        encoder.back(g, 1e-3)
    out = {}
    for name, i in (("learn", learn), ("test", test)):
        mu, variance = latents(i)
        z = mu + np.sqrt(variance) * rng.normal(size=mu.shape)
        out[name] = {"f1": macro_f1(y[i], head(z).argmax(1)), "bits": gaussian(mu, variance, y[i]), "cdnv": float(cdnv(z, y[i])), "cdnv_mean": float(cdnv(mu, y[i]))}
    return out


def codecs(cells, o):
    """Along the rate, and at one rate along the weight of the observable that is kept."""
    out = {}
    if o.quick:
        return out
    for name, d in domains(o.data, o.solver, o.out).items():
        folder = os.path.join(o.out, name)

        def along(kind, jobs):
            return cells(f"codec {name} {kind}", lambda: audited(o.tool, os.path.join(folder, kind), d, [d.label], jobs))["points"]
        out[name, "rate"] = along("rate", {f"{db}dB": ["--access", "tile", "--psnr", db] for db in PSNR})
        out[name, "lambda"] = along("lambda-box", {} if f"codec {name} lambda-box" in cells.known else kept(o.tool, folder, d))
    return out


def kept(program, folder, d):
    """Jobs at one rate that keep an observable better and better than plain coding does."""
    os.makedirs(folder, exist_ok=True)
    report = os.path.join(folder, "plain.json")
    tool(program, "compress", *d.words, "--dry-run", "--rate", d.rate, "--access", "tile", "--codec", "lot8", "--observe", d.kept, "-q", "--report", report)
    error = json.load(open(report))["result"]["fields"][0]["observables"][0]["error"]
    jobs = {"plain": ["--rate", d.rate, "--access", "tile", "--codec", "lot8"]}
    for f in KEPT:
        words = ["--rate", d.rate, "--access", "tile", "--keep", f"{d.kept}:{error * f:.3g}"]
        try:
            tool(program, "compress", *d.words, "--dry-run", *words, "-q")
            jobs[f"kept{f}"] = words
        except RuntimeError as e:
            print(f"{d.words[0]}: {f} of the plain error cannot be kept at this rate ({str(e).strip()[-160:]})", file=sys.stderr)
    return jobs


def main():
    o = arguments(__doc__)
    cells = Cells(os.path.join(o.out, "igc.jsonl"))
    rows, correlations = [], []
    for name, data in (("digits", digits()), ("turb2d", regimes(o.data))):
        if data is None:
            print(f"{name}: not installed or not in {o.data}, left out", file=sys.stderr)
            continue
        for part in ("learn", "test"):
            groups = {}
            for kind, levels in SETTINGS.items():
                levels, budget = (levels[::3], {"steps": 100}) if o.quick else (levels, {})
                got = [(cells(f"{name} {kind} {l} seed={s}", lambda: trained(kind, l, s, *data, **budget))[part]) for l in levels for s in SEEDS]
                groups[kind] = ([g["bits"] for g in got], [g["cdnv"] for g in got])
                correlations.append([name, part, kind, len(got), spearman(*groups[kind]), spearman(groups[kind][0], [g["cdnv_mean"] for g in got]), spearman([g["f1"] for g in got], groups[kind][1])])
                if part == "test":
                    for l in levels:
                        mine = [g for g, k in zip(got, [k for k in levels for _ in SEEDS]) if k == l]
                        rows.append([name, kind, l] + [float(np.mean([g[k] for g in mine])) for k in ("bits", "cdnv", "cdnv_mean", "f1")])
            correlations.append([name, part, "pooled", sum(len(g[0]) for g in groups.values()), pooled(list(groups.values())), float("nan"), float("nan")])
    lines = []
    for (name, kind), points in codecs(cells, o).items():
        for p in points:
            i = p["information"]
            rows_ = [name, kind, p["container"][:-4], i["code"], i["gaussian"], i["mixture"], i["classes"]] + [p[k][v] for k in ("coefficients", "energies") for v in ("cdnv", "nc1")] + [p["energies"]["utility"]["neighbours_f1"]]
            lines.append([float("nan") if v is None else v for v in rows_])
        for k in ("coefficients", "energies"):
            for what in ("code", "mixture", "gaussian"):
                correlations.append([name, kind, f"{what} {k}", len(points), spearman([p["information"][what] for p in points], [p[k]["cdnv"] for p in points]), float("nan"), float("nan")])
    folder = os.path.join(o.results, "papers")
    table(os.path.join(folder, "igc.tsv"), ["data", "setup", "level", "bits", "cdnv", "cdnv_mean", "f1"], rows)
    table(os.path.join(folder, "igc-codecs.tsv"), ["domain", "along", "point", "code", "gaussian", "mixture", "classes", "cdnv", "nc1", "cdnv_energies", "nc1_energies", "f1"], lines)
    table(os.path.join(folder, "igc-correlations.tsv"), ["data", "part", "setup", "points", "bits_cdnv", "bits_cdnv_of_means", "f1_cdnv"], correlations)


if __name__ == "__main__":
    main()
