#!/usr/bin/env python3
"""Rows GL-1 ... GL-12 of the law for learned codecs: small tile autoencoders with a factorised prior, trained for the error alone and,
from there, for error and observable. See README.md.

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

EDGE = 16
RATES = {"low": 2.0, "middle": 4.0, "high": 8.0}     # signal over step, so that rates differ by one bit per active latent
WEIGHTS = (0.0, 1.0, 4.0, 0.25)


# ---------------------------------------------------------------- data

def tiles(planes):
    """[plane][component][y][x] cut into tiles of EDGE^2."""
    p, c, n, m = planes.shape
    t = planes.reshape(p, c, n // EDGE, EDGE, m // EDGE, EDGE).transpose(0, 2, 4, 1, 3, 5)
    return np.ascontiguousarray(t.reshape(-1, c, EDGE, EDGE), dtype=np.float32)


def domain(name, data, solver):
    """Tiles to learn from and, of later steps, to measure on; each component in units of its root mean square."""
    def file(f):
        return h5py.File(os.path.join(data, f), "r")
    if name == "turb2d":
        w = file("turb2d_kolmogorov_256.h5")["vorticity"][:][:, None]
        early, late = tiles(w[:16]), tiles(w[18:])
    elif name == "cosmo":
        w = np.log1p(file("cosmo_density_64.h5")["density"][:])
        w = w.reshape(w.shape[0], 64, 1, 64, 64)
        early, late = tiles(w[:4, ::2].reshape(-1, 1, 64, 64)), tiles(w[4])
    else:
        u = file("turb3d_kolmogorov_64.h5")["velocity"][:] if name == "turb3d" else h5py.File(solver, "r")["velocity"][:]
        # Planes at right angles to z; the components along their first and second axis.
        u = np.moveaxis(u[:, :2], -1, 1) if name == "turb3d" else np.moveaxis(u[:, [1, 0]], 2, 1)
        # The vortex breaks up in the first half of its run.
        u = u if name == "turb3d" else u[len(u) // 2:]
        k = len(u) - 2 if name == "turb3d" else len(u) - 1
        n = u.shape[-1]
        early, late = tiles(u[:k, ::2].reshape(-1, 2, n, n)), tiles(u[k:, ::2].reshape(-1, 2, n, n))
    scale = np.sqrt((early ** 2).mean(axis=(0, 2, 3), keepdims=True))
    rng = np.random.default_rng(1)
    pick = rng.permutation(len(late))[:1536]
    return torch.from_numpy(early / scale), torch.from_numpy(late[pick] / scale)


# ---------------------------------------------------------------- observables of a tile

def difference(a, axis):
    d = (a.narrow(axis, 2, EDGE - 2) - a.narrow(axis, 0, EDGE - 2)) * 0.5
    other = 5 - axis
    return d.narrow(other, 1, EDGE - 2)


def shells():
    k = np.fft.fftfreq(EDGE) * EDGE
    r = np.rint(np.hypot(k[:, None], k[None])).astype(int)
    return torch.from_numpy(r.ravel()), int(r.max()) + 1


SHELL, SHELLS = shells()
HANN = torch.hann_window(EDGE)[:, None] * torch.hann_window(EDGE)[None]


def power(x):
    """Power of each shell of a tile under a Hann window."""
    t = torch.fft.fft2(x * HANN)
    p = (t.real ** 2 + t.imag ** 2).sum(1).flatten(1)
    return torch.zeros(x.shape[0], SHELLS).index_add(1, SHELL, p) / EDGE ** 2


def observe(name, x):
    if name == "box":
        return F.avg_pool2d(x, 4).flatten(1)
    if name == "gradient":
        return torch.cat([difference(x, 2), difference(x, 3)], 1).flatten(1)
    if name == "vorticity":      # of the components along the first and the second axis
        return (difference(x[:, 1:2], 2) - difference(x[:, 0:1], 3)).flatten(1)
    if name == "energy":
        return (x * x).mean((2, 3))
    return (power(x) + 1e-6).sqrt()


def observables(components):
    return ["box", "vorticity" if components == 2 else "gradient", "spectrum", "energy"]


# ---------------------------------------------------------------- codec

class Codec(nn.Module):
    """y = E x + r_e(x), x^ = D y + r_d(y) with rounding to whole numbers in between; r are networks of one hidden layer, 0 at first.

    Each latent has a logistic prior. E and D begin as the principal components, in steps.
    """
    def __init__(self, basis, step, width=48):
        super().__init__()
        n = basis.shape[0]
        self.unit = step
        self.analysis, self.synthesis = nn.Parameter(basis.T.clone()), nn.Parameter(basis.clone())
        self.gain = nn.Parameter(torch.zeros(n))
        self.e1, self.e2, self.d1, self.d2 = nn.Linear(n, width), nn.Linear(width, n), nn.Linear(n, width), nn.Linear(width, n)
        for last in (self.e2, self.d2):
            nn.init.zeros_(last.weight), nn.init.zeros_(last.bias)
        self.scale, self.mean = nn.Parameter(torch.zeros(n)), nn.Parameter(torch.zeros(n))

    def encode(self, x):
        u = x.flatten(1) / self.unit
        return self.gain.exp() * (u @ self.analysis.T + self.e2(F.leaky_relu(self.e1(u), 0.125)))

    def decode(self, y):
        v = y * torch.exp(-self.gain)
        return self.unit * (v @ self.synthesis.T + self.d2(F.leaky_relu(self.d1(v), 0.125)))

    def nats(self, y):
        s = self.scale.exp()
        a = (y - self.mean).abs()
        # F(b + 1/2) - F(b - 1/2) of the logistic distribution, without cancellation in the tails.
        upper, lower = torch.sigmoid((0.5 - a) / s), torch.sigmoid((-0.5 - a) / s)
        return -(upper - lower).clamp_min(1e-9).log().sum(1)


def principal(x):
    v = x.flatten(1).double()
    _, b = torch.linalg.eigh(v.T @ v / len(v))
    return b.flip(1).float()


def train(codec, x, updates, rate, distortion, observable=None, weight=0.0, seed=1, batch=128):
    """Minimises R + distortion (D + weight P): nats, squared error of the tile, squared error of its observable."""
    g = torch.Generator().manual_seed(seed)
    slow = [p for n, p in codec.named_parameters() if n not in ("gain", "scale", "mean")]
    fast = [codec.gain, codec.scale, codec.mean]
    o = torch.optim.Adam([{"params": slow, "lr": rate}, {"params": fast, "lr": 8 * rate}], betas=(0.9, 0.98))
    s = torch.optim.lr_scheduler.LambdaLR(o, lambda t: 0.05 + 0.475 * (1 + math.cos(math.pi * t / updates)))
    for _ in range(updates):
        b = x[torch.randint(len(x), (batch,), generator=g)]
        y = codec.encode(b)
        noisy = y + torch.rand(y.shape, generator=g) - 0.5
        d = codec.decode(noisy).view_as(b)
        loss = codec.nats(noisy).mean() + distortion * (d - b).square().sum((1, 2, 3)).mean()
        if observable:
            loss = loss + distortion * weight * (observe(observable, d) - observe(observable, b)).square().sum(1).mean()
        if not torch.isfinite(loss):
            raise SystemExit("the loss is not finite")
        o.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(slow, 100.0)
        o.step()
        s.step()


@torch.no_grad()
def measured(codec, x, names):
    """On rounded latents: bits per value by the prior, D and P per tile."""
    y = codec.encode(x)
    q = torch.round(y - codec.mean) + codec.mean
    d = codec.decode(q).view_as(x)
    out = {"bits": (codec.nats(q).mean() / math.log(2) / x[0].numel()).item(), "D": (d - x).square().sum((1, 2, 3)).mean().item(),
           "D0": (codec.decode(y).view_as(x) - x).square().sum((1, 2, 3)).mean().item()}
    for n in names:
        out[n] = (observe(n, d) - observe(n, x)).square().sum(1).mean().item()
    return out, d


# ---------------------------------------------------------------- geometry of the codec trained for D

class Geometry:
    """G_D, G_P, G_R of a codec, means over tiles; noise and its errors by law B at equal rate."""

    def __init__(self, codec, x, names, count=16):
        with torch.no_grad():
            y = codec.encode(x)
            q = torch.round(y - codec.mean) + codec.mean
            self.variance = y.var(0).double().numpy()
            self.error = (q - y).square().mean(0).double().numpy()
        n, at = y.shape[1], q[:: max(1, len(q) // count)][:count]
        shape = (1,) + tuple(x.shape[1:])
        def decode(v): return codec.decode(v[None])[0]
        jacobians = torch.func.vmap(torch.func.jacfwd(decode))(at).detach()
        self.G = {"D": np.zeros((n, n))}
        self.J = jacobians.mean(0).double().numpy()
        for name in names:
            self.G[name] = np.zeros((n, n))
        for v, j in zip(at, jacobians):
            j = j.double()
            self.G["D"] += (j.T @ j).numpy() / count
            field = codec.decode(v[None]).detach()[0]
            for name in names:
                jo = torch.func.jacrev(lambda f: observe(name, f.view(shape))[0])(field).double() @ j
                self.G[name] += (jo.T @ jo).numpy() / count
        self.known = {}
        self.R = np.diag(1 / np.maximum(self.variance, 1e-12))
        self.multiplier = 12.0 / np.median(np.diag(self.G["D"])[self.error > 0.06]) if (self.error > 0.06).any() else 12.0
        self.base = self.noise("D", 0.0, self.multiplier)
        self.nats = self.rate(self.base)

    def noise(self, name, weight, multiplier):
        return np.linalg.inv(self.R + multiplier * (self.G["D"] + weight * self.G[name]))

    def rate(self, s):
        sign, ln = np.linalg.slogdet(s)
        return 0.5 * (np.trace(self.R @ s) - ln + np.log(self.variance.clip(1e-12)).sum() - len(s)) if sign > 0 else np.inf

    def relative(self, name):
        """P over D at the codec's own noise: what makes weights dimensionless."""
        return np.trace(self.G[name] @ self.base) / np.trace(self.G["D"] @ self.base)

    def traded(self, name, normalised):
        """At the rate of the codec: noise for weight lambda^, the multiplier relative to the codec's, D and P relative to the codec's."""
        if (name, normalised) in self.known:
            return self.known[name, normalised]
        weight = normalised / self.relative(name)
        low, high = math.log(self.multiplier) - 8, math.log(self.multiplier) + 1
        for _ in range(24):
            middle = 0.5 * (low + high)
            if self.rate(self.noise(name, weight, math.exp(middle))) > self.nats:
                high = middle
            else:
                low = middle
        m = math.exp(0.5 * (low + high))
        s = self.noise(name, weight, m)
        d = np.trace(self.G["D"] @ s) / np.trace(self.G["D"] @ self.base)
        p = np.trace(self.G[name] @ s) / np.trace(self.G[name] @ self.base)
        self.known[name, normalised] = s, m / self.multiplier, d, p
        return self.known[name, normalised]

    def whitened(self, name):
        r = np.sqrt(self.variance)
        return r[:, None] * self.G[name] * r[None]

    def overlap(self, name):
        """omega at k* of spaces whitened by the prior, its chance level, and the corrected value."""
        spaces, ranks = [], []
        for h in (self.whitened("D"), self.whitened(name)):
            v, u = np.linalg.eigh(h)
            v, u = v[::-1], u[:, ::-1]
            spaces.append(u), ranks.append(int(np.searchsorted(np.cumsum(v) / v.sum(), 0.9)) + 1)
        k, n = min(ranks), len(v)
        omega = np.square(spaces[0][:, :k].T @ spaces[1][:, :k]).sum() / k
        return omega, k, (omega - k / n) / (1 - k / n)

    def spectrum(self, name):
        """Eigenvalues of the pencil where latents are active, over their mean."""
        on = self.variance > 1 / 12
        d, p = self.G["D"][np.ix_(on, on)], self.G[name][np.ix_(on, on)]
        l = np.linalg.inv(np.linalg.cholesky(d + 1e-9 * np.trace(d) / len(d) * np.eye(len(d))))
        a = np.linalg.eigvalsh(l @ p @ l.T).clip(0)
        return a / a.mean()

    def flatness(self, name, weight):
        """AM/GM of the eigenvalues of Sigma_q^1/2 (G_D + lambda G_P) Sigma_q^1/2 where latents are active: 1 where training has reached the optimum."""
        on = self.variance > 1 / 12
        g = self.G["D"] + (weight * self.G[name] if weight else 0)
        r = np.sqrt(self.error)
        v = np.linalg.eigvalsh((r[:, None] * g * r[None])[np.ix_(on, on)]).clip(1e-15)
        return v.mean() / np.exp(np.log(v).mean())


