"""Output of the spectral Navier-Stokes example: called once per step with the velocity U of this rank."""
import atexit
import os
from time import perf_counter

import numpy as np

import alidade

folder, every, bound = os.environ["INSITU_FOLDER"], int(os.environ.get("INSITU_EVERY", 10)), float(os.environ.get("INSITU_BOUND", 1e-4))
beside = "INSITU_ASYNC" in os.environ  # coded while the solver goes on
writer, since, last, spent = None, perf_counter(), None, 0.0


def output(comm, FFT, step, time, U, L):
    global writer, since, last, spent
    if step % every:
        if last and beside:
            start = perf_counter()
            if last.test():
                last = None
            spent += perf_counter() - start
        return
    start = perf_counter()
    box = FFT.local_slice(False)
    if writer is None:
        n = FFT.global_shape(False)
        writer = alidade.Writer(comm, folder + "/run.alds", n, periodic=True, opening="replace")
        # Components and axes of the example are numbered alike: axis 0, the slowest, is its x.
        writer.coords(**{axis: (0, L[i] / n[i]) for i, axis in enumerate("zyx")})
        writer.boxes([box])
        for name in "uvw":
            writer.field(name, bound=alidade.relative(bound), centring="point")
        writer.vector("velocity", ["w", "v", "u"])
        atexit.register(writer.close)  # before mpi4py ends MPI; finishes the last output
    with writer.step(step, time, wait=not beside) as s:
        for i, name in enumerate("wvu"):
            s.put(name, U[i], box)
    last, end = s, perf_counter()
    if comm.rank == 0 and (step > every or not beside):
        t = writer.stats
        with open(folder + "/times", "a") as f:
            print(step, start - since - spent, end - start + spent, t["raw_bytes"], t["stored_bytes"], t["file_bytes"], file=f)
    spent = 0.0
    if "INSITU_DUMP" in os.environ:
        for i, name in enumerate("wvu"):
            np.savez(f"{folder}/{name}.{step}.{comm.rank}", lower=[b.start for b in box], values=np.asarray(U[i]))
    since = perf_counter()
