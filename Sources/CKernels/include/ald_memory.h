// Scratch memory of kernels that return no status.
#pragma once
#include <stddef.h>
#include <stdint.h>

// At least `bytes` bytes at a multiple of 64, for ald_scratch_free; NULL where there are none, which `ald_memory_missing` tells afterwards.
// A kernel without its scratch leaves its output undefined.
void *ald_scratch(size_t bytes);
void ald_scratch_free(const void *scratch);
// From now on scratch of at least so many bytes is mapped apart from the heap and goes back to the system at once. For the whole process.
void ald_scratch_map_from(size_t bytes);
// Bytes of the last scratch that could not be had by any thread since the last call; 0: all could.
int64_t ald_memory_missing(void);
