#!/usr/bin/env python3
"""Paper GEC: prototypization, specialization and orthogonalization as capacity falls. See README.md."""
import os

import numpy as np

from small import Cells, Network, arguments, audited, distortion, domains, orthogonality, probe_f1, prototypization, softmax, table

CAPACITIES = [10.0, 3.0, 1.0, 0.3]
SEEDS = [1, 2, 3]
PSNR = [60, 50, 40, 35, 30, 25]
PLACES = [(a, b) for a in range(13) for b in range(13)]


def images():
    """Two corridors of 13 places, a marker three wide in each: 169 conditions of 13 x 13."""
    out = np.zeros((169, 13, 13))
    for i, (a, b) in enumerate(PLACES):
        out[i, 6] = 1
        out[i, 1:5, max(0, a - 1):a + 2] = 1
        out[i, 8:12, max(0, b - 1):b + 2] = 1
    return out.reshape(169, -1)


X = images()
A, B = np.array(PLACES).T
TASKS = {"order": (A <= B).astype(int), "xor": ((A >= 6) ^ (B >= 6)).astype(int)}
RIGHT = (B >= 7).astype(int)


def trained(kind, capacity, seed, steps=2500, batch=128):
    """Latent means of all conditions over the posterior's deviation, the KL that came out and the reconstruction's error.

    Loss: MSE + w |KL - C(t)| + cross entropies of the tasks; C(t) rises over 2000 steps.
    """
    rng = np.random.default_rng(seed)
    tasks = {"plain": [], "biased": [], "order": ["order"], "both": ["order", "xor"]}[kind]
    weight = 0.09 if not tasks else 3.0 if len(tasks) == 1 else 1.5
    encoder, decoder = Network(rng, 169, 64, 10), Network(rng, 5, 64, 169)
    heads = [Network(rng, 5, 32, 2) for _ in tasks]
    odds = np.where(RIGHT == 1, 10.0, 1.0) if kind == "biased" else np.ones(169)
    odds /= odds.sum()
    rate = 1e-3
    for t in range(steps):
        i = rng.choice(169, batch, p=odds)
        x = X[i]
        h = encoder(x)
        mu, lv = h[:, :5], np.clip(h[:, 5:], -8, 8)
        e = rng.normal(size=mu.shape)
        z = mu + np.exp(lv / 2) * e
        d = decoder(z) - x
        gz = decoder.back(2 * d / d.size, rate)
        for head, name in zip(heads, tasks):
            g = softmax(head(z))
            g[np.arange(batch), TASKS[name][i]] -= 1
            gz += head.back(g / batch, rate)
        kl = 0.5 * (mu ** 2 + np.exp(lv) - 1 - lv).sum(1).mean()
        s = weight * np.sign(kl - capacity * min(1, t / 2000)) / batch
        encoder.back(np.c_[gz + s * mu, gz * e * np.exp(lv / 2) / 2 + s * (np.exp(lv) - 1) / 2], rate)
    h = encoder(X)
    mu, lv = h[:, :5], np.clip(h[:, 5:], -8, 8)
    kl = 0.5 * (mu ** 2 + np.exp(lv) - 1 - lv).sum(1).mean()
    return {"z": (mu / np.exp(lv / 2).mean(0)).tolist(), "kl": float(kl), "mse": float(((decoder(mu) - X) ** 2).mean())}


def networks(cells, quick):
    rows = []
    for c in CAPACITIES[::2] if quick else CAPACITIES:
        for seed in SEEDS[:1] if quick else SEEDS:
            def network(k, c): return cells(f"{k} C={c} seed={seed}", lambda: trained(k, c, seed, **({"steps": 200} if quick else {})))
            m = {k: network(k, c) for k in ("plain", "biased", "order", "both")}
            z = {k: np.array(v["z"]) for k, v in m.items()}
            task = distortion(z["order"], z["plain"], TASKS["order"])
            own = distortion(z["order"], np.array(network("order", CAPACITIES[0])["z"]), TASKS["order"])
            bare = distortion(z["order"], z["plain"], TASKS["order"], epsilon=0.01)
            bias = distortion(z["biased"], z["plain"], RIGHT)
            rows.append([c, seed, m["plain"]["kl"], m["plain"]["mse"], m["order"]["mse"], float(prototypization(task)), float(prototypization(own)),
                         float(prototypization(bare)), float(bias[1, 1] - bias[0, 0]), orthogonality(z["both"], TASKS["order"], TASKS["xor"]), orthogonality(z["plain"], TASKS["order"], TASKS["xor"]),
                         probe_f1(z["order"], TASKS["order"]), probe_f1(z["plain"], TASKS["order"]), probe_f1(z["order"], TASKS["xor"])])
    return rows


NAMES = ["capacity", "seed", "kl", "mse", "mse_task", "proto_task", "proto_capacity", "proto_bare", "special_bias", "omega_tasks", "omega_plain", "f1_task", "f1_plain", "f1_cross"]


def codecs(cells, o):
    rows = []
    for name, d in domains(o.data, o.solver, o.out).items():
        jobs = {f"{db}dB": ["--access", "tile", "--psnr", db] for db in PSNR}
        a = cells(f"codec {name}", lambda: audited(o.tool, os.path.join(o.out, name), d, [d.label, "x:2"], jobs))
        for db, p in zip(PSNR, a["points"]):
            for kind in ("coefficients", "energies"):
                g, f = p[kind], p[kind]["factors"][0]
                rows.append([name, kind, db, p["information"]["code"], g["prototypization"], g["specialization"], f["orthogonality"] or float("nan"),
                             f["reference_orthogonality"] or float("nan"), g["utility"]["neighbours_f1"], g["reference_utility"]["neighbours_f1"]])
    return rows


def mean(v):
    v = [a for a in v if np.isfinite(a)]
    return float(np.mean(v)) if v else float("nan")


def main():
    o = arguments(__doc__)
    cells = Cells(os.path.join(o.out, "gec.jsonl"))
    rows = networks(cells, o.quick)
    lines = []
    for c in sorted({r[0] for r in rows}, reverse=True):
        of = [[r[k] for r in rows if r[0] == c] for k in range(len(NAMES))]
        # Standard errors over the seeds.
        lines.append([c] + [mean(v) for v in of[2:]] + [float(np.std(of[NAMES.index(n)], ddof=1) / np.sqrt(len(of[0]))) if len(of[0]) > 1 else float("nan") for n in ("proto_task", "proto_bare", "special_bias", "omega_tasks")])
    table(os.path.join(o.results, "papers", "gec.tsv"), [NAMES[0]] + NAMES[2:] + ["proto_se", "bare_se", "special_se", "omega_se"], lines)
    if not o.quick:
        table(os.path.join(o.results, "papers", "gec-codecs.tsv"),
              ["domain", "latents", "psnr", "bits", "prototypization", "specialization", "omega", "omega_reference", "f1", "f1_reference"], codecs(cells, o))


if __name__ == "__main__":
    main()
