#!/usr/bin/env python3
"""Rows GL-1 ... GL-12 of the law for learned codecs: small tile autoencoders with a factorised prior, trained for the error alone and for
error and observable. See README.md.

Each finished training is a line of JSON in the output folder; what is there is not done again.
"""
import argparse
import math
import os
import sys
import time

import h5py
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from law import Law, flatness, overlap, pencil, reallocation
from small import Cells

EDGE = 16
RATES = {"low": 2.0, "middle": 4.0, "high": 8.0}     # signal over step, so that rates differ by one bit per active latent
COARSENESS = {"turb2d": 0.15, "turb3d": 0.05, "taylorgreen": 0.05, "cosmo": 0.25}


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
    return torch.zeros(x.shape[0], SHELLS, dtype=x.dtype).index_add(1, SHELL, p) / EDGE ** 2


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


def metric(name, x):
    """Mean of J_o^T J_o over tiles, in cells; of quadratic observables also, per output: that output's, that of the energy it is a function of, and
    whether its squared error is bounded by the energy of the error."""
    n = x[0].numel()
    if name not in ("energy", "spectrum"):
        j = observe(name, torch.eye(n).view(n, *x.shape[1:])).double().numpy()
        return j @ j.T, None
    own, energy = [], []
    c, m = x.shape[1], EDGE * EDGE
    if name == "energy":
        for i in range(c):
            e = np.zeros((n, n))
            e[i * m:(i + 1) * m, i * m:(i + 1) * m] = np.eye(m) / m
            v = x.flatten(1).double().numpy() @ e
            own.append(4 * v.T @ v / len(v)), energy.append(e)
    else:
        o = observe("spectrum", x).double().numpy()
        for k in range(SHELLS):
            e = HANN * torch.fft.ifft2((SHELL.view(EDGE, EDGE) == k) * torch.fft.fft2(torch.eye(m).view(m, EDGE, EDGE) * HANN)).real
            e = np.kron(np.eye(c), e.reshape(m, m).double().numpy())
            v = x.flatten(1).double().numpy() @ e / o[:, k:k + 1]
            own.append(v.T @ v / len(v)), energy.append(e)
    return sum(own), (own, energy, [name == "spectrum"] * len(own))


# ---------------------------------------------------------------- codec

class Codec(nn.Module):
    """y = e^g (B w + r_e(w)), x^ = Q (P v + r_d(v)) with rounding to whole numbers in between; r are networks of one hidden layer, 0 at first.

    w are the principal components, v the latents over e^g, both in units of their own spread: every weight then sees numbers of order 1, and what a step of
    Adam does to fields is of the order of its rate in steps of the quantiser, whatever the latents' range. Each latent has a logistic prior.
    """
    def __init__(self, basis, step, width=48):
        super().__init__()
        n = basis.shape[0]
        self.step = step
        self.register_buffer("basis", basis.clone()), self.register_buffer("spread", torch.ones(n)), self.register_buffer("norm", torch.ones(n))
        self.analysis, self.synthesis, self.gain = nn.Parameter(torch.eye(n)), nn.Parameter(torch.eye(n)), nn.Parameter(torch.zeros(n))
        self.e1, self.e2, self.d1, self.d2 = nn.Linear(n, width), nn.Linear(width, n), nn.Linear(n, width), nn.Linear(width, n)
        for last in (self.e2, self.d2):
            nn.init.zeros_(last.weight), nn.init.zeros_(last.bias)
        self.scale, self.mean = nn.Parameter(torch.zeros(n)), nn.Parameter(torch.zeros(n))

    def encode(self, x):
        w = x.flatten(1) @ self.basis / self.spread
        return self.gain.exp() * (w @ self.analysis.T + self.e2(F.leaky_relu(self.e1(w), 0.125)))

    def decode(self, y):
        v = y * torch.exp(-self.gain) / self.norm
        return self.step * (v @ self.synthesis.T + self.d2(F.leaky_relu(self.d1(v), 0.125))) @ self.basis.T

    def nats(self, y):
        s = self.scale.exp()
        a = (y - self.mean).abs()
        # F(b + 1/2) - F(b - 1/2) of the logistic distribution, without cancellation in the tails.
        upper, lower = torch.sigmoid((0.5 - a) / s), torch.sigmoid((-0.5 - a) / s)
        return -(upper - lower).clamp_min(1e-9).log().sum(1)

    def rounded(self, x):
        y = self.encode(x)
        return y, torch.round(y - self.mean) + self.mean


