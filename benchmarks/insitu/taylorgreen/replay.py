"""Prediction in time through libalidade: the steps of a container are handed over again, as a running simulation would, from every rank's own slab.

    alidade-taylorgreen --n 64 --dt 0.03125 --time 9 --every 0.03125 --output tg.h5 --single-file
    alidade compress tg.h5 -o tg.ald --lossless --steps 272:289
    mpirun -n R python3 replay.py tg.ald FOLDER [walls]

walls: the field is not said to wrap, so that members by tile code it; else the vortex, whose symmetries leave few modes, is coded by waves.

Prints a row per PSNR, output interval and key interval: bits per value, how many steps were predicted, seconds per step inside the library.
"""
import glob
import hashlib
import sys

import alidade
import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
source = alidade.open(sys.argv[1])
name = next(iter(source.fields()))
steps = [source.read(name, n) for n in source.steps]
nz, ny, nx = steps[0].shape[1:]
mine = (slice(nz * comm.rank // comm.size, nz * (comm.rank + 1) // comm.size), slice(0, ny), slice(0, nx))


def run(psnr, every, keys, wait=True):
    path = f"{sys.argv[2]}/tg.alds"
    rows = []
    with alidade.Writer(comm, path, (nz, ny, nx), periodic="walls" not in sys.argv, opening="replace", key_interval=keys) as w:
        w.boxes([mine])
        for c in "uvw":
            w.field(c, dtype=np.float32, bound=alidade.psnr(psnr))
        w.vector("velocity", ["u", "v", "w"])
        for n, values in enumerate(steps[::every]):
            with w.step(n, float(n), wait=wait) as s:
                for c, v in zip("uvw", values):
                    s.put(c, v[mine], mine)
            s.wait()
            f, t = w.field_stats("u"), w.stats
            rows.append((8 * f["stored_bytes"] / values.size, t["key_step"] != n, t["total_seconds"], f["codec"]))
    comm.Barrier()
    digest = hashlib.sha256()
    for file in sorted(glob.glob(path + "/*")):
        digest.update(open(file, "rb").read())
    if comm.rank == 0:
        print(f"| {psnr} | {every} | {keys} | {np.mean([r[0] for r in rows]):.3f} | {sum(r[1] for r in rows)} of {len(rows)} | "
              f"{np.mean([r[2] for r in rows]):.3f} | {', '.join(sorted({r[3] for r in rows}))} | {digest.hexdigest()[:12]} |", flush=True)
    comm.Barrier()


for every in (1, 2, 4):
    for psnr in (60, 80):
        for keys in (1, 16) if every < 4 else (1, 8):
            run(psnr, every, keys)
