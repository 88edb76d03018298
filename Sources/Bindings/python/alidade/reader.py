"""Reading a series or a single container as numpy arrays."""
import json
from ctypes import byref, c_char_p, c_double, c_int32, c_int64, c_void_p

import numpy as np

from . import _library as _l


class Reader:
    """A series (`NAME.alds`) or a container (`NAME.ald`). Local: any number of processes may read, also while a run writes."""

    def __init__(self, path):
        self._handle = c_void_p()
        _l.check(_l.lib.ald_reader_open(str(path).encode(), byref(self._handle)), None, _l.lib.ald_reader_error)
        self.path = str(path)
        self._described = {}
        self._list()

    def _call(self, name, *arguments):
        _l.check(getattr(_l.lib, "ald_reader_" + name)(self._handle, *arguments), self._handle, _l.lib.ald_reader_error)

    def _list(self):
        count = c_int64()
        self._call("steps", byref(count))
        self.steps, self.times = [], []
        for i in range(count.value):
            step, time = c_int64(), c_double()
            self._call("step", i, byref(step), byref(time))
            self.steps.append(step.value)
            self.times.append(time.value)

    def refresh(self):
        """Takes notice of steps that a running job has added."""
        self._call("refresh")
        self._described = {}
        self._list()

    def position(self, step=None):
        """Position of a step number; of the last step without one."""
        if step is None:
            return len(self.steps) - 1
        try:
            return self.steps.index(step)
        except ValueError:
            raise KeyError(f"{self.path} has no step {step}") from None

    def describe(self, step=None):
        """Everything about a step: fields, coordinates, attributes."""
        p = self.position(step)
        if p not in self._described:
            text = c_char_p()
            self._call("describe", p, byref(text))
            self._described[p] = json.loads(text.value.decode())
        return self._described[p]

    def fields(self, step=None):
        """Names of the arrays of a step, components of vector fields by their own names: {name: (dtype, shape, axes)}."""
        out = {}
        for f in self.describe(step)["fields"]:
            axes, shape = f["axes"], f["shape"]
            if f["datasets"]:
                for d in f["datasets"]:
                    out[d] = (np.dtype(f["type"]), tuple(shape[1:]), tuple(axes[1:]))
            else:
                out[f["name"]] = (np.dtype(f["type"]), tuple(shape), tuple(axes))
        return out

    def read(self, name, step=None, region=None):
        """Values of a field at a step; region: one slice per axis (no steps), decoding only the tiles that it touches."""
        p = self.position(step)
        field, component = c_int32(), c_int32()
        self._call("find", p, name.encode(), byref(field), byref(component))
        f = self.describe(step)["fields"][field.value]
        c_axis = f["axes"].index("c") if "c" in f["axes"] else None
        shape = [n for a, n in enumerate(f["shape"]) if a != c_axis]
        slices = list(region) if region is not None else []
        slices += [slice(None)] * (len(shape) - len(slices))
        bounds = [s.indices(n) for s, n in zip(slices, shape)]
        if len(slices) != len(shape) or any(b[2] != 1 for b in bounds):
            raise IndexError(f"{name}: a region takes up to {len(shape)} slices without steps, not {region}")
        lower, extent = [b[0] for b in bounds], [max(0, b[1] - b[0]) for b in bounds]
        whole = c_axis is not None and name not in f["datasets"]
        out = []
        for c in range(f["components"]) if whole else [component.value]:
            part = np.empty(extent, dtype=f["type"])
            if part.size:
                self._call("read", p, field.value, c, _l.int64s(lower), _l.int64s(extent), part.ctypes.data_as(c_void_p))
            out.append(part)
        return np.stack(out, axis=c_axis) if whole else out[0]

    def close(self):
        if self._handle:
            _l.lib.ald_reader_close(byref(self._handle))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def open(path):
    """A `Reader` of a series or a container."""
    return Reader(path)
