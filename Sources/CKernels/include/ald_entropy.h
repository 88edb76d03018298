// Entropy coding of integers by scale class: 96 classes, one static table each, interleaved rANS of up to 8 states.
//
// A value v has magnitude m = |v|, bucket b(m) and raw bits: m < 16 is its own bucket, above that four buckets per
// octave with (octave - 2) raw mantissa bits; non-zero values add one raw sign bit. Buckets are coded by rANS under
// the table of the value's class, raw bits go to a separate bit stream. Integers only.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ALD_CLASSES 96
#define ALD_SYMBOLS 128     // 16 + 4 * 26 buckets cover magnitudes below 2^30; the last symbol is an escape
#define ALD_LARGEST 119     // bucket of 2^30 - 1
#define ALD_ESCAPE 127      // any magnitude: 31 raw bits follow; codable in every class that is
#define ALD_PROB_BITS 12
#define ALD_PROB_ONE 4096
#define ALD_LANES 8

// Scale class of an expected magnitude S in fixed point with 12 fractional bits (4096 = magnitude 1):
// floor of 4 log2 S in piecewise-linear form, minus 11, clamped to 0...95.
static inline int ald_class(uint32_t S) {
  uint32_t s = S < 4 ? 4 : S;
  int lg = 31 - __builtin_clz(s);
  int c = 4 * lg + (int)((s >> (lg - 2)) & 3) - 11;
  return c < 0 ? 0 : c > ALD_CLASSES - 1 ? ALD_CLASSES - 1 : c;
}

// How a symbol goes onto a state x < limit: x + bias + (x * reciprocal >> 64) * rest.
typedef struct ald_push {
  uint64_t reciprocal;   // of the frequency f, 2^64 / f rounded up
  uint32_t limit;        // f << 20; 0 = cannot be coded in this class
  uint16_t bias, rest;   // sum of the frequencies before; 4096 - f
} ald_push;

// What the coder reads of all classes; shared by threads.
typedef struct ald_tables {
  ald_push *push;        // [class][symbol]
  uint8_t *slot;         // [class][slot]: symbol; behind them the ranges, see ald_decoder; NULL until needed
} ald_tables;

// Tables of frequencies [class][symbol], each class summing to 4096 with a frequency for the escape, or to 0: a class
// that cannot be coded (streams that claim to decode to zeros). NULL when frequencies break this, or without memory.
ald_tables *ald_tables_make(const uint16_t *freq);
void ald_tables_free(ald_tables *t);

// Decoder state; opaque but inline, for speed. May be copied.
typedef struct ald_decoder {
  const uint8_t *slot;
  const uint32_t *range;              // [class][symbol]: first slot << 16 | frequency
  uint32_t state[ALD_LANES];
  uint32_t lane, lane_mask;
  const uint8_t *words, *words_safe;  // 16-bit little-endian renormalisation words, forward; whole words up to words_safe
  const uint8_t *bits, *end;          // raw bits, forward, little-endian, up to the words; end of the stream
  int64_t bit, bit_safe, bit_end;     // position in the raw bits; eight bytes can be read up to bit_safe; number of them
  int failed;                         // set when words were missing
} ald_decoder;

// Encodes n values under their classes; a symbol of frequency 0 is escaped. Returns the number of bytes, or 0 if cap
// is too small (ald_encode_bound always suffices), |value| >= 2^30 or a class cannot be coded. scratch: n bytes.
static inline size_t ald_encode_bound(size_t n) { return n * 6 + 64; }
size_t ald_encode(const ald_tables *t, const uint8_t *cls, const int32_t *val, size_t n, uint8_t *scratch,
                  uint8_t *out, size_t cap);

// Opens a stream made by ald_encode. Returns 0, or -1 when it cannot be one, or without memory.
int ald_decoder_open(ald_decoder *d, const ald_tables *t, const uint8_t *in, size_t size);
// Next value; the classes must be those of the encoder, in its order. What is read past the end of a stream is zero.
static inline int32_t ald_decode(ald_decoder *d, int cls);
// The next n values, all of whose classes are known. Any mixture of runs and single values reads the same stream.
void ald_decode_run(ald_decoder *d, const uint8_t *cls, size_t n, int32_t *val);
// After the last value: 0 when words and bits were used up exactly and every state is back at its start, else -1.
int ald_decoder_close(const ald_decoder *d);

// ideal code length in bits of n values under the tables' probabilities (raw bits included)
double ald_cost(const ald_tables *t, const uint8_t *cls, const int32_t *val, size_t n);

// Shipped shape of each class: -8 log2 of the probability, 0...255.
extern const uint8_t ald_base_tables[ALD_CLASSES][ALD_SYMBOLS];
static inline const uint8_t *ald_base_row(int cls) { return ald_base_tables[cls]; }

// hist[class * ALD_SYMBOLS + symbol] += 1
void ald_histogram(const uint8_t *cls, const int32_t *val, size_t n, uint32_t *hist);

// Smallest magnitude of a bucket, number of raw bits with the sign.
typedef struct ald_bucket { uint32_t first, bits; } ald_bucket;
extern const ald_bucket ald_buckets[ALD_SYMBOLS];

// ald_decode near the end of the stream.
int32_t ald_decode_last(ald_decoder *d, int cls);

// The value of a bucket and raw bits: sign lowest, then the mantissa.
static inline int32_t ald_value(uint32_t first, uint32_t raw) {
  uint32_t sign = 0u - (raw & 1);
  return (int32_t)(((first + (raw >> 1)) ^ sign) - sign);
}

// A state without the symbol whose range holds slot `at`.
static inline uint32_t ald_popped(uint32_t x, uint32_t at, uint32_t range) { return (range & 0xffff) * (x >> ALD_PROB_BITS) + at - (range >> 16); }

// Little-endian loads.
static inline uint32_t ald_load16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static inline uint64_t ald_load64(const uint8_t *p) {
  uint64_t v;
  memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  v = __builtin_bswap64(v);
#endif
  return v;
}

// Without branches on values: renormalisation, raw bits and sign by selection.
static inline __attribute__((always_inline)) int32_t ald_decode(ald_decoder *d, int cls) {
  if (__builtin_expect(d->words > d->words_safe || d->bit > d->bit_safe, 0)) return ald_decode_last(d, cls);
  const uint32_t lane = d->lane, x = d->state[lane];
  const uint32_t at = x & (ALD_PROB_ONE - 1), symbol = d->slot[(uint32_t)cls << ALD_PROB_BITS | at];
  const uint32_t y = ald_popped(x, at, d->range[(uint32_t)cls * ALD_SYMBOLS + symbol]), low = y < 1u << 16;
  const uint32_t longer = y << 16 | ald_load16(d->words);
  d->state[lane] = low ? longer : y;
  d->words += 2 * low;
  d->lane = (lane + 1) & d->lane_mask;
  const ald_bucket b = ald_buckets[symbol];
  const uint64_t raw = ald_load64(d->bits + (d->bit >> 3)) >> (d->bit & 7) & ((1ull << b.bits) - 1);
  d->bit += b.bits;
  return ald_value(b.first, (uint32_t)raw);
}
