#pragma STDC FP_CONTRACT OFF
#include "ald_survey.h"
#include "ald_clones.h"
#include <math.h>

#define SURVEY(NAME, T, BIG)                                                   \
  ALD_CLONES void NAME(const T *x, size_t n, ald_survey *out) {                \
    enum { L = 16 };                                                           \
    T lo[L], hi[L];                                                            \
    uint64_t bad = 0;                                                          \
    for (int j = 0; j < L; j++) { lo[j] = (T)INFINITY; hi[j] = -(T)INFINITY; } \
    size_t i = 0;                                                              \
    for (; i + L <= n; i += L) {                                               \
      uint32_t finite = 0;                                                     \
      for (int j = 0; j < L; j++) {                                            \
        T v = x[i + (size_t)j];                                                \
        T a = v < 0 ? -v : v;                                                  \
        int ok = a <= (T)BIG;                                                  \
        finite += (uint32_t)ok;                                                \
        T l = ok ? v : (T)INFINITY, h = ok ? v : -(T)INFINITY;                 \
        lo[j] = l < lo[j] ? l : lo[j];                                         \
        hi[j] = h > hi[j] ? h : hi[j];                                         \
      }                                                                        \
      bad += L - finite;                                                       \
    }                                                                          \
    for (; i < n; i++) {                                                       \
      T v = x[i];                                                              \
      if (!(v <= (T)BIG && v >= -(T)BIG)) { bad++; continue; }                 \
      lo[0] = v < lo[0] ? v : lo[0];                                           \
      hi[0] = v > hi[0] ? v : hi[0];                                           \
    }                                                                          \
    for (int j = 1; j < L; j++) {                                              \
      lo[0] = lo[j] < lo[0] ? lo[j] : lo[0];                                   \
      hi[0] = hi[j] > hi[0] ? hi[j] : hi[0];                                   \
    }                                                                          \
    out->minimum = (double)lo[0];                                              \
    out->maximum = (double)hi[0];                                              \
    out->not_finite = bad;                                                     \
  }

SURVEY(ald_survey_f32, float, 3.402823466e+38)
SURVEY(ald_survey_f64, double, 1.7976931348623157e+308)

#define SQUARED_ERROR(NAME, T)                                             \
  ALD_CLONES double NAME(const T *a, const T *b, const uint8_t *mask, size_t n) { \
    enum { L = 8 };                                                        \
    double sum[L] = {0};                                                   \
    size_t i = 0;                                                          \
    if (mask)                                                              \
      for (; i + L <= n; i += L)                                           \
        for (size_t j = 0; j < L; j++) {                                   \
          double e = mask[i + j] ? (double)a[i + j] - (double)b[i + j] : 0; \
          sum[j] += e * e;                                                 \
        }                                                                  \
    else                                                                   \
      for (; i + L <= n; i += L)                                           \
        for (size_t j = 0; j < L; j++) {                                   \
          double e = (double)a[i + j] - (double)b[i + j];                  \
          sum[j] += e * e;                                                 \
        }                                                                  \
    for (; i < n; i++)                                                     \
      if (!mask || mask[i]) {                                              \
        double e = (double)a[i] - (double)b[i];                            \
        sum[0] += e * e;                                                   \
      }                                                                    \
    for (int j = 1; j < L; j++) sum[0] += sum[j];                          \
    return sum[0];                                                         \
  }

SQUARED_ERROR(ald_squared_error_f32, float)
SQUARED_ERROR(ald_squared_error_f64, double)

#define MOMENTS(NAME, T)                                                                        \
  ALD_CLONES void NAME(const T *x, size_t n, double middle, double *sum, double *squares) {     \
    enum { L = 8 };                                                                             \
    double s[L] = {0}, q[L] = {0};                                                              \
    size_t i = 0;                                                                               \
    for (; i + L <= n; i += L)                                                                  \
      for (size_t j = 0; j < L; j++) {                                                          \
        double v = (double)x[i + j] - middle;                                                   \
        s[j] += v;                                                                              \
        q[j] += v * v;                                                                          \
      }                                                                                         \
    for (; i < n; i++) {                                                                        \
      double v = (double)x[i] - middle;                                                         \
      s[0] += v;                                                                                \
      q[0] += v * v;                                                                            \
    }                                                                                           \
    for (int j = 1; j < L; j++) { s[0] += s[j]; q[0] += q[j]; }                                 \
    *sum = s[0];                                                                                \
    *squares = q[0];                                                                            \
  }

MOMENTS(ald_moments_f32, float)
MOMENTS(ald_moments_f64, double)
