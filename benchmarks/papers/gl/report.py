#!/usr/bin/env python3
"""Makes the results text of the cells that gl.py left: python3 report.py FOLDER RESULTS writes RESULTS/papers-gl.md and RESULTS/papers/gl.tsv."""
import json
import math
import os
import sys

import numpy as np
from scipy import stats

LINEAR = ["box", "gradient", "vorticity"]
RATES = ["low", "middle", "high"]
DB = 10 / math.log(10)


def load(path):
    """Plain codecs by (domain, rate), cells as a list."""
    bases, cells = {}, []
    for line in open(path):
        e = json.loads(line)
        words, v = e["key"].split(), e["value"]
        v["seconds"] = e["seconds"]
        if len(words) == 2:
            bases[tuple(words)] = v
        elif len(words) == 3:
            bases[tuple(words[:2])]["bias"] = v
        else:
            v.update(domain=words[0], rate=words[1], observable=words[2], weight=float(words[3]), start=words[4])
            cells.append(v)
    return bases, cells


def slope(bases, domain, name, bits):
    """d ln error / d bits of the codecs without observables, at a rate."""
    x, y = np.array(sorted((e["bits"], math.log(e[name])) for (d, _), e in bases.items() if d == domain)).T
    if len(x) < 2:
        return -2 * math.log(2)
    s = np.diff(y) / np.diff(x)
    return float(np.interp(bits, (x[1:] + x[:-1]) / 2, s)) if len(s) > 1 else float(s[0])


def prepare(bases, cells):
    """Cost of D and gain of P in dB at the plain codec's rate, measured and foretold."""
    for c in cells:
        b, n = bases[c["domain"], c["rate"]], c["observable"]
        def against(e, name):
            return DB * (math.log(e[name] / b[name]) - (e["bits"] - b["bits"]) * slope(bases, c["domain"], name, b["bits"]))
        c["cost"], c["gain"], c["gain_first"] = against(c, "D"), -against(c, n), -against(c["first"], n)
        c["predicted_cost"], c["predicted_gain"] = c["foretold"]["cost"], c["foretold"]["gain"]
        c["base"], c["psnr"] = b, -10 * math.log10(b["D"] / 256 / b["components"])


def kept(cells):
    """Of the starts of a cell the one with the lower loss on the tiles learned from."""
    best = {}
    for c in cells:
        k = c["domain"], c["rate"], c["observable"], c["weight"]
        if k not in best or c["objective"] < best[k]["objective"]:
            best[k] = c
    return list(best.values())


def interval(f, cells, replicas=500):
    """95 % by resampling domain and observable together."""
    groups = sorted({(c["domain"], c["observable"]) for c in cells})
    rng, out = np.random.default_rng(1), []
    for _ in range(replicas):
        pick = [groups[i] for i in rng.integers(len(groups), size=len(groups))]
        v = f([c for g in pick for c in cells if (c["domain"], c["observable"]) == g])
        if np.isfinite(v):
            out.append(v)
    return np.percentile(out, [2.5, 97.5]) if out else (math.nan, math.nan)


def rank(x, y):
    def f(cells):
        a, b = [x(c) for c in cells], [y(c) for c in cells]
        return stats.spearmanr(a, b)[0] if len(set(a)) > 2 and len(set(b)) > 2 else math.nan
    return f


def fit(cells, foretold, measured):
    """Pearson, slope through the origin, root mean square of the difference."""
    x, y = np.array([foretold(c) for c in cells]), np.array([measured(c) for c in cells])
    return stats.pearsonr(x, y)[0], float((x * y).sum() / (x * x).sum()), float(np.sqrt(np.mean((x - y) ** 2)))


def sign(ok, part):
    return "reproduced" if ok else "partly" if part else "**not**"


