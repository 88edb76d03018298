"""Writes transforms_tables.inc: python3 transforms_tables.py > transforms_tables.inc (included once per REAL type)."""
from mpmath import mp, mpf, cos, pi, sqrt, matrix
mp.dps = 40

def dct2(n):
    c = matrix(n, n)
    for k in range(n):
        for i in range(n):
            c[k, i] = sqrt(mpf(1) / n) if k == 0 else sqrt(mpf(2) / n) * cos(pi * (2 * i + 1) * k / (2 * n))
    return c

def dct4(n):
    c = matrix(n, n)
    for k in range(n):
        for i in range(n):
            c[k, i] = sqrt(mpf(2) / n) * cos(pi * (2 * i + 1) * (2 * k + 1) / (4 * n))
    return c

def emit(name, dims, values):
    print(f'static const REAL TABLE({name}){dims} = {{')
    for i in range(0, len(values), 4):
        print('  ' + ' '.join(float(v).hex() + ',' for v in values[i:i + 4]))
    print('};')

print('// Made by transforms_tables.py; do not edit.')
print('// odd rows of the orthonormal DCT-II of N samples on the differences: sqrt(2/N) cos(pi (2i+1)(2k+1) / 2h), h = N, N/2, N/4')
for N in (8, 16):
    h = N // 2
    while h >= 2:
        emit(f'odd{h}_of{N}', f'[{h * h}]', [sqrt(mpf(2) / N) * cos(pi * (2 * i + 1) * (2 * k + 1) / (4 * h)) for k in range(h) for i in range(h)])
        h //= 2
    print(f'static const REAL TABLE(dc{N}) = {float(sqrt(mpf(1) / N)).hex()};')
print('// sqrt(2/n) cos(pi j / 2n), j = 0 ..< 4n, for n = 1 ... 23 at offset 2 n (n - 1)')
emit('cosines', '[]', [0 if (j == n or j == 3 * n) else sqrt(mpf(2) / n) * cos(pi * j / (2 * n)) for n in range(1, 24) for j in range(4 * n)])
print('// 1/sqrt(n), n = 1 ... 23')
emit('dc', '[24]', [0] + [1 / sqrt(mpf(n)) for n in range(1, 24)])
print('// half the rotation of the pre-filter: V/2, V = J DCT2(h)^T DCT4(h) J, h = 2 ... 8 at offset (h-1) h (2h-1) / 6 - 1')
vs = []
for h in range(2, 9):
    v = dct2(h).T * dct4(h)
    vs += [v[h - 1 - i, h - 1 - j] / 2 for i in range(h) for j in range(h)]
emit('half_rotation', '[]', vs)
K = mpf('1.149604398860241')
for n, v in (('lift_a', '-1.586134342059924'), ('lift_b', '-0.052980118572961'), ('lift_c', '0.882911075530934'), ('lift_d', '0.443506852043971')):
    print(f'static const REAL TABLE({n}) = {float(mpf(v)).hex()};')
print(f'static const REAL TABLE(lift_k) = {float(K).hex()}, TABLE(lift_1k) = {float(1 / K).hex()};')
