"""The peers behind one interface. A codec takes a knob (an absolute size of error) and returns bytes and decoded values.

`seconds` holds the CPU time of the last compress and decompress, of the codec's own calls only.
"""
import ctypes
import math
import os
import resource
import subprocess
import tempfile
import time

import numpy as np

libc = ctypes.CDLL(None)
libc.free.argtypes = [ctypes.c_void_p]


class Codec:
    family = name = ""
    bounded = False   # the knob is a pointwise bound
    discrete = False  # the knob only acts through powers of two
    scanned = False   # the knob has jumps worth looking around
    lossless = False

    def __init__(self):
        self.seconds = [0.0, 0.0]

    def suits(self, field):
        return True

    def inputs(self, field):
        """Arrays handed to the codec."""
        return field.parts

    def outputs(self, field, decoded):
        return decoded

    def side_bytes(self, field):
        """The packed mask that has to travel with a filled field."""
        return field.mask_bytes

    def run(self, field, knob):
        """Compresses and decompresses every component: (bytes, decoded components)."""
        self.seconds = [0.0, 0.0]
        size, decoded = self.side_bytes(field), []
        for x in self.inputs(field):
            n, y = self.one(x, knob)
            size += n
            decoded.append(y)
        return size, self.outputs(field, decoded)

    def timed(self, which, call):
        start = time.process_time()
        value = call()
        self.seconds[which] += time.process_time() - start
        return value

    def command(self, which, words):
        """Runs a program and adds its CPU time."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        code = subprocess.run(words, stdout=subprocess.DEVNULL, timeout=300).returncode
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if code != 0:
            raise ValueError(f"exit {code}")
        self.seconds[which] += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class Zfp(Codec):
    family, discrete = "zfp", True

    def __init__(self, mode):
        super().__init__()
        import zfpy
        self.zfpy, self.mode = zfpy, mode
        self.name = f"zfp:{mode}"
        self.bounded, self.lossless = mode == "accuracy", mode == "reversible"

    def one(self, x, knob):
        kind = self.zfpy.dtype_to_ztype(x.dtype)
        if self.mode == "accuracy":
            options = dict(tolerance=float(knob))
        elif self.mode == "precision":  # bit planes below the largest value of a block
            options = dict(precision=int(np.clip(round(-math.log2(knob / (float(np.ptp(x)) or 1.0))), 1, 32)))
        else:
            options = {}
        blob = self.timed(0, lambda: self.zfpy.compress_numpy(x, write_header=False, **options))
        y = self.timed(1, lambda: self.zfpy._decompress(blob, kind, x.shape, **options))
        return len(blob), np.asarray(y).reshape(x.shape)


class Fpzip(Codec):
    family, name, lossless = "fpzip", "fpzip", True

    def __init__(self, missing=False):
        super().__init__()
        import fpzip
        self.fpzip, self.missing = fpzip, missing
        self.name = "fpzip:nan" if missing else "fpzip"

    def suits(self, field):
        return field.masked or not self.missing

    def inputs(self, field):
        return field.raw if self.missing else field.parts

    def side_bytes(self, field):
        return 0 if self.missing else field.mask_bytes

    def one(self, x, knob):
        blob = self.timed(0, lambda: self.fpzip.compress(x, precision=0, order="C"))
        y = self.timed(1, lambda: self.fpzip.decompress(blob, order="C"))
        return len(blob), np.asarray(y).reshape(x.shape)


class PySZ(Codec):
    """SZ3 through its Python binding. `layout`: each component alone, all stacked along the slowest axis, or NaN kept."""
    family, bounded, scanned = "sz3", True, True
    ALGORITHMS = {"lorenzo": 0, "interp-lorenzo": 1, "interp": 2, "lorenzo2": 0}

    def __init__(self, algorithm, layout="single"):
        super().__init__()
        import pysz
        self.pysz, self.algorithm, self.layout = pysz, algorithm, layout
        self.name = f"sz3:{algorithm}" + ("" if layout == "single" else f":{layout}")

    def suits(self, field):
        return {"single": True, "stacked": field.vector, "nan": field.masked}[self.layout]

    def inputs(self, field):
        if self.layout == "stacked":
            return [np.concatenate(field.parts)]
        return field.raw if self.layout == "nan" else field.parts

    def outputs(self, field, decoded):
        return np.split(decoded[0], len(field.parts)) if self.layout == "stacked" else decoded

    def side_bytes(self, field):
        return 0 if self.layout == "nan" else field.mask_bytes

    def one(self, x, knob):
        conf = self.pysz.szConfig(x.shape)
        if self.algorithm == "lorenzo2":
            with tempfile.NamedTemporaryFile("w", suffix=".cfg") as f:
                f.write("[AlgoSettings]\nLorenzo2ndOrder = yes\nRegression2ndOrder = no\n")
                f.flush()
                conf.loadcfg(f.name)
        conf.errorBoundMode = self.pysz.szErrorBoundMode.ABS
        conf.absErrorBound = float(knob)
        conf.cmprAlgo = self.ALGORITHMS[self.algorithm]
        blob = self.timed(0, lambda: self.pysz.sz.compress(x, conf)[0])
        y = self.timed(1, lambda: self.pysz.sz.decompress(blob, np.float32, x.shape)[0])
        if self.layout == "nan" and not np.array_equal(np.isnan(x), np.isnan(y)):
            raise ValueError("NaN not kept")
        return len(blob), y


class CommandSZ3(Codec):
    """SZ3's command line tool."""
    family, bounded = "sz3", True
    ALGORITHMS = {"interp-lorenzo": "ALGO_INTERP_LORENZO", "interp": "ALGO_INTERP", "lorenzo": "ALGO_LORENZO_REG"}

    def __init__(self, binary, algorithm):
        super().__init__()
        self.binary, self.algorithm = binary, algorithm
        self.name = f"sz3-cli:{algorithm}"

    def one(self, x, knob):
        with tempfile.TemporaryDirectory() as t:
            x.tofile(t + "/i")
            with open(t + "/c", "w") as f:
                f.write(f"[GlobalSettings]\nCmprAlgo = {self.ALGORITHMS[self.algorithm]}\n")
            shape = [f"-{x.ndim}"] + [str(n) for n in x.shape[::-1]]
            for which, files in enumerate((["-i", t + "/i", "-z", t + "/z"], ["-z", t + "/z", "-o", t + "/o"])):
                self.command(which, [self.binary, "-f", *files, *shape, "-c", t + "/c", "-M", "ABS", repr(float(knob))])
            return os.path.getsize(t + "/z"), np.fromfile(t + "/o", np.float32).reshape(x.shape)


