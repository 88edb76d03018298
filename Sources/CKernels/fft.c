#pragma STDC FP_CONTRACT OFF
#include "ald_fft.h"
#include "ald_memory.h"
#include "ald_simd.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

enum { LARGEST_RADIX = 31, MOST_PASSES = 40 };

struct ald_fft {
  int64_t n;
  int element_size;
  int passes;
  int radix[MOST_PASSES];
  // Of each pass of length m radix: exp(-2 pi i p k / (m radix)), k = 1 ..< radix, for p = 0 ..< m in turn; none where m is 1.
  void *twiddle[MOST_PASSES];
  // Of each odd radix r: exp(-2 pi i k / r), k = 0 ..< r.
  void *roots[MOST_PASSES];
  // Real lines of even length: exp(-2 pi i k / n), k = 0 ... n / 4, and the plan of n / 2.
  void *untangle;
  struct ald_fft *half;
  // Bluestein: exp(-pi i j^2 / n), j = 0 ..< n, the transform of its conjugate divided by the length, and the plan of that length.
  void *chirp, *kernel;
  struct ald_fft *convolution;
};

// Double-double numbers hi + lo.
// Source: Dekker, A floating-point technique for extending the available precision (1971).
typedef struct dd { double hi, lo; } dd;

static dd dd_fast(double a, double b) { double s = a + b; return (dd){s, b - (s - a)}; }
static dd dd_add(dd a, dd b) {
  double s = a.hi + b.hi, t = s - a.hi;
  return dd_fast(s, ((a.hi - (s - t)) + (b.hi - t)) + (a.lo + b.lo));
}
static dd dd_product(double a, double b) {
  double x = 134217729.0 * a, y = 134217729.0 * b;
  double ah = x - (x - a), bh = y - (y - b), al = a - ah, bl = b - bh, p = a * b;
  return (dd){p, ((ah * bh - p) + ah * bl + al * bh) + al * bl};
}
static dd dd_mul(dd a, dd b) {
  dd p = dd_product(a.hi, b.hi);
  return dd_fast(p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi));
}
static dd dd_div(dd a, double b) {
  double q = a.hi / b;
  dd p = dd_product(q, b);
  return dd_fast(q, ((a.hi - p.hi) - p.lo + a.lo) / b);
}

void ald_fft_root(int64_t k, int64_t n, double *cosine, double *sine) {
  // The angle 2 pi k / n is octant * pi / 4 + rest, and by symmetry one in 0 ... pi / 4.
  int64_t octant = 8 * k / n, rest = 8 * k % n;
  if (octant & 1) rest = n - rest;
  const dd quarter = {0x1.921fb54442d18p-1, 0x1.1a62633145c07p-55};   // pi / 4
  dd a = dd_div(dd_mul(quarter, (dd){(double)rest, 0}), (double)n), square = dd_mul(a, a);
  dd s = a, c = {1, 0}, term = {1, 0};
  for (int i = 1; i < 28; i++) {
    // term = +- a^i / i!, beginning with the even ones
    if (i & 1) {
      s = i == 1 ? a : dd_add(s, dd_div(dd_mul(term, a), i));
    } else {
      term = dd_div(dd_mul(term, square), -(double)(i * (i - 1)));
      c = dd_add(c, term);
    }
  }
  double x = c.hi, y = s.hi;
  if (((octant + 1) >> 1) & 1) { double t = x; x = y; y = t; }
  *cosine = octant >= 2 && octant < 6 ? -x : x;
  *sine = octant >= 4 ? -y : y;
}

#define SHUFFLE __builtin_shufflevector

#define BYTES 16
#define LEVEL base
#include "fft_level.inc"
#undef LEVEL
#undef BYTES
#if defined(__x86_64__) && defined(__clang__)
#define BYTES 32
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define LEVEL avx2
#include "fft_level.inc"
#undef LEVEL
#pragma clang attribute pop
#undef BYTES
#define BYTES 64
#pragma clang attribute push(__attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#define LEVEL avx512
#include "fft_level.inc"
#undef LEVEL
#pragma clang attribute pop
#undef BYTES
#endif

// A table of `count` complex numbers in the plan's precision.
static void *table(int64_t count, int element_size) { return malloc((size_t)(2 * count * element_size) + 64); }
static void put(void *table, int64_t i, int element_size, double re, double im) {
  if (element_size == 4) { ((float *)table)[2 * i] = (float)re; ((float *)table)[2 * i + 1] = (float)im; }
  else { ((double *)table)[2 * i] = re; ((double *)table)[2 * i + 1] = im; }
}
static void put_root(void *table, int64_t i, int element_size, int64_t k, int64_t n) {
  double c, s;
  ald_fft_root(k % n, n, &c, &s);
  put(table, i, element_size, c, -s);
}

// The radices of n; what is left after primes up to the largest radix.
static int64_t factorise(int64_t n, int *radix, int *count) {
  static const int odd[] = {3, 5, 7, 11, 13, 17, 19, 23, 29, 31};
  int twos = 0;
  *count = 0;
  while (n % 2 == 0) { n /= 2; twos++; }
  while (twos > 4 || twos == 3) { radix[(*count)++] = 8; twos -= 3; }
  while (twos >= 2) { radix[(*count)++] = 4; twos -= 2; }
  if (twos) radix[(*count)++] = 2;
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
    while (n % odd[i] == 0) { n /= odd[i]; radix[(*count)++] = odd[i]; }
  return n;
}

