#pragma STDC FP_CONTRACT OFF
#include <string.h>
#include "ald_clones.h"
#include "ald_error.h"

#define INLINE static inline __attribute__((always_inline))
// Four doubles; sums keep this many lanes on every processor.
typedef double V __attribute__((vector_size(32)));
typedef int64_t I __attribute__((vector_size(32)));
typedef double U __attribute__((vector_size(32), aligned(8), may_alias));
#define LOAD(p) (*(const U *)(p))

// Sums of x, e, x^2, e^2, x e over a window.
typedef struct moments { double x, e, xx, ee, xe; } moments;

// At least one zero behind each row.
static int64_t row_length(int64_t n) { return (n + 8) & ~(int64_t)7; }
static int64_t planes_held(const int64_t n[3]) { return n[0] == 1 ? 1 : n[0] < 8 ? n[0] + 1 : 9; }
size_t ald_error_work(const int64_t n[3]) {
  int64_t row = row_length(n[2]);
  return (size_t)(planes_held(n) * n[1] * row + 8 + 64 * row + row + (row + 7) / 8);
}

// Vectors are passed by address: by value they would need one calling convention for all instruction sets.
INLINE double total(const V *s) { return ((*s)[0] + (*s)[1]) + ((*s)[2] + (*s)[3]); }
// peak = max(peak, |d|); a NaN is passed over.
INLINE void raise(V *peak, const V *d) {
  I m = (I)*d & (INT64_MAX - (I){0}), higher = (V)m > *peak;
  *peak = (V)((m & higher) | ((I)*peak & ~higher));
}

// Place of every error: its bin floor(32 (e / scale + 1)), 64 below the scale, 65 above it or not a number.
// A double with 2^32 added carries its integer part in bits 20 ..< 52.
INLINE void places(const double *restrict e, int64_t n, const ald_error_setup *s, uint64_t *restrict place) {
  const double factor = s->factor, scale = s->scale;
  for (int64_t k = 0; k < n; k++) {
    double v = e[k], t = v * factor + 32;
    t = t > 0 ? t : 0;
    t = t < 63 ? t : 63;
    t = v <= scale ? t : 65;
    t = v < -scale ? 64 : t;
    t = t + 0x1p32;
    uint64_t bits;
    memcpy(&bits, &t, sizeof bits);
    place[k] = bits >> 20 & 127;
  }
}

// Adds the sum of a_k b_k in lanes; n a multiple of 8.
INLINE void dot(const double *a, const double *b, int64_t n, V *sum) {
  V s = {0}, t = {0};
  for (int64_t k = 0; k < n; k += 8) {
    s += LOAD(a + k) * LOAD(b + k);
    t += LOAD(a + k + 4) * LOAD(b + k + 4);
  }
  *sum += s + t;
}

// Structural similarity of x and y = x + e over `n` points.
//
// (2 mx my + c1)(2 cxy + c2) / ((mx^2 + my^2 + c1)(vx + vy + c2)); 1 where that is 0/0.
// Source: Baker et al., Evaluating image quality measures to assess the impact of lossy data compression applied to
// climate simulation data (2019): windows on the data, values relative to the global range.
INLINE double similarity(const moments *m, int64_t n, double c1, double c2) {
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

#define T float
#define NAME(x) x##_f32
#include "error.inc"
#undef T
#undef NAME
#define T double
#define NAME(x) x##_f64
#include "error.inc"

void ald_error_tile(int size, const int64_t n[3], const ald_rows *original, const ald_rows *decoded, const ald_rows *mask,
                    const ald_error_setup *setup, double *work, ald_error_sums *out) {
  if (size == 4) tile_f32(n, original, decoded, mask, setup, work, out);
  else tile_f64(n, original, decoded, mask, setup, work, out);
}
