#include "ald_interpolation.h"
#include "ald_simd.h"
#include <string.h>

#pragma STDC FP_CONTRACT OFF
#pragma clang diagnostic ignored "-Wpass-failed"  // loops stay scalar without optimisation

typedef uint32_t u32;

// One parity sub-array of a level: rows of x, padded so that loops may run to a multiple of 8.
typedef struct sub {
  int d[3];       // extents z, y, x
  int sy, sm;     // row strides of y; of m and ok
  u32 *y;         // originals, then reconstructed values
  uint16_t *m;    // min(|q|, 4095); one element of padding before and after each row
  uint8_t *ok;    // 1 = valid; only with a mask
  uint8_t *full;  // per row: all valid
} sub;

typedef struct work {
  sub s[ALD_INTERP_LEVELS][8];  // parity bits: 1 = z, 2 = y, 4 = x; [l][0] is the lattice of level l + 1
  u32 *p, *act, *ctx, *f4, *row, *pa[3], *ca[3];
  uint16_t *pm, *first, *second;  // mean of the prediction points; the rows behind features z-1 and y-1
  const uint16_t *rows[4];        // (z-1, y), (z, y-1), (z-1, y-1), (z-1, y+1) or their substitutes
  u32 last;                       // last value coded before the row
  int masked;
} work;

enum { CAP = 4095, CONSTANT = 8 };
enum { FULL, LEFT, RIGHT, MIDDLE, ONE, ONLY };

static const uint8_t parities[7] = {1, 2, 4, 3, 5, 6, 7};

static inline int up8(int n) { return (n + 7) & ~7; }
static inline u32 sar(u32 x, int n) { return (u32)((int32_t)x >> n); }
static inline u32 mag(u32 x) { return (int32_t)x < 0 ? 0u - x : x; }
static inline u32 least(u32 a, u32 b) { return a < b ? a : b; }

static inline u32 *yrow(const sub *s, int z, int y) { return s->y + ((size_t)z * s->d[1] + y) * s->sy; }
static inline uint16_t *mrow(const sub *s, int z, int y) { return s->m + ((size_t)z * s->d[1] + y) * s->sm; }
static inline uint8_t *okrow(const sub *s, int z, int y) { return s->ok + ((size_t)z * s->d[1] + y) * s->sm; }
static inline void pad(uint16_t *m, int n) { m[-1] = m[0]; m[n] = m[n - 1]; }

static size_t lay_out(work *w, void *base, int nz, int ny, int nx, int masked) {
  size_t at = 0;
#define TAKE(field, type, count) do { at = (at + 63) & ~(size_t)63; \
    (field) = base ? (type *)((char *)base + at) + 32 : NULL; at += ((size_t)(count) + 128) * sizeof(type); } while (0)
  int n[3] = {nz, ny, nx};
  w->masked = masked;
  for (int l = 0; l < ALD_INTERP_LEVELS; l++) {
    for (int par = 0; par < 8; par++) {
      sub *s = &w->s[l][par];
      for (int a = 0; a < 3; a++) s->d[a] = par >> a & 1 ? n[a] / 2 : (n[a] + 1) / 2;
      s->sy = up8(s->d[2]);
      s->sm = s->sy + 8;
      size_t rows = (size_t)s->d[0] * s->d[1];
      TAKE(s->y, u32, rows * s->sy + s->sy);
      TAKE(s->m, uint16_t, rows * s->sm + s->sm);
      if (masked) { TAKE(s->ok, uint8_t, rows * s->sm + s->sm); TAKE(s->full, uint8_t, rows); }
      else s->ok = s->full = NULL;
    }
    for (int a = 0; a < 3; a++) n[a] = (n[a] + 1) / 2;
  }
  TAKE(w->p, u32, nx); TAKE(w->act, u32, nx); TAKE(w->ctx, u32, nx); TAKE(w->f4, u32, nx); TAKE(w->row, u32, nx);
  for (int a = 0; a < 3; a++) { TAKE(w->pa[a], u32, nx); TAKE(w->ca[a], u32, nx); }
  TAKE(w->pm, uint16_t, nx);
#undef TAKE
  return at;
}

size_t ald_interp_workspace(int nz, int ny, int nx) {
  work w;
  return lay_out(&w, NULL, nz, ny, nx, 1);
}

void ald_interp_prepare(ald_interp *k) {
  static const u32 quality[4] = {0, 5, 128, 256};  // none, one-sided, two points, three or four
  for (int l = 0; l < ALD_INTERP_LEVELS; l++)
    for (int c = 0; c < 64; c++) {
      uint64_t v[3], sum = 0;
      for (int a = 0; a < 3; a++) {
        int code = k->code[l][a];
        v[a] = (uint64_t)(((code & 1) ? 46341u : 65536u) >> code / 2) * quality[c >> 2 * a & 3];
        sum += v[a];
      }
      for (int a = 0; a < 3; a++) k->mix[l][c][a] = sum ? (uint16_t)(((v[a] << k->weight_bits) + sum / 2) / sum) : 0;
    }
}

