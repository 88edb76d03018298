// Lossless coding of one tile of float32 or float64, and the outlier and decimal-lattice kernels.
//
// Values are predicted from causal neighbours inside the tile (least-squares weights, fitted and stored per tile),
// mapped to order-preserving integers and the difference is coded. Arithmetic on doubles in a fixed order.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Bytes that always suffice for n cells of `size` bytes.
size_t ald_lossless_cap(size_t n, int size);
// Encodes the cells with mask != 0 (all, if mask is NULL). x: bit patterns, C order. 0 when memory is short.
size_t ald_lossless_encode32(const uint32_t *x, const uint8_t *mask, int nz, int ny, int nx, uint8_t *out, size_t cap);
size_t ald_lossless_encode64(const uint64_t *x, const uint8_t *mask, int nz, int ny, int nx, uint8_t *out, size_t cap);
// Writes the cells with mask != 0 only. 0, or -1 truncated, -2 unknown mode, -4 not a stream; on error cells are undefined.
int ald_lossless_decode32(const uint8_t *in, size_t size, const uint8_t *mask, int nz, int ny, int nx, uint32_t *x);
int ald_lossless_decode64(const uint8_t *in, size_t size, const uint8_t *mask, int nz, int ny, int nx, uint64_t *x);

// Corrections of a lossy decode. With relative == 0 every cell (mask != 0) where !(|x - y| <= bound) is moved by
// sign * (2 k - 0.9) * bound and rounded, or replaced exactly; with relative != 0 the bound is bound * |x| and all
// replacements are exact. y is corrected in place. count is that of ald_outlier_count, > 0; ald_outlier_cap(count) bytes
// suffice. Returns the number of bytes, (size_t)-1 when memory is short.
size_t ald_outlier_count(const void *x, const void *y, int size, const uint8_t *mask, size_t n, double bound, int relative);
size_t ald_outlier_cap(size_t count, int size);
size_t ald_outlier_encode(const void *x, void *y, int size, const uint8_t *mask, size_t n, double bound, int relative,
                          size_t count, uint8_t *out, size_t cap);
int ald_outlier_decode(const uint8_t *in, size_t bytes, void *y, int size, size_t n, double bound);

// log2 of a positive finite number (subnormals too) and 2^y, absolute and relative error below 1e-15; no libm.
double ald_log2(double x);
double ald_exp2(double y);
// log2|x| into y (float if log_size == 4), 1 where x < 0 into negative. Cells that are masked, zero or not finite
// give 0 and 0; zero[i] (if not NULL) is 1 where x is 0.
void ald_log_forward(const void *x, int size, const uint8_t *mask, size_t n, void *y, int log_size, uint8_t *negative, uint8_t *zero);
// +-2^y rounded to the type, clamped to non-zero finite numbers; cells with mask == 0 are left alone.
void ald_log_inverse(const void *y, int log_size, const uint8_t *negative, const uint8_t *mask, size_t n, void *x, int size);

// Coarsest lattice of one family that all values so far are on: x = k / base^level with |k| <= 2^22, to the bit if
// tolerance is 0, else |x - k / base^level| <= tolerance, spacing at least 8 tolerances.
// level > limit: none. low > high: no value seen. gcd of all k, 0 when all are 0.
typedef struct { int64_t base, level, limit, low, high, gcd; double tolerance; } ald_lattice;
// Takes in the cells with mask != 0 until no family is left.
void ald_lattice_scan(const void *x, int size, const uint8_t *mask, size_t n, ald_lattice *families, int count);
void ald_lattice_merge(ald_lattice *a, const ald_lattice *b);
// k of every cell with mask != 0; value back from k: (T)((double)k / divisor).
void ald_lattice_indices(const void *x, int size, const uint8_t *mask, size_t n, int64_t divisor, int32_t *k);
void ald_lattice_values(const int32_t *k, const uint8_t *mask, size_t n, int64_t divisor, void *x, int size);

// Shifted lattices of packed data: x = T(T(n / d) + T(s)) (form 0) or T(T(n * T(1/d)) + T(s)) (form 1), every operation
// rounded to the type T, for d and s of fixed lists and |n| + |s| d <= 2^22. Nearest integers then find n.
#define ALD_SHIFTED_DIVISORS 11
#define ALD_SHIFTED_SHIFTS 31
extern const double ald_shifted_divisor[ALD_SHIFTED_DIVISORS], ald_shifted_shift[ALD_SHIFTED_SHIFTS];
typedef struct {
  uint32_t alive[2][ALD_SHIFTED_DIVISORS];  // bit: index of the shift
  double low, high;                         // of the values seen
  int64_t size;                             // bytes of T; 0 until a value is seen
} ald_shifted;
void ald_shifted_open(ald_shifted *s);
int ald_shifted_alive(const ald_shifted *s);
// Takes in the cells with mask != 0, and `families` too if not NULL. With families, values that by themselves lie on a
// plain lattice do not count against shifted ones, which saves the work on data with a plain lattice; without, all do.
void ald_shifted_scan(const void *x, int size, const uint8_t *mask, size_t n, ald_lattice *families, int count, ald_shifted *s);
void ald_shifted_merge(ald_shifted *a, const ald_shifted *b);
// n of a value.
int64_t ald_shifted_index(double v, int size, double divisor, double shift);
void ald_shifted_indices(const void *x, int size, const uint8_t *mask, size_t n, double divisor, double shift, int32_t *k);
void ald_shifted_values(const int32_t *k, const uint8_t *mask, size_t n, double divisor, double shift, int product, void *x, int size);
