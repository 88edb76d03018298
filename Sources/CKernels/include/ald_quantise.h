// Uniform quantisation with reconstruction points of its own for magnitudes 1, 2 and above.
//
//   q = sign(c) floor(|c| / step + 1/2 - dead_zone),   c' = sign(q) (|q| - shift[min(|q|, 3) - 1]) step
//
// Each value by itself, so vectorisation changes no bits.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct ald_quantiser {
  double step, inverse;   // inverse = 1 / step, rounded once by the encoder
  double dead_zone;       // 0 ... 1/2; encoder only
  double shift[3];        // for |q| = 1, 2, >= 3
} ald_quantiser;

// Order of the sums filled by ald_quantise_error_*: sum of (|c|/step - |q|)^2, then count and sum of |c|/step - |q|
// for |q| = 1, 2, >= 3, then the largest |q|.
#define ALD_QUANTISE_SUMS 8

void ald_quantise_f32(const float *c, size_t n, const ald_quantiser *k, int32_t *q);
void ald_quantise_f64(const double *c, size_t n, const ald_quantiser *k, int32_t *q);
void ald_dequantise_f32(const int32_t *q, size_t n, const ald_quantiser *k, float *c);
void ald_dequantise_f64(const int32_t *q, size_t n, const ald_quantiser *k, double *c);
void ald_quantise_error_f32(const float *c, size_t n, const ald_quantiser *k, double *sums);
void ald_quantise_error_f64(const double *c, size_t n, const ald_quantiser *k, double *sums);
