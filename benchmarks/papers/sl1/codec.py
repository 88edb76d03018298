#!/usr/bin/env python3
"""Row SL1-7, and SL1-1 in stored bytes: a sparse dictionary in the container, beside the transforms. See README.md.

Learns a dictionary as sl1.py does, writes it as a model file, and has `alidade` code later images with it: all bytes are those of files.
"""
import argparse
import hashlib
import json
import os
import struct
import subprocess
import time

import h5py
import numpy as np
import xxhash

from sl1 import N, Sparse, chi2, counts, scattering, stabilised

STEP = 6.0                  # of the values of the codes, in counting noise of a pixel


def number(v):
    out = b""
    while v >= 128:
        out += bytes([v & 127 | 128])
        v >>= 7
    return out + bytes([v])


def integers(values, bits):
    """Two's complement, lowest bit first, whole bytes."""
    v = np.asarray(values, np.int64) & ((1 << bits) - 1)
    return np.packbits(((v[:, None] >> np.arange(bits)) & 1).astype(np.uint8).ravel(), bitorder="little").tobytes()


def model(path, columns, magnitudes, threshold, bits):
    """A sparse code with a tied analysis on whole images; docs/format.md section 10."""
    n, latents = columns.shape
    top = (1 << (bits - 1)) - 1
    scale = np.float32(np.abs(columns).max() / top)
    out = bytes([2]) + b"".join(map(number, [1, 1, N, N, latents])) + bytes([1]) + number(0) * 4 + bytes([2, 0]) + number(0) + number(bits)
    out += struct.pack("<f", threshold) + np.full(latents, STEP, "<f4").tobytes() + np.asarray(magnitudes, "<f4").tobytes()
    out += struct.pack("<f", scale) + integers(np.clip(np.rint(columns / scale), -top, top).ravel(), bits) + np.zeros(n, "<f4").tobytes()
    with h5py.File(path, "w") as f:
        f["network"] = np.frombuffer(out, np.uint8)
        told = {"format": "alidade-model 1", "hash": f"{xxhash.xxh3_64_intdigest(out):016x}", "licence": "as the program", "kind": "autoencoder of patches, codes sparse",
                "normalisation": "values are taken as they are", "architecture": f"patch 1 {N} {N}, latents {latents}, tied", "trained_on": "synthetic small-angle scattering, benchmarks/papers/sl1", "trained_latents": str(latents)}
        for k, v in told.items():
            f.attrs.create(k, np.bytes_(v))


def alidade(o, words, ranks=0):
    command = ([o.mpirun, "--oversubscribe", "-n", str(ranks)] if ranks else []) + [o.alidade] + words
    started = time.time()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    return time.time() - started


def learn(o, target):
    x = stabilised(scattering(o.train, 1)[0])
    s, z = Sparse(x, o.over, np.random.default_rng(1)), None
    for _ in range(o.rounds):
        z = s.code(x, o.penalty, 12, z)
        s.move(x, s.debiased(x, z))
    q = np.abs(np.rint(s.debiased(x[:400], s.code(x[:400], o.penalty, 20)) / STEP))
    order = np.argsort(-(q > 0).mean(0), kind="stable")
    used = order[: max(1, int(((q > 0).sum(0) > 1).sum()))]
    q, columns = q[:, used], s.a[:, used]
    model(target, columns, q.sum(0) / np.maximum((q > 0).sum(0), 1), o.penalty / STEP, o.bits)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--alidade", required=True)
    p.add_argument("--mpirun", default="mpirun")
    p.add_argument("--output", required=True)
    p.add_argument("--train", type=int, default=800)
    p.add_argument("--images", type=int, default=128)
    p.add_argument("--over", type=float, default=1.0)
    p.add_argument("--rounds", type=int, default=8)
    p.add_argument("--penalty", type=float, default=4.0)
    p.add_argument("--bits", type=int, default=8)
    p.add_argument("--psnr", type=float, nargs="+", default=[40.0, 45.0, 48.0])
    o = p.parse_args()
    os.makedirs(o.output, exist_ok=True)
    def path(name): return os.path.join(o.output, name)

    if not os.path.exists(path("code.aldm")):
        learn(o, path("code.aldm"))
    with h5py.File(path("code.aldm")) as f:
        weights, latents = len(f["network"]), int(f.attrs["trained_latents"])

    data = scattering(o.images, 2)[0]
    late = stabilised(data).reshape(-1, N, N)
    # Images side by side for codes of images; one below the other for transforms, which would mix neighbours along a third axis.
    with h5py.File(path("images.h5"), "w") as f:
        f["images"] = late
        f["images"].attrs["dims"] = "z,y,x"
    with h5py.File(path("strip.h5"), "w") as f:
        f["images"] = late.reshape(-1, N)
        f["images"].attrs["dims"] = "y,x"
    rows = []
    for psnr in o.psnr:
        row = {"psnr": psnr, "images": o.images, "raw": late.nbytes, "latents": latents, "model": weights}
        def job(name, given, more, ranks=0):
            took = alidade(o, ["compress", path(given), "-o", path(name + ".ald"), "--psnr", str(psnr), "--report", path(name + ".json")] + more, ranks)
            with open(path(name + ".json")) as f:
                line = json.load(f)["result"]["fields"][0]
            return line, took
        code = ["--codec", "autoencoder", "--model", path("code.aldm")]
        for name, given, more in (("sparse", "images.h5", code), ("stack", "images.h5", []), ("strip", "strip.h5", [])):
            line, took = job(name, given, more)
            alidade(o, ["decompress", path(name + ".ald"), "-o", path("back.h5")] + (["--model", path("code.aldm")] if name == "sparse" else []))
            with h5py.File(path("back.h5")) as f:
                back = f["images"][:].reshape(-1, N, N)
            row[name] = {"bytes": line["stored_bytes"], "member": line["transform"], "psnr": line["psnr_db"], "seconds": took, "chi2": chi2(counts(back.reshape(o.images, -1)), data)}
        def digest():
            with open(path("sparse.ald"), "rb") as f:
                return hashlib.sha256(f.read()).hexdigest()
        first = digest()
        row["ranks"] = {n: (round(job("sparse", "images.h5", code, n)[1], 2), digest() == first) for n in (1, 2, 4, 8)}
        rows.append(row)
        with open(path("codec.json"), "w") as f:
            json.dump(rows, f, indent=1, sort_keys=True)
        best = min(row["stack"]["bytes"], row["strip"]["bytes"])
        print(f"{psnr:g} dB: sparse {row['sparse']['bytes']} bytes (ratio {row['raw'] / row['sparse']['bytes']:.1f}, chi^2 {row['sparse']['chi2']:.2f}, with the model's {weights}: "
              f"{row['raw'] / (row['sparse']['bytes'] + weights):.2f}), transforms {best} (ratio {row['raw'] / best:.1f}, chi^2 {row['strip']['chi2']:.2f}), "
              f"same bytes on 1, 2, 4, 8 ranks: {all(same for _, same in row['ranks'].values())}")


if __name__ == "__main__":
    main()
