#pragma STDC FP_CONTRACT OFF
#include "ald_mask.h"
#include <stdlib.h>
#include "lossless_coder.inc"

static inline uint64_t pattern(const void *x, int size, size_t i) {
  return size == 4 ? ((const uint32_t *)x)[i] : ((const uint64_t *)x)[i];
}
static inline int finite_pattern(uint64_t b, int size) {
  return size == 4 ? (b & 0x7f800000u) != 0x7f800000u : (b & 0x7ff0000000000000ull) != 0x7ff0000000000000ull;
}
// Whether a run of cells may hold a special value: a non-finite one, or one of the patterns.
static int suspicious32(const uint32_t *x, size_t n, const uint64_t *f, int count) {
  uint32_t any = 0;
  for (size_t i = 0; i < n; i++) any |= (x[i] & 0x7f800000u) == 0x7f800000u;
  for (int j = 0; j < count; j++) { uint32_t v = (uint32_t)f[j]; for (size_t i = 0; i < n; i++) any |= x[i] == v; }
  return any != 0;
}
static int suspicious64(const uint64_t *x, size_t n, const uint64_t *f, int count) {
  uint64_t any = 0;
  for (size_t i = 0; i < n; i++) any |= (x[i] & 0x7ff0000000000000ull) == 0x7ff0000000000000ull;
  for (int j = 0; j < count; j++) { uint64_t v = f[j]; for (size_t i = 0; i < n; i++) any |= x[i] == v; }
  return any != 0;
}
static int suspicious(const void *x, int size, size_t at, size_t n, const uint64_t *f, int count) {
  return size == 4 ? suspicious32((const uint32_t *)x + at, n, f, count) : suspicious64((const uint64_t *)x + at, n, f, count);
}
// Position of v in the sorted table, or ~(where it would go).
static int find(const uint64_t *t, int n, uint64_t v) {
  int a = 0, b = n;
  while (a < b) { int m = (a + b) / 2; if (t[m] < v) a = m + 1; else b = m; }
  return a < n && t[a] == v ? a : ~a;
}
enum { RUN = 256 };

int ald_special_collect(const void *x, int size, size_t n, const uint64_t *fills, int fill_count,
                        uint64_t *table, int *count, int room) {
  uint64_t last = 0; int have = 0;
  for (size_t at = 0; at < n; at += RUN) {
    size_t m = n - at < RUN ? n - at : RUN;
    if (!suspicious(x, size, at, m, fills, fill_count)) continue;
    for (size_t i = at; i < at + m; i++) {
      uint64_t b = pattern(x, size, i);
      if (have && b == last) continue;
      int special = !finite_pattern(b, size);
      for (int j = 0; j < fill_count && !special; j++) special = b == (size == 4 ? (uint32_t)fills[j] : fills[j]);
      if (!special) continue;
      last = b; have = 1;
      int k = find(table, *count, b);
      if (k >= 0) continue;
      if (*count >= room) return -1;
      k = ~k;
      memmove(table + k + 1, table + k, (size_t)(*count - k) * 8);
      table[k] = b; ++*count;
    }
  }
  return 0;
}

int ald_special_classify(const void *x, int size, size_t n, const uint64_t *table, int count,
                         uint8_t *categories, uint64_t *counts) {
  // Only finite entries need the pattern compare; non-finite ones are seen anyway.
  uint64_t fin[256]; int nf = 0, missing = 0;
  for (int j = 0; j < count && j < 255; j++) if (finite_pattern(table[j], size)) fin[nf++] = table[j];
  for (size_t at = 0; at < n; at += RUN) {
    size_t m = n - at < RUN ? n - at : RUN;
    if (!suspicious(x, size, at, m, fin, nf)) { memset(categories + at, 0, m); counts[0] += m; continue; }
    for (size_t i = at; i < at + m; i++) {
      uint64_t b = pattern(x, size, i);
      int c = 0;
      if (nf || !finite_pattern(b, size)) {
        c = find(table, count, b) + 1;
        if (c <= 0) { missing |= !finite_pattern(b, size); c = 0; }
      }
      categories[i] = (uint8_t)c; counts[c]++;
    }
  }
  return missing ? -1 : 0;
}

