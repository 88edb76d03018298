// Separable transforms on boxes of one global grid: lapped orthogonal blocks (8, 16) and the CDF 9/7 wavelet.
//
// Axis 0 is the slowest. Every value comes from the same IEEE operations in the same order whatever box is
// processed and whatever instruction set is used: vector lanes hold independent lines, nothing is fused or reordered.
#pragma once
#include <stdint.h>

// C-order array of the cells of a box in global indices.
typedef struct ald_view {
  void *base;
  int64_t lower[3], shape[3];
} ald_view;

// Arrays side by side that share the cells of a box: a grid of count[0] x count[1] x count[2] views in C order.
typedef struct ald_pieces {
  const ald_view *views;
  int64_t count[3];
  int64_t wrap[3];  // extent of an axis that is held whole and wraps; 0: it does not
} ald_pieces;

// What is applied to one segment of an axis.
enum {
  ALD_SEGMENT_IDENTITY = 0,
  ALD_SEGMENT_DCT = 1,        // orthonormal DCT-II, 1...23 samples
  ALD_SEGMENT_IDCT = 2,       // its transpose
  ALD_SEGMENT_FILTER = 3,     // pre-filter across a block edge, 4, 6, ... 16 samples
  ALD_SEGMENT_UNFILTER = 4,   // its transpose
};

typedef struct ald_segment {
  int64_t start;
  int32_t length, kind;
} ald_segment;

// Applies `segments` (adjacent, ascending, per axis; axis order 0, 1, 2) to `source` and writes the cells of
// [lower, upper) to `target`. `source` must hold all cells of every box of segments; where boxes of segments are all inside [lower, upper) it may be `target`.
// element_size 4: float arithmetic, 8: double.
void ald_segments_apply(int element_size, const ald_pieces *source, const ald_view *target,
                        const ald_segment *const segments[3], const int count[3],
                        const int64_t lower[3], const int64_t upper[3]);

#define ALD_WAVELET_LEVELS 3
#define ALD_WAVELET_HALO 28

// Coefficients of the cells of [lower, upper) in place on the global lattice. `source` holds the box dilated by
// ALD_WAVELET_HALO, clipped to [0, extent) on axes that are not periodic. Periodic extents are multiples of 8.
void ald_wavelet_analyse(int element_size, const ald_view *source, const ald_view *target, const int64_t extent[3],
                         const int periodic[3], const int64_t lower[3], const int64_t upper[3]);
// Values of the cells of [lower, upper) from coefficients on the dilated box.
void ald_wavelet_synthesise(int element_size, const ald_view *source, const ald_view *target, const int64_t extent[3],
                            const int periodic[3], const int64_t lower[3], const int64_t upper[3]);
