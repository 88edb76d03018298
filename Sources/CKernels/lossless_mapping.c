#pragma STDC FP_CONTRACT OFF
#include "ald_lossless.h"
#include <string.h>

static inline uint64_t bits_of(double v) { uint64_t b; memcpy(&b, &v, 8); return b; }
static inline double from_bits(uint64_t b) { double v; memcpy(&v, &b, 8); return v; }

// x = m 2^e with m in [sqrt(1/2), sqrt 2); log2 m = 2/ln 2 * atanh(s), s = (m - 1)/(m + 1), |s| < 0.1716.
static inline double log2_of(double x) {
  uint64_t b = bits_of(x);
  int64_t e = (int64_t)(b >> 52 & 2047) - 1023;
  if (e == -1023) { b = bits_of(x * 18014398509481984.0); e = (int64_t)(b >> 52 & 2047) - 1023 - 54; }
  double m = from_bits((b & 0x000fffffffffffffull) | 0x3ff0000000000000ull);
  if (m > 1.4142135623730951) { m *= 0.5; e += 1; }
  double s = (m - 1) / (m + 1), q = s * s;
  double p = 1.0 / 21;
  p = p * q + 1.0 / 19; p = p * q + 1.0 / 17; p = p * q + 1.0 / 15; p = p * q + 1.0 / 13; p = p * q + 1.0 / 11;
  p = p * q + 1.0 / 9; p = p * q + 1.0 / 7; p = p * q + 1.0 / 5; p = p * q + 1.0 / 3;
  // 2/ln 2 in two parts; the tail is added to the small terms.
  const double c = 2.8853900817779268, ct = 4.0710547481862066e-17;
  double low = s * (q * p) * c + s * ct;
  return (double)e + (s * c + low);
}

static inline double scale_of(int64_t n) { return from_bits((uint64_t)(n + 1023) << 52); }
static inline double exp2_of(double y) {
  if (!(y > -1100)) y = -1100;
  if (!(y < 1024)) return 1.7976931348623157e308;
  // Nearest integer by the usual shift; the sum is exact.
  double r = (y + 6755399441055744.0) - 6755399441055744.0;
  int64_t n = (int64_t)r;
  double t = (y - r) * 0.69314718055994530942;
  double p = 1.0 / 87178291200.0;
  p = p * t + 1.0 / 6227020800.0; p = p * t + 1.0 / 479001600.0; p = p * t + 1.0 / 39916800.0; p = p * t + 1.0 / 3628800.0;
  p = p * t + 1.0 / 362880.0; p = p * t + 1.0 / 40320.0; p = p * t + 1.0 / 5040.0; p = p * t + 1.0 / 720.0;
  p = p * t + 1.0 / 120.0; p = p * t + 1.0 / 24.0; p = p * t + 1.0 / 6.0; p = p * t + 0.5; p = p * t + 1.0; p = p * t + 1.0;
  int64_t h = n / 2;
  double v = p * scale_of(h) * scale_of(n - h);
  return v < 1.7976931348623157e308 ? v : 1.7976931348623157e308;
}
double ald_log2(double x) { return log2_of(x); }
double ald_exp2(double y) { return exp2_of(y); }

void ald_log_forward(const void *x, int size, const uint8_t *mask, size_t n, void *y, int log_size, uint8_t *negative, uint8_t *zero) {
  for (size_t i = 0; i < n; i++) {
    double v = size == 4 ? (double)((const float *)x)[i] : ((const double *)x)[i], l = 0;
    uint64_t b = bits_of(v), m = b & 0x7fffffffffffffffull;
    int ok = (!mask || mask[i]) && m != 0 && m < 0x7ff0000000000000ull;
    if (ok) l = log2_of(from_bits(m));
    if (log_size == 4) ((float *)y)[i] = (float)l; else ((double *)y)[i] = l;
    negative[i] = ok && b >> 63;
    if (zero) zero[i] = (!mask || mask[i]) && m == 0;
  }
}

void ald_log_inverse(const void *y, int log_size, const uint8_t *negative, const uint8_t *mask, size_t n, void *x, int size) {
  for (size_t i = 0; i < n; i++) if (!mask || mask[i]) {
    double v = exp2_of(log_size == 4 ? (double)((const float *)y)[i] : ((const double *)y)[i]);
    if (size == 4) {
      float f = v > 3.4028234663852886e38 ? 3.40282347e38f : (float)v;
      if (!(f > 0)) f = 1.40129846e-45f;
      ((float *)x)[i] = negative[i] ? -f : f;
    } else {
      if (!(v > 0)) v = from_bits(1);
      ((double *)x)[i] = negative[i] ? -v : v;
    }
  }
}

