#define _DEFAULT_SOURCE   // mmap, madvise
#pragma STDC FP_CONTRACT OFF
#include "ald_entropy.h"
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "ald_clones.h"
#include "ald_simd.h"
#if defined(__x86_64__)
#include <immintrin.h>
static int is_wide(void) { return ald_simd_level() >= ALD_SIMD_AVX2 && __builtin_cpu_supports("bmi2"); }
#else
static int is_wide(void) { return 0; }
#endif

// Stream: varint(bytes of raw bits << 2 | log2 of the number of states), states (4 bytes each), raw bits, 16-bit words.
enum { ONE = ALD_PROB_ONE, LOWER = 1 << 16, WORDS_PER_LANE = 256, RUN = 256 };

#define BYTES 0x0101010101010101ull
#define B4(e) {4u << (e), (e) + 1}, {5u << (e), (e) + 1}, {6u << (e), (e) + 1}, {7u << (e), (e) + 1}
const ald_bucket ald_buckets[ALD_SYMBOLS] = {
  {0, 0}, {1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}, {6, 1}, {7, 1}, {8, 1}, {9, 1}, {10, 1}, {11, 1}, {12, 1}, {13, 1}, {14, 1}, {15, 1},
  B4(2), B4(3), B4(4), B4(5), B4(6), B4(7), B4(8), B4(9), B4(10), B4(11), B4(12), B4(13), B4(14), B4(15), B4(16), B4(17), B4(18),
  B4(19), B4(20), B4(21), B4(22), B4(23), B4(24), B4(25), B4(26), B4(27), [ALD_ESCAPE] = {0, 32},
};

static inline uint32_t magnitude(int32_t v) { return v < 0 ? 0u - (uint32_t)v : (uint32_t)v; }
// Bucket of a magnitude below 2^30, from exponent and upper mantissa bits of a float; low bits of large magnitudes are
// cleared so that nothing is rounded up.
static inline uint32_t bucket(uint32_t m) {
  union { float f; uint32_t i; } x;
  x.f = (float)(int32_t)(m & ~(m >> 20));
  return m < 16 ? m : (x.i >> 21) - 4 * 127;
}
// Buckets of n values; returns all magnitudes or-ed.
ALD_WIDE_CLONES static uint32_t buckets(const int32_t *restrict val, size_t n, uint8_t *restrict sym) {
  uint32_t all = 0;
  for (size_t i = 0; i < n; i++) {
    uint32_t m = magnitude(val[i]);
    all |= m;
    sym[i] = (uint8_t)bucket(m);
  }
  return all;
}

// Symbols of the slots, then ranges: what decoding reads at random is small enough for the caches.
static const size_t all_slots = (size_t)ALD_CLASSES * ONE, slot_bytes = (size_t)ALD_CLASSES * (ONE + 4 * ALD_SYMBOLS);

ald_tables *ald_tables_make(const uint16_t *freq) {
  ald_tables *t = calloc(1, sizeof *t + (size_t)ALD_CLASSES * ALD_SYMBOLS * sizeof(ald_push));
  if (!t) return NULL;
  t->push = (ald_push *)(void *)(t + 1);
  for (int c = 0; c < ALD_CLASSES; c++, freq += ALD_SYMBOLS) {
    ald_push *p = t->push + c * ALD_SYMBOLS;
    uint32_t sum = 0;
    for (uint32_t s = 0; s < ALD_SYMBOLS; s++) {
      const uint32_t f = freq[s];
      if (f == 0) continue;
      if (sum + f > ONE || f == ONE || (s > ALD_LARGEST && s < ALD_ESCAPE)) { ald_tables_free(t); return NULL; }
      // A reciprocal of 1 would need 65 bits: the one below gives quotients smaller by one, which the bias makes up for.
      p[s] = (ald_push){f == 1 ? ~0ull : ~0ull / f + 1, f << 20, (uint16_t)(f == 1 ? sum + ONE - 1 : sum), (uint16_t)(ONE - f)};
      sum += f;
    }
    if (sum && (sum != ONE || freq[ALD_ESCAPE] == 0)) { ald_tables_free(t); return NULL; }
  }
  return t;
}

