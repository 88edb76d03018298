#!/usr/bin/env python3
"""Rows SL1-1 ... SL1-6: sparse autoencoders with an L1 penalty on images of small-angle scattering. See README.md.

Each finished training is a JSON file in the output folder; what is there is not done again.
"""
import argparse
import json
import math
import os
import time

import h5py
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

N = 32                      # pixels a side
RAW = 4 * N * N             # bytes of an image in binary32
KINDS = ["sphere", "shell", "ellipsoid", "lamella"]
PIXELS = N * N


# ---------------------------------------------------------------- images

def scattering(count, seed, kinds=KINDS):
    """Counts of detectors, their expectation, and the kind of particle: form factors of random particles with a little polydispersity over a
    background; beam in the middle, 10^4 to 10^5.5 counts in the brightest pixel."""
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
        out[i] = total / total.max() * 10 ** rng.uniform(4, 5.5) + rng.uniform(2, 20)
    return rng.poisson(out).astype(np.float64), out, label


def stabilised(counts):
    """Anscombe: noise of variance 1 in every pixel; a fortieth of it for the network."""
    return torch.from_numpy((2 * np.sqrt(counts + 0.375) / 40).astype(np.float32))[:, None]


def counts(image):
    return np.maximum((40 * image[:, 0].double().numpy() / 2) ** 2 - 0.375, 0)


RINGS = np.rint(np.hypot(*np.meshgrid(*[np.arange(N) - (N - 1) / 2] * 2))).astype(int).ravel()
RING_SIZE = np.bincount(RINGS)


def curves(images):
    """I(q): mean over rings."""
    return np.stack([np.bincount(RINGS, im.ravel()) for im in images]) / RING_SIZE


def chi2(decoded, given):
    """Squared difference of I(q) over its counting noise, mean over rings."""
    a, b = curves(decoded), curves(given)
    return float(((a - b) ** 2 / (np.maximum(b, 0.5) / RING_SIZE)).mean())


# ---------------------------------------------------------------- network

class Sparse(nn.Module):
    """Codes are `channels` on 8 x 8 places; the encoder ends in a soft threshold, the proximal step of the L1 norm. f is diagonal: the penalty of a channel is
    weighted by what its non-zero values cost in bits, over the mean."""
    def __init__(self, channels, dense=False):
        super().__init__()
        self.dense = dense
        self.encoder = nn.Sequential(nn.Conv2d(1, 24, 4, 2, 1), nn.LeakyReLU(0.125), nn.Conv2d(24, 48, 4, 2, 1), nn.LeakyReLU(0.125), nn.Conv2d(48, channels, 3, 1, 1))
        self.decoder = nn.Sequential(nn.Conv2d(channels, 32, 3, 1, 1), nn.LeakyReLU(0.125), nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.LeakyReLU(0.125),
                                     nn.ConvTranspose2d(16, 1, 4, 2, 1))
        self.threshold = nn.Parameter(torch.full((1, channels, 1, 1), 0.05))
        self.register_buffer("weight", torch.ones(1, channels, 1, 1))

    def code(self, x):
        z = self.encoder(x)
        return z if self.dense else F.softshrink_(z, 0.0) if False else torch.sign(z) * F.relu(z.abs() - self.threshold.clamp_min(0))

    def size(self):
        return sum(p.numel() for p in self.decoder.parameters())


STEP = 0.25                 # of the values of the codes


def rounded(z, step=STEP):
    return torch.round(z / step)


def train(net, x, updates, penalty, rate, seed, decoder_only=False, batch=64, smooth=None):
    """Minimises the mean squared error in units of the counting noise + penalty times the mean L1 norm. Rounding by noise on what is not zero."""
    g = torch.Generator().manual_seed(seed)
    parameters = list(net.decoder.parameters()) if decoder_only else list(net.parameters())
    o = torch.optim.Adam(parameters, lr=rate)
    s = torch.optim.lr_scheduler.LambdaLR(o, lambda t: min(1, (t + 1) / 30) * (0.05 + 0.475 * (1 + math.cos(math.pi * t / updates))))
    for t in range(updates):
        b = x[torch.randint(len(x), (batch,), generator=g)]
        z = net.code(b)
        ramp = min(1.0, 5 * t / updates)
        if decoder_only:
            q = rounded(z).detach() * STEP
        else:
            q = z + (torch.rand(z.shape, generator=g) - 0.5) * STEP * (1 if net.dense else (z != 0))
        loss = 1600 * (net.decoder(q) - b).square().mean()
        if not net.dense and not decoder_only:
            loss = loss + penalty * ramp * (net.weight * z.abs()).sum((1, 2, 3)).mean() / PIXELS
        if net.dense and not decoder_only:
            loss = loss + penalty * torch.log2(1 + (z / STEP).abs()).sum((1, 2, 3)).mean() / PIXELS
        if not torch.isfinite(loss):
            raise SystemExit("the loss is not finite")
        o.zero_grad()
        loss.backward()
        o.step()
        s.step()


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