int ald_special_fill(void *x, int size, size_t n, const uint64_t *table, int count, const uint8_t *categories) {
  for (size_t i = 0; i < n; i++) {
    int c = categories[i];
    if (c == 0) continue;
    if (c > count) return -1;
    if (size == 4) ((uint32_t *)x)[i] = (uint32_t)table[c - 1]; else ((uint64_t *)x)[i] = table[c - 1];
  }
  return 0;
}

// Modes: 1 all special of one category (byte); 2 one category (byte), then the coded plane; 3 several.
typedef struct {
  uint32_t bit[8192], small[64], repeat[4], tree[256];
  alr_enc enc; alr_dec dec;
} mask_state;

// Walks the cells in coding order, in either direction. Context: 13 causal neighbours; a context seen for the first
// time starts from that of the six nearest. Outside the tile: the nearest finished cell, ordinary where there is none.
#define SEEN(j) (cat[j] && (!within || within[j]))
static inline __attribute__((always_inline)) int mask_walk(mask_state *s, uint8_t *cat, const uint8_t *within,
                                                          int nz, int ny, int nx, int single, int decoding) {
  enum { P = 2 };
  const size_t sx = (size_t)nx + 2 * P, plane = sx * ((size_t)ny + 2 * P);
  uint8_t *store = calloc(3 * plane, 1);
  if (!store) return -3;
  alr_reset(s->bit, sizeof s->bit / 4); alr_reset(s->small, 64); alr_reset(s->repeat, 4); alr_reset(s->tree, 256);
  int last = 0;
  for (int z = 0; z < nz; z++) {
    uint8_t *cur = store + (size_t)(z % 3) * plane, *p1 = store + (size_t)((z + 2) % 3) * plane, *p2 = store + (size_t)((z + 1) % 3) * plane;
    for (int y = 0; y < ny; y++) {
      const size_t at = (size_t)(y + P) * sx + P;
      uint8_t *r = cur + at, *u = p1 + at, *v = p2 + at;
      // Missing rows above: the same row one plane back.
      uint8_t *n1 = y > 0 ? r - sx : u, *n2 = y > 1 ? r - 2 * sx : y > 0 ? n1 : u;
      r[-1] = r[-2] = n1[0];
      for (int x = 0; x < nx; x++) {
        size_t i = ((size_t)z * (size_t)ny + (size_t)y) * (size_t)nx + (size_t)x;
        if (within && !within[i]) { r[x] = n1[x] & r[x - 1]; if (decoding) cat[i] = 0; continue; }
        int near = r[x - 1] | n1[x] << 1 | n1[x + 1] << 2 | u[x] << 3 | u[x + 1] << 4 | u[x + (ptrdiff_t)sx] << 5;
        int c = near | r[x - 2] << 6 | n1[x - 1] << 7 | n1[x + 2] << 8 | n2[x] << 9 | u[x - 1] << 10
              | u[x - (ptrdiff_t)sx] << 11 | v[x] << 12;
        uint32_t *m = &s->bit[c];
        if (*m == ALR_INIT) {
          // As sure as the small context, with the weight of one observation.
          *m = (s->small[near] & ~1023u) | 1;
        }
        int b = decoding ? 0 : cat[i] != 0;
        if (decoding) b = alr_decode(&s->dec, m); else alr_encode(&s->enc, m, b);
        alr_update(&s->small[near], b);
        r[x] = (uint8_t)b;
        if (!b) { if (decoding) cat[i] = 0; continue; }
        if (single) { if (decoding) cat[i] = (uint8_t)single; continue; }
        // The category: that of the neighbour before, above or below if there is one, else the last coded.
        size_t w = (size_t)nx, l = (size_t)nx * (size_t)ny;
        int guess = last, ctx = 0;
        if (x && SEEN(i - 1)) { guess = cat[i - 1]; ctx = 1; }
        else if (y && SEEN(i - w)) { guess = cat[i - w]; ctx = 2; }
        else if (z && SEEN(i - l)) { guess = cat[i - l]; ctx = 3; }
        int same = decoding ? 0 : cat[i] == guess;
        if (decoding) same = alr_decode(&s->dec, &s->repeat[ctx]); else alr_encode(&s->enc, &s->repeat[ctx], same);
        int value = guess;
        if (!same) {
          int node = 1;
          for (int k = 7; k >= 0; k--) {
            int bit = decoding ? 0 : cat[i] >> k & 1;
            if (decoding) bit = alr_decode(&s->dec, &s->tree[node]); else alr_encode(&s->enc, &s->tree[node], bit);
            node = node * 2 + bit;
          }
          value = node - 256;
        }
        if (value == 0) { free(store); return -4; }
        if (decoding) cat[i] = (uint8_t)value;
        last = value;
      }
      r[-1] = r[-2] = r[0]; r[nx] = r[nx + 1] = r[nx - 1];
    }
    memcpy(cur + sx, cur + 2 * sx, sx); memcpy(cur, cur + 2 * sx, sx);
    uint8_t *e = cur + (size_t)(ny + P) * sx;
    memcpy(e, e - sx, sx); memcpy(e + sx, e, sx);
  }
  free(store);
  return 0;
}

