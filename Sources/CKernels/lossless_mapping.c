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
