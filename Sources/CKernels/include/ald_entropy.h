// Entropy coding of integers by scale class: 96 classes, one static table each, 4-way interleaved rANS.
//
// A value v has magnitude m = |v|, bucket b(m) and raw bits: m < 16 is its own bucket, above that four buckets per
// octave with (octave - 2) raw mantissa bits; non-zero values add one raw sign bit. Buckets are coded by rANS under
// the table of the value's class, raw bits go to a separate bit stream. Integers only.
#pragma once
#include <stddef.h>
#include <stdint.h>

#define ALD_CLASSES 96
#define ALD_SYMBOLS 128     // 16 + 4 * 26 buckets cover magnitudes below 2^30; the last symbol is an escape
#define ALD_LARGEST 119     // bucket of 2^30 - 1
#define ALD_ESCAPE 127      // any magnitude: 31 raw bits follow; codable in every class
#define ALD_PROB_BITS 15

// Scale class of an expected magnitude S in fixed point with 12 fractional bits (4096 = magnitude 1):
// floor of 4 log2 S in piecewise-linear form, minus 11, clamped to 0...95.
static inline int ald_class(uint32_t S) {
  uint32_t s = S < 4 ? 4 : S;
  int lg = 31 - __builtin_clz(s);
  int c = 4 * lg + (int)((s >> (lg - 2)) & 3) - 11;
  return c < 0 ? 0 : c > ALD_CLASSES - 1 ? ALD_CLASSES - 1 : c;
}

static inline int ald_bucket(uint32_t m, int *raw_bits) {
  if (m < 16) { *raw_bits = 0; return (int)m; }
  int e = 31 - __builtin_clz(m);
  *raw_bits = e - 2;
  return 16 + (e - 4) * 4 + (int)((m >> (e - 2)) & 3);
}

// Frequencies of every class, cumulative, each class summing to 1 << 15 over the symbols it can code.
typedef struct ald_tables {
  uint16_t cum[ALD_CLASSES][ALD_SYMBOLS];   // sum of frequencies below the symbol
  uint16_t freq[ALD_CLASSES][ALD_SYMBOLS];  // 0 = cannot be coded in this class
} ald_tables;

// Decoder state; opaque but inline, for speed.
typedef struct ald_decoder {
  const ald_tables *tables;
  uint32_t state[4];
  const uint8_t *words, *words_end;   // 16-bit little-endian renormalisation words, forward
  const uint8_t *bits, *bits_end;     // raw bits, forward, little-endian
  uint64_t bit_buffer;
  int bit_count;
  int lane, lane_mask;
  int failed;                         // set when a stream is exhausted; values are then 0
} ald_decoder;

// Encodes n values under their classes; a symbol of frequency 0 is escaped. Returns the number of bytes, or 0 if cap
// is too small (ald_encode_bound always suffices) or |value| >= 2^30. scratch: at least 3 * n + 64 bytes.
static inline size_t ald_encode_bound(size_t n) { return n * 7 + 64; }
size_t ald_encode(const ald_tables *t, const uint8_t *cls, const int32_t *val, size_t n, uint8_t *scratch,
                  uint8_t *out, size_t cap);

// Opens a stream made by ald_encode. Returns 0, or -1 when it is too short to be one.
int ald_decoder_open(ald_decoder *d, const ald_tables *t, const uint8_t *in, size_t size);
// Next value; the classes must be those of the encoder, in its order.
static inline int32_t ald_decode(ald_decoder *d, int cls);
// After the last value: 0 when both streams were used up exactly and every state is back at its start, else -1.
int ald_decoder_close(ald_decoder *d);

// ideal code length in bits of n values under the tables' probabilities (raw bits included)
double ald_cost(const ald_tables *t, const uint8_t *cls, const int32_t *val, size_t n);

// Shipped shape of each class: -8 log2 of the probability, 0...255.
extern const uint8_t ald_base_tables[ALD_CLASSES][ALD_SYMBOLS];
static inline const uint8_t *ald_base_row(int cls) { return ald_base_tables[cls]; }

// Builds cumulative from frequencies. Returns 0, or -1 when a class does not sum to 1 << 15 or cannot code the escape.
int ald_tables_finish(ald_tables *t);
// hist[class * ALD_SYMBOLS + symbol] += 1
void ald_histogram(const uint8_t *cls, const int32_t *val, size_t n, uint32_t *hist);

static inline uint32_t ald_raw(ald_decoder *d, int n) {
  if (n == 0) return 0;
  if (d->bit_count < n) {
    while (d->bit_count <= 56 && d->bits < d->bits_end) {
      d->bit_buffer |= (uint64_t)*d->bits++ << d->bit_count;
      d->bit_count += 8;
    }
    if (d->bit_count < n) { d->failed = 1; return 0; }
  }
  uint32_t v = (uint32_t)(d->bit_buffer & ((1ull << n) - 1));
  d->bit_buffer >>= n;
  d->bit_count -= n;
  return v;
}

// ald_decode near the end of the stream, for large symbols and escapes.
int32_t ald_decode_rare(ald_decoder *d, int cls);

// The common case without branches that are hard to predict: renormalisation and sign by selection.
static inline __attribute__((always_inline)) int32_t ald_decode(ald_decoder *d, int cls) {
  const uint16_t *cum = d->tables->cum[cls];
  const int lane = d->lane;
  uint32_t x = d->state[lane];
  const uint32_t slot = x & ((1u << ALD_PROB_BITS) - 1);
  // Symbol = number of entries with cum <= slot, minus one. The first sixteen in one vector compare.
  uint16_t found = 0;
  for (int k = 0; k < 16; k++) found = (uint16_t)(found + (cum[k] <= slot));
  uint32_t s = found;
  if (__builtin_expect(s == 16 || d->words_end - d->words < 2 || d->bits_end - d->bits < 8, 0)) return ald_decode_rare(d, cls);
  s -= 1;
  x = d->tables->freq[cls][s] * (x >> ALD_PROB_BITS) + slot - cum[s];
  const uint32_t low = x < 1u << 16, word = (uint32_t)d->words[0] | (uint32_t)d->words[1] << 8;
  d->words += 2 * low;
  d->state[lane] = low ? x << 16 | word : x;
  d->lane = (lane + 1) & d->lane_mask;
  if (__builtin_expect(d->bit_count == 0, 0)) {
    uint64_t b = 0;
    for (int k = 0; k < 8; k++) b |= (uint64_t)d->bits[k] << 8 * k;
    d->bit_buffer = b;
    d->bit_count = 64;
    d->bits += 8;
  }
  const uint32_t coded = s != 0, sign = 0u - ((uint32_t)d->bit_buffer & coded);
  d->bit_buffer >>= coded;
  d->bit_count -= (int)coded;
  return (int32_t)((s ^ sign) - sign);
}

// Values of the next n classes.
static inline __attribute__((always_inline)) void ald_decode_run(ald_decoder *d, const uint8_t *cls, size_t n, int32_t *val) {
  ald_decoder e = *d;
  for (size_t i = 0; i < n; i++) val[i] = ald_decode(&e, cls[i]);
  *d = e;
}
