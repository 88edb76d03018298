#!/usr/bin/env python3
"""Rows SL1-1 ... SL1-6: sparse overcomplete codes with an L1 penalty on images of small-angle scattering. See README.md.

Each dictionary is a file in the output folder, what was measured with it a line of JSON; what is there is not done again.
"""
import argparse
import math
import os
import sys
import time

import h5py
import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from small import Cells, tool

N = 32                      # pixels a side
RAW = 4 * N * N             # bytes of an image in binary32
KINDS = ["sphere", "shell", "ellipsoid", "lamella"]


# ---------------------------------------------------------------- images

def scattering(count, seed, kinds=KINDS):
    """Counts of detectors, their expectation, and the kind of particle: form factors of random particles with a little polydispersity over a
    background; beam in the middle, 10^3 to 10^4.5 counts in the brightest pixel."""
    rng = np.random.default_rng(seed)
    axis = (np.arange(N) - (N - 1) / 2) / (N / 2)
    qx, qy = np.meshgrid(axis, axis)
    out, label = np.zeros((count, N, N)), np.zeros(count, int)
    def sphere(x):
        x = np.maximum(x, 1e-3)
        return 3 * (np.sin(x) - x * np.cos(x)) / x ** 3
    for i in range(count):
        kind = rng.integers(len(kinds))
        label[i] = KINDS.index(kinds[kind])
        r, spread = rng.uniform(4, 12), rng.uniform(0.05, 0.15)
        angle, ratio, shell, contrast = rng.uniform(0, np.pi), rng.uniform(1.4, 3), rng.uniform(1.15, 1.5), rng.uniform(-0.8, 0.6)
        u, v = qx * np.cos(angle) + qy * np.sin(angle), qy * np.cos(angle) - qx * np.sin(angle)
        total = np.zeros((N, N))
        for s, w in zip((-1.5, -0.75, 0, 0.75, 1.5), (0.12, 0.23, 0.30, 0.23, 0.12)):
            a = r * (1 + s * spread)
            q = np.hypot(qx, qy)
            name = KINDS[label[i]]
            if name == "sphere":
                f = sphere(q * a) ** 2
            elif name == "shell":
                f = (shell ** 3 * sphere(q * a * shell) + (contrast - 1) * sphere(q * a)) ** 2
            elif name == "ellipsoid":
                f = sphere(np.hypot(u * a, v * a / ratio)) ** 2
            else:
                f = np.exp(-((q - 0.15 - 1.2 / a) / 0.06) ** 2) + 0.3 * np.exp(-((q - 0.3 - 2.4 / a) / 0.08) ** 2) + sphere(q * a * 1.5) ** 2
            total += w * f
        out[i] = total / total.max() * 10 ** rng.uniform(3, 4.5) + rng.uniform(2, 20)
    return rng.poisson(out).astype(np.float64), out, label


def stabilised(counts):
    """Anscombe: noise of variance 1 in every pixel; [image][pixel]."""
    return (2 * np.sqrt(counts + 0.375)).astype(np.float32).reshape(len(counts), -1)


def counts(image):
    return np.maximum((image.astype(np.float64) / 2) ** 2 - 0.375, 0).reshape(-1, N, N)


RINGS = np.rint(np.hypot(*np.meshgrid(*[np.arange(N) - (N - 1) / 2] * 2))).astype(int).ravel() - 1
RING_SIZE = np.bincount(RINGS)


def curves(images):
    """I(q): mean over rings."""
    return np.stack([np.bincount(RINGS, im.ravel()) for im in images]) / RING_SIZE


def chi2(decoded, given):
    """Squared difference of I(q) over its counting noise, mean over rings."""
    a, b = curves(decoded), curves(given)
    return float(((a - b) ** 2 / (np.maximum(b, 0.5) / RING_SIZE)).mean())


def sensed(a):
    """Per column, its square along I(q): in the units of the square root, where a ring's counting noise is 1, (I' - I)/sigma is the error along the ring's unit vector."""
    r = (RINGS[None] == np.arange(len(RING_SIZE))[:, None]) / np.sqrt(RING_SIZE)[:, None]
    return np.square(r @ a).sum(0)


# ---------------------------------------------------------------- dictionaries