class LibrarySZ3(Codec):
    """SZ3's C library (default algorithm, interpolation + Lorenzo)."""
    family, bounded = "sz3", True
    name = "sz3-c:interp-lorenzo"

    def __init__(self, path):
        super().__init__()
        lib = ctypes.CDLL(path)
        size, pointer, real = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_double
        self.compress, self.decompress, self.free = lib.SZ_compress_args, lib.SZ_decompress, lib.free_buf
        self.compress.restype = self.decompress.restype = pointer
        self.compress.argtypes = [ctypes.c_int, pointer, pointer, ctypes.c_int, real, real, real] + [size] * 5
        self.decompress.argtypes = [ctypes.c_int, pointer, size] + [size] * 5
        self.free.argtypes, self.free.restype = [pointer], None

    def one(self, x, knob):
        n, extents = ctypes.c_size_t(0), [0] * (5 - x.ndim) + list(x.shape)
        blob = self.timed(0, lambda: self.compress(0, x.ctypes.data, ctypes.byref(n), 0, float(knob), 0, 0, *extents))
        back = self.timed(1, lambda: self.decompress(0, blob, n.value, *extents))
        y = np.ctypeslib.as_array(ctypes.cast(back, ctypes.POINTER(ctypes.c_float)), x.shape).copy()
        self.free(back)
        libc.free(blob)
        return n.value, y


