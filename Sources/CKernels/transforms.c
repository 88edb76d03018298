#pragma STDC FP_CONTRACT OFF
#include "ald_transforms.h"
#include "ald_memory.h"
#include "ald_simd.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

// Constants, rounded once to each type.
#define REAL float
#define TABLE(name) JOIN(name, f32)
#include "transforms_tables.inc"
#undef REAL
#undef TABLE
#define REAL double
#define TABLE(name) JOIN(name, f64)
#include "transforms_tables.inc"
#undef REAL
#undef TABLE

static int64_t floor_even(int64_t i) { return i - (i & 1); }
// ceil(i / 2^l), also of negative i
static int64_t ceil_shift(int64_t i, int l) { return -((-i) >> l); }

// What one level and one element type provide.
typedef struct kernels {
  void (*segments)(const ald_pieces *, const ald_view *, const ald_segment *const[3], const int[3], const int64_t[3],
                   const int64_t[3]);
  void (*analyse)(const ald_view *, const ald_view *, const int64_t[3], const int[3], const int64_t[3], const int64_t[3]);
  void (*synthesise)(const ald_view *, const ald_view *, const int64_t[3], const int[3], const int64_t[3],
                     const int64_t[3]);
} kernels;

// The half-open lattice range one level reads along one axis, and where its values come from.
typedef struct range { int64_t lo, hi; } range;

// Index of the whole-sample symmetric extension of 0 ..< n, n >= 2.
static int64_t reflect(int64_t i, int64_t n) {
  int64_t p = 2 * (n - 1);
  i %= p;
  if (i < 0) i += p;
  return i < n ? i : p - i;
}
// Where lattice value i of a line is found in a store that holds `have`. Positions that are neither stored nor mirrored
// are only read for results that nobody keeps: they give any stored position.
static int64_t locate(int64_t i, range have, int64_t n, int periodic) {
  if (!periodic && (i < 0 || i >= n)) i = reflect(i, n);
  return (i < have.lo ? have.lo : i >= have.hi ? have.hi - 1 : i) - have.lo;
}

#define SEGMENT_MAXIMUM 23

// Cells i, i + 1, ... of an axis, at most n: how many lie in one piece, the number of that piece, and where in it each lies.
static int64_t place(const ald_pieces *p, int axis, int64_t i, int64_t n, int64_t *piece, int64_t *cell) {
  if (p->wrap[axis]) {
    i %= p->wrap[axis];
    if (i < 0) i += p->wrap[axis];
  }
  const int64_t stride = axis == 0 ? p->count[1] * p->count[2] : axis == 1 ? p->count[2] : 1;
  int64_t k = 0;
  const ald_view *v = p->views;
  while (i >= v->lower[axis] + v->shape[axis]) { v += stride; k++; }
  int64_t left = v->lower[axis] + v->shape[axis] - i;
  *piece = k; *cell = i - v->lower[axis];
  return n < left ? n : left;
}

// The same for every cell of a segment.
static void places(const ald_pieces *p, int axis, const ald_segment *s, int64_t *piece, int64_t *cell) {
  for (int64_t i = 0; i < s->length; ) {
    int64_t run = place(p, axis, s->start + i, s->length - i, piece + i, cell + i);
    for (int64_t k = 1; k < run; k++) { piece[i + k] = piece[i]; cell[i + k] = cell[i] + k; }
    i += run;
  }
}

// Half-open ranges of one level of the wavelet, per axis.
typedef struct span { range in[3], out[3], core[3], next[3]; int active[3]; } span;

#define BYTES 16
#define LEVEL base
#include "transforms_level.inc"
#undef LEVEL
#undef BYTES

#if defined(__x86_64__) && defined(__clang__)
#define BYTES 32
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define LEVEL avx2
#include "transforms_level.inc"
#undef LEVEL
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#undef BYTES
#define BYTES 64
#define LEVEL avx512wide
#include "transforms_wide.inc"
#undef LEVEL
#undef BYTES
#define BYTES 32
#define LEVEL avx512
#define WIDE avx512wide
#include "transforms_level.inc"
#undef WIDE
#undef LEVEL
#pragma clang attribute pop
#undef BYTES
#endif

static const kernels *chosen(int element_size) {
#if defined(__x86_64__) && defined(__clang__)
  switch (ald_simd_level()) {
    case ALD_SIMD_AVX512: return element_size == 4 ? &kernels_f32_avx512 : &kernels_f64_avx512;
    case ALD_SIMD_AVX2: return element_size == 4 ? &kernels_f32_avx2 : &kernels_f64_avx2;
    default: break;
  }
#endif
  return element_size == 4 ? &kernels_f32_base : &kernels_f64_base;
}

void ald_segments_apply(int element_size, const ald_pieces *source, const ald_view *target,
                        const ald_segment *const segments[3], const int count[3], const int64_t lower[3],
                        const int64_t upper[3]) {
  chosen(element_size)->segments(source, target, segments, count, lower, upper);
}
void ald_wavelet_analyse(int element_size, const ald_view *source, const ald_view *target, const int64_t extent[3],
                         const int periodic[3], const int64_t lower[3], const int64_t upper[3]) {
  chosen(element_size)->analyse(source, target, extent, periodic, lower, upper);
}
void ald_wavelet_synthesise(int element_size, const ald_view *source, const ald_view *target, const int64_t extent[3],
                            const int periodic[3], const int64_t lower[3], const int64_t upper[3]) {
  chosen(element_size)->synthesise(source, target, extent, periodic, lower, upper);
}
