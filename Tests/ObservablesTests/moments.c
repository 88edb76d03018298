/* An example: the sums of u^2 and of u(i) u(i + 1 along x) over all components and cells. */
#include "alidade_observable.h"
#include <stddef.h>

typedef void (*visit)(const double *u, size_t i, size_t next, const double *other, double *out);

static void each(const alidade_block *b, const double *u, const double *other, double *out, visit f) {
  int64_t n[3], y, z, x;
  for (int a = 0; a < 3; a++) n[a] = b->array_upper[a] - b->array_lower[a];
  for (uint32_t c = 0; c < b->components; c++)
    for (z = b->lower[0]; z < b->upper[0]; z++)
      for (y = b->lower[1]; y < b->upper[1]; y++)
        for (x = b->lower[2]; x < b->upper[2]; x++) {
          size_t i = ((c * n[0] + z - b->array_lower[0]) * n[1] + y - b->array_lower[1]) * n[2] + x - b->array_lower[2];
          f(u, i, x + 1 < b->array_upper[2] ? i + 1 : i, other, out);
        }
}
static void value(const double *u, size_t i, size_t j, const double *v, double *out) {
  (void)v;
  out[0] += u[i] * u[i]; out[1] += u[i] * u[j];
}
static void jvp(const double *u, size_t i, size_t j, const double *v, double *out) {
  out[0] += 2 * u[i] * v[i]; out[1] += u[i] * v[j] + v[i] * u[j];
}
static void vjp(const double *u, size_t i, size_t j, const double *w, double *out) {
  out[i] += 2 * w[0] * u[i] + w[1] * u[j]; out[j] += w[1] * u[i];
}
int64_t moments_value(alidade_block *b, const double *u, double *out) {
  b->halo = 1;
  if (!out) return 2;
  out[0] = out[1] = 0;
  each(b, u, NULL, out, value);
  return 2;
}
int64_t moments_jvp(const alidade_block *b, const double *u, const double *v, double *out) {
  out[0] = out[1] = 0;
  each(b, u, v, out, jvp);
  return 2;
}
int64_t moments_vjp(const alidade_block *b, const double *u, const double *w, double *field) {
  each(b, u, w, field, vjp);
  return 2;
}

/* Libraries that break their promises. */
int64_t nan_value(alidade_block *b, const double *u, double *out) {
  (void)u;
  b->halo = 0;
  if (out) out[0] = 0.0 / 0.0;
  return 1;
}
int64_t nan_jvp(const alidade_block *b, const double *u, const double *v, double *out) { (void)b; (void)u; (void)v; out[0] = 0; return 2; }
int64_t nan_vjp(const alidade_block *b, const double *u, const double *w, double *out) { (void)b; (void)u; (void)w; (void)out; return -7; }
int64_t half_value(alidade_block *b, const double *u, double *out) { return nan_value(b, u, out); }
