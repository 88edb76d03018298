#!/usr/bin/env python3
"""Writes base_tables.c: the shipped shape of every class, -8 log2 p in one byte.

python3 base_tables.py > base_tables.c            parametric shape (two-sided geometric, three scales)
python3 base_tables.py HIST... > base_tables.c    the same, blended with trained histograms (uint64[96][128] files)
"""
import sys
import numpy as np

CLASSES, SYMBOLS = 96, 128


def bucket_edges():
    lo = list(range(16))
    for e in range(4, 30):
        for f in range(4):
            lo.append((4 + f) << (e - 2))
    return np.array(lo + [1 << 30], dtype=np.float64)


def geometric(mean, edges):
    """P(bucket) of the two-sided geometric law with E|v| = mean."""
    t = (np.sqrt(1 + mean * mean) - 1) / mean if mean > 1e-9 else 0.0
    tail = lambda m: np.where(m <= 0, 1.0, 2 * t ** m / (1 + t))
    return np.maximum(tail(edges[:-1]) - tail(edges[1:]), 0)


def parametric():
    edges = bucket_edges()
    table = np.zeros((CLASSES, SYMBOLS))
    for c in range(CLASSES):
        s = 2.0 ** ((c + 11.5) / 4 - 12)
        p = 0
        for w, f in ((.06, .3), (.24, .6), (.4, 1), (.24, 1.6), (.06, 3)):
            p = p + w * geometric(s * f, edges)
        table[c, :len(p)] = p
    return table


def main():
    table = parametric()
    for path in sys.argv[1:]:
        h = np.fromfile(path, np.uint64).reshape(CLASSES, SYMBOLS).astype(float)
        n = h.sum(1, keepdims=True)
        table = (h + 200 * table) / (n + 200)
    table = np.maximum(table, 2.0 ** -20)
    table[:, 127] = 2.0 ** -16
    table /= table.sum(1, keepdims=True)
    code = np.clip(np.rint(-8 * np.log2(table)), 0, 255).astype(int)
    print("// Written by base_tables.py; do not edit.\n#pragma STDC FP_CONTRACT OFF\n#include \"ald_entropy.h\"\n")
    print("const uint8_t ald_base_tables[ALD_CLASSES][ALD_SYMBOLS] = {")
    for row in code:
        print("  {" + ",".join(map(str, row)) + "},")
    print("};")


main()
