#pragma STDC FP_CONTRACT OFF
#include <math.h>
#include <string.h>
#include "CKernels.h"
#include "ald_clones.h"

#define INLINE inline __attribute__((always_inline))

// Without errno, which keeps loops from vector registers; rounded correctly either way.
#ifndef __has_builtin
#define __has_builtin(x) 0
#endif
#if __has_builtin(__builtin_elementwise_sqrt)
#define ROOT(x) __builtin_elementwise_sqrt(x)
#else
#define ROOT(x) __builtin_sqrt(x)
#endif

enum { L = 8 };
typedef double lanes __attribute__((vector_size(64), aligned(8), may_alias));
typedef int64_t lane_bits __attribute__((vector_size(64)));

static INLINE double power_of_two(int k) {
  union { uint64_t u; double d; } x = {.u = (uint64_t)(1023 + k) << 52};
  return x.d;
}
// Macros, as vectors wider than the processor's cannot be passed.
#define MAGNITUDES(v) ((lanes)((lane_bits)(v) & INT64_MAX))
#define LANE_SUM(v) (((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7])))

ALD_WIDE_CLONES
size_t ald_exact_terms(int kind, const double *a, const double *b, size_t n, double *parts) {
  double t[ALD_EXACT_TERMS + L];
  switch (kind) {
    case ALD_TERMS_PLAIN: memcpy(t, a, n * sizeof *t); break;
    case ALD_TERMS_SQUARE: for (size_t i = 0; i < n; i++) t[i] = a[i] * a[i]; break;
    case ALD_TERMS_DIFFERENCE: for (size_t i = 0; i < n; i++) { double d = a[i] - b[i]; t[i] = d * d; } break;
    default: for (size_t i = 0; i < n; i++) t[i] = a[i] * b[i];
  }
  for (size_t i = n; i < n + L; i++) t[i] = 0;
  lanes top = {0}, odd = {0};
  for (size_t i = 0; i < n; i += L) {
    const lanes v = *(const lanes *)(t + i), m = MAGNITUDES(v);
    const lane_bits more = m > top;
    top = (lanes)(((lane_bits)m & more) | ((lane_bits)top & ~more));
    odd += v - v;
  }
  double m = 0;
  for (int l = 0; l < L; l++) m = top[l] > m ? top[l] : m;
  if (!(LANE_SUM(odd) == 0) || m > 0x1p900 || (m < 0x1p-800 && m != 0)) { memcpy(parts, t, n * sizeof *t); return n; }
  if (m == 0) return 0;
  union { double d; uint64_t u; } bits = {.d = m};
  int e = (int)(bits.u >> 52) - 1022;   // m < 2^e
  size_t count = 0;
  // What is extracted are multiples of 2^(e - 42) of at most 2^e: 1024 of them have an exact sum.
  for (int fold = 0; fold < 3; fold++, e -= 42) {
    const double s = 1.5 * power_of_two(e + 10);
    lanes sum = {0}, rest = {0};
    for (size_t i = 0; i < n; i += L) {
      const lanes v = *(const lanes *)(t + i), q = (v + s) - s, r = v - q;
      sum += q;
      rest += MAGNITUDES(r);
      *(lanes *)(t + i) = r;
    }
    const double total = LANE_SUM(sum);
    if (total != 0) parts[count++] = total;
    if (LANE_SUM(rest) == 0) return count;
  }
  for (size_t i = 0; i < n; i++) if (t[i] != 0) parts[count++] = t[i];
  return count;
}

ALD_WIDE_CLONES void ald_row_add(double *restrict out, const double *restrict in, double c, size_t n) {
  for (size_t i = 0; i < n; i++) out[i] += c * in[i];
}
ALD_WIDE_CLONES void ald_row_add_each(double *restrict out, const double *restrict in, const double *restrict c, size_t n) {
  for (size_t i = 0; i < n; i++) out[i] += c[i] * in[i];
}
ALD_WIDE_CLONES void ald_row_add_square(double *restrict out, const double *restrict in, double c, size_t n) {
  for (size_t i = 0; i < n; i++) out[i] += c * (in[i] * in[i]);
}
ALD_WIDE_CLONES void ald_row_increments(const double *restrict a, const double *restrict b, size_t n, double epsilon, int32_t p, double *restrict out) {
  const double square = epsilon * epsilon;
  if (p == 2) { for (size_t i = 0; i < n; i++) { const double z = b[i] - a[i]; out[i] = z * z + square; } return; }
  for (size_t i = 0; i < n; i++) {
    const double z = b[i] - a[i], e = z * z + square;
    double v = p & 1 ? ROOT(e) : 1;
    for (int32_t k = 0; k < p / 2; k++) v *= e;
    out[i] = v;
  }
}
ALD_WIDE_CLONES void ald_row_slopes(const double *restrict a, const double *restrict b, size_t n, double epsilon, int32_t p, double c, double *restrict out) {
  const double square = epsilon * epsilon, order = p;
  for (size_t i = 0; i < n; i++) {
    const double z = b[i] - a[i], e = z * z + square;
    double v = p < 2 ? (e > 0 ? 1 / ROOT(e) : 0) : p & 1 ? ROOT(e) : 1;
    for (int32_t k = 0; k < (p - 2) / 2; k++) v *= e;
    out[i] = c * (order * z * v);
  }
}
ALD_WIDE_CLONES void ald_row_add_difference(double *restrict out, const double *a, const double *b, size_t n) {
  for (size_t i = 0; i < n; i++) out[i] += a[i] - b[i];
}
ALD_WIDE_CLONES int ald_all_finite(const double *x, size_t n) {
  lanes odd = {0};
  size_t i = 0;
  for (; i + L <= n; i += L) { const lanes v = *(const lanes *)(x + i); odd += v - v; }
  double rest = LANE_SUM(odd);
  for (; i < n; i++) rest += x[i] - x[i];
  return rest == 0;   // else not a number
}
ALD_WIDE_CLONES void ald_widen(const float *restrict x, size_t n, double *restrict out) {
  for (size_t i = 0; i < n; i++) out[i] = (double)x[i];
}
ALD_WIDE_CLONES void ald_shell_row(double plane, const double *restrict squares, size_t n, int32_t *restrict shell) {
  for (size_t i = 0; i < n; i++) shell[i] = (int32_t)(ROOT(plane + squares[i]) + 0.5);
}
ALD_WIDE_CLONES void ald_row_add_power(double *restrict out, const double *restrict in, size_t n) {
  for (size_t i = 0; i < n; i++) out[i] += in[2 * i] * in[2 * i] + in[2 * i + 1] * in[2 * i + 1];
}

