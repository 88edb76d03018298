"""Small networks, the geometry of their latents, and what the scripts of the papers share. Only numpy; every gradient by hand."""
import argparse
import json
import os
import subprocess
import sys
import time

import numpy as np

ENVIRONMENT = dict(os.environ, OMPI_MCA_btl="self", OMPI_MCA_pml="ob1", OMPI_MCA_ess_singleton_isolated="1", OMP_NUM_THREADS="1")


def arguments(description):
    """What run.sh hands to a script; makes the folders."""
    a = argparse.ArgumentParser(description=description)
    for name, text in (("tool", "the program alidade"), ("solver", "the program alidade-taylorgreen"), ("data", "folder of fields"), ("out", "work folder"), ("results", "where tables go")):
        a.add_argument("--" + name, required=True, help=text)
    a.add_argument("--quick", action="store_true", help="a few short trainings, no codecs: does it run?")
    o = a.parse_args()
    for folder in (o.out, os.path.join(o.results, "papers")):
        os.makedirs(folder, exist_ok=True)
    return o


class Network:
    """Fully connected layers with ReLU between them, and Adam."""

    def __init__(self, rng, *widths):
        self.p = [a for m, n in zip(widths, widths[1:]) for a in (rng.normal(0, np.sqrt(2 / m), (m, n)), np.zeros(n))]
        self.m = [np.zeros_like(a) for a in self.p]
        self.v = [np.zeros_like(a) for a in self.p]
        self.t = 0

    def __call__(self, x):
        self.x = [x]
        for i in range(0, len(self.p), 2):
            x = x @ self.p[i] + self.p[i + 1]
            if i + 2 < len(self.p):
                x = np.maximum(x, 0)
            self.x.append(x)
        return x

    def back(self, g, rate):
        """The gradient by the input; steps the weights."""
        self.t += 1
        for i in reversed(range(0, len(self.p), 2)):
            x = self.x[i // 2]
            own = [x.T @ g, g.sum(0)]
            g = g @ self.p[i].T
            if i:
                g = g * (x > 0)
            for k, d in enumerate(own):
                j = i + k
                self.m[j] += 0.1 * (d - self.m[j])
                self.v[j] += 0.001 * (d * d - self.v[j])
                self.p[j] -= rate * self.m[j] / (1 - 0.9 ** self.t) / (np.sqrt(self.v[j] / (1 - 0.999 ** self.t)) + 1e-8)
        return g


def softmax(s):
    p = np.exp(s - s.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


# Geometry: THEORY 5.2 and 6.2, as `alidade audit` has it, written a second time.

def squared(z):
    q = (z * z).sum(1)
    return np.maximum(q[:, None] + q[None] - 2 * z @ z.T, 0)


def distortion(z, reference, labels, epsilon=1.0):
    """A_cc'."""
    l = np.log(squared(z) + epsilon ** 2) - np.log(squared(reference) + epsilon ** 2)
    off = ~np.eye(len(z), dtype=bool)
    grand, classes = l[off].mean(), np.unique(labels)
    return np.array([[l[np.ix_(labels == a, labels == b)][off[np.ix_(labels == a, labels == b)]].mean() - grand for b in classes] for a in classes])


def prototypization(a):
    off = ~np.eye(len(a), dtype=bool)
    return a[off].mean() - np.diag(a).mean()


def moments(z, y):
    c = np.unique(y)
    means = np.array([z[y == k].mean(0) for k in c])
    return means, np.array([((z[y == k] - m) ** 2).sum(1).mean() for k, m in zip(c, means)])


def cdnv(z, y):
    means, v = moments(z, y)
    gap, off = squared(means), ~np.eye(len(means), dtype=bool)
    return ((v[:, None] + v[None]) / (2 * np.where(off, gap, 1)))[off].mean()


def orthogonality(z, a, b):
    """1 - |cos| of the directions of two factors of two levels; NaN where one is below three standard errors."""
    def step(a, b):
        parts = [[z[(a == i) & (b == j)] for i in (0, 1)] for j in (0, 1)]
        v = np.mean([hi.mean(0) - lo.mean(0) for lo, hi in parts], 0)
        error = np.sqrt(sum(q.var(0).sum() / len(q) for p in parts for q in p)) / 2
        return v, error
    (u, eu), (v, ev) = step(a, b), step(b, a)
    nu, nv = np.linalg.norm(u), np.linalg.norm(v)
    return 1 - abs(u @ v) / (nu * nv) if nu > 3 * eu and nv > 3 * ev else float("nan")


def macro_f1(y, called):
    c = np.unique(y)
    return float(np.mean([2 * ((y == k) & (called == k)).sum() / ((y == k).sum() + (called == k).sum()) for k in c]))


def probe_f1(z, y):
    """Linear probe, least squares with a ridge of 10^-3 of the mean variance; every other sample teaches."""
    x = np.c_[z, np.ones(len(z))]
    c = np.unique(y)
    learn = np.arange(len(z)) % 2 == 0
    g = x[learn].T @ x[learn]
    g += np.eye(len(g)) * 1e-3 * max(1e-12, np.trace(g[:-1, :-1]) / max(1, z.shape[1]))
    w = np.linalg.solve(g, x[learn].T @ (y[learn][:, None] == c))
    return macro_f1(y[~learn], c[(x[~learn] @ w).argmax(1)])


def spearman(x, y):
    rank = lambda v: np.array([((v < a).sum() + (v <= a).sum() - 1) / 2 for a in v])
    return pearson(rank(np.asarray(x)), rank(np.asarray(y)))


def pearson(x, y):
    x, y = np.asarray(x) - np.mean(x), np.asarray(y) - np.mean(y)
    n = np.sqrt((x * x).sum() * (y * y).sum())
    return float((x * y).sum() / n) if n > 0 else float("nan")


def pooled(groups):
    """Ranks within each set-up, to 0 ... 1, all together: Pearson's r, as paper IGC's code pools."""
    rank = lambda v: np.argsort(np.argsort(v)) / max(1, len(v) - 1)
    return pearson(np.concatenate([rank(np.asarray(x)) for x, _ in groups]), np.concatenate([rank(np.asarray(y)) for _, y in groups]))


class Cells:
    """Results by name, one line of JSON each; what is there is not computed again."""

    def __init__(self, path):
        self.path, self.known = path, {}
        if os.path.exists(path):
            for line in open(path):
                if line.endswith("\n"):
                    cell = json.loads(line)
                    self.known[cell["key"]] = cell["value"]

    def __call__(self, key, make):
        if key not in self.known:
            started = time.process_time()
            self.known[key] = make()
            with open(self.path, "a") as f:
                f.write(json.dumps({"key": key, "value": self.known[key], "seconds": round(time.process_time() - started, 2)}) + "\n")
            print(key, file=sys.stderr)
        return self.known[key]


def tool(program, *words):
    o = subprocess.run([program, *map(str, words)], env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if o.returncode:
        raise RuntimeError(f"{program} {' '.join(map(str, words))}: {o.stderr}")


def audited(program, folder, domain, labels, jobs):
    """`alidade audit` of containers made by `jobs`, name to words of `compress`."""
    os.makedirs(folder, exist_ok=True)
    paths = []
    for name, words in jobs.items():
        paths.append(os.path.join(folder, name + ".ald"))
        if not os.path.exists(paths[-1]):
            tool(program, "compress", *domain.words, "-o", paths[-1], "-q", "--no-verify", *words)
    report = os.path.join(folder, "audit.json")
    tool(program, "audit", *paths, "--against", domain.words[0], *[w for l in labels for w in ("--labels", l)], "-q", "--report", report)
    return json.load(open(report))["result"]["audit"]


def table(path, names, rows):
    with open(path, "w") as f:
        for r in [names] + rows:
            f.write("\t".join(f"{v:.4g}" if isinstance(v, float) else str(v) for v in r) + "\n")


class Domain:
    """A field: words of `compress` that read it, what its regimes are made of, an observable to keep and the rate at which it is."""

    def __init__(self, path, field, step, label, kept, rate):
        self.words, self.label, self.kept, self.rate = [path, "-f", field, f"--steps={step}"], label, kept, rate


def domains(data, solver, folder):
    """Fields that are there, by name."""
    out = {}
    for name, file, field, label, kept, rate in (("turb3d", "turb3d_kolmogorov_64.h5", "velocity", "vorticity:4", "box(size=4)", 0.5),
                                                 ("turb2d", "turb2d_kolmogorov_256.h5", "vorticity", "field:4", "box(size=8)", 1)):
        path = os.path.join(data, file)
        if os.path.exists(path):
            out[name] = Domain(path, field, 0, label, kept, rate)
        else:
            print(f"{name}: not in {data}, left out", file=sys.stderr)
    # Beside the folders of the papers, which share it.
    path = os.path.join(folder, "..", "taylorgreen.h5")
    if not os.path.exists(path):
        tool(solver, "--n", 64, "--re", 800, "--time", 6, "--every", 6, "--single-file", "--output", os.path.join(folder, "new.h5"), "--quiet")
        os.rename(os.path.join(folder, "new.h5"), path)
    out["taylorgreen"] = Domain(path, "velocity", 0, "vorticity:4", "box(size=4)", 0.5)
    return out
