// Autoencoders of patches on a tile: cells to rows of values, layers on rows, rows to integers, and back.
//
// A row holds the numbers of one patch, padded with zeros to a multiple of ALD_DENSE_LANES. Every product, sum and quotient is rounded by itself, in the
// order written: the same bits for any vector width.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "ald_entropy.h"

#define ALD_DENSE_LANES 16

// out[p][o] = bias[o] + sum over i, ascending, of in[p][i] weights[o / LANES][i][o % LANES]
typedef struct ald_dense {
  int32_t inputs, outputs;         // outputs: a multiple of ALD_DENSE_LANES
  size_t stride;                   // floats per row of inputs
  const float *weights;            // [outputs / LANES][inputs][LANES]
  const float *bias;               // [outputs], none of them -0; NULL: the sum begins with what `out` holds
} ald_dense;
void ald_dense_apply(const ald_dense *k, const float *in, size_t rows, float *out);
// The same sums, to which inputs that are 0 are not added: most latents are. Rows of at most ALD_DENSE_SPARSE inputs. Finite weights: the same bits.
#define ALD_DENSE_SPARSE 8192
void ald_dense_apply_sparse(const ald_dense *k, const float *in, size_t rows, float *out);

// Where the patches of a tile lie in arrays of its components: patch[a] cells along axis a, count[a] patches from the tile's lower faces on.
typedef struct ald_tiling {
  int64_t patch[3], count[3];
  int64_t cells[3];                // extents of the tile; cells of a patch beyond are its outermost
  int64_t row, plane;              // elements from a row of the arrays to the next, from a plane to the next
  int32_t components;
  size_t stride;                   // floats per row of numbers
} ald_tiling;
// rows[p][((c P_z + dz) P_y + dy) P_x + dx] = (value - offset[c]) scale, in binary64, rounded to binary32. from[c]: the tile's first cell.
void ald_patches_take_f32(const ald_tiling *t, const float *const *from, const double *offset, double scale, float *rows);
void ald_patches_take_f64(const ald_tiling *t, const double *const *from, const double *offset, double scale, float *rows);
// value = offset[c] + scale number, in binary64, rounded to the type; cells beyond the tile are left out.
void ald_patches_put_f32(const ald_tiling *t, const float *rows, const double *offset, double scale, float *const *to);
void ald_patches_put_f64(const ald_tiling *t, const float *rows, const double *offset, double scale, double *const *to);

// out[p][i] = rows[p][i] / steps[i] without padding
void ald_latents_over(const float *rows, size_t count, size_t stride, const float *steps, size_t latents, float *out);
// q = y / factor rounded half away from zero, 0 where |y / factor| < 1/2 + dead; magnitudes at most 2^28. Adds to sums[k - 1] how many have magnitude k = 1, 2, >= 3
// and to sums[2 + k] by how much they lie above |y / factor|, in units of 2^-20, at most 1 each.
void ald_latents_round_f32(const float *y, size_t n, double factor, double dead, int32_t *q, int64_t sums[6]);
void ald_latents_round_f64(const double *y, size_t n, double factor, double dead, int32_t *q, int64_t sums[6]);
// rows[p][i] = +-(256 |q| - less[min(|q|, 3)]) 2^-8 steps[i], each rounded to binary32; 0 for q = 0 and in the padding
void ald_latents_values(const int32_t *q, size_t count, size_t latents, const int32_t less[4], const float *steps, size_t stride, float *rows);
// s + sum of (a - b)^2, in order
double ald_squares_f32(double s, const double *a, const float *b, size_t n);
double ald_squares_f64(double s, const double *a, const double *b, size_t n);

// Classes by context (docs/format.md section 7.21): patches in raster order, latents i of expected magnitude 2^-12 expected[i].
typedef struct ald_contexts {
  int64_t patches[3];
  size_t latents;
  const uint32_t *expected;        // 1 ... 2^30
  uint32_t *sums;                  // room for (patches + 11) (latents + 1), aligned to 8 bytes
} ald_contexts;
void ald_contexts_classes(const ald_contexts *k, const int32_t *q, uint8_t *classes);
void ald_contexts_decode(const ald_contexts *k, ald_decoder *d, int32_t *q);
