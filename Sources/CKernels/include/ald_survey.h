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
