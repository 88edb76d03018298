#pragma STDC FP_CONTRACT OFF
#include "ald_clones.h"
#include "ald_entropy.h"
#include <math.h>
#include <string.h>

// Stream: varint(number of 16-bit words << 1 | four lanes?), states (4 bytes each), words, raw bits.
// Few words use one lane only: three states less to flush.
enum { LOWER = 1 << 16, FEW_WORDS = 160 };
#define INLINE inline __attribute__((always_inline))

int ald_tables_finish(ald_tables *t) {
  for (int c = 0; c < ALD_CLASSES; c++) {
    uint32_t sum = 0;
    for (int s = 0; s < ALD_SYMBOLS; s++) {
      if (sum > 1u << ALD_PROB_BITS) return -1;
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

// What coding a symbol takes; x / f = (x * reciprocal) >> 64 for every state x, less 1 where f = 1, which `add` makes good.
typedef struct coded_symbol { uint64_t reciprocal; uint32_t add; uint16_t f, gap; } coded_symbol;

enum { PREPARED = 32, FEW_VALUES = 1 << 12 };

static INLINE coded_symbol prepare(uint32_t f, uint32_t cum) {
  const uint32_t one = 1u << ALD_PROB_BITS;
  if (f < 2) return (coded_symbol){~0ull, cum + one - 1, (uint16_t)f, (uint16_t)(one - 1)};
  return (coded_symbol){~0ull / f + 1, cum, (uint16_t)f, (uint16_t)(one - f)};
}

// One step backwards: x f -> (x / f) 2^15 + x mod f + cum, after a word has left where it would overflow.
#define CODE(x, s)                                                                   \
  do {                                                                               \
    const uint32_t full = ((x) >> 17) >= (s).f;                                      \
    p[-1] = (uint16_t)(x);                                                           \
    p -= full;                                                                       \
    (x) >>= full * 16;                                                               \
    const uint32_t q = (uint32_t)(((unsigned __int128)(x) * (s).reciprocal) >> 64);  \
    (x) += (s).add + q * (s).gap;                                                    \
  } while (0)

// Codes symbols backwards into the end of buffer, which has room for one word more than it takes; returns their number.
static INLINE size_t encode_words(const ald_tables *t, const coded_symbol *prepared, const uint8_t *cls, const uint8_t *sym, size_t n,
                           uint32_t mask, uint32_t state[4], uint16_t *end) {
  uint16_t *p = end;
  for (int l = 0; l < 4; l++) state[l] = LOWER;
  for (size_t i = n; i-- > 0;) {
    const uint32_t c = cls[i], s = sym[i];
    const coded_symbol k = prepared && s < PREPARED ? prepared[c * PREPARED + s] : prepare(t->freq[c][s], t->cum[c][s]);
    uint32_t x = state[i & mask];
    CODE(x, k);
    state[i & mask] = x;
  }
  return (size_t)(end - p);
}

// The same for four lanes, and all symbols prepared.
static INLINE size_t encode_four(const coded_symbol *prepared, const uint8_t *cls, const uint8_t *sym, size_t n, uint32_t state[4],
                          uint16_t *end) {
  uint16_t *p = end;
  uint32_t x[4] = {LOWER, LOWER, LOWER, LOWER};
  size_t i = n;
  for (; i & 3; i--) CODE(x[(i - 1) & 3], prepared[(size_t)cls[i - 1] * PREPARED + sym[i - 1]]);
  uint32_t x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
  for (; i > 0; i -= 4) {
    CODE(x3, prepared[(size_t)cls[i - 1] * PREPARED + sym[i - 1]]);
    CODE(x2, prepared[(size_t)cls[i - 2] * PREPARED + sym[i - 2]]);
    CODE(x1, prepared[(size_t)cls[i - 3] * PREPARED + sym[i - 3]]);
    CODE(x0, prepared[(size_t)cls[i - 4] * PREPARED + sym[i - 4]]);
  }
  state[0] = x0; state[1] = x1; state[2] = x2; state[3] = x3;
  return (size_t)(end - p);
}

// Little-endian.
static inline void put64(uint8_t *p, uint64_t v) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  v = __builtin_bswap64(v);
#endif
  memcpy(p, &v, 8);
}

// Raw bits on their way out: bits below `count` (at most 7 after a flush) wait in `buffer`.
typedef struct raw_bits { uint64_t buffer; uint32_t count; uint8_t *next; } raw_bits;

static INLINE void flush(raw_bits *b) {
  put64(b->next, b->buffer);
  b->next += b->count >> 3;
  b->buffer >>= b->count & ~7u;
  b->count &= 7;
}

ALD_CLONES size_t ald_encode(const ald_tables *t, const uint8_t *cls, const int32_t *val, size_t n, uint8_t *scratch, uint8_t *out,
                             size_t cap) {
  if (cap < ald_encode_bound(n)) return 0;
  uint8_t *sym = scratch;
  // Magnitudes below this are their own symbol and need no escape.
  uint8_t plain[ALD_CLASSES];
  for (int c = 0; c < ALD_CLASSES; c++) {
    int s = 0;
    while (s < 16 && t->freq[c][s]) s++;
    plain[c] = (uint8_t)s;
  }
  // Raw bits go to the far end of the output buffer's first part and are moved behind the words later.
  uint8_t *bits = out + n * 2 + 48;
  raw_bits b = {0, 0, bits};
  uint32_t largest = 15, top = 0;
  enum { BLOCK = 32 };
  for (size_t i = 0; i < n;) {
    const size_t last = n - i < BLOCK ? n : i + BLOCK;
    if (last - i == BLOCK) {
      // The common case: sign bits only.
      uint32_t other = 0, mags[BLOCK], signs[BLOCK], highest = 0;
      for (int k = 0; k < BLOCK; k++) {
        const int32_t v = val[i + (size_t)k];
        const uint32_t m = v < 0 ? 0u - (uint32_t)v : (uint32_t)v, c = cls[i + (size_t)k];
        mags[k] = m; signs[k] = (uint32_t)v >> 31;
        highest = c > highest ? c : highest;
      }
      for (int k = 0; k < BLOCK; k++) other |= mags[k] >= plain[cls[i + (size_t)k]];
      top = highest > top ? highest : top;
      if (!other) {
        for (int k = 0; k < BLOCK; k++) {
          sym[i + (size_t)k] = (uint8_t)mags[k];
          b.buffer |= (uint64_t)signs[k] << b.count;
          b.count += mags[k] != 0;
        }
        flush(&b);
        i = last;
        continue;
      }
    }
    for (; i < last; i++) {
      const int32_t v = val[i];
      const uint32_t m = v < 0 ? 0u - (uint32_t)v : (uint32_t)v, c = cls[i];
      if (m >> 30) return 0;
      int raw;
      uint32_t s = (uint32_t)ald_bucket(m, &raw);
      if (t->freq[c][s] == 0) { s = ALD_ESCAPE; raw = 31; }
      sym[i] = (uint8_t)s;
      largest = s > largest ? s : largest;
      top = c > top ? c : top;
      b.buffer |= ((m & (((uint64_t)1 << raw) - 1)) | (uint64_t)(v < 0) << raw) << b.count;
      b.count += s ? (uint32_t)raw + 1 : 0;
      flush(&b);
    }
  }
  if (b.count > 0) *b.next++ = (uint8_t)b.buffer;
  size_t bit_bytes = (size_t)(b.next - bits);
  uint16_t *end = (uint16_t *)(void *)(scratch + ((n + 3) & ~(size_t)1)) + n;
  uint32_t state[4];
  int lanes = 4;
  size_t words;
  if (n >= FEW_VALUES) {
    coded_symbol prepared[ALD_CLASSES * PREPARED];
    const uint32_t used = largest < PREPARED ? largest + 1 : PREPARED;
    for (uint32_t c = 0; c <= top; c++)
      for (uint32_t s = 0; s < used; s++) prepared[c * PREPARED + s] = prepare(t->freq[c][s], t->cum[c][s]);
    words = largest < PREPARED ? encode_four(prepared, cls, sym, n, state, end) : encode_words(t, prepared, cls, sym, n, 3, state, end);
  } else words = encode_words(t, 0, cls, sym, n, 3, state, end);
  if (words < FEW_WORDS) { lanes = 1; words = encode_words(t, 0, cls, sym, n, 0, state, end); }
  size_t o = put_varint(out, (uint64_t)words << 1 | (lanes == 4));
  for (int l = 0; l < lanes; l++)
    for (int k = 0; k < 4; k++) out[o++] = (uint8_t)(state[l] >> (8 * k));
  const uint16_t *w = end - words;
  for (size_t i = 0; i < words; i++) { out[o + 2 * i] = (uint8_t)w[i]; out[o + 2 * i + 1] = (uint8_t)(w[i] >> 8); }
  o += 2 * words;
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
