#pragma STDC FP_CONTRACT OFF
#include "ald_spectral.h"
#include "ald_clones.h"
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

// MARK: basis

// Square root of a number >= 0, correctly rounded.
INLINE double root(double x) { return __builtin_sqrt(x); }

typedef struct frame { double p, q, a, b, c; } frame;   // e1 = (p, q, 0), e3 = (a, b, c)

INLINE frame frame_of(const ald_spectral_row *r, int64_t i) {
  const double x = r->axis[0].symbol[i * r->axis[0].stride], y = r->axis[1].symbol[i * r->axis[1].stride];
  const double z = r->components == 3 ? r->axis[2].symbol[i * r->axis[2].stride] : 0;
  const double flat = x * x + y * y, h = root(flat), s = root(flat + z * z);
  const double hd = h > 0 ? h : 1, sd = s > 0 ? s : 1;
  frame f = {y / hd, -x / hd, x / sd, y / sd, z / sd};
  f.p = h > 0 ? f.p : 1;
  if (r->components == 3) f.c = s > 0 ? f.c : 1; else f.b = s > 0 ? f.b : 1;
  return f;
}
// Times exp(-+ i phase).
INLINE void shift(const ald_spectral_row *r, int c, int64_t i, double sign, double *re, double *im) {
  const ald_spectral_axis *s = r->axis + c;
  if (!s->cosine) return;
  const double x = s->cosine[i * s->stride], y = sign * s->sine[i * s->stride], a = *re, b = *im;
  *re = a * x - b * y;
  *im = a * y + b * x;
}

INLINE void turn_row(const ald_spectral_row *r, double *const *u, int three) {
  double *restrict u0 = u[0], *restrict u1 = u[1], *restrict u2 = three ? u[2] : 0;
  for (int64_t i = 0; i < r->count; i++) {
    const frame f = frame_of(r, i);
    double v[3][2] = {{u0[2 * i], u0[2 * i + 1]}, {u1[2 * i], u1[2 * i + 1]}, {0, 0}};
    if (three) { v[2][0] = u2[2 * i]; v[2][1] = u2[2 * i + 1]; }
    for (int c = 0; c < 2 + three; c++) shift(r, c, i, -1, &v[c][0], &v[c][1]);
    for (int k = 0; k < 2; k++) {
      const double x = v[0][k], y = v[1][k], z = v[2][k];
      u0[2 * i + k] = f.p * x + f.q * y;
      if (three) {
        u1[2 * i + k] = (f.c * f.p) * y - (f.c * f.q) * x + (f.a * f.q - f.b * f.p) * z;
        u2[2 * i + k] = f.a * x + f.b * y + f.c * z;
      } else u1[2 * i + k] = f.a * x + f.b * y;
    }
  }
}
INLINE void unturn_row(const ald_spectral_row *r, double *const *a, int three) {
  double *restrict a0 = a[0], *restrict a1 = a[1], *restrict a2 = three ? a[2] : 0;
  for (int64_t i = 0; i < r->count; i++) {
    const frame f = frame_of(r, i);
    double v[3][2];
    for (int k = 0; k < 2; k++) {
      const double s = a0[2 * i + k], t = a1[2 * i + k], w = three ? a2[2 * i + k] : 0;
      if (three) {
        v[0][k] = f.p * s - (f.c * f.q) * t + f.a * w;
        v[1][k] = f.q * s + (f.c * f.p) * t + f.b * w;
        v[2][k] = (f.a * f.q - f.b * f.p) * t + f.c * w;
      } else {
        v[0][k] = f.p * s + f.a * t;
        v[1][k] = f.q * s + f.b * t;
        v[2][k] = 0;
      }
    }
    for (int c = 0; c < 2 + three; c++) shift(r, c, i, 1, &v[c][0], &v[c][1]);
    for (int k = 0; k < 2; k++) {
      a0[2 * i + k] = v[0][k];
      a1[2 * i + k] = v[1][k];
      if (three) a2[2 * i + k] = v[2][k];
    }
  }
}
ALD_CLONES void ald_spectral_turn(const ald_spectral_row *row, double *const *u) {
  if (row->components == 3) turn_row(row, u, 1); else turn_row(row, u, 0);
}
ALD_CLONES void ald_spectral_unturn(const ald_spectral_row *row, double *const *a) {
  if (row->components == 3) unturn_row(row, a, 1); else unturn_row(row, a, 0);
}