def law_start(base, basis, g, name, normalised):
    """The codec with latents changed linearly so that unit steps give the noise of law B: C^1/2 M C^1/2 = V k V^T with M = G_R + mu (G_D + lambda G_P),
    y' = (k/12)^1/2 V^T C^-1/2 y. The latents stay uncorrelated; the networks' layers next to them absorb the map."""
    weight = normalised / g.relative(name)
    _, multiplier, _, _ = g.traded(name, normalised)
    m = np.linalg.inv(g.noise(name, weight, multiplier * g.multiplier))
    c = np.sqrt(g.variance)
    k, v = np.linalg.eigh(c[:, None] * m * c[None])
    t = np.sqrt(k / 12)[:, None] * v.T / c[None]
    back = c[:, None] * v * np.sqrt(12 / k)[None]
    gain = base.gain.detach().double().exp().numpy()
    t, back = torch.from_numpy(t * gain[None]).float(), torch.from_numpy(back / gain[:, None]).float()
    codec = Codec(basis, base.unit)
    codec.load_state_dict(base.state_dict())
    with torch.no_grad():
        codec.analysis.copy_(t @ base.analysis)
        codec.e2.weight.copy_(t @ base.e2.weight), codec.e2.bias.copy_(t @ base.e2.bias)
        codec.synthesis.copy_(base.synthesis @ back)
        codec.d1.weight.copy_(base.d1.weight @ back)
        codec.gain.zero_()
        codec.mean.copy_(t @ (base.mean * torch.exp(-base.gain)))
        codec.scale.copy_(torch.from_numpy(0.55 * np.sqrt(k / 12)).float().clamp_min(0.05).log())
    return codec


