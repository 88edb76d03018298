#pragma STDC FP_CONTRACT OFF
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "CKernels.h"
#include "ald_clones.h"

#define INLINE inline __attribute__((always_inline))

enum { MODE_SYMBOLS, MODE_DECODE, MODE_ROWS };

typedef struct band_rows {
  size_t count, cap, every;
  uint32_t seen;
  uint16_t *feat;
  uint8_t *group, *scale;
  int32_t *val;
} band_rows;

// Every `every`-th value in the mean, in an irregular but fixed pattern.
static int rows_take(band_rows *r) {
  uint64_t h = (uint32_t)(r->seen++ * 2654435761u);
  return r->count < r->cap && h * r->every < (uint64_t)1 << 32;
}
static INLINE uint32_t magnitude(int32_t v) { return v < 0 ? 0u - (uint32_t)v : (uint32_t)v; }
// The constant's weight: quarter octaves from 1/4096, in 12 fractional bits.
static inline uint32_t constant_of(uint8_t code) { return (4u + (code & 3u)) << (code >> 2 & 15) >> 2; }
static inline int bit_length(uint32_t m) { return m ? 32 - __builtin_clz(m) : 0; }
static inline int32_t wrap_add(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }
static inline int32_t wrap_sub(int32_t a, int32_t b) { return (int32_t)((uint32_t)a - (uint32_t)b); }
static inline int32_t rounded_mean(int64_t sum, int64_t c) {
  if (c == 0) return 0;
  int64_t x = 2 * sum + c, y = x / (2 * c);
  return (int32_t)(y * 2 * c > x ? y - 1 : y);   // floor
}

#include "bands_lot.inc"
#include "bands_wavelet.inc"

int ald_bands_check(const ald_tile_shape *s) {
  int64_t cells = 1;
  for (int a = 0; a < 3; a++) {
    if (s->n[a] < 1 || s->n[a] > 1 << 28) return -1;
    cells *= s->n[a];
    if (cells > 1 << 28) return -1;
  }
  if (s->kind == ALD_BANDS_WAVELET) return s->zero_bands >> 22 ? -1 : 0;
  if (s->kind != ALD_BANDS_LOT || s->block_edge < 2 || s->block_edge > 16) return -1;
  if (s->factors) for (size_t i = 0; i < lot_bands(s); i++) if (s->factors[i] > 64) return -1;
  for (int a = 0; a < 3; a++) {
    int32_t b = s->blocks[a];
    if (b < 1 || b > s->n[a] || !s->starts[a] || s->starts[a][0] != 0) return -1;
    for (int32_t k = 1; k < b; k++) if (s->starts[a][k] != k * s->block_edge) return -1;
    int32_t last = s->n[a] - (b - 1) * s->block_edge;
    if (last < 1 || last >= 2 * s->block_edge) return -1;
    if (s->active[a] < 0 || s->active[a] > (b > 1 && last < s->block_edge ? s->block_edge : last)) return -1;
    if (!s->active[a] && (s->active[0] | s->active[1] | s->active[2])) return -1;
  }
  return 0;
}
void ald_bands_survey(const int32_t *q, ald_tile_shape *s) {
  if (s->kind == ALD_BANDS_LOT) lot_survey(q, s); else wavelet_survey(q, s);
}
size_t ald_bands_count(const ald_tile_shape *s) { return s->kind == ALD_BANDS_LOT ? lot_count(s) : wavelet_count(s); }

ALD_WIDE_CLONES size_t ald_bands_symbols(const int32_t *q, const ald_tile_shape *s, const ald_band_model *m, uint8_t *cls, int32_t *val) {
  size_t n = s->kind == ALD_BANDS_LOT ? lot_run(MODE_SYMBOLS, q, 0, 0, s, m, cls, val, 0) : wavelet_run(MODE_SYMBOLS, q, 0, 0, s, m, cls, val, 0);
  return n == (size_t)-1 ? 0 : n;
}
ALD_WIDE_CLONES int ald_bands_decode(ald_decoder *d, const ald_tile_shape *s, const ald_band_model *m, int32_t *q) {
  const size_t cells = (size_t)s->n[0] * (size_t)s->n[1] * (size_t)s->n[2];
  if (ald_bands_count(s) < cells) memset(q, 0, sizeof *q * cells);
  size_t n = s->kind == ALD_BANDS_LOT ? lot_run(MODE_DECODE, 0, q, d, s, m, 0, 0, 0) : wavelet_run(MODE_DECODE, 0, q, d, s, m, 0, 0, 0);
  return n == (size_t)-1 ? -1 : 0;
}
size_t ald_bands_features(const int32_t *q, const ald_tile_shape *s, const ald_band_model *m, size_t every, size_t cap,
                          uint16_t *feat, uint8_t *group, uint8_t *scale, int32_t *val) {
  band_rows r = {.cap = cap, .every = every ? every : 1, .feat = feat, .group = group, .scale = scale, .val = val};
  if (s->kind == ALD_BANDS_LOT) lot_run(MODE_ROWS, q, 0, 0, s, m, 0, 0, &r); else wavelet_run(MODE_ROWS, q, 0, 0, s, m, 0, 0, &r);
  return r.count;
}
void ald_bands_scale_sums(const int32_t *q, const ald_tile_shape *s, uint64_t sum[ALD_BAND_SUMS], uint64_t count[ALD_BAND_SUMS]) {
  if (s->kind == ALD_BANDS_LOT) lot_scale_sums(q, s, sum, count);
}