// The slots of tables that are gone serve the next ones: fresh pages cost more than what is written there.
static uint8_t *kept_slots;
static void give_slots(uint8_t *slot) {
  if ((slot = __atomic_exchange_n(&kept_slots, slot, __ATOMIC_ACQ_REL))) munmap(slot, slot_bytes);
}
// Made when a first stream is decoded, by one thread or by several: one of theirs is kept.
static const uint8_t *slots_of(const ald_tables *t) {
  uint8_t *slot = __atomic_load_n(&t->slot, __ATOMIC_ACQUIRE), *none = NULL;
  if (slot) return slot;
  if (!(slot = __atomic_exchange_n(&kept_slots, NULL, __ATOMIC_ACQ_REL))) {
    void *memory = mmap(NULL, slot_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return NULL;
#ifdef MADV_POPULATE_WRITE
    madvise(memory, slot_bytes, MADV_POPULATE_WRITE);   // cheaper than a fault for each page; it does not matter if that fails
#endif
    slot = memory;
  }
  for (int c = 0; c < ALD_CLASSES; c++) {
    const ald_push *p = t->push + c * ALD_SYMBOLS;
    uint8_t *row = slot + (size_t)c * ONE;
    uint32_t *range = (uint32_t *)(void *)(slot + all_slots) + c * ALD_SYMBOLS, sum = 0;
    memset(range, 0, 4 * ALD_SYMBOLS);
    if (!p[ALD_ESCAPE].limit) { memset(row, 0, ONE); continue; }
    for (uint32_t s = 0; s < ALD_SYMBOLS; s++) {
      const uint32_t f = p[s].limit >> 20;
      memset(row, (int)s, f);
      range[s] = sum << 16 | f;
      row += f; sum += f;
    }
  }
  if (__atomic_compare_exchange_n((uint8_t **)&t->slot, &none, slot, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) return slot;
  give_slots(slot);
  return none;
}
void ald_tables_free(ald_tables *t) {
  if (t && t->slot) give_slots(t->slot);
  free(t);
}

static size_t put_varint(uint8_t *out, uint64_t v) {
  size_t n = 0;
  while (v >= 128) { out[n++] = (uint8_t)(v | 128); v >>= 7; }
  out[n++] = (uint8_t)v;
  return n;
}
static inline void store64(uint8_t *p, uint64_t v) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  v = __builtin_bswap64(v);
#endif
  memcpy(p, &v, 8);
}

// One symbol onto a state; the word that may leave it is stored always and kept by moving the pointer. The sign bit of
// `missing` is set when the symbol cannot be coded.
static inline uint32_t push(uint32_t x, const ald_push *e, uint8_t **p, uint32_t *missing) {
  const uint32_t full = x >= e->limit, shorter = x >> 16;
  (*p)[-2] = (uint8_t)x;
  (*p)[-1] = (uint8_t)(x >> 8);
  *p -= 2 * full;
  x = full ? shorter : x;
  *missing |= e->rest - 1u;
  return x + e->bias + (uint32_t)((unsigned __int128)x * e->reciprocal >> 64) * e->rest;
}

// Codes symbols backwards to `end` (one word below them is scratch); returns where they start.
static inline __attribute__((always_inline)) uint8_t *encode_words(const ald_push *table, const uint8_t *cls, const uint8_t *sym,
                                                                   size_t n, const uint32_t lanes, uint32_t *state, uint8_t *p, uint32_t *bad) {
  uint32_t x[ALD_LANES], missing = 0;
  size_t i = n;
  for (uint32_t l = 0; l < lanes; l++) x[l] = LOWER;
  for (; i % 8; i--) x[(i - 1) % lanes] = push(x[(i - 1) % lanes], table + ((size_t)cls[i - 1] * ALD_SYMBOLS + sym[i - 1]), &p, &missing);
  uint32_t y[ALD_LANES];
  for (uint32_t l = 0; l < lanes; l++) y[l] = x[l];
#define PUT(k) y[(8 - k) % lanes] = push(y[(8 - k) % lanes], table + ((size_t)cls[i - k] * ALD_SYMBOLS + sym[i - k]), &p, &missing)
  for (; i > 0; i -= 8) { PUT(1); PUT(2); PUT(3); PUT(4); PUT(5); PUT(6); PUT(7); PUT(8); }
#undef PUT
  for (uint32_t l = 0; l < lanes; l++) state[l] = y[l];
  *bad = missing >> 31;
  return p;
}
#if defined(__x86_64__)
// Whole eights with their states in one register: the same integers. Words leave in the order of the states.
__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,popcnt")))
static uint8_t *encode_avx512(const ald_push *table, const uint8_t *cls, const uint8_t *sym, size_t n, uint32_t *state, uint8_t *p, uint32_t *bad) {
  const __m512i low32 = _mm512_set1_epi64(0xffffffff), low16 = _mm512_set1_epi64(0xffff);
  __m512i x = _mm512_cvtepu32_epi64(_mm256_loadu_si256((const __m256i *)(const void *)state));
  __mmask8 missing = 0;
  for (size_t i = n; i > 0; i -= 8) {
    const __m256i c = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(cls + i - 8)));
    const __m256i s = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(sym + i - 8)));
    const __m256i at = _mm256_add_epi32(_mm256_slli_epi32(c, 8), _mm256_add_epi32(s, s));
    const __m512i reciprocal = _mm512_i32gather_epi64(at, table, 8), rest = _mm512_i32gather_epi64(at, (const char *)table + 8, 8);
    const __mmask8 full = _mm512_cmpge_epu64_mask(x, _mm512_and_si512(rest, low32));
    missing |= _mm512_testn_epi64_mask(rest, rest);
    const uint32_t count = (uint32_t)__builtin_popcount(full);
    p -= 2 * count;
    _mm_mask_storeu_epi16(p, (__mmask8)((1u << count) - 1), _mm512_cvtepi64_epi16(_mm512_maskz_compress_epi64(full, x)));
    x = _mm512_mask_srli_epi64(x, full, x, 16);
    const __m512i q = _mm512_srli_epi64(_mm512_add_epi64(_mm512_srli_epi64(_mm512_mul_epu32(x, reciprocal), 32),
                                                         _mm512_mul_epu32(x, _mm512_srli_epi64(reciprocal, 32))), 32);
    x = _mm512_add_epi64(_mm512_add_epi64(x, _mm512_and_si512(_mm512_srli_epi64(rest, 32), low16)),
                         _mm512_mul_epu32(q, _mm512_srli_epi64(rest, 48)));
  }
  _mm256_storeu_si256((__m256i *)(void *)state, _mm512_cvtepi64_epi32(x));
  *bad = missing != 0;
  return p;
}
#endif
static uint8_t *encode_lanes(const ald_tables *t, const uint8_t *cls, const uint8_t *sym, size_t n, int log, uint32_t *state, uint8_t *end,
                             uint32_t *bad) {
  switch (log) {
    case 0: return encode_words(t->push, cls, sym, n, 1, state, end, bad);
    case 1: return encode_words(t->push, cls, sym, n, 2, state, end, bad);
    case 2: return encode_words(t->push, cls, sym, n, 4, state, end, bad);
  }
#if defined(__x86_64__)
  if (ald_simd_level() >= ALD_SIMD_AVX512) {
    const size_t eights = n & ~(size_t)7;
    uint32_t missing;
    end = encode_words(t->push, cls + eights, sym + eights, n - eights, 8, state, end, bad);
    end = encode_avx512(t->push, cls, sym, eights, state, end, &missing);
    *bad |= missing;
    return end;
  }
#endif
  return encode_words(t->push, cls, sym, n, 8, state, end, bad);
}