ALD_CLONES void ald_spectral_rotate(double *u, int64_t count, double re, double im, const double *cosine, const double *sine, double sign) {
  for (int64_t i = 0; i < count; i++) {
    double a = u[2 * i], b = u[2 * i + 1];
    if (cosine) {
      const double c = cosine[i], s = sign * sine[i], t = a;
      a = t * c + b * s;
      b = b * c - t * s;
    }
    u[2 * i] = a * re - b * im;
    u[2 * i + 1] = a * im + b * re;
  }
}

// MARK: error of a step

// Sums of lanes; whole numbers below 2^53 throughout, so any order gives the same.
enum { LANES = 8, BLOCK = 1 << 20 };
typedef struct errors { double square[LANES], n1[LANES], d1[LANES], n2[LANES], d2[LANES], n3[LANES], d3[LANES], most[LANES]; } errors;

INLINE void add_error(errors *s, int j, double c, double inverse_step) {
  const double top = 1073741568, magic = 0x1.8p52;
  double a = c * inverse_step;
  a = a < 0 ? -a : a;
  double v = a + 0.5;
  v = v < top ? v : top;
  const double m = (double)(int32_t)v;
  // Beyond the coder's range, where no step is used, anything.
  double e = a - m;
  e = e < 1 ? e : 1;
  const double d = (e * 65536 + magic) - magic, one = m == 1 ? 1 : 0, two = m == 2 ? 1 : 0, more = m > 2 ? 1 : 0;
  s->square[j] += d * d;
  s->n1[j] += one; s->d1[j] += one * d;
  s->n2[j] += two; s->d2[j] += two * d;
  s->n3[j] += more; s->d3[j] += more * d;
  s->most[j] = m > s->most[j] ? m : s->most[j];
}

ALD_WIDE_CLONES void ald_spectral_error(const double *c, size_t n, double inverse_step, int64_t *sums, double *largest) {
  for (size_t at = 0; at < n; at += BLOCK) {
    const size_t count = n - at < BLOCK ? n - at : BLOCK, rows = count / LANES;
    const double *p = c + at;
    errors s;
    memset(&s, 0, sizeof s);
    for (size_t r = 0; r < rows; r++, p += LANES) for (int j = 0; j < LANES; j++) add_error(&s, j, p[j], inverse_step);
    for (size_t j = 0; j < count - rows * LANES; j++) add_error(&s, (int)j, p[j], inverse_step);
    for (int j = 0; j < LANES; j++) {
      sums[0] += (int64_t)s.square[j];
      sums[1] += (int64_t)s.n1[j]; sums[2] += (int64_t)s.d1[j];
      sums[3] += (int64_t)s.n2[j]; sums[4] += (int64_t)s.d2[j];
      sums[5] += (int64_t)s.n3[j]; sums[6] += (int64_t)s.d3[j];
      sums[7] += (int64_t)(s.n1[j] + s.n2[j] + s.n3[j]);
      *largest = s.most[j] > *largest ? s.most[j] : *largest;
    }
  }
}

ALD_CLONES void ald_spectral_shell_errors(const double *c, const int32_t *shell, size_t modes, double inverse_step, int64_t *sums, double *largest) {
  const double top = 1073741568, magic = 0x1.8p52;
  double most = *largest;
  for (size_t i = 0; i < modes; i++) {
    int64_t *const s = sums + ALD_SHELL_SUMS * (size_t)shell[i];
    for (int k = 0; k < 2; k++) {
      double a = c[2 * i + k] * inverse_step;
      a = a < 0 ? -a : a;
      double v = a + 0.5;
      v = v < top ? v : top;
      const int64_t m = (int32_t)v;
      double e = a - (double)m;
      e = e < 1 ? e : 1;
      const int64_t d = (int64_t)((e * 65536 + magic) - magic);
      s[0] += d * d;
      if (m > 0) {
        int64_t *const t = s + 1 + 2 * (m < 3 ? m - 1 : 2);
        t[0]++;
        t[1] += d;
        if (m > 2) { s[7] += m; s[8] += m * d; }
      }
      most = (double)m > most ? (double)m : most;
    }
  }
  *largest = most;
}

