// Small convolutional networks on tiles.
//
// Arrays are [z][y][x][channel] of binary32, channels padded to a multiple of ALD_NETWORK_LANES; what lies in the padding is finite and
// has no effect. Every product and every sum is rounded by itself, in the order written: the same bits for any vector width.
#pragma once
#include <stdint.h>

#define ALD_NETWORK_LANES 16

typedef struct ald_convolution {
  int32_t taps[3];                  // along z, y, x
  int32_t inputs;                   // channels summed over
  int32_t input_stride, outputs;    // floats per cell of either array, multiples of ALD_NETWORK_LANES
  const float *weights;             // [z][y][x][input][output]
  const float *bias;                // [output]; NULL: the sum begins with what `out` holds
} ald_convolution;

// out[p][o] = bias[o] + sum over z, y, x of the taps, then inputs i, of in[p + tap][i] weights[tap][i][o]
//
// `out` has the extents n; `in` is a part, of the extents n + taps - 1, of an array of the extents m.
void ald_convolve(const ald_convolution *k, const float *in, const int32_t m[3], const int32_t n[3], float *out);
// a -> a > 0 ? a : a / 8 for all cells, then a += skip where skip is not NULL: an array with `margin` more cells on each side.
void ald_rectify(float *a, const int32_t n[3], int32_t channels, const float *skip, const int32_t margin[3]);

// Cells in blocks of patch[0] x patch[1] x patch[2] made channels: channel ((c patch_z + dz) patch_y + dy) patch_x + dx of a patch is the
// value of component c, times `scale`. at[a]: where in the component's array (extents `shape`) the cells of axis a lie, n[a] patch[a] of them.
typedef struct ald_patches {
  int32_t patch[3], n[3];
  int32_t components, stride;       // floats per patch
  const int32_t *at[3];
  int32_t shape[3];
} ald_patches;
void ald_patches_gather_f32(const ald_patches *p, const float *const *from, float scale, float *out);
void ald_patches_gather_f64(const ald_patches *p, const double *const *from, double scale, float *out);
// to[cell] += scale * value of the patch, for cells with at[a] >= 0.
void ald_patches_add_f32(const ald_patches *p, const float *patches, float scale, float *const *to);
void ald_patches_add_f64(const ald_patches *p, const float *patches, double scale, double *const *to);
