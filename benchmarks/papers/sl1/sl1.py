#!/usr/bin/env python3
"""Rows SL1-1 ... SL1-6: sparse overcomplete codes with an L1 penalty on images of small-angle scattering. See README.md.

Each finished dictionary and penalty is a JSON file in the output folder; what is there is not done again.
"""
import argparse
import json
import math
import os
import time

import h5py
import numpy as np

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


STEP = 6.0                  # of the values of the codes, in counting noise of a pixel


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

def quantised(a, bits):
    """Columns rounded with a scale each, and what they cost, coded by their entropy and plain, in bytes."""
    if bits == 32:
        return a, 4 * a.size, 4 * a.size
    step = 2 * np.abs(a).max(0) / (2 ** bits - 1)
    k = np.rint(a / np.maximum(step, 1e-12))
    _, n = np.unique(k, return_counts=True)
    f = n / n.sum()
    return (k * step).astype(np.float32), (-(n * np.log2(f)).sum() + 32 * a.shape[1]) / 8, bits * a.size / 8


# ---------------------------------------------------------------- measures

def evaluate(a, q, x, data, truth, dense, bits=16):
    """Everything about coded images: error, I(q), bits, ratios with and without the dictionary. Columns that no image uses are not counted."""
    used = (q != 0).any(0)
    rounded, weights, _ = quantised(a[:, used], bits)
    d = (q[:, used] * STEP).astype(np.float32) @ rounded.T
    got = counts(d)
    n = q.shape[1]
    out = {"mse": float(((d - x) ** 2).mean()), "chi2": chi2(got, data), "images": len(data), "latents": n, "used": int(used.sum()), "weights": int(rounded.size), "weight_bytes": weights}
    if dense:
        stream = dense_bits(q[:, :, None], n)
    else:
        spent, nonzero = sparse_bits(q[:, :, None], min(n, 16))
        stream = sum(spent)
        density = nonzero / q.size
        out.update(parts=[s / len(data) for s in spent], nonzero=nonzero / len(data), bitmap=float(n), raw_index=nonzero / len(data) * math.ceil(math.log2(n)), bernoulli=n * entropy(density))
    out["bits"] = stream / len(data)
    out["ratio"] = 8 * RAW * len(data) / stream
    out["ratio_all"] = 8 * RAW * len(data) / (stream + 8 * weights)
    out["break_even"] = 8 * weights / (8 * RAW - stream / len(data))
    # How many images bring the ratio with the dictionary to 100.
    out["hundred"] = 8 * weights / (0.08 * RAW - stream / len(data)) if stream / len(data) < 0.08 * RAW else math.inf
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


def save(path, value):
    with open(path + ".tmp", "w") as f:
        json.dump(value, f, indent=1, sort_keys=True)
    os.replace(path + ".tmp", path)


# ---------------------------------------------------------------- driver

