"""A Python program with views of one array of components, cut along y; ranks beyond the second hold nothing."""
import sys

order = sys.argv[2] if len(sys.argv) > 2 else ""
if order == "first":  # other HDF5 libraries in the process
    import h5py  # noqa: F401
    import netCDF4  # noqa: F401
from mpi4py import MPI
import numpy as np
import alidade

if order == "last":
    import h5py  # noqa: F401
    import netCDF4  # noqa: F401
if order in ("first", "last"):
    import os
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        h5py.File(os.path.join(folder, "a.h5"), "w")["a"] = np.arange(3)
        netCDF4.Dataset(os.path.join(folder, "a.nc"), "w").createDimension("x", 3)

comm = MPI.COMM_WORLD


def state():
    """What a library leaves alone: signals caught, ignored and blocked, threads, the communicator's error handler."""
    with open("/proc/self/status") as f:
        return [line for line in f if line.startswith(("SigB", "SigI", "SigC", "Threads"))], comm.Get_errhandler()


before = state()
nz, ny, nx, steps = 40, 33, 36, 3
parts = min(comm.size, 2)


def flow(field, step, k, j, i):
    """Waves that travel, in the order of sums and products of common.h."""
    v = 0
    for m in range(1, 13):
        x = (m * 7 % 11 - 5) * i / nx + (m * 5 % 13 - 6) * j / ny + (m * 3 % 7 - 3) * k / nz + 0.01 * step * (m % 3) + 0.37 * m + 0.21 * field
        x = x - np.floor(x)
        v = v + x * (1 - x) * (1 - 2 * x)
    return v


def value(field, step, k, j, i):
    return ((i - 20) * (j - 9) + (k - 5) * (i + 3 * j) + 17 * step + field * k * k) / 64


mine = []
if comm.rank < parts:
    mine = [(slice(0, nz), slice(ny * comm.rank // parts, ny * (comm.rank + 1) // parts), slice(0, nx))]
with alidade.Writer(comm, sys.argv[1], (nz, ny, nx), periodic=(True, True, False), opening="replace", key_interval=3) as w:
    w.coords(x=(0, 0.25))
    w.boxes(mine)
    for name in "uvw":
        w.field(name, bound=alidade.absolute(0.01), units="m/s")
    w.field("p", np.float32, centring="node", extra=(1, 1, 1))
    w.vector("velocity", ["u", "v", "w"])
    w.attributes(title="hosts", Re=1600)
    for step in range(steps):
        with w.step(10 * step, 0.5 * step, wait=order != "async") as s:
            for box in mine:
                z, y, x = np.meshgrid(*(np.arange(b.start, b.stop) for b in box), indexing="ij")
                U = np.stack([flow(c, step, z, y, x) for c in range(3)], axis=-1)
                U.flags.writeable = False
                s.put("u", U[..., 0], box)
                s.put("v", U[:, ::-1, :, 1][:, ::-1], box)
                s.put("w", np.asfortranarray(U[..., 2]), box)
                upper = [b.stop + (b.stop == n) for b, n in zip(box, (nz, ny, nx))]
                z, y, x = np.meshgrid(*(np.arange(b.start, u) for b, u in zip(box, upper)), indexing="ij")
                s.put("p", value(3, step, z, y, x).astype(np.float32), box)
        if not s.test():
            s.wait()
    assert w.stats["key_step"] == 0
assert state() == before, f"{before} became {state()}"

if comm.rank == 0:
    r = alidade.open(sys.argv[1])
    assert r.steps == [0, 10, 20] and r.times == [0, 0.5, 1]
    z, y, x = np.meshgrid(np.arange(nz), np.arange(ny), np.arange(nx), indexing="ij")
    u = r.read("velocity", 10)
    assert u.shape == (3, nz, ny, nx)
    assert max(abs(u[c] - flow(c, 1, z, y, x)).max() for c in range(3)) <= 0.01
    assert abs(r.read("w", 20, (slice(5, 9), slice(1, 2))) - flow(2, 2, z, y, x)[5:9, 1:2]).max() <= 0.01
    about = r.describe(0)
    assert about["attributes"] == {"Re": 1600, "title": "hosts", "step": 0, "time": 0}
    assert about["coordinates"]["x"][3] == 0.75
    assert about["fields"][1]["attributes"]["p"]["centring"] == "node"
    if order == "xarray":
        import xarray
        from alidade.xarray_backend import AlidadeBackend
        with xarray.open_dataset(sys.argv[1], engine=AlidadeBackend) as ds:
            assert list(ds.time) == [0, 0.5, 1] and ds["x"][3] == 0.75 and ds["u"].attrs["units"] == "m/s"
            assert abs(ds["u"][1, 5:9] - flow(0, 1, z, y, x)[5:9]).max() <= 0.01
    try:
        r.read("nothing")
        raise SystemExit("a field that is not there was read")
    except alidade.AlidadeError as e:
        assert e.status == 1 and "velocity" in str(e)
