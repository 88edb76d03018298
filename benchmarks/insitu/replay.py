#!/usr/bin/env python3
"""mpirun -n N replay.py RUN OUT: writes the arrays that a run dumped once more, its boxes dealt out to N ranks.

The containers must be those of the run, whatever N, but for points that several boxes hold with different values: there the first one's count.
"""
import glob
import hashlib
import os
import sys

from mpi4py import MPI

import alidade
from dumps import dumps

comm, run, out = MPI.COMM_WORLD, sys.argv[1], sys.argv[2]
reader, held = alidade.open(run + "/run.alds"), dumps(run)
about = reader.describe()
fields = about["fields"]
# Boxes of lower numbers go to lower ranks, as in the run.
count = len(held[next(iter(held))])
mine = range(count * comm.rank // comm.size, count * (comm.rank + 1) // comm.size)
shapes = {f["name"]: tuple(f["shape"][-len(about["coordinates"]):]) for f in fields}
cells = tuple(min(s[a] for s in shapes.values()) for a in range(len(about["coordinates"])))


def place(name, i):
    lower, values = held[name, reader.steps[0]][i]
    return tuple(slice(a, a + n) for a, n in zip(lower, values.shape))


with alidade.Writer(comm, out, cells, periodic=[bool(p) for p in about["fields"][0]["periodic"]], opening="replace") as w:
    w.coords(**about["coordinates"])
    for f in fields:
        for name in f["datasets"] or [f["name"]]:
            extra = [a - b for a, b in zip(shapes[f["name"]], cells)]
            w.field(name, bound=alidade.relative(float(os.environ.get("INSITU_BOUND", 1e-4))), centring=f["attributes"][name]["centring"], extra=extra, units=f["units"])
    w.boxes([place(next(n for f in fields for n in f["datasets"] or [f["name"]] if shapes[f["name"]] == cells), i) for i in mine])
    for f in fields:
        if f["datasets"]:
            w.vector(f["name"], f["datasets"])
        if shapes[f["name"]] != cells:
            for name in f["datasets"] or [f["name"]]:
                w.field_boxes(name, [place(name, i) for i in mine], shared=True)
    for step, time in zip(reader.steps, reader.times):
        with w.step(step, time) as s:
            for f in fields:
                for name in f["datasets"] or [f["name"]]:
                    for k, i in enumerate(mine):
                        s.put(name, held[name, step][i][1], k)
if comm.rank == 0:
    digests = [hashlib.sha256(b"".join(open(p, "rb").read() for p in sorted(glob.glob(d + "/*.ald")))).hexdigest()[:12] for d in (run + "/run.alds", out)]
    print(comm.size, "ranks:", *digests, "equal" if digests[0] == digests[1] else "DIFFERENT")