def linear_start(basis, step, law, found):
    """The best linear codec of the law: y = (kappa/(12 theta))^1/2 V^T C^-1/2 z of principal components z, so that unit steps are its noise, and back with
    what the channel keeps. Without observable: the principal components in steps of (12 theta)^1/2."""
    k, v, t = found
    root = np.sqrt(k / (12 * t))
    into, out = root[:, None] * (v.T @ law.back), law.root @ v * ((1 - np.minimum(1, t / k)) / root)[None]
    y = law.u @ v * root
    codec = Codec(basis, step)
    spread, norm = np.sqrt((law.u @ law.root).var(0) + step ** 2 / 12), np.sqrt(y.var(0) + 1 / 12)
    with torch.no_grad():
        for p, a in ((codec.spread, spread), (codec.norm, norm), (codec.analysis, into * spread[None]), (codec.synthesis, out * norm[None] / step),
                     (codec.mean, into @ law.mean), (codec.scale, np.log((0.55 * y.std(0)).clip(0.05)))):
            p.copy_(torch.from_numpy(a))
    return codec


def principal(x):
    v = x.flatten(1).double()
    _, b = torch.linalg.eigh(v.T @ v / len(v))
    return b.flip(1).float()


def train(codec, x, updates, rate, multiplier, observable=None, weight=0.0, seed=1, batch=128):
    """Minimises R + multiplier (D + weight P): nats, squared error of the tile, squared error of its observable. Rates fall to zero as a cosine."""
    g = torch.Generator().manual_seed(seed)
    slow = [p for n, p in codec.named_parameters() if n not in ("gain", "scale", "mean")]
    fast = [codec.gain, codec.scale, codec.mean]
    o = torch.optim.Adam([{"params": slow, "lr": rate}, {"params": fast, "lr": 8 * rate}], betas=(0.9, 0.98))
    s = torch.optim.lr_scheduler.LambdaLR(o, lambda t: 0.5 * (1 + math.cos(math.pi * t / updates)))
    for _ in range(updates):
        b = x[torch.randint(len(x), (batch,), generator=g)]
        y = codec.encode(b)
        noisy = y + torch.rand(y.shape, generator=g) - 0.5
        d = codec.decode(noisy).view_as(b)
        loss = codec.nats(noisy).mean() + multiplier * (d - b).square().sum((1, 2, 3)).mean()
        if observable and weight:
            loss = loss + multiplier * weight * (observe(observable, d) - observe(observable, b)).square().sum(1).mean()
        if not torch.isfinite(loss):
            raise SystemExit("the loss is not finite")
        o.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(slow, 100.0)
        o.step()
        s.step()


@torch.no_grad()
def measured(codec, x, names):
    """On rounded latents: bits per value by the prior, D and P per tile; D0 and P0 without rounding."""
    y, q = codec.rounded(x)
    out = {"bits": (codec.nats(q).mean() / math.log(2) / x[0].numel()).item()}
    d, clean = codec.decode(q).view_as(x), codec.decode(y).view_as(x)
    for suffix, v in (("", d), ("0", clean)):
        out["D" + suffix] = (v - x).square().sum((1, 2, 3)).mean().item()
        for n in names:
            out[n + suffix] = (observe(n, v) - observe(n, x)).square().sum(1).mean().item()
    return out, (d - x).flatten(1)


def objective(codec, x, multiplier, name=None, weight=0.0):
    """The loss on rounded latents, nats a tile."""
    found, _ = measured(codec, x, [name] if weight else [])
    return found["bits"] * math.log(2) * x[0].numel() + multiplier * (found["D"] + (weight * found[name] if weight else 0))


