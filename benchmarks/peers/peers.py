#!/usr/bin/env python3
"""Runs the peers (zfp, SZ3, SPERR, TTHRESH, fpzip, blosc2) on the fields of a data directory, and Alidade against them. See README.md."""
import argparse
import json
import multiprocessing
import os
import resource
import shlex
import sys
import time

import numpy as np

import alidade
import codecs_of_peers as codecs
import fields
import tables
from search import Curve

SCHEMA = 1


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("data", help="directory of the HDF5 files")
    p.add_argument("--out", default=".", help="folder for peers.json (also the cache), peers.csv, table.md and Alidade's counterparts")
    p.add_argument("--sperr-lib", help="SPERR's shared library")
    p.add_argument("--sz3", help="SZ3's command line tool")
    p.add_argument("--sz3c", help="SZ3's shared C library (used for speed)")
    p.add_argument("--tthresh", help="TTHRESH's command line tool")
    p.add_argument("--alidade", help="command of Alidade, e.g. .build/release/alidade or 'mpirun -n 1 alidade'")
    p.add_argument("--alidade-arg", action="append", default=[], help="further argument of alidade compress (repeats)")
    p.add_argument("--no-check", action="store_true", help="believe Alidade's report, do not decode again")
    p.add_argument("--fields", help="only fields whose name contains one of these (comma separated)")
    p.add_argument("--sections", default="psnr,bound,lossless,speed")
    p.add_argument("--targets", default="40,60,80,100,120", help="PSNRs in dB")
    p.add_argument("--bounds", default="1e-3,1e-4", help="absolute bounds in units of the range")
    p.add_argument("--large", help="float32 cube for the speed section; made there if missing (256^3)")
    p.add_argument("--repeats", type=int, default=3, help="timed runs, the best counts")
    p.add_argument("--timeout", type=float, default=900, help="seconds for one peer on one field")
    p.add_argument("--refresh", help="measure again the peers whose name contains this ('' for all)")
    p.add_argument("--peers-only", action="store_true")
    p.add_argument("--strict", action="store_true", help="exit 1 when a rule fails")
    return p.parse_args()


def measure(codec, field, section, todo, repeats):
    """Rows of one codec on one field; runs in a process of its own."""
    rows, curve = [], Curve(codec, field)
    for target in todo:
        row = dict(field=field.name, digest=field.digest, section=section, target=target, family=codec.family, codec=codec.name)
        try:
            if section == "psnr":
                found = curve.search(target)
                row.update(found or dict(failed="target not reached"))
            elif section == "bound":
                p = curve.at(target * field.range)
                row.update(bytes=p.size, bits_per_value=field.bits(p.size), psnr=p.psnr, max_error_over_range=p.error / field.range)
            elif section == "lossless":
                size, decoded = codec.run(field, None)
                exact = all(np.array_equal(a.view(np.uint32), np.ascontiguousarray(b, np.float32).view(np.uint32))
                            for a, b in zip(codec.inputs(field), decoded))
                row.update(bytes=size, bits_per_value=field.bits(size), psnr=999.0, max_error_over_range=0.0)
                if not exact:
                    row["failed"] = "not lossless"
            else:
                row.update(speed(codec, field, curve, target, repeats))
        except Exception as e:  # a peer's failure is a result
            row["failed"] = f"{type(e).__name__}: {e}"
        rows.append(row)
    return rows


def speed(codec, field, curve, target, repeats):
    knob = field.range * 10 ** (-target / 20)
    if codec.discrete:
        curve.search_levels(target)
        knob = min(curve.points.values(), key=lambda p: abs(p.psnr - target)).knob
    elif not codec.lossless:
        for _ in range(3):
            p = curve.at(knob)
            if abs(p.psnr - target) < 0.15:
                break
            knob *= 10 ** ((p.psnr - target) / 20)
    best, memory = [float("inf")] * 2, Memory()
    for _ in range(repeats):
        size, decoded = codec.run(field, knob)
        best = [min(b, s) for b, s in zip(best, codec.seconds)]
    memory = memory.more()
    psnr, error = field.distortion(decoded)
    megabytes = 4e-6 * sum(c.size for c in field.parts)
    return dict(bytes=size, bits_per_value=field.bits(size), psnr=psnr, knob=knob, max_error_over_range=error / field.range,
                compress_mb_s=megabytes / best[0], decompress_mb_s=megabytes / best[1], memory_mb=memory)