def run(o):
    os.makedirs(o.output, exist_ok=True)
    started = time.time()
    def path(name): return os.path.join(o.output, name)
    given = scattering(o.train, 1)[0]
    x = stabilised(given)
    data, truth, kinds = scattering(o.images, 2)
    late = stabilised(data)
    smooth, smooth_truth, _ = scattering(o.images // 4, 3, ["sphere"])
    detector = None
    if o.data:
        with h5py.File(os.path.join(o.data, "sans2d_detector.h5")) as f:
            v = np.nan_to_num(f["intensity"][:].astype(float))
        detector = np.maximum(v, 0).reshape(6, N, 6, N).transpose(0, 2, 1, 3).reshape(-1, N, N)
    def coded(s, images, penalty, over):
        z = s.debiased(images, s.code(images, penalty, o.steps)) if over >= 1 else images @ s.a
        return np.rint(z / STEP).astype(np.int64)
    for over in o.over:
        dense, s, z = over < 1, None, None
        for k, penalty in enumerate(o.penalties if not dense else [0.0]):
            name = f"{'dense' if dense else 'sparse'}-{over:g}-{penalty:g}"
            if os.path.exists(path(name + ".json")):
                continue
            if time.time() - started > o.seconds:
                print("out of time; run again to go on")
                return
            s = s or Sparse(x, over, np.random.default_rng(1))
            before = None
            if not dense:
                for _ in range(o.rounds if k == 0 else o.rounds // 2):
                    z = s.code(x, penalty, 15, z)
                    s.move(x, s.debiased(x, z))
                before = float(((s.code(late[:256], penalty, 40) @ s.a.T - late[:256]) ** 2).mean())
                q = np.abs(np.rint(z / STEP))
                used = (q > 0).sum(0)
                cost = 3 - np.log2(np.maximum(used, 1) / max(1, used.max())) / 2
                s.weight = (cost / np.average(cost, weights=used + 1e-9)).astype(np.float32)
            q = coded(s, late, penalty, over)
            found, got = evaluate(s.a, q, late, data, truth, dense)
            found.update(name=name, penalty=penalty, dense=dense, over=s.a.shape[1] / x.shape[1], seconds=time.time() - started, before_debias=before,
                         after_debias=float(((q[:256] * STEP) @ s.a.T - late[:256]).__pow__(2).mean()))
            found["smooth"], _ = evaluate(s.a, coded(s, stabilised(smooth), penalty, over), stabilised(smooth), smooth, smooth_truth, dense)
            if detector is not None:
                found["detector"], _ = evaluate(s.a, coded(s, stabilised(detector), penalty, over), stabilised(detector), detector, detector, dense)
            used = (q != 0).any(0)
            found["by_weight_bits"] = {}
            for b in (32, 16, 8, 6):
                a, entropic, plain = quantised(s.a[:, used], b)
                found["by_weight_bits"][b] = {"mse": float(((q[:512][:, used] * STEP) @ a.T - late[:512]).__pow__(2).mean()), "coded": entropic, "plain": plain}
            half, m = len(q) // 2, o.neighbours
            def tell(v): return neighbours(v[:half], kinds[:half], v[half:half + m], kinds[half:half + m])
            codes = (np.sign(q) * np.sqrt(np.abs(q))).astype(np.float32)
            found["neighbours"] = {"image": tell(late), "decoded": tell(stabilised(got)), "latent": tell(codes)}
            save(path(name + ".json"), found)
            print(f"{time.time() - started:6.0f} s  {name}: {found['bits']:.0f} bits/image, {found['ratio']:.0f}:1 ({found['ratio_all']:.0f}:1 with dictionary), "
                  f"error {found['mse']:.2f} noise, chi2 {found['chi2']:.2f}, k-NN {found['neighbours']['latent']:.3f} ({found['neighbours']['image']:.3f})", flush=True)
    if not os.path.exists(path("bernoulli.json")):
        rng = np.random.default_rng(5)
        gap, at = Golomb(), np.flatnonzero(rng.random(2_000_000) < 0.03)
        spent = sum(gap(int(v)) for v in np.diff(at, prepend=-1) - 1)
        save(path("bernoulli.json"), {"bits": spent / len(at), "ideal": entropy(0.03) / 0.03, "raw": math.log2(2_000_000)})


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--output", required=True)
    p.add_argument("--data")
    p.add_argument("--train", type=int, default=1024)
    p.add_argument("--images", type=int, default=2048)
    p.add_argument("--rounds", type=int, default=6)
    p.add_argument("--over", nargs="+", type=float, default=[1.0, 0.03125, 2.0, 0.0625, 0.015625, 4.0], help="elements of the code over pixels; below 1: dense, principal components")
    p.add_argument("--penalties", nargs="+", type=float, default=[4.0, 8.0, 16.0], help="lambda, in counting noise")
    p.add_argument("--steps", type=int, default=200, help="of FISTA when images are coded")
    p.add_argument("--neighbours", type=int, default=512)
    p.add_argument("--seconds", type=float, default=1e9, help="no new training after so many")
    run(p.parse_args())


if __name__ == "__main__":
    main()
