// Special values: finding them, and coding where they are.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Adds the distinct special bit patterns of x (NaN, infinities, and the listed fills) to a sorted table of *count
// entries, room for `room`. 0, or -1 when there are more.
int ald_special_collect(const void *x, int size, size_t n, const uint64_t *fills, int fill_count,
                        uint64_t *table, int *count, int room);
// categories[i] = 0, or 1 + the position of x[i] in the sorted table; counts[category] += 1.
// A non-finite pattern that is missing from the table: -1.
int ald_special_classify(const void *x, int size, size_t n, const uint64_t *table, int count,
                         uint8_t *categories, uint64_t *counts);
// Writes table[category - 1] where category != 0; -1 when a category exceeds the table.
int ald_special_fill(void *x, int size, size_t n, const uint64_t *table, int count, const uint8_t *categories);

// Bytes that always suffice.
size_t ald_mask_cap(size_t n);
// Codes categories (0 = ordinary) of a tile. Cells with within == 0 (if not NULL) are not coded. 0 bytes when all are 0.
// (size_t)-1 when memory is short.
size_t ald_mask_encode(const uint8_t *categories, const uint8_t *within, int nz, int ny, int nx, uint8_t *out, size_t cap);
// 0, or -1 truncated, -2 unknown mode, -3 memory, -4 not a stream. Cells with within == 0 become 0.
int ald_mask_decode(const uint8_t *in, size_t size, const uint8_t *within, int nz, int ny, int nx, uint8_t *categories);
