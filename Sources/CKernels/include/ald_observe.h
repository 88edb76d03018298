// Sums and rows for observables: the operations of the plain loops in their order, so all versions give the same bits.
#pragma once
#include <stddef.h>
#include <stdint.h>

// At most this many terms at a time.
#define ALD_EXACT_TERMS 1024

#define ALD_TERMS_PLAIN 0       // a
#define ALD_TERMS_SQUARE 1      // a a
#define ALD_TERMS_DIFFERENCE 2  // (a - b) (a - b)
#define ALD_TERMS_PRODUCT 3     // a b

// Few numbers with exactly the sum of the n <= ALD_EXACT_TERMS terms (each rounded to double as its formula says), in `parts` (as many
// entries). Returns how many: three as a rule; terms that are not finite, or spread over more than 2^73, are among them as they are.
// Source: error-free extraction, Rump, Ogita, Oishi, SIAM J. Sci. Comput. 31 (2008) 189.
size_t ald_exact_terms(int kind, const double *a, const double *b, size_t n, double *parts);

// out += c in; out += c[i] in[i]; out += c (in in)
void ald_row_add(double *out, const double *in, double c, size_t n);
void ald_row_add_each(double *out, const double *in, const double *c, size_t n);
void ald_row_add_square(double *out, const double *in, double c, size_t n);
// out = (z z + epsilon epsilon)^(p / 2), z = b - a; p >= 1.
void ald_row_increments(const double *a, const double *b, size_t n, double epsilon, int32_t p, double *out);
// out = c (p z (z z + epsilon epsilon)^(p / 2 - 1)); 0 to a negative power counts as 0.
void ald_row_slopes(const double *a, const double *b, size_t n, double epsilon, int32_t p, double c, double *out);
// out += a - b
void ald_row_add_difference(double *out, const double *a, const double *b, size_t n);
// 1 where all are finite.
int ald_all_finite(const double *x, size_t n);
void ald_widen(const float *x, size_t n, double *out);
// Shells floor(sqrt(plane + squares[i]) + 1/2), for rows of transforms.
void ald_shell_row(double plane, const double *squares, size_t n, int32_t *shell);
// out += |in|^2 of interleaved complex numbers.
void ald_row_add_power(double *out, const double *in, size_t n);

// Bins of a smooth histogram: h apart, of cubic B-splines; position (clamp(s) - minimum) / h + 3/2.
typedef struct ald_spline_bins { double minimum, maximum, h; } ald_spline_bins;
#define ALD_SPLINE_SAMPLES 4096
// Adds the four values K of each of n <= ALD_SPLINE_SAMPLES samples, in units of 2^-36, 2^-72, 2^-108, to sums[level][first bin][k], levels
// `bins` apart: exact for up to 2^16 samples in all. What lies below goes to `left` (4 n entries), its bin to `where`. Returns how many do.
size_t ald_spline_add(const ald_spline_bins *b, const double *s, size_t n, size_t bins, double *sums, double *left, uint32_t *where);
// out = c ((sum of w[first + k] K'_k) / h); 0 beyond the ends.
void ald_spline_slopes(const ald_spline_bins *b, const double *s, size_t n, const double *w, double c, double *out);
