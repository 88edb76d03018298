#pragma STDC FP_CONTRACT OFF
#include "ald_patches.h"
#include "ald_clones.h"
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

// Cells of a row at a time, most cells of a patch along an axis; latents whose sums stay in 32 bits.
enum { LINE = 256, LONGEST = 64, BATCH = 1024 };
INLINE int64_t inside(int64_t i, int64_t n) { return i < n ? i : n - 1; }

#define REAL float
#define NAME(x) x##_f32
#include "patches.inc"
#undef REAL
#undef NAME
#define REAL double
#define NAME(x) x##_f64
#include "patches.inc"

ALD_WIDE_CLONES
void ald_latents_over(const float *rows, size_t count, size_t stride, const float *steps, size_t latents, float *out) {
  for (size_t p = 0; p < count; p++, rows += stride, out += latents)
    for (size_t i = 0; i < latents; i++) out[i] = rows[i] / steps[i];
}

ALD_WIDE_CLONES
void ald_latents_values(const int32_t *q, size_t count, size_t latents, const int32_t less[4], const float *steps, size_t stride, float *rows) {
  const double one = less[1], two = less[2], more = less[3];
  for (size_t p = 0; p < count; p++, q += latents, rows += stride) {
    for (size_t i = 0; i < latents; i++) {
      // In binary64 the integer is exact.
      const double n = q[i], a = fabs(n);
      const float m = (float)(256 * a - (a == 1 ? one : a == 2 ? two : more)) * 0x1p-8f, v = (n < 0 ? -m : m) * steps[i];
      rows[i] = n == 0 ? 0 : v;
    }
    for (size_t i = latents; i < stride; i++) rows[i] = 0;
  }
}

// --- classes by context ---

// Latents looked at before one, and on either side of it in the patches before along each axis; weight of the expectation.
enum { BEFORE = 64, AROUND = 4, PRIOR = 2048 };
// What latents are compared with, but for those before in the patch itself.
typedef struct prospect {
  uint32_t *weight;       // 2^24 / max(expected, 4096)
  uint64_t *inverse[4];   // by the number of patches beside: 2^53 / sum of what is expected, rounded up; sums below 2^20
  uint32_t *seen;         // of the patch at hand
} prospect;

static prospect prospect_of(const ald_contexts *k, size_t count) {
  const size_t n = k->latents;
  uint64_t *room = (uint64_t *)(void *)(k->sums + (count * (n + 1) + 1) / 2 * 2);
  prospect c = {.inverse = {room, room + n, room + 2 * n, room + 3 * n}};
  c.weight = (uint32_t *)(void *)(room + 4 * n);
  c.seen = c.weight + n;
  uint32_t *known = c.seen;   // sums of min(expected, 4096) before a latent
  known[0] = 0;
  for (size_t i = 0; i < n; i++) {
    const uint32_t e = k->expected[i];
    c.weight[i] = (1u << 24) / (e > 4096 ? e : 4096);
    known[i + 1] = known[i] + (e < 4096 ? e : 4096);
  }
  for (size_t i = 0; i < n; i++) {
    const size_t first = i > BEFORE ? i - BEFORE : 0, lower = i > AROUND ? i - AROUND : 0, upper = i + AROUND + 1 < n ? i + AROUND + 1 : n;
    uint64_t sum = PRIOR + (known[i] - known[first]);
    for (int b = 0; b < 4; b++, sum += known[upper] - known[lower]) c.inverse[b][i] = ((1ull << 53) + sum - 1) / sum;
  }
  return c;
}

// Those of patch p: where its sums go; `inverse` becomes the one for it.
static uint32_t *look(const ald_contexts *k, const prospect *c, size_t p, const uint64_t **inverse) {
  const size_t n = k->latents, x = (size_t)k->patches[2], y = (size_t)k->patches[1];
  uint32_t *own = k->sums + p * (n + 1), *seen = c->seen;
  const uint32_t *beside[3];
  int count = 0;
  if (p % x > 0) beside[count++] = own - (n + 1);
  if (p / x % y > 0) beside[count++] = own - x * (n + 1);
  if (p / (x * y) > 0) beside[count++] = own - y * x * (n + 1);
  own[0] = 0;
  for (size_t i = 0; i < n; i++) seen[i] = PRIOR;
  for (int b = 0; b < count; b++) {
    const uint32_t *s = beside[b];
    size_t i = 0;
    for (; i < n && i < AROUND; i++) seen[i] += s[i + AROUND + 1 < n ? i + AROUND + 1 : n];
    for (; i + AROUND + 1 < n; i++) seen[i] += s[i + AROUND + 1] - s[i - AROUND];
    for (; i < n; i++) seen[i] += s[n] - s[i - AROUND];
  }
  *inverse = c->inverse[count];
  return own;
}
// The quotient seen 2^8 / sum is exact: its numerator is below 2^33.
INLINE int class_of(uint32_t expected, uint32_t seen, uint64_t inverse) {
  const uint64_t ratio = (uint64_t)((unsigned __int128)((uint64_t)seen << 8) * inverse >> 53), r = ratio < 1 ? 1 : ratio > 1 << 20 ? 1 << 20 : ratio, s = expected * r >> 8;
  return ald_class(s < 1 ? 1 : s > 1u << 31 ? 1u << 31 : (uint32_t)s);
}
INLINE uint32_t share(int32_t q, uint32_t weight) {
  const uint64_t s = (uint64_t)(q < 0 ? 0u - (uint32_t)q : (uint32_t)q) * weight;
  return s < 1 << 18 ? (uint32_t)s : 1 << 18;
}

void ald_contexts_classes(const ald_contexts *k, const int32_t *q, uint8_t *classes) {
  const size_t n = k->latents, count = (size_t)(k->patches[0] * k->patches[1] * k->patches[2]);
  const prospect c = prospect_of(k, count);
  for (size_t p = 0; p < count; p++, q += n, classes += n) {
    const uint64_t *inverse;
    uint32_t *own = look(k, &c, p, &inverse);
    for (size_t i = 0; i < n; i++) own[i + 1] = own[i] + share(q[i], c.weight[i]);
    for (size_t i = 0; i < n; i++)
      classes[i] = (uint8_t)class_of(k->expected[i], c.seen[i] + (own[i] - own[i > BEFORE ? i - BEFORE : 0]), inverse[i]);
  }
}

void ald_contexts_decode(const ald_contexts *k, ald_decoder *decoder, int32_t *q) {
  const size_t n = k->latents, count = (size_t)(k->patches[0] * k->patches[1] * k->patches[2]);
  ald_decoder d = *decoder;
  const prospect c = prospect_of(k, count);
  for (size_t p = 0; p < count; p++, q += n) {
    const uint64_t *inverse;
    uint32_t *own = look(k, &c, p, &inverse);
    for (size_t i = 0; i < n; i++) {
      q[i] = ald_decode(&d, class_of(k->expected[i], c.seen[i] + (own[i] - own[i > BEFORE ? i - BEFORE : 0]), inverse[i]));
      own[i + 1] = own[i] + share(q[i], c.weight[i]);
    }
  }
  *decoder = d;
}