class Memory:
    """How far this process's resident memory rises above where it stood, in MB; of a peer's command, its own largest."""

    def __init__(self):
        with open("/proc/self/clear_refs", "w") as f:
            f.write("5")
        self.start = self.read("VmRSS")
        self.children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss

    def more(self):
        command = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
        return command if command > self.children / 1e3 else (self.read("VmHWM") - self.start) / 1e3

    @staticmethod
    def read(name):
        with open("/proc/self/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith(name))


def isolated(timeout, *work):
    """A crash or a hang of a peer costs its own process only."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(False)

    def child():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        there.send(measure(*work))

    process = context.Process(target=child)
    process.start()
    there.close()
    try:
        rows = here.recv() if here.poll(timeout) else f"no answer in {timeout:g} s"
    except EOFError:
        rows = None
    process.kill() if isinstance(rows, str) else None
    process.join()
    if isinstance(rows, list):
        return rows
    codec, field, section, todo, _ = work
    why = rows or f"crashed (exit {process.exitcode})"
    return [dict(field=field.name, digest=field.digest, section=section, target=t, family=codec.family, codec=codec.name, failed=why)
            for t in todo]


def jobs(codec, section, targets, bounds):
    """Targets of this section for this codec."""
    if section == "psnr":
        return [] if codec.lossless or codec.name == "sz3-c:interp-lorenzo" else targets
    if section == "bound":
        return bounds if codec.bounded and codec.name != "sz3-c:interp-lorenzo" else []
    if section == "lossless":
        return [0] if codec.lossless else []
    timed = ("zfp:accuracy", "fpzip", "sz3:interp-lorenzo", "sz3:lorenzo", "sz3-c:interp-lorenzo", "sperr:psnr", "sperr:pwe", "tthresh", "blosc2:shuffle-bytedelta")
    return [80.0] if codec.name in timed else []


def key(row):
    return f"{row['field']} {row['digest']} {row['section']} {row['target']:g} {row['codec']}"


def save(path, data):
    with open(path + ".tmp", "w") as f:
        json.dump(data, f, indent=1, sort_keys=True)
    os.replace(path + ".tmp", path)


def main():
    a = arguments()
    targets, bounds = ([float(v) for v in text.split(",")] for text in (a.targets, a.bounds))
    sections, only = a.sections.split(","), a.fields.split(",") if a.fields else None
    os.makedirs(a.out, exist_ok=True)
    out = lambda name: os.path.join(a.out, name)
    cache = {}
    if os.path.exists(out("peers.json")):
        with open(out("peers.json")) as f:
            stored = json.load(f)
        if stored["schema"] == SCHEMA:
            cache = {key(r): r for r in stored["rows"] if a.refresh is None or a.refresh not in r["codec"]}
    peers = codecs.available(a.sperr_lib, a.sz3, a.sz3c, a.tthresh)
    everything = list(fields.load(a.data, only))
    timed = [f for f in everything if f.name == "turb3d_velocity"]
    if "speed" in sections and a.large:
        timed.append(large(a.large))
    for field in everything + timed[1 if everything and timed and timed[0] in everything else 0:]:
        for codec in peers:
            for section in sections:
                if not codec.suits(field) or (field not in timed if section == "speed" else field not in everything):
                    continue
                stub = dict(field=field.name, digest=field.digest, section=section, codec=codec.name)
                todo = [t for t in jobs(codec, section, targets, bounds) if key(stub | dict(target=t)) not in cache]
                if not todo:
                    continue
                start = time.time()
                rows = isolated(a.timeout, codec, field, section, todo, a.repeats)
                cache.update((key(r), r) for r in rows)
                failed = {r["failed"] for r in rows if "failed" in r}
                print(f"{field.name:24s} {codec.name:26s} {section:8s} {time.time() - start:6.1f} s"
                      + (f"  FAILED {failed}" if failed else ""), flush=True)
        save(out("peers.json"), dict(schema=SCHEMA, rows=list(cache.values())))
    rows = list(cache.values())
    tables.write_csv(rows, out("peers.csv"))
    with open(out("table.md"), "w") as f:
        f.write(tables.peer_tables(rows, targets, bounds))
    if a.alidade and not a.peers_only:
        return against(a, rows, everything, timed, sections, targets, bounds, out)


def large(path):
    if not os.path.exists(path):
        print(f"making {path}", flush=True)
        fields.turbulence_like().tofile(path)
    cube = np.fromfile(path, np.float32)
    n = round(cube.size ** (1 / 3))
    return fields.Field(f"large_{n}", path, "u", None, [cube.reshape(n, n, n)], dict(dims="z,y,x"), dict(periodic="none"))


def against(a, rows, everything, timed, sections, targets, bounds, out):
    tool, ours = alidade.Alidade(shlex.split(a.alidade), a.alidade_arg, not a.no_check), []
    for field in everything:
        rivals = lambda relative: [(r["psnr"], r["bytes"]) for family in ("sperr", "sz3") for r in tables.pareto(
            tables.usable(rows, field=field.name, section="bound", target=relative, family=family))]
        ours += alidade.measure(tool, field, targets if "psnr" in sections else [], bounds if "bound" in sections else [],
                                rivals, "lossless" in sections)
    fast = []
    if "speed" in sections:
        for field in timed:
            try:
                fast.append(alidade.speed(tool, field, 80.0, a.repeats, sum(c.size for c in field.parts)))
            except (alidade.AlidadeError, OSError, KeyError) as e:
                print(f"speed of Alidade on {field.name}: {e}")
    lines = tables.verdicts(rows, ours, targets, bounds)
    save(out("alidade.json"), dict(schema=SCHEMA, rows=ours + fast, verdicts=lines))
    tables.write_csv(ours + fast, out("alidade.csv"))
    text = tables.verdict_tables(lines, rows, fast)
    with open(out("comparison.md"), "w") as f:
        f.write(text)
    print(text)
    return 1 if a.strict and any(v["verdict"] != "PASS" for v in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
