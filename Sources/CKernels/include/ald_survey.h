// One look at an array: range of its finite values and how many are not finite.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct ald_survey {
  double minimum, maximum;   // of the finite values; minimum > maximum when there is none
  uint64_t not_finite;
} ald_survey;

void ald_survey_f32(const float *x, size_t n, ald_survey *out);
void ald_survey_f64(const double *x, size_t n, ald_survey *out);

// Sum of (a - b)^2 over cells whose mask is not zero (mask may be NULL), in a fixed order.
double ald_squared_error_f32(const float *a, const float *b, const uint8_t *mask, size_t n);
double ald_squared_error_f64(const double *a, const double *b, const uint8_t *mask, size_t n);

// Sums of x - middle and (x - middle)^2, in a fixed order.
void ald_moments_f32(const float *x, size_t n, double middle, double *sum, double *squares);
void ald_moments_f64(const double *x, size_t n, double middle, double *sum, double *squares);