def rows(bases, cells, every):
    out = []
    def row(*v): out.append("| " + " | ".join(v) + " |")
    domains = sorted({c["domain"] for c in cells})
    unit = [c for c in cells if c["weight"] == 1]
    cost, gain = lambda c: c["cost"], lambda c: c["gain"]
    asked = [c for c in cells if c["predicted_cost"] > 0.1]
    falls, rises = np.mean([c["gain"] > 0 for c in cells]), np.mean([c["cost"] > 0 for c in asked])
    both = np.mean([c["cost"] > 0 and c["gain"] > 0 for c in asked])
    slack = [b["slack"] for b in bases.values()]
    by = {(c["domain"], c["rate"], c["observable"], c["weight"]): c for c in cells}
    steps = [(by[(*k[:3], 1.0)], c) for k, c in by.items() if k[3] == 4 and (*k[:3], 1.0) in by]
    more, worse = [b["gain"] > a["gain"] for a, b in steps], [b["cost"] > a["cost"] for a, b in steps]
    row("GL-1", "the observable gains, the error loses", f"P falls in {falls:.0%} of {len(cells)} cells, D rises in {rises:.0%} of {len(asked)} with more than .1 dB foretold, both in {both:.0%}; "
        f"slack of the plain codecs {min(slack):.2f} to {max(slack):.2f}" + (f"; P falls from lambda^ 1 to 4 in {sum(more)} of {len(more)}, D rises in {sum(worse)}" if more else ""), ">= 90 %", sign(both >= 0.9 and np.mean(more or 1) >= 0.9, both >= 0.6))

    def two(tag, claim, cells, f, g):
        if len(cells) < 3:
            return
        (pc, sc, ec), (pg, sg, eg) = fit(cells, f, cost), fit(cells, g, gain)
        ok = min(pc, pg) >= 0.7 and 0.5 <= min(sc, sg) and max(sc, sg) <= 2
        row(tag, claim, f"cost: Pearson {pc:.2f}, slope {sc:.2f}, {ec:.2f} dB rms; gain: Pearson {pg:.2f}, slope {sg:.2f}, {eg:.2f} dB rms", "Pearson >= 0.7, slope 0.5 ... 2", sign(ok, max(pc, pg) >= 0.7))
    two("GL-2", f"law C from the plain codec, {len(unit)} cells at lambda^ 1", unit, lambda c: c["foretold"]["cost"], lambda c: c["foretold"]["gain"])
    if len(cells) > len(unit):
        two("GL-2, weights", f"the same, all {len(cells)} cells", cells, lambda c: c["foretold"]["cost"], lambda c: c["foretold"]["gain"])
    two("GL-2, scratch", "the same, trainings that know nothing of the law", [c for c in every if c["start"] == "plain"], lambda c: c["foretold"]["cost"], lambda c: c["foretold"]["gain"])
    two("GL-2, tangent", "the tangent's metric alone, tr(G Sigma)", unit, lambda c: c["foretold"]["gauss_cost"], lambda c: c["foretold"]["tangent"])
    two("GL-2, tiles", "law C from the covariance of tiles, no codec", unit, lambda c: c["by_data"]["cost"], lambda c: c["by_data"]["gain"])
    for name, group in (("linear", [c for c in unit if c["observable"] in LINEAR]), ("quadratic", [c for c in unit if c["observable"] not in LINEAR])):
        two(f"GL-2, {name}", f"{', '.join(sorted({c['observable'] for c in group}))} ({len(group)} cells)", group, lambda c: c["foretold"]["cost"], lambda c: c["foretold"]["gain"])

    slopes = [c["slope"] for c in cells]
    near = np.mean([abs(s - 1) <= 0.4 for s in slopes])
    scratch = [c["slope"] for c in every if c["start"] == "plain"]
    row("GL-3", "errors go where the law puts them", f"slope of ln power over the law's: median {np.median(slopes):.2f}, within .4 of 1 in {near:.0%} of {len(slopes)}"
        + (f" (scratch: {np.median(scratch):.2f}, {np.mean([abs(s - 1) <= 0.4 for s in scratch]):.0%})" if scratch else ""), "1 +- .4", sign(near >= 0.9, abs(np.median(slopes) - 1) <= 0.4))
    tenth = [c for c in cells if abs(math.log(c["moved_law"])) > 0.05]
    def same(c, v): return v * math.log(c["moved_law"]) > 0
    right, sure = np.mean([same(c, math.log(c["moved"])) for c in tenth]), np.mean([all(same(c, math.log(v)) for v in c["interval"]) for c in tenth])
    off = np.median([abs(math.log(c["moved"] / c["moved_law"])) / abs(math.log(c["moved_law"])) for c in tenth])
    row("GL-4", "noise on the stiffest over that on the softest tenth", f"right sign in {right:.0%} of {len(tenth)} cells, in {sure:.0%} with all of a 95 % interval over tiles; its logarithm off by a median of {off:.0%}", "right sign, 95 %",
        sign(sure >= 0.9, right >= 0.75))
    row("GL-5", "no noise beats the bound", "constructed metrics, no codec: [law.md](law.md)", "", "reproduced there")
    row("GL-6", "the largest gain is AM/GM", "transform codec: [law.md](law.md)", "", "reproduced there")
    fine = {n: max(abs(r[n]) for b in bases.values() for r in b["validity"][:3] if n in r) for n in sorted({k for b in bases.values() for k in b["validity"][0]} - {"width"})}
    def radius(n): return min(next((r["width"] for r in b["validity"] if abs(r[n]) > 0.2), math.inf) for b in bases.values() if n in b["validity"][0])
    row("GL-7", "tr(G S) against noise of ten widths, .003 to 3.2 steps", "finest three, at most: " + ", ".join(f"{n} {v:.1%}" for n, v in fine.items()) + "; off by 20 % from (steps, at the earliest): " + ", ".join(
        f"{n} {radius(n):.2f}" if radius(n) < math.inf else f"{n} nowhere" for n in fine), "< 5 % at the finest third", sign(max(fine.values()) < 0.05, fine["D"] < 0.05))
    row("GL-8", "overlap of dominant spaces", "the same bits on 1 and 8 ranks for the container's codecs (tests, [law.md](law.md)); here omega of every cell, whitened by the prior", "", "reproduced there")

    def told(x, y):
        f = rank(x, y)
        lo, hi = interval(f, unit)
        return f(unit), lo, hi
    corrected, law, cv = lambda c: c["corrected"], lambda c: c["predicted_cost"], lambda c: c["cv2"]
    bend = lambda c: c["cost"] / c["gain"] ** 2
    def text(v): return f"{v[0]:.2f} ({v[1]:.2f} ... {v[2]:.2f})"
    a, k = told(corrected, cost), told(corrected, bend)
    own = rank(corrected, law)(unit)
    row("GL-9", "overlap against what is lost", f"Spearman over {len(unit)} cells at lambda^ 1: corrected overlap with the cost {text(a)}, with cost/gain^2 {text(k)}; the law itself would have the first {own:.2f}", "both <= -.5, interval without 0",
        sign(max(a[0], k[0]) <= -0.5 and max(a[2], k[2]) < 0, any(v[0] <= -0.5 and v[2] < 0 for v in (a, k))))
    l, g, v, w = told(law, cost), told(lambda c: c["predicted_gain"], gain), told(cv, bend), told(cv, gain)
    row("GL-9, law", "what wins instead", f"the law's cost with the cost {text(l)}, its gain with the gain {text(g)}; CV^2 with cost/gain^2 {text(v)}, with the gain {text(w)}", "(>= .5, interval without 0)", sign(min(l[0], g[0]) >= 0.5 and min(l[1], g[1]) > 0, max(l[0], g[0]) >= 0.5))
    def per(f): return ", ".join(f"{d} {f([c for c in unit if c['domain'] == d]):.2f}" for d in domains)
    def without(f): return [f([c for c in unit if c["domain"] != d]) for d in domains]
    f = rank(corrected, cost)
    each = [f([c for c in unit if c["domain"] == d]) for d in domains]
    row("GL-10", "in every domain", f"overlap with the cost: {per(f)}; one domain left out {min(without(f)):.2f} ... {max(without(f)):.2f}", "one sign, <= -.4 with one left out", sign(max(each) < 0 and max(without(f)) <= -0.4, max(each) < 0))
    f, h = rank(law, cost), rank(lambda c: c["predicted_gain"], gain)
    each = [q([c for c in unit if c["domain"] == d]) for d in domains for q in (f, h)]
    worst = min(without(f) + without(h))
    row("GL-10, law", "the same of the law", f"its cost with the cost: {per(f)}; its gain with the gain: {per(h)}; one domain left out, at least {worst:.2f}", "one sign, >= .4 with one left out", sign(min(each) > 0 and worst >= 0.4, worst >= 0.4))

    truth, foretold = [c["gain"] >= 3 and c["cost"] <= 0.5 for c in cells], [c["predicted_gain"] >= 3 and c["predicted_cost"] <= 0.5 for c in cells]
    hit, miss = [t for t, y in zip(foretold, truth) if y], [not t for t, y in zip(foretold, truth) if not y]
    tail = f"{sum(truth)} of {len(cells)} cells gain that much, {sum(foretold)} are foretold"
    if hit and miss:
        ba = 0.5 * (np.mean(hit) + np.mean(miss))
        row("GL-11", "3 dB for .5 dB foretold", f"balanced accuracy {ba:.2f} ({tail})", ">= .8", sign(ba >= 0.8, ba >= 0.65))
    else:
        row("GL-11", "3 dB for .5 dB foretold", tail, ">= .8", "**not**")
    biased = [b["bias"] for b in bases.values() if "draws" in b.get("bias", {})]
    if biased:
        def shells(told, seen, draws):
            """Shells where noise > 4 E/N and the shift foretold is ten of its standard errors at least: told over seen."""
            return np.array([b[told][i] / b[seen][i] for b in biased for i, on in enumerate(b["on"]) if on and b[told][i] > 10 * b["tangent"][i] / math.sqrt(b["draws"] if draws else 1)])
        def text(told, seen, draws=False):
            off = np.abs(shells(told, seen, draws) - 1)
            return f"{np.mean(off <= 0.15):.0%} of {len(off)} (median {np.median(off):.0%})", np.mean(off <= 0.15), np.median(off)
        (first, a, middle), (second, *_), (third, b, _) = text("independent", "dithered", True), text("energy", "rounded"), text("dependent", "rounded")
        row("GL-12", "mean spectrum: the energy of noise counts", f"shift of a shell's mean power on later steps, shells where noise > 4 E/N and the shift is ten standard errors: within 15 % with dithered latents and tr(J^T S J)/12 in {first}; by rounding with the energy of its variance in "
            f"{second}, with its dependence on the latent in {third}. The tangent foretells no shift at all", "within 15 % with it; tangent alone wrong", sign(min(a, b) >= 0.8, middle <= 0.15))
    return out