class Sparse:
    """x ~ A z with unit columns; z by FISTA on 1/2 |A z - x|^2 + lambda |f z|_1, f diagonal: what an element costs in bits over the mean. After that the values are
    solved for on their support alone, which removes the shrinkage. The columns begin as principal components and as images, and move by least squares."""
    def __init__(self, x, over, rng):
        n = x.shape[1]
        _, b = np.linalg.eigh(x.T @ x / len(x))
        own = b[:, ::-1][:, :min(n, int(over * n))]
        more = int(over * n) - own.shape[1]
        pick = x[rng.permutation(len(x))[:more]].T if more > 0 else np.zeros((n, 0), np.float32)
        # Without what the first components say of them, and without noise.
        middle = b[:, ::-1][:, 3:48]
        pick = middle @ (middle.T @ pick)
        self.a = np.concatenate([own, pick], 1).astype(np.float32)
        self.weight = np.ones(self.a.shape[1], np.float32)
        self.normalise()

    def learned(self, z, step):
        """Columns that images to learn from use, and how much."""
        q = np.rint(z / step)
        self.used = (q != 0).any(0)
        self.spread = np.sqrt((q[:, self.used] ** 2).mean(0)) * step[self.used]

    def normalise(self):
        self.a /= np.maximum(np.sqrt((self.a ** 2).sum(0)), 1e-6)

    def code(self, x, penalty, steps=25, start=None):
        g = self.a.T @ self.a
        v = np.ones(g.shape[0], np.float32)
        for _ in range(15):
            v = g @ v
            v /= np.linalg.norm(v)
        size = 1.02 * float(v @ g @ v)
        c, t = x @ self.a, 1.0
        z = np.zeros_like(c) if start is None else start.copy()
        y = z
        for _ in range(steps):
            w = y - (y @ g - c) / size
            new = np.sign(w) * np.maximum(np.abs(w) - penalty * self.weight / size, 0)
            s = 0.5 * (1 + math.sqrt(1 + 4 * t * t))
            y = new + (t - 1) / s * (new - z)
            z, t = new, s
        return z

    def debiased(self, x, z, limit=160):
        """Least squares on the support, image by image; the largest `limit` of a support that is larger."""
        out = np.zeros_like(z)
        for i, row in enumerate(z):
            at = np.flatnonzero(row)
            if len(at) > limit:
                at = np.sort(at[np.argsort(-np.abs(row[at]))[:limit]])
            if len(at):
                s = self.a[:, at].astype(np.float64)
                out[i, at] = np.linalg.solve(s.T @ s + 1e-4 * np.eye(len(at)), s.T @ x[i])
        return out

    def move(self, x, z):
        """Columns that are used, by a damped least-squares step."""
        used = np.flatnonzero((z != 0).sum(0) > 2)
        if len(used) == 0:
            return
        u = z[:, used].astype(np.float64)
        rest = x - z @ self.a.T
        h = u.T @ u
        h += (1e-2 * np.trace(h) / len(h)) * np.eye(len(h))
        self.a[:, used] += 0.7 * np.linalg.solve(h, u.T @ rest).T.astype(np.float32)
        self.normalise()


# ---------------------------------------------------------------- bits

class Bit:
    """The adaptive bit of Sources/Codecs/Entropy: 12-bit probability, fast at first. What it costs is what the range coder spends, to a thousandth."""
    __slots__ = ("p", "n")
    RATES = (1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 5)
    COST = [0.0] + [-math.log2(k / 4096) for k in range(1, 4096)]

    def __init__(self):
        self.p, self.n = 2048, 0

    def __call__(self, bit):
        c = Bit.COST[4096 - self.p if bit else self.p]
        r = Bit.RATES[min(self.n, 10)]
        if self.n < 10:
            self.n += 1
        if bit:
            self.p -= (self.p - 32) >> r
        else:
            self.p += (4096 - 32 - self.p) >> r
        return c


class Golomb:
    """Exp-Golomb code of numbers from 0 on: an adaptive prefix, the suffix as it is but for its highest bit, which adapts too."""
    def __init__(self, length=24):
        self.prefix, self.top = [Bit() for _ in range(length)], [[Bit() for _ in range(4)] for _ in range(length)]

    def __call__(self, v):
        n, cost = (v + 1).bit_length() - 1, 0.0
        for k in range(n):
            cost += self.prefix[k](1)
        cost += self.prefix[n](0)
        rest = (v + 1) - (1 << n)
        if n >= 2:
            two = rest >> (n - 2)
            cost += self.top[n][0](two >> 1) + self.top[n][1 + (two >> 1)](two & 1) + n - 2
        elif n == 1:
            cost += self.top[1][0](rest)
        return cost