size_t ald_mask_cap(size_t n) { return n * 3 + 64; }

size_t ald_mask_encode(const uint8_t *cat, const uint8_t *within, int nz, int ny, int nx, uint8_t *out, size_t cap) {
  const size_t n = (size_t)nz * (size_t)ny * (size_t)nx;
  size_t special = 0, cells = 0; int first = 0, several = 0;
  if (!within) {
    uint8_t any = 0;
    for (size_t i = 0; i < n; i++) any |= cat[i];
    if (!any) return 0;
  }
  for (size_t i = 0; i < n; i++) if (!within || within[i]) {
    cells++;
    if (!cat[i]) continue;
    special++;
    if (!first) first = cat[i]; else several |= cat[i] != first;
  }
  if (!special) return 0;
  if (cap < ald_mask_cap(n)) return (size_t)-1;
  if (special == cells && !several) { out[0] = 1; out[1] = (uint8_t)first; return 2; }
  mask_state *s = malloc(sizeof *s);
  if (!s) return (size_t)-1;
  size_t o = 0;
  out[o++] = several ? 3 : 2;
  if (!several) out[o++] = (uint8_t)first;
  alr_enc_open(&s->enc, out + o, cap - o);
  int rc = mask_walk(s, (uint8_t *)cat, within, nz, ny, nx, several ? 0 : first, 0);
  size_t coded = alr_enc_close(&s->enc, out + o);
  int full = s->enc.full;
  free(s);
  return rc || full ? (size_t)-1 : o + coded;
}

int ald_mask_decode(const uint8_t *in, size_t size, const uint8_t *within, int nz, int ny, int nx, uint8_t *cat) {
  const size_t n = (size_t)nz * (size_t)ny * (size_t)nx;
  if (size == 0) { memset(cat, 0, n); return 0; }
  int mode = in[0];
  if (mode < 1 || mode > 3) return -2;
  size_t o = 1;
  int single = 0;
  if (mode < 3) { if (size < 2) return -1; single = in[1]; o = 2; if (!single) return -4; }
  if (mode == 1) {
    if (size != 2) return -4;
    for (size_t i = 0; i < n; i++) cat[i] = !within || within[i] ? (uint8_t)single : 0;
    return 0;
  }
  mask_state *s = malloc(sizeof *s);
  if (!s) return -3;
  alr_dec_open(&s->dec, in + o, size - o);
  int rc = mask_walk(s, cat, within, nz, ny, nx, single, 1);
  if (!rc && !alr_dec_ok(&s->dec)) rc = -4;
  free(s);
  return rc;
}
