// Which of the compiled instruction-set levels the kernels use. Results never depend on it.
#pragma once

#define ALD_SIMD_BASELINE 0  // what the target guarantees: SSE2, NEON
#define ALD_SIMD_AVX2 1
#define ALD_SIMD_AVX512 2    // F, BW, DQ, VL

// The level in use: the best this processor has, lowered by ALIDADE_SIMD=baseline|avx2|avx512 (read once).
int ald_simd_level(void);
// The best level this processor has.
int ald_simd_supported(void);
// For tests: use `level` (lowered to what is supported) from now on; -1 returns to the default. Returns the level granted.
int ald_simd_force(int level);