def quantised(net, bits):
    """The decoder with weights rounded per tensor, and what they cost coded by their entropy, in bytes."""
    other = Sparse(net.weight.shape[1], net.dense)
    other.load_state_dict(net.state_dict())
    spent, plain = 0.0, 0
    with torch.no_grad():
        for p in other.decoder.parameters():
            if bits < 32:
                step = 2 * p.abs().max().item() / (2 ** bits - 1)
                k = torch.round(p / step)
                p.copy_(k * step)
                _, n = torch.unique(k, return_counts=True)
                f = n.double() / n.sum()
                spent += float(-(n * f.log2()).sum()) + 32
            else:
                spent += 32 * p.numel()
            plain += bits * p.numel()
    return other, spent / 8, plain / 8


# ---------------------------------------------------------------- measures

@torch.no_grad()
def evaluate(net, data, truth, bits=8):
    """Everything about a set of images: error, I(q), bits, ratios with and without the decoder."""
    x = stabilised(data)
    z = torch.cat([net.code(b) for b in x.split(256)])
    q = rounded(z).numpy().astype(np.int64)
    coded, weights, _ = quantised(net, bits)
    d = torch.cat([coded.decoder(b) for b in torch.from_numpy(q.astype(np.float32) * STEP).split(256)])
    got = counts(d)
    out = {"mse": float(1600 * (d - x).square().mean()), "truth": float(1600 * (d - stabilised(truth - 0.25)).square().mean()),
           "chi2": chi2(got, data), "images": len(data), "latents": int(z[0].numel()), "weights": net.size(), "weight_bytes": weights}
    if net.dense:
        stream = dense_bits(q, q.shape[1])
    else:
        spent, nonzero = sparse_bits(q, q.shape[1])
        stream = sum(spent)
        density = nonzero / q.size
        out.update(parts=[s / len(data) for s in spent], nonzero=nonzero / len(data), density=density,
                   bitmap=float(z[0].numel()), raw_index=nonzero / len(data) * math.ceil(math.log2(z[0].numel())),
                   bernoulli=z[0].numel() * entropy(density))
    out["bits"] = stream / len(data)
    out["ratio"] = 8 * RAW * len(data) / stream
    out["ratio_all"] = 8 * RAW * len(data) / (stream + 8 * weights)
    out["break_even"] = 8 * weights / (8 * RAW - stream / len(data))
    # Power of the images at high q, decoded over that of the expectation.
    outer = RINGS > 0.6 * RINGS.max()
    def high(a):
        a = a.reshape(len(a), -1)[:, outer]
        return np.var(a - a.mean(1, keepdims=True))
    def field(a): return 2 * np.sqrt(a + 0.375)
    out["high_q"] = float(high(field(got)) / high(field(truth)))
    return out, q, got


def neighbours(train_x, train_y, x, y, k=5):
    right = 0
    for row, label in zip(x, y):
        d = ((train_x - row) ** 2).sum(1)
        near = np.argpartition(d, k)[:k]
        right += np.bincount(train_y[near], minlength=len(KINDS)).argmax() == label
    return right / len(x)


def save(path, value):
    with open(path + ".tmp", "w") as f:
        json.dump(value, f, indent=1, sort_keys=True)
    os.replace(path + ".tmp", path)


# ---------------------------------------------------------------- driver