// MARK: which modes

int32_t ald_spectral_shell(const double metric[3], int64_t jz, int64_t jy, int64_t jx) {
  const double z = (double)jz * metric[0], y = (double)jy * metric[1], x = (double)jx * metric[2];
  const double r = root((z * z + y * y) + x * x) + 0.5;
  return r < 1073741824.0 ? (int32_t)r : 1 << 30;
}

ALD_CLONES void ald_spectral_shells(const double metric[3], int64_t jz, int64_t jy, int64_t jx, size_t count, int32_t most, int32_t *shell) {
  const double z = (double)jz * metric[0], y = (double)jy * metric[1], plane = z * z + y * y, limit = (double)most, m = metric[2];
  const int32_t first = (int32_t)jx;
  for (size_t i = 0; i < count; i++) {
    const double x = (double)(first + (int32_t)i) * m;
    const double r = root(plane + x * x) + 0.5;
    shell[i] = (int32_t)(r < limit ? r : limit);
  }
}

void ald_spectral_range(const ald_spectral_piece *p, int64_t jz, int64_t jy, int64_t *first, int64_t *end) {
  int64_t a = p->lower[2], b = a + p->extent[2];
  // Of the planes j_x = 0 and n / 2, which hold both modes of a pair, the half with j_z > 0, or j_y > 0 where j_z is its own partner.
  const int own_z = jz == 0 || 2 * jz == p->grid[0], own_y = jy == 0 || 2 * jy == p->grid[1];
  const int kept = own_z ? jy > 0 || own_y : jz > 0;
  if (!kept) {
    if (b > a && 2 * (b - 1) == p->grid[2]) b--;
    if (a == 0 && b > a) a++;
  }
  // The mean is kept apart.
  if (a == 0 && jz == 0 && jy == 0 && b > a) a++;
  // The shell grows along the row.
  if (b > a && ald_spectral_shell(p->metric, jz, jy, b - 1) > p->radius) {
    int64_t low = a, high = b - 1;
    while (low < high) {
      const int64_t m = low + (high - low) / 2;
      if (ald_spectral_shell(p->metric, jz, jy, m) > p->radius) high = m; else low = m + 1;
    }
    b = low;
  }
  *first = a - p->lower[2];
  *end = (b > a ? b : a) - p->lower[2];
}

#define EACH_ROW(P)                                                                             \
  for (int64_t z = 0, row = 0; z < (P)->extent[0]; z++)                                           \
    for (int64_t y = 0, jz = (P)->lower[0] + z, jy, x0, x1;                                       \
         y < (P)->extent[1] && (jy = (P)->lower[1] + y, ald_spectral_range(P, jz, jy, &x0, &x1), 1); y++, row++)

size_t ald_spectral_count(const ald_spectral_piece *p) {
  size_t n = 0;
  EACH_ROW(p) n += (size_t)(x1 - x0);
  return 2 * n * (size_t)p->components;
}

static inline uint32_t magnitude(int32_t v) { return v < 0 ? 0u - (uint32_t)v : (uint32_t)v; }

void ald_spectral_scale_sums(const int32_t *q, const ald_spectral_piece *p, uint64_t *sum, uint64_t *count) {
  EACH_ROW(p) {
    const int32_t *r = q + 2 * row * p->extent[2];
    for (int64_t x = x0; x < x1; x++) {
      const int32_t s = ald_spectral_shell(p->metric, jz, jy, p->lower[2] + x);
      sum[s] += (uint64_t)magnitude(r[2 * x]) + magnitude(r[2 * x + 1]);
      count[s] += 2;
    }
  }
}

