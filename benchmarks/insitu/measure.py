#!/usr/bin/env python3
"""measure.py FOLDER...: what runs of the coupled codes wrote, against the arrays they held (INSITU_DUMP) and against other ways to store them.

Prints one row per folder: largest error over bound, container bytes, bytes per rank of plain HDF5, deflate, zfp and SZ3 at the same absolute bound,
output time as a share of the solver's, and a digest of the containers.
"""
import glob
import hashlib
import os
import sys

import h5py
import hdf5plugin
import numpy as np

import alidade
from dumps import dumps


def stored(values, **filters):
    """Bytes of one dataset in one HDF5 file, as a rank would write its own box."""
    with h5py.File("box", "w", driver="core", backing_store=False) as f:
        if not filters:
            return f.create_dataset("a", data=values).id.get_storage_size()
        return f.create_dataset("a", data=values, chunks=values.shape, **filters).id.get_storage_size()


print("| run | ranks' boxes | steps | largest error / bound | containers, bytes | HDF5 | deflate | zfp | SZ3 | solver s/step | output s | of the solver's time | sha256 |")
print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
for folder in sys.argv[1:]:
    reader, held, bound = alidade.open(folder + "/run.alds"), dumps(folder), float(os.environ.get("INSITU_BOUND", 1e-4))
    worst, sizes = 0.0, dict.fromkeys(["HDF5", "deflate", "zfp", "SZ3"], 0)
    for step in reader.steps:
        for f in reader.describe(step)["fields"]:
            names = f["datasets"] or [f["name"]]
            parts = {n: held[n, step] for n in names}
            low = min(v.min() for p in parts.values() for _, v in p)
            high = max(v.max() for p in parts.values() for _, v in p)
            absolute = bound * (high - low)
            for n, boxes in parts.items():
                decoded = reader.read(n, step)
                seen = np.zeros(decoded.shape, bool)
                for lower, values in boxes:
                    place = tuple(slice(a, a + m) for a, m in zip(lower, values.shape))
                    # Of points that several boxes hold the first one's value was written.
                    e = np.abs(np.where(seen[place], 0, decoded[place] - values)).max()
                    worst = max(worst, e / absolute if absolute else e)
                    seen[place] = True
                    values = np.ascontiguousarray(values)
                    sizes["HDF5"] += stored(values)
                    sizes["deflate"] += stored(values, compression="gzip", compression_opts=4, shuffle=True)
                    sizes["zfp"] += stored(values, **hdf5plugin.Zfp(accuracy=absolute))
                    sizes["SZ3"] += stored(values, **hdf5plugin.SZ3(absolute=absolute))
                assert seen.all(), f"{n}: {seen.sum()} of {seen.size} values were dumped"
    digest, size = hashlib.sha256(), 0
    for path in sorted(glob.glob(folder + "/run.alds/*.ald")):
        digest.update(open(path, "rb").read())
        size += os.path.getsize(path)
    times = np.loadtxt(folder + "/times", ndmin=2)
    every = reader.steps[1] - reader.steps[0] if len(reader.steps) > 1 else 1
    solver = np.median(times[1:, 1]) / every if len(times) > 1 else float("nan")
    output = np.median(times[1:, 2]) if len(times) > 1 else times[0, 2]
    boxes = len(next(iter(held.values()))) if held else 0
    print(f"| {os.path.basename(folder.rstrip('/'))} | {boxes} | {len(reader.steps)} | {worst:.6f} | {size} | {sizes['HDF5']} | {sizes['deflate']} "
          f"| {sizes['zfp']} | {sizes['SZ3']} | {solver:.4f} | {output:.4f} | {100 * output / solver / every:.1f} % | {digest.hexdigest()[:12]} |", flush=True)
