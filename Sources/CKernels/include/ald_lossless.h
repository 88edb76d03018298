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
