// Discrete Fourier transforms of many lines at once, in double or float: X_k = sum_j x_j exp(-2 pi i j k / n), unnormalised.
//
// Mixed radix (8, 4, 2, 3, 5, 7, primes up to 31), Bluestein beyond. A line's result depends on that line only: the operations and their
// order are fixed by the length, no libm and no contraction, so it is the same bits at every SIMD level, alone or among others.
#pragma once
#include <stdint.h>

typedef struct ald_fft ald_fft;

// A plan for lines of n >= 1 points and elements of 4 or 8 bytes; immutable, may be used by many threads. NULL: out of memory.
ald_fft *ald_fft_create(int64_t n, int element_size);
void ald_fft_free(ald_fft *plan);

// Complex lines side by side: point j of line l is complex number j * stride + l of `in` and of `out` (which may be the same memory with
// the same stride, else must not overlap). backward: exp(+...).
void ald_fft_lines(const ald_fft *plan, int backward, const void *in, int64_t in_stride, void *out, int64_t out_stride,
                   int64_t count);

// Real rows of n numbers, `in_distance` numbers apart, to their n / 2 + 1 first coefficients, rows `out_distance` complex numbers apart.
void ald_fft_real(const ald_fft *plan, const void *in, int64_t in_distance, void *out, int64_t out_distance, int64_t count);
// And back: `ald_fft_half(ald_fft_real(x)) = n x`. Imaginary parts of coefficients 0 and n / 2 (n even) are not read.
void ald_fft_half(const ald_fft *plan, const void *in, int64_t in_distance, void *out, int64_t out_distance, int64_t count);

// cos and sin of 2 pi k / n, in practice correctly rounded; 0 <= k < n < 2^50.
void ald_fft_root(int64_t k, int64_t n, double *cosine, double *sine);