typedef struct bit_writer { uint8_t *to; uint64_t buffer; uint32_t count; } bit_writer;
// At most 57 bits.
static inline void put_bits(bit_writer *b, uint64_t bits, uint32_t count) {
  b->buffer |= bits << b->count;
  b->count += count;
  store64(b->to, b->buffer);
  b->to += b->count >> 3;
  b->buffer >>= b->count & ~7u;
  b->count &= 7;
}
static inline void put_raw(bit_writer *b, const uint8_t *sym, const int32_t *val, size_t from, size_t to) {
  for (size_t i = from; i < to; i++) {
    const ald_bucket k = ald_buckets[sym[i]];
    put_bits(b, (uint64_t)(uint32_t)((magnitude(val[i]) - k.first) << 1 | (val[i] < 0)), k.bits);
  }
}
#if defined(__x86_64__)
__attribute__((target("avx2,bmi2,popcnt"))) static size_t put_raw_avx2(bit_writer *to, const uint8_t *sym, const int32_t *val, size_t n) {
  bit_writer b = *to;
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const uint64_t eight = ald_load64(sym + i);
    if (__builtin_expect((eight & 0xf0 * BYTES) == 0, 1)) {
      const uint64_t coded = (eight + 0x0f * BYTES) >> 4 & BYTES;
      const uint64_t negative = (uint64_t)(uint32_t)_mm256_movemask_ps(_mm256_loadu_ps((const float *)(const void *)(val + i)));
      put_bits(&b, _pext_u64(_pdep_u64(negative, BYTES), coded), (uint32_t)__builtin_popcountll(coded));
    } else put_raw(&b, sym, val, i, i + 8);
  }
  *to = b;
  return i;
}
#endif