def reallocation(g, name, normalised, errors, base):
    """Where the errors went: ln of their power over the base codec's against that of the law, along the directions of the law.

    Errors of both codecs are pulled back by the base codec's decoder. Returns the slope (law: 1), and noise of the stiffest tenth over the softest,
    relative to the base: measured, and by the law.
    """
    s, _, _, _ = g.traded(name, normalised)
    l = np.linalg.cholesky(np.linalg.inv(g.base))
    k, v = np.linalg.eigh(l.T @ s @ l)                    # noise of the law over the base's, direction by direction
    back = np.linalg.pinv(g.J, rcond=1e-6)
    def powers(e): return np.square(e.double().flatten(1).numpy() @ back.T @ l @ v).mean(0)
    ratio, law = np.log(powers(errors) / powers(base)), np.log(k)
    w = law - law.mean()
    slope = float((w * ratio).sum() / (w * w).sum()) if (w * w).sum() > 1e-6 * len(w) else float("nan")
    tenth = max(1, len(k) // 10)
    stiff, soft = slice(0, tenth), slice(len(k) - tenth, None)
    def quotient(v): return float(np.exp(v[stiff]).mean() / np.exp(v[soft]).mean())
    return slope, quotient(ratio), quotient(law)


# ---------------------------------------------------------------- rows that need one codec only

@torch.no_grad()
def validity(codec, x, g, names):
    """tr(G Sigma) against what uniform noise of several widths adds to the decoded field (GL-7)."""
    rng = torch.Generator().manual_seed(3)
    y = codec.encode(x)
    clean = codec.decode(y).view_as(x)
    rows = []
    for width in np.logspace(-1.5, 0.5, 10):
        d = codec.decode(y + (torch.rand(y.shape, generator=rng) - 0.5) * width).view_as(x)
        row = {"width": float(width)}
        for name in ["D", *names]:
            moved = (d - clean).square().sum((1, 2, 3)) if name == "D" else (observe(name, d) - observe(name, clean)).square().sum(1)
            row[name] = float(np.trace(g.G[name]) * width ** 2 / 12 / moved.mean().item() - 1)
        rows.append(row)
    return rows


@torch.no_grad()
def bias(codec, x):
    """Error of the mean power of each shell over all tiles: measured, by the tangent, and with the energy that noise adds (GL-12)."""
    rng = torch.Generator().manual_seed(4)
    y = codec.encode(x)
    q = torch.round(y - codec.mean) + codec.mean
    truth, decoded = power(x), power(codec.decode(q).view_as(x))
    clean = codec.decode(y).view_as(x)
    noise = codec.decode(y + torch.rand(y.shape, generator=rng) - 0.5).view_as(x) - clean
    tangent = 4 * (torch.fft.fft2(clean * HANN).conj() * torch.fft.fft2(noise * HANN)).real
    spread = torch.zeros(len(x), SHELLS).index_add(1, SHELL, tangent.sum(1).flatten(1)) / EDGE ** 2 / 2
    added = power(noise).mean(0)
    e = truth.mean(0)
    modes = torch.bincount(SHELL, minlength=SHELLS) * x.shape[1] * len(x) / 2
    rel = lambda v: float((v / e).square().mean().sqrt())
    return {"measured": rel(decoded.mean(0) - e), "tangent": float((spread.var(0) / len(x) / e ** 2).mean().sqrt()), "uniform": rel(added),
            "bias_shells": float((added > 4 * e / modes).float().mean())}


# ---------------------------------------------------------------- driver

def load(path):
    with open(path) as f:
        return json.load(f)


def save(path, value):
    with open(path + ".tmp", "w") as f:
        json.dump(value, f, indent=1, sort_keys=True)
    os.replace(path + ".tmp", path)


def known(x):
    """Of the tiles learned from, what geometry is taken from."""
    return x[torch.randperm(len(x), generator=torch.Generator().manual_seed(5))[:1536]]


def run(o):
    os.makedirs(o.output, exist_ok=True)
    torch.set_num_threads(o.threads)
    started = time.time()
    made = {}
    for weight in o.weights:
        for name in o.domains:
            for label in o.rates:
                try:
                    x, late = made.get(name) or domain(name, o.data, o.taylorgreen)
                except (OSError, TypeError):
                    print(f"{name}: no data, skipped", flush=True)
                    break
                made[name] = (x, late)
                names = observables(x.shape[1])
                base_path, state = os.path.join(o.output, f"{name}-{label}.json"), os.path.join(o.output, f"{name}-{label}.pt")
                basis = principal(x)
                if not os.path.exists(base_path):
                    step = float(x.square().mean().sqrt()) / RATES[label] * o.coarseness[name] * math.sqrt(12)
                    codec = Codec(basis, step)
                    with torch.no_grad():
                        y = codec.encode(x)
                        codec.scale.copy_((y.std(0) * 0.55).clamp_min(0.05).log())
                    train(codec, x, o.updates, 1e-3, 6 / step ** 2)
                    torch.save({"step": step, "state": codec.state_dict()}, state)
                    found, _ = measured(codec, late, names)
                    g = Geometry(codec, known(x), names)
                    found.update(domain=name, rate=label, slack=g.flatness("D", 0), active=int((g.variance > 1 / 12).sum()), latents=len(g.variance),
                                 law=g.nats / math.log(2) / len(g.variance), validity=validity(codec, late[:256], g, names), bias=bias(codec, late),
                                 weights=sum(p.numel() for p in codec.parameters()), seconds=time.time() - started)
                    save(base_path, found)
                    print(f"{time.time() - started:6.0f} s  {name} {label}: {found['bits']:.3f} bits, D {found['D']:.3g}, slack {found['slack']:.3f}", flush=True)
                if o.bases:
                    continue
                def cell(n): return os.path.join(o.output, f"{name}-{label}-{n}-{weight}{'-law' if o.start == 'law' else ''}.json")
                # Without an observable one is enough: the baseline of those that begin from the law.
                todo = [n for n in (names if weight else names[:1]) if not os.path.exists(cell(n))]
                if not todo:
                    continue
                kept = torch.load(state)
                base = Codec(basis, kept["step"])
                base.load_state_dict(kept["state"])
                reference, decoded = measured(base, late, names)
                g = Geometry(base, known(x), names)
                for n in todo:
                    _, multiplier, cost, gain = g.traded(n, weight)
                    lagrange = 6 / kept["step"] ** 2
                    codec = Codec(basis, kept["step"])
                    codec.load_state_dict(kept["state"])
                    at_start = None
                    if o.start == "law":
                        codec = law_start(base, basis, g, n, weight)
                        train(codec, x, 20, 1e-4, lagrange * multiplier, n, weight / g.relative(n) if weight else 0.0, seed=3)      # lets the prior settle
                        at_start, _ = measured(codec, late, names)
                    train(codec, x, o.further, 3e-4 if o.start == "law" else 1e-3, lagrange * multiplier, n, weight / g.relative(n), seed=2)
                    found, new = measured(codec, late, names)
                    omega, k, corrected = g.overlap(n)
                    a = g.spectrum(n)
                    h = Geometry(codec, known(x), [n], count=8)
                    slope, moved, law = reallocation(g, n, weight, new - late, decoded - late)
                    found.update(domain=name, rate=label, observable=n, weight=weight, base=reference, start=o.start, before=at_start, predicted_cost=10 * math.log10(cost),
                                 predicted_gain=-10 * math.log10(gain), omega=omega, k=k, corrected=corrected, cv2=float(a.var()),
                                 most=float(10 * math.log10(1 / np.exp(np.log(a.clip(1e-12)).mean()))), slope=slope, moved=moved, moved_law=law,
                                 flat_base=g.flatness(n, weight / g.relative(n)), flat=h.flatness(n, weight / g.relative(n)), flat_D=h.flatness("D", 0),
                                 seconds=time.time() - started)
                    save(cell(n), found)
                    print(f"{time.time() - started:6.0f} s  {name} {label} {n} {weight}: {found['bits']:.3f} bits ({reference['bits']:.3f}), "
                          f"D {10 * math.log10(found['D'] / reference['D']):+.2f} dB (law {10 * math.log10(cost):+.2f}), "
                          f"P {10 * math.log10(found[n] / reference[n]):+.2f} (law {10 * math.log10(gain):+.2f}), slope {slope:.2f}", flush=True)
                    if time.time() - started > o.seconds:
                        print("out of time; run again to go on")
                        return


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--data", required=True)
    p.add_argument("--output", required=True)
    p.add_argument("--taylorgreen", help="velocity of the solver, several steps")
    p.add_argument("--domains", nargs="+", default=["turb2d", "turb3d", "taylorgreen", "cosmo"])
    p.add_argument("--rates", nargs="+", default=list(RATES))
    p.add_argument("--weights", nargs="+", type=float, default=list(WEIGHTS))
    p.add_argument("--start", choices=("law", "base"), default="law", help="of the trainings with an observable: the codec trained for D, or its latents mapped by the law")
    p.add_argument("--updates", type=int, default=600)
    p.add_argument("--further", type=int, default=80)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--seconds", type=float, default=1e9, help="no new training after so many")
    p.add_argument("--bases", action="store_true", help="only the codecs without observables")
    o = p.parse_args()
    o.coarseness = {"turb2d": 0.15, "turb3d": 0.05, "taylorgreen": 0.05, "cosmo": 0.25}
    run(o)


if __name__ == "__main__":
    main()
