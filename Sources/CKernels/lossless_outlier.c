#pragma STDC FP_CONTRACT OFF
#include "ald_lossless.h"
#include <stdlib.h>
#include "lossless_coder.inc"

static inline double load(const void *p, int size, size_t i) { return size == 4 ? (double)((const float *)p)[i] : ((const double *)p)[i]; }
static inline void store(void *p, int size, size_t i, double v) { if (size == 4) ((float *)p)[i] = (float)v; else ((double *)p)[i] = v; }
static inline uint64_t load_bits(const void *p, int size, size_t i) { return size == 4 ? ((const uint32_t *)p)[i] : ((const uint64_t *)p)[i]; }
static inline void store_bits(void *p, int size, size_t i, uint64_t b) { if (size == 4) ((uint32_t *)p)[i] = (uint32_t)b; else ((uint64_t *)p)[i] = b; }
static inline double rounded(double v, int size) { return size == 4 ? (double)(float)v : v; }
static inline double magnitude(double v) { return v < 0 ? -v : v; }

// |r| <= bound, or |r| <= bound |a|; scaled where the product would be rounded among subnormal numbers.
static inline int within(double r, double a, double bound, int relative) {
  if (!relative) return magnitude(r) <= bound;
  const double s = magnitude(a) < 0x1p-700 ? 0x1p300 : 1;
  return magnitude(r) * s <= bound * (magnitude(a) * s);
}

// The recipe: outliers lie mostly just beyond the bound, so the first step is 1.1 bounds.
static inline double shifted(double y, int k, int negative, double bound) {
  double d = (2.0 * k - 0.9) * bound;
  return negative ? y - d : y + d;
}

// Gaps between outliers: bit length under that of the gap before, upper mantissa bits adaptive, others raw.
typedef struct {
  uint32_t length[8][64], mant[64][8], step[8], sign;
  alr_enc enc; alr_bitw put;
  alr_dec dec; alr_bitr get;
} gaps;
static void gaps_reset(gaps *g) {
  alr_reset(&g->length[0][0], 8 * 64); alr_reset(&g->mant[0][0], 64 * 8); alr_reset(g->step, 8); alr_reset(&g->sign, 1);
}
#define BIT(m, b) (decoding ? alr_decode(&g->dec, m) : (alr_encode(&g->enc, m, b), (b)))
static inline int tree(gaps *g, uint32_t *t, int bits, int v, int decoding) {
  int node = 1;
  for (int i = bits - 1; i >= 0; i--) { int b = BIT(t + node, v >> i & 1); node = node * 2 + b; }
  return node - (1 << bits);
}
static inline uint64_t gap(gaps *g, uint64_t v, int before, int *length, int decoding) {   // v >= 1
  int k = decoding ? 0 : 63 - __builtin_clzll(v);
  k = tree(g, g->length[before > 7 ? 7 : before], 6, k, decoding);
  *length = k;
  int a = k < 3 ? k : 3, raw = k - a;
  int top = tree(g, g->mant[k], a, (int)(v >> raw & ((1u << a) - 1)), decoding);
  uint64_t low = decoding ? alr_get(&g->get, raw) : (alr_put(&g->put, v & ((1ull << raw) - 1), raw), v & ((1ull << raw) - 1));
  return 1ull << k | (uint64_t)top << raw | low;
}

size_t ald_outlier_count(const void *x, const void *y, int size, const uint8_t *mask, size_t n, double bound, int relative) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++) {
    double a = load(x, size, i);
    count += !within(a - load(y, size, i), a, bound, relative) & (!mask || mask[i]);
  }
  return count;
}

size_t ald_outlier_cap(size_t count, int size) { return 128 + 2 * (count * (size_t)(size + 8) + 32); }