static int plan_passes(ald_fft *f) {
  int64_t m = f->n;
  int e = f->element_size;
  for (int i = 0; i < f->passes; i++) {
    int r = f->radix[i];
    int64_t length = m;
    m /= r;
    if (m > 1) {
      void *t = f->twiddle[i] = table(m * (r - 1), e);
      if (!t) return 0;
      for (int64_t p = 0; p < m; p++)
        for (int k = 1; k < r; k++) put_root(t, p * (r - 1) + k - 1, e, p * k, length);
    }
    if (r & 1) {
      if (!(f->roots[i] = table(r, e))) return 0;
      for (int k = 0; k < r; k++) put_root(f->roots[i], k, e, k, r);
    }
  }
  return 1;
}

static int plan_bluestein(ald_fft *f) {
  int64_t n = f->n, m = 2 * n - 1;
  int e = f->element_size, radix[MOST_PASSES], count;
  while (factorise(m, radix, &count) != 1 || radix[count - 1] > 8) m++;
  f->convolution = ald_fft_create(m, e);
  ald_fft *exact = ald_fft_create(m, 8);
  f->chirp = table(n, e);
  f->kernel = table(m, e);
  double *b = calloc((size_t)(2 * m), sizeof(double));
  int ok = f->convolution && exact && f->chirp && f->kernel && b;
  if (ok) {
    for (int64_t j = 0; j < n; j++) {
      double c, s;
      ald_fft_root((int64_t)((unsigned __int128)j * (unsigned __int128)j % (unsigned __int128)(2 * n)), 2 * n, &c, &s);
      put(f->chirp, j, e, c, -s);
      b[2 * j] = c; b[2 * j + 1] = s;
      if (j) { b[2 * (m - j)] = c; b[2 * (m - j) + 1] = s; }
    }
    ald_fft_lines(exact, 0, b, 1, b, 1, 1);
    for (int64_t k = 0; k < m; k++) put(f->kernel, k, e, b[2 * k] / (double)m, b[2 * k + 1] / (double)m);
  }
  free(b);
  ald_fft_free(exact);
  return ok;
}

ald_fft *ald_fft_create(int64_t n, int element_size) {
  ald_fft *f = calloc(1, sizeof *f);
  if (!f) return NULL;
  f->n = n;
  f->element_size = element_size;
  int ok = factorise(n, f->radix, &f->passes) == 1 ? plan_passes(f) : plan_bluestein(f);
  if (ok && n % 2 == 0) {
    f->half = ald_fft_create(n / 2, element_size);
    f->untangle = table(n / 4 + 1, element_size);
    ok = f->half && f->untangle;
    if (ok) for (int64_t k = 0; k <= n / 4; k++) put_root(f->untangle, k, element_size, k, n);
  }
  if (ok) return f;
  ald_fft_free(f);
  return NULL;
}

void ald_fft_free(ald_fft *f) {
  if (!f) return;
  for (int i = 0; i < MOST_PASSES; i++) { free(f->twiddle[i]); free(f->roots[i]); }
  free(f->untangle); free(f->chirp); free(f->kernel);
  ald_fft_free(f->half);
  ald_fft_free(f->convolution);
  free(f);
}

// Whole vectors at the level in use; what is left over at the narrowest level that takes it at once.
#define DISPATCH(FUNCTION, ...)                                                                              \
  switch (level) {                                                                                           \
    case 2: if (f->element_size == 4) JOIN(FUNCTION, f32_avx512)(__VA_ARGS__); else JOIN(FUNCTION, f64_avx512)(__VA_ARGS__); break; \
    case 1: if (f->element_size == 4) JOIN(FUNCTION, f32_avx2)(__VA_ARGS__); else JOIN(FUNCTION, f64_avx2)(__VA_ARGS__); break;     \
    default: if (f->element_size == 4) JOIN(FUNCTION, f32_base)(__VA_ARGS__); else JOIN(FUNCTION, f64_base)(__VA_ARGS__); break;    \
  }
#if !(defined(__x86_64__) && defined(__clang__))
#undef DISPATCH
#define DISPATCH(FUNCTION, ...)                                                                              \
  (void)level;                                                                                               \
  if (f->element_size == 4) JOIN(FUNCTION, f32_base)(__VA_ARGS__); else JOIN(FUNCTION, f64_base)(__VA_ARGS__);
#endif

// How many of `count` lines to give to which level next.
static int64_t next_batch(int64_t count, int element_size, int *level) {
  *level = ald_simd_level();
  int64_t lanes = (16 << *level) / element_size;
  if (count >= lanes) return count - count % lanes;
  while (*level > 0 && 2 * count <= lanes) { --*level; lanes /= 2; }
  return count;
}

void ald_fft_lines(const ald_fft *f, int backward, const void *in, int64_t in_stride, void *out, int64_t out_stride,
                   int64_t count) {
  for (int64_t at = 0, n; at < count; at += n) {
    int level;
    n = next_batch(count - at, f->element_size, &level);
    int64_t offset = 2 * at * f->element_size;
    DISPATCH(lines, f, backward, (const char *)in + offset, in_stride, (char *)out + offset, out_stride, n)
  }
}
void ald_fft_real(const ald_fft *f, const void *in, int64_t in_distance, void *out, int64_t out_distance, int64_t count) {
  for (int64_t at = 0, n; at < count; at += n) {
    int level;
    n = next_batch(count - at, f->element_size, &level);
    DISPATCH(real, f, (const char *)in + at * in_distance * f->element_size, in_distance,
             (char *)out + 2 * at * out_distance * f->element_size, out_distance, n)
  }
}
void ald_fft_half(const ald_fft *f, const void *in, int64_t in_distance, void *out, int64_t out_distance, int64_t count) {
  for (int64_t at = 0, n; at < count; at += n) {
    int level;
    n = next_batch(count - at, f->element_size, &level);
    DISPATCH(half, f, (const char *)in + 2 * at * in_distance * f->element_size, in_distance,
             (char *)out + at * out_distance * f->element_size, out_distance, n)
  }
}
