"""Law C (THEORY 1.3) about tiles: noise that a rate buys under D + lambda P, and what it does to observables.

Coordinates y of tiles (latents of a codec, or principal components) with covariance C, a map to fields, and mean metrics G:
C^1/2 (G_D + lambda G_P) C^1/2 = V kappa V^T, noise s = min(1, theta/kappa) of a direction's variance, 1/2 ln max(1, kappa/theta) nats.
Observables are predicted by sending tiles through the law's channel, u -> (1 - s) u + (s (1 - s))^1/2 z of tiles themselves or, where a decoder that has learned
to shrink follows, u -> u + s^1/2 z, and looking at them: that counts what noise adds to a power and what a lost direction takes from it. The metric of an observable that is quadratic has what
the energy of the noise adds (THEORY 1.9), found in two fixed-point steps.
"""
import math

import numpy as np
import torch


class Law:
    def __init__(self, every, y, field, x, distortion, theta, shrinks):
        """Coordinates of tiles [tile][coordinate] that C is of; those of tiles x [tile][component][y][x] that are looked at; field: y -> x, and whether it shrinks
        by itself; G_D; theta of the codec without observable."""
        self.x, self.field, self.G, self.theta, self.shrinks = x, field, distortion, theta, shrinks
        every, y = every.double().numpy(), y.double().numpy()
        self.mean = every.mean(0)
        e, v = np.linalg.eigh(np.cov(every.T))
        e = e.clip(1e-10 * e[-1])
        self.root, self.back = (v * np.sqrt(e)) @ v.T, (v / np.sqrt(e)) @ v.T
        self.u = (y - self.mean) @ self.back
        self.z = np.random.default_rng(6).normal(size=self.u.shape)
        self.plain = self.solve(np.zeros_like(distortion), 0.0)

    def solve(self, metric, weight):
        """kappa, V, theta at the rate of weight 0."""
        k, v = np.linalg.eigh(self.root @ (self.G + weight * metric) @ self.root)
        k = k.clip(1e-12 * k[-1])
        def nats(t): return 0.5 * np.log(np.maximum(1, k / t)).sum()
        if weight == 0:
            self.nats = nats(self.theta)
            return k, v, self.theta
        low, high = math.log(self.theta) - 4, math.log(self.theta) + 8
        for _ in range(40):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if nats(math.exp(middle)) > self.nats else (low, middle)
        return k, v, math.exp(high)

    def covariance(self, found):
        k, v, t = found
        a = self.root @ v
        return (a * np.minimum(1, t / k)) @ a.T

    def sent(self, found):
        """Fields after the channel."""
        k, v, t = found
        s = np.minimum(1, t / k)
        u, z = self.u @ v, self.z @ v
        u = u + np.sqrt(s) * z if self.shrinks else (1 - s) * u + np.sqrt(s * (1 - s)) * z
        y = self.mean + u @ v.T @ self.root
        with torch.no_grad():
            return self.field(torch.from_numpy(y).float()).view_as(self.x)

    def traded(self, observe, metric, weight, quadratic=None):
        """What weight buys at equal rate, in dB over the codec without observable: cost of D and gain of P by the channel, the same of the tangent's metric alone
        (`gauss`), the gain that tr(G Sigma) tells (`tangent`), and the solution.

        quadratic: per output, its tangent's metric, that of the energy it is a function of, and whether its squared error is bounded by that energy.
        """
        def seen(found):
            d = self.sent(found)
            return (d - self.x).square().sum((1, 2, 3)).mean().item(), (observe(d) - observe(self.x)).square().mean(0).double().numpy()
        def db(d, p): return 10 * math.log10(d / d0), 10 * math.log10(p0.sum() / p.sum())
        (d0, p0), found = seen(self.plain), self.solve(metric, weight)
        s, (d, p) = self.covariance(found), seen(found)
        out = {"tangent": 10 * math.log10((metric * self.covariance(self.plain)).sum() / (metric * s).sum()), "gauss_cost": db(d, p)[0], "gauss_gain": db(d, p)[1]}
        for _ in range(2 if quadratic else 0):
            total = metric.copy()
            for j, (own, energy, bounded) in enumerate(zip(*quadratic)):
                radial, whole = (own * s).sum(), (energy * s).sum()
                # d(b^2) = 2 b db: twice the share of the error that the tangent does not explain.
                g = max(0.0, 2 * (p[j] - radial) / max(whole - radial if bounded else whole, 1e-30))
                total += min(g, 1.0) * (energy - own) if bounded else g * energy
            found = self.solve(total, weight)
            s, (d, p) = self.covariance(found), seen(found)
        out["cost"], out["gain"] = db(d, p)
        return out, found


def overlap(variance, g, h):
    """omega at k* of the dominant spaces of two metrics whitened by the prior, k*, and omega corrected for chance (THEORY 1.5)."""
    spaces, ranks, r = [], [], np.sqrt(variance)
    for m in (g, h):
        v, u = np.linalg.eigh(r[:, None] * m * r[None])
        v, u = v[::-1], u[:, ::-1]
        spaces.append(u), ranks.append(int(np.searchsorted(np.cumsum(v) / v.sum(), 0.9)) + 1)
    k, n = min(ranks), len(v)
    omega = np.square(spaces[0][:, :k].T @ spaces[1][:, :k]).sum() / k
    return omega, k, (omega - k / n) / (1 - k / n)


def pencil(variance, g, h):
    """Eigenvalues of G_P w = a G_D w where latents are active, over their mean."""
    on = variance > 1 / 12
    d, p = g[np.ix_(on, on)], h[np.ix_(on, on)]
    l = np.linalg.inv(np.linalg.cholesky(d + 1e-6 * np.trace(d) / len(d) * np.eye(len(d))))
    a = np.linalg.eigvalsh(l @ p @ l.T).clip(0)
    return a / a.mean()


def flatness(variance, error, metric):
    """AM/GM of the eigenvalues of Sigma_q^1/2 G Sigma_q^1/2 where latents are active: 1 where training has reached the optimum (THEORY 1.8)."""
    on, r = variance > 1 / 12, np.sqrt(error)
    v = np.linalg.eigvalsh((r[:, None] * metric * r[None])[np.ix_(on, on)]).clip(1e-15)
    return float(v.mean() / np.exp(np.log(v).mean()))


def reallocation(plain, shaped, base, errors):
    """Where the errors went. Covariances of the error by the law without and with the observable; measured errors [tile][coordinate] of both codecs.

    Returns the slope of ln of measured power over base against that of the law (1), and noise of the stiffest tenth over the softest against the base:
    measured, its interval over tiles, and by the law.
    """
    e, v = np.linalg.eigh(plain)
    e = e.clip(1e-10 * e[-1])
    white = (v / np.sqrt(e)) @ v.T
    k, w = np.linalg.eigh(white @ shaped @ white)
    k = k.clip(1e-9)
    a, b = (np.square(m @ white @ w) for m in (errors, base))
    law = np.log(k)
    tenth = max(1, len(k) // 10)
    stiff, soft = slice(0, tenth), slice(len(k) - tenth, None)
    def ratio(i): return np.log(a[i].mean(0) / b[i].mean(0))
    def quotient(v): return float(np.exp(v[stiff].mean() - v[soft].mean()))
    every = np.arange(len(a))
    r, c = ratio(every), law - law.mean()
    rng = np.random.default_rng(2)
    some = [quotient(ratio(rng.integers(len(a), size=len(a)))) for _ in range(40)]
    return float((c * r).sum() / (c * c).sum()), quotient(r), [float(q) for q in np.percentile(some, [2.5, 97.5])], quotient(law)