size_t ald_outlier_encode(const void *x, void *y, int size, const uint8_t *mask, size_t n, double bound, int relative,
                          size_t count, uint8_t *out, size_t cap) {
  const size_t room = count * (size_t)(size + 8) + 32;
  if (cap < 24 + 2 * room) return (size_t)-1;
  gaps *g = malloc(sizeof *g);
  uint8_t *body = malloc(2 * room);
  if (!g || !body) { free(g); free(body); return (size_t)-1; }
  gaps_reset(g);
  alr_enc_open(&g->enc, body, room);
  alr_bitw_open(&g->put, body + room, room);
  const int decoding = 0;
  size_t next = 0; int before = 0;
  for (size_t i = 0; i < n; i++) if (!mask || mask[i]) {
    double a = load(x, size, i), v = load(y, size, i), r = a - v;
    if (within(r, a, bound, relative)) continue;
    gap(g, i - next + 1, before, &before, 0);
    next = i + 1;
    int step = 7, negative = r < 0;
    if (!relative && bound > 0) {
      double q = (magnitude(r) + 0.9 * bound) / (2 * bound);
      if (q < 9) {
        int near = (int)(q + 0.5);
        for (int t = 0; t < 3 && step == 7; t++) {
          int k = near + (t == 0 ? 0 : t == 1 ? 1 : -1);
          if (k < 1 || k > 7) continue;
          double w = rounded(shifted(v, k, negative, bound), size);
          if (magnitude(a - w) <= bound) { step = k - 1; store(y, size, i, w); }
        }
      }
    }
    tree(g, g->step, 3, step, 0);
    if (step < 7) (void)BIT(&g->sign, negative);
    else { uint64_t e = load_bits(x, size, i); alr_put(&g->put, e, size * 8); store_bits(y, size, i, e); }
  }
  alr_bitw_close(&g->put);
  uint64_t c = count; uint32_t coded = (uint32_t)alr_enc_close(&g->enc, body);
  size_t raw = (size_t)(g->put.out - (body + room)), o = 0;
  int full = g->enc.full || g->put.full;
  for (uint64_t v[2] = {c, coded}, j = 0; j < 2; j++) {
    while (v[j] >= 128) { out[o++] = (uint8_t)(v[j] | 128); v[j] >>= 7; }
    out[o++] = (uint8_t)v[j];
  }
  if (full || o + coded + raw > cap) o = (size_t)-1;
  else { memcpy(out + o, body, coded); o += coded; memcpy(out + o, body + room, raw); o += raw; }
  free(g); free(body);
  return o;
}

int ald_outlier_decode(const uint8_t *in, size_t bytes, void *y, int size, size_t n, double bound) {
  if (bytes == 0) return 0;
  uint64_t head[2] = {0, 0};
  size_t o = 0;
  for (int j = 0; j < 2; j++) for (int s = 0;; s += 7) {
    if (o >= bytes) return -1;
    if (s > 56) return -4;
    uint8_t b = in[o++];
    head[j] |= (uint64_t)(b & 127) << s;
    if (b < 128) break;
  }
  if (head[0] == 0 || head[0] > n) return -4;
  if (head[1] > bytes - o) return -1;
  gaps *g = malloc(sizeof *g);
  if (!g) return -3;
  gaps_reset(g);
  alr_dec_open(&g->dec, in + o, (size_t)head[1]);
  o += (size_t)head[1];
  alr_bitr_open(&g->get, in + o, bytes - o);
  const int decoding = 1;
  uint64_t next = 0; int before = 0, rc = 0;
  for (uint64_t j = 0; j < head[0]; j++) {
    uint64_t d = gap(g, 1, before, &before, 1);
    if (d > n - next || g->get.failed) { rc = -4; break; }
    next += d;
    size_t i = (size_t)next - 1;
    int step = tree(g, g->step, 3, 0, 1);
    if (step < 7) {
      int negative = BIT(&g->sign, 0);
      store(y, size, i, shifted(load(y, size, i), step + 1, negative, bound));
    } else store_bits(y, size, i, alr_get(&g->get, size * 8));
  }
  if (!rc && g->get.failed) rc = -1;
  if (!rc && !alr_dec_ok(&g->dec)) rc = -4;
  free(g);
  return rc;
}
