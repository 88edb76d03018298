"""The fields of the comparison: what is read from the data directory, and how errors are measured on it."""
import hashlib
import os
from dataclasses import dataclass, field as member

import h5py
import numpy as np

# name, file, dataset, step of the time axis (None: no time axis), components on the leading axis
CATALOGUE = [
    ("turb3d_velocity", "turb3d_kolmogorov_64.h5", "velocity", -1, True),
    ("turb2d_vorticity", "turb2d_kolmogorov_256.h5", "vorticity", -1, False),
    ("cosmo_density", "cosmo_density_64.h5", "density", -1, False),
    ("nyx_baryon_density", "nyx_32.h5", "baryon_density", None, False),
    ("nyx_dark_matter_density", "nyx_32.h5", "dark_matter_density", None, False),
    ("nyx_temperature", "nyx_32.h5", "temperature", None, False),
    ("nyx_velocity_x", "nyx_32.h5", "velocity_x", None, False),
    ("nyx_velocity_y", "nyx_32.h5", "velocity_y", None, False),
    ("nyx_velocity_z", "nyx_32.h5", "velocity_z", None, False),
    ("carotid_velocity", "carotid_velocity.h5", "velocity", None, True),
    ("carotid_speed", "carotid_velocity.h5", "speed", None, False),
    ("levitus_temperature", "levitus_ocean.h5", "temperature", None, False),
    ("levitus_salinity", "levitus_ocean.h5", "salinity", None, False),
    ("wmag", "wmag_91.h5", "wmag", None, False),
    ("sans2d_intensity", "sans2d_detector.h5", "intensity", None, False),
]


@dataclass
class Field:
    """One snapshot: `raw` are its components as stored, `parts` the same with missing points filled by the mean."""
    name: str
    path: str
    dataset: str
    step: int | None  # index of the step taken, None without a time axis
    raw: list
    attributes: dict = member(default_factory=dict)
    file_attributes: dict = member(default_factory=dict)
    vector: bool = False

    def __post_init__(self):
        self.raw = [np.ascontiguousarray(c, np.float32) for c in self.raw]
        self.valid = [np.isfinite(c) for c in self.raw]
        self.masked = not all(v.all() for v in self.valid)
        values = [c[v] for c, v in zip(self.raw, self.valid)]
        self.values = sum(v.size for v in values)  # valid values
        self.range = float(max(v.max() for v in values)) - float(min(v.min() for v in values))
        self.parts = self.raw
        if self.masked:
            self.parts = [np.where(v, c, np.float32(c[v].mean(dtype=np.float64))).astype(np.float32)
                          for c, v in zip(self.raw, self.valid)]
        self.mask_bytes = packed_mask_bytes(self.valid) if self.masked else 0
        self.digest = hashlib.sha1(b"".join(c.tobytes() for c in self.raw)).hexdigest()[:12]

    def distortion(self, decoded):
        """PSNR (dB) on the range over all components and valid points, and the largest error there."""
        squares, largest = 0.0, 0.0
        for original, back, valid in zip(self.raw, decoded, self.valid):
            if back.shape != original.shape:
                raise ValueError(f"decoded shape {back.shape}, expected {original.shape}")
            error = original[valid].astype(np.float64) - back[valid]
            if not np.isfinite(error).all():
                raise ValueError("decoded values are not finite")
            squares += float(error @ error)
            largest = max(largest, float(np.abs(error).max()))
        rmse = np.sqrt(squares / self.values)
        return (float(20 * np.log10(self.range / rmse)) if rmse > 0 else 999.0), largest

    def bits(self, size):
        return 8 * size / self.values

    def write_snapshot(self, path):
        """This snapshot alone, uncompressed, with the attributes of the original and without the time axis."""
        data = np.stack(self.raw) if self.vector else self.raw[0]
        with h5py.File(path, "w") as out:
            for key, value in self.file_attributes.items():
                out.attrs[key] = value
            d = out.create_dataset(self.dataset, data=data)
            for key, value in self.attributes.items():
                if key == "dims" and self.step is not None:
                    value = value.split(",", 1)[1]  # the time axis is gone
                d.attrs[key] = value


def packed_mask_bytes(valid):
    """One bit per point, packed, then zstd."""
    import hdf5plugin
    packed = np.packbits(np.concatenate([v.ravel() for v in valid]))
    with h5py.File("mask", "w", driver="core", backing_store=False) as f:
        d = f.create_dataset("m", data=packed, chunks=packed.shape, **hdf5plugin.Zstd(clevel=19))
        f.flush()
        return d.id.get_storage_size()


def load(directory, only=None):
    """Yields the fields of the catalogue; files that are not there are named and left out."""
    for name, file, dataset, step, vector in CATALOGUE:
        if only and not any(w in name for w in only):
            continue
        path = os.path.join(directory, file)
        if not os.path.exists(path):
            print(f"SKIPPED field {name}: no {file}", flush=True)
            continue
        with h5py.File(path) as f:
            d = f[dataset]
            index = None if step is None else step % d.shape[0]
            data = d[:] if index is None else d[index]
            yield Field(name, path, dataset, index, list(data) if vector else [data], dict(d.attrs), dict(f.attrs), vector)


def turbulence_like(n=256, seed=20240607):
    """Deterministic n^3 float32: random phases, E(k) ~ k^(-5/3) up to n/3, plus three jumps on spheres and one kink.

    Unit variance before the non-smooth part; periodic.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    spectrum = np.fft.rfftn(rng.standard_normal((n, n, n), dtype=np.float32))
    k1 = np.fft.fftfreq(n, 1 / n)
    k = np.sqrt(k1[:, None, None] ** 2 + k1[None, :, None] ** 2 + np.fft.rfftfreq(n, 1 / n)[None, None, :] ** 2)
    with np.errstate(divide="ignore"):
        amplitude = np.where((k > 0) & (k <= n / 3), k ** (-11 / 6), 0.0)  # E(k) = 4 pi k^2 |u_k|^2
    u = np.fft.irfftn(spectrum * amplitude, s=(n, n, n), axes=(0, 1, 2))
    u /= u.std()
    x = np.arange(n) / n
    for centre, radius, jump in (((.3, .4, .6), .15, .5), ((.7, .65, .3), .2, -.4), ((.55, .2, .75), .1, .6)):
        r2 = sum((x.reshape([-1 if a == b else 1 for b in range(3)]) - centre[a]) ** 2 for a in range(3))
        u += jump * (r2 < radius ** 2)
    u += 0.5 * np.abs(np.sin(np.pi * (x[:, None, None] + x[None, :, None])))
    return u.astype(np.float32)
