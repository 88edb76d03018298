#!/usr/bin/env python3
"""mpirun -n N replay.py RUN OUT: writes the arrays that a run of mpi4py-fft dumped once more, its boxes dealt out to N ranks.

The containers must be those of the run, whatever N. (The example's own arrays differ in their last bits between rank counts.)
"""
import glob
import hashlib
import os
import sys

from mpi4py import MPI
import numpy as np

import alidade

comm, run, out = MPI.COMM_WORLD, sys.argv[1], sys.argv[2]
reader = alidade.open(run + "/run.alds")
about = reader.describe()
parts = sorted({os.path.basename(p).split(".")[2] for p in glob.glob(run + "/u.*.npz")})
mine = [p for i, p in enumerate(parts) if i % comm.size == comm.rank]


def load(name, step, part):
    z = np.load(f"{run}/{name}.{step}.{part}.npz")
    return tuple(slice(a, a + n) for a, n in zip(z["lower"], z["values"].shape)), z["values"]


shape = about["fields"][0]["shape"][1:]
with alidade.Writer(comm, out, shape, periodic=True, opening="replace") as w:
    w.coords(**{a: (0, about["coordinates"][a][1]) for a in "zyx"})
    w.boxes([load("u", reader.steps[0], p)[0] for p in mine])
    for name in "uvw":
        w.field(name, bound=alidade.relative(float(os.environ.get("INSITU_BOUND", 1e-4))), centring="point")
    w.vector("velocity", ["w", "v", "u"])
    for step, time in zip(reader.steps, reader.times):
        with w.step(step, time) as s:
            for p in mine:
                for name in "wvu":
                    s.put(name, load(name, step, p)[1], load(name, step, p)[0])
if comm.rank == 0:
    digests = [hashlib.sha256(b"".join(open(p, "rb").read() for p in sorted(glob.glob(d + "/*.ald")))).hexdigest()[:12] for d in (run + "/run.alds", out)]
    print(comm.size, "ranks:", *digests, "equal" if digests[0] == digests[1] else "DIFFERENT")
