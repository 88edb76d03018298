#pragma STDC FP_CONTRACT OFF
#include "ald_patches.h"
#include "ald_simd.h"

// Rows whose outputs are made together, and rows that stay in the second-level cache beside a group of weights.
enum { ROWS = 6, CHUNK = 48 };
// An input that is not 0.
typedef struct term { uint32_t input; float value; } term;

#define INLINE static inline __attribute__((always_inline))

#define GROUPS 3
#define NAME(x) x##_baseline
#include "dense.inc"
#undef NAME
#undef GROUPS

#if defined(__clang__) && defined(__x86_64__)
#define GROUPS 6
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define NAME(x) x##_avx2
#include "dense.inc"
#undef NAME
#pragma clang attribute pop
#undef GROUPS
#define GROUPS 12
#pragma clang attribute push(__attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#define NAME(x) x##_avx512
#include "dense.inc"
#undef NAME
#pragma clang attribute pop
#undef GROUPS
#endif

void ald_dense_apply(const ald_dense *k, const float *in, size_t rows, float *out) {
#if defined(__clang__) && defined(__x86_64__)
  switch (ald_simd_level()) {
    case ALD_SIMD_AVX512: dense_avx512(k, in, rows, out); return;
    case ALD_SIMD_AVX2: dense_avx2(k, in, rows, out); return;
  }
#endif
  dense_baseline(k, in, rows, out);
}

void ald_dense_apply_sparse(const ald_dense *k, const float *in, size_t rows, float *out) {
  term terms[2 * ALD_DENSE_SPARSE];
  size_t first[CHUNK + 1] = {0};
  for (size_t p = 0; p < rows; ) {
    size_t n = 0, taken = 0;
    for (; p + taken < rows && taken < CHUNK && n + (size_t)k->inputs <= 2 * ALD_DENSE_SPARSE; taken++) {
      const float *row = in + (p + taken) * k->stride;
      for (int32_t i = 0; i < k->inputs; i++) {
        terms[n] = (term){(uint32_t)i, row[i]};
        n += row[i] != 0;
      }
      first[taken + 1] = n;
    }
    const float *from = in + p * k->stride;
    float *to = out + p * (size_t)k->outputs;
    p += taken;
    // Few zeros: several rows at once read the weights less often.
    if (4 * n > 3 * taken * (size_t)k->inputs) { ald_dense_apply(k, from, taken, to); continue; }
#if defined(__clang__) && defined(__x86_64__)
    switch (ald_simd_level()) {
      case ALD_SIMD_AVX512: sparse_avx512(k, terms, first, taken, to); continue;
      case ALD_SIMD_AVX2: sparse_avx2(k, terms, first, taken, to); continue;
    }
#endif
    sparse_baseline(k, terms, first, taken, to);
  }
}