typedef double quad __attribute__((vector_size(32)));
typedef int64_t quad_mask __attribute__((vector_size(32)));

// First bin and t of each sample.
static INLINE void places(const ald_spline_bins *b, const double *restrict s, size_t n, int32_t *restrict bin, double *restrict t) {
  const double minimum = b->minimum, maximum = b->maximum, h = b->h;
  for (size_t i = 0; i < n; i++) {
    double v = s[i];
    v = v < minimum ? minimum : v;
    v = v > maximum ? maximum : v;
    const double position = (v - minimum) / h + 1.5;
    const int32_t first = (int32_t)position;   // positive
    bin[i] = first - 1;
    t[i] = position - (double)first + 1;
  }
}

ALD_WIDE_CLONES
size_t ald_spline_add(const ald_spline_bins *b, const double *s, size_t n, size_t bins, double *sums, double *left, uint32_t *where) {
  int32_t bin[256];
  double t[256];
  quad rest[256];
  size_t count = 0;
  const quad steps = {0, 1, 2, 3}, magic = {0x1.8p52, 0x1.8p52, 0x1.8p52, 0x1.8p52};
  const quad_mask outer = {-1, 0, 0, -1}, positive = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
  for (size_t start = 0; start < n; start += 256) {
    const size_t m = n - start < 256 ? n - start : 256;
    places(b, s + start, m, bin, t);
    quad_mask any = {0};
    for (size_t i = 0; i < m; i++) {
      const quad a = (quad)((quad_mask)(t[i] - steps) & positive), r = 2 - a, aa = a * a;
      const quad far = r * r * r, near = 4 - 6 * aa + 3 * aa * a;
      quad v = (quad)(((quad_mask)far & outer) | ((quad_mask)near & ~outer)) / 6;
      double *to = sums + 4 * (size_t)bin[i];
      for (int level = 0; level < 3; level++, to += 4 * bins) {
        quad x = v * 0x1p36, q = (x + magic) - magic, old;
        v = x - q;
        memcpy(&old, to, sizeof old);
        old += q;
        memcpy(to, &old, sizeof old);
      }
      rest[i] = v;
      any |= v != 0;
    }
    if (any[0] | any[1] | any[2] | any[3]) for (size_t i = 0; i < m; i++) for (int k = 0; k < 4; k++) if (rest[i][k] != 0) {
      where[count] = (uint32_t)(bin[i] + k);
      left[count++] = rest[i][k] * 0x1p-108;
    }
  }
  return count;
}

ALD_WIDE_CLONES
void ald_spline_slopes(const ald_spline_bins *b, const double *s, size_t n, const double *w, double c, double *out) {
  int32_t bin[256];
  double t[256];
  for (size_t start = 0; start < n; start += 256) {
    const size_t m = n - start < 256 ? n - start : 256;
    places(b, s + start, m, bin, t);
    for (size_t i = 0; i < m; i++) {
      const double *k = w + bin[i], r0 = 2 - t[i], a1 = t[i] - 1, a2 = 2 - t[i], r3 = 2 - (3 - t[i]);
      double sum = k[0] * (-0.5 * (r0 * r0));
      sum += k[1] * (1.5 * (a1 * a1) - 2 * a1);
      sum += k[2] * -(1.5 * (a2 * a2) - 2 * a2);
      sum += k[3] * (0.5 * (r3 * r3));
      const double v = s[start + i];
      out[start + i] = c * (sum / b->h * (v >= b->minimum && v <= b->maximum ? 1.0 : 0.0));
    }
  }
}
