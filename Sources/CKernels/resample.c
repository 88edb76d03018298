#pragma STDC FP_CONTRACT OFF
#include "ald_resample.h"
#include "ald_clones.h"
#include "ald_fft.h"
#include <stdlib.h>

enum { MOST = 64 };   // taps

static int64_t divisor(int64_t a, int64_t b) {
  while (b) { const int64_t t = a % b; a = b; b = t; }
  return a;
}

// a x = b for a = l l^T, row by row.
static void solve(const double (*l)[MOST], int n, const double *b, double *x) {
  for (int i = 0; i < n; i++) {
    double s = b[i];
    for (int j = 0; j < i; j++) s -= l[i][j] * x[j];
    x[i] = s / l[i][i];
  }
  for (int i = n - 1; i >= 0; i--) {
    double s = x[i];
    for (int j = i + 1; j < n; j++) s -= l[j][i] * x[j];
    x[i] = s / l[i][i];
  }
}

int ald_resample_weights(int64_t fine, int64_t coarse, int half, const double *power, int count, double noise, double *weights, double *error, double *gain) {
  const int taps = 2 * half;
  const int64_t common = divisor(fine, coarse), phases = fine / common, turn = phases * coarse;   // fractions of a period
  if (taps > MOST || turn > 1 << 24) return 1;
  // Correlation of the signal at distances of d / turn periods.
  double *cosine = malloc(sizeof(double) * 2 * (size_t)turn), *correlation = cosine + turn;
  if (!cosine) return -1;
  for (int64_t j = 0; j < turn; j++) {
    double s;
    ald_fft_root(j, turn, cosine + j, &s);
  }
  // Distances up to taps coarse cells are asked for, on either side alike.
  const int64_t farthest = (int64_t)taps * phases < turn - 1 ? (int64_t)taps * phases : turn - 1;
  for (int64_t d = 0; d <= farthest; d++) {
    double s = 0;
    for (int k = 0; k < count; k++) s += power[k] * cosine[(uint64_t)k * (uint64_t)d % (uint64_t)turn];
    correlation[d] = s;
  }
#define AT(d) correlation[((d) < 0 ? -(d) : (d)) % turn]
  double l[MOST][MOST];
  int bad = 0;
  for (int i = 0; i < taps; i++)
    for (int j = 0; j <= i; j++) {
      double s = AT((int64_t)(i - j) * phases) + (i == j ? noise : 0);
      for (int k = 0; k < j; k++) s -= l[i][k] * l[j][k];
      if (i == j) {
        bad |= !(s > 0);
        l[i][i] = __builtin_sqrt(s > 0 ? s : 1);
      } else l[i][j] = s / l[j][j];
    }
  double missed = 0, sum = 0;
  for (int64_t p = 0; p < phases && !bad; p++) {
    const int64_t beyond = p * (coarse / common) % phases;   // the fine cell lies so many of `phases` parts behind a coarse one
    double b[MOST], *w = weights + p * taps;
    for (int m = 0; m < taps; m++) b[m] = AT(beyond - (int64_t)(m - half + 1) * phases);
    solve((const double (*)[MOST])l, taps, b, w);
    double e = correlation[0];
    for (int i = 0; i < taps; i++) {
      double s = 0;
      for (int j = 0; j < taps; j++) s += AT((int64_t)(i - j) * phases) * w[j];
      e += w[i] * (s - 2 * b[i]);
      sum += w[i] * w[i];
    }
    missed += e > 0 ? e : 0;
  }
  *error = missed / (double)phases;
  *gain = sum / (double)phases;
  free(cosine);
  return bad;
}

#define REAL float
#define NAME(x) x##_f32
#include "resample.inc"
#undef REAL
#undef NAME
#define REAL double
#define NAME(x) x##_f64
#include "resample.inc"
