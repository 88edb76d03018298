#pragma STDC FP_CONTRACT OFF
#include "ald_trial.h"
#include "ald_clones.h"
#include "ald_entropy.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LOG_COST(NAME, T, U, SHIFT, BIAS)                                \
  ALD_CLONES uint64_t NAME(const T *c, size_t n, double factor) {        \
    const T k = (T)factor;                                               \
    uint64_t total = 0;                                                  \
    for (size_t i = 0; i < n;) {                                         \
      /* 2^14 terms below 2^18. */                                       \
      const size_t end = n - i < 16384 ? n : i + 16384;                  \
      uint32_t sum = 0;                                                  \
      for (; i < end; i++) {                                             \
        T a = c[i] * k, m = (a < 0 ? -a : a) + 1;                        \
        U bits;                                                          \
        memcpy(&bits, &m, sizeof bits);                                  \
        sum += (uint32_t)(bits >> SHIFT) - (uint32_t)BIAS * 256;         \
      }                                                                  \
      total += sum;                                                      \
    }                                                                    \
    return total;                                                        \
  }

LOG_COST(ald_log_cost_f32, float, uint32_t, 15, 127)
LOG_COST(ald_log_cost_f64, double, uint64_t, 44, 1023)

// Rows padded to a constant width W; the sums of a group are a full matrix, then the right-hand side, then the count.
static inline __attribute__((always_inline)) void fit_rows(const ald_fit_rows *rows, const double *weights, int steep, const int W, double *m) {
  const int n = rows->width;
  const size_t stride = (size_t)(W * (W + 1) + 1);
  double f[16] = {0};
  for (size_t r = 0; r < rows->count; r++) {
    const size_t g = rows->groups[r];
    double expected = 0, total = 0;
    for (int k = 0; k < n; k++) f[k] = rows->features[r * (size_t)n + (size_t)k] * rows->unit;
    if (weights) for (int k = 0; k < n; k++) expected += f[k] * weights[g * (size_t)n + (size_t)k];
    else {
      for (int k = 0; k < n - 1; k++) total += f[k];
      expected = 0.1 + total / (n - 1);
    }
    const double b = rows->scales ? rows->scales[r] : 1, S = b * expected > 1e-4 ? b * expected : 1e-4, soft = S + 0.03;
    const double w = b * b / (steep ? soft * sqrt(soft) : soft);
    const int32_t v = rows->values[r];
    const double magnitude = v < 0 ? -(double)v : (double)v, clip = 8 * S + 4;
    const double y = w * ((magnitude < clip ? magnitude : clip) / b);
    double *at = m + g * stride;
    for (int i = 0; i < n; i++) {
      const double x = w * f[i];
      if (x != 0) for (int j = 0; j < W; j++) at[i * W + j] += x * f[j];
    }
    for (int j = 0; j < W; j++) at[W * W + j] += y * f[j];
    at[W * (W + 1)] += 1;
  }
}

ALD_CLONES static void fit_rows_8(const ald_fit_rows *rows, const double *weights, int steep, double *m) { fit_rows(rows, weights, steep, 8, m); }
ALD_CLONES static void fit_rows_12(const ald_fit_rows *rows, const double *weights, int steep, double *m) { fit_rows(rows, weights, steep, 12, m); }
ALD_CLONES static void fit_rows_16(const ald_fit_rows *rows, const double *weights, int steep, double *m) { fit_rows(rows, weights, steep, 16, m); }

int ald_fit_equations(const ald_fit_rows *rows, const double *weights, int steep, int groups, double *sums) {
  const int n = rows->width, W = n <= 8 ? 8 : n <= 12 ? 12 : 16;
  const size_t stride = (size_t)(W * (W + 1) + 1);
  double *m = calloc((size_t)groups * stride, sizeof *m);
  if (!m) return -1;
  (W == 8 ? fit_rows_8 : W == 12 ? fit_rows_12 : fit_rows_16)(rows, weights, steep, m);
  for (int g = 0; g < groups; g++) {
    const double *at = m + (size_t)g * stride;
    *sums++ += at[W * (W + 1)];
    for (int i = 0; i < n; i++) for (int j = i; j < n; j++) *sums++ += at[i * W + j];
    for (int i = 0; i < n; i++) *sums++ += at[W * W + i];
  }
  free(m);
  return 0;
}

void ald_fit_classes(const ald_fit_rows *rows, const double *weights, uint8_t *cls) {
  const int n = rows->width;
  for (size_t r = 0; r < rows->count; r++) {
    const uint16_t *f = rows->features + r * (size_t)n;
    const double *w = weights + rows->groups[r] * (size_t)n;
    double S = 0;
    for (int k = 0; k < n; k++) S += f[k] * rows->unit * w[k];
    S *= 4096 * (rows->scales ? rows->scales[r] : 1);
    cls[r] = (uint8_t)ald_class(S < 4e9 ? (uint32_t)S : 4000000000u);
  }
}