static inline void raise(int64_t *a, int64_t b) { if (b < 0) b = -b; if (b > *a) *a = b; }
void ald_spectral_extent(const int32_t *q, const ald_spectral_piece *p, int64_t extent[3], int64_t *radius) {
  EACH_ROW(p) {
    const int32_t *r = q + 2 * row * p->extent[2];
    int64_t last = x1;
    while (last > x0 && !(r[2 * last - 2] | r[2 * last - 1])) last--;
    if (last == x0) continue;
    raise(extent, jz); raise(extent + 1, jy); raise(extent + 2, p->lower[2] + last - 1);
    raise(radius, ald_spectral_shell(p->metric, jz, jy, p->lower[2] + last - 1));
  }
}

// MARK: contexts

// Magnitudes of modes, normalised by their scales: 10 fractional bits, below 16. Unknown ones are as expected.
enum { EXPECTED = 1024, MOST = 16383, MARGIN = 2 };
// Weights in 1/64 of: the mode before along x, y, z; the mean of six diagonals; of three at distance two; the components before; the
// real part for the imaginary one; a constant. First for sets of one or two dimensions, then for three.
// Source: least squares on steps 1 and 4 of turb3d_kolmogorov_64 and 3, 8, 13 of turb2d_kolmogorov_256 at 50 to 100 dB.
enum { WEIGHT_X, WEIGHT_Y, WEIGHT_Z, WEIGHT_DIAGONAL, WEIGHT_TWO, WEIGHT_BEFORE, WEIGHT_REAL, WEIGHT_ONE, WEIGHTS };
static const uint8_t weights[2][2][WEIGHTS] = {
  {{11, 11, 0, 16, 24, 0, 0, 1}, {11, 10, 0, 16, 21, 5, 1, 1}},
  {{6, 6, 4, 27, 17, 0, 2, 1}, {6, 6, 5, 22, 18, 5, 1, 1}},
};

// 2^(31 - r / 4)
static const uint32_t quarter[4] = {2147483648u, 1805811301u, 1518500250u, 1276901417u};
INLINE uint32_t normalised(int32_t q, int code) {
  const int c = code - ALD_SPECTRAL_SCALE_ONE + 64;
  const uint64_t n = ((uint64_t)magnitude(q) * quarter[c & 3]) >> (21 + (c >> 2) - 16);
  return n < MOST ? (uint32_t)n : MOST;
}
// Class of the expectation t / 2^16 scales.
INLINE int class_of(uint32_t t, int code) {
  const int g = 31 - __builtin_clz(t), c = 4 * g + (int)((t >> (g - 2)) & 3) + code - 63;
  return c < 0 ? 0 : c > ALD_CLASSES - 1 ? ALD_CLASSES - 1 : c;
}

typedef struct walk {
  size_t width, plane, cells;   // of the arrays with margins
  uint16_t *known, *before;     // this component's modes; mean of the components before
  uint32_t *sum;                // of those
  uint32_t *base;               // of a row: what rows before say
  uint8_t *code;                // of a row: scales
  void *memory;
} walk;

static int walk_open(walk *w, const ald_spectral_piece *p) {
  w->width = (size_t)p->extent[2] + 2 * MARGIN;
  w->plane = w->width * ((size_t)p->extent[1] + 2 * MARGIN);
  w->cells = w->plane * ((size_t)p->extent[0] + MARGIN);
  const size_t modes = (size_t)(p->extent[0] * p->extent[1] * p->extent[2]), row = (size_t)p->extent[2];
  char *m = malloc(w->cells * 2 + modes * 6 + row * 5 + 64);
  if (!m) return -1;
  w->memory = m;
  w->sum = (uint32_t *)(void *)m;
  w->base = w->sum + modes;
  w->known = (uint16_t *)(void *)(w->base + row);
  w->before = w->known + w->cells;
  w->code = (uint8_t *)(w->before + modes);
  memset(w->sum, 0, 4 * modes);
  for (size_t i = 0; i < modes; i++) w->before[i] = EXPECTED;
  return 0;
}