def run(o):
    os.makedirs(o.output, exist_ok=True)
    torch.set_num_threads(o.threads)
    started = time.time()
    def path(name): return os.path.join(o.output, name)
    given, _, labels = scattering(o.train, 1)
    x = stabilised(given)
    data, truth, kinds = scattering(o.images, 2)
    smooth, smooth_truth, _ = scattering(o.images // 4, 3, ["sphere"])
    detector = None
    if o.data:
        with h5py.File(os.path.join(o.data, "sans2d_detector.h5")) as f:
            v = np.nan_to_num(f["intensity"][:].astype(float))
        detector = np.maximum(v, 0).reshape(6, N, 6, N).transpose(0, 2, 1, 3).reshape(-1, N, N)
    for name, channels, dense in [("sparse1", 16, False), ("dense8", 2, True), ("sparse2", 32, False), ("sparse4", 64, False), ("dense4", 4, True), ("dense16", 1, True)]:
        torch.manual_seed(1)
        net = Sparse(channels, dense)
        for k, penalty in enumerate(o.penalties):
            state = path(f"{name}-{k}.pt")
            if os.path.exists(state):
                net.load_state_dict(torch.load(state))
            else:
                if time.time() - started > o.seconds:
                    print("out of time; run again to go on")
                    return
                train(net, x, o.updates if k == 0 else o.further, penalty * (0.3 if dense else 1), 3e-3 if k == 0 else 1.5e-3, 10 + k)
                # f: what a channel's values cost, over the mean.
                if not dense:
                    with torch.no_grad():
                        z = rounded(net.code(x[:512]))
                        cost = torch.log2(1 + z.abs()).sum((0, 2, 3)) / (z != 0).sum((0, 2, 3)).clamp_min(1) + 2
                        net.weight.copy_((cost / cost.mean()).view(1, -1, 1, 1))
                before = None
                if not dense:
                    before = evaluate(net, data[:512], truth[:512])[0]["mse"]
                    train(net, x, o.further // 2, 0, 1e-3, 20 + k, decoder_only=True)      # removes the shrinkage
                torch.save(net.state_dict(), state)
                save(path(f"{name}-{k}-debias.json"), {"before": before})
            if os.path.exists(path(f"{name}-{k}.json")):
                continue
            found, q, got = evaluate(net, data, truth)
            found.update(name=name, penalty=penalty, dense=dense, over=channels * 64 / PIXELS, seconds=time.time() - started)
            with open(path(f"{name}-{k}-debias.json")) as f:
                found["before_debias"] = json.load(f)["before"]
            found["after_debias"] = evaluate(net, data[:512], truth[:512])[0]["mse"]
            found["smooth"] = {n: v for n, v in evaluate(net, smooth, smooth_truth)[0].items()}
            if detector is not None:
                found["detector"] = evaluate(net, detector, detector)[0]
            found["by_weight_bits"] = {}
            for b in (32, 16, 8, 6):
                e, _, _ = evaluate(net, data[:512], truth[:512], b)
                _, coded, plain = quantised(net, b)
                found["by_weight_bits"][b] = {"mse": e["mse"], "coded": coded, "plain": plain}
            # Codes shift with places; their size pooled over places says less but is short.
            m = o.neighbours
            codes = np.sign(q) * np.sqrt(np.abs(q))
            half = len(codes) // 2
            found["neighbours"] = {
                "image": neighbours(stabilised(data[:half]).flatten(1).numpy(), kinds[:half], stabilised(data[half:half + m]).flatten(1).numpy(), kinds[half:half + m]),
                "decoded": neighbours(stabilised(got[:half]).flatten(1).numpy(), kinds[:half], stabilised(got[half:half + m]).flatten(1).numpy(), kinds[half:half + m]),
                "latent": neighbours(codes[:half].reshape(half, -1).astype(np.float32), kinds[:half], codes[half:half + m].reshape(m, -1).astype(np.float32), kinds[half:half + m])}
            save(path(f"{name}-{k}.json"), found)
            print(f"{time.time() - started:6.0f} s  {name} {penalty}: {found['bits']:.0f} bits/image, {found['ratio']:.0f}:1 ({found['ratio_all']:.0f}:1 with decoder), "
                  f"mse {found['mse']:.2f} noise, chi2 {found['chi2']:.2f}, k-NN {found['neighbours']['latent']:.3f} ({found['neighbours']['image']:.3f})", flush=True)
    if not os.path.exists(path("bernoulli.json")):
        rng = np.random.default_rng(5)
        gap, at = Golomb(), np.flatnonzero(rng.random(2_000_000) < 0.03)
        spent = sum(gap(int(v)) for v in np.diff(at, prepend=-1) - 1)
        save(path("bernoulli.json"), {"bits": spent / len(at), "ideal": entropy(0.03) / 0.03, "raw": math.log2(2_000_000)})


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--output", required=True)
    p.add_argument("--data")
    p.add_argument("--train", type=int, default=3072)
    p.add_argument("--images", type=int, default=4096)
    p.add_argument("--updates", type=int, default=900)
    p.add_argument("--further", type=int, default=300)
    p.add_argument("--penalties", nargs="+", type=float, default=[1.0, 4.0, 12.0])
    p.add_argument("--neighbours", type=int, default=512)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--seconds", type=float, default=1e9, help="no new training after so many")
    run(p.parse_args())


if __name__ == "__main__":
    main()
