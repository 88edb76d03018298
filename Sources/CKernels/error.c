#pragma STDC FP_CONTRACT OFF
#include <string.h>
#include "ald_error.h"
#include "ald_simd.h"

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define INLINE static inline __attribute__((always_inline))
// Eight doubles, a row of a window; sums keep this many lanes on every processor. May lie anywhere.
typedef double V __attribute__((vector_size(64)));
typedef int64_t I __attribute__((vector_size(64)));
typedef double U __attribute__((vector_size(64), aligned(8), may_alias));
typedef float U32 __attribute__((vector_size(32), aligned(4), may_alias));
#define LOAD(p) (*(const U *)(p))
#define STORE(p, v) (*(U *)(p) = (v))

// Sums of x, e, x^2, e^2, x e over a window.
typedef struct moments { double x, e, xx, ee, xe; } moments;

// Errors in rows of whole windows, eight zeros before each; nine planes of them, the first one the last of the brick before.
static int64_t row_length(int64_t n) { return ((n + 7) & ~(int64_t)7) + 8; }
static int64_t planes_held(int64_t n) { return n < 8 ? n + 1 : 9; }
size_t ald_error_work(const int64_t n[3]) { return (size_t)(planes_held(n[0]) * n[1] * row_length(n[2])); }

// Vectors are passed by address: by value they would need one calling convention for all instruction sets.
INLINE double total(const V *v) {
  const V s = *v;
  return ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
}
// peak = max(peak, |d|); a NaN is passed over.
INLINE void raise(V *peak, const V *d) {
  I m = (I)*d & (INT64_MAX - (I){0}), higher = (V)m > *peak;
  *peak = (V)((m & higher) | ((I)*peak & ~higher));
}

// A double with 2^28 added carries its integer part from bit 24 on; `PLACE_BYTE` is its lowest byte.
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
enum { PLACE_BYTE = 3 };
#else
enum { PLACE_BYTE = 4 };
#endif
// Places of eight errors within the scale: their bins floor(32 (e / scale + 1)), the last one for e = scale.
INLINE void places(const V *e, const ald_error_setup *s, uint8_t *to) {
  V t = *e * s->factor + 32;
  const V last = 63 - (V){0};
  I lower = t < last;
  t = (V)(((I)t & lower) | ((I)last & ~lower)) + 0x1p28;
  memcpy(to, &t, sizeof t);
}
// Structural similarity of x and y = x + e over `n` points.
//
// (2 mx my + c1)(2 cxy + c2) / ((mx^2 + my^2 + c1)(vx + vy + c2)); 1 where that is 0/0.
// Source: Baker et al., Evaluating image quality measures to assess the impact of lossy data compression applied to
// climate simulation data (2019): windows on the data, values relative to the global range.
static double similarity(const moments *m, int64_t n, double c1, double c2) {
  double r = 1 / (double)n;
  double mx = m->x * r, me = m->e * r, my = mx + me;
  double vx = m->xx * r - mx * mx, ve = m->ee * r - me * me, c = m->xe * r - mx * me;
  vx = vx >= 0 ? vx : 0;
  ve = ve >= 0 ? ve : 0;
  double vy = vx + 2 * c + ve;
  vy = vy >= 0 ? vy : 0;
  double d = (mx * mx + my * my + c1) * (vx + vy + c2);
  return d > 0 ? (2 * mx * my + c1) * (2 * (vx + c) + c2) / d : 1;
}

#define LEVEL base
#include "error_level.inc"
#undef LEVEL
#if defined(__x86_64__) && defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define LEVEL avx2
#include "error_level.inc"
#undef LEVEL
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#define LEVEL avx512
#include "error_level.inc"
#undef LEVEL
#pragma clang attribute pop
#endif

void ald_error_tile(int size, const int64_t n[3], const ald_rows *original, const ald_rows *decoded, const ald_rows *mask,
                    const ald_error_setup *setup, double *work, ald_error_sums *out) {
#define RUN(level) (size == 4 ? tile_f32_##level : tile_f64_##level)(n, original, decoded, mask, setup, work, out)
#if defined(__x86_64__) && defined(__clang__)
  switch (ald_simd_level()) {
    case ALD_SIMD_AVX512: RUN(avx512); return;
    case ALD_SIMD_AVX2: RUN(avx2); return;
    default: break;
  }
#endif
  RUN(base);
}
