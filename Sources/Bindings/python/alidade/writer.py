"""Writing a series from inside a run."""
from ctypes import byref, c_int32, c_int64, c_void_p

import numpy as np

from . import _library as _l

lossless = _l.Bound(0, 0)


def absolute(error):
    """|error| <= `error` at every point."""
    return _l.Bound(1, error)


def relative(error):
    """|error| <= `error` times the global range of the step."""
    return _l.Bound(2, error)


def pointwise(error):
    """|error| <= `error` times |x| at every point."""
    return _l.Bound(3, error)


def psnr(decibel):
    """20 log10(range / rms error) >= `decibel`."""
    return _l.Bound(4, decibel)


def rate(bits):
    """`bits` per point, within 2 %."""
    return _l.Bound(5, bits)


_pressures = {"wait": 0, "refuse": 1}
_openings = {"append": 0, "replace": 1, "create": 2}
_centrings = ["cell", "point", "node", "face-x", "face-y", "face-z"]
_types = {np.dtype(np.float32): 1, np.dtype(np.float64): 2}


def _box(slices, shape):
    """(lower, extent) of a tuple of slices."""
    bounds = [s.indices(n) for s, n in zip(slices, shape)]
    if len(bounds) != len(shape) or any(b[2] != 1 for b in bounds):
        raise ValueError(f"a box takes {len(shape)} slices without steps, not {slices}")
    return [b[0] for b in bounds], [max(0, b[1] - b[0]) for b in bounds]


class Writer:
    """A series being written.

    comm: any mpi4py communicator (it is duplicated), or None for this process alone. Collective: the constructor, `boxes`, `commit`, the
    end of a `step`, `close`. Axes stand in storage order, slowest first. A context manager that closes.
    """

    def __init__(self, comm, path, shape, periodic=False, opening="append", threads=1, verify=True, bytes_per_step=0, memory=0, report=False,
                 key_interval=0, pressure="wait", seconds_per_step=0):
        o = _l.filled(_l.Options, opening=_openings[opening], threads=threads, no_verify=not verify, bytes_per_step=bytes_per_step, memory=memory,
                      report=report, key_interval=key_interval, pressure=_pressures[pressure], seconds_per_step=seconds_per_step)
        self._handle = c_void_p()
        if comm is None:
            status = _l.lib.ald_open_serial(str(path).encode(), byref(o), byref(self._handle))
        else:
            status = _l.lib.ald_open_fortran(comm.py2f(), str(path).encode(), byref(o), byref(self._handle))
        _l.check(status, None)
        self.shape = tuple(int(n) for n in shape)
        self._fields, self._types, self._shapes, self._own, self._boxes, self._committed = {}, [], {}, {}, None, False
        wraps = [periodic] * len(self.shape) if isinstance(periodic, bool) else list(periodic)
        self._call("grid", len(self.shape), _l.int64s(self.shape), _l.int32s(wraps))

    def _call(self, name, *arguments):
        _l.check(getattr(_l.lib, "ald_" + name)(self._handle, *arguments), self._handle)

    def coords(self, **axes):
        """Positions per axis letter: `x=array`, or `x=(first, spacing)`."""
        letters = "zyx"[3 - len(self.shape):]
        for letter, p in axes.items():
            axis = letters.index(letter)
            if isinstance(p, tuple):
                self._call("uniform", axis, p[0], p[1])
            else:
                self._call("coords", axis, len(p), _l.doubles(p))

    def boxes(self, boxes):
        """This rank's boxes, each a tuple of slices of the global grid; any number, also none. Collective; again between steps."""
        self._boxes = [_box(b, self.shape) for b in boxes]
        self._call("boxes", len(self._boxes), _l.int64s(n for b in self._boxes for n in b[0]), _l.int64s(n for b in self._boxes for n in b[1]))

    def field(self, name, dtype=np.float64, bound=lossless, units="", centring="cell", extra=(0, 0, 0), **attributes):
        """Declares a scalar field, the same on all ranks in the same order; further keywords become its attributes."""
        o = _l.filled(_l.FieldOptions, type=_types[np.dtype(dtype)], centring=_centrings.index(centring), bound=bound, units=units.encode())
        o.extra[:len(extra)] = list(extra)
        number = c_int32()
        self._call("field", name.encode(), byref(o), byref(number))
        self._fields[name] = number.value
        self._types.append(np.dtype(dtype))
        self._shapes[name] = tuple(n + e for n, e in zip(self.shape, extra))
        self._attributes(number.value, attributes)

    def field_boxes(self, name, boxes, shared=False):
        """This rank's boxes of one field, as `boxes`. shared: where boxes overlap the lowest rank's values count. Collective."""
        self._own[name] = own = [_box(b, self._shapes[name]) for b in boxes]
        self._call("field_boxes", self._fields[name], shared, len(own), _l.int64s(n for b in own for n in b[0]), _l.int64s(n for b in own for n in b[1]))

    def vector(self, name, fields):
        """Has scalar fields, components x, y, z, coded together."""
        self._call("vector", name.encode(), len(fields), _l.int32s(self._fields[f] for f in fields))

    def attributes(self, **attributes):
        """Texts and numbers of the whole series."""
        self._attributes(-1, attributes)

    def _attributes(self, field, attributes):
        for name, value in attributes.items():
            if isinstance(value, str):
                self._call("attr_text", field, name.encode(), value.encode())
            else:
                v = np.atleast_1d(np.asarray(value, dtype=float)).ravel()
                self._call("attr_numbers", field, name.encode(), len(v), _l.doubles(v))

    def observe(self, *observables):
        """Has "FIELD/NAME" measured in every step, e.g. "velocity/enstrophy", for steps.jsonl (`report=True`)."""
        for o in observables:
            self._call("observe", o.encode())

    def trigger(self, observable, field, bound, above=None, below=None):
        """In steps with more of an observable than `above`, or less than `below`, the field has this bound."""
        self._call("trigger", observable.encode(), above if below is None else below, below is not None, self._fields[field], bound)

    def commit(self):
        """Ends the declarations; the first step does so otherwise. Collective."""
        self._call("commit")
        self._committed = True

    def set_bound(self, name, bound):
        """Another bound from the next step on; the same on all ranks."""
        self._call("set_bound", self._fields[name], bound)

    def step(self, number, time, wait=True):
        """`with w.step(n, t) as s: s.put("u", u)`. Collective: entering and leaving. An exception inside gives the step up on all ranks.

        wait=False: leaving returns when all is decided, other threads code; `s.test()` and `s.wait()` finish the step.
        """
        if not self._committed:
            self.commit()
        return Step(self, number, time, wait)

    @property
    def stats(self):
        """Of the last committed step: raw_bytes, stored_bytes, encode_seconds and so on."""
        s = _l.filled(_l.Stats)
        self._call("get_stats", byref(s))
        return {name: getattr(s, name) for name, _ in s._fields_[1:]}

    def field_stats(self, name):
        s = _l.filled(_l.FieldStats)
        self._call("get_field_stats", self._fields[name], byref(s))
        return {f: getattr(s, f).decode() if f == "codec" else getattr(s, f) for f, _ in s._fields_[1:]}

    def close(self):
        """Collective; before MPI ends."""
        if self._handle:
            _l.check(_l.lib.ald_close(byref(self._handle)), None)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