class FilterCodec(Codec):
    """SZ3 and SPERR as HDF5 filters, one chunk per component; without a chunk cache, so that reading decodes."""

    def __init__(self, which):
        super().__init__()
        import h5py
        import hdf5plugin
        self.h5py, self.plugin, self.which = h5py, hdf5plugin, which
        self.family = "sz3" if which == "sz3" else "sperr"
        self.name = {"sz3": "sz3-h5", "sperr-nan": "sperr-h5:psnr:nan", "sperr-nan-pwe": "sperr-h5:pwe:nan"}[which]
        self.bounded, self.scanned = which != "sperr-nan", which == "sz3"

    def suits(self, field):
        return self.which == "sz3" or field.masked

    def inputs(self, field):
        return field.parts if self.which == "sz3" else field.raw

    def side_bytes(self, field):
        return field.mask_bytes if self.which == "sz3" else 0

    def one(self, x, knob):
        if self.which == "sz3":
            options = self.plugin.SZ3(absolute=float(knob))
        elif self.which == "sperr-nan":
            options = self.plugin.Sperr(peak_signal_to_noise_ratio=20 * math.log10(float(np.nanmax(x) - np.nanmin(x)) / knob),
                                        missing_value_mode=self.plugin.Sperr.MISSING_NAN)
        else:
            options = self.plugin.Sperr(absolute=float(knob), missing_value_mode=self.plugin.Sperr.MISSING_NAN)
        with self.h5py.File("memory", "w", driver="core", backing_store=False, rdcc_nbytes=0) as f:
            d = self.timed(0, lambda: f.create_dataset("x", data=x, chunks=x.shape, **options))
            f.flush()
            size = d.id.get_storage_size()
            return size, self.timed(1, lambda: d[:])


class Sperr(Codec):
    """SPERR's C API, one chunk per component. Its PSNR refers to the component's range: the knob is the rmse wanted."""
    family = "sperr"

    def __init__(self, path, mode):
        super().__init__()
        self.mode, self.name, self.bounded = mode, f"sperr:{mode}", mode == "pwe"
        lib = ctypes.CDLL(path)
        size, pointer, number = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int
        self.c3, self.d3, self.c2, self.d2 = lib.sperr_comp_3d, lib.sperr_decomp_3d, lib.sperr_comp_2d, lib.sperr_decomp_2d
        self.c3.argtypes = [pointer, number] + [size] * 6 + [number, ctypes.c_double, size, pointer, pointer]
        self.d3.argtypes = [pointer, size, number, size] + [pointer] * 4
        self.c2.argtypes = [pointer, number, size, size, number, ctypes.c_double, number, pointer, pointer]
        self.d2.argtypes = [pointer, size, number, size, size, pointer]

    def one(self, x, knob):
        quality, mode = float(knob), 3
        if self.mode == "psnr":
            mode, quality = 2, 20 * math.log10(float(np.ptp(x)) / knob)
            if quality <= 0:
                raise ValueError("PSNR below zero")
        blob, n, back = ctypes.c_void_p(None), ctypes.c_size_t(0), ctypes.c_void_p(None)
        extents = x.shape[::-1]
        ref = ctypes.byref
        if x.ndim == 3:
            status = self.timed(0, lambda: self.c3(x.ctypes.data, 1, *extents, *extents, mode, quality, 1, ref(blob), ref(n)))
        else:
            status = self.timed(0, lambda: self.c2(x.ctypes.data, 1, *extents, mode, quality, 0, ref(blob), ref(n)))
        if status != 0:
            raise ValueError(f"SPERR compress status {status}")
        if x.ndim == 3:
            a, b, c = (ctypes.c_size_t(0) for _ in range(3))
            status = self.timed(1, lambda: self.d3(blob, n.value, 1, 1, ref(a), ref(b), ref(c), ref(back)))
        else:
            status = self.timed(1, lambda: self.d2(blob, n.value, 1, *extents, ref(back)))
        if status != 0:
            raise ValueError(f"SPERR decompress status {status}")
        y = np.ctypeslib.as_array(ctypes.cast(back, ctypes.POINTER(ctypes.c_float)), x.shape).copy()
        libc.free(back)
        libc.free(blob)
        return n.value, y


