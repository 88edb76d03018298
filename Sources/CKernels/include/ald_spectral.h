// The spectral codec: Craya-Herring basis, quantiser errors in integers, and the context coder of Fourier coefficients.
//
// Modes are those of the half-space that a real transform along the fastest axis keeps: j_x = 0 ... n / 2, j_y and j_z from
// -(n - 1) / 2 to n / 2. A mode of a component is two numbers, real and imaginary part, side by side.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "ald_entropy.h"

#define ALD_SPECTRAL_SCALES 160     // code c stands for a mean magnitude of 2^((c - 36) / 4)
#define ALD_SPECTRAL_SCALE_ONE 36

// Of one component of a row: k~ along the axis it belongs to, and cos and sin of the phase that brings it to the cells' centres (NULL:
// none). Stride 0 where that axis is not the one of the row, else 1.
typedef struct ald_spectral_axis {
  const double *symbol, *cosine, *sine;
  int64_t stride;
} ald_spectral_axis;

// A row of modes along the fastest axis, of two or three components.
typedef struct ald_spectral_row {
  int64_t count;
  int32_t components;
  const ald_spectral_axis *axis;   // one for each component
} ald_spectral_row;

// In place, u[c] -> a[c] and back: a = (e1.u, e2.u, e3.u) with e1 = (k~_1, -k~_0, 0) / h, e3 = k~ / |k~|, e2 = e3 x e1; two components
// (e1.u, e3.u). h = 0: e1 = (1, 0, 0); k~ = 0: the components as they are (two: as they are).
void ald_spectral_turn(const ald_spectral_row *row, double *const *u);
void ald_spectral_unturn(const ald_spectral_row *row, double *const *a);

// In place: numbers of a row times (re + i im) (cosine[x] - sign i sine[x]); cosine NULL: times re + i im.
void ald_spectral_rotate(double *u, int64_t count, double re, double im, const double *cosine, const double *sine, double sign);

// sums: (|c|/step - |q|)^2 in 2^-32, for |q| = 1, 2, >= 3 their number and the sum of |c|/step - |q| in 2^-16, then the number of
// non-zero q; q as by ald_quantise_f64, d = |c|/step - |q| rounded to 2^-16. Adds; order-free. largest: the largest |q| so far.
#define ALD_SPECTRAL_SUMS 8
void ald_spectral_error(const double *c, size_t n, double inverse_step, int64_t *sums, double *largest);

// The same by shell, for modes whose steps differ: per shell (|c|/step - |q|)^2 in 2^-32; for |q| = 1, 2, >= 3 their number and the sum of
// d = |c|/step - |q| in 2^-16; for |q| >= 3 the sum of |q| and of |q| d. shell[i]: of mode i, two numbers each. Adds; order-free.
#define ALD_SHELL_SUMS 9
void ald_spectral_shell_errors(const double *c, const int32_t *shell, size_t modes, double inverse_step, int64_t *sums, double *largest);

// A box of modes, coded by itself.
typedef struct ald_spectral_piece {
  int64_t lower[3], extent[3];   // first index j and number of modes, slowest axis first
  int64_t grid[3];               // extents of the field
  double metric[3];              // wavenumber of j = 1, in units of the smallest one of all axes
  int32_t radius;                // modes of higher shells are not coded
  int32_t components;
  int32_t flat;                  // 1: the coded set has no extent along the slowest axis
  const uint8_t *scale;          // codes, [component][radius + 1]
  const uint8_t *symmetry;       // of each component, or NULL: none
  int32_t mirror;                // axes on which the box mirrors another one: 1 slowest, 2 middle
  int64_t source[3], source_extent[3];   // that one's `lower` and `extent`
} ald_spectral_piece;

// How a component's numbers at j with j_z (bits 0-1) or j_y (bits 2-3) negated follow from those at j: 0 not at all, 1 they are the same,
// 2 they are the negative ones. Bits 4-5: 1 real, 2 imaginary parts vanish. All of it as far as is coded cheaply: differences are coded.
enum { ALD_SYMMETRY_Z = 0, ALD_SYMMETRY_Y = 2, ALD_SYMMETRY_QUIET = 4 };

// Shell of a mode: floor(sqrt((j_z m_z)^2 + (j_y m_y)^2 + (j_x m_x)^2) + 1/2), at most 2^30.
int32_t ald_spectral_shell(const double metric[3], int64_t jz, int64_t jy, int64_t jx);
// The same of `count` modes of a row from jx on, and at most `most`.
void ald_spectral_shells(const double metric[3], int64_t jz, int64_t jy, int64_t jx, size_t count, int32_t most, int32_t *shell);
// Of the row (jz, jy) the modes x = *first ..< *end from `lower` on are coded: one of each conjugate pair, up to the radius.
void ald_spectral_range(const ald_spectral_piece *p, int64_t jz, int64_t jy, int64_t *first, int64_t *end);

// Values coded: two for each mode and component.
size_t ald_spectral_count(const ald_spectral_piece *p);
// Classes and values in coding order: component by component, modes in raster order. q[component]: numbers of all modes of the
// box in raster order. source: numbers of the mirrored box, NULL where mirror is 0. Adds to misses[0] the numbers told by it, to misses[1]
// those of them that differ. Returns the count, or (size_t)-1 without memory.
size_t ald_spectral_symbols(const int32_t *const *q, const ald_spectral_piece *p, const int32_t *const *source, uint8_t *cls, int32_t *val, int64_t misses[2]);
// The inverse; writes every number of q, zero where nothing is coded. 0, or -1 without memory.
int ald_spectral_decode(ald_decoder *d, const ald_spectral_piece *p, int32_t *const *source, int32_t *const *q);
// Adds to sum[shell] the magnitudes and to count[shell] the number of coded numbers of one component.
void ald_spectral_scale_sums(const int32_t *q, const ald_spectral_piece *p, uint64_t *sum, uint64_t *count);
// Raises extent[0..2] to the largest |j| and *radius to the largest shell with a non-zero number.
void ald_spectral_extent(const int32_t *q, const ald_spectral_piece *p, int64_t extent[3], int64_t *radius);