// |k| <= 2^22; (double)k / divisor is correctly rounded, so the decoder finds the same bits.
enum { LATTICE_RANGE = 1 << 22 };
static int64_t power(int64_t base, int64_t e) { int64_t r = 1; for (int64_t i = 0; i < e; i++) r *= base; return r; }
static int64_t gcd64(int64_t a, int64_t b) {
  if (a < 0) a = -a;
  if (b < 0) b = -b;
  while (b) { int64_t t = a % b; a = b; b = t; }
  return a;
}
static inline int64_t nearest(double v) { return (int64_t)((v + 6755399441055744.0) - 6755399441055744.0); }
static inline int on_lattice(double v, int size, double divisor, double tolerance, int64_t *k) {
  double s = v * divisor;
  if (!(s <= LATTICE_RANGE + 1 && s >= -LATTICE_RANGE - 1)) return 0;
  *k = nearest(s);
  double q = (double)*k / divisor;
  if (tolerance > 0) {
    double d = q - v;
    return d <= tolerance && -d <= tolerance && *k <= LATTICE_RANGE && *k >= -LATTICE_RANGE && bits_of(v) != 1ull << 63;
  }
  if (size == 4) q = (double)(float)q;
  return bits_of(q) == bits_of(v) && *k <= LATTICE_RANGE && *k >= -LATTICE_RANGE;
}
// Moves to the next finer level; what complied before complies there, unless the range is exceeded.
static void finer(ald_lattice *f) {
  f->level++;
  if (f->level > f->limit) return;
  if (f->tolerance * 8 * (double)power(f->base, f->level) > 1) { f->level = f->limit + 1; return; }
  if (f->low > f->high) return;
  f->low *= f->base; f->high *= f->base; f->gcd *= f->base;
  if (f->high > LATTICE_RANGE || f->low < -LATTICE_RANGE) f->level = f->limit + 1;
}
void ald_lattice_scan(const void *x, int size, const uint8_t *mask, size_t n, ald_lattice *families, int count) {
  int alive = 0;
  for (int j = 0; j < count; j++) {
    ald_lattice *f = families + j;
    if (f->level <= f->limit && f->tolerance * 8 * (double)power(f->base, f->level) > 1) f->level = f->limit + 1;
    alive += f->level <= f->limit;
  }
  double divisors[8];
  for (int j = 0; j < count; j++) divisors[j] = (double)power(families[j].base, families[j].level);
  for (size_t i = 0; i < n && alive; i++) if (!mask || mask[i]) {
    double v = size == 4 ? (double)((const float *)x)[i] : ((const double *)x)[i];
    for (int j = 0; j < count; j++) {
      ald_lattice *f = families + j;
      if (f->level > f->limit) continue;
      int64_t k = 0;
      while (f->level <= f->limit && !on_lattice(v, size, divisors[j], f->tolerance, &k)) {
        finer(f);
        divisors[j] = (double)power(f->base, f->level);
      }
      if (f->level > f->limit) { alive--; continue; }
      if (k < f->low) f->low = k;
      if (k > f->high) f->high = k;
      if (f->gcd != 1) f->gcd = gcd64(f->gcd, k);
    }
  }
}
void ald_lattice_merge(ald_lattice *a, const ald_lattice *other) {
  ald_lattice b = *other;
  while (a->level < b.level && a->level <= a->limit) finer(a);
  while (b.level < a->level && b.level <= b.limit) finer(&b);
  if (a->level > a->limit || b.level > b.limit) { a->level = a->limit + 1; a->low = 1; a->high = 0; a->gcd = 0; return; }
  // A side without values may have been left behind or ahead; both are at the same level now.
  if (b.low < a->low) a->low = b.low;
  if (b.high > a->high) a->high = b.high;
  a->gcd = gcd64(a->gcd, b.gcd);
}
void ald_lattice_indices(const void *x, int size, const uint8_t *mask, size_t n, int64_t divisor, int32_t *k) {
  for (size_t i = 0; i < n; i++) if (!mask || mask[i]) {
    double v = (size == 4 ? (double)((const float *)x)[i] : ((const double *)x)[i]) * (double)divisor;
    k[i] = v >= -2147483648.0 && v <= 2147483647.0 ? (int32_t)nearest(v) : 0;
  }
}
void ald_lattice_values(const int32_t *k, const uint8_t *mask, size_t n, int64_t divisor, void *x, int size) {
  for (size_t i = 0; i < n; i++) if (!mask || mask[i]) {
    double v = (double)k[i] / (double)divisor;
    if (size == 4) ((float *)x)[i] = (float)v; else ((double *)x)[i] = v;
  }
}

// ---- shifted lattices ----

const double ald_shifted_divisor[ALD_SHIFTED_DIVISORS] = {1, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000};
const double ald_shifted_shift[ALD_SHIFTED_SHIFTS] = {0, 1, -1, 2, -2, 5, -5, 10, -10, 20, -20, 25, -25, 30, -30, 40, -40,
  50, -50, 100, -100, 200, -200, 273.15, -273.15, 300, -300, 500, -500, 1000, -1000};
