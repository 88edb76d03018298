// Context models of the transform codecs: scale classes of quantised coefficients from integers already coded.
//
// A tile of coefficients is walked in a fixed order; for each one an expected magnitude S (12 fractional bits) is a
// weighted sum of neighbours coded before it, and ald_class(S) selects its table. Both sides compute the same integers.
//
// Lapped transform: block by block, in a block by planes of equal frequency sum, whose coefficients do not use each other;
// neighbours are lower frequencies of the block and all frequencies of the previous blocks. Magnitudes are normalised by a
// scale that is a product over the axes, and by the factor of their band where bands have steps of their own:
// n = |q| / b in 10 fractional bits, below 16.
// Wavelet: LL, then level 2, 1, 0, in each the bands with one, two and three odd axes; the bands of one such pass are
// interleaved value by value, because they do not use each other. Magnitudes saturate at 4095.
// Nothing outside the tile is used.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "ald_entropy.h"

#define ALD_BANDS_LOT 0
#define ALD_BANDS_WAVELET 1
#define ALD_BAND_GROUPS 24      // LOT: octave of the frequency sum (at most 5) * 4 + non-zero frequencies; wavelet 13
#define ALD_BAND_FEATURES 10    // the last is the constant 1
#define ALD_BAND_SCALES 48      // 16 per axis: floor(16 frequency / width)
#define ALD_BAND_SCALE_ONE 18   // code c of the slowest axis stands for 2^((c - 18) / 2),
#define ALD_BAND_SCALE_RELATIVE 48   // that of the others for 2^((c - 48) / 2)
#define ALD_BAND_SUMS 4096      // 16^3 bins of the three frequencies

typedef struct ald_band_model {
  uint8_t weight[ALD_BAND_GROUPS][ALD_BAND_FEATURES];  // 0...63 in 1/64; the constant's: quarter octaves from 1/4096
  uint8_t scale[ALD_BAND_SCALES];                      // 0...63; lapped transform only
} ald_band_model;

typedef struct ald_tile_shape {
  int32_t kind;
  int32_t n[3];               // extents, slowest axis first
  int32_t block_edge;         // LOT: M, at most 16; every block but an axis's last has this width
  int32_t blocks[3];
  const int32_t *starts[3];   // LOT: first index of each block, ascending from 0
  const uint8_t *factors;     // LOT: quarter octaves (at most 64) by which the values of each band, (z M + y) M + x, were multiplied; NULL: 0
  // Side information, from ald_bands_survey or the stream:
  int32_t active[3];          // LOT: frequencies >= active are zero in every block and not coded
  uint32_t zero_bands;        // wavelet: bit 7 * level + parity - 1, bit 21 = LL: the band is zero and not coded
  int32_t difference;         // DC or LL band: coded as the difference to the mean of its causal neighbours
} ald_tile_shape;

// 0, or -1 when the shape does not describe a tile (all other functions rely on a valid one).
int ald_bands_check(const ald_tile_shape *shape);
// Fills the three side-information members from the coefficients.
void ald_bands_survey(const int32_t *q, ald_tile_shape *shape);
// Values coded for a tile of this shape.
size_t ald_bands_count(const ald_tile_shape *shape);
// Classes and values of a tile in coding order (arrays of ald_bands_count entries). Returns the count, 0 without memory.
size_t ald_bands_symbols(const int32_t *q, const ald_tile_shape *shape, const ald_band_model *model, uint8_t *cls, int32_t *val);
// The inverse; writes every element of q. 0, or -1 without memory. Does not look at d->failed: any stream gives some tile.
int ald_bands_decode(ald_decoder *d, const ald_tile_shape *shape, const ald_band_model *model, int32_t *q);
// Rows for the weight fit, about one in `every` values, at most `cap`: features in 1/1024 (LOT) or 1/16 (wavelet),
// the value, its group and scale code. Returns the number of rows.
size_t ald_bands_features(const int32_t *q, const ald_tile_shape *shape, const ald_band_model *model, size_t every, size_t cap,
                          uint16_t *feat, uint8_t *group, uint8_t *scale, int32_t *val);
// Adds the magnitudes (saturated at 2^24) and the number of coded values to each bin of frequencies. LOT only.
void ald_bands_scale_sums(const int32_t *q, const ald_tile_shape *shape, uint64_t sum[ALD_BAND_SUMS], uint64_t count[ALD_BAND_SUMS]);
