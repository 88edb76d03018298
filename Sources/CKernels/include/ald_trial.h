// What the encoder asks of a sample before it codes: a proxy for bits, and the sums of the weight fit.
//
// Nothing here is needed for decoding, but it decides what is written: integers, or sums in a fixed order, so that a
// sample gives the same answer on any processor.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Sum of log2(1 + factor |c|) in 1/256, the logarithm linear between powers of two.
uint64_t ald_log_cost_f32(const float *c, size_t n, double factor);
uint64_t ald_log_cost_f64(const double *c, size_t n, double factor);

// Context features of coded values, `width` of them per row, the last one constant.
typedef struct ald_fit_rows {
  const uint16_t *features;   // in `unit`
  const int32_t *values;
  const uint8_t *groups;
  const double *scales;       // what features are normalised by, per row; NULL: 1
  size_t count;
  int width;
  double unit;
} ald_fit_rows;

// Adds the normal equations of the rows: per group 1 + width (width + 1) / 2 + width sums, see NormalEquations.
// weights: [group][width] of the round before, NULL in the first. Rows are weighted by b^2 / (S + 0.03), steep: by its
// power 3/2 in S + 0.03. Groups below `groups`, at most 16 features. 0, or -1 without memory.
int ald_fit_equations(const ald_fit_rows *rows, const double *weights, int steep, int groups, double *sums);
// Class of each row under weights.
void ald_fit_classes(const ald_fit_rows *rows, const double *weights, uint8_t *cls);