enum { SHIFTED_BLOCK = 1024 };

// Rounding of both operations then moves a value by less than half a step, also in float.
static inline double shifted_limit(double d, double s) { return LATTICE_RANGE - d * (s < 0 ? -s : s); }
static int shifted_nested(int coarse, int fine) {
  return (int)ald_shifted_divisor[fine] % (int)ald_shifted_divisor[coarse] == 0;
}
static int on_plain(double v, int size) {
  int64_t k;
  for (int base = 2; base <= 10; base += 8) {
    double d = 1;
    for (int l = 0; l <= (base == 2 ? 10 : 6); l++, d *= base) if (on_lattice(v, size, d, 0, &k)) return 1;
  }
  return 0;
}
static inline double shifted_rounded(double s, int size) { return size == 4 ? (double)(float)s : s; }
int64_t ald_shifted_index(double v, int size, double divisor, double shift) {
  double t = (v - shifted_rounded(shift, size)) * divisor;
  return t >= -9e15 && t <= 9e15 ? nearest(t) : INT64_MAX;
}
int ald_shifted_alive(const ald_shifted *s) {
  uint32_t any = 0;
  for (int j = 0; j < ALD_SHIFTED_DIVISORS; j++) any |= s->alive[0][j] | s->alive[1][j];
  return any != 0;
}
static const double infinite = __builtin_inf();
void ald_shifted_open(ald_shifted *s) {
  for (int j = 0; j < ALD_SHIFTED_DIVISORS; j++) {
    uint32_t m = 0;
    for (int b = 0; b < ALD_SHIFTED_SHIFTS; b++) if (shifted_limit(ald_shifted_divisor[j], ald_shifted_shift[b]) > 0) m |= 1u << b;
    s->alive[0][j] = m & ~1u;     // no shift: plain
    s->alive[1][j] = j ? m : 0;   // d = 1: as form 0
  }
  s->low = infinite; s->high = -infinite; s->size = 0;
}
// Drops what the range excludes; it only grows, so this may be done at any time.
static void shifted_settle(ald_shifted *s) {
  if (s->size && s->low <= s->high) for (int j = 0; j < ALD_SHIFTED_DIVISORS; j++) {
    for (uint32_t m = s->alive[0][j] | s->alive[1][j]; m; m &= m - 1) {
      const int b = __builtin_ctz(m);
      const double d = ald_shifted_divisor[j], h = ald_shifted_shift[b], limit = shifted_limit(d, h);
      const double low = (double)ald_shifted_index(s->low, (int)s->size, d, h), high = (double)ald_shifted_index(s->high, (int)s->size, d, h);
      if (!(low >= -limit && low <= limit && high >= -limit && high <= limit))
        for (int f = 0; f < 2; f++) s->alive[f][j] &= ~(1u << b);
    }
  }
  if (!ald_shifted_alive(s)) { s->low = infinite; s->high = -infinite; s->size = 0; }
}

#define T float
#define BITS uint32_t
#define NAME(x) x##_float
#include "lossless_shifted.inc"
#undef T
#undef BITS
#undef NAME
#define T double
#define BITS uint64_t
#define NAME(x) x##_double
#include "lossless_shifted.inc"

void ald_shifted_scan(const void *x, int size, const uint8_t *mask, size_t n, ald_lattice *families, int count, ald_shifted *s) {
  if (size == 4) shifted_scan_float(x, mask, n, families, count, s); else shifted_scan_double(x, mask, n, families, count, s);
}
void ald_shifted_merge(ald_shifted *a, const ald_shifted *b) {
  for (int f = 0; f < 2; f++) for (int j = 0; j < ALD_SHIFTED_DIVISORS; j++) a->alive[f][j] &= b->alive[f][j];
  if (b->low < a->low) a->low = b->low;
  if (b->high > a->high) a->high = b->high;
  if (b->size > a->size) a->size = b->size;
  shifted_settle(a);
}
void ald_shifted_indices(const void *x, int size, const uint8_t *mask, size_t n, double divisor, double shift, int32_t *k) {
  for (size_t i = 0; i < n; i++) if (!mask || mask[i]) {
    int64_t j = ald_shifted_index(size == 4 ? (double)((const float *)x)[i] : ((const double *)x)[i], size, divisor, shift);
    k[i] = j >= INT32_MIN && j <= INT32_MAX ? (int32_t)j : 0;
  }
}
void ald_shifted_values(const int32_t *k, const uint8_t *mask, size_t n, double divisor, double shift, int product, void *x, int size) {
  for (size_t i = 0; i < n; i++) if (!mask || mask[i]) {
    if (size == 4) ((float *)x)[i] = shifted_value_float((double)k[i], (float)divisor, 1 / (float)divisor, (float)shift, product);
    else ((double *)x)[i] = shifted_value_double((double)k[i], divisor, 1 / divisor, shift, product);
  }
}