size_t ald_encode(const ald_tables *t, const uint8_t *cls, const int32_t *val, size_t n, uint8_t *scratch, uint8_t *out,
                  size_t cap) {
  if (cap < ald_encode_bound(n)) return 0;
  uint8_t *sym = scratch;
  if (buckets(val, n, sym) >> 30) return 0;
  uint8_t *end = out + cap, *words;
  uint32_t state[ALD_LANES], missing;
  words = encode_lanes(t, cls, sym, n, 3, state, end, &missing);
  if (missing) {
    for (size_t i = 0; i < n; i++) if (t->push[(size_t)cls[i] * ALD_SYMBOLS + sym[i]].limit == 0) sym[i] = ALD_ESCAPE;
    words = encode_lanes(t, cls, sym, n, 3, state, end, &missing);
    if (missing) return 0;
  }
  // Every state costs three bytes: few words have few states.
  int log = 3;
  while (log > 0 && (end - words) / 2 < WORDS_PER_LANE << log) log--;
  if (log < 3) words = encode_lanes(t, cls, sym, n, log, state, end, &missing);
  // Raw bits at their largest distance from the start, moved when their number is known.
  bit_writer b = {.to = out + 48};
  size_t done = 0;
#if defined(__x86_64__)
  if (is_wide()) done = put_raw_avx2(&b, sym, val, n);
#endif
  put_raw(&b, sym, val, done, n);
  const size_t bytes = (size_t)(b.to - (out + 48)) + (b.count > 0);
  size_t o = put_varint(out, (uint64_t)bytes << 2 | (uint64_t)log);
  for (int l = 0; l < 1 << log; l++)
    for (int k = 0; k < 4; k++) out[o++] = (uint8_t)(state[l] >> (8 * k));
  memmove(out + o, out + 48, bytes);
  memmove(out + o + bytes, words, (size_t)(end - words));
  return o + bytes + (size_t)(end - words);
}

int ald_decoder_open(ald_decoder *d, const ald_tables *t, const uint8_t *in, size_t size) {
  memset(d, 0, sizeof *d);
  if (!(d->slot = slots_of(t))) return -1;
  d->range = (const uint32_t *)(const void *)(d->slot + all_slots);
  size_t o = 0;
  uint64_t v = 0;
  for (int shift = 0;; shift += 7) {
    if (o >= size || shift > 56) return -1;
    v |= (uint64_t)(in[o] & 127) << shift;
    if (!(in[o++] & 128)) break;
  }
  const uint32_t lanes = 1u << (v & 3);
  const uint64_t bytes = v >> 2;
  if (size - o < 4 * (size_t)lanes || bytes > size - o - 4 * (size_t)lanes) return -1;
  for (uint32_t l = 0; l < ALD_LANES; l++) d->state[l] = LOWER;
  for (uint32_t l = 0; l < lanes; l++, o += 4)
    d->state[l] = (uint32_t)in[o] | (uint32_t)in[o + 1] << 8 | (uint32_t)in[o + 2] << 16 | (uint32_t)in[o + 3] << 24;
  d->lane_mask = lanes - 1;
  for (uint32_t l = 0; l < lanes; l++) if (d->state[l] < LOWER) return -1;
  d->bits = in + o;
  d->bit_safe = 8 * ((int64_t)(size - o) - 8);
  d->bit_end = 8 * (int64_t)bytes;
  d->words = in + o + bytes;
  d->end = in + size;
  d->words_safe = d->end - 2;
  return 0;
}