def trained(start, x, known, o, multiplier, name=None, weight=0.0):
    """The codec after its updates, its loss before and after on known tiles, and the learning rate: a quarter of the former where the loss did not fall."""
    rate = o.rate
    while True:
        codec = start()
        before = objective(codec, known, multiplier, name, weight)
        train(codec, x, o.updates, rate, multiplier, name, weight)
        after = objective(codec, known, multiplier, name, weight)
        if after < before or rate < o.rate / 20:
            return codec, {"before": before, "objective": after, "learning": rate}
        rate /= 4


class Local:
    """What the law needs of a codec: latents, variance, rounding error, Jacobian of the decoder (mean over tiles) and G_D."""
    def __init__(self, codec, x, count=16):
        with torch.no_grad():
            y, q = codec.rounded(x)
        self.y, self.variance = y, y.var(0).double().numpy()
        self.error = (q - y).square().mean(0).double().numpy()
        at = q[:: max(1, len(q) // count)][:count]
        j = torch.func.vmap(torch.func.jacfwd(lambda v: codec.decode(v[None])[0]))(at).detach().double().numpy()
        self.J, self.G = j.mean(0), np.mean([a.T @ a for a in j], 0)

    def pulled(self, g):
        return self.J.T @ g @ self.J


# ---------------------------------------------------------------- rows that need one codec only

@torch.no_grad()
def validity(codec, x, names, count=32, draws=8):
    """tr(G Sigma) of uniform noise of several widths, Sigma that of the very draws, against what it adds to the decoded field, on the tiles that G is of (GL-7)."""
    rng = torch.Generator().manual_seed(3)
    x = x[:: max(1, len(x) // count)][:count]
    codec = codec.double()
    y = codec.encode(x.double())
    clean = codec.decode(y)
    j = torch.func.vmap(torch.func.jacfwd(lambda v: codec.decode(v[None])[0]))(y)
    tangents = {"D": j}
    for name in names:
        tangents[name] = torch.bmm(torch.func.vmap(torch.func.jacrev(lambda f: observe(name, f[None])[0]))(clean.view(x.shape)).flatten(2), j)
    rows = []
    for width in np.logspace(-2.5, 0.5, 10):
        told, moved = dict.fromkeys(tangents, 0.0), dict.fromkeys(tangents, 0.0)
        for _ in range(draws):
            e = (torch.rand(y.shape, generator=rng, dtype=torch.float64) - 0.5) * width
            d = codec.decode(y + e)
            for name, t in tangents.items():
                told[name] += torch.bmm(t, e[:, :, None]).square().sum().item()
                moved[name] += ((d - clean) if name == "D" else observe(name, d.view(x.shape)) - observe(name, clean.view(x.shape))).square().sum().item()
        rows.append({"width": float(width), **{name: told[name] / moved[name] - 1 for name in tangents}})
    codec.float()
    return rows


@torch.no_grad()
def bias(codec, known, late, energies, draws=8):
    """What quantisation does to the mean power of shells of later tiles (GL-12), over that power: with dithers that are taken off again, whose errors know nothing
    of the latents, a mean of some, and by rounding. Foretold: the tangent (no shift; its standard error here), the energy of the noise tr(J^T S J)/12 (1.9), and for rounding that
    of its variance on known tiles and the same with what it depends on the latent there, e = -rho y + n."""
    y, q = codec.rounded(known)
    centre = y.mean(0)
    e, c = q - y, y - centre
    rho = -(e * c).mean(0) / c.square().mean(0).clamp_min(1e-12)
    rng = torch.Generator().manual_seed(4)
    y, q = codec.rounded(late)
    clean = codec.decode(y).view_as(late)
    p = power(clean).double()
    mean = p.mean(0)
    def moved(latents): return ((power(codec.decode(latents).view_as(late)).double() - p).mean(0) / mean).tolist()
    z = torch.randn(y.shape, generator=rng)
    plain = e.square().mean(0).sqrt() * z
    dependent = -rho * (y - centre) + (e + rho * c).square().mean(0).sqrt() * z
    dithered = np.zeros(SHELLS)
    for _ in range(draws):
        d = torch.rand(y.shape, generator=rng) - 0.5
        dithered += np.array(moved(torch.round(y + d) - d)) / draws
    noise = codec.decode(y + plain).view_as(late) - clean
    cross = 2 * torch.fft.fft2(clean * HANN).conj() * torch.fft.fft2(noise * HANN)
    spread = torch.zeros(len(late), SHELLS).index_add(1, SHELL, cross.real.sum(1).flatten(1)) / EDGE ** 2
    modes = torch.bincount(SHELL, minlength=SHELLS) * late.shape[1] * len(late) / 2
    return {"on": (power(noise).double().mean(0) > 4 * mean / modes).tolist(), "tangent": (spread.double().std(0) / math.sqrt(len(late)) / mean).tolist(),
            "draws": draws, "dithered": dithered.tolist(), "independent": [float(np.trace(g) / 12 / m) for g, m in zip(energies, mean)],
            "rounded": moved(q), "energy": moved(y + plain), "dependent": moved(y + dependent)}


# ---------------------------------------------------------------- driver

def some(x, count):
    """Of the tiles learned from, what predictions are taken from."""
    return x[torch.randperm(len(x), generator=torch.Generator().manual_seed(5))[:count]]


class Bench:
    """A domain at a rate: its plain codec, and what the law says of it."""
    def __init__(self, o, cells, name, label, x, late):
        self.o, self.cells, self.x, self.late, self.names = o, cells, x, late, observables(x.shape[1])
        self.known, self.basis, self.foretold = some(x, 768), principal(x), {}
        self.step = float(x.square().mean().sqrt()) / RATES[label] * COARSENESS[name] * math.sqrt(12)
        self.theta, self.values = self.step ** 2 / 12, x[0].numel()
        self.key, self.path = f"{name} {label}", os.path.join(o.output, f"{name}-{label}.pt")
        q = self.basis.double().numpy()
        self.metrics = {n: metric(n, self.known) for n in self.names}
        self.data = Law(x.flatten(1) @ self.basis, self.known.flatten(1) @ self.basis, lambda z: z @ self.basis.T, self.known, np.eye(self.values), self.theta, False)
        self.rotated = {n: self.pulled(n, lambda g: q.T @ g @ q) for n in self.names}
        self.base, self.loss = self.start(self.data.plain), {}
        if os.path.exists(self.path) and self.key in cells.known:
            self.base.load_state_dict(torch.load(self.path))
        else:
            self.base, self.loss = trained(lambda: self.start(self.data.plain), x, self.known, o, 1 / (2 * self.theta))
            torch.save(self.base.state_dict(), self.path)
        self.local = Local(self.base, self.known)
        with torch.no_grad():
            every = self.base.encode(x)
        self.law = Law(every, self.local.y, self.base.decode, self.known, self.local.G, self.theta, True)
        self.latent = {n: self.pulled(n, self.local.pulled) for n in self.names}
        self.seen, _ = measured(self.base, self.known, self.names)
        self.plain, self.errors = measured(self.base, late, self.names)
        cells(self.key, self.alone)
        cells(self.key + " bias", lambda: bias(self.base, self.known, late, self.latent["spectrum"][1][1]))

    def start(self, found):
        return linear_start(self.basis, self.step, self.data, found)

    def pulled(self, n, f):
        g, quadratic = self.metrics[n]
        return f(g), quadratic and ([f(a) for a in quadratic[0]], [f(a) for a in quadratic[1]], quadratic[2])

    def alone(self):
        on = self.local.variance > 1 / 12
        return {**self.plain, "seen": self.seen, "slack": flatness(self.local.variance, self.local.error, self.local.G), "active": int(on.sum()), "latents": len(on),
                **self.loss, "weights": sum(p.numel() for p in self.base.parameters()), "law": self.law.nats / math.log(2) / self.values,
                "components": self.x.shape[1], "validity": validity(self.base, self.known, self.names)}

    def cell(self, n, normalised, start):
        """One training with an observable, from the law's linear codec of its loss (`law`) or of the plain loss (`plain`)."""
        weight = normalised * self.seen["D"] / self.seen[n]
        if (n, weight) not in self.foretold:
            self.foretold[n, weight] = [l.traded(lambda d: observe(n, d), g[n][0], weight, g[n][1]) for l, g in ((self.law, self.latent), (self.data, self.rotated))]
        (foretold, _), (by_data, data_found) = self.foretold[n, weight]
        multiplier = 1 / (2 * data_found[2])
        found = data_found if start == "law" else self.data.plain
        first, _ = measured(self.start(found), self.late, self.names)
        codec, loss = trained(lambda: self.start(found), self.x, self.known, self.o, multiplier, n, weight)
        seen, _ = measured(codec, self.known, self.names)
        got, errors = measured(codec, self.late, self.names)
        l = self.local
        omega, k, corrected = overlap(l.variance, l.G, self.latent[n][0])
        a = pencil(l.variance, l.G, self.latent[n][0])
        q = self.basis.numpy().astype(float)
        slope, moved, interval, law = reallocation(self.data.covariance(self.data.plain), self.data.covariance(data_found), self.errors.numpy().astype(float) @ q, errors.numpy().astype(float) @ q)
        h = Local(codec, self.known, count=8)
        own = h.pulled(self.metrics[n][0])
        return {**got, **loss, "first": first, "seen": seen, "objective_plain": objective(self.base, self.known, multiplier, n, weight),
                "foretold": foretold, "by_data": by_data,
                "omega": omega, "k": k, "corrected": corrected, "cv2": float(a.var()), "slope": slope, "moved": moved, "interval": interval, "moved_law": law,
                "flat_base": flatness(l.variance, l.error, l.G + weight * self.latent[n][0]), "flat": flatness(h.variance, h.error, h.G + weight * own), "flat_D": flatness(h.variance, h.error, h.G)}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--data", required=True)
    p.add_argument("--output", required=True)
    p.add_argument("--taylorgreen", help="velocity of the solver, several steps")
    p.add_argument("--domains", nargs="+", default=["turb2d", "turb3d", "taylorgreen"], help="also: cosmo")
    p.add_argument("--rates", nargs="+", default=list(RATES))
    p.add_argument("--weights", nargs="+", type=float, default=[1.0], help="lambda^: of P over D of the plain codec")
    p.add_argument("--starts", nargs="+", default=["law", "plain"])
    p.add_argument("--observables", nargs="+", help="of those a domain has")
    p.add_argument("--updates", type=int, default=250)
    p.add_argument("--rate", type=float, default=2e-3)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--seconds", type=float, default=1e9, help="no new training after so many")
    o = p.parse_args()
    os.makedirs(o.output, exist_ok=True)
    torch.set_num_threads(o.threads)
    cells, started = Cells(os.path.join(o.output, "gl.jsonl")), time.time()
    for name in o.domains:
        try:
            x, late = domain(name, o.data, o.taylorgreen)
        except (OSError, TypeError):
            print(f"{name}: no data, skipped", flush=True)
            continue
        for label in o.rates:
            names = [n for n in observables(x.shape[1]) if not o.observables or n in o.observables]
            todo = [(n, w, s) for w in o.weights for s in o.starts for n in names if f"{name} {label} {n} {w:g} {s}" not in cells.known]
            if not todo and f"{name} {label} bias" in cells.known:
                continue
            bench = Bench(o, cells, name, label, x, late)
            for n, w, s in todo:
                if time.time() - started > o.seconds:
                    print("out of time; run again to go on")
                    return
                cells(f"{name} {label} {n} {w:g} {s}", lambda: bench.cell(n, w, s))


if __name__ == "__main__":
    main()