def main():
    bases, every = load(os.path.join(sys.argv[1], "gl.jsonl"))
    prepare(bases, every)
    cells = kept(every)
    domains = sorted({c["domain"] for c in cells})
    unit = [c for c in cells if c["weight"] == 1]
    out, row = [], lambda *v: out.append("| " + " | ".join(v) + " |")
    hours = sum(e["seconds"] for e in list(bases.values()) + every) / 60
    own = sum(c["start"] == "law" for c in cells)
    out += ["# Papers: GL-1 ... GL-12 with learned codecs", "",
            f"`benchmarks/papers/run.sh gl`: {len(unit)} cells at lambda^ 1 and {len(cells) - len(unit)} at other weights ({len(domains)} domains: {', '.join(domains)}; {len(bases)} codecs trained for the error alone; "
            f"{len({c['observable'] for c in cells})} observables, of the same four kinds in each domain; rates {', '.join(sorted({c['rate'] for c in cells}, key=RATES.index))}), {len(every) + len(bases)} trainings, {hours:.0f} minutes of one core in all.", "",
            "The codec is a small autoencoder of tiles of 16 x 16 cells (one or two components, as many latents as values): linear maps and a hidden layer of 48 on either side, rounding, a logistic prior per latent,",
            "every input of a layer in units of its own spread. **All codecs get the same updates**, the plain ones too, and begin at a linear codec: the principal components (\"scratch\": a cell's training then knows",
            f"nothing of the law), or the law's linear codec of the cell's own loss (\"law\"). Of the two the one with the lower loss on the tiles learned from is kept ({own} of {len(cells)} began at the law's); the last columns give both.",
            "Rates are code lengths by the prior on rounded latents of later steps (no range coder, weights not counted); costs and gains are brought to the plain codec's rate along the rate curves of the plain codecs.",
            "Predictions are made of the plain codec (its latents, the Jacobian of its decoder) on tiles learned from, before a cell is trained: law C's noise is sent through decoder and observable. **These codecs live in the",
            "benchmark only**: small, with linear maps of whole tiles; the container's networks are convolutional.", "",
            "| row | claim | measured | asked | |", "|---|---|---|---|---|"]
    out += rows(bases, cells, every)
    out += ["", "![GL](papers/gl.svg)", "", "## Physics-informed against plain training at equal rate", "", "dB of squared error (D: minus sign lost, P: won); foretold by law C from the plain codec / measured. \"Tangent\": tr(G Sigma) alone.", "",
            "| domain | observable | rate, bits/value | SNR, dB | lambda^ | D foretold | D measured | P, tangent | P foretold | P measured | kept | P: scratch, law | P before training from the law's |",
            "|---|---|---|---|---|---|---|---|---|---|---|---|---|"]
    def of(c, start):
        return next((e for e in every if e["start"] == start and all(e[k] == c[k] for k in ("domain", "rate", "observable", "weight"))), None)
    cells.sort(key=lambda c: (c["domain"], c["observable"], RATES.index(c["rate"]), c["weight"]))
    for c in cells:
        a, b = of(c, "plain"), of(c, "law")
        row(c["domain"], c["observable"], f"{c['base']['bits']:.2f}", f"{c['psnr']:.1f}", f"{c['weight']:g}", f"{-c['predicted_cost']:+.2f}", f"{-c['cost']:+.2f}", f"{c['foretold']['tangent']:+.2f}", f"{c['predicted_gain']:+.2f}",
            f"{c['gain']:+.2f}", {"plain": "scratch", "law": "law"}[c["start"]], ", ".join(f"{e['gain']:+.2f}" if e else "-" for e in (a, b)), f"{b['gain_first']:+.2f}" if b else "-")
    out += ["", "## Did training reach the trade-off?", "",
            "AM/GM of the eigenvalues of Sigma^1/2 (G_D + lambda G_P) Sigma^1/2 on active latents, G_P the tangent's: 1 where nothing is left to win (THEORY 1.8); medians over cells.", "",
            "| observable | cells | plain codec | trained | trained, its G_D alone |", "|---|---|---|---|---|"]
    for n in sorted({c["observable"] for c in unit}):
        some = [c for c in unit if c["observable"] == n]
        row(n, str(len(some)), *(f"{np.median([c[k] for c in some]):.2f}" for k in ("flat_base", "flat", "flat_D")))
    with open(os.path.join(sys.argv[2], "papers-gl.md"), "w") as f:
        f.write("\n".join(out) + "\n")
    with open(os.path.join(sys.argv[2], "papers", "gl.tsv"), "w") as f:
        f.write("domain\tobservable\trate\tlambda\tkind\tcost_foretold\tcost\tgain_foretold\tgain\n")
        for c in cells:
            f.write("\t".join([c["domain"], c["observable"], c["rate"], f"{c['weight']:g}", str(int(c["observable"] not in LINEAR))] + [f"{c[k]:.4g}" for k in ("predicted_cost", "cost", "predicted_gain", "gain")]) + "\n")


if __name__ == "__main__":
    main()