class Tthresh(Codec):
    """TTHRESH's command line tool: Tucker decomposition, a root mean square error, no pointwise bound. `joint`: components as a fourth axis."""
    family = "tthresh"

    def __init__(self, binary, joint=False):
        super().__init__()
        self.binary, self.joint = binary, joint
        self.name = "tthresh:joint" if joint else "tthresh"

    def suits(self, field):
        return field.parts[0].ndim == 3 and (field.vector or not self.joint)

    def inputs(self, field):
        return [np.stack(field.parts)] if self.joint else field.parts

    def outputs(self, field, decoded):
        return list(decoded[0]) if self.joint else decoded

    def one(self, x, knob):
        with tempfile.TemporaryDirectory() as t:
            x.tofile(t + "/i")
            shape = [str(n) for n in x.shape[::-1]]
            for which, words in enumerate((["-i", t + "/i", "-t", "float", "-s", *shape, "-r", repr(float(knob)), "-c", t + "/z"],
                                           ["-c", t + "/z", "-o", t + "/o"])):
                self.command(which, [self.binary, *words])
            return os.path.getsize(t + "/z"), np.fromfile(t + "/o", np.float32).reshape(x.shape)


class Blosc2(Codec):
    """Lossless: bytes or bits of equal weight together, then zstd at its strongest setting that still ends."""
    family, lossless = "blosc2", True

    def __init__(self, filters):
        super().__init__()
        import blosc2
        self.blosc2, self.name = blosc2, f"blosc2:{filters}"
        self.filters = {"bitshuffle": [blosc2.Filter.BITSHUFFLE], "shuffle-bytedelta": [blosc2.Filter.SHUFFLE, blosc2.Filter.BYTEDELTA]}[filters]

    def one(self, x, knob):
        # Outside the calls that are timed: an array object only holds the chunk.
        options = dict(codec=self.blosc2.Codec.ZSTD, clevel=9, nthreads=1, filters=self.filters, filters_meta=[0] * len(self.filters))
        packed = self.timed(0, lambda: self.blosc2.asarray(np.ascontiguousarray(x), cparams=options, dparams=dict(nthreads=1)))
        y = self.timed(1, lambda: packed[:])
        return packed.schunk.cbytes, np.asarray(y).reshape(x.shape)


def available(sperr_lib=None, sz3=None, sz3c=None, tthresh=None):
    """Every codec that can be had here; the others are named on the terminal."""
    recipes = [("zfp", lambda m=m: Zfp(m)) for m in ("accuracy", "precision", "reversible")]
    recipes += [("fpzip", lambda m=m: Fpzip(m)) for m in (False, True)]
    recipes += [("blosc2", lambda f=f: Blosc2(f)) for f in ("bitshuffle", "shuffle-bytedelta")]
    recipes += [("sz3 (pysz)", lambda a=a, l=l: PySZ(a, l)) for a, l in (
        ("interp-lorenzo", "single"), ("interp", "single"), ("lorenzo", "single"), ("lorenzo2", "single"),
        ("interp-lorenzo", "stacked"), ("interp-lorenzo", "nan"), ("interp", "nan"))]
    recipes += [("hdf5plugin", lambda w=w: FilterCodec(w)) for w in ("sz3", "sperr-nan", "sperr-nan-pwe")]
    if sz3:
        recipes += [("sz3 (command)", lambda a=a: CommandSZ3(checked(sz3), a)) for a in CommandSZ3.ALGORITHMS]
    if sz3c:
        recipes += [("sz3 (C library)", lambda: LibrarySZ3(checked(sz3c)))]
    if sperr_lib:
        recipes += [("sperr", lambda m=m: Sperr(checked(sperr_lib), m)) for m in ("psnr", "pwe")]
    if tthresh:
        recipes += [("tthresh", lambda j=j: Tthresh(checked(tthresh), j)) for j in (False, True)]
    found, missing = [], {}
    for label, make in recipes:
        try:
            found.append(make())
        except (ImportError, OSError, AttributeError) as e:
            missing[label] = e
    for label, given in (("sperr", sperr_lib), ("sz3 (command)", sz3), ("sz3 (C library)", sz3c), ("tthresh", tthresh)):
        if not given:
            missing[label] = "no path given"
    for label, e in missing.items():
        print(f"SKIPPED peer {label}: {e}", flush=True)
    return found


def checked(path):
    if not os.path.exists(path):
        raise OSError(f"no {path}")
    return os.path.abspath(path)
