"""`xarray.open_dataset("run.alds")`: values are decoded when they are asked for, region by region."""
import os

import numpy as np
import xarray as xr
from xarray.backends import BackendArray, BackendEntrypoint
from xarray.core import indexing

from .reader import Reader


class _Array(BackendArray):
    """One field over all steps that have it: (time, axes)."""

    def __init__(self, reader, name, steps, dtype, shape):
        self.reader, self.name, self.steps = reader, name, steps
        self.dtype, self.shape = dtype, (len(steps),) + shape

    def __getitem__(self, key):
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key):
        times, rest = key[0], key[1:]
        region, inside = [], []
        for k, n in zip(rest, self.shape[1:]):
            if isinstance(k, (int, np.integer)):
                i = int(k) % n
                region.append(slice(i, i + 1))
                inside.append(0)
            else:
                chosen = range(n)[k]
                low, high = (min(chosen), max(chosen) + 1) if len(chosen) else (0, 0)
                region.append(slice(low, high))
                start = chosen.start - low
                stop = chosen.stop - low if chosen.step > 0 or chosen.stop >= low else None
                inside.append(slice(start, stop if len(chosen) else start, chosen.step))
        inside = tuple(inside)
        if isinstance(times, (int, np.integer)):
            return self.reader.read(self.name, self.steps[int(times)], region)[inside]
        parts = [self.reader.read(self.name, self.steps[i], region)[inside] for i in range(len(self.steps))[times]]
        return np.stack(parts) if parts else np.empty((0,) + np.empty([s.stop - s.start for s in region])[inside].shape, self.dtype)


class AlidadeBackend(BackendEntrypoint):
    """Opens `.ald` containers and `.alds` series."""
    description = "Alidade containers and series"
    open_dataset_parameters = ["filename_or_obj", "drop_variables"]

    def guess_can_open(self, filename_or_obj):
        try:
            path = os.fspath(filename_or_obj).rstrip("/")
        except TypeError:
            return False
        return path.endswith((".ald", ".alds"))

    def open_dataset(self, filename_or_obj, *, drop_variables=None):
        reader = Reader(os.fspath(filename_or_obj))
        dropped, variables, seen = set(drop_variables or ()), {}, {}
        # A field belongs to the steps that hold it; fields of fewer steps get a time axis of their own.
        for step in reader.steps:
            for name, what in reader.fields(step).items():
                seen.setdefault((name,) + what, []).append(step)
        coordinates, extents = {}, {}
        for (name, dtype, shape, axes), steps in seen.items():
            if name in dropped or name in variables:
                continue
            about = reader.describe(steps[0])
            attributes = {}
            for f in about["fields"]:
                if name == f["name"] or name in f["datasets"]:
                    attributes = {k: v for k, v in f["attributes"].get(name, {}).items() if k not in ("dims", "periodic", "DIMENSION_LIST")}
            time = "time" if steps == reader.steps else f"time_{name}"
            known = about["coordinates"]
            dims = tuple(a if a not in known or len(known[a]) == n else f"{a}_{name}" for a, n in zip(axes, shape))
            # Staggered fields have a point more: an axis of that name and another extent is the field's own.
            dims = tuple(d if extents.setdefault(d, n) == n else f"{d}_{name}" for d, n in zip(dims, shape))
            for d, n in zip(dims, shape):
                if d in known and len(known[d]) == n:
                    coordinates[d] = (d, np.array(known[d], dtype=float))
            coordinates[time] = (time, np.array([reader.times[reader.position(s)] for s in steps]))
            array = indexing.LazilyIndexedArray(_Array(reader, name, steps, dtype, shape))
            variables[name] = xr.Variable((time,) + dims, array, attributes)
        coordinates["step"] = ("time", np.array(reader.steps)) if "time" in coordinates else ("step", np.array(reader.steps))
        whole = {k: v for k, v in (reader.describe()["attributes"] if reader.steps else {}).items() if k not in ("step", "time")}
        dataset = xr.Dataset(variables, coordinates, whole)
        dataset.set_close(reader.close)
        return dataset
