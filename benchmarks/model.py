"""Fits and extrapolates what model.sh measured. Standard library only.

Seconds of a phase on P ranks with n cells each:
    T = w n + m L + b / B + c 2 L log2 P + g(P) / B
w work per cell; m messages and b bytes a rank sends; c collective calls; g bytes gathered from all ranks; L latency, B bandwidth.
"""
import argparse
import csv
import math
import os
import statistics

COMPRESS = ["survey", "trial", "step", "fit", "exchange", "transform", "entropy", "verify", "write"]


def rows_of(path):
    with open(path) as f:
        return [{k: v if k in ("case", "cut", "phase") else float(v) for k, v in r.items()} for r in csv.DictReader(f)]


def work(rows):
    """Seconds per cell and per call of each phase, from one rank at several sizes: medians, then least squares of relative errors."""
    out = {}
    for phase in {r["phase"] for r in rows}:
        points = {}
        for r in rows:
            if r["phase"] == phase and r["ranks"] == 1:
                points.setdefault(r["edge"] ** 3, []).append(r["cpu_s"])
        pairs = [(n, statistics.median(t)) for n, t in points.items() if statistics.median(t) > 0]
        # t = a + w n with weights 1 / t^2.
        s = [sum(f(n, t) / t ** 2 for n, t in pairs) for f in (lambda n, t: 1, lambda n, t: n, lambda n, t: n * n, lambda n, t: t, lambda n, t: n * t)]
        d = s[0] * s[2] - s[1] ** 2
        w = (s[0] * s[4] - s[1] * s[3]) / d if d > 0 else pairs[0][1] / pairs[0][0]
        a = max(0.0, (s[3] - w * s[1]) / s[0])
        residual = max((abs(a + w * n - t) / t for n, t in pairs), default=0.0)
        out[phase] = (a, w, residual)
    return out


def network(folder):
    """Latency and bandwidth of messages between two ranks, and seconds of a reduction by number of ranks."""
    pairs, reduce = [], {}
    for n in (2, 4, 8):
        with open(os.path.join(folder, f"network-{n}.txt")) as f:
            for line in f:
                a, b = line.split()
                if a == "reduce":
                    reduce[n] = float(b)
                elif n == 2:
                    pairs.append((int(a), float(b)))
    latency = statistics.median(t for n, t in pairs if n <= 512)
    bandwidth = statistics.median(n / (t - latency) for n, t in pairs if n >= 1 << 20)
    return latency, bandwidth, reduce