int ald_decoder_close(const ald_decoder *d) {
  if (d->failed || d->words != d->end || d->bit > d->bit_end || d->bit_end - d->bit >= 8) return -1;
  for (int l = 0; l < ALD_LANES; l++)
    if (d->state[l] != LOWER) return -1;
  return 0;
}


// The symbol of the next value; past the end of the stream words are zero.
static inline uint32_t decode_symbol(ald_decoder *d, int cls) {
  const uint32_t x = d->state[d->lane];
  const uint32_t at = x & (ONE - 1), symbol = d->slot[(uint32_t)cls << ALD_PROB_BITS | at];
  uint32_t y = ald_popped(x, at, d->range[(uint32_t)cls * ALD_SYMBOLS + symbol]);
  if (y < LOWER) {
    y <<= 16;
    if (d->words > d->words_safe) d->failed = 1;
    else { y |= ald_load16(d->words); d->words += 2; }
  }
  d->state[d->lane] = y;
  d->lane = (d->lane + 1) & d->lane_mask;
  return symbol;
}
static inline int32_t value_at(const uint8_t *bits, int64_t *bit, uint32_t s) {
  const ald_bucket b = ald_buckets[s];
  const uint64_t raw = ald_load64(bits + (*bit >> 3)) >> (*bit & 7) & ((1ull << b.bits) - 1);
  *bit += b.bits;
  return ald_value(b.first, (uint32_t)raw);
}
// Values whose raw bits may reach the last eight bytes of the stream or go past it: a copy of them ends in zeros.
static void last_values(ald_decoder *d, const uint8_t *sym, size_t n, int32_t *val) {
  uint8_t copy[4 * RUN + 16] = {0};
  const int64_t from = d->bit >> 3, left = d->end - d->bits - from;
  if (left > 0) memcpy(copy, d->bits + from, left < 4 * RUN + 8 ? (size_t)left : 4 * RUN + 8);
  int64_t bit = d->bit & 7;
  for (size_t i = 0; i < n; i++) val[i] = value_at(copy, &bit, sym[i]);
  d->bit = 8 * from + bit;
}

int32_t ald_decode_last(ald_decoder *d, int cls) {
  const uint8_t s = (uint8_t)decode_symbol(d, cls);
  int32_t v;
  last_values(d, &s, 1, &v);
  return v;
}

// Symbols with the states in registers, as long as words are not short; returns how many.
static inline __attribute__((always_inline)) size_t quick_symbols(ald_decoder *d, const uint8_t *cls, size_t n, uint8_t *sym, const uint32_t lanes) {
  const uint8_t *slot = d->slot;
  const uint32_t *range = d->range;
  const uint8_t *p = d->words;
  const int64_t safe = (d->end - p) / 2 - 8;
  int64_t word = 0;
  uint32_t x[ALD_LANES];
  size_t i = 0, rest = 0;
  for (uint32_t l = 0; l < lanes; l++) x[l] = d->state[(d->lane + l) & (lanes - 1)];
#define TAKE(k) do {                                                                                                    \
    const uint32_t c = cls[i + k], s = x[k % lanes], at = s & (ONE - 1), symbol = slot[c << ALD_PROB_BITS | at];        \
    const uint32_t y = ald_popped(s, at, range[c * ALD_SYMBOLS + symbol]), longer = y << 16 | ald_load16(p + 2 * word); \
    word += y < LOWER;                                                                                                  \
    x[k % lanes] = y < LOWER ? longer : y;                                                                              \
    sym[i + k] = (uint8_t)symbol;                                                                                       \
  } while (0)
  for (; i + 8 <= n && word <= safe; i += 8) { TAKE(0); TAKE(1); TAKE(2); TAKE(3); TAKE(4); TAKE(5); TAKE(6); TAKE(7); }
  if (n - i < 8 && word <= safe) {
    rest = n - i;
#define REST(k) if (rest == k) goto done; TAKE(k)
    REST(0); REST(1); REST(2); REST(3); REST(4); REST(5); REST(6);
#undef REST
  }
