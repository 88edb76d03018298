// Error sums of one tile, in one fixed order of doubles.
#pragma once
#include <stddef.h>
#include <stdint.h>

// A tile in an array: its first cell, and the cells from one row and one plane to the next.
typedef struct ald_rows {
  const void *first;
  int64_t row, plane;
} ald_rows;

typedef struct ald_error_setup {
  double shift;     // taken from the originals
  double scale;     // half the width of the histogram
  double factor;    // 32 / scale, 0 where that is not finite
  double c1, c2;    // constants of SSIM
} ald_error_setup;

// Histogram places: 64 bins, below -scale, above scale (or not a number), and masked.
#define ALD_ERROR_PLACES 67

typedef struct ald_error_sums {
  double x, e, xx, ee, xe;  // x: original - shift, e: decoded - original
  double peak;              // largest |e|
  double lag[3];            // e e' of neighbours along z, y, x
  double ssim;              // over `windows` windows of 8 x 8 x 8 cells, clipped at the upper faces, without masked cells
  int64_t windows, valid;
  uint64_t places[ALD_ERROR_PLACES];
} ald_error_sums;

// Doubles of work space for a tile of n[0] x n[1] x n[2] cells.
size_t ald_error_work(const int64_t n[3]);
// `mask` (its first NULL: none): 1 valid. Size 4: float, 8: double.
void ald_error_tile(int size, const int64_t n[3], const ald_rows *original, const ald_rows *decoded, const ald_rows *mask,
                    const ald_error_setup *setup, double *work, ald_error_sums *out);