def sparse_bits(q, channels):
    """Bits of whole-numbered codes [image][channel][y][x]: number of non-zero ones, gaps of their sorted places, signs, magnitudes by channel.
    Returns (counts, gaps, signs, magnitudes), and the number of non-zero values."""
    flat = q.reshape(len(q), -1)
    number, gap, size = Golomb(), Golomb(), [[Bit() for _ in range(14)] for _ in range(channels)]
    spent, total, places = [0.0, 0.0, 0.0, 0.0], 0, flat.shape[1] // channels
    for row in flat:
        at = np.flatnonzero(row)
        spent[0] += number(len(at))
        last = -1
        for i in at:
            spent[1] += gap(int(i) - last - 1)
            last = int(i)
            m, c = abs(int(row[i])) - 1, size[int(i) // places]
            for k in range(12):
                spent[3] += c[k](1 if m > k else 0)
                if m <= k:
                    break
            else:
                spent[3] += 2 * (m - 11).bit_length() + 1
        spent[2] += len(at)
        total += len(at)
    return spent, total


def dense_bits(q, channels):
    """Bits of whole numbers with an adaptive model per channel."""
    flat = q.reshape(len(q), channels, -1)
    spent = 0.0
    for c in range(channels):
        zero, bits = Bit(), [Bit() for _ in range(24)]
        for v in flat[:, c].ravel():
            v = int(v)
            spent += zero(1 if v else 0)
            if v:
                spent += 1
                m, n = abs(v), abs(v).bit_length()
                for k in range(n - 1):
                    spent += bits[k](1)
                spent += bits[n - 1](0) + n - 1
    return spent


def entropy(p):
    return -(p * math.log2(p) + (1 - p) * math.log2(1 - p)) if 0 < p < 1 else 0.0


# ---------------------------------------------------------------- weights

LOSS = 0.05                 # dB that rounding the dictionary may cost


def rounded(a, steps):
    """Columns rounded with a step each, and the bytes they take: entropies of classes of columns by half octaves of spread over step, with the tables of
    those and 16 bits for a step."""
    k = np.rint(a / steps).astype(int)
    classes = np.rint(2 * np.log2(np.maximum(k.std(0), 0.05))).astype(int)
    bits = 16.0 * a.shape[1]
    for c in np.unique(classes):
        _, n = np.unique(k[:, classes == c], return_counts=True)
        bits += -(n * np.log2(n / n.sum())).sum() + 16 * len(n)
    return (k * steps).astype(np.float32), bits / 8


def equal_slope(a, spread, noise):
    """Steps of a noise per pixel: a column's error counts with the power of its code, so that its step goes with the inverse of that (THEORY 4.2)."""
    return np.sqrt(12 * noise / len(spread)) / np.maximum(spread, 1e-3)


def at_bits(a, spread, bits):
    """Equal-slope steps whose bytes are `bits` a weight."""
    low, high = -24.0, 8.0
    for _ in range(24):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if 8 * rounded(a, equal_slope(a, spread, 4.0 ** middle))[1] > bits * a.size else (low, middle)
    return equal_slope(a, spread, 4.0 ** high)


# ---------------------------------------------------------------- measures

def evaluate(s, q, step, x, data, truth, dense, weights):
    """Everything about coded images: error, I(q), bits, ratios with and without the dictionary `weights` = (columns as stored, bytes)."""
    a, size = weights
    used, q = s.used, np.where(s.used, q, 0)
    d = (q * step)[:, used].astype(np.float32) @ a.T
    got = counts(d)
    n = q.shape[1]
    out = {"mse": float(((d - x) ** 2).mean()), "chi2": chi2(got, data), "images": len(data), "latents": n, "used": int(used.sum()), "weights": int(a.size), "weight_bytes": size}
    if dense:
        stream = dense_bits(q[:, :, None], n)
    else:
        spent, nonzero = sparse_bits(q[:, :, None], min(n, 16))
        stream = sum(spent)
        density = nonzero / q.size
        out.update(parts=[s / len(data) for s in spent], nonzero=nonzero / len(data), bitmap=float(n), raw_index=nonzero / len(data) * math.ceil(math.log2(n)), bernoulli=n * entropy(density))
    out["bits"] = stream / len(data)
    out["ratio"] = 8 * RAW * len(data) / stream
    out["ratio_all"] = 8 * RAW * len(data) / (stream + 8 * size)
    out["break_even"] = 8 * size / (8 * RAW - stream / len(data))
    # How many images bring the ratio with the dictionary to 100.
    out["hundred"] = 8 * size / (0.08 * RAW - stream / len(data)) if stream / len(data) < 0.08 * RAW else math.inf
    outer = RINGS > 0.6 * RINGS.max()
    def high(v):
        v = v.reshape(len(v), -1)[:, outer]
        return np.var(v - v.mean(1, keepdims=True))
    def field(v): return 2 * np.sqrt(np.maximum(v, 0) + 0.375)
    out["high_q"] = float(high(field(got)) / max(high(field(truth)), 1e-9))
    return out, got


def neighbours(known, labels, x, y, k=5):
    right = 0
    for row, label in zip(x, y):
        d = ((known - row) ** 2).sum(1)
        right += np.bincount(labels[np.argpartition(d, k)[:k]], minlength=len(KINDS)).argmax() == label
    return right / len(x)


# ---------------------------------------------------------------- driver

class Images:
    def __init__(self, o):
        self.x = stabilised(scattering(o.train, 1)[0])
        self.data, self.truth, self.kinds = scattering(o.images, 2)
        self.late = stabilised(self.data)
        self.smooth, self.smooth_truth, _ = scattering(o.images // 4, 3, ["sphere"])
        self.detector = None
        if o.data:
            with h5py.File(os.path.join(o.data, "sans2d_detector.h5")) as f:
                v = np.nan_to_num(f["intensity"][:].astype(float))
            self.detector = np.maximum(v, 0).reshape(6, N, 6, N).transpose(0, 2, 1, 3).reshape(-1, N, N)


def measured(s, name, over, penalty, images, o):
    """One dictionary: codes of later images, and for every step of the codes what they cost and keep."""
    dense, late = over < 1, images.late
    def coded(v): return v @ s.a if dense else s.debiased(v, s.code(v, penalty, o.steps))
    known = images.x[:len(late)]
    z, learned = coded(late), coded(known)
    smooth = coded(stabilised(images.smooth))
    detector = None if images.detector is None else coded(stabilised(images.detector))
    half, m = len(z) // 2, o.neighbours
    def tell(v): return neighbours(v[:half], images.kinds[:half], v[half:half + m], images.kinds[half:half + m])
    out = {"name": name, "penalty": penalty, "dense": dense, "over": over, "image_neighbours": tell(late), "steps": []}
    if not dense:
        out["before_debias"] = float(((s.code(late[:256], penalty, 40) @ s.a.T - late[:256]) ** 2).mean())
    for coarse, weight in [(v, w) for w in (0.0, 15.0) for v in o.code_steps]:
        step = coarse / np.sqrt(1 + weight * sensed(s.a))
        def whole(v): return np.rint(v / step).astype(np.int64)
        q = whole(z)
        s.learned(learned, step)
        a = s.a[:, s.used]
        plain = float(((q * step)[:, s.used] @ a.T - late).__pow__(2).mean())
        taught = float(((whole(learned) * step)[:, s.used] @ a.T - known).__pow__(2).mean())
        weights = rounded(a, equal_slope(a, s.spread, taught * (10 ** (LOSS / 10) - 1)))
        found, got = evaluate(s, q, step, late, images.data, images.truth, dense, weights)
        found.update(step=coarse, aligned=weight, plain_mse=plain, smooth=evaluate(s, whole(smooth), step, stabilised(images.smooth), images.smooth, images.smooth_truth, dense, weights)[0])
        if detector is not None:
            found["detector"] = evaluate(s, whole(detector), step, stabilised(images.detector), images.detector, images.detector, dense, weights)[0]
        def loss(w): return 10 * math.log10(float(((q * step)[:, s.used] @ w.T - late).__pow__(2).mean()) / plain)
        found["weight_bits"] = {str(b): {"equal_slope": loss(rounded(a, at_bits(a, s.spread, b))[0]), "largest": loss(rounded(a, 2 * np.abs(a).max(0) / (2 ** b - 1))[0])} for b in (16, 8, 6)}
        codes = (np.sign(q) * np.sqrt(np.abs(q))).astype(np.float32)
        found["neighbours"] = {"decoded": tell(stabilised(got)), "latent": tell(codes)}
        out["steps"].append(found)
    return out


def transform(o, images):
    """The program's own transform codecs on the same stabilised images: ratio and chi^2/m along the error."""
    path, out = os.path.join(o.output, "images.h5"), []
    with h5py.File(path, "w") as f:
        f["image"] = images.late.reshape(-1, N, N)
    reference = float(images.late.max() - images.late.min())
    for mse in (4.0, 2.0, 1.0, 0.5, 0.25):
        packed, back = os.path.join(o.output, "images.ald"), os.path.join(o.output, "back.h5")
        tool(o.tool, "compress", path, "-f", "image", "--psnr", f"{20 * math.log10(reference) - 10 * math.log10(mse):.3f}", "-o", packed, "-q")
        tool(o.tool, "decompress", packed, "-o", back, "-q")
        with h5py.File(back) as f:
            d = f["image"][:].reshape(len(images.late), -1)
        out.append({"mse": float(((d - images.late) ** 2).mean()), "chi2": chi2(counts(d), images.data), "ratio": RAW * len(images.late) / os.path.getsize(packed)})
        os.remove(back)
    return out


def run(o):
    os.makedirs(o.output, exist_ok=True)
    cells, started, images = Cells(os.path.join(o.output, "sl1.jsonl")), time.time(), Images(o)
    for over in o.over:
        dense, s, z = over < 1, None, None
        for k, penalty in enumerate(o.penalties if not dense else [0.0]):
            name = f"{'dense' if dense else 'sparse'}-{over:g}-{penalty:g}"
            path = os.path.join(o.output, name + ".npz")
            if name in cells.known:
                continue
            if time.time() - started > o.seconds:
                print("out of time; run again to go on")
                return
            s = s or Sparse(images.x, over, np.random.default_rng(1))
            if os.path.exists(path):
                with np.load(path) as f:
                    s.a, s.weight = f["a"], f["weight"]
            elif not dense:
                for _ in range(o.rounds if k == 0 else o.rounds // 2):
                    z = s.code(images.x, penalty, 15, z)
                    s.move(images.x, s.debiased(images.x, z))
                used = (np.abs(z) > 1).sum(0)
                cost = 3 - np.log2(np.maximum(used, 1) / max(1, used.max())) / 2
                s.weight = (cost / np.average(cost, weights=used + 1e-9)).astype(np.float32)
                np.savez(path, a=s.a, weight=s.weight)
            cells(name, lambda: measured(s, name, over, penalty, images, o))
    if o.tool:
        cells("transform", lambda: transform(o, images))
    def bernoulli():
        gap, at = Golomb(), np.flatnonzero(np.random.default_rng(5).random(2_000_000) < 0.03)
        return {"bits": sum(gap(int(v)) for v in np.diff(at, prepend=-1) - 1) / len(at), "ideal": entropy(0.03) / 0.03, "raw": math.log2(2_000_000)}
    cells("bernoulli", bernoulli)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--output", required=True)
    p.add_argument("--data", help="folder with sans2d_detector.h5")
    p.add_argument("--tool", help="the program alidade")
    p.add_argument("--train", type=int, default=2048)
    p.add_argument("--images", type=int, default=1024)
    p.add_argument("--rounds", type=int, default=6)
    p.add_argument("--over", nargs="+", type=float, default=[1.0, 0.015625, 0.03125, 0.046875, 0.0625], help="elements of the code over pixels; below 1: dense, principal components")
    p.add_argument("--penalties", nargs="+", type=float, default=[4.0, 8.0, 16.0, 2.0], help="lambda, in counting noise")
    p.add_argument("--code-steps", nargs="+", type=float, default=[6.0, 3.0, 1.5], help="of the values of the codes, in counting noise of a pixel")
    p.add_argument("--steps", type=int, default=60, help="of FISTA when images are coded")
    p.add_argument("--neighbours", type=int, default=512)
    p.add_argument("--seconds", type=float, default=1e9, help="no new training after so many")
    run(p.parse_args())


if __name__ == "__main__":
    main()