done:
#undef TAKE
  for (uint32_t l = 0; l < lanes; l++) d->state[(d->lane + l) & (lanes - 1)] = x[l];
  d->lane = (d->lane + (uint32_t)rest) & d->lane_mask;
  d->words = p + 2 * word;
  return i + rest;
}
static void run_symbols(ald_decoder *d, const uint8_t *cls, size_t n, uint8_t *sym) {
  size_t i = 0;
  switch (d->lane_mask) {
    case 0: i = quick_symbols(d, cls, n, sym, 1); break;
    case 1: i = quick_symbols(d, cls, n, sym, 2); break;
    case 3: i = quick_symbols(d, cls, n, sym, 4); break;
    case 7: i = quick_symbols(d, cls, n, sym, 8); break;
  }
  for (; i < n; i++) sym[i] = (uint8_t)decode_symbol(d, cls[i]);
}
static void run_values(ald_decoder *d, const uint8_t *sym, size_t n, int32_t *val) {
  int64_t bit = d->bit;
  for (size_t i = 0; i < n; i++) val[i] = value_at(d->bits, &bit, sym[i]);
  d->bit = bit;
}
#if defined(__x86_64__)
// Eight symbols below 16 at once: a byte each, the signs of those that are not 0 put beside them.
__attribute__((target("avx2,bmi2,popcnt"))) static inline __m256i eight_values(const uint8_t *bits, uint64_t eight, int64_t *bit) {
  const uint64_t coded = (eight + 0x0f * BYTES) >> 4 & BYTES;
  const uint64_t sign = _pdep_u64(ald_load64(bits + (*bit >> 3)) >> (*bit & 7), coded);
  *bit += __builtin_popcountll(coded);
  const uint64_t v = (eight ^ ((sign << 8) - sign)) + sign;
  return _mm256_cvtepi8_epi32(_mm_cvtsi64_si128((int64_t)v));
}
__attribute__((target("avx2,bmi2,popcnt"))) static void run_values_avx2(ald_decoder *d, const uint8_t *sym, size_t n, int32_t *val) {
  int64_t bit = d->bit;
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const uint64_t eight = ald_load64(sym + i);
    if (__builtin_expect((eight & 0xf0 * BYTES) == 0, 1)) _mm256_storeu_si256((__m256i *)(void *)(val + i), eight_values(d->bits, eight, &bit));
    else for (size_t k = i; k < i + 8; k++) val[k] = value_at(d->bits, &bit, sym[k]);
  }
  // The rest with zeros behind it.
  const uint64_t eight = n > i ? ald_load64(sym + i) << 8 * (i + 8 - n) >> 8 * (i + 8 - n) : 0;
  if (__builtin_expect((eight & 0xf0 * BYTES) == 0, 1)) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_maskstore_epi32(val + i, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n - i)), lanes), eight_values(d->bits, eight, &bit));
  } else for (; i < n; i++) val[i] = value_at(d->bits, &bit, sym[i]);
  d->bit = bit;
}
#endif
void ald_decode_run(ald_decoder *d, const uint8_t *cls, size_t n, int32_t *val) {
  uint8_t sym[RUN + 8];
  const int wide = is_wide();
  for (size_t i = 0; i < n; i += RUN) {
    const size_t k = n - i < RUN ? n - i : RUN;
    run_symbols(d, cls + i, k, sym);
    if (d->bit > d->bit_safe - 32 * (int64_t)k) last_values(d, sym, k, val + i);
#if defined(__x86_64__)
    else if (wide) run_values_avx2(d, sym, k, val + i);
#endif
    else run_values(d, sym, k, val + i);
  }
}

double ald_cost(const ald_tables *t, const uint8_t *cls, const int32_t *val, size_t n) {
  double bits = 0;
  for (size_t i = 0; i < n; i++) {
    uint32_t s = bucket(magnitude(val[i]));
    const ald_push *p = t->push + (size_t)cls[i] * ALD_SYMBOLS;
    if (p[s].limit == 0) s = ALD_ESCAPE;
    bits += 32 - log2((double)p[s].limit) + ald_buckets[s].bits;
  }
  return bits;
}

void ald_histogram(const uint8_t *cls, const int32_t *val, size_t n, uint32_t *hist) {
  uint8_t sym[RUN];
  for (size_t i = 0; i < n; i += RUN) {
    const size_t k = n - i < RUN ? n - i : RUN;
    buckets(val + i, k, sym);
    for (size_t j = 0; j < k; j++) hist[(size_t)cls[i + j] * ALD_SYMBOLS + sym[j]]++;
  }
}
