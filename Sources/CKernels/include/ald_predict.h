// Prediction of a tile's coefficients from those of one or two earlier steps.
//
//   p = g a + t (a - b),  b absent: p = g a
//
// a is the step before, b the one before that; gain g and trend t are those of the coefficient's bin. Every operation is
// rounded by itself in the type of the coefficients, so every machine computes the same p.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct ald_prediction {
  int32_t n[3];              // extents of the tile
  const uint8_t *bin[3];     // bin of every position along z, y, x
  int32_t bins[3];           // bins of each axis
  const float *gain, *trend; // [bin z][bin y][bin x]
} ald_prediction;

// c -= p, or c += p.
void ald_predict_subtract_f32(const ald_prediction *k, const float *a, const float *b, float *c);
void ald_predict_subtract_f64(const ald_prediction *k, const double *a, const double *b, double *c);
void ald_predict_add_f32(const ald_prediction *k, const float *a, const float *b, float *c);
void ald_predict_add_f64(const ald_prediction *k, const double *a, const double *b, double *c);

// Sums over the tile, ALD_PREDICT_SUMS per bin: c c, c a, a a, c d, a d, d d with d = a - b; the last three 0 without b.
// The order of additions depends on the tile only.
#define ALD_PREDICT_SUMS 6
void ald_predict_sums_f32(const ald_prediction *k, const float *c, const float *a, const float *b, double *sums);
void ald_predict_sums_f64(const ald_prediction *k, const double *c, const double *a, const double *b, double *sums);