class Step:
    """One step under way; see `Writer.step`."""

    def __init__(self, writer, number, time, wait):
        self._writer, self._number, self._time, self._wait = writer, number, time, wait
        self._request = None

    def __enter__(self):
        self._writer._call("begin", int(self._number), float(self._time))
        return self

    def put(self, name, array, box=0, borrow=False):
        """This rank's values of one box, by its number or as the slices it was declared with.

        Any strides, also negative ones; read-only arrays are fine. borrow: the array must stay as it is until the step is done.
        """
        w = self._writer
        field = w._fields[name]
        array = np.asarray(array)
        if array.dtype != w._types[field]:
            raise TypeError(f"{name} was declared as {w._types[field]}, this is {array.dtype}")
        if not isinstance(box, int):
            own = name in w._own
            box = (w._own[name] if own else w._boxes).index(_box(box, w._shapes[name] if own else w.shape))
        if array.ndim != len(w.shape) or any(s % array.itemsize for s in array.strides):
            raise ValueError(f"{name}: an array of {array.ndim} axes, or with strides that are no whole elements")
        strides = _l.int64s(s // array.itemsize for s in array.strides)
        w._call("put_array", field, box, c_void_p(array.ctypes.data), _l.int64s(array.shape), strides, 3 if borrow else 2)

    def __exit__(self, kind, value, trace):
        w = self._writer
        if kind is not None:
            _l.lib.ald_fail(w._handle, f"{kind.__name__}: {value}".encode())
            _l.lib.ald_end(w._handle)
            return False
        if self._wait:
            w._call("end")
        else:
            request = c_int64()
            w._call("end_async", byref(request))
            self._request = request.value
        return False

    def test(self):
        """Whether the step is over on all ranks; goes on with it where all are ready. Collective."""
        done = c_int32(1)
        if self._request is not None:
            self._writer._call("test", self._request, byref(done))
        return bool(done.value)

    def wait(self):
        """Finishes the step. Collective."""
        if self._request is not None:
            self._writer._call("wait", self._request)
