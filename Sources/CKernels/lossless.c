#pragma STDC FP_CONTRACT OFF
#include "ald_lossless.h"
#include <stdlib.h>
#include "lossless_coder.inc"

// Causal stencil (dz, dy, dx), current row first. Cells left, right, above and below a tile's face in finished rows and
// planes are linear extrapolations, so only the current row's left end and missing rows or planes need own weights.
enum { STENCIL = 24, ROW = 3, PAD = 4, PADY = 2 };
static const int8_t alr_stencil[STENCIL][3] = {
  {0, 0, -1}, {0, 0, -2}, {0, 0, -3},
  {0, -1, 0}, {0, -1, -1}, {0, -1, 1}, {0, -1, -2}, {0, -1, 2}, {0, -2, 0},
  {-1, 0, 0}, {-1, 0, -1}, {-1, 0, 1}, {-1, -1, 0}, {-1, 1, 0},
  {-1, -1, -1}, {-1, -1, 1}, {-1, 1, -1}, {-1, 1, 1},
  {-1, 0, -2}, {-1, 0, 2}, {-1, -2, 0}, {-1, 2, 0}, {-2, 0, 0}, {0, -2, 1},
};
enum { sW = 0, sN = 3, sNW = 4, sZ = 9, sZW = 10, sZN = 12, sZNW = 14 };
enum { CLASSES = 18, MODELS_K = 44 * 4 * 3 };

typedef struct {
  double w[STENCIL];
  uint32_t use;        // bit i: stencil entry i is available
  int reference;       // stencil entry the others are taken relative to, -1: none
  int trained;
  int64_t points;
} alr_class;

typedef struct {
  uint32_t k[MODELS_K][16], sign[32], mant[64 * 16][4];
  uint32_t zexp[8][16], zsign[16], zmant[16][4], equal[64];
  uint32_t near[96][16], nsign[96];
} alr_models;

static inline int alr_class_of(int z, int y, int x) {
  return ((z > 2 ? 2 : z) * 3 + (y > 2 ? 2 : y)) * 2 + (x > 0);
}
static inline int64_t alr_states3(int n, int s) { return s < 2 ? (n > s) : (n > 2 ? n - 2 : 0); }

// Availability, reference and first-order Lorenzo weights of every class.
static void alr_classes(alr_class *c, int nz, int ny, int nx) {
  for (int k = 0; k < CLASSES; k++) {
    int ax = k & 1, ay = (k >> 1) % 3, az = k / 6;
    alr_class *p = c + k;
    memset(p, 0, sizeof *p);
    p->points = alr_states3(nz, az) * alr_states3(ny, ay) * (ax ? nx - 1 : 1);
    for (int i = 0; i < STENCIL; i++) {
      int dz = alr_stencil[i][0], dy = alr_stencil[i][1];
      int ok = dz < 0 ? az >= -dz : dy < 0 ? ay >= -dy : ax;
      // The left end of a row and the first rows do without cells that would have to be extrapolated.
      if ((!ax && alr_stencil[i][2] < 0) || (dz < 0 && dy < -ay)) ok = 0;
      // Extents of 1 have nothing beside them.
      if (dz < 0 && dy != 0 && ny == 1) ok = 0;
      if (alr_stencil[i][2] != 0 && nx == 1) ok = 0;
      if (ok) p->use |= 1u << i;
    }
    p->reference = ay ? sN : az ? sZ : ax ? sW : -1;
    double *w = p->w;
    if (ax && (ay || az)) w[sW] = 1;
    if (ay && az) { w[sZ] = 1; w[sZN] = -1; }
    if (ay && ax) w[sNW] = -1;
    if (az && ax) w[sZW] = -1;
    if (az && ay && ax) w[sZNW] = 1;
    w[p->reference < 0 ? 0 : p->reference] = 0;
  }
}

static inline uint64_t alr_bits(double v) { uint64_t b; memcpy(&b, &v, 8); return b; }
static inline double alr_double(uint64_t b) { double v; memcpy(&v, &b, 8); return v; }
static inline double alr_abs(double v) { return alr_double(alr_bits(v) & ~(1ull << 63)); }
static inline int alr_finite(double v) { return (alr_bits(v) >> 52 & 2047) != 2047; }
// Floor of 4 log2 |v| in piecewise-linear form; subnormals count as the smallest exponent.
static inline int alr_log4(double v) { return (int)(alr_bits(v) << 1 >> 51) - 4 * 1023; }
static inline int alr_length(uint64_t v) { return v ? 64 - __builtin_clzll(v) : 0; }

// Solves the n x n normal equations a w = b by LDL^T with a small ridge. 0 when they are not positive definite.
static int alr_solve(double a[STENCIL][STENCIL], double *b, int n) {
  double trace = 0;
  for (int i = 0; i < n; i++) trace += a[i][i];
  if (!(trace > 0) || !alr_finite(trace)) return 0;
  for (int i = 0; i < n; i++) a[i][i] += trace * 1e-11 + a[i][i] * 1e-9;
  double d[STENCIL];
  for (int j = 0; j < n; j++) {
    double s = a[j][j];
    for (int k = 0; k < j; k++) s -= a[j][k] * a[j][k] * d[k];
    if (!(s > 0)) return 0;
    d[j] = s;
    for (int i = j + 1; i < n; i++) {
      double t = a[i][j];
      for (int k = 0; k < j; k++) t -= a[i][k] * a[j][k] * d[k];
      a[i][j] = t / s;
    }
  }
  for (int i = 0; i < n; i++) for (int k = 0; k < i; k++) b[i] -= a[i][k] * b[k];
  for (int i = 0; i < n; i++) b[i] /= d[i];
  for (int i = n - 1; i >= 0; i--) for (int k = i + 1; k < n; k++) b[i] -= a[k][i] * b[k];
  for (int i = 0; i < n; i++) if (!alr_finite(b[i])) return 0;
  return 1;
}

// Divisor of a lattice code: family (0 decimal, 1 binary) in the upper half, level in the lower. 0 when there is none such.
static double alr_divisor(int code) {
  int level = code & 15;
  double d = 1;
  if (code >> 4 > 1 || level > (code >> 4 ? 10 : 6)) return 0;
  for (int i = 0; i < level; i++) d *= code >> 4 ? 2 : 10;
  return d;
}
static inline double alr_round(double v) { return (v + 6755399441055744.0) - 6755399441055744.0; }

#define T uint32_t
#define ST int32_t
#define FLOAT float
#define MANT 23
#define EXPS 8
#define NAME(x) x##32
#include "lossless_tile.inc"
#undef T
#undef ST
#undef FLOAT
#undef MANT
#undef EXPS
#undef NAME
#define T uint64_t
#define ST int64_t
#define FLOAT double
#define MANT 52
#define EXPS 11
#define NAME(x) x##64
#include "lossless_tile.inc"

size_t ald_lossless_cap(size_t n, int size) { return n * (size_t)size * 3 / 2 + n / 2 + 8192; }
