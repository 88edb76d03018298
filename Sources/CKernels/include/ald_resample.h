// Values of a periodic signal of few waves between the cells of a coarser grid, from the cells around: weights, and sums with them.
//
// Fixed order of operations, no libm, no contraction: the same bits everywhere.
#pragma once
#include <stdint.h>

// Weights of `2 half` coarse cells for every phase of a fine cell: fine cell i lies at i coarse / fine, has phase i mod P,
// P = fine / gcd(fine, coarse), and its weights are those of the cells floor(i coarse / fine) - half + 1 and on; row p of `weights`.
//
// Least squares over signals whose waves of index k (k and -k together) have the mean square power[k], 0 <= k < count, with white noise of
// mean square `noise` on the coarse cells. Averages over the phases: `error`, the mean square error without noise; `gain`, the sum of squared weights.
// Returns 0; 1: no such weights; -1: out of memory.
int ald_resample_weights(int64_t fine, int64_t coarse, int half, const double *power, int count, double noise, double *weights, double *error, double *gain);

// out[i] = sum_m weights[phase[i] taps + m] in[start[i] + m] for each of `rows` rows; taps a multiple of 8.
void ald_resample_rows_f32(const float *in, int64_t in_row, float *out, int64_t out_row, int64_t rows, int64_t count, const int32_t *start,
                           const int32_t *phase, const float *weights, int taps);
void ald_resample_rows_f64(const double *in, int64_t in_row, double *out, int64_t out_row, int64_t rows, int64_t count, const int32_t *start,
                           const int32_t *phase, const double *weights, int taps);
// out[i] = sum_m weights[m] in[m stride + i], terms in their order.
void ald_resample_lines_f32(const float *in, int64_t stride, float *out, int64_t count, const float *weights, int taps);
void ald_resample_lines_f64(const double *in, int64_t stride, double *out, int64_t count, const double *weights, int taps);