def growth(rows, phase, cut, key):
    """a + b log2 P through the counts from 8 ranks on; the last measured value; whether that grows in proportion to P."""
    points = sorted((r["ranks"], r[key]) for r in rows if r["phase"] == phase and r["cut"] == cut and r["ranks"] >= 8)
    if not points:
        return 0.0, 0.0, 0.0
    x, y = [math.log2(p) for p, _ in points], [v for _, v in points]
    mx, my = statistics.mean(x), statistics.mean(y)
    var = sum((v - mx) ** 2 for v in x)
    b = sum((u - mx) * (v - my) for u, v in zip(x, y)) / var if var else 0.0
    return my - b * mx, b, y[-1]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder")
    p.add_argument("--edge", type=int, default=64)
    p.add_argument("--latency", type=float, default=2e-6)
    p.add_argument("--bandwidth", type=float, default=1e10)
    p.add_argument("--disk", type=float, default=5e11, help="bytes per second of the whole file system")
    a = p.parse_args()
    rows, cells = rows_of(os.path.join(a.folder, "phases.csv")), a.edge ** 3
    w = work([r for r in rows if r["cut"] == "slabs"])
    latency, bandwidth, reduce = network(a.folder)
    phases = [f for f in COMPRESS + ["decompress"] if f in w]
    seen = sorted({int(r["ranks"]) for r in rows if r["ranks"] > 1})
    largest = seen[-1]

    def seconds(phase, cut, ranks, latency, bandwidth):
        at = next((r for r in rows if r["phase"] == phase and r["cut"] == cut and r["ranks"] == ranks and r["edge"] == a.edge), None)
        if at:
            counts = {k: at[k] for k in ("messages", "bytes", "collectives", "gathered_bytes")}
        else:  # beyond what was run
            counts = {}
            for k in ("messages", "bytes", "collectives"):
                base, slope, _ = growth(rows, phase, cut, k)
                counts[k] = max(0.0, base + slope * math.log2(ranks))
            last = next((r["gathered_bytes"] for r in rows if r["phase"] == phase and r["cut"] == cut and r["ranks"] == largest), 0.0)
            counts["gathered_bytes"] = last / largest * ranks
        fixed, per_cell, _ = w[phase]
        parts = dict(work=fixed + per_cell * cells, messages=counts["messages"] * latency + counts["bytes"] / bandwidth,
                     collectives=counts["collectives"] * 2 * latency * math.log2(ranks) + counts["gathered_bytes"] / bandwidth)
        return parts, counts

    print(f"This machine: a message takes {latency * 1e6:.1f} us and {bandwidth / 1e9:.2f} GB/s; a reduction "
          + ", ".join(f"{t * 1e6:.0f} us on {n} ranks" for n, t in reduce.items()) + ".\n")
    print("| phase | ns per cell | fixed ms | worst misfit | " + " | ".join(f"P = {n}" for n in seen) + " |")
    print("|---|---|---|---|" + "---|" * len(seen))
    for phase in phases:
        fixed, per_cell, residual = w[phase]
        line = [phase, f"{per_cell * 1e9:.2f}", f"{fixed * 1e3:.2f}", f"{100 * residual:.0f} %"]
        for n in seen:
            r = next((r for r in rows if r["phase"] == phase and r["cut"] == "blocks" and r["ranks"] == n), None)
            line.append(f"{r['messages']:.0f} / {r['bytes'] / 1e3:.0f} / {r['collectives']:.0f} / {r['gathered_bytes'] / 1e3:.1f}" if r else "-")
        print("| " + " | ".join(line) + " |")
    print(f"\nBlocks of {a.edge}^3 cells: messages / kB sent / collective calls / kB gathered from all, largest over ranks.\n")
    with open(os.path.join(a.folder, "two.txt")) as f:
        two = [[float(v) for v in line.split(",")[4:7]] for line in f if line.strip()]
    measured = [statistics.median(t[0] + t[1] for t in two), statistics.median(t[2] for t in two)]
    model = [sum(sum(seconds(f, "slabs", 2, latency, bandwidth)[0].values()) for f in group)
             for group in ([f for f in phases if f != "decompress"], ["decompress"])]
    print(f"Check on 2 ranks: compress {measured[0]:.3f} s measured, {model[0]:.3f} s by the model; decompress {measured[1]:.3f} and {model[1]:.3f}.\n")
    print(f"A machine of {a.latency * 1e6:g} us, {a.bandwidth / 1e9:g} GB/s per rank and {a.disk / 1e9:g} GB/s of storage, this machine's cores, {a.edge}^3 cells per rank:\n")
    print("| ranks | compress: work ms | messages | collectives | write (3.6 bits a value) | efficiency | decompress ms | efficiency | gathered MB per rank |")
    print("|---|---|---|---|---|---|---|---|---|")
    for n in (64, 1000, 10_000, 100_000):
        total = dict(work=0.0, messages=0.0, collectives=0.0)
        gathered = 0.0
        for phase in phases:
            parts, counts = seconds(phase, "blocks", n, a.latency, a.bandwidth)
            if phase == "decompress":
                back = parts
                continue
            gathered += counts["gathered_bytes"]
            for k in total:
                total[k] += parts[k]
        disk = 3.6 / 8 * cells * n / a.disk
        whole = sum(total.values()) + disk
        print(f"| {n} | {total['work'] * 1e3:.1f} | {total['messages'] * 1e3:.2f} | {total['collectives'] * 1e3:.2f} | {disk * 1e3:.1f} | {total['work'] / whole:.2f} "
              f"| {sum(back.values()) * 1e3:.1f} | {back['work'] / sum(back.values()):.2f} | {gathered / 1e6:.1f} |")


if __name__ == "__main__":
    main()
