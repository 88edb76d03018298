#!/usr/bin/env python3
"""Codes trained for the error alone against codes trained for an observable too, at equal rate: foretold by training, measured on containers.

    informed.py --bin FOLDER --data FOLDER --work FOLDER [--cells turb3d:8:0.15,...] [--epochs N]

FOLDER of --bin holds alidade, alidade-train and alidade-taylorgreen; of --data turb3d_kolmogorov_64.h5 (without it that field is skipped). What is in the work
folder is not done again. All weights are 1: the observable's squared error counts as much as the field's, both over those of principal components at the
rate. Containers keep a rate within 2 %; the plain code is brought to the other's along its own rates. Prints a table in Markdown.
"""
import argparse
import json
import math
import os
import subprocess
import sys

OBSERVED = {"box": "box(size=8)", "vorticity": "vorticity", "spectrum": "spectrum"}
# Steps learned from, validated on, measured.
STEPS = {"turb3d": ("0:6", "6:7", "7:8"), "taylorgreen": ("3:8", "8:9", "9:10")}


def run(words, log):
    with open(log, "w") as out:
        status = subprocess.run(words, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL).returncode
    if status:
        sys.exit(f"{' '.join(words)}: status {status}, see {log}")


def made(path, words):
    """Runs `words` unless the file is there; they write to the path with `.new` behind it."""
    if not os.path.exists(path):
        run([w.replace(path, path + ".new") for w in words], path + ".log")
        os.rename(path + ".new", path)


def amplitudes(values):
    """Squared error of the roots of E(k), over their sum of squares: what training sees, but of the whole field."""
    a, b = ([math.sqrt(max(e, 0)) for e in values[k]] for k in ("original", "decoded"))
    return sum((x - y) ** 2 for x, y in zip(a, b)) / sum(x * x for x in a)


def measured(args, field, path, model, rate):
    """Bits per value, PSNR and squared relative errors of the observables of the container."""
    report = f"{model[:-5]}.{rate}.json"
    made(report, [args.alidade, "compress", path, "-o", f"{model[:-5]}.ald", "-f", "velocity", "--steps", STEPS[field][2], "--model", model, "--codec", "autoencoder",
                  "--rate", str(rate), "--report", report] + [w for o in OBSERVED.values() for w in ("--observe", o)])
    f = json.load(open(report))["result"]["fields"][0]
    out = {"bits": f["bits_per_value"], "psnr": f["psnr_db"]}
    for o in f["observables"]:
        name = next(k for k in OBSERVED if o["name"].startswith(k))
        out[name] = o["error"] ** 2
        if name == "spectrum":
            out["amplitudes"] = amplitudes(o["values"])
    return out


def brought(points, bits):
    """A code at another rate: logarithms on the line through two of its containers."""
    (a, b), out = points, {}
    t = (bits - a["bits"]) / (b["bits"] - a["bits"])
    for k in a:
        if k != "bits":
            out[k] = a[k] + t * (b[k] - a[k]) if k == "psnr" else math.exp(math.log(a[k]) + t * math.log(b[k] / a[k]))
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", default=".build/release")
    p.add_argument("--data", default=os.environ.get("ALIDADE_DATA", "."))
    p.add_argument("--work", default="informed")
    p.add_argument("--cells", default="turb3d:8:0.15,turb3d:4:0.5,turb3d:4:1.5,taylorgreen:4:0.5,taylorgreen:4:1.5", help="FIELD:PATCH:BITS PER VALUE,...")
    p.add_argument("--losses", default="box,vorticity,spectrum")
    p.add_argument("--epochs", type=int, default=2)
    args = p.parse_args()
    args.alidade = os.path.join(args.bin, "alidade")
    losses = args.losses.split(",")
    os.makedirs(args.work, exist_ok=True)
    paths = {"turb3d": os.path.join(args.data, "turb3d_kolmogorov_64.h5"), "taylorgreen": os.path.join(args.work, "taylorgreen.h5")}
    print("| field, patch, bits/value | loss | PSNR, plain | informed | squared error, plain | informed | cost foretold, dB | validation | measured | gain foretold, dB | validation | measured |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for cell in args.cells.split(","):
        field, patch, rate = cell.split(":")
        path = paths[field]
        if field == "taylorgreen":
            made(path, [os.path.join(args.bin, "alidade-taylorgreen"), "--n", "64", "--re", "800", "--time", "10", "--every", "1", "--perturb", "0.05", "--single-file", "--output", path])
        if not os.path.exists(path):
            print(f"{path} is not there: {cell} is skipped", file=sys.stderr)
            continue
        found = {}
        for loss in ["", *losses]:
            model = os.path.join(args.work, f"{field}-{patch}-{rate}-{loss or 'plain'}.aldm")
            steps = ["--steps", STEPS[field][0], "--validate", STEPS[field][1]]
            log = model[:-5] + ".train.json"
            made(model, [args.alidade, "train", path, "-o", model, "-f", "velocity", "--kind", "autoencoder", "--width", "0", "--patch", patch, "--rate", rate,
                         "--epochs", str(args.epochs), "--report", log] + steps + (["--physics", f"{loss}=1"] if loss else []))
            found[loss] = (json.load(open(log))["audit"], [measured(args, field, path, model, r) for r in ([rate] if loss else [rate, f"{0.9 * float(rate):.4g}"])])
        for loss in losses:
            (base, points), (audit, (b,)) = found[""], found[loss]
            a = brought(points, b["bits"])
            k = 1 + ["box", "gradient", "vorticity", "energy", "spectrum"].index(loss)
            seen = "amplitudes" if loss == "spectrum" else loss
            def db(x, y): return 10 * math.log10(x / y)
            print(f"| {field}, {patch}^3, {b['bits']:.3f} | {loss} | {a['psnr']:.2f} | {b['psnr']:.2f} | {a[seen]:.2e} | {b[seen]:.2e} | {audit['foretold'][0]:+.2f} | {audit['reached'][0] - base['reached'][0]:+.2f} "
                  f"| {b['psnr'] - a['psnr']:+.2f} | {audit['foretold'][k]:+.2f} | {audit['reached'][k]:+.2f} | {db(a[seen], b[seen]):+.2f} |", flush=True)
            if loss == "spectrum":
                print(f"| | E(k) itself | | | {a['spectrum']:.2e} | {b['spectrum']:.2e} | | | | | | {db(a['spectrum'], b['spectrum']):+.2f} |", flush=True)


if __name__ == "__main__":
    main()
