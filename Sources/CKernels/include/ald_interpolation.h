// Multilevel interpolation of one tile: closed loop in wrapping 32-bit integers, contexts included.
//
// The tile is split into anchors (multiples of 16) and four levels of seven parity sub-bands (strides 8, 4, 2, 1;
// passes with one, two, three odd axes). A point of a sub-band is predicted along its odd axes from coarser points and
// earlier passes only, so a row of a sub-band is predicted at once; of its context only the previous value of the row
// is not known when the row starts. Nothing outside the tile is read.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "ald_entropy.h"

#define ALD_INTERP_LEVELS 4
#define ALD_INTERP_GROUPS 13        // level * 3 + pass - 1; 12: anchors
#define ALD_INTERP_FEATURES 7       // |q| at z-1, y-1, x-1, causal diagonals, prediction points, activity, constant
#define ALD_INTERP_SLACK 64         // elements the class and value buffers need beyond the number of cells
#define ALD_INTERP_STATISTICS 36    // per level and axis: log sums of linear and cubic, count

typedef struct ald_interp {
  // quotient 0: value = offset + y * unit; 1: (offset + y) / unit; rounded to the type T after every operation:
  // 2: T(offset + y) / T(unit) + T(add); 3: T(offset + y) * T(1 / T(unit)) + T(add). add is 0 with 0 and 1.
  double offset, unit, add;
  int32_t quotient;
  int32_t shift;             // the finest step is 1 << shift units
  int32_t step[ALD_INTERP_LEVELS + 1];  // in units; [4]: anchors
  int32_t weight_bits;       // fixed point of the mean over axes
  int32_t dead_zone;         // rounding offset in 1/256 of a step, used by the encoder only
  uint8_t kind[ALD_INTERP_LEVELS][3];   // 0 linear, 1 cubic; axes z, y, x
  uint8_t code[ALD_INTERP_LEVELS][3];   // weight 2^(-code/2)
  uint8_t context[ALD_INTERP_GROUPS][ALD_INTERP_FEATURES];  // in 1/128
  uint16_t mix[ALD_INTERP_LEVELS][64][3];  // made by ald_interp_prepare
} ald_interp;

// Fills `mix` from `code` and `weight_bits`.
void ald_interp_prepare(ald_interp *k);
// Bytes of scratch for a tile of these extents.
size_t ald_interp_workspace(int nz, int ny, int nx);

// Codes a tile of floats (size 4) or doubles (size 8), C order. mask: 1 = valid, or NULL. Writes the classes and values of
// the valid points in coding order (buffers of cells + ALD_INTERP_SLACK) and the decoded tile into recon (may be x;
// masked cells get the value of the integer 0). Returns the number of values.
size_t ald_interp_encode(const ald_interp *k, const void *x, int size, const uint8_t *mask, int nz, int ny, int nx,
                         void *work, uint8_t *cls, int32_t *val, void *recon);
// Reads the values from d. Terminates within bounds whatever they are; d->failed tells whether the stream was too short.
void ald_interp_decode(const ald_interp *k, ald_decoder *d, const uint8_t *mask, int nz, int ny, int nx, void *work,
                       void *out, int size);
// As encode, but dumps the context features (4 fractional bits), group and value of every `every`-th point from `phase`
// on; at most cap of them. Returns their number.
size_t ald_interp_features(const ald_interp *k, const void *x, int size, const uint8_t *mask, int nz, int ny, int nx,
                           void *work, size_t every, size_t phase, uint16_t *feat, uint8_t *group, int32_t *val, size_t cap);
// Adds to out[(level * 3 + axis) * 3 + {0, 1, 2}] the sum of log2(1 + 2|e|/step) in 1/256 of the linear and the cubic
// prediction from the original values, and the number of points.
void ald_interp_statistics(const ald_interp *k, const void *x, int size, const uint8_t *mask, int nz, int ny, int nx,
                           void *work, int64_t *out);