// What a part that vanishes, and one that is told by its mirror image, are coded in.
enum { VANISHING = 0, MIRRORED = 1 };

INLINE void share_out(const ald_spectral_piece *p, walk *w, int component) {
  const uint32_t share = 65536u / (uint32_t)(component + 1);
  EACH_ROW(p) for (int64_t x = row * p->extent[2] + x0; x < row * p->extent[2] + x1; x++) w->before[x] = (uint16_t)((uint64_t)w->sum[x] * share >> 16);
}

// One component; decodes where d is given.
INLINE size_t run(int decoding, const int32_t *in, int32_t *out, ald_decoder *d, const ald_spectral_piece *p, walk *w, int component, uint8_t *cls, int32_t *val) {
  const uint8_t *weight = weights[!p->flat][component > 0], *scale = p->scale + (size_t)component * (size_t)(p->radius + 1);
  const uint32_t sixth = (uint32_t)weight[WEIGHT_DIAGONAL] * 171, third = (uint32_t)weight[WEIGHT_TWO] * 341;   // in 2^-16
  const size_t width = w->width, plane = w->plane;
  size_t n = 0;
  for (size_t i = 0; i < w->cells; i++) w->known[i] = EXPECTED;
  // Of the part that does not vanish twice the mean of both is expected.
  const int quiet = p->symmetry ? p->symmetry[component] >> ALD_SYMMETRY_QUIET & 3 : 0;
  EACH_ROW(p) {
    const int64_t at = row * p->extent[2];
    uint16_t *const k = w->known + (size_t)(z + MARGIN) * plane + (size_t)(y + MARGIN) * width + MARGIN;
    const uint16_t *const ky = k - width, *const kz = k - plane, *const kyy = ky - width, *const kzz = kz - plane;
    const uint16_t *const kzy = kz - width, *const kzY = kz + width, *const before = w->before + at;
    uint32_t *const sum = w->sum + at, *const base = w->base;
    for (int64_t x = x0; x < x1; x++) {
      const uint32_t diagonal = (uint32_t)ky[x - 1] + ky[x + 1] + kz[x - 1] + kz[x + 1] + kzy[x] + kzY[x], two = (uint32_t)kyy[x] + kzz[x];
      base[x] = 65536u / 64 * weight[WEIGHT_ONE] + (uint32_t)weight[WEIGHT_Y] * ky[x] + (uint32_t)weight[WEIGHT_Z] * kz[x]
        + (diagonal * sixth >> 10) + (two * third >> 10) + (uint32_t)weight[WEIGHT_BEFORE] * before[x];
    }
    for (int64_t x = x0; x < x1; x++) w->code[x] = scale[ald_spectral_shell(p->metric, jz, jy, p->lower[2] + x)];
    uint32_t left = EXPECTED, farther = EXPECTED;
    for (int64_t x = x0; x < x1; x++) {
      const int code = w->code[x];
      const uint32_t t = base[x] + weight[WEIGHT_X] * left + (farther * third >> 10);
      // The real part stands for itself where it is not known.
      const uint32_t alone = t + EXPECTED * weight[WEIGHT_REAL];
      const int first = quiet == 1 ? VANISHING : class_of(quiet ? 2 * alone : alone, code);
      int32_t re, im;
      if (decoding) re = ald_decode(d, first); else { re = in[2 * (at + x)]; cls[n] = (uint8_t)first; val[n] = re; }
      const uint32_t nr = normalised(re, code);
      const int second = quiet == 2 ? VANISHING : quiet ? class_of(2 * alone, code) : class_of(t + nr * weight[WEIGHT_REAL], code);
      if (decoding) im = ald_decode(d, second); else { im = in[2 * (at + x) + 1]; cls[n + 1] = (uint8_t)second; val[n + 1] = im; }
      n += 2;
      if (decoding) { out[2 * (at + x)] = re; out[2 * (at + x) + 1] = im; }
      farther = left;
      left = (nr + normalised(im, code)) >> 1;
      k[x] = (uint16_t)left;
      sum[x] += left;
    }
  }
  share_out(p, w, component);
  return n;
}

