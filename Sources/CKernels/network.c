#pragma STDC FP_CONTRACT OFF
#include "ald_network.h"
#include "ald_clones.h"
#include "ald_simd.h"
#include <stddef.h>

// Cells at once: their sums and a row of weights fit into the registers of AVX2.
enum { BLOCK = 6 };

#define NAME(x) x##_baseline
#include "network.inc"
#undef NAME

#if defined(__clang__) && defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define NAME(x) x##_avx2
#include "network.inc"
#undef NAME
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#define NAME(x) x##_avx512
#include "network.inc"
#undef NAME
#pragma clang attribute pop
#endif

void ald_convolve(const ald_convolution *k, const float *in, const int32_t m[3], const int32_t n[3], float *out) {
#if defined(__clang__) && defined(__x86_64__)
  switch (ald_simd_level()) {
    case ALD_SIMD_AVX512: convolve_avx512(k, in, m, n, out); return;
    case ALD_SIMD_AVX2: convolve_avx2(k, in, m, n, out); return;
  }
#endif
  convolve_baseline(k, in, m, n, out);
}

ALD_WIDE_CLONES
void ald_rectify(float *a, const int32_t n[3], int32_t channels, const float *skip, const int32_t margin[3]) {
  for (int32_t z = 0; z < n[0]; z++) for (int32_t y = 0; y < n[1]; y++) {
    const size_t run = (size_t)n[2] * (size_t)channels;
    const float *s = skip;
    if (s) s += (((size_t)(z + margin[0]) * (size_t)(n[1] + 2 * margin[1]) + (size_t)(y + margin[1])) * (size_t)(n[2] + 2 * margin[2]) + (size_t)margin[2]) * (size_t)channels;
    for (size_t i = 0; i < run; i++) {
      const float v = a[i], r = v > 0 ? v : v * 0.125f;
      a[i] = s ? r + s[i] : r;
    }
    a += run;
  }
}

#define REAL float
#define NAME(x) x##_f32
#include "network_cells.inc"
#undef REAL
#undef NAME
#define REAL double
#define NAME(x) x##_f64
#include "network_cells.inc"
