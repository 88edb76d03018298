"""libalidade through ctypes: structures, signatures, and statuses as exceptions."""
import ctypes
import os
from ctypes import POINTER, byref, c_char, c_char_p, c_double, c_int, c_int32, c_int64, c_size_t, c_void_p

from . import _where


class AlidadeError(Exception):
    """A refused or failed call. After a collective call every rank raises it with the same status."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class Bound(ctypes.Structure):
    """What must hold for every step of a field; made by `absolute(1e-3)`, `relative(1e-4)`, `psnr(80)` and so on."""
    _fields_ = [("kind", c_int32), ("value", c_double)]


class Options(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("opening", c_int32), ("threads", c_int32), ("no_verify", c_int32), ("report", c_int32),
                ("bytes_per_step", c_double), ("memory", c_int64), ("key_interval", c_int32), ("pressure", c_int32), ("seconds_per_step", c_double)]


class FieldOptions(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("type", c_int32), ("centring", c_int32), ("extra", c_int64 * 3), ("bound", Bound), ("units", c_char_p)]


class Stats(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("step", c_int64), ("time", c_double), ("raw_bytes", c_int64), ("stored_bytes", c_int64), ("file_bytes", c_int64),
                ("put_seconds", c_double), ("encode_seconds", c_double), ("communicate_seconds", c_double), ("write_seconds", c_double),
                ("total_seconds", c_double), ("background_seconds", c_double), ("key_step", c_int64), ("left_out", c_int64)]


class FieldStats(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("raw_bytes", c_int64), ("stored_bytes", c_int64), ("granted", c_double), ("max_error", c_double),
                ("rms_error", c_double), ("masked", c_int64), ("codec", c_char * 16)]


def filled(kind, **values):
    """A structure with its size set."""
    s = kind(**values)
    s.size = ctypes.sizeof(kind)
    return s


def _load():
    tried = []
    for name in (os.environ.get("ALIDADE_LIBRARY"), _where.library, "libalidade.so.0"):
        if not name:
            continue
        try:
            return ctypes.CDLL(name)
        except OSError as e:
            tried.append(str(e))
    raise ImportError("libalidade was not found; set ALIDADE_LIBRARY to its path (" + "; ".join(tried) + ")")


lib = _load()
_int64s, _int32s, _doubles = POINTER(c_int64), POINTER(c_int32), POINTER(c_double)
for _name, _arguments in {
    "ald_open_fortran": [c_int32, c_char_p, POINTER(Options), POINTER(c_void_p)],
    "ald_open_serial": [c_char_p, POINTER(Options), POINTER(c_void_p)],
    "ald_grid": [c_void_p, c_int32, _int64s, _int32s],
    "ald_coords": [c_void_p, c_int32, c_int64, _doubles],
    "ald_uniform": [c_void_p, c_int32, c_double, c_double],
    "ald_boxes": [c_void_p, c_int32, _int64s, _int64s],
    "ald_field": [c_void_p, c_char_p, POINTER(FieldOptions), _int32s],
    "ald_field_boxes": [c_void_p, c_int32, c_int32, c_int32, _int64s, _int64s],
    "ald_vector": [c_void_p, c_char_p, c_int32, _int32s],
    "ald_attr_text": [c_void_p, c_int32, c_char_p, c_char_p],
    "ald_attr_numbers": [c_void_p, c_int32, c_char_p, c_int32, _doubles],
    "ald_observe": [c_void_p, c_char_p],
    "ald_trigger": [c_void_p, c_char_p, c_double, c_int32, c_int32, Bound],
    "ald_commit": [c_void_p],
    "ald_set_bound": [c_void_p, c_int32, Bound],
    "ald_begin": [c_void_p, c_int64, c_double],
    "ald_put_array": [c_void_p, c_int32, c_int32, c_void_p, _int64s, _int64s, c_int32],
    "ald_fail": [c_void_p, c_char_p],
    "ald_end": [c_void_p],
    "ald_end_async": [c_void_p, _int64s],
    "ald_test": [c_void_p, c_int64, _int32s],
    "ald_wait": [c_void_p, c_int64],
    "ald_get_stats": [c_void_p, POINTER(Stats)],
    "ald_get_field_stats": [c_void_p, c_int32, POINTER(FieldStats)],
    "ald_close": [POINTER(c_void_p)],
    "ald_reader_open": [c_char_p, POINTER(c_void_p)],
    "ald_reader_steps": [c_void_p, _int64s],
    "ald_reader_step": [c_void_p, c_int64, _int64s, _doubles],
    "ald_reader_refresh": [c_void_p],
    "ald_reader_find": [c_void_p, c_int64, c_char_p, _int32s, _int32s],
    "ald_reader_describe": [c_void_p, c_int64, POINTER(c_char_p)],
    "ald_reader_read": [c_void_p, c_int64, c_int32, c_int32, _int64s, _int64s, c_void_p],
    "ald_reader_close": [POINTER(c_void_p)],
}.items():
    _f = getattr(lib, _name)
    _f.argtypes, _f.restype = _arguments, c_int
for _name in ("ald_last_error", "ald_reader_error"):
    getattr(lib, _name).argtypes, getattr(lib, _name).restype = [c_void_p], c_char_p
lib.ald_version.restype = c_char_p


def version():
    """Version of the library, e.g. "0.1.0"."""
    return lib.ald_version().decode()


def int64s(values):
    values = [int(v) for v in values]
    return (c_int64 * max(1, len(values)))(*values)


def int32s(values):
    values = [int(v) for v in values]
    return (c_int32 * max(1, len(values)))(*values)


def doubles(values):
    values = [float(v) for v in values]
    return (c_double * max(1, len(values)))(*values)


def check(status, handle, text=lib.ald_last_error):
    if status:
        raise AlidadeError(status, text(handle).decode(errors="replace"))
