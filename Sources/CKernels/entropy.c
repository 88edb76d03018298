#pragma STDC FP_CONTRACT OFF
#include "ald_entropy.h"
#include <math.h>
#include <string.h>

// Stream: varint(number of 16-bit words << 1 | four lanes?), states (4 bytes each), words, raw bits.
// Few words use one lane only: three states less to flush.
enum { LOWER = 1 << 16, FEW_WORDS = 160 };

int ald_tables_finish(ald_tables *t) {
  for (int c = 0; c < ALD_CLASSES; c++) {
    uint32_t sum = 0;
    for (int s = 0; s < ALD_SYMBOLS; s++) {
      if (sum > 1u << ALD_PROB_BITS || (s > ALD_LARGEST && s < ALD_ESCAPE && t->freq[c][s])) return -1;
      t->cum[c][s] = (uint16_t)sum;
      sum += t->freq[c][s];
    }
    if (sum != 1u << ALD_PROB_BITS || t->freq[c][ALD_ESCAPE] == 0) return -1;
  }
  return 0;
}

static size_t put_varint(uint8_t *out, uint64_t v) {
  size_t n = 0;
  while (v >= 128) { out[n++] = (uint8_t)(v | 128); v >>= 7; }
  out[n++] = (uint8_t)v;
  return n;
}

// One symbol onto a state; the word that may leave it is stored always and kept by moving the pointer.
static inline uint32_t push(uint32_t x, uint32_t f, uint32_t c, uint16_t **p) {
  uint32_t full = (x >> 17) >= f;
  (*p)[-1] = (uint16_t)x;
  *p -= full;
  x >>= 16 * full;
  uint32_t q = x / f;
  return (q << ALD_PROB_BITS) + (x - q * f) + c;
}

// Codes symbols backwards into the end of a buffer (one word below it is scratch); returns the number of words.
static size_t encode_words(const ald_tables *t, const uint8_t *cls, const uint8_t *sym, size_t n, int lanes,
                           uint32_t state[4], uint16_t *end) {
  uint16_t *p = end;
  uint32_t s0 = LOWER, s1 = LOWER, s2 = LOWER, s3 = LOWER;
  size_t i = n;
#define PUSH(state, k) state = push(state, t->freq[cls[k]][sym[k]], t->cum[cls[k]][sym[k]], &p)
  if (lanes == 1) {
    while (i-- > 0) PUSH(s0, i);
  } else {
    switch (i & 3) {
      case 3: i--; PUSH(s2, i); /* fall through */
      case 2: i--; PUSH(s1, i); /* fall through */
      case 1: i--; PUSH(s0, i);
    }
    while (i > 0) {
      i -= 4;
      PUSH(s3, i + 3);
      PUSH(s2, i + 2);
      PUSH(s1, i + 1);
      PUSH(s0, i);
    }
  }
#undef PUSH
  state[0] = s0; state[1] = s1; state[2] = s2; state[3] = s3;
  return (size_t)(end - p);
}

size_t ald_encode(const ald_tables *t, const uint8_t *cls, const int32_t *val, size_t n, uint8_t *scratch, uint8_t *out,
                  size_t cap) {
  if (cap < ald_encode_bound(n)) return 0;
  uint8_t *sym = scratch;
  // Raw bits go to the far end of the output buffer's first part and are moved behind the words later.
  uint8_t *bits = out + n * 2 + 48, *b = bits;
  uint64_t buffer = 0;
  int count = 0;
  for (size_t i = 0; i < n; i++) {
    int32_t v = val[i];
    uint32_t m = v < 0 ? 0u - (uint32_t)v : (uint32_t)v;
    if (__builtin_expect(m < 16 && t->freq[cls[i]][m & 15] != 0, 1)) {
      sym[i] = (uint8_t)m;
      buffer |= (uint64_t)(v < 0) << count;
      count += m != 0;
    } else {
      if (m >> 30) return 0;
      int raw;
      int s = ald_bucket(m, &raw);
      if (t->freq[cls[i]][s] == 0) { s = ALD_ESCAPE; raw = 31; }
      sym[i] = (uint8_t)s;
      if (s == 0) continue;
      uint64_t extra = (m & ((1ull << raw) - 1)) | (uint64_t)(v < 0) << raw;
      buffer |= extra << count;
      count += raw + 1;
    }
    if (count >= 32) {
      for (int k = 0; k < 4; k++) b[k] = (uint8_t)(buffer >> (8 * k));
      b += 4;
      buffer >>= 32;
      count -= 32;
    }
  }
  while (count >= 8) { *b++ = (uint8_t)buffer; buffer >>= 8; count -= 8; }
  if (count > 0) *b++ = (uint8_t)buffer;
  size_t bit_bytes = (size_t)(b - bits);
  uint16_t *end = (uint16_t *)(void *)(scratch + ((n + 1) & ~(size_t)1)) + n + 1;
  uint32_t state[4];
  int lanes = 4;
  size_t words = encode_words(t, cls, sym, n, 4, state, end);
  if (words < FEW_WORDS) { lanes = 1; words = encode_words(t, cls, sym, n, 1, state, end); }
  size_t o = put_varint(out, (uint64_t)words << 1 | (lanes == 4));
  for (int l = 0; l < lanes; l++)
    for (int k = 0; k < 4; k++) out[o++] = (uint8_t)(state[l] >> (8 * k));
  const uint16_t *w = end - words;
  for (size_t i = 0; i < words; i++) { out[o++] = (uint8_t)w[i]; out[o++] = (uint8_t)(w[i] >> 8); }
  memmove(out + o, bits, bit_bytes);
  return o + bit_bytes;
}

