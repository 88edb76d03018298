"""Runs Alidade's command line on the same fields and targets, and decodes again to check what its report says."""
import json
import os
import resource
import subprocess
import tempfile

import h5py
import numpy as np


class AlidadeError(Exception):
    pass


class Alidade:
    def __init__(self, command, arguments=(), check=True):
        self.command, self.arguments, self.check = command, list(arguments), check
        self.folder = tempfile.TemporaryDirectory()
        self.cpu = 0.0

    def call(self, *words):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([*self.command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=1800)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if done.returncode:
            lines = (done.stderr or done.stdout).strip().splitlines() or [""]
            raise AlidadeError(f"exit {done.returncode}: {lines[-1][:200]}")

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def snapshot(self, field):
        path = self.path(field.name + ".h5")
        if not os.path.exists(path):
            field.write_snapshot(path)
        return path

    def compress(self, field, bound, source=None, extra=()):
        """`bound` as words, e.g. ["--psnr", "80"]. Reads the original file, or the step written alone where that fails."""
        out, report = self.path("out.ald"), self.path("report.json")
        for old in (out, report):
            if os.path.exists(old):
                os.remove(old)
        tail = ["-o", out, "-f", field.dataset, *bound, "--report", report, *self.arguments, *extra]
        where = "original"
        if source is None:
            steps = [] if field.step is None else ["--steps", f"{field.step}:{field.step + 1}"]
            try:
                self.call("compress", field.path, *steps, *tail)
            except AlidadeError:
                if not steps:
                    raise
                source = self.snapshot(field)
        if source is not None:
            where = "step alone"
            self.call("compress", source, *tail)
        with open(report) as f:
            told = json.load(f)
        entry = told["result"]["fields"][0]
        row = dict(bytes=entry["stored_bytes"], bits_per_value=field.bits(entry["stored_bytes"]), input=where,
                   psnr=entry["psnr_db"] if entry["psnr_db"] is not None else 999.0,
                   max_error_over_range=(entry["max_abs_error"] or 0.0) / field.range, granted=entry.get("granted"),
                   bound_kept=entry["bound_kept"], transform=entry["transform"], file_bytes=os.path.getsize(out),
                   memory_mb=(told.get("run", {}).get("peak_memory_bytes") or {}).get("maximum", 0) / 1e6, cpu_compress=self.cpu, seconds=told.get("run", {}).get("seconds"),
                   phases={p["name"]: p["seconds"]["maximum"] for p in told.get("run", {}).get("phases", [])})
        told_bits = entry.get("bits_per_value")
        if told_bits and abs(told_bits - row["bits_per_value"]) > 1e-3 * told_bits:
            row["warning"] = f"report says {told_bits:.4f} bits/value, its bytes give {row['bits_per_value']:.4f}"
        if self.check:
            self.decode(field, row, out)
        return row

    def decode(self, field, row, container):
        back = self.path("back.h5")
        if os.path.exists(back):
            os.remove(back)
        try:
            self.call("decompress", container, "-o", back)
            row["cpu_decompress"] = self.cpu
            with h5py.File(back) as f:
                data = f[field.dataset][:]
            data = data.reshape((len(field.raw),) + field.raw[0].shape)
            psnr, error = field.distortion(list(data))
            masked = all(np.array_equal(np.isnan(a), np.isnan(b)) for a, b in zip(field.raw, data))
            row["decoded_psnr"], row["decoded_max_error_over_range"] = psnr, error / field.range
            row["decoded_max_error"] = error
            row["exact"] = all(np.array_equal(a.view(np.uint32), np.ascontiguousarray(b, np.float32).view(np.uint32))
                               for a, b in zip(field.raw, data))
            if not masked:
                row["warning"] = "missing points not kept"
            if abs(psnr - row["psnr"]) > 0.001 and not (psnr > 900 and row["psnr"] > 900):
                row["warning"] = f"report says {row['psnr']:.3f} dB, decoding gives {psnr:.3f} dB"
            row["psnr"] = psnr  # the measured one counts
            row["max_error_over_range"] = error / field.range
        except (AlidadeError, OSError, KeyError, ValueError) as e:
            row["warning"] = f"not decoded: {e}"


def measure(tool, field, targets, bounds, rivals, lossless=True):
    """Rows for one field. `rivals(bound)` gives PSNR and bytes of the peers' points that a bounded run has to beat."""
    rows = []

    def attempt(section, target, words):
        row = dict(field=field.name, section=section, target=target, codec="alidade")
        try:
            row.update(tool.compress(field, words))
        except (AlidadeError, OSError, KeyError, ValueError, subprocess.TimeoutExpired) as e:
            row["failed"] = str(e)
        rows.append(row)
        return row

    for target in targets:
        attempt("psnr", target, ["--psnr", repr(target)])
    for relative in bounds:
        bound = relative * field.range
        row = attempt("bound", relative, ["--abs", repr(bound)])
        row["asked"] = 1.0
        if "failed" in row:
            continue
        for wanted, size in sorted(rivals(relative)):  # a tighter bound holds the bound too, and may reach a rival's PSNR
            for _ in range(4):
                done = [r for r in rows if r["section"] == "bound" and r["target"] == relative and "failed" not in r]
                if any(r["psnr"] >= wanted and (r["bytes"] < size or r["psnr"] <= wanted + 0.05) for r in done):
                    break
                near = min(done, key=lambda r: abs(r["psnr"] - wanted))
                tighter = near["asked"] * 10 ** ((near["psnr"] - wanted - 0.02) / 20)
                if tighter >= 1:  # the bound itself is all it takes
                    break
                next_row = attempt("bound", relative, ["--abs", repr(bound * tighter)])
                next_row["asked"] = tighter
                if "failed" in next_row:
                    break
    if lossless:
        attempt("lossless", 0, ["--lossless"])
    return rows


def speed(tool, field, target, repeats, values):
    """CPU seconds of whole processes (start-up and files included), best of `repeats`."""
    source = tool.snapshot(field)
    best = None
    for _ in range(repeats):
        row = tool.compress(field, ["--psnr", repr(target)], source=source)
        if best is None:
            best = row
        for key in ("cpu_compress", "cpu_decompress"):
            if key in row:
                best[key] = min(best.get(key, 1e30), row[key])
    megabytes = values * 4 / 1e6
    best.update(field=field.name, section="speed", target=target, codec="alidade",
                compress_mb_s=megabytes / best["cpu_compress"])
    if "cpu_decompress" in best:
        best["decompress_mb_s"] = megabytes / best["cpu_decompress"]
    return best
