#pragma STDC FP_CONTRACT OFF
#include "ald_sparse.h"
#include "ald_clones.h"
#include <math.h>

// a[k] += f b[k]
static inline __attribute__((always_inline)) void add(double *restrict a, const double *restrict b, double f, size_t n) {
  for (size_t k = 0; k < n; k++) a[k] += f * b[k];
}

ALD_WIDE_CLONES
void ald_sparse_gram(const double *s, size_t rows, size_t count, double *gram) {
  enum { ROWS = 8 };
  for (size_t i = 0; i < count * count; i++) gram[i] = 0;
  for (size_t j = 0; j < count; j += ROWS)
    for (size_t r = 0; r < rows; r++)
      for (size_t i = j; i < count && i < j + ROWS; i++) {
        const double f = s[r * count + i];
        if (f != 0) add(gram + i * count, s + r * count, f, count);
      }
}

ALD_WIDE_CLONES
void ald_sparse_correlate(const double *s, size_t rows, size_t count, const double *u, double *out) {
  for (size_t k = 0; k < count; k++) out[k] = 0;
  for (size_t r = 0; r < rows; r++) add(out, s + r * count, u[r], count);
}

ALD_WIDE_CLONES
int32_t ald_sparse_code(const double *gram, size_t count, size_t group, const double *threshold, double *c, double *z, int32_t sweeps, double tolerance) {
  double next[ALD_SPARSE_GROUP];
  for (int32_t done = 0; done < sweeps; ) {
    double moved = 0, largest = 0;
    for (size_t at = 0; at < count; at += group) {
      double bound = 0, length = 0;
      for (size_t i = 0; i < group; i++) {
        double sum = 0;
        for (size_t k = 0; k < group; k++) sum += fabs(gram[(at + i) * count + at + k]);
        if (sum > bound) bound = sum;
      }
      if (!(bound > 0)) continue;
      for (size_t i = 0; i < group; i++) {
        next[i] = z[at + i] + c[at + i] / bound;
        length += next[i] * next[i];
      }
      length = group == 1 ? fabs(next[0]) : sqrt(length);
      const double less = threshold[at] / bound;
      for (size_t i = 0; i < group; i++) {
        if (!(length > less)) next[i] = 0;
        // A difference where it can be: exact where it is known.
        else if (group == 1) next[i] = next[i] > 0 ? next[i] - less : next[i] + less;
        else next[i] = next[i] * (1 - less / length);
        const double d = next[i] - z[at + i];
        if (fabs(next[i]) > largest) largest = fabs(next[i]);
        if (fabs(d) > moved) moved = fabs(d);
      }
      for (size_t i = 0; i < group; i++) {
        const double d = next[i] - z[at + i];
        if (d == 0) continue;
        z[at + i] = next[i];
        add(c, gram + (at + i) * count, -d, count);
      }
    }
    done++;
    if (moved <= tolerance * largest) return done;
  }
  return sweeps;
}