int ald_decoder_open(ald_decoder *d, const ald_tables *t, const uint8_t *in, size_t size) {
  memset(d, 0, sizeof *d);
  d->tables = t;
  size_t o = 0;
  uint64_t v = 0;
  for (int shift = 0;; shift += 7) {
    if (o >= size || shift > 56) return -1;
    v |= (uint64_t)(in[o] & 127) << shift;
    if (!(in[o++] & 128)) break;
  }
  int lanes = v & 1 ? 4 : 1;
  uint64_t words = v >> 1;
  if (size - o < 4 * (size_t)lanes || words > (size - o - 4 * (size_t)lanes) / 2) return -1;
  for (int l = 0; l < 4; l++) d->state[l] = LOWER;
  for (int l = 0; l < lanes; l++, o += 4)
    d->state[l] = (uint32_t)in[o] | (uint32_t)in[o + 1] << 8 | (uint32_t)in[o + 2] << 16 | (uint32_t)in[o + 3] << 24;
  d->lane_mask = lanes - 1;
  d->words = in + o;
  d->words_end = d->bits = in + o + 2 * words;
  d->bits_end = in + size;
  return 0;
}

int ald_decoder_close(ald_decoder *d) {
  if (d->failed || d->words != d->words_end || d->bits != d->bits_end || d->bit_count >= 8) return -1;
  for (int l = 0; l < 4; l++)
    if (d->state[l] != LOWER) return -1;
  return 0;
}

int32_t ald_decode_rare(ald_decoder *d, int cls) {
  uint32_t x = d->state[d->lane];
  uint32_t slot = x & ((1u << ALD_PROB_BITS) - 1);
  const uint16_t *cum = d->tables->cum[cls];
  int s = 0;
  for (int b = 0; s == b && b < ALD_SYMBOLS; b += 16)
    for (int k = 0; k < 16; k++) s += cum[b + k] <= slot;
  s -= 1;
  x = d->tables->freq[cls][s] * (x >> ALD_PROB_BITS) + slot - cum[s];
  if (x < LOWER) {
    if (d->words_end - d->words < 2) { d->failed = 1; x |= LOWER; }
    else { x = x << 16 | (uint32_t)d->words[0] | (uint32_t)d->words[1] << 8; d->words += 2; }
  }
  d->state[d->lane] = x;
  d->lane = (d->lane + 1) & d->lane_mask;
  if (s == 0) return 0;
  uint32_t m = (uint32_t)s;
  if (s == ALD_ESCAPE) m = ald_raw(d, 31);
  else if (s >= 16) {
    int e = (s - 16) / 4 + 4;
    m = (4u + (uint32_t)((s - 16) & 3)) << (e - 2) | ald_raw(d, e - 2);
  }
  return ald_raw(d, 1) ? -(int32_t)m : (int32_t)m;
}

double ald_cost(const ald_tables *t, const uint8_t *cls, const int32_t *val, size_t n) {
  static const double top = 15;
  double bits = 0;
  for (size_t i = 0; i < n; i++) {
    uint32_t m = val[i] < 0 ? 0u - (uint32_t)val[i] : (uint32_t)val[i];
    int raw;
    int s = ald_bucket(m, &raw);
    if (t->freq[cls[i]][s] == 0) { s = ALD_ESCAPE; raw = 31; }
    bits += top - log2((double)t->freq[cls[i]][s]) + raw + (m != 0);
  }
  return bits;
}

void ald_histogram(const uint8_t *cls, const int32_t *val, size_t n, uint32_t *hist) {
  for (size_t i = 0; i < n; i++) {
    uint32_t m = val[i] < 0 ? 0u - (uint32_t)val[i] : (uint32_t)val[i];
    int raw;
    hist[(size_t)cls[i] * ALD_SYMBOLS + (size_t)ald_bucket(m, &raw)]++;
  }
}
