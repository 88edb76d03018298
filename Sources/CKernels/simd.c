#pragma STDC FP_CONTRACT OFF
#include "ald_simd.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_int current = -1;

int ald_simd_supported(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")
      && __builtin_cpu_supports("avx512vl")) return ALD_SIMD_AVX512;
  if (__builtin_cpu_supports("avx2")) return ALD_SIMD_AVX2;
#endif
  return ALD_SIMD_BASELINE;
}

static int preferred(void) {
  int best = ald_simd_supported(), wanted = best;
  const char *e = getenv("ALIDADE_SIMD");
  if (e) {
    if (strcmp(e, "baseline") == 0) wanted = ALD_SIMD_BASELINE;
    else if (strcmp(e, "avx2") == 0) wanted = ALD_SIMD_AVX2;
  }
  return wanted < best ? wanted : best;
}

int ald_simd_level(void) {
  int l = atomic_load_explicit(&current, memory_order_relaxed);
  if (l < 0) {
    l = preferred();
    atomic_store_explicit(&current, l, memory_order_relaxed);
  }
  return l;
}

int ald_simd_force(int level) {
  int best = ald_simd_supported(), l = level < 0 ? preferred() : level < best ? level : best;
  atomic_store_explicit(&current, l, memory_order_relaxed);
  return l;
}