// Prediction from the points at -3, -1, 1, 3; which of them are known decides the form.
static int form_of(int a, int b, int c, int d) {
  if (b && c) return a ? (d ? FULL : LEFT) : d ? RIGHT : MIDDLE;
  return a ? ONE : ONLY;
}
static inline u32 form_value(int form, int kind, u32 a, u32 b, u32 c, u32 d, u32 *act) {
  u32 lin = sar(b + c + 1, 1);
  switch (form) {
  case FULL: *act = mag(b + c - a - d) >> 4; return kind ? sar(9 * (b + c) - a - d + 8, 4) : lin;
  case LEFT: *act = mag(2 * b - a - c) >> 3; return kind ? sar(6 * b + 3 * c - a + 4, 3) : lin;
  case RIGHT: *act = mag(2 * c - b - d) >> 3; return kind ? sar(6 * c + 3 * b - d + 4, 3) : lin;
  case MIDDLE: *act = mag(b - c) >> 2; return lin;
  case ONE: *act = mag(b - a) >> 1; return sar(3 * b - a + 1, 1);
  default: *act = 0; return b;
  }
}

// One point along one axis, near a mask: i of n even points, strides of y and ok. Returns the quality.
static int point(const u32 *y, const uint8_t *ok, size_t sy, size_t so, int i, int n, int kind, u32 most, u32 *p,
                 u32 *act) {
  int a = i >= 1 && ok[-(ptrdiff_t)so], b = ok[0], c = i + 1 < n && ok[so], d = i + 2 < n && ok[2 * so];
  u32 ya = a ? y[-(ptrdiff_t)sy] : 0, yb = b ? y[0] : 0, yc = c ? y[sy] : 0, yd = d ? y[2 * sy] : 0;
  if (!b && !c) return 0;
  if (!b) { a = d; b = 1; c = d = 0; ya = yd; yb = yc; }  // one-sided from the other side
  int form = form_of(a, b, c, d);
  *p = form_value(form, kind, ya, yb, yc, yd, act);
  *act = least(*act, most);
  return form <= RIGHT ? 3 : form == MIDDLE ? 2 : 1;
}

// Inverse-distance mean of known points of earlier passes, else the last value coded before the row.
static u32 surroundings(const work *w, int l, int par, int pass, int z, int y, int x) {
  static const uint16_t weight[13] = {0, 1024, 256, 114, 64, 41, 28, 21, 16, 13, 10, 8, 7};
  int i[3] = {2 * z + (par & 1), 2 * y + (par >> 1 & 1), 2 * x + (par >> 2)};
  int64_t sum = 0, den = 0;
  for (int a = -2; a <= 2; a++) for (int b = -2; b <= 2; b++) for (int c = -2; c <= 2; c++) {
    int u = i[0] + a, v = i[1] + b, t = i[2] + c;
    if (u < 0 || v < 0 || t < 0) continue;
    int q = (u & 1) | (v & 1) << 1 | (t & 1) << 2;
    if (__builtin_popcount(q) >= pass) continue;
    const sub *s = &w->s[l][q];
    u /= 2; v /= 2; t /= 2;
    if (u >= s->d[0] || v >= s->d[1] || t >= s->d[2] || !okrow(s, u, v)[t]) continue;
    int g = weight[a * a + b * b + c * c];
    sum += (int64_t)g * (int32_t)yrow(s, u, v)[t];
    den += g;
  }
  return den ? (u32)(sum / den) : w->last;
}

#define NAME(x) x##_base
#include "interpolation.inc"
#undef NAME
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt"))), apply_to = function)
#define NAME(x) x##_avx2
#include "interpolation.inc"
#undef NAME
#pragma clang attribute pop
// The same source; integers, so the same results.
static int wide(void) {
  return ald_simd_level() >= ALD_SIMD_AVX2 && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("lzcnt");
}
#define CALL(f, ...) (wide() ? f##_avx2(__VA_ARGS__) : f##_base(__VA_ARGS__))
#else
#define CALL(f, ...) f##_base(__VA_ARGS__)
#endif

size_t ald_interp_encode(const ald_interp *k, const void *x, int size, const uint8_t *mask, int nz, int ny, int nx,
                         void *scratch, uint8_t *cls, int32_t *val, void *recon) {
  return CALL(encode, k, x, size, mask, nz, ny, nx, scratch, cls, val, recon);
}
void ald_interp_decode(const ald_interp *k, ald_decoder *d, const uint8_t *mask, int nz, int ny, int nx, void *scratch,
                       void *out, int size) {
  CALL(decode, k, d, mask, nz, ny, nx, scratch, out, size);
}
size_t ald_interp_features(const ald_interp *k, const void *x, int size, const uint8_t *mask, int nz, int ny, int nx,
                           void *scratch, size_t every, size_t phase, uint16_t *feat, uint8_t *group, int32_t *val,
                           size_t cap) {
  return CALL(features, k, x, size, mask, nz, ny, nx, scratch, every, phase, feat, group, val, cap);
}
void ald_interp_statistics(const ald_interp *k, const void *x, int size, const uint8_t *mask, int nz, int ny, int nx,
                           void *scratch, int64_t *out) {
  CALL(statistics, k, x, size, mask, nz, ny, nx, scratch, out);
}