// +1 or -1: what a component's numbers of a mirrored box are of those of its source; 0: nothing.
INLINE int mirror_sign(const ald_spectral_piece *p, int component) {
  if (!p->mirror || !p->symmetry) return 0;
  int sign = 1;
  for (int a = 0; a < 2; a++) {
    if (!(p->mirror >> a & 1)) continue;
    const int s = p->symmetry[component] >> (a ? ALD_SYMMETRY_Y : ALD_SYMMETRY_Z) & 3;
    if (!s) return 0;
    if (s == 2) sign = -sign;
  }
  return sign;
}
// One component of a mirrored box: what it is beyond sign times the source.
INLINE size_t run_mirrored(int decoding, int sign, const int32_t *source, const int32_t *in, int32_t *out, ald_decoder *d, const ald_spectral_piece *p, walk *w, int component,
                           uint8_t *cls, int32_t *val, int64_t *misses) {
  const uint8_t *scale = p->scale + (size_t)component * (size_t)(p->radius + 1);
  size_t n = 0;
  EACH_ROW(p) {
    const int64_t sz = (p->mirror & 1 ? -jz : jz) - p->source[0], sy = (p->mirror & 2 ? -jy : jy) - p->source[1];
    const int64_t at = row * p->extent[2], from = (sz * p->source_extent[1] + sy) * p->source_extent[2] + p->lower[2] - p->source[2];
    for (int64_t x = x0; x < x1; x++) {
      const int code = scale[ald_spectral_shell(p->metric, jz, jy, p->lower[2] + x)];
      uint32_t sum = 0;
      for (int k = 0; k < 2; k++) {
        const uint32_t s = (uint32_t)source[2 * (from + x) + k], told = sign < 0 ? 0u - s : s;
        const int c = told ? MIRRORED : VANISHING;
        int32_t q;
        if (decoding) out[2 * (at + x) + k] = q = (int32_t)((uint32_t)ald_decode(d, c) + told);
        else {
          q = in[2 * (at + x) + k];
          cls[n] = (uint8_t)c;
          val[n] = (int32_t)((uint32_t)q - told);
          misses[1] += val[n] != 0;
        }
        sum += normalised(q, code);
        n++;
      }
      w->sum[at + x] += sum >> 1;
    }
  }
  if (!decoding) misses[0] += (int64_t)n;
  share_out(p, w, component);
  return n;
}

ALD_CLONES size_t ald_spectral_symbols(const int32_t *const *q, const ald_spectral_piece *p, const int32_t *const *source, uint8_t *cls, int32_t *val, int64_t misses[2]) {
  walk w;
  if (walk_open(&w, p)) return (size_t)-1;
  size_t n = 0;
  for (int c = 0; c < p->components; c++) {
    const int sign = mirror_sign(p, c);
    n += sign ? run_mirrored(0, sign, source[c], q[c], 0, 0, p, &w, c, cls + n, val + n, misses) : run(0, q[c], 0, 0, p, &w, c, cls + n, val + n);
  }
  free(w.memory);
  return n;
}
ALD_CLONES int ald_spectral_decode(ald_decoder *d, const ald_spectral_piece *p, int32_t *const *source, int32_t *const *q) {
  walk w;
  if (walk_open(&w, p)) return -1;
  const size_t numbers = 2 * (size_t)(p->extent[0] * p->extent[1] * p->extent[2]);
  for (int c = 0; c < p->components; c++) {
    memset(q[c], 0, 4 * numbers);
    const int sign = mirror_sign(p, c);
    if (sign) run_mirrored(1, sign, source[c], 0, q[c], d, p, &w, c, 0, 0, 0); else run(1, 0, q[c], d, p, &w, c, 0, 0);
  }
  free(w.memory);
  return 0;
}
